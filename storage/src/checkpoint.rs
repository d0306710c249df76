//! The checkpoint thread: closed log segments into sled, one after the other, beside the storage thread.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{
    catalogue::Catalogue,
    contents::Contents,
    error::StorageError,
    fold::{self, Fold},
    housekeeping::{self, Housekeeping},
    io::sync_parent,
    log::{Closed, LogState, Next},
    options::Weigh,
    room::{self, Room},
    segment::{End, Segment},
    sled_store::panic_text,
    sled_sync,
    sleds::Sleds,
    stats::Counters,
};

/// Pauses between attempts to fold: from, to.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// How long housekeeping that waits for publishers to be less busy waits at a time.
const QUIET: Duration = Duration::from_secs(1);

/// How fast the log grows.
#[derive(Debug, Default)]
struct Pace {
    /// Bytes written so far, and when that was.
    last: Option<(u64, Instant)>,
    /// Housekeeping has left something for later.
    left: bool,
}

impl Pace {
    /// Whether more than `rate` bytes a second were written since this was asked last.
    fn exceeds(&mut self, rate: u64, written: u64, now: Instant) -> bool {
        let Some((before, at)) = self.last.replace((written, now)) else {
            return false;
        };
        let millis = now.saturating_duration_since(at).as_millis().max(1);
        u128::from(written.saturating_sub(before)) * 1000 / millis > u128::from(rate)
    }
}

/// Bytes of log that are worth folding for the room that they take.
const ROLL_MIN: u64 = 64 << 10;

/// What the checkpoint thread works with.
pub(crate) struct Checkpoint<'a> {
    pub(crate) sleds: &'a Sleds,
    pub(crate) log: &'a LogState,
    pub(crate) catalogue: &'a Mutex<Catalogue>,
    pub(crate) counters: &'a Counters,
    /// Held while there is work going on.
    pub(crate) working: &'a Mutex<()>,
    pub(crate) weigh: Weigh,
    /// Damage in the log was accepted at the start.
    pub(crate) accept_losses: bool,
    /// Bytes after which a volume is full, and that may be taken for nothing.
    pub(crate) volume_size: u64,
    pub(crate) waste: u64,
    /// Bytes of log per second from which on publishers are busy.
    pub(crate) busy: u64,
    /// How long acknowledgements of messages in sled may wait for their segment to be full.
    pub(crate) roll_after: Duration,
    /// Asks the storage thread to end the segment.
    pub(crate) roll: &'a dyn Fn(),
    pub(crate) room: Room,
}

