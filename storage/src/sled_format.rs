//! Parses the file format of sled 0.34 without sled.
//!
//! - The file is a sequence of segments, each with a header: `crc u32, lsn i64, stable lsn i64`, the latter two XORed
//!   with `i64::MAX`, the checksum inverted.
//! - A segment contains messages: `crc u32, kind u8, length, segment number, page id` (variable-length integers), body.
//!   The checksum covers the body, then the header after the checksum, and is inverted.
//! - A message replaces a page, adds a change to it, or frees it; the one with the highest lsn wins.

use crate::sled_store::SEGMENT_SIZE;

/// The length of a segment's header.
pub(crate) const SEGMENT_HEADER: usize = 20;
/// sled leaves this much unused at the end of a segment.
const LONGEST_HEADER: usize = 32;
/// The rest of the segment is unused.
const CAP: u8 = 2;
/// A batch: the messages up to the lsn in its body count together or not at all.
pub(crate) const BATCH: u8 = 3;
/// A page is freed.
pub(crate) const FREE: u8 = 4;
/// The page of the id counter.
pub(crate) const COUNTER: u8 = 5;
/// The page of the tree names.
pub(crate) const META: u8 = 6;
/// A complete page.
pub(crate) const NODE: u8 = 8;
/// A change to a page.
pub(crate) const LINK: u8 = 10;
/// The kinds of messages that change a page.
pub(crate) const CHANGES: std::ops::RangeInclusive<u8> = FREE..=LINK + 1;
const KINDS: std::ops::RangeInclusive<u8> = 1..=LINK + 1;

/// An item in a segment.
pub(crate) enum SegmentItem<'a> {
    /// A message whose checksum is right.
    Message {
        page: u64,
        kind: u8,
        lsn: i64,
        /// The offset of the body in the file.
        offset: u64,
        body: &'a [u8],
    },
    /// Something unreadable: either the rest of the segment, or one message and the page it seems to be about.
    Tear {
        page: Option<u64>,
        lsn: i64,
        from: u64,
        to: u64,
    },
}

/// Calls `visit` with every item in the segment of this `lsn`, whose `bytes` begin at `base` in the file.
pub(crate) fn read_segment<'a>(
    lsn: i64,
    base: u64,
    bytes: &'a [u8],
    mut visit: impl FnMut(SegmentItem<'a>),
) {
    let number = lsn.unsigned_abs() / SEGMENT_SIZE as u64;
    let mut at = SEGMENT_HEADER;
    while at + LONGEST_HEADER <= SEGMENT_SIZE && at < bytes.len() {
        let here = lsn + i64::try_from(at).unwrap_or(i64::MAX);
        let from = base + at as u64;
        let header = Header::parse(&bytes[at..])
            .filter(|header| header.number == number && KINDS.contains(&header.kind));
        let body = header.as_ref().and_then(|header| {
            let start = at + header.size;
            bytes.get(start..start.checked_add(usize::try_from(header.len).ok()?)?)
        });
        let (Some(header), Some(body)) = (header, body) else {
            return visit(SegmentItem::Tear {
                page: None,
                lsn: here,
                from,
                to: base + bytes.len() as u64,
            });
        };
        let start = at + header.size;
        if header.crc != checksum(&bytes[at + 4..start], body) {
            // Its length may still be right; what follows will tell.
            visit(SegmentItem::Tear {
                page: Some(header.page),
                lsn: here,
                from,
                to: base + (start + body.len()) as u64,
            });
        } else if header.kind == CAP {
            return;
        } else {
            visit(SegmentItem::Message {
                page: header.page,
                kind: header.kind,
                lsn: here,
                offset: base + start as u64,
                body,
            });
        }
        at = start + body.len();
    }
}

struct Header {
    crc: u32,
    kind: u8,
    len: u64,
    number: u64,
    page: u64,
    /// The length of the header itself.
    size: usize,
}

