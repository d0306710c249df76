//! Turns the frames of deliveries into those of publishes, without waiting for the end of a message: a message of any size
//! needs no more memory than a frame of it.

use bytes::BytesMut;
use leveret_protocol::content::{ContentHeader, HEADER_LEN};
use leveret_protocol::frame::OVERHEAD;
use leveret_protocol::{ChannelId, method, raw_table};

/// The channel of everything.
pub(super) const CHANNEL: ChannelId = ChannelId(1);
/// The header of messages that the source marks redelivered.
const REDELIVERED: &[u8] = b"x-shovel-redelivered";
/// The header of messages from streams.
const STREAM_OFFSET: &str = "x-stream-offset";
/// The flags of properties, in the first byte.
const CONTENT_TYPE: u8 = 0x80;
const CONTENT_ENCODING: u8 = 0x40;
const HEADERS: u8 = 0x20;

/// A message that has been relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Relayed {
    /// Its delivery tag.
    pub(super) tag: u64,
    /// The size of its body in bytes.
    pub(super) size: u64,
    pub(super) redelivered: bool,
}

/// Why a message cannot be relayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// It is like those of streams.
    OfStream,
    /// Its properties have this many bytes, more than the destination accepts.
    Properties(usize),
    /// The source has not sent what AMQP wants.
    OutOfOrder,
}

/// Relays deliveries.
#[derive(Debug)]
pub(super) struct Relay {
    /// The exchange to publish to.
    exchange: String,
    /// The largest frame that the destination accepts.
    frame_max: usize,
    /// Messages of streams are refused.
    refuses_streams: bool,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Between,
    /// The header comes next.
    Delivered(Relayed),
    /// This many bytes of the body come next.
    Body(Relayed, u64),
}

impl Relay {
    pub(super) fn new(exchange: String, frame_max: u32, refuses_streams: bool) -> Self {
        Relay {
            exchange,
            frame_max: frame_max as usize,
            refuses_streams,
            state: State::Between,
        }
    }

    /// Returns whether a message has begun and not ended.
    pub(super) fn is_within_message(&self) -> bool {
        !matches!(self.state, State::Between)
    }

    /// Takes basic.deliver, given the payload of its frame.
    pub(super) fn deliver(&mut self, payload: &[u8], out: &mut BytesMut) -> Result<(), Unfit> {
        if self.is_within_message() {
            return Err(Unfit::OutOfOrder);
        }
        let (tag, redelivered, routing_key) = delivery(payload).ok_or(Unfit::OutOfOrder)?;
        method::encode_mandatory_publish(out, CHANNEL, self.exchange.as_bytes(), routing_key);
        self.state = State::Delivered(Relayed {
            tag,
            size: 0,
            redelivered,
        });
        Ok(())
    }

    /// Takes a content header. Returns the message if it has no body.
    pub(super) fn header(
        &mut self,
        payload: &[u8],
        out: &mut BytesMut,
    ) -> Result<Option<Relayed>, Unfit> {
        let State::Delivered(mut relayed) = self.state else {
            return Err(Unfit::OutOfOrder);
        };
        let header = ContentHeader::decode(payload).ok_or(Unfit::OutOfOrder)?;
        let properties = &payload[HEADER_LEN..];
        if self.refuses_streams && has_header(properties, STREAM_OFFSET) {
            return Err(Unfit::OfStream);
        }
        self.refuses_streams = false;
        let marked;
        let properties = match relayed.redelivered {
            true => {
                marked = marked_redelivered(properties);
                marked.as_deref().unwrap_or(properties)
            }
            false => properties,
        };
        if HEADER_LEN + properties.len() + OVERHEAD > self.frame_max {
            return Err(Unfit::Properties(properties.len()));
        }
        method::encode_content_header(out, CHANNEL, header.body_size, properties);
        relayed.size = header.body_size;
        Ok(self.after(relayed, header.body_size))
    }

    /// Takes a part of a body. Returns the message if this was the last one.
    pub(super) fn body(
        &mut self,
        payload: &[u8],
        out: &mut BytesMut,
    ) -> Result<Option<Relayed>, Unfit> {
        let State::Body(relayed, missing) = self.state else {
            return Err(Unfit::OutOfOrder);
        };
        let missing = missing
            .checked_sub(payload.len() as u64)
            .ok_or(Unfit::OutOfOrder)?;
        for piece in payload.chunks(self.frame_max - OVERHEAD) {
            method::encode_body(out, CHANNEL, piece);
        }
        Ok(self.after(relayed, missing))
    }

