//! Collects everything intact in a store's files without changing any.

use std::{
    collections::{BTreeMap, HashMap},
    path::Path,
    sync::Arc,
};

use super::{
    places::{describe, directories, newest_main},
    sled_file::{Entry, SledFile},
};
use crate::{
    definitions::Head,
    directory::{CleanClose, Directory, segments_text},
    error::StorageError,
    ranges::RangeSet,
    record::Record,
    schema::{self, Chunk, QueueMarks},
    segment::{End, Segment},
    types::{QueueId, u32_at, u64_at},
};

/// Everything known about a queue except its messages.
#[derive(Debug, Default)]
pub(super) struct FoundQueue {
    pub(super) marks: QueueMarks,
    pub(super) chunks: BTreeMap<u64, (Chunk, i64)>,
    /// The positions that the log acknowledges.
    pub(super) acked: RangeSet,
    /// Where the log last deletes it: everything before that, in the log and in sled, is gone.
    pub(super) deleted: Option<(u64, u64)>,
}

impl FoundQueue {
    /// Returns how many messages of a chunk the log has not acknowledged. This is an upper bound if it has acknowledged
    /// some of them.
    pub(super) fn live_of(&self, chunk: &Chunk) -> u64 {
        if self.acked.covers(chunk.first_live, chunk.last_live) {
            0
        } else {
            chunk.live
        }
    }
}

/// Where in a sled file a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueLocation {
    /// On this page.
    Page(u64),
    /// In a volume, which locates it by its key.
    Value,
}

/// Everything that was found.
pub(super) struct Gathered {
    /// The main sled and the volumes.
    pub(super) sleds: Vec<SledFile>,
    is_older_schema: bool,
    pub(super) queues: BTreeMap<QueueId, FoundQueue>,
    /// By queue, first position and part: the sled and the location in it. Entries of a deleted queue are kept, because
    /// other queues may share their messages.
    pub(super) bodies: BTreeMap<(QueueId, u64, u32), (usize, ValueLocation)>,
    pub(super) definitions: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Incomplete definitions in sled, each with a description of the problem, unless the log has a newer version.
    partial: BTreeMap<Vec<u8>, String>,
    pub(super) segments: Vec<(Arc<Segment>, End)>,
    folded: Option<(u64, i64)>,
    identity: Option<(u64, i64)>,
    /// The schema version in the main sled.
    version: Option<(u64, i64)>,
    pub(super) damage: Vec<String>,
    /// The catalogue may be incomplete.
    pub(super) main_is_damaged: bool,
    pub(super) torn_bytes: u64,
}

impl Gathered {
    /// Reads everything except the messages.
    pub(super) fn read(directory: &Directory) -> Result<Gathered, StorageError> {
        let mut gathered = Gathered {
            sleds: Vec::new(),
            is_older_schema: false,
            queues: BTreeMap::new(),
            bodies: BTreeMap::new(),
            definitions: BTreeMap::new(),
            partial: BTreeMap::new(),
            segments: Vec::new(),
            folded: None,
            identity: None,
            version: None,
            damage: Vec::new(),
            main_is_damaged: false,
            torn_bytes: 0,
        };
        directory.check_version()?;
        gathered.read_sleds(directory)?;
        // A newer version that was interrupted while it took the store over has not changed the marker yet.
        if let Some((version, _)) = gathered.version {
            directory.known_version(version)?;
        }
        gathered.check_marker(directory);
        gathered.find_segments(directory)?;
        gathered.read_log();
        if !gathered.partial.is_empty() {
            let partial = std::mem::take(&mut gathered.partial);
            gathered.damage.extend(partial.into_values());
            gathered.main_is_damaged = true;
        }
        let nothing = gathered.queues.is_empty()
            && gathered.definitions.is_empty()
            && gathered.segments.is_empty();
        let markers = (directory.marker(), directory.last_segment());
        if nothing && matches!(markers, (Ok(None), Ok(0))) {
            // Creation of the store was interrupted: the marker is written last, and nothing comes before it.
            gathered.damage.clear();
        }
        Ok(gathered)
    }

    /// Reads the main sled, then every volume.
    fn read_sleds(&mut self, directory: &Directory) -> Result<(), StorageError> {
        let marker = directory.marker().ok().flatten();
        self.is_older_schema =
            marker.is_some_and(|marker| marker.version == schema::VERSION_WITHOUT_VOLUMES);
        let main = match marker {
            Some(marker) => directory.main(marker.generation),
            None => newest_main(directory)?,
        };
        self.read_sled(&main.join("db"), false);
        if self.sleds.is_empty() || self.identity.is_none() {
            self.damage.push(
                "the main database is lost: acknowledged messages may be delivered again"
                    .to_owned(),
            );
        }
        self.main_is_damaged = !self.damage.is_empty();
        for volume in directories(directory, &directory.volumes)? {
            let db = volume.join("db");
            // Without a file, the volume was being created or deleted.
            if db.exists() {
                self.read_sled(&db, true);
            }
        }
        Ok(())
    }

