//! The frame splitter (spec 2.3.5, 4.2.3): finds complete frames in a read buffer without copying.
//!
//! ```text
//! 0      1         3             7                  size+7 size+8
//! +------+---------+-------------+  +------------+  +-----------+
//! | type | channel |     size    |  |  payload   |  | frame-end |
//! +------+---------+-------------+  +------------+  +-----------+
//! ```

use crate::content;
use crate::erlang::erlang_binary;
use crate::error::{AmqpError, ReplyCode};
use crate::names::ChannelId;

/// The length of what precedes the payload: type, channel and size.
pub const HEADER_LEN: usize = 7;
/// How many bytes a frame adds to its payload.
pub const OVERHEAD: usize = 8;
/// The length of the class and method numbers that begin the payload of a method frame.
const METHOD_ID_LEN: usize = 4;
/// The byte that ends every frame.
pub const FRAME_END: u8 = 0xCE;
/// The frame size that both peers must accept, before tuning and as the minimum afterwards (spec
/// 4.2.3).
pub const FRAME_MIN_SIZE: u32 = 4096;
/// RabbitMQ accepts payloads up to this much over the tuned size.
const SIZE_FUDGE: usize = OVERHEAD;

/// The eight bytes that open a connection, `AMQP` 0-0-9-1.
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// The protocol header of AMQP 0-9, whose clients RabbitMQ serves like those of 0-9-1.
pub const PROTOCOL_HEADER_0_9: [u8; 8] = *b"AMQP\x01\x01\x00\x09";

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameKind {
    /// A method.
    Method,
    /// A content header.
    Header,
    /// A piece of a content body.
    Body,
    /// A heartbeat.
    Heartbeat,
}

impl FrameKind {
    /// Returns the type byte.
    pub fn octet(self) -> u8 {
        match self {
            FrameKind::Method => 1,
            FrameKind::Header => 2,
            FrameKind::Body => 3,
            FrameKind::Heartbeat => 8,
        }
    }

    #[inline]
    pub(crate) fn from_octet(octet: u8) -> Option<Self> {
        match octet {
            1 => Some(FrameKind::Method),
            2 => Some(FrameKind::Header),
            3 => Some(FrameKind::Body),
            8 => Some(FrameKind::Heartbeat),
            _ => None,
        }
    }
}

/// A complete frame at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame {
    /// What it carries.
    pub kind: FrameKind,
    /// The channel it belongs to.
    pub channel: ChannelId,
    /// The size of the payload in bytes.
    pub size: usize,
}

impl Frame {
    /// Returns the range of the payload in the buffer.
    pub fn payload(self) -> std::ops::Range<usize> {
        HEADER_LEN..HEADER_LEN + self.size
    }

    /// Returns the size of the whole frame in bytes.
    pub fn total(self) -> usize {
        self.size + OVERHEAD
    }
}

/// What is at the front of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// A complete frame.
    Whole(Frame),
    /// An incomplete frame; a buffer of this many bytes in total is needed to continue.
    Need(usize),
}

/// Returns whether a payload of this many bytes is allowed.
#[inline]
pub(crate) fn fits(size: usize, frame_max: u32) -> bool {
    let total = size.saturating_add(OVERHEAD);
    frame_max == 0 || total <= (frame_max as usize).saturating_add(SIZE_FUDGE)
}

/// Finds a frame of at most `frame_max` bytes (0: no limit) at the front of `buf`.
///
/// # Errors
/// A hard `FRAME_ERROR` with RabbitMQ's text: for an unknown type, a payload over the limit
/// (detected from the header alone), or a wrong end byte.
pub fn split(buf: &[u8], frame_max: u32) -> Result<Split, AmqpError> {
    let Some((header, rest)) = buf.split_first_chunk::<HEADER_LEN>() else {
        return Ok(Split::Need(HEADER_LEN));
    };
    let [octet, c0, c1, s0, s1, s2, s3] = *header;
    let channel = ChannelId(u16::from_be_bytes([c0, c1]));
    let size = u32::from_be_bytes([s0, s1, s2, s3]) as usize;
    // Saturating: a peer's 32-bit length plus the overhead may exceed a 32-bit usize.
    let total = size.saturating_add(OVERHEAD);
    if !fits(size, frame_max) {
        let max = frame_max as usize - OVERHEAD;
        let reason = format!("{{frame_too_large,{size},{max}}}");
        return Err(frame_error(octet, &[], &reason));
    }
    let Some(kind) = FrameKind::from_octet(octet) else {
        // Does not wait for the payload: the peer does not speak AMQP, or is out of sync.
        return Err(frame_error(
            octet,
            &rest[..rest.len().min(size)],
            "unknown_frame",
        ));
    };
    match rest.get(size) {
        None => Ok(Split::Need(total)),
        Some(&FRAME_END) => Ok(Split::Whole(Frame {
            kind,
            channel,
            size,
        })),
        Some(&end) => {
            let reason = format!("{{invalid_frame_end_marker,{end}}}");
            Err(frame_error(octet, &rest[..size], &reason))
        }
    }
}

