//! Resource alarms, and the connections that they block (RabbitMQ: "Memory and Disk Alarms").
//!
//! [`Alarms`] compares readings with watermarks; `domain/shortage` takes readings, at least once a second. Connections check
//! [`Alarms::in_force`] once per read batch: a connection that publishes while an alarm is in force is blocked, and
//! told when all alarms are over. As in RabbitMQ there is no hysteresis: one watermark raises and clears.

use crate::config::{DiskFreeLimit, MemoryWatermark};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};

/// Memory is exhausted when it is above its watermark by this many bytes ...
const EXHAUSTED_ABOVE: u64 = 32 << 20;
/// ... plus this fraction of the watermark.
const EXHAUSTED_DIVISOR: u64 = 20;

/// Memory is tight when no more than this fraction of its watermark is left.
const TIGHT_DIVISOR: u64 = 16;

/// A resource that can run low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resource {
    /// Space on the file system of the data directory.
    Disk,
    /// Memory.
    Memory,
    /// The commit log: it cannot be written. Operators are told; no [`AlarmSet`] has it, because publishers are slowed
    /// down by their unwritten messages anyway.
    CommitLog,
}

impl Resource {
    /// Those that block publishers, in RabbitMQ's order.
    const ALL: [Resource; 2] = [Resource::Disk, Resource::Memory];

    fn bit(self) -> u8 {
        match self {
            Resource::Disk => 1,
            Resource::Memory => 2,
            Resource::CommitLog => 4,
        }
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Resource::Disk => "disk",
            Resource::Memory => "memory",
            Resource::CommitLog => "commit log",
        })
    }
}

/// A set of alarms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AlarmSet(u8);

impl AlarmSet {
    /// Returns whether the set is empty.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns whether the memory alarm is in the set.
    pub fn has_memory(self) -> bool {
        self.0 & Resource::Memory.bit() != 0
    }

    /// Iterates over the alarms in the set.
    pub fn iter(self) -> impl Iterator<Item = Resource> {
        Resource::ALL
            .into_iter()
            .filter(move |resource| self.0 & resource.bit() != 0)
    }

    fn with(self, resource: Resource, alarmed: bool) -> Self {
        if alarmed {
            AlarmSet(self.0 | resource.bit())
        } else {
            AlarmSet(self.0 & !resource.bit())
        }
    }

    /// Returns the alarms of this set that are not in the other.
    fn without(self, other: AlarmSet) -> AlarmSet {
        AlarmSet(self.0 & !other.0)
    }
}

/// The reason given in connection.blocked.
impl fmt::Display for AlarmSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.iter().map(|resource| resource.to_string()).collect();
        write!(f, "low on {}", names.join(" & "))
    }
}

/// A reading of all resources, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Memory used by the broker.
    pub memory: u64,
    /// Memory available to it: the machine's, or its control group's limit.
    pub total_memory: u64,
    /// Free space on the file system of the data directory, if the system tells.
    pub disk_free: Option<u64>,
}

/// The state of the alarms, for an operator.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// The last reading.
    pub reading: Reading,
    /// The memory watermark as configured.
    pub memory: MemoryWatermark,
    /// The memory watermark in bytes.
    pub memory_bytes: u64,
    /// The disk free limit in bytes.
    pub disk_bytes: u64,
}

/// The changes caused by a reading.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// Newly raised alarms.
    pub raised: AlarmSet,
    /// Newly cleared alarms.
    pub cleared: AlarmSet,
}

/// The alarms of the broker.
#[derive(Debug)]
pub struct Alarms {
    in_force: AtomicU8,
    /// In bytes; the maximum before the first reading.
    memory_mark: AtomicU64,
    /// See [`Alarms::is_tight`].
    tight: AtomicBool,
    /// See [`Alarms::is_exhausted`].
    exhausted: AtomicBool,
    state: Mutex<State>,
}

