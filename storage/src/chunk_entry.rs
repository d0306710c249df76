//! The in-memory form of a chunk.

use crate::{
    ranges::RangeSet,
    schema::{BodyKey, Chunk},
};

/// A chunk in sled, as the catalogue holds it: one for each 64 KiB of messages. Most chunks are entirely live until
/// they are entirely acknowledged; those take 32 bytes instead of 112. For a stream of many gigabytes these entries are
/// most of what is in memory.
#[derive(Debug, Clone)]
pub(crate) enum ChunkEntry {
    /// A chunk of which nothing was acknowledged.
    Intact {
        volume: u32,
        /// The last position, relative to the first.
        width: u32,
        bytes: u32,
        weight: u32,
        live: u16,
        parts: u16,
        large: bool,
    },
    /// A large message that other queues may share.
    Shared {
        volume: u32,
        bytes: u32,
        weight: u32,
        parts: u32,
        body: Box<BodyKey>,
    },
    /// A chunk that is partly acknowledged, or whose numbers do not fit the compact form.
    Partial(Box<Chunk>),
}

impl ChunkEntry {
    pub(crate) fn new(first: u64, chunk: Chunk) -> ChunkEntry {
        ChunkEntry::intact(first, &chunk).unwrap_or_else(|| ChunkEntry::Partial(Box::new(chunk)))
    }

    /// Returns `None` if part of the chunk is acknowledged or a number does not fit.
    fn intact(first: u64, chunk: &Chunk) -> Option<ChunkEntry> {
        let is_intact = chunk.first_live == first
            && chunk.last_live == chunk.last
            && chunk.acked.iter().next().is_none();
        if !is_intact {
            return None;
        }
        if let Some(body) = chunk.shared {
            return ChunkEntry::shared(chunk, body);
        }
        Some(ChunkEntry::Intact {
            volume: chunk.volume,
            width: (chunk.last - first).try_into().ok()?,
            bytes: chunk.bytes.try_into().ok()?,
            weight: chunk.weight.try_into().ok()?,
            live: chunk.live.try_into().ok()?,
            parts: chunk.parts.try_into().ok()?,
            large: chunk.large,
        })
    }

    fn shared(chunk: &Chunk, body: BodyKey) -> Option<ChunkEntry> {
        if !chunk.large || chunk.live != 1 || chunk.last != chunk.first_live {
            return None;
        }
        Some(ChunkEntry::Shared {
            volume: chunk.volume,
            bytes: chunk.bytes.try_into().ok()?,
            weight: chunk.weight.try_into().ok()?,
            parts: chunk.parts,
            body: Box::new(body),
        })
    }

    /// Returns the chunk, whose first position is `first`. Its segment is not kept: it is one that is folded.
    pub(crate) fn chunk(&self, first: u64) -> Chunk {
        match self {
            ChunkEntry::Intact {
                volume,
                width,
                bytes,
                weight,
                live,
                parts,
                large,
            } => Chunk {
                segment: 0,
                last: first + u64::from(*width),
                first_live: first,
                last_live: first + u64::from(*width),
                live: u64::from(*live),
                bytes: u64::from(*bytes),
                weight: u64::from(*weight),
                parts: u32::from(*parts),
                large: *large,
                volume: *volume,
                shared: None,
                acked: RangeSet::default(),
            },
            ChunkEntry::Shared {
                volume,
                bytes,
                weight,
                parts,
                body,
            } => Chunk {
                segment: 0,
                last: first,
                first_live: first,
                last_live: first,
                live: 1,
                bytes: u64::from(*bytes),
                weight: u64::from(*weight),
                parts: *parts,
                large: true,
                volume: *volume,
                shared: Some(**body),
                acked: RangeSet::default(),
            },
            ChunkEntry::Partial(chunk) => Chunk {
                segment: 0,
                ..Chunk::clone(chunk)
            },
        }
    }

    /// Returns the last position of the chunk, whose first one is `first`.
    pub(crate) fn last(&self, first: u64) -> u64 {
        match self {
            ChunkEntry::Intact { width, .. } => first + u64::from(*width),
            ChunkEntry::Shared { .. } => first,
            ChunkEntry::Partial(chunk) => chunk.last,
        }
    }

    /// Returns the volume that holds its messages.
    pub(crate) fn volume(&self) -> u32 {
        match self {
            ChunkEntry::Intact { volume, .. } | ChunkEntry::Shared { volume, .. } => *volume,
            ChunkEntry::Partial(chunk) => chunk.volume,
        }
    }

    /// Records that its messages have moved to another volume.
    pub(crate) fn set_volume(&mut self, to: u32) {
        match self {
            ChunkEntry::Intact { volume, .. } | ChunkEntry::Shared { volume, .. } => *volume = to,
            ChunkEntry::Partial(chunk) => chunk.volume = to,
        }
    }

    /// Returns whether the chunk itself may record acknowledged positions.
    pub(crate) fn may_have_acked(&self) -> bool {
        matches!(self, ChunkEntry::Partial(_))
    }

    /// Returns whether the chunk itself records this position as acknowledged.
    pub(crate) fn is_acked(&self, position: u64) -> bool {
        match self {
            ChunkEntry::Intact { .. } | ChunkEntry::Shared { .. } => false,
            ChunkEntry::Partial(chunk) => chunk.acked.contains(position),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Position, QueueId};

    fn chunk(first: u64, messages: u64) -> Chunk {
        Chunk {
            segment: 0,
            last: first + messages - 1,
            first_live: first,
            last_live: first + messages - 1,
            live: messages,
            bytes: messages * 100,
            weight: messages * 90,
            parts: 2,
            large: false,
            volume: 3,
            shared: None,
            acked: RangeSet::default(),
        }
    }

    #[test]
    fn an_entry_gives_back_its_chunk_whatever_of_it_lives() {
        let whole = chunk(5, 10);
        let mut begun = chunk(5, 10);
        begun.acked.insert(7, 8);
        let mut shrunk = chunk(5, 10);
        shrunk.first_live = 6;
        let mut wide = chunk(5, 10);
        (wide.last, wide.last_live) = (u64::MAX, u64::MAX);
        let mut shared = chunk(5, 1);
        shared.large = true;
        shared.shared = Some(BodyKey {
            queue: QueueId(u64::MAX),
            first: Position(9),
        });
        let mut large = shared.clone();
        large.bytes = u64::from(u32::MAX) + 1;
        for chunk in [whole, begun, shrunk, wide, shared, large] {
            let mut entry = ChunkEntry::new(5, chunk.clone());
            assert_eq!(entry.volume(), 3);
            entry.set_volume(8);
            assert_eq!(
                entry.chunk(5),
                Chunk {
                    volume: 8,
                    ..chunk.clone()
                }
            );
            assert_eq!(entry.last(5), chunk.last);
            assert_eq!(entry.is_acked(7), chunk.acked.contains(7));
        }
    }

    #[test]
    fn an_entry_is_small() {
        assert!(size_of::<ChunkEntry>() <= 32, "{}", size_of::<ChunkEntry>());
    }
}
