//! The layout of data in sled: one tree, because sled's batches are atomic within one tree only, with a prefix byte per
//! kind of record.
//!
//! | where | key | value |
//! | --- | --- | --- |
//! | main | `m` name | metadata of the store: schema version, identity, the last folded segment |
//! | main | `d` key | a definition, or the first part of a large one |
//! | main | `e` key, part | further parts of it |
//! | main | `q` queue | the queue's high-water marks |
//! | main | `c` queue, first position | a chunk's catalogue entry: location, extent, live messages, acknowledged positions |
//! | a volume | `b` queue, first position, part | a chunk's messages, or a part of one large message |
//!
//! A large message in several queues is stored in a volume once, under the key of one of them, and the catalogue
//! entries of all refer to it. Nothing is removed from a volume until the whole volume is deleted, so it does not
//! matter which queue finishes with the message first.
//!
//! Numbers in keys are big-endian, so the records of a queue are contiguous and in order. Every value starts with a
//! CRC-32 of its key and the rest of the value: a value under the wrong key counts as damaged.

use crate::{
    ranges::RangeSet,
    types::{Position, QueueId, u32_at, u64_at},
};

/// The schema version. It changes whenever older and newer code could misread each other's stores. Version 2 can be
/// read as this one: in it, a large message was stored once for each of its queues.
pub(crate) const VERSION: u32 = 3;
/// The version that [`crate::convert`] upgrades: messages were in the main sled.
pub(crate) const VERSION_WITHOUT_VOLUMES: u32 = 1;

/// The largest value given to sled.
///
/// A leaf page of sled's holds up to 16 values. Pages over a quarter of its segment size become blob files, which leak:
/// 16 KiB values and 2 MiB segments stay clear of that.
pub(crate) const MAX_VALUE: usize = 16 * 1024;

/// The size up to which a value is filled with several messages.
///
/// Whatever the configured capacity, sled's cache keeps a page in each of 256 shards, usually of 8 values: 16 MiB with
/// values of this size, in each sled that is read or written.
pub(crate) const SHARED_VALUE: usize = 8 * 1024;

/// The number of encoded bytes at which a chunk of small messages ends. Each chunk costs an entry in memory and in the
/// main sled.
pub(crate) const CHUNK_BYTES: u64 = 62 * 1024;

/// The length of the checksum in front of each value.
pub(crate) const CHECKSUM: usize = 4;

/// The length of position and length in front of each message of a chunk.
pub(crate) const MESSAGE_HEADER: usize = 12;

/// Returns whether an encoded message of this length is a chunk of its own, which several queues may share.
pub(crate) fn is_large(len: usize) -> bool {
    CHECKSUM + MESSAGE_HEADER + len > MAX_VALUE
}

pub(crate) const DEFINITION: u8 = b'd';
pub(crate) const DEFINITION_PART: u8 = b'e';
pub(crate) const QUEUE: u8 = b'q';
pub(crate) const CATALOGUE: u8 = b'c';
pub(crate) const BODY: u8 = b'b';

/// The key of the schema version.
pub(crate) const KEY_VERSION: &[u8] = b"mversion";
/// The key of the identity, which is also in the marker file.
pub(crate) const KEY_IDENTITY: &[u8] = b"midentity";
/// The key of the number of the last log segment whose whole content is in sled.
pub(crate) const KEY_FOLDED: &[u8] = b"mfolded";

/// Returns `value` preceded by its checksum under `key`.
pub(crate) fn sealed(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(CHECKSUM + value.len());
    out.extend_from_slice(&checksum(key, value).to_be_bytes());
    out.extend_from_slice(value);
    out
}

/// Returns the value without its checksum, or `None` if the checksum is wrong.
pub(crate) fn unsealed<'a>(key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (crc, rest) = value.split_at_checked(CHECKSUM)?;
    (crc == checksum(key, rest).to_be_bytes()).then_some(rest)
}

fn checksum(key: &[u8], value: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(key.len() as u64).to_be_bytes());
    hasher.update(key);
    hasher.update(value);
    hasher.finalize()
}

pub(crate) fn definition_key(key: &[u8]) -> Vec<u8> {
    [&[DEFINITION], key].concat()
}

pub(crate) fn definition_part_key(key: &[u8], part: u32) -> Vec<u8> {
    [&[DEFINITION_PART], key, &part.to_be_bytes()].concat()
}

pub(crate) fn queue_key(queue: QueueId) -> [u8; 9] {
    prefixed(QUEUE, queue)
}

/// Returns the key prefix of all catalogue entries of a queue.
pub(crate) fn catalogue_prefix(queue: QueueId) -> [u8; 9] {
    prefixed(CATALOGUE, queue)
}

