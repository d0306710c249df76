//! The format of sled 0.34's file, read without sled.
//!
//! - The file is a row of segments, each with a header: `crc u32, lsn i64, stable lsn i64`, the latter two XORed with
//!   `i64::MAX`, the checksum inverted.
//! - In a segment stand messages: `crc u32, kind u8, length, segment number, page id` (variable-length integers), body;
//!   the checksum is over the body, then the header behind it, inverted.
//! - A message replaces a page, adds a change to it, or frees it; the one with the highest lsn counts.

use crate::sled_store::SEGMENT_SIZE;

/// Bytes of a segment's header.
pub(crate) const SEGMENT_HEADER: usize = 20;
/// sled leaves so much at a segment's end unused.
const LONGEST_HEADER: usize = 32;
const CAP: u8 = 2;
/// What follows, to the lsn in its body, is there as a whole or not at all.
pub(crate) const BATCH: u8 = 3;
/// A page is free.
pub(crate) const FREE: u8 = 4;
/// The page of the counter.
pub(crate) const COUNTER: u8 = 5;
/// The page of the trees' names.
pub(crate) const META: u8 = 6;
/// A page as a whole.
pub(crate) const NODE: u8 = 8;
/// A change to a page.
pub(crate) const LINK: u8 = 10;
/// Kinds that say something of a page.
pub(crate) const CHANGES: std::ops::RangeInclusive<u8> = FREE..=LINK + 1;
const KINDS: std::ops::RangeInclusive<u8> = 1..=LINK + 1;

/// What stands in a segment, one after the other.
pub(crate) enum Stretch<'a> {
    /// A message whose checksum is right.
    Message {
        page: u64,
        kind: u8,
        lsn: i64,
        /// Where the body stands in the file.
        offset: u64,
        body: &'a [u8],
    },
    /// Something unreadable: where reading of the segment ends, or one message, and about which page that seems to be.
    Tear {
        page: Option<u64>,
        lsn: i64,
        from: u64,
        to: u64,
    },
}

/// Gives `visit` what stands in the segment of this `lsn`, whose `bytes` begin at `base` in the file.
pub(crate) fn read_segment<'a>(
    lsn: i64,
    base: u64,
    bytes: &'a [u8],
    mut visit: impl FnMut(Stretch<'a>),
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
            return visit(Stretch::Tear {
                page: None,
                lsn: here,
                from,
                to: base + bytes.len() as u64,
            });
        };
        let start = at + header.size;
        if header.crc != checksum(&bytes[at + 4..start], body) {
            // Its length may still be right: what follows shows.
            visit(Stretch::Tear {
                page: Some(header.page),
                lsn: here,
                from,
                to: base + (start + body.len()) as u64,
            });
        } else if header.kind == CAP {
            return;
        } else {
            visit(Stretch::Message {
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
    /// Bytes of the header itself.
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

/// The lsn of a segment, by its header or, if that is not readable, by its first message.
pub(crate) fn lsn_of_segment(bytes: &[u8]) -> Option<i64> {
    let header = SegmentHeader::parse(bytes).map(|header| header.lsn);
    header.or_else(|| first_lsn(bytes))
}

/// What a segment begins with.
pub(crate) struct SegmentHeader {
    pub(crate) lsn: i64,
    /// Everything up to here was synced when the segment was begun.
    pub(crate) stable: i64,
}

impl SegmentHeader {
    /// `None` if it is not intact.
    pub(crate) fn parse(bytes: &[u8]) -> Option<SegmentHeader> {
        let header = bytes.get(..SEGMENT_HEADER)?;
        let crc = u32::from_le_bytes(*header.first_chunk()?);
        let number =
            |at: usize| Some(i64::from_le_bytes(*header.get(at..)?.first_chunk()?) ^ i64::MAX);
        let (lsn, stable) = (number(4)?, number(12)?);
        (!crc == crc32fast::hash(&header[4..]) && lsn >= 0).then_some(SegmentHeader { lsn, stable })
    }
}

/// From the body of a [`BATCH`]: the lsn of its last message.
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

/// sled's variable-length integers.
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

/// A page of a tree that holds values.
pub(crate) struct Leaf<'a> {
    /// What all keys begin with.
    pub(crate) prefix: &'a [u8],
    /// What follows of each key, and its value.
    pub(crate) pairs: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Leaf<'a> {
    /// From the body of a [`NODE`]. `None` for an inner node.
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

/// From the body of a [`LINK`] to a leaf: what follows of a key behind the page's prefix, and its new value or `None` for
/// its end. `None` for changes to the tree.
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
