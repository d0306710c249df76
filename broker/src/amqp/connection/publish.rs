//! basic.publish: from the method to a run of messages with the same destination.

use super::Connection;
use super::channel::Channel;
use super::content::{Content, Routed, Target};
use super::input::Payload;
use super::route::RouteCache;
use super::run::RUN_MAX;
use crate::domain::operations::{PermittedExchange, check_properties};
use crate::engine::exchange::{Copies, Delays};
use crate::engine::message::MessageBuilder;
use crate::engine::queue::Queue;
use leveret_protocol::content::{CLASS_BASIC, ContentHeader, HEADER_LEN, PropertyIndex};
use leveret_protocol::frame::{self, Frame, FrameKind};
use leveret_protocol::method::{self, BASIC_PUBLISH, Publish};
use leveret_protocol::{AmqpError, ChannelId, ExchangeName, ReplyCode, texts};
use std::sync::Arc;

impl Connection {
    /// Handles the basic.publish method: the exchange must exist and be writable.
    pub(super) fn publish_method(
        &mut self,
        id: ChannelId,
        publish: Publish<'_>,
    ) -> Result<(), AmqpError> {
        if publish.immediate {
            return Err(texts::not_implemented("immediate=true"));
        }
        let to = self.publish_exchange(publish.exchange)?;
        let channel = self.open_channel(id)?;
        channel.routing_key.clear();
        channel.routing_key.extend_from_slice(publish.routing_key);
        channel.content = Content::Header(Target {
            to,
            mandatory: publish.mandatory,
            copies: Vec::new(),
        });
        Ok(())
    }

    fn publish_exchange(&mut self, name: &[u8]) -> Result<PermittedExchange, AmqpError> {
        let generation = self.vhost()?.generation();
        let users_generation = self.caller()?.rights_generation();
        if self.route.generation != generation || self.route.users_generation != users_generation {
            self.count_routes();
            let is_traced = self.vhost()?.is_traced();
            self.route = RouteCache::of(generation, users_generation, is_traced);
        }
        if let Some(known) = self.route.exchange_named(name) {
            return Ok(known.clone());
        }
        let exchange_name = ExchangeName::from(&*String::from_utf8_lossy(name));
        let permitted = self.caller()?.exchange_to_publish_to(&exchange_name)?;
        self.route.note_exchange(name, permitted.clone());
        Ok(permitted)
    }

    /// Handles a content header or body frame on a channel that expects one.
    pub(super) fn content_frame(
        &mut self,
        frame: Frame,
        payload: Payload<'_>,
    ) -> Result<(), AmqpError> {
        let id = frame.channel;
        let channel = self.open_channel(id)?;
        let content = std::mem::replace(&mut channel.content, Content::Method);
        let result = match (content, frame.kind) {
            (Content::Header(target), FrameKind::Header) => {
                self.content_header(id, target, payload.as_slice())
            }
            (Content::Body(target, builder), FrameKind::Body) => {
                self.content_body(id, target, builder, payload)
            }
            (Content::Header(_), _) => Err(no_content_header()),
            _ => Err(texts::unexpected_frame(
                "expected content body, got non content body frame instead",
            )),
        };
        self.content_came();
        let result = result.and_then(|()| self.count_unfinished(id));
        result.map_err(|error| match error.code {
            // A malformed frame is the connection's fault, not the publish's.
            ReplyCode::FrameError => error,
            _ => error.caused_by(BASIC_PUBLISH),
        })
    }

    fn content_header(
        &mut self,
        id: ChannelId,
        mut target: Target,
        payload: &[u8],
    ) -> Result<(), AmqpError> {
        let malformed =
            || AmqpError::connection(ReplyCode::FrameError, "content header does not decode");
        let header = match ContentHeader::decode(payload) {
            Some(header) if header.weight == 0 => header,
            Some(_) => return Err(no_content_header()),
            None => return Err(frame::unknown_frame(FrameKind::Header, payload)),
        };
        if header.class != CLASS_BASIC {
            return Err(texts::unexpected_frame(format_args!(
                "expected content header for class {CLASS_BASIC}, got one for class {} instead",
                header.class
            )));
        }
        let properties = &payload[HEADER_LEN..];
        let index = PropertyIndex::scan(properties).ok_or_else(malformed)?;
        let max = self.limits.max_message_size;
        check_properties(&index, properties, header.body_size, max)?;
        let user_id = index.user_id.clone().map(|range| &properties[range]);
        let addressed = self.with_reply_address(id, &index, properties)?;
        let properties = addressed.as_deref().unwrap_or(properties);
        // The headers come before the inserted address, so they have not moved.
        let copies = match index.headers.clone() {
            Some(headers) => Copies::of(properties, headers)?,
            None => Copies::default(),
        };
        target.copies = copies.keys;
        let properties = copies.properties.as_deref().unwrap_or(properties);
        if target.to.topics.is_some() {
            target.check_topics(&self.open_channel(id)?.routing_key)?;
        }
        if let Some(claimed) = user_id {
            self.caller()?.check_user_id(claimed)?;
        }
        let channel = self.open_channel(id)?;
        let exchange = match &target.to.exchange {
            Some(exchange) => exchange.name().as_str().as_bytes(),
            None => b"",
        };
        let builder = MessageBuilder::new(
            exchange,
            &channel.routing_key,
            properties,
            index.persistent(),
            header.body_size,
        );
        if header.body_size == 0 {
            return self.publish_whole(id, target, builder);
        }
        channel.content = Content::Body(target, Box::new(builder));
        Ok(())
    }

