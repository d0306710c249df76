//! Methods (spec 1.3): those sent once per message are encoded and decoded by hand, all others by
//! `amq-protocol`.

use crate::classes::{AMQPClass, BasicProperties, basic, gen_class, parse_class};
use crate::content::{CLASS_BASIC, HEADER_LEN as CONTENT_HEADER_LEN};
use crate::erlang::erlang_bytes;
use crate::error::{AmqpError, MethodId, ReplyCode};
use crate::frame::{self, FRAME_END, FrameKind, OVERHEAD};
use crate::names::{ChannelId, DeliveryTag};
use crate::table::{self, to_vec};
use bytes::{BufMut, BytesMut};

mod ids;
pub use ids::*;

/// A method from a peer.
#[derive(Clone, Debug, PartialEq)]
pub enum Method<'a> {
    /// `basic.publish`.
    Publish(Publish<'a>),
    /// `basic.ack`.
    Ack {
        /// The delivery tag.
        tag: DeliveryTag,
        /// Whether it covers all deliveries up to and including this one.
        multiple: bool,
    },
    /// `basic.nack`, RabbitMQ's extension of reject.
    Nack {
        /// The delivery tag.
        tag: DeliveryTag,
        /// Whether it covers all deliveries up to and including this one.
        multiple: bool,
        /// Whether to requeue instead of dropping or dead-lettering.
        requeue: bool,
    },
    /// `basic.reject`.
    Reject {
        /// The delivery tag.
        tag: DeliveryTag,
        /// Whether to requeue instead of dropping or dead-lettering.
        requeue: bool,
    },
    /// `basic.qos`; decoded by hand because amq-protocol leaves out its prefetch size.
    Qos(Qos),
    /// Every other method.
    Other(AMQPClass),
}

/// `basic.qos`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Qos {
    /// The prefetch size in bytes, which RabbitMQ does not implement either.
    pub prefetch_size: u32,
    /// The number of deliveries; 0 for no limit.
    pub prefetch_count: u16,
    /// Whether it applies to the whole channel.
    pub global: bool,
}

/// `basic.publish`, borrowed from the read buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// The exchange's name.
    pub exchange: &'a [u8],
    /// The routing key.
    pub routing_key: &'a [u8],
    /// Whether to return the message if no queue takes it.
    pub mandatory: bool,
    /// Whether to return the message if no consumer takes it at once.
    pub immediate: bool,
}

impl Method<'_> {
    /// Returns the method's numbers.
    pub fn id(&self) -> MethodId {
        match self {
            Method::Publish(_) => BASIC_PUBLISH,
            Method::Ack { .. } => BASIC_ACK,
            Method::Nack { .. } => BASIC_NACK,
            Method::Reject { .. } => BASIC_REJECT,
            Method::Qos(_) => BASIC_QOS,
            Method::Other(class) => class_id(class),
        }
    }
}

/// Returns the numbers of a decoded method.
pub fn class_id(class: &AMQPClass) -> MethodId {
    MethodId::new(class.get_amqp_class_id(), class.get_amqp_method_id())
}

/// Reads the numbers that begin the payload of a method frame.
pub fn peek_id(payload: &[u8]) -> Option<MethodId> {
    let [c0, c1, m0, m1] = *payload.first_chunk()?;
    Some(MethodId::new(
        u16::from_be_bytes([c0, c1]),
        u16::from_be_bytes([m0, m1]),
    ))
}