    fn read_sled(&mut self, path: &Path, is_volume: bool) {
        let sled = match SledFile::read(path, is_volume) {
            Ok(sled) => sled,
            Err(error) => {
                self.damage
                    .push(format!("{} cannot be read: {error}", path.display()));
                return;
            }
        };
        for (from, to) in &sled.damaged {
            self.damage.push(format!(
                "bytes {from} to {to} of {} are damaged",
                path.display()
            ));
        }
        for key in sled.values.keys() {
            self.take_body(key, (self.sleds.len(), ValueLocation::Value));
        }
        let mut parts = BTreeMap::new();
        let mut newest = HashMap::new();
        let read = sled.entries(|page, entry| {
            // If two pages have the same key, the newer one counts.
            let seen = newest.entry(entry.key.to_vec()).or_insert(entry.lsn);
            if *seen <= entry.lsn {
                *seen = entry.lsn;
                self.take(page, &entry, &mut parts);
            }
            Ok(())
        });
        if let Err(error) = read {
            self.damage.push(format!(
                "the rest of {} cannot be read: {error}",
                path.display()
            ));
        }
        self.assemble(parts);
        self.sleds.push(sled);
    }

    /// Adds one value from sled.
    fn take(&mut self, page: u64, entry: &Entry<'_>, parts: &mut BTreeMap<Vec<u8>, Vec<u8>>) {
        let Some(value) = schema::unsealed(entry.key, entry.value) else {
            self.damage
                .push(format!("{} is damaged", describe(entry.key)));
            return;
        };
        let (key, lsn, source) = (entry.key, entry.lsn, self.sleds.len());
        match key.first() {
            Some(&schema::DEFINITION | &schema::DEFINITION_PART) => {
                parts.insert(key.to_vec(), value.to_vec());
            }
            Some(&schema::QUEUE) => {
                let marks = QueueMarks::decode(value);
                if let (Some(queue), Some(marks)) = (schema::parse_queue_key(key), marks) {
                    self.queues.entry(queue).or_default().marks = marks;
                }
            }
            Some(&schema::CATALOGUE) => {
                let chunk = self.decode(value);
                if let (Some((queue, first)), Some(chunk)) =
                    (schema::parse_catalogue_key(key), chunk)
                {
                    let chunks = &mut self.queues.entry(queue).or_default().chunks;
                    chunks.insert(first.0, (chunk, lsn));
                }
            }
            Some(&schema::BODY) => self.take_body(key, (source, ValueLocation::Page(page))),
            _ if key == schema::KEY_FOLDED => self.folded = u64_at(value, 0).map(|n| (n, lsn)),
            _ if key == schema::KEY_IDENTITY => self.identity = u64_at(value, 0).map(|n| (n, lsn)),
            _ if key == schema::KEY_VERSION => {
                self.version = u32_at(value, 0).map(|n| (u64::from(n), lsn));
            }
            _ => {}
        }
    }

    fn take_body(&mut self, key: &[u8], place: (usize, ValueLocation)) {
        if let (Some(queue), Some(first), Some(part)) =
            (u64_at(key, 1), u64_at(key, 9), u32_at(key, 17))
        {
            let queue = QueueId(queue);
            self.queues.entry(queue).or_default();
            self.bodies.insert((queue, first, part), place);
        }
    }

    fn decode(&self, value: &[u8]) -> Option<Chunk> {
        if self.is_older_schema {
            Chunk::decode_older(value)
        } else {
            Chunk::decode(value)
        }
    }

    /// Assembles definitions from their parts.
    fn assemble(&mut self, parts: BTreeMap<Vec<u8>, Vec<u8>>) {
        for (key, value) in &parts {
            let Some((schema::DEFINITION, name)) =
                key.split_first().map(|(kind, name)| (*kind, name))
            else {
                continue;
            };
            let Some(head) = Head::parse(value) else {
                self.damage.push(format!("{} is damaged", describe(key)));
                continue;
            };
            let further =
                (1..head.parts).map(|part| parts.get(&schema::definition_part_key(name, part)));
            let further: Option<Vec<_>> = further.collect();
            let fault = match further.map(|further| head.assemble(&further)) {
                Some(Some(whole)) => {
                    self.definitions.insert(name.to_vec(), whole);
                    continue;
                }
                Some(None) => format!("parts of {} are from different versions", describe(key)),
                None => format!("part of {} is missing", describe(key)),
            };
            self.partial.insert(name.to_vec(), fault);
        }
    }