impl Default for Alarms {
    fn default() -> Self {
        Alarms {
            in_force: AtomicU8::default(),
            memory_mark: AtomicU64::new(u64::MAX),
            tight: AtomicBool::new(false),
            exhausted: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }
}

#[derive(Debug, Default)]
struct State {
    memory: MemoryWatermark,
    disk: DiskFreeLimit,
    reading: Reading,
}

impl Alarms {
    /// Returns the alarms in force: a single load, for once per read batch.
    pub fn in_force(&self) -> AlarmSet {
        AlarmSet(self.in_force.load(Ordering::SeqCst))
    }

    /// Returns the memory watermark in bytes, as of the last reading: a single load.
    pub fn memory_mark(&self) -> u64 {
        self.memory_mark.load(Ordering::Relaxed)
    }

    /// Returns whether memory is low, or nearly: then peers may hold less, before publishers have
    /// to stop.
    pub fn is_tight(&self) -> bool {
        self.tight.load(Ordering::Relaxed) || self.in_force().has_memory()
    }

    /// Returns whether memory is so far above its watermark that nothing new may be declared, because blocking
    /// publishers did not help. Never true if an operator has set the watermark to 0, which is meant to stop
    /// publishers.
    pub fn is_exhausted(&self) -> bool {
        self.exhausted.load(Ordering::Relaxed)
    }

    /// Sets both limits; they apply from the next reading on.
    pub fn set_limits(&self, memory: MemoryWatermark, disk: DiskFreeLimit) {
        self.set_memory_watermark(memory);
        self.set_disk_free_limit(disk);
    }

    /// Sets the memory watermark; it applies from the next reading on.
    pub fn set_memory_watermark(&self, memory: MemoryWatermark) {
        self.state.lock().memory = memory;
    }

    /// Sets the disk free limit; it applies from the next reading on.
    pub fn set_disk_free_limit(&self, disk: DiskFreeLimit) {
        self.state.lock().disk = disk;
    }

    /// Returns whether a reading is above the memory watermark.
    pub fn is_over_memory(&self, reading: Reading) -> bool {
        reading.memory > self.state.lock().memory.bytes(reading.total_memory)
    }

    /// Records used memory and free disk space between two full readings.
    pub fn record_reading(&self, memory: u64, disk_free: Option<u64>) {
        let mut state = self.state.lock();
        (state.reading.memory, state.reading.disk_free) = (memory, disk_free);
        self.update_tight(&state);
    }

    fn update_tight(&self, state: &State) {
        let mark = state.memory.bytes(state.reading.total_memory);
        let tight = state.reading.memory > mark - mark / TIGHT_DIVISOR;
        self.tight.store(tight, Ordering::Relaxed);
    }

    /// Blocks publishers as if memory were above its watermark until the next [`Alarms::update`],
    /// while the actual usage is determined.
    pub fn block_publishers_meanwhile(&self) {
        let held = self.in_force().with(Resource::Memory, true);
        self.in_force.store(held.0, Ordering::SeqCst);
    }

    /// Compares a reading with the limits.
    pub fn update(&self, reading: Reading) -> Change {
        self.update_from(self.in_force(), reading)
    }

    /// Like [`Alarms::update`], given the alarms that were in force before publishers were held.
    pub fn update_from(&self, before: AlarmSet, reading: Reading) -> Change {
        let mut state = self.state.lock();
        let total = reading.total_memory;
        let low_disk = |free| free < state.disk.bytes(total);
        let now = before
            .with(Resource::Memory, reading.memory > state.memory.bytes(total))
            // An unknown amount of free space is no reason to stop publishers.
            .with(Resource::Disk, reading.disk_free.is_some_and(low_disk));
        let mark = state.memory.bytes(total);
        self.memory_mark.store(mark, Ordering::Relaxed);
        let bearable = mark.saturating_add(mark / EXHAUSTED_DIVISOR + EXHAUSTED_ABOVE);
        let exhausted = mark > 0 && reading.memory > bearable;
        self.exhausted.store(exhausted, Ordering::Relaxed);
        state.reading = reading;
        self.update_tight(&state);
        self.in_force.store(now.0, Ordering::SeqCst);
        Change {
            raised: now.without(before),
            cleared: before.without(now),
        }
    }

