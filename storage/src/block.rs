//! The bytes of a commit. Records are encoded one after the other, but the tail of a large message is not copied: it is
//! written from the memory that it shares with other holders of the message. A large message published to several
//! queues is stored once.

use std::{collections::HashMap, ops::Range};

use bytes::Bytes;

/// The length of a block's header: magic, number of records, payload length, checksum.
pub(crate) const BLOCK_HEADER: usize = 20;

/// A message tail below this size is copied into the block: a separate write would cost more.
const COPY_BELOW: usize = 64 << 10;

/// How many messages with the same tail but different heads are remembered.
const MAX_VARIANTS: usize = 4;

/// A large message in the block.
#[derive(Debug)]
struct Written {
    /// Where its record starts in the block.
    at: u64,
    /// Where its head is in the encoded bytes.
    head: Range<usize>,
    /// Its tail. Holding it keeps its memory from being reused while the block is built.
    _tail: Bytes,
}

/// A commit's bytes, starting with the header.
#[derive(Debug, Default)]
pub(crate) struct Block {
    encoded: Vec<u8>,
    /// Shared tails, each with the offset in the encoded bytes before which it belongs.
    shared: Vec<(usize, Bytes)>,
    shared_len: usize,
    /// Large messages, by the address and length of their tails.
    written: HashMap<(usize, usize), Vec<Written>>,
}

impl Block {
    /// Empties the block and frees its buffer if that is larger than `keep` bytes.
    pub(crate) fn clear(&mut self, keep: usize) {
        self.encoded.clear();
        if self.encoded.capacity() > keep {
            self.encoded = Vec::new();
        }
        self.shared.clear();
        self.shared_len = 0;
        self.written.clear();
    }

    /// Reserves space for the header if the block is empty.
    pub(crate) fn begin(&mut self) {
        if self.encoded.is_empty() {
            self.encoded.resize(BLOCK_HEADER, 0);
        }
    }

    /// Returns the length of the block in bytes.
    pub(crate) fn len(&self) -> usize {
        self.encoded.len() + self.shared_len
    }

    /// Returns the buffer that records are appended to.
    pub(crate) fn encoded(&mut self) -> &mut Vec<u8> {
        &mut self.encoded
    }

    /// Returns where the record of the same message starts, if the block has one: its tail is the same memory, and its
    /// head equals the bytes encoded from `head` on.
    pub(crate) fn find(&self, head: usize, tail: &Bytes) -> Option<u64> {
        let variants = self.written.get(&address(tail))?;
        let same = |of: &&Written| self.encoded[of.head.clone()] == self.encoded[head..];
        variants.iter().find(same).map(|of| of.at)
    }

    /// Remembers the message just encoded from `head` on, whose record starts at `at`.
    pub(crate) fn remember(&mut self, at: u64, head: usize, tail: &Bytes) {
        let variants = self.written.entry(address(tail)).or_default();
        if variants.len() < MAX_VARIANTS {
            variants.push(Written {
                at,
                head: head..self.encoded.len(),
                _tail: tail.clone(),
            });
        }
    }

    /// Appends the tail of a message, without copying it if it is large.
    pub(crate) fn append_tail(&mut self, bytes: Bytes) {
        if bytes.len() < COPY_BELOW {
            self.encoded.extend_from_slice(&bytes);
            return;
        }
        self.shared_len += bytes.len();
        self.shared.push((self.encoded.len(), bytes));
    }

    /// Fills in the header.
    pub(crate) fn set_header(&mut self, header: &[u8; BLOCK_HEADER]) {
        self.begin();
        self.encoded[..BLOCK_HEADER].copy_from_slice(header);
    }

    /// Returns the bytes of the block in order, piece by piece.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.shared.iter().map(|(at, _)| *at));
        let ends = self.shared.iter().map(|(at, _)| *at);
        let ends = ends.chain(std::iter::once(self.encoded.len()));
        let shared = self.shared.iter().map(|(_, bytes)| &bytes[..]);
        let shared = shared.chain(std::iter::once(&[][..]));
        starts
            .zip(ends)
            .zip(shared)
            .flat_map(|((start, end), shared)| [&self.encoded[start..end], shared])
            .filter(|piece| !piece.is_empty())
    }
}

/// Identifies memory for as long as it is held.
fn address(bytes: &Bytes) -> (usize, usize) {
    (bytes.as_ptr() as usize, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_the_order_in_which_they_were_appended() {
        static LARGE: [u8; COPY_BELOW] = [b'l'; COPY_BELOW];
        let mut block = Block::default();
        block.begin();
        block.encoded().extend(b"one");
        block.append_tail(Bytes::from_static(&LARGE));
        block.append_tail(Bytes::from_static(b"three"));
        block.encoded().extend(b"four");
        block.append_tail(Bytes::from_static(&LARGE[1..]));
        block.append_tail(Bytes::from_static(&LARGE));
        assert_eq!(block.pieces().count(), 4);
        let all: Vec<u8> = block.pieces().flatten().copied().collect();
        assert_eq!(all.len(), block.len());
        let expected = [b"one", &LARGE[..], b"threefour", &LARGE[1..], &LARGE].concat();
        assert!(all[BLOCK_HEADER..] == expected[..]);
        block.clear(1 << 20);
        assert_eq!((block.len(), block.pieces().count()), (0, 0));
    }
}
