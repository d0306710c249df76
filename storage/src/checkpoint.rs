//! The checkpoint thread: moves closed log segments into sled, one at a time, while the storage thread works.

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
    disk_space::{self, DiskSpace},
    error::StorageError,
    fold::{self, Fold},
    housekeeping::{self, Housekeeping},
    io::sync_parent,
    log::{LogState, Next, SegmentEnd},
    options::Weigh,
    pulse::{Beat, Doing},
    segment::{End, Segment},
    sled_store::panic_text,
    sled_sync,
    sleds::Sleds,
    stats::Counters,
};

/// The shortest and the longest pause between attempts to fold.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

/// How often deferred housekeeping checks whether publishers are still busy.
const QUIET: Duration = Duration::from_secs(1);

/// Measures how fast the log grows.
#[derive(Debug, Default)]
struct Pace {
    /// The number of bytes written at the last measurement, and its time.
    last: Option<(u64, Instant)>,
    /// Housekeeping has deferred some work.
    deferred: bool,
}

impl Pace {
    /// Returns whether more than `rate` bytes per second were written since the last call.
    fn exceeds(&mut self, rate: u64, written: u64, now: Instant) -> bool {
        let Some((before, at)) = self.last.replace((written, now)) else {
            return false;
        };
        let millis = now.saturating_duration_since(at).as_millis().max(1);
        u128::from(written.saturating_sub(before)) * 1000 / millis > u128::from(rate)
    }
}

/// The smallest number of log bytes worth folding to free disk space.
const ROLL_MIN: u64 = 64 << 10;

/// Everything the checkpoint thread works with.
pub(crate) struct Checkpoint<'a> {
    pub(crate) sleds: &'a Sleds,
    pub(crate) log: &'a LogState,
    pub(crate) catalogue: &'a Mutex<Catalogue>,
    pub(crate) counters: &'a Counters,
    /// Locked while the checkpoint is working.
    pub(crate) working: &'a Mutex<()>,
    /// Where this thread notes what it does.
    pub(crate) beat: &'a Beat,
    pub(crate) weigh: Weigh,
    /// Damage in the log was accepted at startup.
    pub(crate) accept_losses: bool,
    /// The size at which a volume is full, and how many bytes may be wasted; see [`crate::Options`].
    pub(crate) volume_size: u64,
    pub(crate) waste: u64,
    /// The log rate, in bytes per second, above which publishers count as busy.
    pub(crate) busy: u64,
    /// How long acknowledgements of messages in sled may wait for their segment to fill up.
    pub(crate) roll_after: Duration,
    /// Asks the storage thread to end the segment.
    pub(crate) roll: &'a dyn Fn(),
    pub(crate) disk_space: DiskSpace,
}