pub(crate) fn catalogue_key(queue: QueueId, first: Position) -> [u8; 17] {
    let mut key = [0; 17];
    key[..9].copy_from_slice(&prefixed(CATALOGUE, queue));
    key[9..].copy_from_slice(&first.0.to_be_bytes());
    key
}

pub(crate) fn body_key(queue: QueueId, first: Position, part: u32) -> [u8; 21] {
    let mut key = [0; 21];
    key[..9].copy_from_slice(&prefixed(BODY, queue));
    key[9..17].copy_from_slice(&first.0.to_be_bytes());
    key[17..].copy_from_slice(&part.to_be_bytes());
    key
}

fn prefixed(kind: u8, queue: QueueId) -> [u8; 9] {
    let mut key = [kind; 9];
    key[1..].copy_from_slice(&queue.0.to_be_bytes());
    key
}

/// Returns the queue in a `q` key.
pub(crate) fn parse_queue_key(key: &[u8]) -> Option<QueueId> {
    (key.len() == 9)
        .then(|| u64_at(key, 1).map(QueueId))
        .flatten()
}

/// Returns the queue and first position in a `c` key.
pub(crate) fn parse_catalogue_key(key: &[u8]) -> Option<(QueueId, Position)> {
    if key.len() != 17 {
        return None;
    }
    Some((QueueId(u64_at(key, 1)?), Position(u64_at(key, 9)?)))
}

/// A queue's high-water marks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct QueueMarks {
    /// One more than the highest position written so far.
    pub(crate) next: u64,
    pub(crate) delivered: Option<u64>,
}

impl QueueMarks {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = self.next.to_be_bytes().to_vec();
        if let Some(delivered) = self.delivered {
            out.extend_from_slice(&delivered.to_be_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<QueueMarks> {
        Some(QueueMarks {
            next: u64_at(bytes, 0)?,
            delivered: u64_at(bytes, 8),
        })
    }

    /// Raises each mark to that of `other` if that is higher.
    pub(crate) fn raise(&mut self, other: &QueueMarks) {
        self.next = self.next.max(other.next);
        self.delivered = self.delivered.max(other.delivered);
    }
}

/// Where in its volume the values of a chunk are: under the queue and first position of the chunk that they were
/// written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BodyKey {
    pub(crate) queue: QueueId,
    pub(crate) first: Position,
}

impl BodyKey {
    /// Returns the key of one of the values.
    pub(crate) fn part(&self, part: u32) -> [u8; 21] {
        body_key(self.queue, self.first, part)
    }
}

/// A chunk's catalogue entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// The log segment it was folded from. If that is after the last folded one, the fold never finished and the chunk
    /// is void.
    pub(crate) segment: u64,
    /// The last position in it.
    pub(crate) last: u64,
    pub(crate) first_live: u64,
    pub(crate) last_live: u64,
    /// The number of live messages in it.
    pub(crate) live: u64,
    /// Their encoded bytes.
    pub(crate) bytes: u64,
    /// The sum of what [`crate::Options::weigh`] says of them.
    pub(crate) weight: u64,
    /// The number of values that store it.
    pub(crate) parts: u32,
    /// Whether it is a single large message, of which each value is a part.
    pub(crate) large: bool,
    /// The volume that those values are in.
    pub(crate) volume: u32,
    /// Where the values are, if other chunks may share them. Only large messages are shared.
    pub(crate) shared: Option<BodyKey>,
    /// Its acknowledged positions.
    pub(crate) acked: RangeSet,
}

/// The length of a catalogue entry without the ranges of acknowledged positions.
const CHUNK_HEADER: usize = 64;
/// The same for [`VERSION_WITHOUT_VOLUMES`].
const OLDER_CHUNK_HEADER: usize = 52;
/// A flag in the number of parts: this is a large message.
const LARGE: u32 = 1 << 31;
/// A flag in the number of parts: the location of the values follows the header.
const SHARED: u32 = 1 << 30;
/// The length of that location.
const BODY_KEY: usize = 16;
/// The length of a range.
const RANGE: usize = 16;

