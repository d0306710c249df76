//! Writes a new store from what was found in a damaged one, and exchanges the two.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::{Findings, gather::Gathered};
use crate::{
    directory::Directory,
    error::StorageError,
    io::sync_parent,
    options::Options,
    progress::Stage,
    store::Store,
    types::{Batch, Op, Position, QueueId},
};

/// The most bytes of messages in one batch.
const BATCH: usize = 1 << 20;
/// The most operations in one batch.
const BATCH_OPS: usize = 4096;

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    path.with_file_name(name)
}

/// Writes everything intact into a new store beside the damaged one, durably.
pub(super) fn write(gathered: &Gathered, options: &Options) -> Result<Findings, StorageError> {
    let path = beside(&options.path, ".repairing");
    if path.exists() {
        // Left by an interrupted repair: the name is ours, and it never was in use.
        fs::remove_dir_all(&path).map_err(|source| StorageError::Directory {
            action: "remove",
            path: path.clone(),
            source,
        })?;
    }
    let progress = &options.progress;
    progress.begin(Stage::Rebuilding, 0);
    let options = Options {
        path,
        progress: Arc::default(),
        ..options.clone()
    };
    let store = Store::open(options)?.store;
    let (mut ops, mut bytes) = (Vec::new(), 0);
    let mut highest: HashMap<QueueId, u64> = HashMap::new();
    let findings = gathered.visit(|queue, position, message| {
        let last = highest.entry(queue).or_default();
        *last = position.max(*last);
        bytes += message.len();
        progress.add(1);
        ops.push(Op::Publish {
            queue,
            position: Position(position),
            message: Arc::new(Bytes::copy_from_slice(message)),
            token: None,
        });
        if bytes >= BATCH || ops.len() >= BATCH_OPS {
            bytes = 0;
            submit(&store, std::mem::take(&mut ops))?;
        }
        Ok(())
    })?;
    for (&queue, found) in &gathered.queues {
        if let Some(through) = found.marks.delivered.map(Position) {
            ops.push(Op::Delivered { queue, through });
        }
        // A used position must not be reused, even though its message is gone.
        let used = found.marks.next.checked_sub(1).map(Position);
        if let Some(used) =
            used.filter(|used| highest.get(&queue).is_none_or(|last| used.0 > *last))
        {
            let (first, last) = (used, used);
            ops.push(Op::Ack { queue, first, last });
        }
    }
    for (key, value) in &findings.definitions {
        let (key, value) = (key.clone(), value.clone());
        ops.push(Op::PutDefinition { key, value });
    }
    submit(&store, ops)?;
    store.flush()?;
    store.close()?;
    Ok(findings)
}

/// Submits a batch, and waits while the backlog is large so that memory stays bounded.
fn submit(store: &Store, ops: Vec<Op>) -> Result<(), StorageError> {
    store.submit(Batch { ops, sink: None });
    if store.backlog_over_mark() {
        store.flush()?;
    }
    Ok(())
}

/// Puts the repaired store in place of the damaged one and returns where that one is now. One of the two is in place at
/// all times: without any, the next start would create an empty store.
pub(super) fn exchange(directory: &Directory) -> Result<PathBuf, StorageError> {
    let path = &directory.path;
    let fail = |source| directory.error("exchange the repaired store with", source);
    let repaired = beside(path, ".repairing");
    renameat_with(CWD, &repaired, CWD, path, RenameFlags::EXCHANGE)
        .map_err(|error| fail(error.into()))?;
    let aside = (1u32..)
        .map(|number| beside(path, &format!(".damaged-{number}")))
        .find(|aside| !aside.exists())
        .unwrap_or_else(|| repaired.clone());
    fs::rename(&repaired, &aside).map_err(fail)?;
    sync_parent(path).map_err(fail)?;
    Ok(aside)
}