impl Checkpoint<'_> {
    /// Runs until the store stops.
    pub(crate) fn run(&self) {
        let mut pause = BACKOFF.0;
        let mut retrying = false;
        let mut failures = sled_sync::failures();
        let mut pace = Pace::default();
        loop {
            let patience = if pace.deferred {
                QUIET
            } else {
                self.roll_after
            };
            let may_wait = self.disk_space.fits(self.log.bytes());
            self.beat.note(Doing::Waiting);
            let next = self
                .log
                .next_closed(patience.min(self.roll_after), may_wait);
            self.beat.note(Doing::Working);
            let done = match next {
                Next::Stopped => return,
                Next::Nothing => {
                    self.request_roll_if_useful();
                    self.guarded(|| self.housekeeping(&mut pace))
                }
                Next::Closed(closed) => {
                    let folded = self.guarded(|| self.attempt(&closed, retrying));
                    if folded.is_ok() {
                        self.counters
                            .folded_segments
                            .fetch_add(1, Ordering::Relaxed);
                        // This comes first: anyone who sees that the log is short again must find the store healthy.
                        self.counters.checkpoint_health(None);
                        self.log.folded();
                    }
                    // For lack of disk space it was not even begun.
                    retrying = folded
                        .as_ref()
                        .map_or_else(|error| retrying || !is_disk_full(error), |()| false);
                    folded.and_then(|()| self.guarded(|| self.housekeeping(&mut pace)))
                }
            };
            match done {
                Ok(()) => {
                    self.counters.checkpoint_health(None);
                    pause = BACKOFF.0;
                }
                Err(StorageError::Closed) => return,
                Err(error) if is_disk_full(&error) => {
                    self.counters.checkpoint_health(Some(error.to_string()));
                    self.log.wait_stop(BACKOFF.1);
                }
                Err(error) => {
                    self.counters.checkpoint_health(Some(error.to_string()));
                    let seen = std::mem::replace(&mut failures, sled_sync::failures());
                    if let Err(error) = self.sleds.reopen_if_failed(seen != failures) {
                        self.counters.checkpoint_health(Some(error.to_string()));
                    }
                    self.log.wait_stop(pause);
                    pause = (pause * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Asks for the current segment to be ended where waiting for it to fill up would keep disk space occupied: by
    /// messages in sled that it acknowledges, or, on a nearly full disk, by its own messages.
    fn request_roll_if_useful(&self) {
        let log = self.log.bytes();
        let is_low = log >= ROLL_MIN && !self.disk_space.fits(log);
        if is_low || self.catalogue.lock().has_dead_chunks() {
            self.log.hurry();
            (self.roll)();
        }
    }

    fn housekeeping(&self, pace: &mut Pace) -> Result<(), StorageError> {
        let written = self.counters.bytes_written.load(Ordering::Relaxed);
        let deferred = Housekeeping {
            busy: pace.exceeds(self.busy, written, Instant::now()),
            sleds: self.sleds,
            catalogue: self.catalogue,
            log: self.log,
            beat: self.beat,
            disk_space: &self.disk_space,
            volume_size: self.volume_size,
            waste: self.waste,
        }
        .run()?;
        pace.deferred = deferred;
        Ok(())
    }

    /// Runs an action and turns panics of sled into errors.
    fn guarded(
        &self,
        action: impl FnOnce() -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        // A backup may hold it for long.
        self.beat.note(Doing::Waiting);
        let _working = self.working.lock();
        self.beat.note(Doing::Working);
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
    fn attempt(&self, closed: &SegmentEnd, retrying: bool) -> Result<(), StorageError> {
        self.fold(closed, retrying)?;
        if let Err(error) = remove_segment(&closed.path) {
            // It is folded nevertheless, and the next start removes it.
            tracing::warn!("{error}");
        }
        Ok(())
    }

    fn fold(&self, closed: &SegmentEnd, retrying: bool) -> Result<(), StorageError> {
        let segment = Segment::open(&closed.path)?;
        let (contents, _) = Contents::gather(&segment, End::Known(closed.end), self.accept_losses)?;
        // This check is cheap and usually enough: there is space even if all of it is live.
        if !self.disk_space.fits(closed.end) {
            let live = disk_space::live_bytes(&contents, closed.seq, &self.catalogue.lock());
            if !self.disk_space.fits(live) {
                return Err(StorageError::DiskFull {
                    path: self.disk_space.path.clone(),
                });
            }
        }
        if retrying {
            fold::undo_fold(self.sleds, closed.seq)?;
            // A volume must never hold two versions of one key, so the new attempt writes to another volume.
            self.sleds.volumes.end_current();
            housekeeping::delete_empty(&self.sleds.volumes, self.catalogue, usize::MAX)?;
        }
        Fold {
            sleds: self.sleds,
            catalogue: self.catalogue,
            log: self.log,
            beat: self.beat,
            segment,
            weigh: self.weigh,
            retrying,
        }
        .run(&contents)
    }
}

fn is_disk_full(error: &StorageError) -> bool {
    matches!(error, StorageError::DiskFull { .. })
}

/// Deletes a folded segment.
///
/// # Errors
/// The file cannot be deleted.
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
