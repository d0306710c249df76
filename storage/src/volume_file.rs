//! Reads a full volume without sled.
//!
//! A full volume is never written again, so every value stays where it is in sled's file. An index, built by one pass
//! over the file and stored beside it, says where. Reading a value takes one read of just its bytes, and the only
//! memory used is the index; sled would read whole pages into a cache and keep them for long.
//!
//! The index is only a hint: what counts is the checksum of the value, which covers its key. If it is wrong, an index
//! that was read from disk is discarded and rebuilt.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use parking_lot::RwLock;

use crate::{
    error::StorageError,
    schema,
    sled_format::{
        FREE, LINK, Leaf, NODE, SEGMENT_HEADER, SegmentItem, lsn_of_segment, parse_link,
        read_segment,
    },
    sled_reopen::{rewrite_if_unsynced, wait_for_lock},
    sled_store::{Checked, Found, SEGMENT_SIZE},
    types::{u32_at, u64_at},
};

const MAGIC: &[u8; 8] = b"LVRTVIX1";
/// The length of the header: magic, file length, number of entries.
const HEADER: usize = 24;
/// The length of an entry in the index file.
const ENTRY: usize = 32;
const CRC: usize = 4;

/// Where a value is in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    offset: u64,
    len: u32,
}

/// A key in a volume: queue, first position and part.
type Key = (u64, u64, u32);

fn parse_key(key: &[u8]) -> Option<Key> {
    let is_body = key.len() == 21 && key.first() == Some(&schema::BODY);
    is_body.then(|| Some((u64_at(key, 1)?, u64_at(key, 9)?, u32_at(key, 17)?)))?
}

/// The location of every value of a volume, by key.
#[derive(Debug, Default, PartialEq, Eq)]
struct Index(Vec<(Key, Place)>);

impl Index {
    fn find(&self, key: &Key) -> Option<Place> {
        let at = self.0.binary_search_by(|(at, _)| at.cmp(key)).ok()?;
        Some(self.0[at].1)
    }

    /// Scans sled's file. Damaged values are not in the index.
    fn build(file: &File) -> io::Result<Index> {
        let len = file.metadata()?.len();
        let mut places = HashMap::new();
        // The common prefix of the keys of each page.
        let mut prefixes: HashMap<u64, Vec<u8>> = HashMap::new();
        for_each_segment(file, len, |lsn, base, bytes| {
            read_segment(lsn, base, bytes, |item| {
                let SegmentItem::Message {
                    page,
                    kind,
                    offset,
                    body,
                    ..
                } = item
                else {
                    return;
                };
                let mut add = |prefix: &[u8], key: &[u8], value: &[u8]| {
                    let within = value.as_ptr() as usize - body.as_ptr() as usize;
                    let place = Place {
                        offset: offset + within as u64,
                        len: u32::try_from(value.len()).unwrap_or(0),
                    };
                    let key = [prefix, key].concat();
                    // If a power cut tore unsynced data, a change may appear to belong to the page that had the number
                    // before.
                    let is_right = schema::unsealed(&key, value).is_some();
                    if let Some(key) = parse_key(&key).filter(|_| is_right) {
                        places.insert(key, place);
                    }
                };
                match kind {
                    NODE => {
                        let Some(Leaf { prefix, pairs }) = Leaf::parse(body) else {
                            prefixes.remove(&page);
                            return;
                        };
                        for (key, value) in pairs {
                            add(prefix, key, value);
                        }
                        prefixes.insert(page, prefix.to_vec());
                    }
                    LINK => {
                        if let Some((key, Some(value))) = parse_link(body)
                            && let Some(prefix) = prefixes.get(&page)
                        {
                            add(prefix, key, value);
                        }
                    }
                    FREE => {
                        prefixes.remove(&page);
                    }
                    _ => {}
                }
            });
        })?;
        let mut entries: Vec<_> = places.into_iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        Ok(Index(entries))
    }

