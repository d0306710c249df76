//! A publish that stands whole in the read buffer and goes where the one before it went.
//!
//! Publishers repeat themselves: their basic.publish frames are the same octets over and over. Such a frame is compared
//! instead of decoded, and content header and body are found in the same pass.

use crate::content::{CLASS_BASIC, ContentHeader, HEADER_LEN};
use crate::frame::{Frame, FrameKind, OVERHEAD, Split, split};
use crate::method::BASIC_PUBLISH;
use crate::names::ChannelId;
use std::ops::Range;

/// Where the parts of a publish stand in the buffer that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepeatedPublish {
    /// Its channel.
    pub channel: ChannelId,
    /// The raw properties of its content header.
    pub properties: Range<usize>,
    /// Its body, which is in one frame.
    pub body: Range<usize>,
    /// Octets of all its frames.
    pub total: usize,
}

/// Writes the payload of a `basic.publish` as clients do, into the memory of `out`, for [`repeated_publish`]. Exchange and
/// key have 255 octets at most.
pub fn publish_payload(out: &mut Vec<u8>, exchange: &[u8], routing_key: &[u8], mandatory: bool) {
    out.clear();
    out.extend_from_slice(&BASIC_PUBLISH.class.to_be_bytes());
    out.extend_from_slice(&BASIC_PUBLISH.method.to_be_bytes());
    out.extend_from_slice(&[0, 0, exchange.len() as u8]);
    out.extend_from_slice(exchange);
    out.push(routing_key.len() as u8);
    out.extend_from_slice(routing_key);
    out.push(u8::from(mandatory));
}

/// Looks at the front of `buf` for a publish whose method frame has just this payload, with its content header and a body
/// in at most one frame, each within `frame_max` octets (0: no limit). `None` when that is not what stands there, for
/// whatever reason: reading it frame by frame tells.
pub fn repeated_publish(buf: &[u8], payload: &[u8], frame_max: u32) -> Option<RepeatedPublish> {
    let method = whole(buf, 0, frame_max)?;
    let same = method.kind == FrameKind::Method && method.size == payload.len();
    if !same || buf[method.payload()] != *payload {
        return None;
    }
    let at = method.total();
    let header = whole(buf, at, frame_max)?;
    if header.kind != FrameKind::Header || header.channel != method.channel {
        return None;
    }
    let place = header.payload();
    let (start, end) = (at + place.start, at + place.end);
    let fixed = ContentHeader::decode(&buf[start..end])?;
    if fixed.class != CLASS_BASIC || fixed.weight != 0 {
        return None;
    }
    let properties = start + HEADER_LEN..end;
    let at = at + header.total();
    if fixed.body_size == 0 {
        return Some(RepeatedPublish {
            channel: method.channel,
            properties,
            body: at..at,
            total: at,
        });
    }
    let body = whole(buf, at, frame_max)?;
    let all = body.size as u64 == fixed.body_size;
    if body.kind != FrameKind::Body || body.channel != method.channel || !all {
        return None;
    }
    let place = body.payload();
    Some(RepeatedPublish {
        channel: method.channel,
        properties,
        body: at + place.start..at + place.end,
        total: at + body.size + OVERHEAD,
    })
}

#[inline]
fn whole(buf: &[u8], at: usize, frame_max: u32) -> Option<Frame> {
    match split(buf.get(at..)?, frame_max) {
        Ok(Split::Whole(frame)) => Some(frame),
        Ok(Split::Need(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::FRAME_END;
    use crate::method::{Method, decode, encode_body, encode_content_header};
    use bytes::{BufMut, BytesMut};

    const CHANNEL: ChannelId = ChannelId(7);

    fn method_frame(out: &mut BytesMut, payload: &[u8]) {
        out.put_u8(FrameKind::Method.octet());
        out.put_u16(CHANNEL.0);
        out.put_u32(payload.len() as u32);
        out.put_slice(payload);
        out.put_u8(FRAME_END);
    }

    fn published(body: &[u8]) -> (Vec<u8>, BytesMut) {
        let mut payload = Vec::new();
        publish_payload(&mut payload, b"x", b"key", true);
        let mut frames = BytesMut::new();
        method_frame(&mut frames, &payload);
        encode_content_header(&mut frames, CHANNEL, body.len() as u64, &[0, 0]);
        if !body.is_empty() {
            encode_body(&mut frames, CHANNEL, body);
        }
        (payload, frames)
    }

    #[test]
    fn the_parts_of_a_whole_publish_are_found_and_of_a_shorter_one_none() {
        for body in [&b""[..], b"hello"] {
            let (payload, mut frames) = published(body);
            let whole = frames.len();
            frames.extend_from_slice(b"what follows");
            let found = repeated_publish(&frames, &payload, 4096).unwrap();
            assert_eq!(found.channel, CHANNEL);
            assert_eq!(&frames[found.properties], &[0, 0]);
            assert_eq!(&frames[found.body], body);
            assert_eq!(found.total, whole);
            for end in 0..whole {
                assert_eq!(repeated_publish(&frames[..end], &payload, 4096), None);
            }
        }
    }

    #[test]
    fn the_payload_is_the_one_that_clients_write() {
        let (payload, _) = published(b"");
        let Ok(Method::Publish(publish)) = decode(&payload) else {
            panic!("{payload:?}");
        };
        assert_eq!(
            (publish.exchange, publish.routing_key),
            (&b"x"[..], &b"key"[..])
        );
        assert!(publish.mandatory && !publish.immediate);
    }

    #[test]
    fn anything_unusual_is_left_alone() {
        let (payload, frames) = published(b"hello");
        // Any octet but those of the channel in all three frames, the properties and the body decides; the channel has to
        // be the same, so any one of its octets does too.
        let found = repeated_publish(&frames, &payload, 4096).unwrap();
        let mut other = payload.clone();
        *other.last_mut().unwrap() ^= 1;
        assert_eq!(repeated_publish(&frames, &other, 4096), None);
        for at in 0..frames.len() {
            if found.properties.contains(&at) || found.body.contains(&at) {
                continue;
            }
            let mut wrong = frames.to_vec();
            wrong[at] ^= 0x40;
            assert_eq!(repeated_publish(&wrong, &payload, 4096), None, "octet {at}");
        }
    }

    #[test]
    fn a_body_in_two_frames_is_left_alone() {
        let (payload, mut frames) = published(b"");
        frames.clear();
        method_frame(&mut frames, &payload);
        encode_content_header(&mut frames, CHANNEL, 10, &[0, 0]);
        encode_body(&mut frames, CHANNEL, b"hello");
        encode_body(&mut frames, CHANNEL, b"again");
        assert_eq!(repeated_publish(&frames, &payload, 4096), None);
    }
}
