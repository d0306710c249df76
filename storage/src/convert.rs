//! Converts stores of an older schema when they are opened.

use crate::{
    error::StorageError,
    messages,
    options::Weigh,
    progress::{Progress, Stage},
    schema::{self, Chunk},
    sled_store::{Found, SledStore},
    volumes::Volumes,
};

/// How many chunks are moved before the main sled is updated.
const SLICE: usize = 256;

/// Moves messages from the main sled into volumes and weighs them. A crash halfway leaves chunks in both places, and
/// the next start continues.
///
/// # Errors
/// sled failed.
pub(crate) fn into_volumes(
    main: &SledStore,
    volumes: &Volumes,
    weigh: Weigh,
    progress: &Progress,
) -> Result<(), StorageError> {
    let mut older = Vec::new();
    main.scan(&[schema::CATALOGUE], |key, value| {
        // Damage is reported when the catalogue is loaded.
        let chunk = value.and_then(Chunk::decode_older);
        if let (Some((queue, first)), Some(chunk)) = (schema::parse_catalogue_key(key), chunk) {
            older.push((queue, first, chunk));
        }
        Ok(())
    })?;
    let from = schema::VERSION_WITHOUT_VOLUMES;
    progress.begin(Stage::Converting { from }, older.len() as u64);
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
                // Reading it will report what is lost. Its weight is at most its size.
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
            progress.add(1);
            bodies.apply_if_large()?;
        }
        bodies.apply()?;
        volume.flush_synced()?;
        out.apply()?;
    }
    main.flush_synced()
}
