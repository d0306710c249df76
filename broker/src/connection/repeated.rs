//! A publish that goes where the one before it went, taken in one pass: nothing is decoded, looked
//! up or kept between its frames. Whatever is unusual about it is left to the slow road, which
//! takes the same frames one by one.

use super::channel::{Channel, Content};
use super::publish::RUN_MAX;
use super::{Connection, Phase};
use crate::message::MessageBuilder;
use bytes::{Buf, BytesMut};
use leveret_protocol::content::PropertyIndex;
use leveret_protocol::repeated::{RepeatedPublish, repeated_publish};
use std::sync::Arc;

impl Connection {
    /// Takes such a publish from the front of `buf`. `false`: there is none, or it is not one to be
    /// taken like this, and nothing has changed.
    #[inline]
    pub(super) fn publish_again(&mut self, buf: &mut BytesMut) -> bool {
        let repeated = self.route.repeated();
        if repeated.is_empty() {
            return false;
        }
        match repeated_publish(buf, repeated, self.tuned.frame_max) {
            Some(found) => self.take_repeated(&found, buf).is_some(),
            None => false,
        }
    }

    /// `None`: it is not usual, and was not taken.
    fn take_repeated(&mut self, found: &RepeatedPublish, buf: &mut BytesMut) -> Option<()> {
        let id = found.channel;
        let persistent = usual(&buf[found.properties.clone()])?;
        self.may_repeat(found)?;
        self.route.names()?;
        let storing = self.storing(self.route.queues(), &[], persistent);
        let token = self.count_confirm(id, storing).ok()?;
        self.has_published = true;
        self.has_stored |= storing > 0;
        let properties = &buf[found.properties.clone()];
        let (exchange, key) = self.route.names()?;
        let body = found.body.clone();
        let (exchange, size) = (exchange.as_slice(), body.len() as u64);
        let mut builder = MessageBuilder::new(exchange, key, properties, persistent, size);
        let pushed = if builder.keeps_frames() {
            let mut frames = buf.split_to(found.total);
            frames.advance(body.start);
            builder.push_frame(frames.split_to(body.len()).freeze())
        } else {
            let pushed = builder.push(&buf[body]);
            buf.advance(found.total);
            pushed
        };
        debug_assert!(pushed.is_ok(), "the body is as long as announced");
        let same = Arc::ptr_eq(self.route.queues(), &self.run.queues);
        if !same || self.run.messages.len() >= RUN_MAX {
            self.flush_publishes();
        }
        if !same {
            self.run.queues = self.route.queues().clone();
        }
        let message = Arc::new(builder.finish(storing == 1));
        self.run.messages.push((message, token));
        // As many frames.
        self.effort += 3;
        Some(())
    }

    /// Whether nothing has changed since the one before, and nothing stands in the way.
    fn may_repeat(&self, found: &RepeatedPublish) -> Option<()> {
        let login = self.login.as_ref()?;
        let channel: &Channel = self
            .channels
            .get(usize::from(found.channel.0))?
            .as_deref()?;
        let current = self.route.generation == login.vhost.generation()
            && self.route.users_generation == self.broker.users.generation();
        let free = channel.held.is_none()
            && !channel.closing
            && channel.transaction.is_none()
            && matches!(channel.content, Content::Method);
        let takes = self.phase == Phase::Running
            && self.alarms.is_empty()
            && found.body.len() as u64 <= self.broker.limits.max_message_size;
        (current && free && takes).then_some(())
    }
}

/// Whether the message is persistent; `None` when its properties are not to be taken as they are:
/// malformed ones, and those that the broker acts upon.
fn usual(properties: &[u8]) -> Option<bool> {
    match *properties {
        [0, 0] => return Some(false),
        [0x10, 0, mode] => return Some(mode == 2),
        _ => {}
    }
    let index = PropertyIndex::scan(properties)?;
    let acted_upon = index.headers.is_some()
        || index.reply_to.is_some()
        || index.expiration.is_some()
        || index.user_id.is_some();
    (!acted_upon).then_some(index.persistent())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_that_are_acted_upon_are_not_usual() {
        // The flag, and what stands behind it.
        let with = |bit: u16, value: &[u8]| [&(1u16 << bit).to_be_bytes(), value].concat();
        assert_eq!(usual(&[0, 0]), Some(false));
        assert_eq!(usual(&with(12, &[1])), Some(false));
        assert_eq!(usual(&with(12, &[2])), Some(true));
        assert_eq!(usual(&with(15, b"\x04text")), Some(false));
        assert_eq!(usual(&with(13, &[0, 0, 0, 0])), None);
        assert_eq!(usual(&with(9, b"\x04text")), None);
        assert_eq!(usual(&with(8, b"\x041000")), None);
        assert_eq!(usual(&with(4, b"\x04user")), None);
        assert_eq!(usual(&with(15, b"\x05text")), None);
        assert_eq!(usual(&[0]), None);
    }
}
