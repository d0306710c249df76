//! The format of a log segment: a header followed by blocks of records.
//!
//! A block is one commit. Its header holds its length and number of records, with a checksum seeded by the segment's
//! salt and the block's offset, so nothing inside a message can pass for a block. Each record has its own checksum. A
//! block is valid only if its header and all its records are: a torn commit is dropped as a whole.
//!
//! Integers are big-endian.

use bytes::Bytes;

use crate::{
    block::{BLOCK_HEADER, Block},
    schema::is_large,
    types::{Position, QueueId, u32_at, u64_at},
};

/// The length of a segment's header.
pub(crate) const SEGMENT_HEADER: usize = 48;
/// The length of what precedes a record's kind: length, checksum.
const RECORD_HEADER: usize = 8;
/// The length of a publish record without the message.
pub(crate) const PUBLISH_OVERHEAD: usize = RECORD_HEADER + 17;
/// The length of a shared publish: header, kind, queue, position, distance, length.
pub(crate) const REFERENCE: usize = RECORD_HEADER + 25;

const SEGMENT_MAGIC: [u8; 8] = *b"LVRTLOG1";
const BLOCK_MAGIC: u32 = 0xB10C_4A7E;
/// The first byte of a block.
pub(crate) const BLOCK_MAGIC_START: u8 = BLOCK_MAGIC.to_be_bytes()[0];

const PUBLISH: u8 = 1;
const ACK: u8 = 2;
const DELETE_QUEUE: u8 = 3;
const DELIVERED: u8 = 4;
const PUT_DEFINITION: u8 = 5;
const DELETE_DEFINITION: u8 = 6;
/// A publish of a large message that is already in the same block for another queue. Since schema 3.
const SHARED_PUBLISH: u8 = 7;

/// The header of a segment file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    /// Segments are numbered from 1 without gaps.
    pub(crate) seq: u64,
    /// Random per segment; seeds its block checksums.
    pub(crate) salt: u64,
    /// Where the previous segment's valid bytes end. Bytes after that were abandoned by a failed write and are
    /// rewritten in this segment. 0 if there is no previous segment in this run of the log.
    pub(crate) previous_end: u64,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER] {
        let mut out = [0; SEGMENT_HEADER];
        out[..8].copy_from_slice(&SEGMENT_MAGIC);
        out[8..16].copy_from_slice(&self.seq.to_be_bytes());
        out[16..24].copy_from_slice(&self.salt.to_be_bytes());
        out[24..32].copy_from_slice(&self.previous_end.to_be_bytes());
        let crc = crc32fast::hash(&out[..SEGMENT_HEADER - 4]);
        out[SEGMENT_HEADER - 4..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<SegmentHeader> {
        let (head, crc) = bytes.get(..SEGMENT_HEADER)?.split_at(SEGMENT_HEADER - 4);
        if head[..8] != SEGMENT_MAGIC || crc32fast::hash(head).to_be_bytes() != crc {
            return None;
        }
        Some(SegmentHeader {
            seq: u64_at(head, 8)?,
            salt: u64_at(head, 16)?,
            previous_end: u64_at(head, 24)?,
        })
    }
}

/// The header of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) records: u32,
    /// The length of the records after the header.
    pub(crate) payload: u64,
}

impl BlockHeader {
    pub(crate) fn encode(&self, salt: u64, offset: u64) -> [u8; BLOCK_HEADER] {
        let mut out = [0; BLOCK_HEADER];
        out[..4].copy_from_slice(&BLOCK_MAGIC.to_be_bytes());
        out[4..8].copy_from_slice(&self.records.to_be_bytes());
        out[8..16].copy_from_slice(&self.payload.to_be_bytes());
        let crc = block_crc(&out[..16], salt, offset);
        out[16..].copy_from_slice(&crc.to_be_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8], salt: u64, offset: u64) -> Option<BlockHeader> {
        let head = bytes.get(..BLOCK_HEADER)?;
        if u32_at(head, 0)? != BLOCK_MAGIC
            || u32_at(head, 16)? != block_crc(&head[..16], salt, offset)
        {
            return None;
        }
        Some(BlockHeader {
            records: u32_at(head, 4)?,
            payload: u64_at(head, 8)?,
        })
    }
}

fn block_crc(head: &[u8], salt: u64, offset: u64) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_be_bytes());
    hasher.update(&offset.to_be_bytes());
    hasher.update(head);
    hasher.finalize()
}

/// A record as read back: one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Record<'a> {
    Publish {
        queue: QueueId,
        position: Position,
        message: &'a [u8],
        /// How far before this record the record starts that contains the message, which belongs to another queue; 0 if
        /// it is this record.
        back: u32,
    },
    Ack {
        queue: QueueId,
        first: Position,
        last: Position,
    },
    DeleteQueue {
        queue: QueueId,
    },
    Delivered {
        queue: QueueId,
        through: Position,
    },
    PutDefinition {
        key: &'a [u8],
        value: &'a [u8],
    },
    DeleteDefinition {
        key: &'a [u8],
    },
}