    fn encode(&self, file_len: u64) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER + self.0.len() * ENTRY + CRC);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&file_len.to_be_bytes());
        out.extend_from_slice(&(self.0.len() as u64).to_be_bytes());
        for ((queue, first, part), place) in &self.0 {
            out.extend_from_slice(&queue.to_be_bytes());
            out.extend_from_slice(&first.to_be_bytes());
            out.extend_from_slice(&part.to_be_bytes());
            out.extend_from_slice(&place.len.to_be_bytes());
            out.extend_from_slice(&place.offset.to_be_bytes());
        }
        out.extend_from_slice(&crc32fast::hash(&out).to_be_bytes());
        out
    }

    /// Returns `None` if the index is damaged or belongs to another file.
    fn decode(bytes: &[u8], file_len: u64) -> Option<Index> {
        let (bytes, crc) = bytes.split_last_chunk::<CRC>()?;
        let (header, entries) = bytes.split_at_checked(HEADER)?;
        let is_whole = crc32fast::hash(bytes).to_be_bytes() == *crc
            && header.starts_with(MAGIC)
            && u64_at(header, 8) == Some(file_len)
            && u64_at(header, 16) == Some((entries.len() / ENTRY) as u64)
            && entries.len().is_multiple_of(ENTRY);
        if !is_whole {
            return None;
        }
        let entry = |bytes: &[u8]| {
            let key = (u64_at(bytes, 0)?, u64_at(bytes, 8)?, u32_at(bytes, 16)?);
            let (len, offset) = (u32_at(bytes, 20)?, u64_at(bytes, 24)?);
            Some((key, Place { offset, len }))
        };
        let entries: Vec<_> = entries
            .chunks_exact(ENTRY)
            .map(entry)
            .collect::<Option<_>>()?;
        let in_order =
            entries.is_sorted_by(|(one, _), (other, _)| one.cmp(other) == Ordering::Less);
        in_order.then_some(Index(entries))
    }
}

/// Calls `visit` with every recognisable segment of sled's file, in the order in which they were written: its lsn, its
/// offset, its bytes.
fn for_each_segment(
    file: &File,
    len: u64,
    mut visit: impl FnMut(i64, u64, &[u8]),
) -> io::Result<()> {
    let mut bytes = vec![0; SEGMENT_SIZE];
    let size =
        |at: u64| usize::try_from((SEGMENT_SIZE as u64).min(len - at)).unwrap_or(SEGMENT_SIZE);
    let mut segments = BTreeMap::new();
    for at in (0..len).step_by(SEGMENT_SIZE) {
        // The header is enough, unless it is damaged.
        let header = &mut bytes[..size(at).min(SEGMENT_HEADER)];
        file.read_exact_at(header, at)?;
        let lsn = match lsn_of_segment(header) {
            None if header.iter().any(|byte| *byte != 0) => {
                file.read_exact_at(&mut bytes[..size(at)], at)?;
                lsn_of_segment(&bytes[..size(at)])
            }
            lsn => lsn,
        };
        segments.extend(lsn.map(|lsn| (lsn, at)));
    }
    for (lsn, at) in segments {
        let bytes = &mut bytes[..size(at)];
        file.read_exact_at(bytes, at)?;
        visit(lsn, at, bytes);
    }
    Ok(())
}

/// A full volume, open for reading.
#[derive(Debug)]
pub(crate) struct VolumeFile {
    path: PathBuf,
    file: File,
    index: RwLock<Known>,
}

#[derive(Debug)]
struct Known {
    index: Index,
    /// Whether it was built from the file after opening it.
    is_fresh: bool,
}