impl Header {
    fn parse(bytes: &[u8]) -> Option<Header> {
        let mut rest = bytes;
        let crc = u32::from_le_bytes(*take(&mut rest, 4)?.first_chunk()?);
        let kind = *take(&mut rest, 1)?.first()?;
        let (len, number, page) = (
            integer(&mut rest)?,
            integer(&mut rest)?,
            integer(&mut rest)?,
        );
        Some(Header {
            crc,
            kind,
            len,
            number,
            page,
            size: bytes.len() - rest.len(),
        })
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(body);
    hasher.update(header);
    !hasher.finalize()
}

/// Returns the lsn of a segment from its header or, if that is unreadable, from its first message.
pub(crate) fn lsn_of_segment(bytes: &[u8]) -> Option<i64> {
    let header = SegmentHeader::parse(bytes).map(|header| header.lsn);
    header.or_else(|| first_lsn(bytes))
}

/// The header of a segment.
pub(crate) struct SegmentHeader {
    pub(crate) lsn: i64,
    /// Everything up to this lsn was synced when the segment was begun.
    pub(crate) stable: i64,
}

impl SegmentHeader {
    /// Returns `None` if the header is damaged.
    pub(crate) fn parse(bytes: &[u8]) -> Option<SegmentHeader> {
        let header = bytes.get(..SEGMENT_HEADER)?;
        let crc = u32::from_le_bytes(*header.first_chunk()?);
        let number =
            |at: usize| Some(i64::from_le_bytes(*header.get(at..)?.first_chunk()?) ^ i64::MAX);
        let (lsn, stable) = (number(4)?, number(12)?);
        (!crc == crc32fast::hash(&header[4..]) && lsn >= 0).then_some(SegmentHeader { lsn, stable })
    }
}

/// Returns the lsn of the last message of a batch from the body of a [`BATCH`].
pub(crate) fn parse_batch(body: &[u8]) -> Option<i64> {
    Some(i64::from_le_bytes(*body.first_chunk()?))
}

fn first_lsn(bytes: &[u8]) -> Option<i64> {
    let header = Header::parse(bytes.get(SEGMENT_HEADER..)?)?;
    let start = SEGMENT_HEADER + header.size;
    let body = bytes.get(start..start.checked_add(usize::try_from(header.len).ok()?)?)?;
    let right = header.crc == checksum(&bytes[SEGMENT_HEADER + 4..start], body);
    let lsn = header.number.checked_mul(SEGMENT_SIZE as u64)?;
    right.then(|| i64::try_from(lsn).ok()).flatten()
}

fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(taken)
}

/// Reads one of sled's variable-length integers.
fn integer(bytes: &mut &[u8]) -> Option<u64> {
    let first = *take(bytes, 1)?.first()?;
    Some(match first {
        0..=240 => u64::from(first),
        241..=248 => 240 + 256 * (u64::from(first) - 241) + u64::from(*take(bytes, 1)?.first()?),
        249 => {
            let more = take(bytes, 2)?;
            2288 + 256 * u64::from(more[0]) + u64::from(more[1])
        }
        _ => {
            let mut wide = [0; 8];
            let len = usize::from(first - 247);
            wide[..len].copy_from_slice(take(bytes, len)?);
            u64::from_le_bytes(wide)
        }
    })
}

fn string<'a>(bytes: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(integer(bytes)?).ok()?;
    take(bytes, len)
}

/// A leaf page of a tree.
pub(crate) struct Leaf<'a> {
    /// The common prefix of all keys.
    pub(crate) prefix: &'a [u8],
    /// The rest of each key, and its value.
    pub(crate) pairs: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Leaf<'a> {
    /// Parses the body of a [`NODE`]. Returns `None` for an inner node.
    pub(crate) fn parse(mut bytes: &'a [u8]) -> Option<Leaf<'a>> {
        let bytes = &mut bytes;
        let (_next, _merging_child) = (integer(bytes)?, integer(bytes)?);
        let _merging = take(bytes, 1)?;
        let prefix = usize::from(*take(bytes, 1)?.first()?);
        let (low, _high) = (string(bytes)?, string(bytes)?);
        let prefix = low.get(..prefix)?;
        if *take(bytes, 1)?.first()? != 0 {
            return None;
        }
        let count = integer(bytes)?;
        let mut keys = Vec::new();
        for _ in 0..count {
            keys.push(string(bytes)?);
        }
        let mut pairs = Vec::with_capacity(keys.len());
        for key in keys {
            pairs.push((key, string(bytes)?));
        }
        Some(Leaf { prefix, pairs })
    }
}

/// Parses the body of a [`LINK`] to a leaf: the rest of a key after the prefix of the page, and its new value, or
/// `None` if it is removed. Returns `None` for changes to the tree.
pub(crate) fn parse_link(mut bytes: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let bytes = &mut bytes;
    match *take(bytes, 1)?.first()? {
        0 => {
            let key = string(bytes)?;
            Some((key, Some(string(bytes)?)))
        }
        1 => Some((string(bytes)?, None)),
        _ => None,
    }
}
