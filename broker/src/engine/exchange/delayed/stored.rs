//! The stored form of a delayed message, with the wall clock time at which it is due.

use super::DelayedMessage;
use crate::engine::clock::{Clock, Time};
use crate::engine::message::Message;
use bytes::{Buf, BufMut, Bytes};
use leveret_storage::{QueueId, Storable};
use std::sync::Arc;

/// The first byte; raised when the encoding changes.
const ENCODING: u8 = 1;

/// The record that is handed to the store.
pub(super) struct Stored {
    due: Time,
    delayed: DelayedMessage,
    clock: Clock,
}

impl Stored {
    pub(super) fn new(due: Time, delayed: DelayedMessage, clock: Clock) -> Self {
        Stored {
            due,
            delayed,
            clock,
        }
    }
}

impl Storable for Stored {
    /// Always written: if a message is released before this is written, its queues' records follow
    /// this one, and its publisher is confirmed by this one.
    fn begin_write(&self, _queue: QueueId) -> bool {
        true
    }

    fn cancel_write(&self) -> bool {
        false
    }

    fn encoded_len(&self) -> usize {
        let keys = self.delayed.more_keys.iter().map(|key| 4 + key.len());
        // encoding, due time, number of keys
        13 + keys.sum::<usize>() + self.delayed.message.encoded_len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_head(out);
        self.delayed.message.encode(out);
    }

    fn encode_or_share(&self, out: &mut Vec<u8>) -> Option<Bytes> {
        self.encode_head(out);
        self.delayed.message.encode_or_share(out)
    }
}

impl Stored {
    fn encode_head(&self, out: &mut Vec<u8>) {
        out.put_u8(ENCODING);
        out.put_u64(self.clock.wall_millis(self.due));
        out.put_u32(self.delayed.more_keys.len() as u32);
        for key in &self.delayed.more_keys {
            out.put_u32(key.len() as u32);
            out.put_slice(key);
        }
    }
}

/// Decodes a stored message: the due time in milliseconds since the epoch, and the message. Returns
/// `None` if it is malformed.
pub(super) fn decode(mut stored: Bytes) -> Option<(u64, DelayedMessage)> {
    if stored.try_get_u8().ok()? != ENCODING {
        return None;
    }
    let due = stored.try_get_u64().ok()?;
    let mut more_keys = Vec::new();
    for _ in 0..stored.try_get_u32().ok()? {
        let len = stored.try_get_u32().ok()? as usize;
        more_keys.push(stored.get(..len)?.into());
        stored.advance(len);
    }
    let delayed = DelayedMessage {
        message: Arc::new(Message::decode(stored)?),
        more_keys: more_keys.into(),
    };
    Some((due, delayed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    #[test]
    fn what_is_stored_reads_back_and_what_is_cut_does_not() {
        let mut builder = MessageBuilder::new(b"x", b"key", &[0, 0], true, 4);
        builder.push(b"body").unwrap();
        let delayed = DelayedMessage {
            message: Arc::new(builder.finish(true)),
            more_keys: vec![b"cc".as_slice().into(), vec![7; 300].into()].into(),
        };
        let clock = Clock::start();
        let due = clock.time(Instant::now()) + Duration::from_secs(3600);
        let stored = Stored::new(due, delayed.clone(), clock);
        let mut bytes = Vec::new();
        stored.encode(&mut bytes);
        assert_eq!(bytes.len(), stored.encoded_len());
        let (millis, back) = decode(Bytes::copy_from_slice(&bytes)).unwrap();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let ahead = u128::from(millis) - wall.as_millis();
        assert!((3_590_000..=3_601_000).contains(&ahead), "{ahead}");
        assert_eq!(back.more_keys, delayed.more_keys);
        assert_eq!(back.message.body(), b"body");
        assert_eq!(back.message.routing_key(), b"key");
        for end in 0..bytes.len() - b"body".len() {
            assert!(decode(Bytes::copy_from_slice(&bytes[..end])).is_none());
        }
    }
}
