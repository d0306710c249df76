//! Finds a publish that is complete in the read buffer: its three frames are found in one pass, and
//! no state is kept between them.

use crate::content::{CLASS_BASIC, ContentHeader, HEADER_LEN};
use crate::frame::{self, FRAME_END, Frame, FrameKind, HEADER_LEN as HEAD, OVERHEAD};
use crate::method::BASIC_PUBLISH;
use crate::names::ChannelId;
use std::ops::Range;

/// The parts of a publish, as ranges of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompletePublish {
    /// The channel.
    pub channel: ChannelId,
    /// The payload of the method frame: a basic.publish, not decoded yet.
    pub method: Range<usize>,
    /// The raw properties of the content header.
    pub properties: Range<usize>,
    /// The body, which is in one frame.
    pub body: Range<usize>,
    /// The total size of its frames in bytes.
    pub total: usize,
}

/// Finds a basic.publish at the front of `buf`, with its content header and its body in at most one
/// frame, each within `frame_max` bytes (0: no limit). Returns `None` if anything else is there,
/// including errors: reading frame by frame then reports them.
#[inline]
pub fn complete_publish(buf: &[u8], frame_max: u32) -> Option<CompletePublish> {
    if !begins_publish(buf) {
        return None;
    }
    let method = complete_frame(buf, 0, frame_max)?;
    let at = method.total();
    let header = complete_frame(buf, at, frame_max)?;
    if header.kind != FrameKind::Header || header.channel != method.channel {
        return None;
    }
    let payload = header.payload();
    let (start, end) = (at + payload.start, at + payload.end);
    let fixed = ContentHeader::decode(&buf[start..end])?;
    if fixed.class != CLASS_BASIC || fixed.weight != 0 {
        return None;
    }
    let mut found = CompletePublish {
        channel: method.channel,
        method: method.payload(),
        properties: start + HEADER_LEN..end,
        body: 0..0,
        total: at + header.total(),
    };
    if fixed.body_size > 0 {
        let at = found.total;
        let body = complete_frame(buf, at, frame_max)?;
        let all = body.size as u64 == fixed.body_size;
        if body.kind != FrameKind::Body || body.channel != method.channel || !all {
            return None;
        }
        let payload = body.payload();
        found.body = at + payload.start..at + payload.end;
        found.total = at + body.size + OVERHEAD;
    }
    Some(found)
}

/// Checks the few bytes that identify a publish, so that other frames are not examined twice.
#[inline]
fn begins_publish(buf: &[u8]) -> bool {
    let Some([kind, _, _, _, _, _, _, c0, c1, m0, m1]) = buf.first_chunk() else {
        return false;
    };
    const _: () = assert!(frame::HEADER_LEN == 7, "the method's numbers follow it");
    *kind == FrameKind::Method.octet()
        && u16::from_be_bytes([*c0, *c1]) == BASIC_PUBLISH.class
        && u16::from_be_bytes([*m0, *m1]) == BASIC_PUBLISH.method
}

/// Returns the complete frame at `at` if [`split`](crate::frame::split) would find one too. Errors
/// are left for `split` to report.
#[inline]
fn complete_frame(buf: &[u8], at: usize, frame_max: u32) -> Option<Frame> {
    let (header, rest) = buf.get(at..)?.split_first_chunk::<HEAD>()?;
    let [octet, c0, c1, s0, s1, s2, s3] = *header;
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    if *rest.get(size)? != FRAME_END || !frame::fits(size, frame_max) {
        return None;
    }
    Some(Frame {
        kind: FrameKind::from_octet(octet)?,
        channel: ChannelId(u16::from_be_bytes([c0, c1])),
        size,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classes::{AMQPClass, basic};
    use crate::frame::{Split, split};
    use crate::method::{Method, decode, encode, encode_body, encode_content_header};
    use bytes::BytesMut;
    use proptest::prelude::*;

    const CHANNEL: ChannelId = ChannelId(7);

    fn method_frame(out: &mut BytesMut) {
        let publish = basic::Publish {
            exchange: "x".into(),
            routing_key: "key".into(),
            mandatory: true,
            immediate: false,
        };
        let publish = AMQPClass::Basic(basic::AMQPMethod::Publish(publish));
        encode(out, CHANNEL, &publish);
    }

    fn published(body: &[u8]) -> BytesMut {
        let mut frames = BytesMut::new();
        method_frame(&mut frames);
        encode_content_header(&mut frames, CHANNEL, body.len() as u64, &[0, 0]);
        if !body.is_empty() {
            encode_body(&mut frames, CHANNEL, body);
        }
        frames
    }

    #[test]
    fn the_parts_of_a_whole_publish_are_found_and_of_a_shorter_one_none() {
        for body in [&b""[..], b"hello"] {
            let mut frames = published(body);
            let whole = frames.len();
            frames.extend_from_slice(b"what follows");
            let found = complete_publish(&frames, 4096).unwrap();
            assert_eq!(found.channel, CHANNEL);
            assert_eq!(&frames[found.properties], &[0, 0]);
            assert_eq!(&frames[found.body], body);
            assert_eq!(found.total, whole);
            let Ok(Method::Publish(publish)) = decode(&frames[found.method]) else {
                panic!("it is a publish");
            };
            assert_eq!(publish.exchange, b"x");
            assert_eq!(publish.routing_key, b"key");
            for end in 0..whole {
                assert_eq!(complete_publish(&frames[..end], 4096), None);
            }
        }
    }

    #[test]
    fn anything_unusual_is_left_alone() {
        let frames = published(b"hello");
        let found = complete_publish(&frames, 4096).unwrap();
        // Every byte matters except those of the properties, the body and the method's arguments;
        // the channel must be the same in all three frames, so any of its bytes matters too.
        let arguments = found.method.start + 4..found.method.end;
        for at in 0..frames.len() {
            let free = [&found.properties, &found.body, &arguments];
            if free.iter().any(|range| range.contains(&at)) {
                continue;
            }
            let mut wrong = frames.to_vec();
            wrong[at] ^= 0x40;
            assert_eq!(complete_publish(&wrong, 4096), None, "octet {at}");
        }
    }

    #[test]
    fn a_body_in_two_frames_is_left_alone() {
        let mut frames = BytesMut::new();
        method_frame(&mut frames);
        encode_content_header(&mut frames, CHANNEL, 10, &[0, 0]);
        encode_body(&mut frames, CHANNEL, b"hello");
        encode_body(&mut frames, CHANNEL, b"again");
        assert_eq!(complete_publish(&frames, 4096), None);
    }

    proptest! {
        #[test]
        fn a_frame_is_whole_where_the_splitter_says_so(
            octet in 0u8..10,
            size in 0u32..40,
            end in prop_oneof![Just(FRAME_END), any::<u8>()],
            len in 0usize..60,
            max in prop_oneof![Just(0), 4096u32..4100, Just(u32::MAX)],
            large in any::<bool>(),
        ) {
            let size = if large { size + 4080 } else { size };
            let mut buf = vec![octet, 0, 1];
            buf.extend_from_slice(&size.to_be_bytes());
            buf.resize(buf.len() + size as usize, 7);
            buf.push(end);
            buf.truncate(if large { buf.len() } else { len });
            let frame = match split(&buf, max) {
                Ok(Split::Whole(frame)) => Some(frame),
                Ok(Split::Need(_)) | Err(_) => None,
            };
            prop_assert_eq!(complete_frame(&buf, 0, max), frame);
        }
    }
}
