//! The fast path for a publish that is complete in the read buffer: it is decoded in one pass, keeps no state between
//! its frames, and looks its route up in a cache. Anything that needs more work (rejections and returns, transactions,
//! delayed exchanges, copies, replies) takes the slow path, which processes the same frames one at a time.

use super::content::Content;
use super::{Connection, Phase};
use crate::engine::exchange::asks_for_copies;
use crate::engine::message::{INLINE_BODY_MAX, Message, MessageBuilder};
use crate::plumbing::replies::{REPLY_TO, is_address};
use bytes::{Buf, BytesMut};
use leveret_protocol::complete_publish::{CompletePublish, complete_publish};
use leveret_protocol::content::{PropertyIndex, parse_expiration};
use leveret_protocol::method::{self, Method};
use std::ops::Range;
use std::sync::Arc;

/// Raw properties with none set.
const NO_PROPERTIES: &[u8] = &[0, 0];

impl Connection {
    /// Consumes one complete publish from the front of `buf`. Returns false, and changes nothing,
    /// if there is none or it needs the slow path.
    #[inline]
    pub(super) fn publish_on_fast_path(&mut self, buf: &mut BytesMut) -> bool {
        match complete_publish(buf, self.tuned.frame_max) {
            Some(found) => self.consume_publish(&found, buf).is_some(),
            None => false,
        }
    }

    /// Returns `None`, having consumed nothing, if the publish needs the slow path.
    fn consume_publish(&mut self, found: &CompletePublish, buf: &mut BytesMut) -> Option<()> {
        self.can_take_fast_path(found)?;
        let properties = &buf[found.properties.clone()];
        let persistent = self.fast_path_delivery_mode(properties)?;
        let at = self.cached_route(&buf[found.method.clone()])?;
        self.route_by_headers(at, properties)?;
        let route = self.route.cached.get(at);
        let queues = route.queues.as_ref().unwrap_or(self.route.queues());
        if queues.is_empty() && route.mandatory {
            return None;
        }
        let has_room = self.run.has_room(queues);
        let storing = self.storing(queues, &[], persistent);
        let (routed, dropped) = (queues.len(), queues.is_empty());
        let channel = self.channels.get_mut(found.channel)?;
        channel.stats.publish += 1;
        let is_first = channel.stats.publish == 1;
        let token = channel.count_confirm(storing);
        if dropped {
            channel.stats.drop_unroutable += 1;
            self.tally.published().drop_unroutable += 1;
        }
        if token.is_some() {
            self.confirms_later(found.channel, storing);
        }
        if is_first {
            self.count_publisher();
        }
        self.tally.count_size(found.body.len());
        self.route.cached.count(at, routed);
        self.has_published = true;
        self.has_stored |= storing > 0;
        if !has_room {
            self.flush_publishes();
        }
        self.add_to_run(at, found, buf, (persistent, storing), token);
        // A publish is three frames.
        self.effort += 3;
        Some(())
    }

