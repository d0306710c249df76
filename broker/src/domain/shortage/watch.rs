//! The task that monitors memory and disk: once a second, and sooner if a flood could have filled what was
//! left of either.

use super::evict::{Evictor, check_idle_requests};
use crate::domain::broker::Broker;
use crate::plumbing::alarms::{AlarmSet, Change, Reading, Resource, View};
use crate::plumbing::system;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The interval between two complete readings. RabbitMQ checks memory every 2.5 seconds and the disk every
/// 10, less often the more of it is free; here a reading costs two system calls.
const INTERVAL: Duration = Duration::from_secs(1);
/// The minimum interval between two checks of memory.
const INTERVAL_MIN: Duration = Duration::from_millis(5);
/// The assumed maximum growth of memory and files in bytes per second: faster than many clients publish
/// over loopback.
const MAX_GROWTH: u64 = 2 << 30;
/// The least freed memory, in bytes, that is worth the time to return it to the system.
const MIN_TRIM: u64 = 16 << 20;
/// The broker counts as idle if it uses no more than this fraction of a processor.
const IDLE_LOAD: f64 = 0.1;

/// The number of checks after which connections have returned their unused buffers, too.
const SETTLED_CHECKS: u32 = 5;

/// Monitors memory and disk for as long as the broker runs.
pub async fn watch(broker: Arc<Broker>, data_dir: PathBuf) {
    let mut monitor = Monitor::default();
    let mut checked = Instant::now();
    loop {
        tokio::time::sleep(pause(&broker)).await;
        let soon = checked.elapsed() < INTERVAL;
        let before = broker.alarms.in_force();
        if soon && !has_filled_up(&broker, &data_dir).await {
            continue;
        }
        let (broker, data_dir) = (broker.clone(), data_dir.clone());
        // A file system over a network may take its time, and so may a trim of a large heap.
        let done = tokio::task::spawn_blocking(move || {
            check_since(before, &broker, &data_dir);
            monitor.after_check(&broker);
            monitor
        });
        monitor = done.await.unwrap_or_else(|error| {
            tracing::error!(%error, "cannot check memory and disk");
            Monitor::default()
        });
        checked = Instant::now();
    }
}

/// The state that is kept from one check to the next.
#[derive(Debug, Default)]
struct Monitor {
    trimmer: HeapTrimmer,
    evictor: Evictor,
    /// Deliveries were stopped at the last check.
    stopped: bool,
}

impl Monitor {
    /// Evicts, wakes and trims as the last check requires.
    fn after_check(&mut self, broker: &Broker) {
        let now = Instant::now();
        self.evictor.check(broker, now);
        check_idle_requests(broker);
        let stopped = broker.ledger.deliveries_are_stopped();
        if std::mem::replace(&mut self.stopped, stopped) && !stopped {
            broker.connections.wake_all();
        }
        broker.connections.wake_those_waiting_for_memory();
        self.trimmer.trim(system::processor_time(), now);
    }
}

/// Returns how long the free memory and disk space last at the maximum growth.
fn pause(broker: &Broker) -> Duration {
    let view = broker.alarms.view();
    let free = view.reading.disk_free.unwrap_or(u64::MAX);
    let left = view
        .memory_bytes
        .checked_sub(view.reading.memory)
        .zip(free.checked_sub(view.disk_bytes))
        .map(|(memory, disk)| memory.min(disk));
    let Some(left) = left.filter(|_| broker.alarms.in_force().is_empty()) else {
        return INTERVAL;
    };
    Duration::from_millis(left / (MAX_GROWTH / 1000)).clamp(INTERVAL_MIN, INTERVAL)
}

/// Returns whether memory or the disk has crossed its threshold while no alarm is in force yet.
async fn has_filled_up(broker: &Broker, data_dir: &Path) -> bool {
    let memory = system::resident_memory();
    let view = broker.alarms.view();
    // Only if the disk could have filled up: it may be slow to answer.
    let disk = match view.reading.disk_free {
        Some(free) if free < view.disk_bytes.saturating_add(MAX_GROWTH) => {
            let data_dir = data_dir.to_owned();
            let read = tokio::task::spawn_blocking(move || leveret_storage::free_space(&data_dir));
            read.await.ok().flatten()
        }
        unknown => unknown,
    };
    broker.alarms.record_reading(memory, disk);
    apply_reading(broker);
    let low = disk.is_some_and(|free| free < view.disk_bytes);
    if !broker.alarms.in_force().is_empty() {
        return false;
    }
    let over = memory > view.memory_bytes;
    if over {
        // At once: in a flood, much arrives before a thread takes the complete reading.
        broker.alarms.block_publishers_meanwhile();
    }
    over || low
}

