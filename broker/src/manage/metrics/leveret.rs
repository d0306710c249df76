//! What only Leveret has: its store, its paging, and who holds memory. The prefix is `leveret_`.

use super::description::{Metric, Sink, histogram, metrics};
use super::totals::Totals;
use crate::domain::broker::Broker;
use crate::net::tls::{Role, Tls};
use crate::plumbing::ledger::Kind as Held;
use crate::plumbing::log::Log;
use leveret_storage::{Latency, Stats};
use std::sync::Arc;

/// The store.
pub(super) const STORE: &[Metric<Stats>] = metrics! { Stats;
    Counter store_cancelled_writes_total "Messages that were acknowledged before they were written, and so never written" |s| s.cancelled_writes;
    Gauge store_log_bytes "Size of the part of the commit log that is not in the database yet" |s| s.log_bytes;
    Counter store_folded_segments_total "Segments of the commit log that were put into the database and deleted" |s| s.folded_segments;
    Gauge store_database_bytes "Size of the database" |s| s.sled_bytes;
    Gauge store_backlog_bytes "Bytes that wait to be written to the commit log" |s| s.backlog_bytes;
    Gauge store_log_failing "1 while the commit log cannot be written" |s| s.health.write.is_some();
    Gauge store_checkpoint_failing "1 while the commit log cannot be put into the database" |s| s.health.checkpoint.is_some();
};

/// The log.
pub(super) const LOG: &[Metric<Log>] = metrics! { Log;
    Counter log_lost_lines_total "Lines of the log that came faster than they could be written, and were lost" |log| log.lost();
};

/// Where messages wait.
pub(super) const PAGING: &[Metric<(Arc<Totals>, Pages)>] = metrics! { (Arc<Totals>, Pages);
    Gauge queue_memory_bytes "Memory of the messages that wait in queues" |(_, p)| p.memory;
    Gauge queue_memory_limit_bytes "Memory above which messages wait on disk" |(_, p)| p.limit;
    Gauge spilled_bytes "Size of the messages on disk that are not in the store" |(_, p)| p.spilled;
    Gauge messages_paged_out "Messages that wait on disk and not in memory" |(t, _)| t.queue.contents.messages_paged_out;
    Gauge messages_paged_out_bytes "Size of the messages that wait on disk and not in memory" |(t, _)| t.queue.contents.message_bytes_paged_out;
    Gauge messages_delayed "Messages that wait for a retry" |(t, _)| t.queue.sums.counts.waiting.messages;
    Gauge messages_dlx "Dead letters that no queue has taken yet" |(t, _)| t.queue.sums.counts.undelivered.messages;
    Gauge statistics_memory_bytes "Memory of rates and histories" |(_, p)| p.statistics;
    Gauge memory_tight "1 while clients may hold less because memory is low or nearly so" |(_, p)| p.tight;
};

/// What the pager and the alarms know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pages {
    memory: Option<u64>,
    limit: Option<u64>,
    spilled: Option<u64>,
    statistics: u64,
    tight: bool,
}

impl Pages {
    pub(super) fn of(broker: &Broker) -> Self {
        use crate::engine::queue::paging::PageMover;
        let pager = broker.pager.as_deref();
        Pages {
            memory: pager.map(|pager| pager.memory()),
            limit: pager.map(|pager| pager.limits().budget),
            spilled: pager.map(|pager| pager.spilled()),
            statistics: broker.statistics.memory(),
            tight: broker.alarms.is_tight(),
        }
    }
}

/// Writes how long commits took.
pub(super) fn write_latency(sink: &mut dyn Sink, stats: &Stats) {
    histogram(
        sink,
        (
            "leveret_store_commit_seconds",
            "Times of writing and syncing the commit log",
        ),
        &[],
        (
            &Latency::BOUNDS.map(|bound| format!("{bound:?}")),
            &stats.latency.classes,
        ),
        stats.latency.sum.as_secs_f64(),
    );
}

/// Writes when certificates expire.
pub(super) fn write_certificates(sink: &mut dyn Sink, tls: &Tls) {
    let name = "leveret_tls_certificate_expires_at_seconds";
    let help = "When each certificate expires, in seconds since the epoch";
    let all = tls.validity();
    let mut certificates = all
        .iter()
        .filter(|one| one.role != Role::RevocationList)
        .peekable();
    if certificates.peek().is_some() {
        sink.begin(name, super::Kind::Gauge, help);
    }
    for one in certificates {
        let role = match one.role {
            Role::Authority => "authority",
            _ => "certificate",
        };
        let file = one.file.to_string_lossy();
        let labels = [("file", &*file), ("role", role), ("subject", &one.subject)];
        sink.value(name, "", &labels, one.until as f64);
    }
}

/// Writes what connections hold, by reason.
pub(super) fn write_held(sink: &mut dyn Sink, totals: &Totals) {
    let name = "leveret_held_memory_bytes";
    let help = "Memory that connections hold, by what it is held for";
    sink.begin(name, super::Kind::Gauge, help);
    for kind in Held::ALL {
        let bytes = totals.held[kind as usize];
        sink.value(name, "", &[("kind", label(kind))], bytes as f64);
    }
}

fn label(kind: Held) -> &'static str {
    match kind {
        Held::Unacknowledged => "unacknowledged",
        Held::Output => "output",
        Held::Unfinished => "unfinished",
        Held::Uncommitted => "uncommitted",
        Held::Deferred => "deferred",
        Held::Declared => "declared",
        Held::Input => "input",
    }
}