/// Decodes the payload of a method frame.
///
/// # Errors
/// Hard errors: `FRAME_ERROR` for arguments that cannot be decoded, `COMMAND_INVALID` for an
/// unknown method.
pub fn decode(payload: &[u8]) -> Result<Method<'_>, AmqpError> {
    let Some(id) = peek_id(payload) else {
        return Err(frame::unknown_frame(FrameKind::Method, payload));
    };
    let args = &payload[4..];
    let hot = match id {
        BASIC_PUBLISH => decode_publish(args).map(Method::Publish),
        BASIC_ACK => tag_and_bits(args).map(|(tag, bits)| Method::Ack {
            tag,
            multiple: bits & 1 != 0,
        }),
        BASIC_NACK => tag_and_bits(args).map(|(tag, bits)| Method::Nack {
            tag,
            multiple: bits & 1 != 0,
            requeue: bits & 2 != 0,
        }),
        BASIC_REJECT => tag_and_bits(args).map(|(tag, bits)| Method::Reject {
            tag,
            requeue: bits & 1 != 0,
        }),
        BASIC_QOS => decode_qos(args).map(Method::Qos),
        _ => return decode_other(id, payload),
    };
    hot.ok_or_else(|| malformed(payload))
}

fn decode_publish(args: &[u8]) -> Option<Publish<'_>> {
    let (_ticket, rest) = args.split_first_chunk::<2>()?;
    let (exchange, rest) = short_string(rest)?;
    let (routing_key, rest) = short_string(rest)?;
    let &[bits] = rest else { return None };
    Some(Publish {
        exchange,
        routing_key,
        mandatory: bits & 1 != 0,
        immediate: bits & 2 != 0,
    })
}

fn decode_qos(args: &[u8]) -> Option<Qos> {
    let &[s0, s1, s2, s3, c0, c1, bits] = args else {
        return None;
    };
    Some(Qos {
        prefetch_size: u32::from_be_bytes([s0, s1, s2, s3]),
        prefetch_count: u16::from_be_bytes([c0, c1]),
        global: bits & 1 != 0,
    })
}

fn tag_and_bits(args: &[u8]) -> Option<(DeliveryTag, u8)> {
    let (tag, rest) = args.split_first_chunk::<8>()?;
    let &[bits] = rest else { return None };
    Some((DeliveryTag(u64::from_be_bytes(*tag)), bits))
}

fn short_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&len, rest) = bytes.split_first()?;
    rest.split_at_checked(usize::from(len))
}

fn decode_other(id: MethodId, payload: &[u8]) -> Result<Method<'static>, AmqpError> {
    if let Some(at) = table_offset(id, payload) {
        let bytes = payload.get(at..).unwrap_or_default();
        table::check(bytes).map_err(|_| malformed(payload))?;
    }
    match parse_class(payload) {
        Ok(([], class)) => Ok(Method::Other(class)),
        Ok(_) => Err(malformed(payload)),
        Err(_) if is_known(id) => Err(malformed(payload)),
        Err(_) => Err(AmqpError::connection(
            ReplyCode::CommandInvalid,
            format_args!("unknown method {{{},{}}}", id.class, id.method),
        )),
    }
}

/// Returns the error for arguments that cannot be decoded. RabbitMQ calls it a frame error, not a
/// syntax error.
fn malformed(payload: &[u8]) -> AmqpError {
    // Short strings are the only text in a method, and the only part that may be malformed although
    // its length is right.
    if has_malformed_text(payload) {
        return AmqpError::connection(ReplyCode::FrameError, "Malformed UTF-8 in shortstr");
    }
    let arguments = payload.get(4..).unwrap_or_default();
    let error = AmqpError::connection(
        ReplyCode::FrameError,
        format_args!("cannot decode {}", erlang_bytes(arguments)),
    );
    error.caused_by(peek_id(payload).unwrap_or_default())
}

/// Returns whether one of the short strings that begin the arguments is not UTF-8.
fn has_malformed_text(payload: &[u8]) -> bool {
    let Some((before, strings, _)) = peek_id(payload).and_then(layout) else {
        return false;
    };
    let mut rest = payload.get(before..).unwrap_or_default();
    for _ in 0..strings {
        let Some((text, after)) = short_string(rest) else {
            return false;
        };
        if std::str::from_utf8(text).is_err() {
            return true;
        }
        rest = after;
    }
    false
}

