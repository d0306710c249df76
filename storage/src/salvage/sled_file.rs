//! Reads sled's file without sled: every page whose checksums are correct.
//!
//! If part of its file is damaged, sled refuses to open it, gives up, or silently reverts to an older state. This
//! module parses the format itself (see [`crate::sled_format`]), writes nothing, and continues after damage.

use std::{
    collections::{BTreeMap, HashMap},
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::Path,
};

use super::tail::Tail;
use crate::{
    schema,
    sled_format::{
        CHANGES, COUNTER, FREE, LINK, Leaf, META, NODE, SegmentHeader, SegmentItem, lsn_of_segment,
        parse_link, read_segment,
    },
    sled_store::SEGMENT_SIZE,
    types::u64_at,
};

/// The location of a message body, with its lsn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
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

/// Where reading a segment hit something unreadable.
#[derive(Debug)]
struct UnreadableRange {
    lsn: i64,
    from: u64,
    to: u64,
    /// The index in [`SledFile::torn`] of the messages of its segment.
    segment: usize,
}

/// The contents of a sled file.
#[derive(Debug)]
pub(crate) struct SledFile {
    file: File,
    pages: BTreeMap<u64, Page>,
    tears: Vec<UnreadableRange>,
    /// For each segment with a tear: the page and lsn of its messages about pages, including unreadable ones.
    torn: Vec<Vec<(u64, i64)>>,
    /// The lsn at which sled stops when it opens the file: see [`Tail`].
    end: i64,
    /// Messages after that end that no finished fold follows: sled ignores them.
    pending: Vec<(u64, u8, Place)>,
    /// The lsn at which the last fold was finished.
    finished: i64,
    /// The number of the last folded log segment read so far.
    folded: u64,
    /// Whether this is a volume. The main sled's catalogue says what a volume must contain, and nothing in it ever
    /// changes, so everything readable is taken, wherever it is, even from older versions of pages: versions that
    /// survived a power cut may lack values that were moved to pages that did not.
    is_volume: bool,
    pub(crate) values: HashMap<Vec<u8>, Place>,
    /// The common prefix of the keys of each page of a volume.
    prefixes: HashMap<u64, Vec<u8>>,
    /// Byte ranges that contain unreadable data that is needed.
    pub(crate) damaged: Vec<(u64, u64)>,
}

/// A decoded page: by key, the value and its lsn.
pub(crate) type Entries = HashMap<Vec<u8>, (Vec<u8>, i64)>;

/// A key with its value and the lsn of the value.
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) lsn: i64,
}

