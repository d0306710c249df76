//! Definitions in sled: small records of the broker's, by key; the latest value wins.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::{
    error::StorageError,
    schema,
    sled_store::{Changes, SledStore},
};

/// What a segment says about definitions: `None` is a deleted one.
pub(crate) type Pending = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Every definition in sled, by key.
///
/// # Errors
/// One is damaged, or sled failed.
pub(crate) fn load(store: &SledStore) -> Result<Vec<(Bytes, Bytes)>, StorageError> {
    let mut definitions = Vec::new();
    store.scan(&[schema::DEFINITION], |key, value| {
        let key = Bytes::copy_from_slice(&key[1..]);
        let Some(value) = value else {
            return Err(StorageError::DamagedRecord {
                what: format!("definition {:?}", String::from_utf8_lossy(&key)),
            });
        };
        definitions.push((key, Bytes::copy_from_slice(value)));
        Ok(())
    })?;
    Ok(definitions)
}

/// Brings sled up to what a segment says.
///
/// # Errors
/// sled failed.
pub(crate) fn fold(pending: &Pending, out: &mut Changes<'_>) -> Result<(), StorageError> {
    for (key, value) in pending {
        let key = schema::definition_key(key);
        match value {
            Some(value) => out.put(&key, value),
            None => out.remove(&key),
        }
        out.breathe()?;
    }
    Ok(())
}