/// Checks that a payload fits its frame type: a method frame begins with two numbers, a content
/// header with its fixed part, and a heartbeat is empty (`rabbit_command_assembler:analyze_frame`).
///
/// # Errors
/// A hard `FRAME_ERROR` with RabbitMQ's text.
#[inline]
pub fn check_form(kind: FrameKind, payload: &[u8]) -> Result<(), AmqpError> {
    let holds = match kind {
        FrameKind::Method => payload.len() >= METHOD_ID_LEN,
        FrameKind::Header => payload.len() >= content::HEADER_LEN,
        FrameKind::Body => true,
        FrameKind::Heartbeat => payload.is_empty(),
    };
    holds
        .then_some(())
        .ok_or_else(|| unknown_frame(kind, payload))
}

/// Returns the error for a frame whose payload does not fit its type.
pub fn unknown_frame(kind: FrameKind, payload: &[u8]) -> AmqpError {
    frame_error(kind.octet(), payload, "unknown_frame")
}

/// Returns the error `FRAME_ERROR - type T, all|first 16 octets = <<…>>: reason`, worded as by
/// RabbitMQ.
pub(crate) fn frame_error(octet: u8, payload: &[u8], reason: &str) -> AmqpError {
    let text = format!("{}: {reason}", describe(octet, payload));
    AmqpError::connection(ReplyCode::FrameError, text)
}

/// Describes an unexpected frame: `type T, all|first 16 octets = <<…>>`.
pub fn describe(octet: u8, payload: &[u8]) -> String {
    let (what, shown) = match payload.get(..16) {
        Some(head) if payload.len() > 16 => ("first 16", head),
        _ => ("all", payload),
    };
    format!("type {octet}, {what} octets = {}", erlang_binary(shown))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encode(octet: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
        let mut out = vec![octet];
        out.extend_from_slice(&channel.to_be_bytes());
        out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
        out.extend_from_slice(payload);
        out.push(FRAME_END);
        out
    }

    #[test]
    fn a_wrong_end_octet_is_named() {
        let mut bytes = encode(1, 1, b"abc");
        *bytes.last_mut().unwrap() = 0;
        let error = split(&bytes, 4096).unwrap_err();
        assert_eq!(
            error.text,
            "FRAME_ERROR - type 1, all octets = <<\"abc\">>: {invalid_frame_end_marker,0}"
        );
    }

    #[test]
    fn an_oversized_frame_is_refused_from_its_header_alone() {
        let bytes = &encode(3, 1, &[0; 5000])[..HEADER_LEN];
        let error = split(bytes, 4096).unwrap_err();
        assert_eq!(
            error.text,
            "FRAME_ERROR - type 3, all octets = <<>>: {frame_too_large,5000,4088}"
        );
        assert!(
            split(&encode(3, 1, &[0; 4096]), 4096).is_ok(),
            "within RabbitMQ's fudge"
        );
    }

    #[test]
    fn a_payload_has_to_be_what_its_type_says() {
        for (kind, shortest) in [
            (FrameKind::Method, 4),
            (FrameKind::Header, 12),
            (FrameKind::Body, 0),
        ] {
            assert!(check_form(kind, &vec![0; shortest]).is_ok());
            assert!(check_form(kind, &[0; 100]).is_ok());
            if let Some(less) = shortest.checked_sub(1) {
                assert!(check_form(kind, &vec![0; less]).is_err());
            }
        }
        assert!(check_form(FrameKind::Heartbeat, b"").is_ok());
        assert_eq!(
            check_form(FrameKind::Heartbeat, b"hello").unwrap_err().text,
            "FRAME_ERROR - type 8, all octets = <<\"hello\">>: unknown_frame"
        );
    }

    #[test]
    fn without_a_limit_any_size_waits_for_its_octets() {
        let header = [3, 0, 1, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(
            split(&header, 0).unwrap(),
            Split::Need(u32::MAX as usize + OVERHEAD)
        );
    }

    proptest! {
        #[test]
        fn frames_come_out_as_they_went_in_however_the_stream_is_cut(
            frames in prop::collection::vec(
                (prop::sample::select(vec![1u8, 2, 3, 8]), any::<u16>(),
                 prop::collection::vec(any::<u8>(), 0..200)), 1..20),
            cut in 1usize..50,
        ) {
            let stream: Vec<u8> = frames.iter().flat_map(|(t, c, p)| encode(*t, *c, p)).collect();
            let mut buffer = Vec::new();
            let mut seen = Vec::new();
            for piece in stream.chunks(cut) {
                buffer.extend_from_slice(piece);
                loop {
                    match split(&buffer, 4096).unwrap() {
                        Split::Whole(frame) => {
                            seen.push((frame.kind.octet(), frame.channel.0,
                                       buffer[frame.payload()].to_vec()));
                            buffer.drain(..frame.total());
                        }
                        Split::Need(n) => {
                            prop_assert!(n > buffer.len());
                            break;
                        }
                    }
                }
            }
            prop_assert!(buffer.is_empty());
            prop_assert_eq!(seen, frames);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64), max in any::<u32>()) {
            let max = if max == 0 { 0 } else { max.max(FRAME_MIN_SIZE) };
            let _ = split(&bytes, max);
        }
    }
}
