//! The task that takes readings: of everything once a second, and sooner where a flood could have
//! filled what was left of memory or the disk.

use super::evict::{Evictor, look_for_idle};
use crate::domain::broker::Broker;
use crate::plumbing::alarms::{AlarmSet, Change, Reading, Resource, View};
use crate::plumbing::system;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two readings of everything. RabbitMQ looks at memory every 2.5 seconds and at the disk
/// every 10, less often the more of it is free; here a reading costs two system calls.
const INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks at memory at least.
const INTERVAL_MIN: Duration = Duration::from_millis(5);
/// Octets per second by which memory and files may grow: faster than many clients publish over loopback.
const GROWTH: u64 = 2 << 30;
/// Freed memory that is worth the time to give it back.
const WORTH_TRIMMING: u64 = 16 << 20;
/// The broker has time for that when it has used no more than this part of a processor.
const QUIET: f64 = 0.1;

/// Looks after which connections have given back what they do not need, too.
const SETTLED: u32 = 5;

/// Takes readings for as long as the broker runs.
pub async fn watch(broker: Arc<Broker>, data_dir: PathBuf) {
    let mut looks = Looks::default();
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
            looks.follow(&broker);
            looks
        });
        looks = done.await.unwrap_or_else(|error| {
            tracing::error!(%error, "memory and disk were not looked at");
            Looks::default()
        });
        checked = Instant::now();
    }
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
struct Looks {
    quiet: Quiet,
    evictor: Evictor,
    /// No deliveries were sent.
    stopped: bool,
}

impl Looks {
    /// Does what follows from a look at memory.
    fn follow(&mut self, broker: &Broker) {
        let now = Instant::now();
        self.evictor.look(broker, now);
        look_for_idle(broker);
        let stopped = broker.ledger.deliveries_are_stopped();
        if std::mem::replace(&mut self.stopped, stopped) && !stopped {
            broker.connections.wake_all();
        }
        broker.connections.wake_those_without_room();
        self.quiet.trim(system::processor_time(), now);
    }
}

/// How long memory and the disk last, whatever happens.
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
    Duration::from_millis(left / (GROWTH / 1000)).clamp(INTERVAL_MIN, INTERVAL)
}

/// Whether memory or the disk is over its mark and no alarm is in force yet.
async fn has_filled_up(broker: &Broker, data_dir: &Path) -> bool {
    let memory = system::resident_memory();
    let view = broker.alarms.view();
    // Only where the disk could have filled: it may be slow to answer.
    let disk = match view.reading.disk_free {
        Some(free) if free < view.disk_bytes.saturating_add(GROWTH) => {
            let data_dir = data_dir.to_owned();
            let read = tokio::task::spawn_blocking(move || leveret_storage::free_space(&data_dir));
            read.await.ok().flatten()
        }
        unknown => unknown,
    };
    broker.alarms.note(memory, disk);
    tell_holders(broker);
    let low = disk.is_some_and(|free| free < view.disk_bytes);
    if !broker.alarms.in_force().is_empty() {
        return false;
    }
    let over = memory > view.memory_bytes;
    if over {
        // At once: in a flood, much comes before a thread takes the whole reading.
        broker.alarms.hold();
    }
    over || low
}

/// Takes a reading now; says in the log and to the connections what has changed.
pub fn check(broker: &Broker, data_dir: &Path) {
    check_since(broker.alarms.in_force(), broker, data_dir);
}

/// Whoever bounds what is held follows what was read.
fn tell_holders(broker: &Broker) {
    broker.ledger.look();
    if let Some(pager) = &broker.pager {
        let tight = broker.alarms.is_tight();
        pager.set_tight(tight);
        if tight {
            // What waits in queues that nobody uses leaves memory, though there is room for it in the budget.
            broker.effects(None).perform();
        }
    }
}

/// As [`check`], where these alarms were in force before publishers were held.
fn check_since(before: AlarmSet, broker: &Broker, data_dir: &Path) {
    let mut reading = read(data_dir);
    let over = broker.alarms.is_over_memory(reading);
    if over {
        // In a flood memory fills up faster than it can be given back.
        broker.alarms.hold();
        if system::trim_heap() {
            // Memory that is free already must not keep publishers out.
            reading = read(data_dir);
        }
    }
    let held = broker.alarms.in_force();
    let change = broker.alarms.update_from(before, reading);
    tell_holders(broker);
    report(broker, change);
    let was_held = over || before != held || !change.cleared.is_empty();
    if was_held && broker.alarms.in_force().is_empty() {
        broker.connections.unblock();
    }
}

/// What a load has left in the allocator goes back to the system when the load is over: what is
/// free there looks like used memory to everybody else.
#[derive(Debug, Default)]
struct Quiet {
    /// Processor time at the last look, and when that was.
    last: Option<(Duration, Instant)>,
    /// Octets that were left when memory was last given back.
    trimmed_to: u64,
    /// Looks since there was much to do, or since memory had grown.
    looks: u32,
    /// Memory was not given back since connections gave back their buffers.
    loaded: bool,
}

impl Quiet {
    /// Gives freed memory back if there is little to do and much may be free.
    fn trim(&mut self, processor: Duration, now: Instant) {
        let last = self.last.replace((processor, now));
        let memory = system::resident_memory();
        self.trimmed_to = self.trimmed_to.min(memory);
        let Some((used, since)) = last else {
            return;
        };
        let spent = processor.saturating_sub(used).as_secs_f64();
        let busy = spent > QUIET * now.saturating_duration_since(since).as_secs_f64();
        let grown = memory - self.trimmed_to >= WORTH_TRIMMING;
        if busy || grown {
            self.looks = 0;
            self.loaded = true;
        }
        self.looks += 1;
        let settled = self.loaded && self.looks > SETTLED;
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
        let (found, mark) = figures(resource, &view);
        tracing::warn!(
            found,
            mark,
            "{resource} resource limit alarm set: publishers will be blocked until it clears"
        );
    }
    for resource in change.cleared.iter() {
        let (found, mark) = figures(resource, &view);
        tracing::warn!(found, mark, "{resource} resource limit alarm cleared");
    }
}

/// Octets used or free, and the mark that they crossed.
fn figures(resource: Resource, view: &View) -> (u64, u64) {
    match resource {
        Resource::Memory => (view.reading.memory, view.memory_bytes),
        Resource::Disk => (view.reading.disk_free.unwrap_or_default(), view.disk_bytes),
    }
}