impl VolumeFile {
    /// Opens the volume in this directory and builds its index if there is none.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn open(path: &Path) -> Result<VolumeFile, StorageError> {
        let fail = |source| error("open", path, source);
        rewrite_if_unsynced(path).map_err(|e| error("rewrite", path, e))?;
        let file = File::open(path.join("db")).map_err(fail)?;
        await_release(&file);
        let len = file.metadata().map_err(fail)?.len();
        let found = fs::read(path.join("index")).ok();
        let known = match found.and_then(|bytes| Index::decode(&bytes, len)) {
            Some(index) => Known {
                index,
                is_fresh: false,
            },
            None => Known {
                index: make_index(path, &file)?,
                is_fresh: true,
            },
        };
        Ok(VolumeFile {
            path: path.to_owned(),
            file,
            index: RwLock::new(known),
        })
    }

    /// Returns the value under `key` after checking its checksum.
    ///
    /// # Errors
    /// The disk failed.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Found, StorageError> {
        let Some(parsed) = parse_key(key) else {
            return Ok(Found::Nothing);
        };
        let (found, is_fresh) = self.look_up(key, &parsed)?;
        if is_fresh || matches!(found, Found::Value(_)) {
            return Ok(found);
        }
        self.rebuild_index()?;
        Ok(self.look_up(key, &parsed)?.0)
    }

    /// Looks up a value. Also returns whether the index can be trusted if nothing was found.
    fn look_up(&self, key: &[u8], parsed: &Key) -> Result<(Found, bool), StorageError> {
        let (place, is_fresh) = {
            let known = self.index.read();
            (known.index.find(parsed), known.is_fresh)
        };
        let Some(place) = place else {
            return Ok((Found::Nothing, is_fresh));
        };
        let mut value = vec![0; place.len as usize];
        let read = self.file.read_exact_at(&mut value, place.offset);
        let found = match read {
            Ok(()) if schema::unsealed(key, &value).is_some() => {
                Found::Value(Checked::from_sealed(value))
            }
            Ok(()) => Found::Damaged,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Found::Damaged,
            Err(source) => return Err(error("read", &self.path, source)),
        };
        Ok((found, is_fresh))
    }

    fn rebuild_index(&self) -> Result<(), StorageError> {
        let mut known = self.index.write();
        if !known.is_fresh {
            known.index = make_index(&self.path, &self.file)?;
            known.is_fresh = true;
        }
        Ok(())
    }
}

fn make_index(path: &Path, file: &File) -> Result<Index, StorageError> {
    let fail = |source| error("read", path, source);
    let index = Index::build(file).map_err(fail)?;
    let len = file.metadata().map_err(fail)?.len();
    // If this fails, the next opener builds the index again.
    if let Err(error) = save(path, &index.encode(len)) {
        tracing::debug!("cannot save the index of {}: {error}", path.display());
    }
    Ok(index)
}

/// The file is not synced: whatever a power cut leaves of it fails its checksum.
fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let new = path.join("index.new");
    fs::write(&new, bytes)?;
    fs::rename(new, path.join("index"))
}

/// sled releases its lock when the last of its threads and readers is done. Everything is in the file already, so the
/// wait is limited.
fn await_release(file: &File) {
    if wait_for_lock(file).is_ok() {
        // Closing the file would release it as well.
        let _ = file.unlock();
    }
}

