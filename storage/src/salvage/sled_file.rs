//! sled's file read without sled: every page it holds whose checksums are right.
//!
//! sled refuses or gives up where part of its file is damaged, and may go back to an older state without a word. This
//! reads the format of 0.34 itself, writes nothing, and goes on behind what is damaged:
//!
//! - the file is a row of segments, each with a header: `crc u32, lsn i64, stable lsn i64`, the latter two XORed with
//!   `i64::MAX`, the checksum inverted;
//! - in a segment stand messages: `crc u32, kind u8, length, segment number, page id` (variable-length integers), body;
//!   the checksum is over the body, then the header behind it, inverted;
//! - a message replaces a page, adds a change to it, or frees it; the one with the highest lsn counts.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use crate::sled_store::SEGMENT_SIZE;

const SEGMENT_HEADER: usize = 20;
/// sled leaves so much at a segment's end unused.
const LONGEST_HEADER: usize = 32;
const CAP: u8 = 2;
const FREE: u8 = 4;
const NODE: u8 = 8;
const LINK: u8 = 10;
const KINDS: std::ops::RangeInclusive<u8> = 1..=LINK + 1;

/// Where a message's body stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    lsn: i64,
    offset: u64,
    len: usize,
}

#[derive(Debug, Default)]
struct Page {
    base: Option<Place>,
    links: Vec<Place>,
    freed: Option<i64>,
}

/// What a read of the file found.
#[derive(Debug)]
pub(crate) struct SledFile {
    file: File,
    pages: BTreeMap<u64, Page>,
    /// Stretches that hold something unreadable.
    pub(crate) damaged: Vec<(u64, u64)>,
}

/// A key with its value, and the moment in sled's own time it is from.
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) lsn: i64,
}

impl SledFile {
    /// Reads the file through.
    ///
    /// # Errors
    /// The system cannot read it.
    pub(crate) fn read(path: &Path) -> io::Result<SledFile> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut found = SledFile {
            file,
            pages: BTreeMap::new(),
            damaged: Vec::new(),
        };
        let mut segments = BTreeMap::new();
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < len {
            found.load(at, len, &mut bytes)?;
            match segment_lsn(&bytes) {
                Some(lsn) => {
                    segments.insert(lsn, at);
                }
                // Never used, or cleared by sled when it opened.
                None if bytes.iter().all(|byte| *byte == 0) => {}
                None => found.damaged.push((at, at + bytes.len() as u64)),
            }
            at += SEGMENT_SIZE as u64;
        }
        let last = segments.keys().next_back().copied();
        for (lsn, at) in segments {
            found.load(at, len, &mut bytes)?;
            found.messages(lsn, at, &bytes, Some(lsn) == last);
        }
        Ok(found)
    }

    fn load(&self, at: u64, len: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let size = (SEGMENT_SIZE as u64).min(len - at);
        bytes.resize(usize::try_from(size).unwrap_or(SEGMENT_SIZE), 0);
        self.file.read_exact_at(bytes, at)
    }

    /// Takes over a segment's messages.
    fn messages(&mut self, lsn: i64, base: u64, bytes: &[u8], is_last: bool) {
        let number = lsn.unsigned_abs() / SEGMENT_SIZE as u64;
        let mut at = SEGMENT_HEADER;
        while at + LONGEST_HEADER <= bytes.len() {
            let header = Header::parse(&bytes[at..])
                .filter(|header| header.number == number && KINDS.contains(&header.kind));
            let Some(header) = header else {
                // Of the last segment the rest is not written yet, or was being written.
                if !is_last {
                    let rest = base + at as u64..base + bytes.len() as u64;
                    self.damaged.push((rest.start, rest.end));
                }
                return;
            };
            let start = at + header.size;
            let end = usize::try_from(header.len)
                .ok()
                .and_then(|len| start.checked_add(len));
            let Some(body) = end.and_then(|end| bytes.get(start..end)) else {
                self.damaged
                    .push((base + at as u64, base + bytes.len() as u64));
                return;
            };
            if header.crc == checksum(&bytes[at + 4..start], body) {
                let place = Place {
                    lsn: lsn + i64::try_from(at).unwrap_or(i64::MAX),
                    offset: base + start as u64,
                    len: body.len(),
                };
                if header.kind == CAP {
                    return;
                }
                self.pages
                    .entry(header.page)
                    .or_default()
                    .take(header.kind, place);
            } else {
                // Its length may still be right: what follows shows.
                self.damaged
                    .push((base + at as u64, base + (start + body.len()) as u64));
            }
            at = start + body.len();
        }
    }

    /// Gives `visit` every entry of every page.
    ///
    /// # Errors
    /// The system cannot read, or `visit` said so.
    pub(crate) fn entries(
        &self,
        mut visit: impl FnMut(u64, Entry<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        for &page in self.pages.keys() {
            for (key, (value, lsn)) in self.page(page)? {
                visit(
                    page,
                    Entry {
                        key: &key,
                        value: &value,
                        lsn,
                    },
                )?;
            }
        }
        Ok(())
    }

    /// A page's entries.
    ///
    /// # Errors
    /// The system cannot read.
    pub(crate) fn page(&self, page: u64) -> io::Result<HashMap<Vec<u8>, (Vec<u8>, i64)>> {
        let mut entries = HashMap::new();
        let Some(page) = self.pages.get(&page) else {
            return Ok(entries);
        };
        let Some(base) = page
            .base
            .filter(|base| page.freed.is_none_or(|freed| freed < base.lsn))
        else {
            return Ok(entries);
        };
        let Some((prefix, leaf)) = parse_leaf(&self.body(base)?) else {
            return Ok(entries);
        };
        for (key, value) in leaf {
            entries.insert([&prefix[..], &key].concat(), (value, base.lsn));
        }
        for link in page.links.iter().filter(|link| link.lsn > base.lsn) {
            match parse_link(&self.body(*link)?) {
                Some((key, Some(value))) => {
                    entries.insert([&prefix[..], &key].concat(), (value, link.lsn));
                }
                Some((key, None)) => {
                    entries.remove(&[&prefix[..], &key].concat());
                }
                None => {}
            }
        }
        Ok(entries)
    }

    fn body(&self, place: Place) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; place.len];
        self.file.read_exact_at(&mut bytes, place.offset)?;
        Ok(bytes)
    }
}

