//! The stored form of a message that expires, with the wall clock time of its expiry. Other
//! messages are stored as they are.

use crate::engine::clock::{Clock, Time};
use crate::engine::message::{Message, Parts, SharedMessage};
use bytes::{Buf, BufMut, Bytes};
use leveret_storage::{QueueId, Storable};
use std::sync::Arc;

/// The first byte; [`Message`] uses others.
const ENCODING: u8 = 2;
/// Bytes before the message: encoding, expiry.
const OVERHEAD: usize = 9;

/// The record that is handed to the store.
struct Expiring {
    message: SharedMessage,
    expiry: Time,
    clock: Clock,
}

/// Returns the record for a message.
pub(super) fn storable(
    message: SharedMessage,
    expiry: Option<Time>,
    clock: Clock,
) -> Arc<dyn Storable> {
    match expiry {
        None => message,
        Some(expiry) => Arc::new(Expiring {
            message,
            expiry,
            clock,
        }),
    }
}

impl Storable for Expiring {
    fn begin_write(&self, queue: QueueId) -> bool {
        self.message.begin_write(queue)
    }

    fn cancel_write(&self) -> bool {
        self.message.cancel_write()
    }

    fn encoded_len(&self) -> usize {
        OVERHEAD + self.message.encoded_len()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_head(out);
        self.message.encode(out);
    }

    fn encode_or_share(&self, out: &mut Vec<u8>) -> Option<Bytes> {
        self.encode_head(out);
        self.message.encode_or_share(out)
    }
}

impl Expiring {
    fn encode_head(&self, out: &mut Vec<u8>) {
        out.put_u8(ENCODING);
        out.put_u64(self.clock.wall_millis(self.expiry));
    }
}

/// Decodes a stored message, and its expiry in milliseconds since the epoch if it has one. Returns
/// `None` if it is malformed.
pub fn decode(mut stored: Bytes) -> Option<(Message, Option<u64>)> {
    if stored.first() != Some(&ENCODING) {
        return Some((Message::decode(stored)?, None));
    }
    stored.advance(1);
    let expiry = stored.try_get_u64().ok()?;
    Some((Message::decode(stored)?, Some(expiry)))
}

/// Returns the bytes of a stored message's body; 0 if it is malformed. The store adds them up for queues' limits.
pub fn body_bytes(stored: &[u8]) -> u64 {
    let message = match stored.first() {
        Some(&ENCODING) => stored.get(OVERHEAD..).unwrap_or_default(),
        _ => stored,
    };
    Parts::of(message).map_or(0, |parts| (message.len() - parts.properties.end) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;
    use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

    #[test]
    fn the_end_of_a_message_is_kept_by_the_wall_clock_and_only_where_there_is_one() {
        let mut builder = MessageBuilder::new(b"x", b"key", &[0, 0], true, 4);
        builder.push(b"body").unwrap();
        let message = Arc::new(builder.finish(true));
        let clock = Clock::start();
        let encoded = |expiry| {
            let mut out = Vec::new();
            let storable = storable(message.clone(), expiry, clock);
            storable.encode(&mut out);
            assert_eq!(out.len(), storable.encoded_len());
            out
        };
        let mut plain = Vec::new();
        message.encode(&mut plain);
        assert_eq!(encoded(None), plain);
        assert_eq!(body_bytes(&plain), 4);
        assert_eq!(body_bytes(&plain[..4]), 0);
        assert_eq!(decode(plain.into()).unwrap().1, None);
        let expiry = clock.time(Instant::now()) + Duration::from_secs(60);
        let stored = encoded(Some(expiry));
        assert_eq!(body_bytes(&stored), 4);
        let (back, millis) = decode(Bytes::copy_from_slice(&stored)).unwrap();
        assert_eq!(back.routing_key(), b"key");
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let ahead = u128::from(millis.unwrap()) - wall.as_millis();
        assert!((50_000..=61_000).contains(&ahead), "{ahead}");
        // A body has no length of its own.
        for end in 0..stored.len() - b"body".len() {
            assert!(decode(Bytes::copy_from_slice(&stored[..end])).is_none());
        }
    }

    #[test]
    fn the_write_of_a_message_that_expires_is_called_off_as_any_other() {
        let message = MessageBuilder::new(b"x", b"", &[0, 0], true, 0).finish(true);
        let message = Arc::new(message);
        let stored = storable(message.clone(), Some(Time::from_millis(1)), Clock::start());
        assert!(message.cancel_write());
        assert!(!stored.begin_write(QueueId(1)) && !stored.cancel_write());
    }
}
