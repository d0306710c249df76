//! Whether the threads of the store get on with their work: what a watchdog needs to know.
//!
//! A thread that waits for the disk looks like one that hangs, and a restart would make a slow disk slower. So each
//! thread notes what it does: a call to the disk may take minutes, a step of anything else seconds.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// How long a thread may work without a step forward, or leave a question unanswered.
const STEP_PATIENCE: Duration = Duration::from_secs(10);
/// How long one call to the disk may take. Linux itself complains of two minutes.
const DISK_PATIENCE: Duration = Duration::from_secs(300);
/// How long the checkpoint may take for one call to sled, which writes and syncs with threads of its own.
const CHECKPOINT_PATIENCE: Duration = Duration::from_secs(600);

/// What a thread of the store is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doing {
    /// It waits for work.
    Waiting,
    /// It works.
    Working,
    /// It has called the operating system to write or sync.
    Disk,
}

/// Where a thread notes what it does, and others look.
#[derive(Debug)]
pub(crate) struct Beat {
    born: Instant,
    /// Milliseconds since `born` in the upper 62 bits, what it does in the lower two.
    noted: AtomicU64,
}

impl Default for Beat {
    fn default() -> Beat {
        Beat {
            born: Instant::now(),
            noted: AtomicU64::new(0),
        }
    }
}

impl Beat {
    /// Notes what the thread does from now on. Noting the same again is a step forward.
    pub(crate) fn note(&self, doing: Doing) {
        let code = match doing {
            Doing::Waiting => 0,
            Doing::Working => 1,
            Doing::Disk => 2,
        };
        // Enough for longer than machines last.
        let millis = self.born.elapsed().as_millis() as u64;
        self.noted.store(millis << 2 | code, Ordering::Relaxed);
    }

    /// Returns what the thread does, and for how long it has done so without a step forward.
    pub(crate) fn look(&self) -> (Doing, Duration) {
        let noted = self.noted.load(Ordering::Relaxed);
        let doing = match noted & 3 {
            0 => Doing::Waiting,
            1 => Doing::Working,
            _ => Doing::Disk,
        };
        let since = Duration::from_millis(noted >> 2);
        (doing, self.born.elapsed().saturating_sub(since))
    }
}

/// What the threads of a store do at a moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pulse {
    /// The storage thread has ended.
    pub(crate) ended: bool,
    /// The storage thread, or whoever commits in its place.
    pub(crate) storage: (Doing, Duration),
    /// For how long the storage thread has not answered.
    pub(crate) unanswered: Option<Duration>,
    /// The checkpoint.
    pub(crate) checkpoint: (Doing, Duration),
}

impl Pulse {
    /// Returns which thread hangs, for operators; `None` if all of them wait for work, work, or wait for a slow disk.
    pub(crate) fn complaint(&self) -> Option<String> {
        if self.ended {
            return Some("the storage thread has ended".to_owned());
        }
        let waits = |what: &str, time: Duration| Some(format!("{what} for {} s", time.as_secs()));
        match (self.storage, self.unanswered, self.checkpoint) {
            ((Doing::Disk, time), ..) if time > DISK_PATIENCE => {
                waits("the disk has not finished a write or sync of the log", time)
            }
            ((Doing::Working, time), ..) if time > STEP_PATIENCE => {
                waits("the storage thread works but has not got on", time)
            }
            ((Doing::Waiting, _), Some(time), _) if time > STEP_PATIENCE => {
                waits("the storage thread has not answered", time)
            }
            (.., (Doing::Working | Doing::Disk, time)) if time > CHECKPOINT_PATIENCE => {
                waits("the checkpoint works but has not got on", time)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const WELL: Pulse = Pulse {
        ended: false,
        storage: (Doing::Waiting, Duration::MAX),
        unanswered: None,
        checkpoint: (Doing::Waiting, Duration::MAX),
    };

    #[test]
    fn a_thread_that_waits_for_work_or_for_a_slow_disk_is_well() {
        let storage = |doing, seconds| Pulse {
            storage: (doing, after(seconds)),
            unanswered: Some(after(seconds)),
            ..WELL
        };
        assert_eq!(WELL.complaint(), None);
        assert_eq!(storage(Doing::Disk, 240).complaint(), None);
        assert_eq!(storage(Doing::Working, 9).complaint(), None);
        assert_eq!(storage(Doing::Waiting, 9).complaint(), None);
        let checkpoint = (Doing::Working, after(500));
        assert_eq!(Pulse { checkpoint, ..WELL }.complaint(), None);
        // Steps forward count, whatever waits for an answer meanwhile.
        let busy = Pulse {
            storage: (Doing::Working, after(1)),
            unanswered: Some(after(100)),
            ..WELL
        };
        assert_eq!(busy.complaint(), None);
    }

    #[test]
    fn a_thread_that_hangs_is_named() {
        let storage = |doing, seconds| Pulse {
            storage: (doing, after(seconds)),
            unanswered: Some(after(seconds)),
            ..WELL
        };
        let checkpoint = (Doing::Working, after(601));
        for (pulse, said) in [
            (storage(Doing::Disk, 301), "write or sync"),
            (storage(Doing::Working, 11), "has not got on for 11 s"),
            (storage(Doing::Waiting, 11), "has not answered for 11 s"),
            (Pulse { checkpoint, ..WELL }, "the checkpoint"),
            (
                Pulse {
                    ended: true,
                    ..WELL
                },
                "has ended",
            ),
        ] {
            let complaint = pulse.complaint().unwrap_or_default();
            assert!(complaint.contains(said), "{pulse:?}: {complaint}");
        }
    }

    #[test]
    fn a_beat_says_what_is_done_since_when() {
        let beat = Beat::default();
        assert_eq!(beat.look().0, Doing::Waiting);
        for doing in [Doing::Working, Doing::Disk, Doing::Waiting] {
            beat.note(doing);
            let (seen, time) = beat.look();
            assert_eq!(seen, doing);
            assert!(time < after(60), "{time:?}");
        }
    }
}