impl SledFile {
    /// Reads the whole file.
    ///
    /// A power cut leaves tears too: in writes since the last sync, and in freed segments that were being rewritten.
    /// The former have no finished fold after them, because a fold is synced before it is finished; nothing in the
    /// latter counts any more. Neither is damage.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read(path: &Path, is_volume: bool) -> io::Result<SledFile> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut found = SledFile {
            file,
            pages: BTreeMap::new(),
            tears: Vec::new(),
            torn: Vec::new(),
            end: i64::MAX,
            pending: Vec::new(),
            finished: -1,
            folded: 0,
            is_volume,
            values: HashMap::new(),
            prefixes: HashMap::new(),
            damaged: Vec::new(),
        };
        let (mut segments, mut unknown) = (BTreeMap::new(), Vec::new());
        let mut tail = Tail::default();
        let mut bytes = Vec::new();
        let mut at = 0;
        while at < len {
            found.load(at, len, &mut bytes)?;
            if let Some(header) = SegmentHeader::parse(&bytes) {
                tail.take(&header, at);
            }
            match lsn_of_segment(&bytes) {
                Some(lsn) => {
                    segments.insert(lsn, at);
                }
                // Never used, or cleared by sled when it opened the file.
                None if bytes.iter().all(|byte| *byte == 0) => {}
                None => unknown.push((at, at + bytes.len() as u64)),
            }
            at += SEGMENT_SIZE as u64;
        }
        if !is_volume {
            found.end = tail.end(|at, bytes| found.load(at, len, bytes))?;
        }
        for (lsn, at) in segments {
            found.load(at, len, &mut bytes)?;
            found.messages(lsn, at, &bytes);
        }
        found.find_damage(&unknown);
        Ok(found)
    }

    /// Distinguishes damage from what a power cut leaves.
    fn find_damage(&mut self, unknown: &[(u64, u64)]) {
        if self.is_volume {
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
            // After the last finished fold, sled ignores whatever is torn, and so do we. Before it, any segment with
            // something that counts was intact, so a tear in it is damage. The page that a damaged message claims to be
            // about cannot be relied on.
            let before_fold = tear.lsn < self.finished;
            let messages = &self.torn[tear.segment];
            if before_fold && (messages.is_empty() || messages.iter().any(counts)) {
                self.damaged.push((tear.from, tear.to));
            }
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

    /// Adds the messages of a segment.
    fn messages(&mut self, lsn: i64, base: u64, bytes: &[u8]) {
        let tears = self.tears.len();
        let segment = self.torn.len();
        let mut changes = Vec::new();
        read_segment(lsn, base, bytes, |item| match item {
            SegmentItem::Tear {
                page,
                lsn,
                from,
                to,
            } => {
                changes.extend(page.map(|page| (page, lsn)));
                self.tears.push(UnreadableRange {
                    lsn,
                    from,
                    to,
                    segment,
                });
            }
            SegmentItem::Message {
                page,
                kind,
                lsn,
                offset,
                body,
            } => {
                if CHANGES.contains(&kind) {
                    changes.push((page, lsn));
                }
                let len = body.len();
                self.take(page, kind, Place { lsn, offset, len }, body);
            }
        });
        if self.tears.len() > tears {
            self.torn.push(changes);
        }
    }

    /// Adds a message, now or once a finished fold after it is found.
    fn take(&mut self, page: u64, kind: u8, place: Place, body: &[u8]) {
        if !CHANGES.contains(&kind) {
            return;
        }
        if self.is_volume {
            self.take_values(page, kind, place, body);
            return;
        }
        // The page with this number is also rewritten unchanged, which says nothing about what comes before it.
        let before = self.folded;
        self.folded = folded_in(kind, body).unwrap_or(before);
        let is_finished = self.folded > before;
        if is_finished {
            self.finished = place.lsn;
        }
        if place.lsn < self.end {
            self.pages.entry(page).or_default().take(kind, place);
            return;
        }
        self.pending.push((page, kind, place));
        if is_finished {
            for (page, kind, place) in self.pending.drain(..) {
                self.pages.entry(page).or_default().take(kind, place);
            }
        }
    }

    /// Adds the values in a message of a volume that match the checksum for their keys.
    fn take_values(&mut self, page: u64, kind: u8, place: Place, body: &[u8]) {
        let mut take = |prefix: &[u8], key: &[u8], value: &[u8]| {
            let key = [prefix, key].concat();
            // A change to a page that is missing in its version of that time would show a value under the wrong key.
            if schema::unsealed(&key, value).is_some() {
                let within = value.as_ptr() as usize - body.as_ptr() as usize;
                let (offset, len) = (place.offset + within as u64, value.len());
                let place = Place {
                    offset,
                    len,
                    ..place
                };
                self.values.insert(key, place);
            }
        };
        match kind {
            NODE => match Leaf::parse(body) {
                Some(Leaf { prefix, pairs }) => {
                    for (key, value) in pairs {
                        take(prefix, key, value);
                    }
                    self.prefixes.insert(page, prefix.to_vec());
                }
                None => {
                    self.prefixes.remove(&page);
                }
            },
            LINK => {
                if let Some((key, Some(value))) = parse_link(body)
                    && let Some(prefix) = self.prefixes.get(&page)
                {
                    take(prefix, key, value);
                }
            }
            FREE => {
                self.prefixes.remove(&page);
            }
            _ => {}
        }
    }

    /// Returns what a volume holds under a key, including its checksum.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn value(&self, key: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let place = self.values.get(key);
        place.map(|place| self.body(*place)).transpose()
    }

    /// Calls `visit` with every entry of every page.
    ///
    /// # Errors
    /// The file cannot be read, or `visit` failed.
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

    /// Returns the entries of a page.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn page(&self, page: u64) -> io::Result<Entries> {
        let mut entries = HashMap::new();
        let Some(page) = self.pages.get(&page) else {
            return Ok(entries);
        };
        let Some(base) = page.base.filter(|_| !page.is_free()) else {
            return Ok(entries);
        };
        let body = self.body(base)?;
        let Some(Leaf { prefix, pairs }) = Leaf::parse(&body) else {
            return Ok(entries);
        };
        for (key, value) in pairs {
            entries.insert([prefix, key].concat(), (value.to_vec(), base.lsn));
        }
        for link in page.links.iter().filter(|link| link.lsn > base.lsn) {
            match parse_link(&self.body(*link)?) {
                Some((key, Some(value))) => {
                    entries.insert([prefix, key].concat(), (value.to_vec(), link.lsn));
                }
                Some((key, None)) => {
                    entries.remove(&[prefix, key].concat());
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
            // The tree names and the counter have pages of their own.
            META | COUNTER => self.base = Some(place),
            _ => {}
        }
    }

    fn is_free(&self) -> bool {
        self.freed > self.base.map(|base| base.lsn)
    }

    /// Returns whether a message with this lsn is part of the current state of the page.
    fn counts(&self, lsn: i64) -> bool {
        // A freed page number is reused for a new page.
        let replaced = self.base.is_some_and(|base| base.lsn > lsn);
        let freed = self.freed.is_some_and(|freed| freed > lsn);
        !replaced && !freed
    }

    /// Returns whether the page exists but its contents are lost.
    fn is_lost(&self) -> bool {
        self.freed.is_none() && self.base.is_none()
    }
}

/// Returns the number of the last folded log segment if a message contains it. Whenever it grows, everything before was
/// synced when it was written.
fn folded_in(kind: u8, body: &[u8]) -> Option<u64> {
    // A link contains only the end of its key, but the checksum covers the whole key.
    let number = |value: &[u8]| u64_at(schema::unsealed(schema::KEY_FOLDED, value)?, 0);
    match kind {
        LINK => {
            let (key, value) = parse_link(body)?;
            let may_be = schema::KEY_FOLDED.ends_with(key);
            value.filter(|_| may_be).and_then(number)
        }
        NODE => {
            let Leaf { prefix, pairs } = Leaf::parse(body)?;
            let is_it = |key: &[u8]| [prefix, key].concat() == schema::KEY_FOLDED;
            let found = pairs.into_iter().find(|(key, _)| is_it(key));
            found.and_then(|(_, value)| number(value))
        }
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
        // The number is reused for another page, whose first message may be the damaged one.
        assert!(page.counts(40));
        page.take(NODE, at(50));
        assert!(!page.counts(40) && page.counts(50));
    }

    #[test]
    fn what_stands_behind_the_end_counts_once_a_fold_was_finished_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        std::fs::write(&path, b"").unwrap();
        let mut found = SledFile::read(&path, false).unwrap();
        let folded = |number: u64| {
            let key = schema::KEY_FOLDED;
            let value = schema::sealed(key, &number.to_be_bytes());
            let (key_len, value_len) = (key.len() as u8, value.len() as u8);
            [&[0, key_len][..], key, &[value_len], &value].concat()
        };
        let mut lsn = 0;
        let mut link = |found: &mut SledFile, body: &[u8]| {
            lsn += 1;
            let (offset, len) = (0, 0);
            found.take(7, LINK, Place { lsn, offset, len }, body);
            (found.pages[&7].links.len(), found.finished)
        };
        assert_eq!(link(&mut found, &folded(5)), (1, 1));
        found.end = 2;
        assert_eq!(link(&mut found, b"other"), (1, 1));
        assert_eq!(link(&mut found, &folded(5)), (1, 1), "written again");
        assert_eq!(link(&mut found, &folded(6)), (4, 4));
    }
}
