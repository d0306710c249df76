//! Definitions in sled: records of the broker's, by key; the latest value wins.
//!
//! Under `d` stands the number of parts and the first of them; a definition that fits has no others. One that does not
//! has a checksum of the whole there too: each part has its own, but parts of two versions must not pass for one.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    error::StorageError,
    record::u32_at,
    schema::{self, CHECKSUM, MAX_VALUE},
    sled_store::{Changes, Found, SledStore},
};

/// Bytes of a definition per part.
const PART: usize = MAX_VALUE - CHECKSUM - 8;
/// In the number of parts: the checksum of the whole follows.
const CHECKED: u32 = 1 << 31;

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
        let head = value.and_then(Head::parse).ok_or_else(|| damaged(key))?;
        let mut parts = Vec::new();
        for part in 1..head.parts {
            match store.get(&schema::definition_part_key(key, part))? {
                Found::Value(bytes) => parts.push(bytes),
                Found::Nothing | Found::Damaged => return Err(damaged(key)),
            }
        }
        let value = head.whole(&parts).ok_or_else(|| damaged(key))?;
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

/// What stands under a definition's own key.
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

    /// The definition, with its further parts; `None` when they are not parts of the same.
    pub(crate) fn whole<Part: AsRef<[u8]>>(&self, parts: &[Part]) -> Option<Vec<u8>> {
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
        out.breathe()?;
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
        assert_eq!(head.whole(&["two"]), Some(b"one, two".to_vec()));
        assert_eq!(head.whole(&["owt"]), None);
        assert_eq!(head.whole::<&str>(&[]), None);
    }

    #[test]
    fn a_definition_in_parts_of_an_older_store_is_read() {
        let value = [&2u32.to_be_bytes(), &b"one, "[..]].concat();
        let head = Head::parse(&value).unwrap();
        assert_eq!(head.whole(&["two"]), Some(b"one, two".to_vec()));
    }
}
