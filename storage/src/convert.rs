//! Stores of an older schema become stores of this one when they are opened.

use crate::{
    error::StorageError,
    messages,
    options::Weigh,
    schema::{self, Chunk},
    sled_store::{Found, SledStore},
    volumes::Volumes,
};

/// Chunks that are moved before the main sled is told.
const SLICE: usize = 256;

/// Moves what stands in the main sled into volumes, and weighs it. A crash in the middle leaves chunks of both kinds,
/// which the next start goes on with.
///
/// # Errors
/// sled failed.
pub(crate) fn into_volumes(
    main: &SledStore,
    volumes: &Volumes,
    weigh: Weigh,
) -> Result<(), StorageError> {
    let mut older = Vec::new();
    main.scan(&[schema::CATALOGUE], |key, value| {
        // What is damaged is the business of whoever loads the catalogue.
        let chunk = value.and_then(Chunk::decode_older);
        if let (Some((queue, first)), Some(chunk)) = (schema::parse_catalogue_key(key), chunk) {
            older.push((queue, first, chunk));
        }
        Ok(())
    })?;
    for slice in older.chunks(SLICE) {
        let mut out = main.changes();
        let (number, volume) = volumes.current()?;
        let mut bodies = volume.changes();
        for (queue, first, chunk) in slice {
            let mut new = chunk.clone();
            new.volume = number;
            match messages::read_from(*queue, *first, chunk, |key| main.get(key)) {
                Ok(Some(messages)) => {
                    new.count(&messages, weigh);
                }
                // Reading it will say what is lost; its bytes are the most that it can have weighed.
                Ok(None) | Err(StorageError::DamagedMessages { .. }) => new.weight = new.bytes,
                Err(error) => return Err(error),
            }
            for part in 0..chunk.parts {
                let key = schema::body_key(*queue, *first, part);
                if let Found::Value(value) = main.get(&key)? {
                    bodies.put(&key, &value);
                }
                out.remove(&key);
            }
            out.put(&schema::catalogue_key(*queue, *first), &new.encode());
            bodies.breathe()?;
        }
        bodies.apply()?;
        volume.flush_synced()?;
        out.apply()?;
    }
    main.flush_synced()
}
