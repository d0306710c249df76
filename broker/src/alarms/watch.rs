//! The task that takes a reading every second.

use super::{Change, Reading, Resource};
use crate::broker::Broker;
use crate::system;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Between two readings. RabbitMQ looks at memory every 2.5 seconds and at the disk every 10, less
/// often the more of it is free; here a reading costs two system calls.
const INTERVAL: Duration = Duration::from_secs(1);

/// Takes readings for as long as the broker runs.
pub async fn watch(broker: Arc<Broker>, data_dir: PathBuf) {
    loop {
        tokio::time::sleep(INTERVAL).await;
        let (broker, data_dir) = (broker.clone(), data_dir.clone());
        // A file system over a network may take its time, and so may a trim of a large heap.
        let checked = tokio::task::spawn_blocking(move || check(&broker, &data_dir)).await;
        if let Err(error) = checked {
            tracing::error!(%error, "memory and disk were not looked at");
        }
    }
}

/// Takes a reading now; says in the log and to the connections what has changed.
pub fn check(broker: &Broker, data_dir: &Path) {
    let mut reading = read(data_dir);
    if broker.alarms.is_over_memory(reading) && system::trim_heap() {
        // Memory that is free already must not keep publishers out.
        reading = read(data_dir);
    }
    let change = broker.alarms.update(reading);
    report(broker, change);
    if !change.cleared.is_empty() && broker.alarms.in_force().is_empty() {
        broker.connections.unblock();
    }
}

fn read(data_dir: &Path) -> Reading {
    Reading {
        memory: system::resident_memory(),
        total_memory: system::total_memory(),
        disk_free: system::disk_free(data_dir),
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
fn figures(resource: Resource, view: &super::View) -> (u64, u64) {
    match resource {
        Resource::Memory => (view.reading.memory, view.memory_octets),
        Resource::Disk => (view.reading.disk_free.unwrap_or_default(), view.disk_octets),
    }
}