impl Page {
    fn take(&mut self, kind: u8, place: Place) {
        match kind {
            NODE => {
                self.base = Some(place);
                self.links.clear();
            }
            LINK => self.links.push(place),
            FREE => self.freed = Some(place.lsn),
            _ => {}
        }
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

fn segment_lsn(bytes: &[u8]) -> Option<i64> {
    let header = bytes.get(..SEGMENT_HEADER)?;
    let crc = u32::from_le_bytes(*header.first_chunk()?);
    let lsn = i64::from_le_bytes(*header.get(4..)?.first_chunk()?) ^ i64::MAX;
    (!crc == crc32fast::hash(&header[4..]) && lsn >= 0).then_some(lsn)
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

type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A leaf's common prefix, and its keys behind it with their values. `None` for an inner node.
fn parse_leaf(mut bytes: &[u8]) -> Option<(Vec<u8>, Pairs)> {
    let bytes = &mut bytes;
    let (_next, _merging_child) = (integer(bytes)?, integer(bytes)?);
    let _merging = take(bytes, 1)?;
    let prefix = usize::from(*take(bytes, 1)?.first()?);
    let (low, _high) = (string(bytes)?, string(bytes)?);
    let prefix = low.get(..prefix)?.to_vec();
    if *take(bytes, 1)?.first()? != 0 {
        return None;
    }
    let count = integer(bytes)?;
    let mut keys = Vec::new();
    for _ in 0..count {
        keys.push(string(bytes)?.to_vec());
    }
    let mut pairs = Vec::with_capacity(keys.len());
    for key in keys {
        pairs.push((key, string(bytes)?.to_vec()));
    }
    Some((prefix, pairs))
}

/// A key's new value, or its end. `None` for changes to the tree.
fn parse_link(mut bytes: &[u8]) -> Option<(Vec<u8>, Option<Vec<u8>>)> {
    let bytes = &mut bytes;
    match *take(bytes, 1)?.first()? {
        0 => {
            let key = string(bytes)?.to_vec();
            Some((key, Some(string(bytes)?.to_vec())))
        }
        1 => Some((string(bytes)?.to_vec(), None)),
        _ => None,
    }
}