    fn after(&mut self, relayed: Relayed, missing: u64) -> Option<Relayed> {
        let is_complete = missing == 0;
        self.state = match is_complete {
            true => State::Between,
            false => State::Body(relayed, missing),
        };
        is_complete.then_some(relayed)
    }
}

/// Returns the delivery tag, whether the message is redelivered, and the routing key.
fn delivery(payload: &[u8]) -> Option<(u64, bool, &[u8])> {
    let (_, rest) = short_string(payload.get(4..)?)?;
    let (tag, rest) = rest.split_first_chunk::<8>()?;
    let (redelivered, rest) = rest.split_first()?;
    let (_, rest) = short_string(rest)?;
    let (routing_key, _) = short_string(rest)?;
    Some((u64::from_be_bytes(*tag), redelivered & 1 != 0, routing_key))
}

fn short_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(len))
}

/// Returns where the headers begin, or would, and their table with its length if there is one. Returns `None` if the
/// properties are malformed: they are left as they are, for the destination to judge.
fn headers(properties: &[u8]) -> Option<(usize, Option<&[u8]>)> {
    let flags = *properties.first()?;
    let mut rest = properties.get(2..)?;
    for flag in [CONTENT_TYPE, CONTENT_ENCODING] {
        if flags & flag != 0 {
            (_, rest) = short_string(rest)?;
        }
    }
    let at = properties.len() - rest.len();
    if flags & HEADERS == 0 {
        return Some((at, None));
    }
    let len = u32::from_be_bytes(*rest.first_chunk()?) as usize;
    Some((at, Some(rest.get(..len.checked_add(4)?)?)))
}

fn has_header(properties: &[u8], name: &str) -> bool {
    let table = headers(properties).and_then(|(_, table)| table);
    table.is_some_and(|table| raw_table::find(table, name).is_some())
}

