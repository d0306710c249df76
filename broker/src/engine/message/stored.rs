//! The stored form of a message: encoding and decoding.

use super::{Message, MessageBuilder, WriteState};
use bytes::{BufMut, Bytes};
use leveret_protocol::content::{Property, property};
use leveret_storage::{QueueId, Storable};
use std::ops::Range;

/// Bodies of at least this many bytes are passed to the store uncopied: it writes such a body to its log from there, if
/// it is large enough for a system call of its own, and only once if several queues have it.
const SHARED_BODY_MIN: usize = 8 << 10;

/// The first byte of a stored message; raised when the encoding changes. (2 is used by
/// `queue/stored.rs`.)
const ENCODING: u8 = 1;
/// The first byte of a stored message that is a dead letter.
const ENCODING_OF_LETTER: u8 = 3;

/// The `delivery_mode` of persistent messages.
const PERSISTENT: u8 = 2;

/// The positions of the parts of a stored message; the body follows the properties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parts {
    /// The exchange's name.
    pub exchange: Range<usize>,
    /// The routing key.
    pub routing_key: Range<usize>,
    /// The raw properties.
    pub properties: Range<usize>,
    /// See [`Message::is_letter`].
    pub is_letter: bool,
}

impl Parts {
    /// Finds the parts in the output of [`Storable::encode`]. Returns `None` if it is malformed.
    pub fn of(stored: &[u8]) -> Option<Parts> {
        let mut at = 0;
        let mut take = |n: usize| {
            let range = at..at + n;
            at += n;
            stored.get(range.clone()).map(|_| range)
        };
        let is_letter = match stored[take(1)?] {
            [ENCODING] => false,
            [ENCODING_OF_LETTER] => true,
            _ => return None,
        };
        let len = usize::from(stored[take(1)?][0]);
        let exchange = take(len)?;
        let len = usize::from(stored[take(1)?][0]);
        let routing_key = take(len)?;
        let len = u32::from_be_bytes(stored[take(4)?].try_into().ok()?);
        let properties = take(len as usize)?;
        Some(Parts {
            exchange,
            routing_key,
            properties,
            is_letter,
        })
    }
}

impl Storable for Message {
    fn begin_write(&self, _queue: QueueId) -> bool {
        self.swap_write(WriteState::Pending, WriteState::Claimed) || self.is_claimed()
    }

    fn cancel_write(&self) -> bool {
        Message::cancel_write(self)
    }

    fn encoded_len(&self) -> usize {
        // encoding, exchange length, routing key length, properties length
        7 + self.head.len() + self.large_body.as_ref().map_or(0, |body| body.len())
    }

    fn encode(&self, out: &mut Vec<u8>) {
        self.encode_head(out);
        out.put_slice(self.body());
    }

    fn encode_or_share(&self, out: &mut Vec<u8>) -> Option<Bytes> {
        self.encode_head(out);
        if let Some(body) = self
            .large_body()
            .filter(|body| body.len() >= SHARED_BODY_MIN)
        {
            return Some(body.clone());
        }
        out.put_slice(self.body());
        None
    }
}

impl Message {
    /// Decodes the output of [`Storable::encode`]. Returns `None` if it is malformed.
    pub fn decode(stored: Bytes) -> Option<Message> {
        let parts = Parts::of(&stored)?;
        Message::from_parts(&stored, &parts, &stored[parts.properties.clone()])
    }

    /// Builds a stored message with these properties in place of its own.
    pub fn from_parts(stored: &Bytes, parts: &Parts, properties: &[u8]) -> Option<Message> {
        let body = parts.properties.end..stored.len();
        let persistent = property(properties, Property::DeliveryMode) == Some(&[PERSISTENT]);
        let mut builder = MessageBuilder::new(
            &stored[parts.exchange.clone()],
            &stored[parts.routing_key.clone()],
            properties,
            persistent,
            body.len() as u64,
        );
        // A slice keeps all that was read: a body beside large headers, which are copied, would take their room twice.
        let body = match body.start > stored.len() / 8 {
            true => Bytes::copy_from_slice(&stored[body]),
            false => stored.slice(body),
        };
        builder.push_frame(body).ok()?;
        let message = builder.finish(false);
        Some(match parts.is_letter {
            true => message.into_letter(),
            false => message,
        })
    }

    /// Appends everything that precedes the body in the encoded message.
    pub fn encode_head(&self, out: &mut Vec<u8>) {
        out.put_u8(match self.is_letter() {
            true => ENCODING_OF_LETTER,
            false => ENCODING,
        });
        out.put_u8(self.exchange_len);
        out.put_slice(self.exchange());
        out.put_u8(self.routing_key_len);
        out.put_slice(self.routing_key());
        out.put_u32(self.properties_len);
        out.put_slice(self.properties());
    }
}
