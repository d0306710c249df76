//! A publish that stands whole in the read buffer, taken in one pass: nothing is kept between its
//! frames, and where it goes is looked up once for every few exchanges and keys. Whatever is unusual
//! about it is left to the slow road, which takes the same frames one by one: what is refused or
//! returned, what a transaction or a delayed exchange keeps, copies, requests for a reply.

use super::channel::Content;
use super::copies::asks_for_copies;
use super::reply_to::{REPLY_TO, is_address};
use super::{Connection, Phase};
use crate::engine::message::{INLINE_BODY_MAX, Message, MessageBuilder};
use bytes::{Buf, BytesMut};
use leveret_protocol::complete_publish::{CompletePublish, complete_publish};
use leveret_protocol::content::{PropertyIndex, parse_expiration};
use leveret_protocol::method::{self, Method};
use std::ops::Range;
use std::sync::Arc;

/// Raw properties of which none is set.
const NO_PROPERTIES: &[u8] = &[0, 0];

impl Connection {
    /// Takes such a publish from the front of `buf`. `false`: there is none, or it is not one to be
    /// taken like this, and nothing has changed.
    #[inline]
    pub(super) fn publish_in_one_pass(&mut self, buf: &mut BytesMut) -> bool {
        match complete_publish(buf, self.tuned.frame_max) {
            Some(found) => self.take_whole(&found, buf).is_some(),
            None => false,
        }
    }

    /// `None`: it is not usual, and was not taken.
    fn take_whole(&mut self, found: &CompletePublish, buf: &mut BytesMut) -> Option<()> {
        self.may_take(found)?;
        let properties = &buf[found.properties.clone()];
        let persistent = self.usual(properties)?;
        let at = self.known_route(&buf[found.method.clone()])?;
        self.look_closer(at, properties)?;
        let route = self.route.known.get(at);
        let queues = route.queues.as_ref().unwrap_or(self.route.queues());
        if queues.is_empty() && route.mandatory {
            return None;
        }
        let has_room = self.run.has_room(queues);
        let storing = self.storing(queues, &[], persistent);
        let token = self.count_confirm(found.channel, storing).ok()?;
        self.has_published = true;
        self.has_stored |= storing > 0;
        if !has_room {
            self.flush_publishes();
        }
        self.add_whole(at, found, buf, (persistent, storing), token);
        // As many frames.
        self.effort += 3;
        Some(())
    }

    /// Builds the message and adds it to the run, which has room for it.
    fn add_whole(
        &mut self,
        at: usize,
        found: &CompletePublish,
        buf: &mut BytesMut,
        (persistent, storing): (bool, u32),
        token: Option<leveret_storage::Token>,
    ) {
        let keeps = self.is_worth_keeping(found.body.len());
        let passes_on = self.is_worth_passing_on(found.body.len());
        let (route, looked_up) = self.route.at(at);
        let queues = route.queues.as_ref().unwrap_or(looked_up);
        // Nobody else may have the message when it turns out to stay.
        let pins = !keeps && passes_on && !persistent && storing == 0 && queues.len() == 1;
        let (exchange, key) = (route.exchange_name(), route.routing_key());
        let properties = &buf[found.properties.clone()];
        let body = found.body.clone();
        let cancellable = storing == 1;
        let message = if body.len() <= INLINE_BODY_MAX {
            let names = (exchange, key);
            let message = Message::small(names, properties, &buf[body], persistent, cancellable);
            buf.advance(found.total);
            message
        } else {
            let size = body.len() as u64;
            let mut builder = MessageBuilder::new(exchange, key, properties, persistent, size);
            let pushed = if keeps || pins {
                let mut frames = buf.split_to(found.total);
                frames.advance(body.start);
                builder.push_frame(frames.split_to(body.len()).freeze())
            } else {
                let pushed = builder.push(&buf[body]);
                buf.advance(found.total);
                pushed
            };
            debug_assert!(pushed.is_ok(), "the body is as long as announced");
            let mut message = builder.finish(cancellable);
            if pins {
                message.mark_pinning();
            }
            Arc::new(message)
        };
        route.place = self.run.push(queues, message, token, route.place);
    }

    /// Whether what is known of exchanges still holds, and nothing stands in the way.
    fn may_take(&self, found: &CompletePublish) -> Option<()> {
        let login = self.login.as_ref()?;
        let channel = self.channels.get(found.channel)?;
        let current = self.route.generation == login.vhost.generation()
            && self.route.users_generation == self.broker.users.generation();
        let free = channel.held.is_none()
            && !channel.closing
            && channel.transaction.is_none()
            && matches!(channel.content, Content::Method);
        let takes = self.phase == Phase::Running
            && self.alarms.is_empty()
            && found.body.len() as u64 <= self.limits.max_message_size;
        (current && free && takes).then_some(())
    }

