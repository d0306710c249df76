//! Building frames by hand, right or wrong ones.

use amq_protocol::frame::{AMQPFrame, WriteContext, gen_frame};

/// The protocol header of AMQP 0-9-1 (spec 4.2.2).
pub const HEADER: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// The octet that ends a frame (spec 4.2.3).
const FRAME_END: u8 = 0xCE;

/// A whole frame: type, channel, size, payload, end octet.
pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = u32::try_from(payload.len()).expect("a payload under 4 GiB");
    let mut bytes = vec![kind];
    bytes.extend(channel.to_be_bytes());
    bytes.extend(size.to_be_bytes());
    bytes.extend(payload);
    bytes.push(FRAME_END);
    bytes
}

/// A method frame from class, method and encoded arguments.
pub fn method(channel: u16, class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(4 + arguments.len());
    payload.extend(class.to_be_bytes());
    payload.extend(method.to_be_bytes());
    payload.extend(arguments);
    frame(1, channel, &payload)
}

/// A transient message without properties to a queue, in frames of 128 KiB at most.
pub fn publish_bytes(channel: u16, queue: &str, mandatory: bool, body: &[u8]) -> Vec<u8> {
    let mut arguments = vec![0, 0];
    arguments.extend(short_string(""));
    arguments.extend(short_string(queue));
    arguments.push(mandatory.into());
    let mut bytes = method(channel, 60, 40, &arguments);
    let mut header = vec![0, 60, 0, 0];
    header.extend((body.len() as u64).to_be_bytes());
    header.extend([0, 0]);
    bytes.extend(frame(2, channel, &header));
    for piece in body.chunks(131_072 - 8) {
        bytes.extend(frame(3, channel, piece));
    }
    bytes
}

/// A short string: one octet of length, then the bytes.
pub fn short_string(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short string");
    let mut bytes = vec![length];
    bytes.extend(text.as_bytes());
    bytes
}

/// connection.start-ok for PLAIN with these client properties (an encoded table).
pub fn login(user: &str, password: &str, properties: &[u8]) -> Vec<u8> {
    let response = format!("\0{user}\0{password}");
    let mut arguments = properties.to_vec();
    arguments.extend(short_string("PLAIN"));
    arguments.extend(
        u32::try_from(response.len())
            .expect("a short response")
            .to_be_bytes(),
    );
    arguments.extend(response.as_bytes());
    arguments.extend(short_string("en_US"));
    method(0, 10, 11, &arguments)
}

/// Encodes a frame.
pub fn encode(frame: &AMQPFrame) -> Vec<u8> {
    let written =
        gen_frame(frame)(WriteContext::from(Vec::new())).expect("a frame that can be encoded");
    written.into_inner().0
}

/// Splits whole frames off the front of `bytes`: payloads as (type, channel, payload).
pub fn split_frames(bytes: &[u8]) -> Vec<(u8, u16, Vec<u8>)> {
    let mut frames = Vec::new();
    let mut rest = bytes;
    while rest.len() >= 8 {
        let size = u32::from_be_bytes([rest[3], rest[4], rest[5], rest[6]]) as usize;
        if rest.len() < size + 8 {
            break;
        }
        let channel = u16::from_be_bytes([rest[1], rest[2]]);
        frames.push((rest[0], channel, rest[7..7 + size].to_vec()));
        rest = &rest[size + 8..];
    }
    frames
}

/// An encoded table from its encoded fields.
pub fn table(fields: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(fields.len())
        .expect("a small table")
        .to_be_bytes()
        .to_vec();
    bytes.extend(fields);
    bytes
}

/// Client properties of a client that wants to be told why its login fails, and of cancelled
/// consumers: an encoded table.
pub fn closing_properties() -> Vec<u8> {
    let mut capabilities = Vec::new();
    for name in ["authentication_failure_close", "consumer_cancel_notify"] {
        capabilities.extend(short_string(name));
        capabilities.extend(b"t\x01");
    }
    let mut fields = short_string("capabilities");
    fields.push(b'F');
    fields.extend(table(&capabilities));
    table(&fields)
}