    /// Returns the state for an operator.
    pub fn view(&self) -> View {
        let state = self.state.lock();
        let total = state.reading.total_memory;
        View {
            reading: state.reading,
            memory: state.memory,
            memory_bytes: state.memory.bytes(total),
            disk_bytes: state.disk.bytes(total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(memory: u64, disk_free: u64) -> Reading {
        Reading {
            memory,
            total_memory: 1000,
            disk_free: Some(disk_free),
        }
    }

    #[test]
    fn one_mark_raises_and_clears() {
        let alarms = Alarms::default();
        alarms.set_limits(MemoryWatermark::Relative(0.4), DiskFreeLimit::Absolute(50));
        assert_eq!(alarms.update(reading(400, 50)), Change::default());
        assert!(alarms.in_force().is_empty());
        let change = alarms.update(reading(401, 49));
        assert_eq!(change.raised.to_string(), "low on disk & memory");
        assert_eq!(alarms.in_force(), change.raised);
        assert_eq!(alarms.update(reading(500, 0)), Change::default());
        let change = alarms.update(reading(400, 49));
        assert_eq!(change.cleared.to_string(), "low on memory");
        assert_eq!(alarms.in_force().to_string(), "low on disk");
        let change = alarms.update(reading(0, 50));
        assert_eq!(change.cleared.to_string(), "low on disk");
        assert!(alarms.in_force().is_empty());
    }

    #[test]
    fn publishers_that_were_only_held_are_not_said_to_have_been_alarmed() {
        let alarms = Alarms::default();
        alarms.set_memory_watermark(MemoryWatermark::Absolute(100));
        let before = alarms.in_force();
        alarms.block_publishers_meanwhile();
        assert_eq!(alarms.in_force().to_string(), "low on memory");
        let change = alarms.update_from(before, reading(100, 1 << 40));
        assert_eq!(change, Change::default());
        assert!(alarms.in_force().is_empty());
        alarms.block_publishers_meanwhile();
        let change = alarms.update_from(before, reading(101, 1 << 40));
        assert_eq!(change.raised.to_string(), "low on memory");
    }

    #[test]
    fn memory_is_exhausted_far_above_a_mark_that_is_not_0() {
        let alarms = Alarms::default();
        for (mark, memory, exhausted) in [
            (200 << 20, 200 << 20, false),
            (200 << 20, 241 << 20, false),
            (200 << 20, 243 << 20, true),
            (0, 243 << 20, false),
            (200 << 20, 10, false),
        ] {
            alarms.set_memory_watermark(MemoryWatermark::Absolute(mark));
            alarms.update(Reading {
                total_memory: 1 << 40,
                ..reading(memory, 1 << 40)
            });
            assert_eq!(alarms.is_exhausted(), exhausted, "{mark} {memory}");
        }
    }

    #[test]
    fn memory_is_tight_before_it_is_low() {
        let alarms = Alarms::default();
        alarms.set_memory_watermark(MemoryWatermark::Absolute(160));
        for (memory, tight) in [(150, false), (151, true), (10, false), (161, true)] {
            alarms.update(reading(memory, 1 << 40));
            assert_eq!(alarms.is_tight(), tight, "{memory}");
        }
        alarms.record_reading(100, None);
        assert!(
            alarms.is_tight(),
            "low until the next reading of everything"
        );
        alarms.update(reading(100, 1 << 40));
        alarms.record_reading(155, None);
        assert!(alarms.is_tight() && alarms.in_force().is_empty());
    }

    #[test]
    fn a_new_mark_counts_from_the_next_reading_on() {
        let alarms = Alarms::default();
        alarms.update(reading(100, 1 << 40));
        alarms.set_memory_watermark(MemoryWatermark::Absolute(99));
        assert!(alarms.in_force().is_empty());
        let change = alarms.update(reading(100, 1 << 40));
        assert_eq!(change.raised.to_string(), "low on memory");
        assert_eq!(alarms.view().memory_bytes, 99);
    }

    #[test]
    fn a_disk_that_cannot_be_read_raises_nothing() {
        let alarms = Alarms::default();
        let unknown = Reading {
            disk_free: None,
            ..reading(0, 0)
        };
        assert_eq!(alarms.update(unknown), Change::default());
    }
}