/// A publish whose message is in an earlier record of the same block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) queue: QueueId,
    pub(crate) position: Position,
    /// How far before this record that one starts.
    pub(crate) back: u32,
    /// The length of the message.
    pub(crate) len: u32,
}

/// One record, parsed on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parsed<'a> {
    Record(Record<'a>),
    Reference(Reference),
}

/// Appends a record; `fill` writes its body after the kind.
fn append(out: &mut Vec<u8>, kind: u8, fill: impl FnOnce(&mut Vec<u8>)) {
    let start = begin(out, kind);
    fill(out);
    end(out, start, &[]);
}

/// Begins a record and returns where it starts.
fn begin(out: &mut Vec<u8>, kind: u8) -> usize {
    let start = out.len();
    out.extend_from_slice(&[0; RECORD_HEADER]);
    out.push(kind);
    start
}

/// Ends the record that began at `start`; its last bytes are in `elsewhere`.
fn end(out: &mut [u8], start: usize, elsewhere: &[u8]) {
    let body = start + RECORD_HEADER;
    // More than 4 GiB is impossible: AMQP implementations, including ours, limit messages to far less.
    let len = u32::try_from(out.len() - body + elsewhere.len()).unwrap_or(u32::MAX);
    let mut crc = crc32fast::Hasher::new();
    crc.update(&out[body..]);
    crc.update(elsewhere);
    let crc = crc.finalize();
    out[start..start + 4].copy_from_slice(&len.to_be_bytes());
    out[start + 4..body].copy_from_slice(&crc.to_be_bytes());
}

/// How a publish was stored in its block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    Message,
    /// As a reference, because the block already contains the message.
    Reference,
}

/// Appends a publish. `encode` may return the tail of the message instead of appending it.
pub(crate) fn append_publish(
    block: &mut Block,
    queue: QueueId,
    position: Position,
    encode: impl FnOnce(&mut Vec<u8>) -> Option<Bytes>,
) -> Appended {
    let at = block.len() as u64;
    let out = block.encoded();
    let start = begin(out, PUBLISH);
    out.extend_from_slice(&queue.0.to_be_bytes());
    out.extend_from_slice(&position.0.to_be_bytes());
    let message = out.len();
    let Some(tail) = encode(out) else {
        end(out, start, &[]);
        return Appended::Message;
    };
    let len = out.len() - message + tail.len();
    if !is_large(len) {
        end(out, start, &tail);
        block.append_tail(tail);
        return Appended::Message;
    }
    let back = block.find(message, &tail).map(|of| u32::try_from(at - of));
    if let (Some(Ok(back)), Ok(len)) = (back, u32::try_from(len)) {
        block.encoded().truncate(start);
        let reference = Reference {
            queue,
            position,
            back,
            len,
        };
        append_reference(block.encoded(), &reference);
        return Appended::Reference;
    }
    end(block.encoded(), start, &tail);
    block.remember(at, message, &tail);
    block.append_tail(tail);
    Appended::Message
}

pub(crate) fn append_reference(out: &mut Vec<u8>, reference: &Reference) {
    append(out, SHARED_PUBLISH, |out| {
        out.extend_from_slice(&reference.queue.0.to_be_bytes());
        out.extend_from_slice(&reference.position.0.to_be_bytes());
        out.extend_from_slice(&reference.back.to_be_bytes());
        out.extend_from_slice(&reference.len.to_be_bytes());
    });
}

pub(crate) fn append_ack(out: &mut Vec<u8>, queue: QueueId, first: Position, last: Position) {
    append(out, ACK, |out| {
        out.extend_from_slice(&queue.0.to_be_bytes());
        out.extend_from_slice(&first.0.to_be_bytes());
        out.extend_from_slice(&last.0.to_be_bytes());
    });
}

pub(crate) fn append_delete_queue(out: &mut Vec<u8>, queue: QueueId) {
    append(out, DELETE_QUEUE, |out| {
        out.extend_from_slice(&queue.0.to_be_bytes());
    });
}

pub(crate) fn append_delivered(out: &mut Vec<u8>, queue: QueueId, through: Position) {
    append(out, DELIVERED, |out| {
        out.extend_from_slice(&queue.0.to_be_bytes());
        out.extend_from_slice(&through.0.to_be_bytes());
    });
}

pub(crate) fn append_put_definition(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    append(out, PUT_DEFINITION, |out| {
        let len = u32::try_from(key.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_be_bytes());
        out.extend_from_slice(key);
        out.extend_from_slice(value);
    });
}

pub(crate) fn append_delete_definition(out: &mut Vec<u8>, key: &[u8]) {
    append(out, DELETE_DEFINITION, |out| out.extend_from_slice(key));
}

/// Parses and checks the record at the start of `bytes`. Returns it with its length, or `None` if it is damaged or cut
/// off.
pub(crate) fn parse(bytes: &[u8]) -> Option<(Parsed<'_>, usize)> {
    let len = u32_at(bytes, 0)? as usize;
    let crc = u32_at(bytes, 4)?;
    let end = RECORD_HEADER.checked_add(len)?;
    let body = bytes.get(RECORD_HEADER..end)?;
    if crc32fast::hash(body) != crc {
        return None;
    }
    let (&kind, rest) = body.split_first()?;
    Some((parse_body(kind, rest)?, end))
}

