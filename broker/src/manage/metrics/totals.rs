//! The sums over all objects, which the aggregated metrics show.

use super::objects::{ChannelFigures, QueueFigures};
use crate::domain::broker::Broker;
use crate::domain::connections::Traffic as ConnectionTraffic;
use crate::engine::statistics::VhostSums;
use crate::manage::statistics::visit;
use crate::plumbing::ledger::Kind as Held;
use crate::plumbing::system;
use leveret_storage::Stats;
use std::path::Path;

/// Everything that is summed or read once for a scrape.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) queue: QueueFigures,
    pub(super) channel: ChannelFigures,
    pub(super) connections: u64,
    pub(super) connection: ConnectionTraffic,
    pub(super) held: [u64; Held::ALL.len()],
    pub(super) sums: VhostSums,
    pub(super) files: (u64, u64),
    pub(super) memory: u64,
    pub(super) disk_free: Option<u64>,
    pub(super) store: Option<Stats>,
}

impl Totals {
    /// Sums everything up; of the queues, only those that have moved are read.
    pub(super) fn of(broker: &Broker, data_dir: &Path) -> Self {
        visit(broker);
        let mut sums = broker.statistics.retired();
        for vhost in broker.vhosts() {
            sums.add(&vhost.statistics.sums());
        }
        let queue = QueueFigures::of_all(sums.queues());
        let (mut connections, mut held) = (0, [0; Held::ALL.len()]);
        let connection = broker.connections.totals(|info| {
            connections += 1;
            for (sum, kind) in held.iter_mut().zip(Held::ALL) {
                *sum += info.holdings.of(kind);
            }
        });
        Totals {
            channel: ChannelFigures::of_queues(&queue),
            queue,
            connections,
            connection,
            held,
            sums,
            files: system::file_descriptors(),
            memory: system::resident_memory(),
            disk_free: leveret_storage::free_space(data_dir),
            store: broker.store.as_ref().map(|store| store.stats()),
        }
    }
}
