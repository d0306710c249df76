//! Compares our reading of sled's file with sled's own, for what crashes leave at the end of the file.

use std::{collections::BTreeMap, fs, path::Path};

use proptest::prelude::*;

use super::sled_file::SledFile;
use crate::{
    definitions, schema,
    sled_format::SegmentHeader,
    sled_store::{SEGMENT_SIZE, SledStore},
};

const SECTOR: usize = 512;

/// A file when it was last synced, and after further writes.
struct Images {
    synced: Vec<u8>,
    written: Vec<u8>,
}

fn put(store: &SledStore, definitions: &definitions::Pending) {
    let mut out = store.changes();
    definitions::fold(store, definitions, &mut out).unwrap();
    out.apply().unwrap();
}

fn definition(number: u8, len: usize) -> definitions::Pending {
    BTreeMap::from([(vec![number], Some(vec![number; len]))])
}

fn images(before: &[(u8, usize)], after: &[(u8, usize)]) -> Images {
    let home = tempfile::tempdir().unwrap();
    let store = SledStore::open(home.path(), 1 << 20, &mut Vec::new()).unwrap();
    let image = || fs::read(home.path().join("db")).unwrap();
    for (number, len) in before {
        put(&store, &definition(*number, *len));
    }
    store.flush_synced().unwrap();
    let synced = image();
    for (number, len) in after {
        put(&store, &definition(*number, *len));
    }
    store.flush_synced().unwrap();
    Images {
        synced,
        written: image(),
    }
}

impl Images {
    /// The sectors that nothing in the file proves to be synced.
    fn unsynced(&self) -> Vec<usize> {
        let header = |sector: usize| {
            let segment = sector * SECTOR / SEGMENT_SIZE * SEGMENT_SIZE;
            SegmentHeader::parse(&self.written[segment..])
        };
        let sectors = self.written.len().div_ceil(SECTOR);
        let stable = (0..sectors).filter_map(|sector| Some(header(sector)?.stable));
        let stable = stable.max().unwrap_or(0);
        let is_unsynced = |sector: &usize| {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(self.written.len());
            let within = (sector * SECTOR % SEGMENT_SIZE) as i64;
            header(*sector).is_some_and(|header| header.lsn + within > stable)
                && self.synced.get(range.clone()) != Some(&self.written[range])
        };
        (0..sectors).filter(is_unsynced).collect()
    }
}

/// Every record that sled has after opening the file.
fn by_sled(dir: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let store = SledStore::open(dir, 1 << 20, &mut Vec::new()).unwrap();
    let mut all = BTreeMap::new();
    let mut take = |key: &[u8], value: Option<&[u8]>| {
        all.insert(key.to_vec(), value.unwrap().to_vec());
        Ok(())
    };
    store.scan(&[schema::DEFINITION], &mut take).unwrap();
    store.scan(&[schema::DEFINITION_PART], &mut take).unwrap();
    all
}

fn by_reading(dir: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let file = SledFile::read(&dir.join("db"), false).unwrap();
    let mut newest = BTreeMap::new();
    file.entries(|_, entry| {
        let of = [schema::DEFINITION, schema::DEFINITION_PART];
        if entry.key.first().is_some_and(|kind| of.contains(kind)) {
            let value = schema::unsealed(entry.key, entry.value).unwrap().to_vec();
            let known = newest
                .entry(entry.key.to_vec())
                .or_insert((entry.lsn, value.clone()));
            if known.0 < entry.lsn {
                *known = (entry.lsn, value);
            }
        }
        Ok(())
    })
    .unwrap();
    assert_eq!(file.damaged, [], "a crash is no damage");
    newest
        .into_iter()
        .map(|(key, (_, value))| (key, value))
        .collect()
}

fn work() -> impl Strategy<Value = Vec<(u8, usize)>> {
    let len = prop_oneof![3 => 0..200usize, 1 => 0..60_000usize, 1 => 400_000..900_000usize];
    proptest::collection::vec((0..6u8, len), 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_a_crash_leaves_is_read_as_sled_reads_it(
        before in work(),
        after in work(),
        lost in proptest::collection::vec((any::<prop::sample::Index>(), 1..4096usize), 0..6),
        all_from in proptest::option::of(any::<prop::sample::Index>()),
    ) {
        let images = images(&before, &after);
        let changed = images.unsynced();
        let Images { synced, mut written } = images;
        let mut revert = |sector: usize| {
            let range = sector * SECTOR..((sector + 1) * SECTOR).min(written.len());
            for at in range {
                written[at] = synced.get(at).copied().unwrap_or(0);
            }
        };
        if !changed.is_empty() {
            for (from, count) in &lost {
                let from = from.index(changed.len());
                changed[from..].iter().take(*count).for_each(|sector| revert(*sector));
            }
            if let Some(from) = all_from {
                changed[from.index(changed.len())..].iter().for_each(|sector| revert(*sector));
            }
        }
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("db"), &written).unwrap();
        let read = by_reading(home.path());
        let sled = by_sled(home.path());
        prop_assert!(read == sled, "keys read: {:?}, of sled's: {:?}",
            read.keys().collect::<Vec<_>>(), sled.keys().collect::<Vec<_>>());
    }
}