    /// Builds the message and adds it to the run, which must have room for it.
    fn add_to_run(
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
        // A pinning message must have a single owner: it is copied when it turns out to stay.
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

    /// Returns `Some` if the cached routes are current and the channel is ready for a publish.
    fn can_take_fast_path(&self, found: &CompletePublish) -> Option<()> {
        let caller = self.caller.as_ref()?;
        let channel = self.channels.get(found.channel)?;
        let current = self.route.generation == caller.vhost().generation()
            && self.route.users_generation == caller.rights_generation();
        let free = !self.route.is_traced
            && channel.deferred.is_none()
            && !channel.closing
            && channel.transaction.is_none()
            && matches!(channel.content, Content::Method);
        let takes = self.phase == Phase::Running
            && self.alarms.is_empty()
            && found.body.len() as u64 <= self.limits.max_message_size;
        (current && free && takes).then_some(())
    }

    /// Returns whether the message is persistent, or `None` if its properties need the slow path:
    /// they are rejected, changed, or ask for copies.
    fn fast_path_delivery_mode(&self, properties: &[u8]) -> Option<bool> {
        match *properties {
            [0, 0] => return Some(false),
            [0x10, 0, mode] => return Some(mode == 2),
            _ => {}
        }
        let user = self.caller.as_ref()?.user().name.as_str();
        delivery_mode_if_plain(properties, user.as_bytes())
    }

    /// Returns the index of the cached route for a basic.publish, and caches one first if necessary
    /// and possible.
    fn cached_route(&mut self, payload: &[u8]) -> Option<usize> {
        if let Some(at) = self.route.cached.find(payload) {
            return Some(at);
        }
        let Ok(Method::Publish(publish)) = method::decode(payload) else {
            return None;
        };
        // An exchange that is not cached has to be checked first.
        let permitted = self.route.exchange_named(publish.exchange)?.clone();
        // The slow path refuses it.
        permitted.check_key(publish.routing_key).ok()?;
        let exchange = permitted.exchange;
        let name = exchange.as_ref().map_or("", |x| x.name().as_str());
        // A name that is not UTF-8 was looked up under a different one.
        let named = name.as_bytes() == publish.exchange;
        if publish.immediate || !named || is_address(publish.routing_key) {
            return None;
        }
        // Without headers there is no delay, so no delayed exchange keeps it.
        let keys = [publish.routing_key];
        self.count_routes();
        let by_key_alone = self.look_up(&keys, exchange.as_ref(), NO_PROPERTIES).ok()?;
        let queues = by_key_alone.then(|| self.route.queues().clone());
        let known = &mut self.route.cached;
        Some(known.insert(payload, &publish, exchange, queues))
    }

    /// Looks the queues up if the routing key alone does not decide, and leaves them in the cache.
    /// Returns `None` if a delayed exchange keeps the message.
    fn route_by_headers(&mut self, at: usize, properties: &[u8]) -> Option<()> {
        if self.route.cached.get(at).queues.is_some() {
            return Some(());
        }
        let vhost = self.caller.as_ref()?.vhost();
        let kept_by = self.route.route_by_headers(at, properties, vhost.as_ref());
        // Messages for delayed exchanges take the slow path.
        (!kept_by).then_some(())
    }
}

/// Like [`Connection::fast_path_delivery_mode`], for a login as `user`.
fn delivery_mode_if_plain(properties: &[u8], user: &[u8]) -> Option<bool> {
    let index = PropertyIndex::scan(properties)?;
    let bytes = |range: &Option<Range<usize>>| range.clone().map(|range| &properties[range]);
    let refused = bytes(&index.expiration).is_some_and(|text| parse_expiration(text).is_err())
        || bytes(&index.user_id).is_some_and(|claimed| claimed != user);
    let changed = bytes(&index.reply_to) == Some(REPLY_TO.as_bytes());
    let copied = bytes(&index.headers).is_some_and(asks_for_copies);
    (!refused && !changed && !copied).then_some(index.persistent())
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::classes::BasicProperties;
    use leveret_protocol::method::properties_to_vec;
    use leveret_protocol::values::{AMQPValue, FieldTable};

    fn judged(properties: &BasicProperties) -> Option<bool> {
        delivery_mode_if_plain(&properties_to_vec(properties), b"guest")
    }

    fn with_header(name: &str) -> BasicProperties {
        let mut headers = FieldTable::default();
        headers.insert(name.into(), AMQPValue::Boolean(true));
        BasicProperties::default().with_headers(headers)
    }

    #[test]
    fn properties_that_change_nothing_are_usual() {
        let plain = BasicProperties::default;
        for accepted in [
            plain(),
            plain().with_delivery_mode(1),
            plain().with_content_type("text".into()),
            plain().with_expiration("1000".into()),
            plain().with_reply_to("queue".into()),
            plain().with_user_id("guest".into()),
            with_header("cc"),
        ] {
            assert_eq!(judged(&accepted), Some(false), "{accepted:?}");
            assert_eq!(judged(&accepted.with_delivery_mode(2)), Some(true));
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
            assert_eq!(delivery_mode_if_plain(malformed, b"guest"), None);
        }
    }
}