    fn check_marker(&mut self, directory: &Directory) {
        match (directory.marker(), self.identity) {
            (Ok(Some(marker)), Some((identity, _))) if marker.identity == identity => {}
            (Ok(Some(_)), Some(_)) => self
                .damage
                .push("`sled` and the marker file `store` belong to different stores".to_owned()),
            (Ok(Some(_)), None) => self
                .damage
                .push("the identity of the store in `sled` is lost".to_owned()),
            (Ok(None), _) => self
                .damage
                .push("the marker file `store` is missing".to_owned()),
            (Err(error), _) => self.damage.push(error.to_string()),
        }
        if self.folded.is_none() && !self.sleds.is_empty() {
            // This is also true of a store of which nothing was ever folded, which has no chunks and its complete log.
            let first = directory
                .list_segments()
                .ok()
                .and_then(|all| all.first().map(|(seq, _)| *seq));
            let chunks = self.queues.values().any(|queue| !queue.chunks.is_empty());
            if first.map_or(chunks, |first| first > 1) {
                self.damage.push(match first {
                    Some(first) if first > 1 && !chunks => format!(
                        "missing: {}, or the number of the last folded segment",
                        segments_text(1, first - 1)
                    ),
                    Some(_) | None => {
                        "the number of the last folded log segment is lost".to_owned()
                    }
                });
            }
        }
    }

    /// Opens the segments that are not in sled.
    fn find_segments(&mut self, directory: &Directory) -> Result<(), StorageError> {
        let folded = self.folded.map_or(0, |(folded, _)| folded);
        let mut expected = folded + 1;
        let mut segments: Vec<Arc<Segment>> = Vec::new();
        for (seq, path) in directory.list_segments()? {
            if seq <= folded {
                continue;
            }
            self.expect_segment(&mut expected, seq, folded > 0 || !segments.is_empty());
            match Segment::open(&path) {
                Ok(segment) if segment.header.seq == seq => segments.push(segment),
                Ok(_) => self.damage.push(format!(
                    "{} is not the log segment that its name says it is",
                    path.display()
                )),
                Err(error) => self.damage.push(error.to_string()),
            }
        }
        let clean = directory.clean_close().unwrap_or_default();
        let noted = directory.last_segment().unwrap_or_else(|error| {
            self.damage.push(error.to_string());
            0
        });
        let known = clean.map_or(noted, |clean| noted.max(clean.seq));
        if known >= expected {
            // If the main sled is lost, which is already reported, they may have been folded.
            let sure = self.folded.is_some() || !self.main_is_damaged;
            self.expect_segment(&mut expected, known + 1, sure);
        }
        for (at, segment) in segments.iter().enumerate() {
            let seq = segment.header.seq;
            let next = segments
                .get(at + 1)
                .filter(|next| next.header.seq == seq + 1);
            let end = match (next.map_or(0, |next| next.header.previous_end), clean) {
                (0, Some(CleanClose { seq: last, end })) if last == seq => End::Known(end),
                (0, _) => End::Torn,
                (end, _) => End::Known(end),
            };
            self.segments.push((Arc::clone(segment), end));
        }
        Ok(())
    }

    fn expect_segment(&mut self, expected: &mut u64, found: u64, sure: bool) {
        if found > *expected && sure {
            self.damage.push(format!(
                "missing: {}; the messages and declarations in there are lost, and messages acknowledged in there may be delivered again",
                segments_text(*expected, found - 1)
            ));
        }
        *expected = found + 1;
    }

    /// Reads everything in the log except the messages.
    fn read_log(&mut self) {
        for (segment, end) in std::mem::take(&mut self.segments) {
            let seq = segment.header.seq;
            let scan = segment.scan(end, true, |offset, record| {
                match record {
                    Record::Publish {
                        queue, position, ..
                    } => {
                        let next = position.0.saturating_add(1);
                        let marks = &mut self.queues.entry(queue).or_default().marks;
                        marks.next = marks.next.max(next);
                    }
                    Record::Ack { queue, first, last } => {
                        let queue = self.queues.entry(queue).or_default();
                        queue.acked.insert(first.0, last.0);
                        queue.marks.next = queue.marks.next.max(last.0.saturating_add(1));
                    }
                    Record::DeleteQueue { queue } => {
                        let deleted = FoundQueue {
                            deleted: Some((seq, offset)),
                            ..FoundQueue::default()
                        };
                        self.queues.insert(queue, deleted);
                    }
                    Record::Delivered { queue, through } => {
                        let marks = &mut self.queues.entry(queue).or_default().marks;
                        marks.delivered = marks.delivered.max(Some(through.0));
                    }
                    Record::PutDefinition { key, value } => {
                        self.partial.remove(key);
                        self.definitions.insert(key.to_vec(), value.to_vec());
                    }
                    Record::DeleteDefinition { key } => {
                        self.partial.remove(key);
                        self.definitions.remove(key);
                    }
                }
                Ok(())
            });
            match scan {
                Ok(scan) => {
                    for (from, to) in scan.losses {
                        self.damage.push(format!(
                            "the commits in bytes {from} to {to} of {} are damaged: their messages are lost, \
                             and messages that they acknowledged may be delivered again",
                            segment.path.display()
                        ));
                    }
                    self.torn_bytes += scan.torn;
                    self.segments.push((segment, end));
                }
                Err(error) => self.damage.push(error.to_string()),
            }
        }
    }
}
