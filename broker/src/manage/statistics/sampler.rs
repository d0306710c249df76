//! The task that takes samples: of what has moved since the last time, and of the sums.

use super::columns::{self, Columns};
use super::visit::{find, visit};
use crate::domain::broker::Broker;
use crate::engine::exchange::Exchange;
use crate::engine::interfaces::ConnectionId;
use crate::engine::statistics::{ExchangeCounts, Moved, Retention, Statistics, Tracked, VhostSums};
use crate::plumbing::mailbox::Order;
use crate::plumbing::report::ConnectionReport;
use crate::plumbing::system;
use leveret_protocol::{QueueName, VhostName};
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::oneshot;

/// How long connections may take to answer, all together: one that takes longer has no sample of its channels.
const PATIENCE: Duration = Duration::from_secs(1);
/// The time between two looks for samples that are too old, in milliseconds.
const SWEEP_INTERVAL: i64 = 60_000;

/// Takes samples as long as the broker runs.
pub async fn run(broker: Arc<Broker>) {
    let mut sampler = Sampler::default();
    loop {
        tokio::time::sleep(pause(broker.statistics.interval(), now())).await;
        sampler.sample(&broker, now()).await;
    }
}

/// Returns the wall clock time in milliseconds since the epoch.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

/// Returns how long it takes until the next multiple of the interval, in milliseconds.
fn pause(interval: u64, now: i64) -> Duration {
    let interval = i64::try_from(interval).unwrap_or(i64::MAX).max(1);
    Duration::from_millis((interval - now.rem_euclid(interval)) as u64)
}

/// Something with samples, which end when they are too old.
enum Sampled {
    Object(Moved),
    Channel(Weak<Tracked>),
}

/// Takes samples.
#[derive(Default)]
pub struct Sampler {
    sampled: Vec<Sampled>,
    swept_at: i64,
}

impl Sampler {
    /// Takes a sample of everything that has moved since the last time. `now` is in milliseconds since the epoch; the
    /// sample counts for the last multiple of the interval.
    pub async fn sample(&mut self, broker: &Arc<Broker>, now: i64) {
        let interval = i64::try_from(broker.statistics.interval()).unwrap_or(i64::MAX);
        let time = now.div_euclid(interval) * interval;
        let mut connections = Vec::new();
        visit(broker);
        for moved in broker.statistics.take_unsampled() {
            let begins = match &moved {
                Moved::Queue(vhost, name) => sample_queue(broker, vhost, name, time),
                Moved::Exchange(exchange) => exchange
                    .upgrade()
                    .is_some_and(|exchange| sample_exchange(broker, &exchange, time)),
                Moved::Connection(id) => {
                    connections.push(*id);
                    sample_connection(broker, *id, time)
                }
            };
            if begins {
                self.sampled.push(Sampled::Object(moved));
            }
        }
        self.sample_channels(broker, &connections, time).await;
        sample_sums(broker, time);
        sample_node(broker, time).await;
        broker.statistics.sampled(time);
        if (now - self.swept_at).abs() >= SWEEP_INTERVAL {
            self.swept_at = now;
            self.sampled
                .retain(|sampled| !is_over(broker, sampled, now));
        }
    }

    async fn sample_channels(&mut self, broker: &Broker, connections: &[ConnectionId], time: i64) {
        let asked: Vec<oneshot::Receiver<ConnectionReport>> = connections
            .iter()
            .filter_map(|id| broker.connections.parts_of(*id))
            .map(|(_, mailbox)| {
                let (answer, report) = oneshot::channel();
                mailbox.order(Order::Report(answer));
                report
            })
            .collect();
        let until = tokio::time::Instant::now() + PATIENCE;
        for report in asked {
            let Ok(Ok(report)) = tokio::time::timeout_at(until, report).await else {
                continue;
            };
            for channel in report.channels {
                let (row, tracked) = (columns::channel_row(&channel.stats), channel.tracked);
                if record(&broker.statistics, &tracked, time, &row, |_| {}) {
                    let channel = Arc::downgrade(&tracked);
                    self.sampled.push(Sampled::Channel(channel));
                }
            }
        }
    }
}

