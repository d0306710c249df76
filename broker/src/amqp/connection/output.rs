//! The output of a connection: small frames are copied into one buffer, large bodies stay in shared
//! memory between them and are written by vectored writes.

use bytes::{Buf, Bytes, BytesMut};
use leveret_protocol::frame::{FRAME_END, OVERHEAD};
use leveret_protocol::{ChannelId, method};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Body pieces of at least this many bytes are not copied.
const UNCOPIED_MIN: usize = 8 * 1024;
/// A buffer that has grown beyond this is freed when it has been written.
const KEPT_CAPACITY: usize = 256 * 1024;

/// A connection's output.
#[derive(Debug, Default)]
pub struct Output {
    chunks: VecDeque<Bytes>,
    tail: BytesMut,
    chunked: usize,
}

impl Output {
    /// Returns the number of bytes to write.
    pub fn len(&self) -> usize {
        self.chunked + self.tail.len()
    }

    /// Returns the approximate memory it uses, in bytes.
    pub fn memory(&self) -> u64 {
        (self.chunked + self.tail.capacity()) as u64
    }

    /// Returns whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the buffer that frames are encoded into.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.tail
    }

    /// Writes a content header and the body in frames of at most `frame_max` bytes (0: no limit).
    pub fn content(
        &mut self,
        channel: ChannelId,
        properties: &[u8],
        body: &[u8],
        shared_body: Option<&Bytes>,
        frame_max: u32,
    ) {
        method::encode_content_header(&mut self.tail, channel, body.len() as u64, properties);
        let piece_max = match frame_max {
            0 => u32::MAX as usize - OVERHEAD,
            max => max as usize - OVERHEAD,
        };
        let mut at = 0;
        while at < body.len() {
            let end = body.len().min(at + piece_max);
            match shared_body.filter(|_| end - at >= UNCOPIED_MIN) {
                Some(shared) => {
                    method::encode_body_start(&mut self.tail, channel, end - at);
                    self.chunk(shared.slice(at..end));
                    self.tail.extend_from_slice(&[FRAME_END]);
                }
                None => method::encode_body(&mut self.tail, channel, &body[at..end]),
            }
            at = end;
        }
    }

    fn chunk(&mut self, bytes: Bytes) {
        if !self.tail.is_empty() {
            let head = self.tail.split().freeze();
            self.chunked += head.len();
            self.chunks.push_back(head);
        }
        self.chunked += bytes.len();
        self.chunks.push_back(bytes);
    }

    /// Frees the memory of empty buffers.
    pub fn release_memory(&mut self) {
        if self.is_empty() {
            *self = Output::default();
        }
    }

    /// Fills `slices` with the first pieces to write; returns how many it filled.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces = self
            .chunks
            .iter()
            .map(|chunk| &chunk[..])
            .chain([&self.tail[..]]);
        let mut filled = 0;
        for (slot, piece) in slices
            .iter_mut()
            .zip(pieces.filter(|piece| !piece.is_empty()))
        {
            *slot = IoSlice::new(piece);
            filled += 1;
        }
        filled
    }

    /// Removes the first `written` bytes, which have been sent.
    pub fn advance(&mut self, mut written: usize) {
        while let Some(chunk) = self.chunks.front_mut() {
            if written < chunk.len() {
                chunk.advance(written);
                self.chunked -= written;
                return;
            }
            written -= chunk.len();
            self.chunked -= chunk.len();
            self.chunks.pop_front();
        }
        self.tail.advance(written);
        if self.tail.is_empty() {
            if self.tail.capacity() > KEPT_CAPACITY {
                self.tail = BytesMut::new();
            } else {
                self.tail.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn drain(output: &mut Output, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 4];
            let filled = output.slices(&mut slices);
            // No more than a step is looked at: steps may be single bytes.
            let before = all.len();
            let front = slices[..filled].iter().flat_map(|slice| slice.iter());
            all.extend(front.take(step));
            output.advance(all.len() - before);
        }
        all
    }

    proptest! {
        #[test]
        fn shared_and_copied_bodies_are_the_same_on_the_wire(
            sizes in prop::collection::vec(0usize..40_000, 1..5),
            frame_max in prop::sample::select(vec![0u32, 4096, 131_072]),
            step in 1usize..9000,
        ) {
            let (mut shared, mut copied) = (Output::default(), Output::default());
            for size in sizes {
                let body = Bytes::from(vec![b'x'; size]);
                shared.content(ChannelId(1), &[0, 0], &body, Some(&body), frame_max);
                copied.content(ChannelId(1), &[0, 0], &body, None, frame_max);
            }
            prop_assert_eq!(shared.len(), copied.len());
            prop_assert_eq!(drain(&mut shared, step), drain(&mut copied, 1 << 20));
        }
    }
}
