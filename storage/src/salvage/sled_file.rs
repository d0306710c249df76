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

use crate::{schema, sled_store::SEGMENT_SIZE};

const SEGMENT_HEADER: usize = 20;
/// sled leaves so much at a segment's end unused.
const LONGEST_HEADER: usize = 32;
const CAP: u8 = 2;
const FREE: u8 = 4;
const COUNTER: u8 = 5;
const META: u8 = 6;
const NODE: u8 = 8;
const LINK: u8 = 10;
/// Kinds that say something of a page.
const CHANGES: std::ops::RangeInclusive<u8> = FREE..=LINK + 1;
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

/// Where reading a segment ended before its time.
#[derive(Debug)]
struct Tear {
    lsn: i64,
    from: u64,
    to: u64,
    /// Whose segment it is: where its messages are in [`SledFile::torn`].
    segment: usize,
}

/// What a read of the file found.
#[derive(Debug)]
pub(crate) struct SledFile {
    file: File,
    pages: BTreeMap<u64, Page>,
    tears: Vec<Tear>,
    /// Of each segment with a tear, the messages about pages, by page and lsn; those that are not readable too.
    torn: Vec<Vec<(u64, i64)>>,
    /// Messages behind a tear behind which no fold came to its end: sled leaves them out.
    pending: Vec<(u64, u8, Place)>,
    /// The moment at which the last fold behind a tear was finished.
    finished: i64,
    /// Of a volume the main sled's catalogue says what must be there: all that is readable is taken.
    is_volume: bool,
    /// Stretches that hold something unreadable which is missed.
    pub(crate) damaged: Vec<(u64, u64)>,
}

/// A page, decoded: by key its values, and the moments they are from.
pub(crate) type Entries = HashMap<Vec<u8>, (Vec<u8>, i64)>;

/// A key with its value, and the moment in sled's own time it is from.
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) lsn: i64,
}

