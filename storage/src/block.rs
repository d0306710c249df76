//! The bytes of a commit. Records are encoded one behind the other; the end of a large message stays where it is, shared
//! with whoever else has the message, and is written from there. A large message that is published to several queues
//! stands there once.

use std::{collections::HashMap, ops::Range};

use bytes::Bytes;

use crate::record::BLOCK_HEADER;

/// The end of a message below this size is copied between the others: a write of its own costs more.
const COPIED: usize = 64 << 10;

/// Messages with the same end and different beginnings that are remembered.
const VARIANTS: usize = 4;

/// A message that stands in a block.
#[derive(Debug)]
struct Written {
    /// Where its record starts in the block.
    at: u64,
    /// Where its beginning stands in the encoded bytes.
    head: Range<usize>,
    /// Its end. It is held so that its memory is nobody else's as long as the block is built.
    _tail: Bytes,
}

/// A commit's bytes, its header first.
#[derive(Debug, Default)]
pub(crate) struct Block {
    encoded: Vec<u8>,
    /// What belongs between the encoded bytes, and before which of them.
    shared: Vec<(usize, Bytes)>,
    shared_len: usize,
    /// Large messages, by the address and length of their ends.
    written: HashMap<(usize, usize), Vec<Written>>,
}

impl Block {
    /// Empties it; memory beyond `keep` bytes is given back.
    pub(crate) fn clear(&mut self, keep: usize) {
        self.encoded.clear();
        if self.encoded.capacity() > keep {
            self.encoded = Vec::new();
        }
        self.shared.clear();
        self.shared_len = 0;
        self.written.clear();
    }

    /// Makes room for the header, unless there is.
    pub(crate) fn begin(&mut self) {
        if self.encoded.is_empty() {
            self.encoded.resize(BLOCK_HEADER, 0);
        }
    }

    /// All its bytes.
    pub(crate) fn len(&self) -> usize {
        self.encoded.len() + self.shared_len
    }

    /// Where records are appended.
    pub(crate) fn encoded(&mut self) -> &mut Vec<u8> {
        &mut self.encoded
    }

    /// Where the record of the same message starts: of one whose end is the same memory, and whose beginning is what was
    /// encoded last, from `head` on.
    pub(crate) fn find(&self, head: usize, tail: &Bytes) -> Option<u64> {
        let variants = self.written.get(&address(tail))?;
        let same = |of: &&Written| self.encoded[of.head.clone()] == self.encoded[head..];
        variants.iter().find(same).map(|of| of.at)
    }

    /// Notes the message that was encoded last, from `head` on, in a record that starts at `at`.
    pub(crate) fn remember(&mut self, at: u64, head: usize, tail: &Bytes) {
        let variants = self.written.entry(address(tail)).or_default();
        if variants.len() < VARIANTS {
            variants.push(Written {
                at,
                head: head..self.encoded.len(),
                _tail: tail.clone(),
            });
        }
    }

    /// Appends the end of a message; a large one without copying it.
    pub(crate) fn append_tail(&mut self, bytes: Bytes) {
        if bytes.len() < COPIED {
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

    /// Its bytes in order, piece by piece.
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

/// What tells memory that is held from other memory.
fn address(bytes: &Bytes) -> (usize, usize) {
    (bytes.as_ptr() as usize, bytes.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_the_order_in_which_they_were_appended() {
        static LARGE: [u8; COPIED] = [b'l'; COPIED];
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
