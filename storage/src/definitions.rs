//! Definitions in sled: the broker's records by key; the latest value wins.
//!
//! The `d` entry holds the number of parts and the first part; most definitions have no others. A definition in several
//! parts also stores a checksum of the whole there: each part has its own, but parts of two versions must not be
//! combined.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    error::StorageError,
    schema::{self, CHECKSUM, MAX_VALUE},
    sled_store::{Changes, Found, SledStore},
    types::u32_at,
};

/// How many bytes of a definition one part holds.
const PART: usize = MAX_VALUE - CHECKSUM - 8;
/// A flag in the number of parts: a checksum of the whole follows.
const CHECKED: u32 = 1 << 31;

/// Changes to definitions in a segment; `None` deletes one.
pub(crate) type Pending = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Returns every definition by key: those in sled with the newer changes from the log applied.
///
/// # Errors
/// A definition is damaged, or sled failed.
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
        let head = value.and_then(Head::parse).ok_or_else(|| damaged(key))?;
        let mut parts = Vec::new();
        for part in 1..head.parts {
            match store.get(&schema::definition_part_key(key, part))? {
                Found::Value(bytes) => parts.push(bytes),
                Found::Nothing | Found::Damaged => return Err(damaged(key)),
            }
        }
        let value = head.assemble(&parts).ok_or_else(|| damaged(key))?;
        definitions.push((Bytes::copy_from_slice(key), value.into()));
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

/// The value stored under a definition's own key.
pub(crate) struct Head<'a> {
    pub(crate) parts: u32,
    checksum: Option<u32>,
    first: &'a [u8],
}

impl<'a> Head<'a> {
    pub(crate) fn parse(value: &'a [u8]) -> Option<Head<'a>> {
        let (count, first) = value.split_at_checked(4)?;
        let count = u32_at(count, 0)?;
        let (checksum, first) = if count & CHECKED == 0 {
            (None, first)
        } else {
            let (checksum, first) = first.split_at_checked(4)?;
            (u32_at(checksum, 0), first)
        };
        Some(Head {
            parts: count & !CHECKED,
            checksum,
            first,
        })
    }

    /// Returns the complete definition, or `None` if the parts do not belong together.
    pub(crate) fn assemble<Part: AsRef<[u8]>>(&self, parts: &[Part]) -> Option<Vec<u8>> {
        let mut value = self.first.to_vec();
        for part in parts {
            value.extend_from_slice(part.as_ref());
        }
        let right = self
            .checksum
            .is_none_or(|sum| sum == crc32fast::hash(&value));
        right.then_some(value)
    }
}

fn damaged(key: &[u8]) -> StorageError {
    StorageError::DamagedRecord {
        what: format!("definition {:?}", String::from_utf8_lossy(key)),
    }
}

/// Applies the changes in a segment to sled. A definition in several parts is consistent only once the segment counts
/// as folded: until then the next start folds it again.
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
            Found::Value(value) => Head::parse(&value).map_or(0, |head| head.parts),
            Found::Nothing | Found::Damaged => 0,
        };
        let mut written = 0;
        match value {
            Some(value) => {
                let parts = value.chunks(PART).len().max(1);
                written = u32::try_from(parts).unwrap_or(u32::MAX);
                let (first, rest) = value.split_at(value.len().min(PART));
                let head = if written == 1 {
                    written.to_be_bytes().to_vec()
                } else {
                    let checksum = crc32fast::hash(value).to_be_bytes();
                    [(written | CHECKED).to_be_bytes(), checksum].concat()
                };
                out.put(&entry, &[&head, first].concat());
                for (part, bytes) in (1u32..).zip(rest.chunks(PART)) {
                    out.put(&schema::definition_part_key(key, part), bytes);
                }
            }
            None => out.remove(&entry),
        }
        for part in written.max(1)..before {
            out.remove(&schema::definition_part_key(key, part));
        }
        out.apply_if_large()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_two_versions_do_not_pass_for_one() {
        let checksum = crc32fast::hash(b"one, two").to_be_bytes();
        let value = [&(2 | CHECKED).to_be_bytes(), &checksum, &b"one, "[..]].concat();
        let head = Head::parse(&value).unwrap();
        assert_eq!(head.parts, 2);
        assert_eq!(head.assemble(&["two"]), Some(b"one, two".to_vec()));
        assert_eq!(head.assemble(&["owt"]), None);
        assert_eq!(head.assemble::<&str>(&[]), None);
    }

    #[test]
    fn a_definition_in_parts_of_an_older_store_is_read() {
        let value = [&2u32.to_be_bytes(), &b"one, "[..]].concat();
        let head = Head::parse(&value).unwrap();
        assert_eq!(head.assemble(&["two"]), Some(b"one, two".to_vec()));
    }
}