/// Records a sample; see [`Tracked::record`].
fn record(
    statistics: &Statistics,
    tracked: &Tracked,
    time: i64,
    row: &[u64],
    then: impl FnOnce(&[u64]),
) -> bool {
    let new = || statistics.new_history(Retention::Basic, row.len());
    tracked.record(time, row, new, then)
}

fn sample_queue(broker: &Broker, vhost: &VhostName, name: &QueueName, time: i64) -> bool {
    let Some((_, queue)) = find(broker, vhost, name) else {
        return false;
    };
    queue.tracked.unvisit();
    let row = columns::queue_row(&queue.stats(), &queue.counts());
    record(&broker.statistics, &queue.tracked, time, &row, |_| {})
}

fn sample_exchange(broker: &Broker, exchange: &Exchange, time: i64) -> bool {
    sample_counts(broker, &exchange.counts, time)
}

fn sample_counts(broker: &Broker, counts: &ExchangeCounts, time: i64) -> bool {
    counts.tracked.unmark();
    let row = counts.values();
    record(&broker.statistics, &counts.tracked, time, &row, |_| {})
}

fn sample_connection(broker: &Broker, id: ConnectionId, time: i64) -> bool {
    let Some((info, _)) = broker.connections.parts_of(id) else {
        return false;
    };
    info.tracked.unmark();
    let bytes = info.bytes();
    let row = columns::connection_row(bytes, &info.stats.get());
    let vhost = info.details().vhost;
    // Until it is opened, nothing is recorded: then all of it counts for the virtual host.
    let Some(vhost) = vhost.and_then(|name| broker.vhost(name.as_str())) else {
        return false;
    };
    let then = |before: &[u64]| {
        if let Some(before) = before.first_chunk() {
            vhost.statistics.change_bytes(*before, bytes);
        }
    };
    record(&broker.statistics, &info.tracked, time, &row, then)
}

/// Takes samples of the virtual hosts and of the broker. They are few, and their sums move whenever anything does.
fn sample_sums(broker: &Broker, time: i64) {
    let statistics = &broker.statistics;
    let mut all = statistics.retired();
    let record = |tracked: &Tracked, row: &[u64]| {
        let new = || statistics.new_history(Retention::Global, row.len());
        tracked.record(time, row, new, |_| {});
    };
    for vhost in broker.vhosts() {
        let sums: VhostSums = vhost.statistics.sums();
        all.add(&sums);
        record(&vhost.statistics.tracked, &columns::vhost_row(&sums));
        sample_counts(broker, &vhost.statistics.default_exchange, time);
    }
    let row = columns::broker_row(&all, &statistics.churn.get());
    record(&statistics.broker, &row);
}

async fn sample_node(broker: &Broker, time: i64) {
    // With thousands of connections it takes a while to count what is open.
    let files = tokio::task::spawn_blocking(|| system::file_descriptors().0);
    let reading = broker.alarms.view().reading;
    let row = [
        reading.memory,
        files.await.unwrap_or_default(),
        broker.connections.count() as u64,
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks() as u64,
        reading.disk_free.unwrap_or_default(),
    ];
    debug_assert_eq!(row.len(), Columns::NODE.width());
    let new = || broker.statistics.new_history(Retention::Global, row.len());
    broker.statistics.node.record(time, &row, new, |_| {});
}

/// Returns whether something has no samples any more, after dropping those that are too old.
fn is_over(broker: &Broker, sampled: &Sampled, now: i64) -> bool {
    match sampled {
        Sampled::Channel(tracked) => tracked
            .upgrade()
            .is_none_or(|tracked| tracked.release_if_old(now)),
        Sampled::Object(Moved::Queue(vhost, name)) => {
            find(broker, vhost, name).is_none_or(|(_, queue)| queue.tracked.release_if_old(now))
        }
        Sampled::Object(Moved::Exchange(exchange)) => exchange
            .upgrade()
            .is_none_or(|exchange| exchange.counts.tracked.release_if_old(now)),
        Sampled::Object(Moved::Connection(id)) => broker
            .connections
            .parts_of(*id)
            .is_none_or(|(info, _)| info.tracked.release_if_old(now)),
    }
}

#[cfg(test)]
mod tests;