impl SledFile {
    /// Reads the file through.
    ///
    /// A power cut leaves tears too: in what was written since the last sync, and in segments that were given free and
    /// are being written again. The first have no finished fold behind them, as a fold is synced before it is finished;
    /// of the second nothing counts any more. Neither is damage.
    ///
    /// # Errors
    /// The system cannot read it.
    pub(crate) fn read(path: &Path, is_volume: bool) -> io::Result<SledFile> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut found = SledFile {
            file,
            pages: BTreeMap::new(),
            tears: Vec::new(),
            torn: Vec::new(),
            pending: Vec::new(),
            finished: -1,
            is_volume,
            damaged: Vec::new(),
        };
        let (mut segments, mut unknown) = (BTreeMap::new(), Vec::new());
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < len {
            found.load(at, len, &mut bytes)?;
            match segment_lsn(&bytes).or_else(|| first_lsn(&bytes)) {
                Some(lsn) => {
                    segments.insert(lsn, at);
                }
                // Never used, or cleared by sled when it opened.
                None if bytes.iter().all(|byte| *byte == 0) => {}
                None => unknown.push((at, at + bytes.len() as u64)),
            }
            at += SEGMENT_SIZE as u64;
        }
        for (lsn, at) in segments {
            found.load(at, len, &mut bytes)?;
            found.messages(lsn, at, &bytes);
        }
        found.conclude(&unknown);
        Ok(found)
    }

    /// Tells damage from what a power cut leaves.
    fn conclude(&mut self, unknown: &[(u64, u64)]) {
        if self.is_volume && self.pages.is_empty() {
            return;
        }
        let sound = self.pages.iter().filter(|(_, page)| !page.is_lost());
        let Some(last) = sound.map(|(number, _)| *number).next_back() else {
            self.damaged.extend(unknown);
            return;
        };
        for tear in std::mem::take(&mut self.tears) {
            let counts = |(page, lsn): &(u64, i64)| {
                self.pages.get(page).is_none_or(|page| page.counts(*lsn))
            };
            // Behind the last finished fold sled leaves out what is torn, and so does this. Before it, a segment of which
            // anything counts was whole; which page a damaged message was about is not to be relied on.
            let before_fold = tear.lsn < self.finished;
            let messages = &self.torn[tear.segment];
            if before_fold && (messages.is_empty() || messages.iter().any(counts)) {
                self.damaged.push((tear.from, tear.to));
            }
        }
        if self.is_volume {
            self.damaged.clear();
            return;
        }
        // sled numbers its pages without gaps.
        let known = self.pages.values().filter(|page| !page.is_lost()).count() as u64;
        if known <= last {
            self.damaged.extend(unknown);
            if self.damaged.is_empty() {
                self.damaged.push((0, 0));
            }
        }
    }

    fn load(&self, at: u64, len: u64, bytes: &mut Vec<u8>) -> io::Result<()> {
        let size = (SEGMENT_SIZE as u64).min(len - at);
        bytes.resize(usize::try_from(size).unwrap_or(SEGMENT_SIZE), 0);
        self.file.read_exact_at(bytes, at)
    }

    /// Takes over a segment's messages.
    fn messages(&mut self, lsn: i64, base: u64, bytes: &[u8]) {
        let tears = self.tears.len();
        let mut changes = Vec::new();
        self.segment(lsn, base, bytes, &mut changes);
        if self.tears.len() > tears {
            self.torn.push(changes);
        }
    }

    fn segment(&mut self, lsn: i64, base: u64, bytes: &[u8], changes: &mut Vec<(u64, i64)>) {
        let number = lsn.unsigned_abs() / SEGMENT_SIZE as u64;
        let segment = self.torn.len();
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
                self.tears.push(Tear {
                    lsn: here,
                    from,
                    to: base + bytes.len() as u64,
                    segment,
                });
                return;
            };
            let start = at + header.size;
            if header.crc != checksum(&bytes[at + 4..start], body) {
                // Its length may still be right: what follows shows.
                changes.push((header.page, here));
                self.tears.push(Tear {
                    lsn: here,
                    from,
                    to: base + (start + body.len()) as u64,
                    segment,
                });
            } else if header.kind == CAP {
                return;
            } else {
                let place = Place {
                    lsn: here,
                    offset: base + start as u64,
                    len: body.len(),
                };
                if CHANGES.contains(&header.kind) {
                    changes.push((header.page, here));
                }
                self.take(header.page, header.kind, place, body);
            }
            at = start + body.len();
        }
    }

    /// Takes a message over, now or once a fold behind it is known to have come to its end.
    fn take(&mut self, page: u64, kind: u8, place: Place, body: &[u8]) {
        if !CHANGES.contains(&kind) {
            return;
        }
        if self.tears.is_empty() || self.is_volume {
            self.pages.entry(page).or_default().take(kind, place);
            return;
        }
        self.pending.push((page, kind, place));
        if finishes_fold(kind, body) {
            self.finished = place.lsn;
            for (page, kind, place) in self.pending.drain(..) {
                self.pages.entry(page).or_default().take(kind, place);
            }
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
    pub(crate) fn page(&self, page: u64) -> io::Result<Entries> {
        let mut entries = HashMap::new();
        let Some(page) = self.pages.get(&page) else {
            return Ok(entries);
        };
        let Some(base) = page.base.filter(|_| !page.is_free()) else {
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
            // The tree's names and its counter have pages of their own.
            META | COUNTER => self.base = Some(place),
            _ => {}
        }
    }

    fn is_free(&self) -> bool {
        self.freed > self.base.map(|base| base.lsn)
    }

    /// Whether a message at this moment is part of what the page is now.
    fn counts(&self, lsn: i64) -> bool {
        // A number that was free is given to a new page again.
        let replaced = self.base.is_some_and(|base| base.lsn > lsn);
        let freed = self.freed.is_some_and(|freed| freed > lsn);
        !replaced && !freed
    }

    /// Whether there is a page, and what it holds is not known.
    fn is_lost(&self) -> bool {
        self.freed.is_none() && self.base.is_none()
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

/// The lsn of a segment whose header is not readable, by its first message.
fn first_lsn(bytes: &[u8]) -> Option<i64> {
    let header = Header::parse(bytes.get(SEGMENT_HEADER..)?)?;
    let start = SEGMENT_HEADER + header.size;
    let body = bytes.get(start..start.checked_add(usize::try_from(header.len).ok()?)?)?;
    let right = header.crc == checksum(&bytes[SEGMENT_HEADER + 4..start], body);
    let lsn = header.number.checked_mul(SEGMENT_SIZE as u64)?;
    right.then(|| i64::try_from(lsn).ok()).flatten()
}

/// Whether a message sets the number of the last folded log segment. All before it was synced when it was written.
fn finishes_fold(kind: u8, body: &[u8]) -> bool {
    match kind {
        LINK => parse_link(body).is_some_and(|(key, _)| schema::KEY_FOLDED.ends_with(&key)),
        NODE => parse_leaf(body).is_some_and(|(prefix, pairs)| {
            pairs
                .iter()
                .any(|(key, _)| [&prefix[..], key].concat() == schema::KEY_FOLDED)
        }),
        _ => false,
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_of_a_page_counts_until_it_is_replaced_or_freed() {
        let at = |lsn| Place {
            lsn,
            offset: 0,
            len: 0,
        };
        let mut page = Page::default();
        page.take(NODE, at(10));
        page.take(LINK, at(20));
        assert!(page.counts(10) && page.counts(20) && !page.counts(9));
        page.take(FREE, at(30));
        assert!(!page.counts(10) && !page.counts(20));
        // The number is given to another page, of which the first message may be the damaged one.
        assert!(page.counts(40));
        page.take(NODE, at(50));
        assert!(!page.counts(40) && page.counts(50));
    }
}