/// Takes a reading now; logs what has changed and tells the connections.
pub fn check(broker: &Broker, data_dir: &Path) {
    check_since(broker.alarms.in_force(), broker, data_dir);
}

/// Adjusts the ledger and the pager to the last reading.
fn apply_reading(broker: &Broker) {
    broker.ledger.update_limits();
    if let Some(pager) = &broker.pager {
        let tight = broker.alarms.is_tight();
        pager.set_tight(tight);
        if tight {
            // Queues that nobody uses page out their messages, although the budget has room for them.
            broker.effects(None).perform();
        }
    }
}

/// Does what [`check`] does; `before` are the alarms in force before publishers were held.
fn check_since(before: AlarmSet, broker: &Broker, data_dir: &Path) {
    let mut reading = read(data_dir);
    let over = broker.alarms.is_over_memory(reading);
    if over {
        // In a flood memory fills up faster than it can be returned to the system.
        broker.alarms.block_publishers_meanwhile();
        if system::trim_heap() {
            // Memory that is already free must not block publishers.
            reading = read(data_dir);
        }
    }
    let held = broker.alarms.in_force();
    let change = broker.alarms.update_from(before, reading);
    apply_reading(broker);
    report(broker, change);
    let was_held = over || before != held || !change.cleared.is_empty();
    if was_held && broker.alarms.in_force().is_empty() {
        broker.connections.unblock();
    }
}

/// Returns freed memory from the allocator to the system when a load is over: to everything else, free
/// memory in the allocator looks used.
#[derive(Debug, Default)]
struct HeapTrimmer {
    /// The processor time at the last check, and when that was.
    last: Option<(Duration, Instant)>,
    /// The resident memory in bytes after the last trim.
    trimmed_to: u64,
    /// The number of checks since the broker was last busy or memory last grew.
    quiet_checks: u32,
    /// Whether memory has not been trimmed since connections returned their buffers.
    loaded: bool,
}

impl HeapTrimmer {
    /// Returns freed memory to the system if the broker is idle and much may be free.
    fn trim(&mut self, processor: Duration, now: Instant) {
        let last = self.last.replace((processor, now));
        let memory = system::resident_memory();
        self.trimmed_to = self.trimmed_to.min(memory);
        let Some((used, since)) = last else {
            return;
        };
        let spent = processor.saturating_sub(used).as_secs_f64();
        let busy = spent > IDLE_LOAD * now.saturating_duration_since(since).as_secs_f64();
        let grown = memory - self.trimmed_to >= MIN_TRIM;
        if busy || grown {
            self.quiet_checks = 0;
            self.loaded = true;
        }
        self.quiet_checks += 1;
        let settled = self.loaded && self.quiet_checks > SETTLED_CHECKS;
        if !busy && (grown || settled) && system::trim_heap() {
            self.trimmed_to = system::resident_memory();
            self.loaded = !settled;
        }
    }
}

fn read(data_dir: &Path) -> Reading {
    Reading {
        memory: system::resident_memory(),
        total_memory: system::total_memory(),
        disk_free: leveret_storage::free_space(data_dir),
    }
}

fn report(broker: &Broker, change: Change) {
    let view = broker.alarms.view();
    for resource in change.raised.iter() {
        let (current, limit) = figures(resource, &view);
        tracing::warn!(
            current,
            limit,
            "{resource} resource limit alarm set: publishers will be blocked until it clears"
        );
    }
    for resource in change.cleared.iter() {
        let (current, limit) = figures(resource, &view);
        tracing::warn!(current, limit, "{resource} resource limit alarm cleared");
    }
}

/// Returns the used or free bytes, and the threshold that they crossed.
fn figures(resource: Resource, view: &View) -> (u64, u64) {
    match resource {
        Resource::Memory => (view.reading.memory, view.memory_bytes),
        Resource::Disk => (view.reading.disk_free.unwrap_or_default(), view.disk_bytes),
        // It has no readings, and is in no set of alarms.
        Resource::CommitLog => (0, 0),
    }
}