/// Returns properties with the header that says that the message is redelivered, everything else as it was. Returns `None`
/// if they have it already.
fn marked_redelivered(properties: &[u8]) -> Option<Vec<u8>> {
    let (at, table) = headers(properties)?;
    let table = table.unwrap_or_default();
    let is_true = |kind, bytes: &[u8]| kind == b't' && bytes.last().is_some_and(|&byte| byte != 0);
    let is_mark = |entry: &raw_table::RawEntry<'_>| entry.name == REDELIVERED;
    let mut marks = raw_table::entries(table).filter(is_mark).peekable();
    let others: Vec<u8>;
    let mut entries = table.get(4..).unwrap_or_default();
    if marks.peek().is_some() {
        if marks.all(|mark| is_true(mark.value.kind, mark.value.bytes)) {
            return None;
        }
        // Another value, from whoever published it, would hide the mark.
        others = raw_table::entries(table)
            .filter(|entry| !is_mark(entry))
            .flat_map(|entry| entry.bytes.iter().copied())
            .collect();
        entries = &others;
    }
    let mut mark = vec![REDELIVERED.len() as u8];
    mark.extend_from_slice(REDELIVERED);
    // The boolean true.
    mark.extend_from_slice(b"t\x01");
    // A frame holds both.
    let len = (entries.len() + mark.len()) as u32;
    let mut marked = Vec::with_capacity(properties.len() + 4 + mark.len());
    marked.push(properties[0] | HEADERS);
    marked.extend_from_slice(&properties[1..at]);
    marked.extend(len.to_be_bytes());
    marked.extend_from_slice(entries);
    marked.extend_from_slice(&mark);
    marked.extend_from_slice(&properties[at + table.len()..]);
    Some(marked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::classes::BasicProperties;
    use leveret_protocol::content::{Property, property};
    use leveret_protocol::method::properties_to_vec;
    use leveret_protocol::values::{AMQPValue, FieldTable};
    use leveret_protocol::{DeliveryTag, table};
    use proptest::prelude::*;

    fn relay(frame_max: u32) -> Relay {
        Relay::new("x".to_owned(), frame_max, true)
    }

    #[test]
    fn a_mark_is_added_to_any_properties_and_changes_nothing_else() {
        let mut table = FieldTable::default();
        table.insert("a".into(), AMQPValue::LongInt(5));
        let plain = BasicProperties::default()
            .with_content_type("text/plain".into())
            .with_delivery_mode(2)
            .with_cluster_id("c".into());
        for properties in [
            BasicProperties::default(),
            plain.clone(),
            plain
                .with_content_encoding("gzip".into())
                .with_headers(table.clone()),
        ] {
            let before = properties.headers().clone().unwrap_or_default();
            let marked = marked_redelivered(&properties_to_vec(&properties)).expect("marked");
            let headers = property(&marked, Property::Headers).expect("headers");
            let mut headers = table::decode(headers).expect("a table").inner().clone();
            let mark = headers.remove("x-shovel-redelivered");
            assert_eq!(mark, Some(AMQPValue::Boolean(true)));
            assert_eq!(&headers, before.inner());
            assert_eq!(marked_redelivered(&marked), None);
            let mut with_another = before.clone();
            with_another.insert("x-shovel-redelivered".into(), AMQPValue::LongInt(0));
            let other = properties.clone().with_headers(with_another);
            let other = marked_redelivered(&properties_to_vec(&other)).expect("replaced");
            let expected = property(&marked, Property::Headers).expect("headers");
            let replaced = property(&other, Property::Headers).expect("headers");
            assert_eq!(
                table::decode(replaced).expect("a table"),
                table::decode(expected).expect("a table")
            );
        }
    }

    #[test]
    fn a_message_of_a_stream_is_refused_if_it_is_the_first() {
        let mut table = FieldTable::default();
        table.insert("x-stream-offset".into(), AMQPValue::LongLongInt(0));
        let properties = BasicProperties::default().with_headers(table);
        let mut header = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        header.extend(properties_to_vec(&properties));
        let (mut relay, mut out) = (relay(4096), BytesMut::new());
        let delivery = b"\0\x3c\0\x3c\x01c\0\0\0\0\0\0\0\x07\0\0\x01k";
        relay.deliver(delivery, &mut out).expect("a delivery");
        assert_eq!(relay.header(&header, &mut out), Err(Unfit::OfStream));
    }

    proptest! {
        #[test]
        fn frames_of_any_kind_are_relayed_or_refused(
            frames in prop::collection::vec((0..3u8, prop::collection::vec(any::<u8>(), 0..60)), 0..20),
        ) {
            let (mut relay, mut out) = (relay(4096), BytesMut::new());
            for (kind, payload) in frames {
                let _ = match kind {
                    0 => relay.deliver(&payload, &mut out).map(|()| None),
                    1 => relay.header(&payload, &mut out),
                    _ => relay.body(&payload, &mut out),
                };
            }
        }

        #[test]
        fn a_message_arrives_as_it_was(
            body in prop::collection::vec(any::<u8>(), 0..20_000),
            pieces in 1..9000usize,
            frame_max in 4096..9000u32,
            key in "[a-z.é]{0,60}",
            tag in 1..u64::MAX,
        ) {
            let mut wanted = BytesMut::new();
            let properties = properties_to_vec(&BasicProperties::default().with_priority(3));
            method::encode_mandatory_publish(&mut wanted, CHANNEL, b"x", key.as_bytes());
            method::encode_content_header(&mut wanted, CHANNEL, body.len() as u64, &properties);
            let mut delivered = BytesMut::new();
            method::encode_deliver(
                &mut delivered, CHANNEL, "c", DeliveryTag(tag), false, b"from", key.as_bytes(),
            );
            let mut header = vec![0, 60, 0, 0];
            header.extend((body.len() as u64).to_be_bytes());
            header.extend(&properties);
            let (mut relay, mut out) = (relay(frame_max), BytesMut::new());
            let whole = 7..delivered.len() - 1;
            relay.deliver(&delivered[whole], &mut out).expect("a delivery");
            let mut done = relay.header(&header, &mut out).expect("a header");
            prop_assert_eq!(&out[..], &wanted[..]);
            let start = out.len();
            for piece in body.chunks(pieces) {
                prop_assert_eq!(done, None);
                done = relay.body(piece, &mut out).expect("a body");
            }
            let size = body.len() as u64;
            prop_assert_eq!(done, Some(Relayed { tag, size, redelivered: false }));
            let (mut rest, mut arrived) = (&out[start..], Vec::new());
            while !rest.is_empty() {
                let split = leveret_protocol::frame::split(rest, frame_max).expect("a frame");
                let leveret_protocol::frame::Split::Whole(frame) = split else {
                    panic!("half a frame");
                };
                prop_assert!(frame.total() <= frame_max as usize);
                arrived.extend_from_slice(&rest[frame.payload()]);
                rest = &rest[frame.total()..];
            }
            prop_assert_eq!(arrived, body);
        }
    }
}
