//! Definitions in sled: records of the broker's, by key; the latest value wins.
//!
//! Under `d` stands the number of parts and the first of them; a definition that fits has no others.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    error::StorageError,
    record::u32_at,
    schema::{self, CHECKSUM, MAX_VALUE},
    sled_store::{Changes, Found, SledStore},
};

/// Bytes of a definition per part.
const PART: usize = MAX_VALUE - CHECKSUM - 4;

/// What a segment says about definitions: `None` is a deleted one.
pub(crate) type Pending = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Every definition, by key: those in sled, as changed by what the log says since.
///
/// # Errors
/// One is damaged, or sled failed.
pub(crate) fn load(
    store: &SledStore,
    changed: &Pending,
) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
    let mut definitions = Vec::new();
    store.scan(&[schema::DEFINITION], |key, value| {
        let key = &key[1..];
        if changed.contains_key(key) {
            return Ok(());
        }
        let value = match value.and_then(|value| value.split_at_checked(4)) {
            Some((parts, first)) => whole(store, key, u32_at(parts, 0).unwrap_or(0), first)?,
            None => return Err(damaged(key)),
        };
        definitions.push((Bytes::copy_from_slice(key), value));
        Ok(())
    })?;
    for (key, value) in changed {
        if let Some(value) = value {
            definitions.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        }
    }
    definitions.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Ok(definitions)
}

fn whole(store: &SledStore, key: &[u8], parts: u32, first: &[u8]) -> Result<Bytes, StorageError> {
    let mut value = first.to_vec();
    for part in 1..parts {
        match store.get(&schema::definition_part_key(key, part))? {
            Found::Value(bytes) => value.extend_from_slice(&bytes),
            Found::Nothing | Found::Damaged => return Err(damaged(key)),
        }
    }
    Ok(value.into())
}

fn damaged(key: &[u8]) -> StorageError {
    StorageError::DamagedRecord {
        what: format!("definition {:?}", String::from_utf8_lossy(key)),
    }
}

/// Brings sled up to what a segment says. A definition changes as a whole only once the segment counts as folded: until
/// then it is folded again at the next start.
///
/// # Errors
/// sled failed.
pub(crate) fn fold(
    store: &SledStore,
    pending: &Pending,
    out: &mut Changes<'_>,
) -> Result<(), StorageError> {
    for (key, value) in pending {
        let entry = schema::definition_key(key);
        let before = match store.get(&entry)? {
            Found::Value(value) => u32_at(&value, 0).unwrap_or(0),
            Found::Nothing | Found::Damaged => 0,
        };
        let mut written = 0;
        match value {
            Some(value) => {
                let parts = value.chunks(PART).len().max(1);
                written = u32::try_from(parts).unwrap_or(u32::MAX);
                let (first, rest) = value.split_at(value.len().min(PART));
                out.put(&entry, &[&written.to_be_bytes(), first].concat());
                for (part, bytes) in (1u32..).zip(rest.chunks(PART)) {
                    out.put(&schema::definition_part_key(key, part), bytes);
                }
            }
            None => out.remove(&entry),
        }
        for part in written.max(1)..before {
            out.remove(&schema::definition_part_key(key, part));
        }
        out.breathe()?;
    }
    Ok(())
}