/// Returns the layout of the client methods that begin with short strings or carry a table: the
/// number of bytes before the strings, the number of strings, and the number of bytes between them
/// and the table.
fn layout(id: MethodId) -> Option<(usize, usize, usize)> {
    Some(match id {
        // Only servers send it, but other peers may try.
        CONNECTION_START => (6, 0, 0),
        CONNECTION_START_OK => (4, 0, 0),
        CONNECTION_OPEN => (4, 1, 0),
        EXCHANGE_DECLARE | BASIC_CONSUME => (6, 2, 1),
        EXCHANGE_BIND | EXCHANGE_UNBIND | QUEUE_BIND => (6, 3, 1),
        EXCHANGE_DELETE | QUEUE_DELETE | QUEUE_PURGE | BASIC_GET => (6, 1, 1),
        QUEUE_DECLARE => (6, 1, 1),
        QUEUE_UNBIND => (6, 3, 0),
        BASIC_CANCEL => (4, 1, 1),
        _ => return None,
    })
}

fn carries_table(id: MethodId) -> bool {
    matches!(
        id,
        CONNECTION_START
            | CONNECTION_START_OK
            | EXCHANGE_DECLARE
            | EXCHANGE_BIND
            | EXCHANGE_UNBIND
            | QUEUE_DECLARE
            | QUEUE_BIND
            | QUEUE_UNBIND
            | BASIC_CONSUME
    )
}

/// Returns the offset of the field table in a method's payload, for methods that carry one. Returns
/// `None` also if the strings before it are truncated, since decoding fails anyway then.
fn table_offset(id: MethodId, payload: &[u8]) -> Option<usize> {
    let (before, strings, after) = layout(id).filter(|_| carries_table(id))?;
    let mut at = before;
    for _ in 0..strings {
        at += 1 + usize::from(*payload.get(at)?);
    }
    Some(at + after)
}

/// Writes a method frame for any method that has no function of its own.
pub fn encode(out: &mut BytesMut, channel: ChannelId, class: &AMQPClass) {
    let at = begin(out, FrameKind::Method, channel);
    out.put_slice(&to_vec(gen_class(class)));
    finish(out, at);
}

/// Starts a frame and returns where it begins.
fn begin(out: &mut BytesMut, kind: FrameKind, channel: ChannelId) -> usize {
    let at = out.len();
    out.put_u8(kind.octet());
    out.put_u16(channel.0);
    out.put_u32(0);
    at
}

/// Ends the frame that began at `at`: fills in its size and adds the end byte.
fn finish(out: &mut BytesMut, at: usize) {
    let size = (out.len() - at + 1 - OVERHEAD) as u32;
    out[at + 3..at + 7].copy_from_slice(&size.to_be_bytes());
    out.put_u8(FRAME_END);
}

fn put_id(out: &mut BytesMut, id: MethodId) {
    out.put_u16(id.class);
    out.put_u16(id.method);
}

/// Writes a short string. All strings passed here arrived as short strings.
fn put_short(out: &mut BytesMut, string: &[u8]) {
    let len = string.len().min(255);
    out.put_u8(len as u8);
    out.put_slice(&string[..len]);
}

/// Writes `basic.publish` for a message that is to be returned if no queue takes it.
pub fn encode_mandatory_publish(
    out: &mut BytesMut,
    channel: ChannelId,
    exchange: &[u8],
    routing_key: &[u8],
) {
    const MANDATORY: u8 = 1;
    out.reserve(OVERHEAD + 16 + exchange.len() + routing_key.len());
    let at = begin(out, FrameKind::Method, channel);
    put_id(out, BASIC_PUBLISH);
    out.put_u16(0);
    put_short(out, exchange);
    put_short(out, routing_key);
    out.put_u8(MANDATORY);
    finish(out, at);
}

/// Writes `basic.deliver`.
pub fn encode_deliver(
    out: &mut BytesMut,
    channel: ChannelId,
    consumer_tag: &str,
    tag: DeliveryTag,
    redelivered: bool,
    exchange: &[u8],
    routing_key: &[u8],
) {
    out.reserve(OVERHEAD + 16 + consumer_tag.len() + exchange.len() + routing_key.len());
    let at = begin(out, FrameKind::Method, channel);
    put_id(out, BASIC_DELIVER);
    put_short(out, consumer_tag.as_bytes());
    out.put_u64(tag.0);
    out.put_u8(u8::from(redelivered));
    put_short(out, exchange);
    put_short(out, routing_key);
    finish(out, at);
}