    fn content_body(
        &mut self,
        id: ChannelId,
        target: Target,
        mut builder: Box<MessageBuilder>,
        payload: Payload<'_>,
    ) -> Result<(), AmqpError> {
        let pushed = match payload {
            Payload::Owned(bytes) if builder.keeps_frames() => builder.push_frame(bytes),
            other => builder.push(other.as_slice()),
        };
        pushed.map_err(|_| {
            AmqpError::connection(
                ReplyCode::FrameError,
                "content body is longer than its header announced",
            )
        })?;
        if builder.remaining() == 0 {
            return self.publish_whole(id, target, *builder);
        }
        self.open_channel(id)?.content = Content::Body(target, builder);
        Ok(())
    }

    /// Routes a complete message and hands it over, unless it has to wait for a commit.
    fn publish_whole(
        &mut self,
        id: ChannelId,
        target: Target,
        builder: MessageBuilder,
    ) -> Result<(), AmqpError> {
        let (queues, mut kept_by) = self.route_to(id, &target, &builder)?;
        let waits = target.mandatory && queues.is_empty() && !kept_by.is_empty();
        if waits && !self.leads_on(id, &kept_by, &target, &builder)? {
            // The message is returned immediately, so it must not be delivered as well.
            kept_by.clear();
        }
        let storing = self.storing(&queues, &kept_by, builder.persistent);
        self.has_published = true;
        self.has_stored |= storing > 0;
        let transactional = self.open_channel(id)?.transaction.is_some();
        let routed = Routed {
            message: Arc::new(builder.finish(storing == 1 || transactional)),
            queues,
            kept_by,
            storing,
            target,
        };
        if self.route.is_traced {
            self.trace_publish(id, &routed);
        }
        if transactional {
            self.publish_in_transaction(id, routed)
        } else {
            self.hand_over(id, routed)
        }
    }

    /// Returns how many of them store the message.
    pub(super) fn storing(
        &self,
        queues: &[Arc<Queue>],
        kept_by: &[Arc<Delays>],
        persistent: bool,
    ) -> u32 {
        if self.broker.store.is_none() {
            return 0;
        }
        let queues = queues.iter().filter(|queue| queue.stores(persistent));
        let kept_by = kept_by.iter();
        let kept_by = kept_by.filter(|delays| persistent && delays.is_stored());
        (queues.count() + kept_by.count()) as u32
    }

    /// Returns an unroutable message, counts its confirm, and adds it to the run.
    fn hand_over(&mut self, id: ChannelId, routed: Routed) -> Result<(), AmqpError> {
        let routable = !routed.queues.is_empty() || !routed.kept_by.is_empty();
        self.return_or_reply(id, &routed, routable);
        let token = self.count_confirm(id, routed.storing)?;
        if !routed.kept_by.is_empty() {
            if self.run.postponed.len() >= RUN_MAX {
                self.flush_publishes();
            }
            self.run.postponed.extend(routed.postponed(token));
        }
        if routed.queues.is_empty() {
            return Ok(());
        }
        if !self.run.has_room(&routed.queues) {
            self.flush_publishes();
        }
        self.run.push(&routed.queues, routed.message, token, 0);
        Ok(())
    }

    /// Sends a reply to its requester, and returns a mandatory message that nothing takes.
    pub(super) fn return_or_reply(&mut self, id: ChannelId, routed: &Routed, routable: bool) {
        let (message, target) = (&routed.message, &routed.target);
        let replied = target.to.exchange.is_none() && self.send_replies(message, &target.copies);
        self.count_publish(id, routed, routable || replied);
        if !target.mandatory || routable || replied {
            return;
        }
        let exchange = message.exchange();
        let out = self.out.buffer();
        method::encode_return(out, id, ReplyCode::NoRoute, exchange, message.routing_key());
        let (properties, max) = (message.properties(), self.tuned.frame_max);
        self.out
            .content(id, properties, message.body(), message.large_body(), max);
    }

    /// Counts a publish on a channel in confirm mode.
    pub(super) fn count_confirm(
        &mut self,
        id: ChannelId,
        storing: u32,
    ) -> Result<Option<leveret_storage::Token>, AmqpError> {
        let channel: &mut Channel = self.open_channel(id)?;
        let token = channel.count_confirm(storing);
        if token.is_some() {
            self.confirms_later(id, storing);
        }
        Ok(token)
    }

    /// Records that a publish is to be confirmed, once it is stored in this many queues.
    #[inline]
    pub(super) fn confirms_later(&mut self, id: ChannelId, storing: u32) {
        self.tally.count_with_confirm();
        if storing == 0 {
            self.news_of(id);
        }
    }
}

fn no_content_header() -> AmqpError {
    texts::unexpected_frame(format_args!(
        "expected content header for class {CLASS_BASIC}, got non content header frame instead"
    ))
}