impl Chunk {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(CHUNK_HEADER);
        for number in [
            self.segment,
            self.last,
            self.first_live,
            self.last_live,
            self.live,
            self.bytes,
        ] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        let large = if self.large { LARGE } else { 0 };
        let shared = self.shared.map_or(0, |_| SHARED);
        out.extend_from_slice(&(self.parts | large | shared).to_be_bytes());
        out.extend_from_slice(&self.weight.to_be_bytes());
        out.extend_from_slice(&self.volume.to_be_bytes());
        if let Some(body) = self.shared {
            out.extend_from_slice(&body.queue.0.to_be_bytes());
            out.extend_from_slice(&body.first.0.to_be_bytes());
        }
        for (first, last) in self.acked.iter() {
            out.extend_from_slice(&first.to_be_bytes());
            out.extend_from_slice(&last.to_be_bytes());
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Chunk> {
        let parts = u32_at(bytes, 48)?;
        let (header, shared) = if parts & SHARED == 0 {
            (CHUNK_HEADER, None)
        } else {
            let body = BodyKey {
                queue: QueueId(u64_at(bytes, CHUNK_HEADER)?),
                first: Position(u64_at(bytes, CHUNK_HEADER + 8)?),
            };
            (CHUNK_HEADER + BODY_KEY, Some(body))
        };
        Some(Chunk {
            parts: parts & !(LARGE | SHARED),
            large: parts & LARGE != 0,
            shared,
            weight: u64_at(bytes, 52)?,
            volume: u32_at(bytes, 60)?,
            ..Chunk::decode_common(bytes, header)?
        })
    }

    /// Returns where the values of this chunk are, given its queue and first position.
    pub(crate) fn body(&self, queue: QueueId, first: Position) -> BodyKey {
        self.shared.unwrap_or(BodyKey { queue, first })
    }

    /// Decodes an entry of [`VERSION_WITHOUT_VOLUMES`], when messages were in the main sled and had no weight. Returns
    /// `None` also for an entry of this version.
    pub(crate) fn decode_older(bytes: &[u8]) -> Option<Chunk> {
        if bytes.len() % RANGE != OLDER_CHUNK_HEADER % RANGE {
            return None;
        }
        let parts = u32_at(bytes, 48)?;
        Some(Chunk {
            parts: parts.max(1),
            large: parts > 0,
            ..Chunk::decode_common(bytes, OLDER_CHUNK_HEADER)?
        })
    }

    fn decode_common(bytes: &[u8], header: usize) -> Option<Chunk> {
        let mut acked = RangeSet::default();
        let (_, ranges) = bytes.split_at_checked(header)?;
        for range in ranges.chunks(RANGE) {
            acked.insert(u64_at(range, 0)?, u64_at(range, 8)?);
        }
        Some(Chunk {
            segment: u64_at(bytes, 0)?,
            last: u64_at(bytes, 8)?,
            first_live: u64_at(bytes, 16)?,
            last_live: u64_at(bytes, 24)?,
            live: u64_at(bytes, 32)?,
            bytes: u64_at(bytes, 40)?,
            weight: 0,
            parts: 0,
            large: false,
            volume: 0,
            shared: None,
            acked,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_under_another_key_is_damaged() {
        let value = sealed(b"one", b"value");
        assert_eq!(unsealed(b"one", &value), Some(&b"value"[..]));
        assert_eq!(unsealed(b"two", &value), None);
    }

    #[test]
    fn a_catalogue_entry_reads_back_as_written() {
        let mut acked = RangeSet::default();
        acked.insert(3, 5);
        acked.insert(9, 9);
        let chunk = Chunk {
            segment: 4,
            last: 12,
            first_live: 2,
            last_live: 12,
            live: 6,
            bytes: 600,
            weight: 500,
            parts: 1,
            large: true,
            volume: 9,
            shared: None,
            acked,
        };
        let shared = Chunk {
            shared: Some(BodyKey {
                queue: QueueId(77),
                first: Position(88),
            }),
            ..chunk.clone()
        };
        assert_eq!(Chunk::decode(&shared.encode()), Some(shared.clone()));
        assert_eq!(Chunk::decode_older(&shared.encode()), None);
        let entry = chunk.encode();
        assert_eq!(entry.len(), CHUNK_HEADER + 2 * RANGE, "as ever");
        assert_eq!(Chunk::decode(&entry), Some(chunk.clone()));
        assert_eq!(Chunk::decode_older(&entry), None);
        let mut older = [&entry[..52], &entry[64..]].concat();
        older[48] = 0;
        let expected = Chunk {
            weight: 0,
            volume: 0,
            ..chunk
        };
        assert_eq!(Chunk::decode_older(&older), Some(expected));
    }

    #[test]
    fn keys_of_a_queue_sort_by_position() {
        let queue = QueueId(7);
        assert!(catalogue_key(queue, Position(255)) < catalogue_key(queue, Position(256)));
        assert!(body_key(queue, Position(1), 300) < body_key(queue, Position(2), 0));
        assert!(body_key(queue, Position(u64::MAX), 0) < body_key(QueueId(8), Position(0), 0));
    }
}