impl Checkpoint<'_> {
    /// Runs until the store stops.
    pub(crate) fn run(&self) {
        let mut pause = BACKOFF.0;
        let mut again = false;
        let mut failures = sled_sync::failures();
        let mut pace = Pace::default();
        loop {
            let patience = if pace.left { QUIET } else { self.roll_after };
            let may_wait = self.room.is_there_for(self.log.bytes());
            let done = match self
                .log
                .next_closed(patience.min(self.roll_after), may_wait)
            {
                Next::Stopped => return,
                Next::Nothing => {
                    self.ask_for_roll();
                    self.guarded(|| self.housekeeping(&mut pace))
                }
                Next::Closed(closed) => {
                    let folded = self.guarded(|| self.attempt(&closed, again));
                    if folded.is_ok() {
                        self.counters
                            .folded_segments
                            .fetch_add(1, Ordering::Relaxed);
                        // First: whoever sees that the log is short again finds all well.
                        self.counters.checkpoint_health(None);
                        self.log.folded();
                    }
                    // Without room it was not even begun.
                    again = folded
                        .as_ref()
                        .map_or_else(|error| again || !is_no_room(error), |()| false);
                    folded.and_then(|()| self.guarded(|| self.housekeeping(&mut pace)))
                }
            };
            match done {
                Ok(()) => {
                    self.counters.checkpoint_health(None);
                    pause = BACKOFF.0;
                }
                Err(StorageError::Closed) => return,
                Err(error) if is_no_room(&error) => {
                    self.counters.checkpoint_health(Some(error.to_string()));
                    self.log.wait_stop(BACKOFF.1);
                }
                Err(error) => {
                    self.counters.checkpoint_health(Some(error.to_string()));
                    let seen = std::mem::replace(&mut failures, sled_sync::failures());
                    if let Err(error) = self.sleds.revive(seen != failures) {
                        self.counters.checkpoint_health(Some(error.to_string()));
                    }
                    self.log.wait_stop(pause);
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Messages in sled that are acknowledged in a segment that does not fill up would keep their room; and so would, on a
    /// disk that is nearly full, messages in that segment itself.
    fn ask_for_roll(&self) {
        let log = self.log.bytes();
        let is_low = log >= ROLL_MIN && !self.room.is_there_for(log);
        if is_low || self.catalogue.lock().has_dead_chunks() {
            self.log.hurry();
            (self.roll)();
        }
    }

    fn housekeeping(&self, pace: &mut Pace) -> Result<(), StorageError> {
        let written = self.counters.bytes_written.load(Ordering::Relaxed);
        let left = Housekeeping {
            busy: pace.exceeds(self.busy, written, Instant::now()),
            sleds: self.sleds,
            catalogue: self.catalogue,
            log: self.log,
            room: &self.room,
            volume_size: self.volume_size,
            waste: self.waste,
        }
        .run()?;
        pace.left = left;
        Ok(())
    }

    /// Panics of sled's are errors like others.
    fn guarded(
        &self,
        action: impl FnOnce() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        let _working = self.working.lock();
        catch_unwind(AssertUnwindSafe(action)).unwrap_or_else(|panic| {
            Err(StorageError::Database {
                path: self.sleds.path(),
                action: "folding",
                reason: panic_text(panic.as_ref()),
                damage: false,
            })
        })
    }

    /// Folds a segment and deletes it.
    fn attempt(&self, closed: &Closed, again: bool) -> Result<(), StorageError> {
        self.fold(closed, again)?;
        if let Err(error) = remove_segment(&closed.path) {
            // It is folded all the same, and the next start removes it.
            tracing::warn!("{error}");
        }
        Ok(())
    }

    fn fold(&self, closed: &Closed, again: bool) -> Result<(), StorageError> {
        let segment = Segment::open(&closed.path)?;
        let (contents, _) = Contents::gather(&segment, End::Known(closed.end), self.accept_losses)?;
        // The first look costs nothing: there is room for all of it.
        if !self.room.is_there_for(closed.end) {
            let live = room::live_bytes(&contents, closed.seq, &self.catalogue.lock());
            if !self.room.is_there_for(live) {
                return Err(StorageError::NoRoom {
                    path: self.room.path.clone(),
                });
            }
        }
        if again {
            fold::unfold(self.sleds, closed.seq)?;
            // What is read of a volume never depends on which of two values under one key is the later one.
            self.sleds.volumes.end_current();
            housekeeping::delete_empty(&self.sleds.volumes, self.catalogue, usize::MAX)?;
        }
        Fold {
            sleds: self.sleds,
            catalogue: self.catalogue,
            log: self.log,
            segment,
            weigh: self.weigh,
            again,
        }
        .run(&contents)
    }
}

fn is_no_room(error: &StorageError) -> bool {
    matches!(error, StorageError::NoRoom { .. })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_are_busy_by_what_they_write_in_a_second() {
        const BUSY: u64 = 1000;
        let mut pace = Pace::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(
            !pace.exceeds(BUSY, 10 * BUSY, at(0)),
            "it was written before"
        );
        assert!(pace.exceeds(BUSY, 12 * BUSY, at(1000)));
        assert!(!pace.exceeds(BUSY, 13 * BUSY, at(3000)));
        assert!(
            !pace.exceeds(BUSY, 13 * BUSY, at(3000)),
            "nothing, in no time"
        );
    }
}
