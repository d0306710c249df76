//! The stored form of a stream's message, with the time of its arrival.

use super::filter::Filter;
use super::header;
use crate::engine::message::{Message, Parts, SharedMessage};
use bytes::{BufMut, Bytes};
use leveret_storage::{QueueId, Storable};
use std::sync::Arc;

/// Bytes of the time before the message.
const TIME: usize = 8;

/// A message on its way into the log.
#[derive(Debug)]
pub struct Record {
    /// When it arrived: milliseconds since the epoch.
    pub time: u64,
    /// The message.
    pub message: SharedMessage,
}

/// A message read from the store.
#[derive(Debug)]
pub struct Stored {
    /// When it arrived: milliseconds since the epoch.
    pub time: u64,
    bytes: Bytes,
}

impl Record {
    /// Returns the bytes it takes in the log.
    pub fn bytes(&self) -> usize {
        TIME + self.message.encoded_len()
    }

    /// Returns the bytes it takes in memory.
    pub fn weight(&self) -> usize {
        2 * size_of::<usize>() + size_of::<Self>() + self.message.weight() as usize
    }

    /// Returns the message to deliver, if it passes the consumer's filter.
    pub fn deliverable(&self, offset: u64, filter: &Filter) -> Option<SharedMessage> {
        let properties = self.message.properties();
        if !filter.passes(properties) {
            return None;
        }
        let properties = header::with_offset(properties, offset);
        Some(Arc::new(self.message.with_properties(&properties, false)))
    }
}

impl Stored {
    /// Returns `None` if it is too short to be a record.
    pub fn new(mut bytes: Bytes) -> Option<Stored> {
        let time = u64::from_be_bytes(*bytes.first_chunk()?);
        let bytes = bytes.split_off(TIME);
        Some(Stored { time, bytes })
    }

    /// Returns the message to deliver, if it passes the consumer's filter.
    ///
    /// # Errors
    /// It does not decode although its checksum held: a newer version wrote it.
    pub fn deliverable(
        &self,
        offset: u64,
        filter: &Filter,
    ) -> Result<Option<SharedMessage>, Undecodable> {
        let parts = Parts::of(&self.bytes).ok_or(Undecodable)?;
        let properties = &self.bytes[parts.properties.clone()];
        if !filter.passes(properties) {
            return Ok(None);
        }
        let properties = header::with_offset(properties, offset);
        let message = Message::from_parts(&self.bytes, &parts, &properties).ok_or(Undecodable)?;
        Ok(Some(Arc::new(message)))
    }
}

/// A stored record that does not decode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Undecodable;

/// Always written: no acknowledgement cancels it.
impl Storable for Record {
    fn begin_write(&self, _queue: QueueId) -> bool {
        true
    }

    fn cancel_write(&self) -> bool {
        false
    }

    fn encoded_len(&self) -> usize {
        self.bytes()
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.put_u64(self.time);
        self.message.encode(out);
    }

    fn encode_or_share(&self, out: &mut Vec<u8>) -> Option<Bytes> {
        out.put_u64(self.time);
        self.message.encode_or_share(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::message::MessageBuilder;

    #[test]
    fn what_is_kept_is_delivered_alike_from_memory_and_from_disk() {
        for size in [0, 10, 5000] {
            let body = vec![7; size];
            let mut builder = MessageBuilder::new(b"x", b"k", &[0, 0], false, size as u64);
            builder.push(&body).unwrap();
            let record = Record {
                time: 77,
                message: Arc::new(builder.finish(true)),
            };
            let mut bytes = Vec::new();
            record.encode(&mut bytes);
            assert_eq!(bytes.len(), record.encoded_len());
            let stored = Stored::new(bytes.into()).unwrap();
            assert_eq!(stored.time, 77);
            let filter = Filter::default();
            let from_disk = stored.deliverable(9, &filter).unwrap().unwrap();
            let from_memory = record.deliverable(9, &filter).unwrap();
            for message in [from_disk, from_memory] {
                assert_eq!(message.exchange(), b"x");
                assert_eq!(message.routing_key(), b"k");
                assert_eq!(message.properties(), header::with_offset(&[0, 0], 9));
                assert_eq!(message.body(), body);
            }
        }
    }

    #[test]
    fn what_is_no_record_is_found_out() {
        assert!(Stored::new(Bytes::from_static(b"1234567")).is_none());
        let stored = Stored::new(Bytes::from_static(b"12345678zzz")).unwrap();
        assert_eq!(
            stored.deliverable(0, &Filter::default()).err(),
            Some(Undecodable)
        );
    }
}
