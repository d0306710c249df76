//! The bytes of a commit. Records are encoded one behind the other; the end of a large message stays where it is, shared
//! with whoever else has the message, and is written from there.

use bytes::Bytes;

use crate::record::BLOCK_HEADER;

/// A commit's bytes, its header first.
#[derive(Debug, Default)]
pub(crate) struct Block {
    encoded: Vec<u8>,
    /// What belongs between the encoded bytes, and before which of them.
    shared: Vec<(usize, Bytes)>,
    shared_len: usize,
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

    /// Appends bytes without copying them.
    pub(crate) fn append_shared(&mut self, bytes: Bytes) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_in_the_order_in_which_they_were_appended() {
        let mut block = Block::default();
        block.begin();
        block.encoded().extend(b"one");
        block.append_shared(Bytes::from_static(b"two"));
        block.append_shared(Bytes::from_static(b"three"));
        block.encoded().extend(b"four");
        block.append_shared(Bytes::from_static(b"five"));
        let all: Vec<u8> = block.pieces().flatten().copied().collect();
        assert_eq!(all.len(), block.len());
        assert_eq!(&all[BLOCK_HEADER..], b"onetwothreefourfive");
        block.clear(1 << 20);
        assert_eq!((block.len(), block.pieces().count()), (0, 0));
    }
}