fn parse_body(kind: u8, rest: &[u8]) -> Option<Parsed<'_>> {
    let queue = || u64_at(rest, 0).map(QueueId);
    let position = |at| u64_at(rest, at).map(Position);
    if kind == SHARED_PUBLISH {
        return Some(Parsed::Reference(Reference {
            queue: queue()?,
            position: position(8)?,
            back: u32_at(rest, 16)?,
            len: u32_at(rest, 20)?,
        }));
    }
    Some(Parsed::Record(match kind {
        PUBLISH => Record::Publish {
            queue: queue()?,
            position: position(8)?,
            message: rest.get(16..)?,
            back: 0,
        },
        ACK => Record::Ack {
            queue: queue()?,
            first: position(8)?,
            last: position(16)?,
        },
        DELETE_QUEUE => Record::DeleteQueue { queue: queue()? },
        DELIVERED => Record::Delivered {
            queue: queue()?,
            through: position(8)?,
        },
        PUT_DEFINITION => {
            let key_end = (u32_at(rest, 0)? as usize).checked_add(4)?;
            Record::PutDefinition {
                key: rest.get(4..key_end)?,
                value: rest.get(key_end..)?,
            }
        }
        DELETE_DEFINITION => Record::DeleteDefinition { key: rest },
        _ => return None,
    }))
}

/// Parses and checks the block at the start of `bytes` down to its last record. Returns its records with their offsets
/// in the block, or `None` if this is not a complete commit.
pub(crate) fn parse_block<'a>(
    bytes: &'a [u8],
    header: &BlockHeader,
) -> Option<Vec<(usize, Record<'a>)>> {
    let end = BLOCK_HEADER.checked_add(usize::try_from(header.payload).ok()?)?;
    let block = bytes.get(..end)?;
    let mut at = BLOCK_HEADER;
    // No record is shorter than its header and kind, so a wrong count cannot make us reserve more than the length of
    // the block.
    let mut records =
        Vec::with_capacity((header.records as usize).min(block.len() / RECORD_HEADER));
    while at < end {
        let (parsed, len) = parse(&block[at..])?;
        let record = match parsed {
            Parsed::Record(record) => record,
            Parsed::Reference(reference) => resolve(&records, at, &reference)?,
        };
        records.push((at, record));
        at += len;
    }
    (records.len() == header.records as usize).then_some(records)
}

/// Returns the publish that a reference at `at` stands for, or `None` if it does not refer to one of these records.
fn resolve<'a>(
    records: &[(usize, Record<'a>)],
    at: usize,
    reference: &Reference,
) -> Option<Record<'a>> {
    let of = at.checked_sub(usize::try_from(reference.back).ok()?)?;
    let found = records.binary_search_by_key(&of, |(at, _)| *at).ok()?;
    match records[found].1 {
        Record::Publish {
            message, back: 0, ..
        } if message.len() as u64 == u64::from(reference.len) => Some(Record::Publish {
            queue: reference.queue,
            position: reference.position,
            message,
            back: reference.back,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Vec<u8> {
        let mut out = Block::default();
        out.begin();
        append_publish(&mut out, QueueId(7), Position(9), |out| {
            out.extend_from_slice(b"hel");
            Some(Bytes::from_static(b"lo"))
        });
        let mut out: Vec<u8> = out.pieces().flatten().copied().collect();
        append_ack(&mut out, QueueId(7), Position(1), Position(4));
        append_put_definition(&mut out, b"key", b"value");
        let header = BlockHeader {
            records: 3,
            payload: (out.len() - BLOCK_HEADER) as u64,
        };
        out[..BLOCK_HEADER].copy_from_slice(&header.encode(11, 48));
        out
    }

    fn read(bytes: &[u8]) -> Option<Vec<(usize, Record<'_>)>> {
        parse_block(bytes, &BlockHeader::decode(bytes, 11, 48)?)
    }

    #[test]
    fn a_block_reads_back_as_written() {
        let block = block();
        let records: Vec<_> = read(&block)
            .unwrap()
            .into_iter()
            .map(|(_, record)| record)
            .collect();
        assert_eq!(
            records,
            [
                Record::Publish {
                    queue: QueueId(7),
                    position: Position(9),
                    message: b"hello",
                    back: 0
                },
                Record::Ack {
                    queue: QueueId(7),
                    first: Position(1),
                    last: Position(4)
                },
                Record::PutDefinition {
                    key: b"key",
                    value: b"value"
                },
            ]
        );
    }

    #[test]
    fn a_block_cut_or_flipped_anywhere_is_no_block() {
        let good = block();
        for cut in 0..good.len() {
            assert_eq!(read(&good[..cut]), None, "cut at {cut}");
        }
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&bad), None, "bit {bit}");
        }
    }

    #[test]
    fn a_block_of_another_segment_or_offset_is_no_block() {
        let block = block();
        assert_eq!(BlockHeader::decode(&block, 12, 48), None);
        assert_eq!(BlockHeader::decode(&block, 11, 49), None);
    }
}