fn error(action: &'static str, path: &Path, source: io::Error) -> StorageError {
    StorageError::Directory {
        action,
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use rand::{Rng, SeedableRng, rngs::StdRng};

    use super::*;
    use crate::{
        sled_store::SledStore,
        types::{Position, QueueId},
    };

    type Values = BTreeMap<[u8; 21], Vec<u8>>;

    /// Writes and closes a volume of random values, some written twice if `again`.
    fn volume(path: &Path, rng: &mut StdRng, again: bool) -> Values {
        let store = SledStore::open(path, 1 << 20, &mut Vec::new()).unwrap();
        let mut values = Values::new();
        for round in 0..40 {
            let mut out = store.changes();
            for _ in 0..rng.random_range(1..60) {
                let first = Position(rng.random_range(0..600));
                let key = schema::body_key(QueueId(rng.random_range(1..4)), first, 0);
                if !again && values.contains_key(&key) {
                    continue;
                }
                let mut value = vec![0; rng.random_range(0..schema::MAX_VALUE)];
                rng.fill(&mut value[..]);
                out.put(&key, &value);
                values.insert(key, value);
            }
            out.apply().unwrap();
            if round % 7 == 0 {
                store.flush_synced().unwrap();
            }
        }
        store.flush_synced().unwrap();
        values
    }

    fn value_of(file: &VolumeFile, key: &[u8]) -> Option<Vec<u8>> {
        match file.get(key).unwrap() {
            Found::Value(value) => Some(value.to_vec()),
            Found::Nothing | Found::Damaged => None,
        }
    }

    #[test]
    fn every_value_that_sled_has_written_is_found_and_no_other() {
        let seed: u64 = rand::rng().random();
        eprintln!("seed {seed}");
        let mut rng = StdRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let values = volume(dir.path(), &mut rng, true);
        for _ in ["index made", "index read"] {
            let file = VolumeFile::open(dir.path()).unwrap();
            for (key, expected) in &values {
                assert_eq!(value_of(&file, key).as_ref(), Some(expected));
            }
            for first in 600..700 {
                let key = schema::body_key(QueueId(1), Position(first), 0);
                assert_eq!(file.get(&key).unwrap(), Found::Nothing);
            }
        }
    }

    /// Builds a message of sled's that is short enough for lengths of one byte.
    fn message(kind: u8, page: u8, body: &[u8]) -> Vec<u8> {
        let header = [kind, u8::try_from(body.len()).unwrap(), 0, page];
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(body);
        hasher.update(&header);
        let crc = !hasher.finalize();
        [&crc.to_le_bytes()[..], &header, body].concat()
    }

    fn string(bytes: &[u8]) -> Vec<u8> {
        [&[u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    #[test]
    fn a_change_that_a_power_cut_has_put_under_another_key_hides_nothing() {
        let [right, wrong] = [1, 2].map(|first| schema::body_key(QueueId(1), Position(first), 0));
        let value = schema::sealed(&right, b"right");
        let (prefix, suffix) = right.split_at(10);
        let (low, key, entry) = (string(prefix), string(suffix), string(&value));
        let node = [&[0, 0, 0, 10][..], &low, &[0, 0, 1], &key, &entry].concat();
        // It belongs to the page that got the number next, whose own beginning is gone.
        let foreign = string(&schema::sealed(&wrong, b"wrong"));
        let link = [&[0][..], &key, &foreign].concat();
        let lsn = i64::MAX.to_le_bytes();
        let mut bytes = [lsn, lsn].concat();
        bytes.splice(0..0, (!crc32fast::hash(&bytes)).to_le_bytes());
        bytes.extend([message(NODE, 7, &node), message(LINK, 7, &link)].concat());
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("db"), bytes).unwrap();
        let file = VolumeFile::open(dir.path()).unwrap();
        assert_eq!(value_of(&file, &right), Some(b"right".to_vec()));
        assert_eq!(value_of(&file, &wrong), None);
    }

    #[test]
    fn an_index_that_is_damaged_or_of_another_file_is_made_again() {
        let mut rng = StdRng::seed_from_u64(1);
        let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let values = volume(dir.path(), &mut rng, true);
        volume(other.path(), &mut rng, true);
        drop(VolumeFile::open(dir.path()).unwrap());
        drop(VolumeFile::open(other.path()).unwrap());
        let index = dir.path().join("index");
        let right = fs::read(&index).unwrap();
        let mut flipped = right.clone();
        flipped[HEADER + 9] ^= 1;
        let mut foreign = fs::read(other.path().join("index")).unwrap();
        // As if both files were of one length.
        foreign[8..16].copy_from_slice(&right[8..16]);
        let end = foreign.len() - CRC;
        let crc = crc32fast::hash(&foreign[..end]);
        foreign[end..].copy_from_slice(&crc.to_be_bytes());
        for wrong in [
            flipped,
            foreign,
            right[..right.len() / 2].to_vec(),
            Vec::new(),
        ] {
            fs::write(&index, wrong).unwrap();
            let file = VolumeFile::open(dir.path()).unwrap();
            for (key, expected) in &values {
                assert_eq!(value_of(&file, key).as_ref(), Some(expected));
            }
            assert_eq!(fs::read(&index).unwrap(), right);
        }
    }

    #[test]
    fn of_a_damaged_file_what_is_intact_is_found_and_nothing_wrong() {
        let seed: u64 = rand::rng().random();
        eprintln!("seed {seed}");
        for case in 0..20 {
            let mut rng = StdRng::seed_from_u64(seed.wrapping_add(case));
            let dir = tempfile::tempdir().unwrap();
            let values = volume(dir.path(), &mut rng, false);
            let is_indexed: bool = rng.random();
            if is_indexed {
                drop(VolumeFile::open(dir.path()).unwrap());
            }
            let path = dir.path().join("db");
            let db = OpenOptions::new().write(true).open(path).unwrap();
            let len = db.metadata().unwrap().len();
            let at = rng.random_range(0..len - 4096);
            db.write_all_at(&[0xa5; 4096], at).unwrap();
            let file = VolumeFile::open(dir.path()).unwrap();
            let mut found = 0;
            for (key, expected) in &values {
                if let Some(value) = value_of(&file, key) {
                    assert_eq!(&value, expected, "case {case} of seed {seed}");
                    found += 1;
                }
            }
            // Where a message's length is damaged, its segment is lost behind it.
            assert!(
                found * 2 > values.len(),
                "case {case}: {found} of {}",
                values.len()
            );
        }
    }
}
