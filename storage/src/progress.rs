//! How far the opening of a store, or its repair, has got: for those who wait for it.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

use parking_lot::Mutex;

/// What is being done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// The database is being opened. How long that takes is not known beforehand.
    #[default]
    Opening,
    /// Messages of an older schema are being moved; counted in chunks of messages.
    Converting {
        /// The schema of the store.
        from: u32,
    },
    /// The catalogue is being loaded; counted in its entries, whose total is not known.
    Catalogue,
    /// The commit log is being read; counted in bytes.
    Log,
    /// Messages are being counted; counted in queues.
    Counting,
    /// The broker restores its queues; counted in queues.
    Restoring,
    /// A damaged store is being read; counted in messages, whose total is not known.
    Checking,
    /// A damaged store is being copied; counted in messages, whose total is not known.
    Rebuilding,
}

/// A stage, and how far it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Step {
    /// The stage.
    pub stage: Stage,
    /// How much of it is done, in the unit of the stage.
    pub done: u64,
    /// How much there is to do; 0 if that is not known.
    pub total: u64,
}

/// Where whoever opens a store notes how far it is. Others may look at any time.
#[derive(Debug, Default)]
pub struct Progress {
    stage: Mutex<(Stage, u64)>,
    done: AtomicU64,
}

impl Progress {
    /// Begins a stage with so much to do, 0 if that is not known.
    pub fn begin(&self, stage: Stage, total: u64) {
        let mut current = self.stage.lock();
        *current = (stage, total);
        self.done.store(0, Ordering::Relaxed);
    }

    /// Notes that so much of the stage is done by now.
    pub fn reach(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    /// Notes that so much more of the stage is done.
    pub fn add(&self, more: u64) {
        self.done.fetch_add(more, Ordering::Relaxed);
    }

    /// Returns how far it is.
    pub fn step(&self) -> Step {
        let current = self.stage.lock();
        let (stage, total) = *current;
        let done = self.done.load(Ordering::Relaxed);
        Step { stage, done, total }
    }
}

impl fmt::Display for Step {
    /// Writes a text for operators, such as `converting the store from schema 2: 34 %`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { done, total, .. } = *self;
        let done = if total == 0 { done } else { done.min(total) };
        match self.stage {
            Stage::Opening => f.write_str("opening the database"),
            Stage::Converting { from } => {
                let percent = done.saturating_mul(100).checked_div(total).unwrap_or(0);
                write!(f, "converting the store from schema {from}: {percent} %")
            }
            Stage::Catalogue => write!(f, "loading the catalogue: {done} entries"),
            Stage::Log => {
                let (unit, name) = unit(total);
                let [done, total] = [done, total].map(|bytes| bytes as f64 / unit);
                write!(f, "reading the log: {done:.1} of {total:.1} {name}")
            }
            Stage::Counting => write!(f, "counting messages: {done} of {total} queues"),
            Stage::Restoring => write!(f, "restoring queues: {done} of {total}"),
            Stage::Checking => write!(f, "reading the store: {done} messages"),
            Stage::Rebuilding => write!(f, "rebuilding the store: {done} messages"),
        }
    }
}

/// Returns the unit, in bytes and by name, in which a size is best shown.
fn unit(bytes: u64) -> (f64, &'static str) {
    match bytes {
        0..0x10_0000 => (1024.0, "KiB"),
        0x10_0000..0x4000_0000 => (1024.0 * 1024.0, "MiB"),
        _ => (1024.0 * 1024.0 * 1024.0, "GiB"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_described_for_operators() {
        let progress = Progress::default();
        assert_eq!(progress.step().to_string(), "opening the database");
        progress.begin(Stage::Converting { from: 2 }, 50);
        progress.add(17);
        let said = progress.step().to_string();
        assert_eq!(said, "converting the store from schema 2: 34 %");
        progress.begin(Stage::Log, 3_650_722_202);
        progress.reach(1_288_490_189);
        let said = progress.step().to_string();
        assert_eq!(said, "reading the log: 1.2 of 3.4 GiB");
        progress.begin(Stage::Log, 2048);
        let said = progress.step().to_string();
        assert_eq!(said, "reading the log: 0.0 of 2.0 KiB");
        progress.begin(Stage::Restoring, 7);
        progress.reach(9);
        assert_eq!(progress.step().to_string(), "restoring queues: 7 of 7");
    }
}
