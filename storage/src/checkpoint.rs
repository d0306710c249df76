//! The checkpoint thread: closed log segments into sled, one after the other, beside the storage thread.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::Ordering,
    time::Duration,
};

use parking_lot::Mutex;

use crate::{
    catalogue::Catalogue,
    contents::Contents,
    error::StorageError,
    fold::{self, Fold},
    io::sync_parent,
    log::{Closed, LogState},
    options::Weigh,
    segment::{End, Segment},
    sled_store::{SledStore, panic_text},
    sled_sync,
    stats::Counters,
};

/// Pauses between attempts to fold: from, to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// What the checkpoint thread works with.
pub(crate) struct Checkpoint<'a> {
    pub(crate) store: &'a SledStore,
    pub(crate) log: &'a LogState,
    pub(crate) catalogue: &'a Mutex<Catalogue>,
    pub(crate) counters: &'a Counters,
    pub(crate) weigh: Weigh,
}

impl Checkpoint<'_> {
    /// Runs until the store stops.
    pub(crate) fn run(&self) {
        let mut pause = BACKOFF.0;
        let mut again = false;
        let mut failures = sled_sync::failures();
        while let Some(closed) = self.log.next_closed() {
            match self.attempt(&closed, again) {
                Ok(()) => {
                    self.counters
                        .folded_segments
                        .fetch_add(1, Ordering::Relaxed);
                    // First: whoever sees that the log is short again finds all well.
                    self.counters.checkpoint_health(None);
                    self.log.folded();
                    (again, pause) = (false, BACKOFF.0);
                }
                Err(StorageError::Closed) => return,
                Err(error) => {
                    self.counters.checkpoint_health(Some(error.to_string()));
                    let seen = std::mem::replace(&mut failures, sled_sync::failures());
                    if let Err(error) = self.store.revive(seen != failures) {
                        self.counters.checkpoint_health(Some(error.to_string()));
                    }
                    self.log.wait_stop(pause);
                    (again, pause) = (true, (pause * 2).min(BACKOFF.1));
                }
            }
        }
    }

    /// Folds a segment and deletes it; panics of sled's are errors like others.
    fn attempt(&self, closed: &Closed, again: bool) -> Result<(), StorageError> {
        let fold = AssertUnwindSafe(|| {
            if again {
                fold::unfold(self.store, closed.seq)?;
            }
            self.fold(closed)
        });
        catch_unwind(fold).unwrap_or_else(|panic| {
            let reason = panic_text(panic.as_ref());
            Err(StorageError::Database {
                path: closed.path.clone(),
                action: "folding",
                reason,
            })
        })?;
        if let Err(error) = remove_segment(&closed.path) {
            // It is folded all the same, and the next start removes it.
            tracing::warn!("{error}");
        }
        Ok(())
    }

    fn fold(&self, closed: &Closed) -> Result<(), StorageError> {
        let segment = Segment::open(&closed.path)?;
        let (contents, _) = Contents::gather(&segment, End::Known(closed.end), false)?;
        Fold {
            store: self.store,
            catalogue: self.catalogue,
            log: self.log,
            segment,
            weigh: self.weigh,
        }
        .run(&contents)
    }
}

/// Deletes a folded segment.
///
/// # Errors
/// It cannot be deleted.
pub(crate) fn remove_segment(path: &Path) -> Result<(), StorageError> {
    let fail = |source| StorageError::Directory {
        action: "delete",
        path: path.to_owned(),
        source,
    };
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        result => result.map_err(fail)?,
    }
    sync_parent(path).map_err(fail)
}
