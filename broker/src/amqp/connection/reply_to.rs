//! Direct reply-to (RabbitMQ: "Direct Reply-to"): a client consumes from a pseudo-queue, its
//! requests carry a token in place of that name, and messages published to the token go straight to
//! its channel. Nothing is stored: a reply whose requester is gone, or does not read, is dropped.

use super::Connection;
use crate::engine::message::SharedMessage;
use crate::plumbing::mailbox::Reply;
use crate::plumbing::replies::{REPLY_TO, ReplyAddress, TOKEN_PREFIX};
use crate::text::names::server_generated;
use leveret_protocol::classes::{AMQPClass, basic, queue};
use leveret_protocol::content::PropertyIndex;
use leveret_protocol::{AmqpError, ChannelId, ConsumerTag, ReplyCode, method, texts};

/// A channel's reply consumer.
#[derive(Debug)]
pub(super) struct ReplyConsumer {
    tag: ConsumerTag,
    address: ReplyAddress,
}

/// Returns whether declaring a queue with this name refers to the reply name or an address;
/// anything with that prefix does.
pub(super) fn is_name(queue: &str) -> bool {
    queue.starts_with(REPLY_TO)
}

fn refused(reason: &str) -> AmqpError {
    AmqpError::channel(ReplyCode::PreconditionFailed, reason)
}

impl Connection {
    /// Handles basic.consume of the reply name.
    pub(super) fn consume_replies(
        &mut self,
        id: ChannelId,
        consume: &basic::Consume,
    ) -> Result<(), AmqpError> {
        let channel = self.open_channel(id)?;
        if !consume.no_ack {
            return Err(refused("reply consumer cannot acknowledge"));
        }
        if channel.replies.is_some() {
            return Err(refused("reply consumer already set"));
        }
        let tag = match consume.consumer_tag.as_str() {
            "" => server_generated("amq.ctag-"),
            tag => tag.to_owned(),
        };
        if channel.consumers.contains_key(tag.as_str()) {
            return Err(texts::consumer_tag_reuse(&tag));
        }
        // The rest of the name is a secret known to those who were sent it.
        let name = server_generated(TOKEN_PREFIX);
        let address = self.broker.replies.add(name, &self.mailbox);
        self.open_channel(id)?.replies = Some(ReplyConsumer {
            tag: tag.as_str().into(),
            address,
        });
        if !consume.nowait {
            let ok = basic::ConsumeOk {
                consumer_tag: tag.as_str().into(),
            };
            self.reply(id, AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(ok)));
        }
        Ok(())
    }

    /// Cancels the reply consumer if the tag is its own; later replies are dropped.
    pub(super) fn cancel_replies(&mut self, id: ChannelId, tag: &str) -> Result<(), AmqpError> {
        let channel = self.open_channel(id)?;
        channel
            .replies
            .take_if(|replies| replies.tag.as_str() == tag);
        Ok(())
    }

    /// Handles queue.declare of the reply name or of an address: nothing is declared, but the
    /// answer says whether replies would arrive.
    pub(super) fn declare_replies(
        &mut self,
        id: ChannelId,
        declare: &queue::Declare,
    ) -> Result<(), AmqpError> {
        let name = declare.queue.as_str();
        if name != REPLY_TO && !self.broker.replies.leads_somewhere(name.as_bytes()) {
            return Err(texts::no_queue(name, self.vhost()?.name()));
        }
        let ok = queue::DeclareOk {
            queue: declare.queue.clone(),
            message_count: 0,
            consumer_count: 1,
        };
        let ok = AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok));
        self.reply_when_stored(id, (!declare.nowait).then_some(ok), false)
    }

    /// Returns a request's properties with `reply_to` replaced by the channel's address, or `None`
    /// if there is nothing to replace.
    pub(super) fn with_reply_address(
        &mut self,
        id: ChannelId,
        index: &PropertyIndex,
        properties: &[u8],
    ) -> Result<Option<Vec<u8>>, AmqpError> {
        let Some(range) = index.reply_to.clone() else {
            return Ok(None);
        };
        if properties[range.clone()] != *REPLY_TO.as_bytes() {
            return Ok(None);
        }
        let channel = self.open_channel(id)?;
        let Some(replies) = &channel.replies else {
            return Err(texts::no_reply_consumer());
        };
        let address = replies.address.name().as_bytes();
        let mut replaced = Vec::with_capacity(properties.len() + address.len());
        replaced.extend_from_slice(&properties[..range.start - 1]);
        replaced.push(address.len() as u8);
        replaced.extend_from_slice(address);
        replaced.extend_from_slice(&properties[range.end..]);
        Ok(Some(replaced))
    }

    /// Sends a message that was published to the default exchange to every reply address among its
    /// routing keys; `copies` are the keys beyond the first. Returns false if none leads anywhere.
    pub(super) fn send_replies(&self, message: &SharedMessage, copies: &[Box<[u8]>]) -> bool {
        self.broker.replies.send_to_all(message, copies)
    }

    /// Delivers a reply to the one of our channels that has its address.
    pub(super) fn deliver_reply(&mut self, reply: &Reply) {
        let (message, address) = (reply.message(), reply.address());
        let key = message.routing_key();
        let ours = |replies: &ReplyConsumer| replies.address.name().as_bytes() == address;
        let mut channels = self.channels.iter_mut();
        let Some(channel) = channels.find(|c| !c.closing && c.replies.as_ref().is_some_and(ours))
        else {
            return;
        };
        let (id, tag) = (channel.id, channel.take_tag());
        let Some(replies) = &channel.replies else {
            return;
        };
        let out = self.out.buffer();
        method::encode_deliver(out, id, replies.tag.as_str(), tag, false, b"", key);
        let (properties, body) = (message.properties(), message.body());
        let max = self.tuned.frame_max;
        self.out
            .content(id, properties, body, message.large_body(), max);
    }
}