/// Writes `basic.get-ok`; `message_count` is the number of messages left in the queue.
pub fn encode_get_ok(
    out: &mut BytesMut,
    channel: ChannelId,
    tag: DeliveryTag,
    redelivered: bool,
    exchange: &[u8],
    routing_key: &[u8],
    message_count: u32,
) {
    let at = begin(out, FrameKind::Method, channel);
    put_id(out, BASIC_GET_OK);
    out.put_u64(tag.0);
    out.put_u8(u8::from(redelivered));
    put_short(out, exchange);
    put_short(out, routing_key);
    out.put_u32(message_count);
    finish(out, at);
}

/// Writes `basic.return`.
pub fn encode_return(
    out: &mut BytesMut,
    channel: ChannelId,
    code: ReplyCode,
    exchange: &[u8],
    routing_key: &[u8],
) {
    let at = begin(out, FrameKind::Method, channel);
    put_id(out, BASIC_RETURN);
    out.put_u16(code.code());
    put_short(out, code.name().as_bytes());
    put_short(out, exchange);
    put_short(out, routing_key);
    finish(out, at);
}

/// Writes `basic.ack`, a publisher confirm.
pub fn encode_ack(out: &mut BytesMut, channel: ChannelId, tag: DeliveryTag, multiple: bool) {
    let at = begin(out, FrameKind::Method, channel);
    put_id(out, BASIC_ACK);
    out.put_u64(tag.0);
    out.put_u8(u8::from(multiple));
    finish(out, at);
}

/// Writes `basic.nack` to a publisher. `requeue` means nothing there; RabbitMQ leaves it at its
/// default.
pub fn encode_nack(out: &mut BytesMut, channel: ChannelId, tag: DeliveryTag, multiple: bool) {
    const REQUEUE: u8 = 2;
    let at = begin(out, FrameKind::Method, channel);
    put_id(out, BASIC_NACK);
    out.put_u64(tag.0);
    out.put_u8(REQUEUE | u8::from(multiple));
    finish(out, at);
}

/// Writes a content header frame with raw properties.
pub fn encode_content_header(
    out: &mut BytesMut,
    channel: ChannelId,
    body_size: u64,
    properties: &[u8],
) {
    out.reserve(OVERHEAD + CONTENT_HEADER_LEN + properties.len());
    let at = begin(out, FrameKind::Header, channel);
    out.put_u16(CLASS_BASIC);
    out.put_u16(0);
    out.put_u64(body_size);
    out.put_slice(properties);
    finish(out, at);
}

/// Writes a body frame; `piece` must fit one frame.
pub fn encode_body(out: &mut BytesMut, channel: ChannelId, piece: &[u8]) {
    out.reserve(OVERHEAD + piece.len());
    encode_body_start(out, channel, piece.len());
    out.put_slice(piece);
    out.put_u8(FRAME_END);
}

/// Writes the part of a body frame before the payload, for bodies that are sent without copying;
/// the caller adds the payload and [`FRAME_END`].
pub fn encode_body_start(out: &mut BytesMut, channel: ChannelId, len: usize) {
    out.put_u8(FrameKind::Body.octet());
    out.put_u16(channel.0);
    out.put_u32(len as u32);
}

/// Writes a heartbeat frame.
pub fn encode_heartbeat(out: &mut BytesMut) {
    let at = begin(out, FrameKind::Heartbeat, ChannelId::CONNECTION);
    finish(out, at);
}

/// Encodes properties, for messages that the broker creates itself.
pub fn properties_to_vec(properties: &BasicProperties) -> Vec<u8> {
    to_vec(basic::gen_properties(properties))
}

#[cfg(test)]
mod tests;
