//! Stores of an older schema become stores of this one when they are opened.

use crate::{
    error::StorageError,
    messages,
    options::Weigh,
    schema::{self, Chunk},
    sled_store::SledStore,
    types::{Position, QueueId},
};

/// Weighs what chunks hold, for catalogue entries that do not say it. Reads every message once; a crash in the middle
/// leaves entries of both kinds, which the next start goes on with.
///
/// # Errors
/// sled failed.
pub(crate) fn add_weights(store: &SledStore, weigh: Weigh) -> Result<(), StorageError> {
    let mut out = store.changes();
    store.scan(&[schema::CATALOGUE], |key, value| {
        // What is damaged is the business of whoever loads the catalogue.
        let older = value.filter(|value| Chunk::lacks_weight(value));
        let parsed = schema::parse_catalogue_key(key).zip(older.and_then(Chunk::decode));
        if let Some(((queue, first), mut chunk)) = parsed {
            weigh_chunk(store, queue, first, &mut chunk, weigh)?;
            out.put(key, &chunk.encode());
        }
        out.breathe()
    })?;
    out.put(schema::KEY_VERSION, &schema::VERSION.to_be_bytes());
    out.apply()?;
    store.flush_synced()
}

fn weigh_chunk(
    store: &SledStore,
    queue: QueueId,
    first: Position,
    chunk: &mut Chunk,
    weigh: Weigh,
) -> Result<(), StorageError> {
    match messages::read(store, queue, first, chunk) {
        Ok(Some(messages)) => {
            chunk.count(&messages, weigh);
        }
        // Reading it will say what is lost; its bytes are the most that it can have weighed.
        Ok(None) | Err(StorageError::DamagedMessages { .. }) => chunk.weight = chunk.bytes,
        Err(error) => return Err(error),
    }
    Ok(())
}