    /// Whether the message is persistent; `None` when its properties are not to be taken as they
    /// are: those that are refused or changed, and those that send copies.
    fn usual(&self, properties: &[u8]) -> Option<bool> {
        match *properties {
            [0, 0] => return Some(false),
            [0x10, 0, mode] => return Some(mode == 2),
            _ => {}
        }
        let user = self.login.as_ref()?.user.name.as_str();
        is_usual(properties, user.as_bytes())
    }

    /// The number of the route for a basic.publish; found out if need be and possible.
    fn known_route(&mut self, payload: &[u8]) -> Option<usize> {
        if let Some(at) = self.route.known.find(payload) {
            return Some(at);
        }
        let Ok(Method::Publish(publish)) = method::decode(payload) else {
            return None;
        };
        // An exchange that is not known has to be checked first.
        let exchange = self.route.exchange_named(publish.exchange)?.clone();
        let name = exchange.as_ref().map_or("", |x| x.name().as_str());
        // What is no text is not called what it was asked for.
        let named = name.as_bytes() == publish.exchange;
        if publish.immediate || !named || is_address(publish.routing_key) {
            return None;
        }
        // Without headers there is no delay, so no delayed exchange keeps it.
        let keys = [publish.routing_key];
        let by_key_alone = self.look_up(&keys, exchange.as_ref(), NO_PROPERTIES).ok()?;
        let queues = by_key_alone.then(|| self.route.queues().clone());
        let known = &mut self.route.known;
        Some(known.insert(payload, &publish, exchange, queues))
    }

    /// Looks the queues up where the key alone does not decide, and leaves them in the cache.
    fn look_closer(&mut self, at: usize, properties: &[u8]) -> Option<()> {
        if self.route.known.get(at).queues.is_some() {
            return Some(());
        }
        let vhost = &self.login.as_ref()?.vhost;
        let kept_by = self.route.look_closer(at, properties, vhost.as_ref());
        // What a delayed exchange keeps is its own matter.
        (!kept_by).then_some(())
    }
}

/// As [`Connection::usual`], for one who has logged in as `user`.
fn is_usual(properties: &[u8], user: &[u8]) -> Option<bool> {
    let index = PropertyIndex::scan(properties)?;
    let octets = |range: &Option<Range<usize>>| range.clone().map(|range| &properties[range]);
    let refused = octets(&index.expiration).is_some_and(|text| parse_expiration(text).is_err())
        || octets(&index.user_id).is_some_and(|claimed| claimed != user);
    let changed = octets(&index.reply_to) == Some(REPLY_TO.as_bytes());
    let copied = octets(&index.headers).is_some_and(asks_for_copies);
    (!refused && !changed && !copied).then_some(index.persistent())
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::classes::BasicProperties;
    use leveret_protocol::method::properties_to_vec;
    use leveret_protocol::values::{AMQPValue, FieldTable};

    fn judged(properties: &BasicProperties) -> Option<bool> {
        is_usual(&properties_to_vec(properties), b"guest")
    }

    fn with_header(name: &str) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(name.into(), AMQPValue::Boolean(true));
        BasicProperties::default().with_headers(headers)
    }

    #[test]
    fn properties_that_change_nothing_are_usual() {
        let plain = BasicProperties::default;
        for usual in [
            plain(),
            plain().with_delivery_mode(1),
            plain().with_content_type("text".into()),
            plain().with_expiration("1000".into()),
            plain().with_reply_to("queue".into()),
            plain().with_user_id("guest".into()),
            with_header("cc"),
        ] {
            assert_eq!(judged(&usual), Some(false), "{usual:?}");
            assert_eq!(judged(&usual.with_delivery_mode(2)), Some(true));
        }
    }

    #[test]
    fn properties_that_are_refused_or_changed_or_copy_are_not() {
        let plain = BasicProperties::default;
        for unusual in [
            plain().with_expiration("soon".into()),
            plain().with_reply_to(REPLY_TO.into()),
            plain().with_user_id("somebody".into()),
            with_header("CC"),
            with_header("BCC"),
        ] {
            assert_eq!(judged(&unusual), None, "{unusual:?}");
        }
        for malformed in [&[][..], &[0], &[0x80, 0, 5, b'x'], &[0, 0, 0]] {
            assert_eq!(is_usual(malformed, b"guest"), None);
        }
    }
}
