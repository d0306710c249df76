//! Which counters the samples of each kind of object have, in which order.

use crate::engine::queue::Counts;
use crate::engine::statistics::{ChurnCounts, ExchangeCounts, MessageStats, Row, VhostSums};

/// The counters of one kind of object.
#[derive(Debug, PartialEq, Eq)]
pub struct Columns(&'static [&'static [&'static str]]);

const LENGTHS: [&str; 3] = ["messages", "messages_ready", "messages_unacknowledged"];
const OCTETS: [&str; 2] = ["recv_oct", "send_oct"];
/// What channels count.
const OF_CHANNELS: [&str; 11] = [
    "publish",
    "confirm",
    "return_unroutable",
    "drop_unroutable",
    "deliver",
    "deliver_no_ack",
    "get",
    "get_no_ack",
    "get_empty",
    "redeliver",
    "ack",
];
/// What `deliver_get` is the sum of.
const DELIVER_GET: [&str; 4] = ["deliver", "deliver_no_ack", "get", "get_no_ack"];

impl Columns {
    /// Of a queue; the lengths are last.
    pub const QUEUE: Columns = Columns(&[
        &[
            "publish",
            "deliver",
            "deliver_no_ack",
            "get",
            "get_no_ack",
            "get_empty",
            "redeliver",
            "ack",
            "disk_reads",
            "disk_writes",
        ],
        &LENGTHS,
    ]);
    /// Of a channel.
    pub const CHANNEL: Columns = Columns(&[&OF_CHANNELS]);
    /// Of an exchange.
    pub const EXCHANGE: Columns = Columns(&[&ExchangeCounts::NAMES]);
    /// Of a connection; the bytes are first.
    pub const CONNECTION: Columns = Columns(&[&OCTETS, &OF_CHANNELS]);
    /// Of a virtual host.
    pub const VHOST: Columns = Columns(&[&MessageStats::NAMES, &LENGTHS, &OCTETS]);
    /// Of the broker as a whole.
    pub const BROKER: Columns =
        Columns(&[&MessageStats::NAMES, &LENGTHS, &OCTETS, &ChurnCounts::NAMES]);
    /// Of the process.
    pub const NODE: Columns = Columns(&[&[
        "mem_used",
        "fd_used",
        "sockets_used",
        "proc_used",
        "disk_free",
    ]]);

    /// Iterates over the names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().flat_map(|names| names.iter().copied())
    }

    /// Returns whether these objects have a counter.
    pub fn has(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// Returns the number of counters.
    pub fn width(&self) -> usize {
        self.0.iter().map(|names| names.len()).sum()
    }

    /// Returns the value of a counter, or of `deliver_get`; `None` if these objects have no such counter.
    pub fn value(&self, row: &[u64], name: &str) -> Option<u64> {
        if name == "deliver_get" {
            return DELIVER_GET.iter().map(|name| self.value(row, name)).sum();
        }
        let at = self.names().position(|known| known == name)?;
        row.get(at).copied()
    }

    /// Returns the row of what was counted as `message_stats`, without the other counters.
    fn of_stats(&self, stats: &MessageStats) -> Row {
        let (names, values) = (MessageStats::NAMES, stats.values());
        let find = |name| names.iter().position(|known| *known == name);
        self.names().filter_map(find).map(|at| values[at]).collect()
    }
}

/// Returns the row of a queue.
pub(super) fn queue_row(stats: &MessageStats, counts: &Counts) -> Row {
    let mut row = Columns::QUEUE.of_stats(stats);
    row.extend([counts.all().messages, counts.ready, counts.unacked]);
    row
}

/// Returns the row of a channel.
pub(super) fn channel_row(stats: &MessageStats) -> Row {
    Columns::CHANNEL.of_stats(stats)
}

/// Returns the row of a connection.
pub(super) fn connection_row(octets: [u64; 2], stats: &MessageStats) -> Row {
    let mut row = Row::from_slice(&octets);
    row.extend(Columns::CONNECTION.of_stats(stats));
    row
}

/// Returns the row of a virtual host.
pub(super) fn vhost_row(sums: &VhostSums) -> Row {
    let mut row = Row::from_slice(&sums.stats().values());
    row.extend(sums.lengths());
    row.extend(sums.bytes);
    row
}

/// Returns the row of the broker.
pub(super) fn broker_row(sums: &VhostSums, churn: &ChurnCounts) -> Row {
    let mut row = vhost_row(sums);
    row.extend(churn.values());
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_value_for_each_of_its_names() {
        let (stats, sums) = (MessageStats::default(), VhostSums::default());
        let rows = [
            (Columns::QUEUE, queue_row(&stats, &Counts::default())),
            (Columns::CHANNEL, channel_row(&stats)),
            (Columns::CONNECTION, connection_row([1, 2], &stats)),
            (Columns::VHOST, vhost_row(&sums)),
            (Columns::BROKER, broker_row(&sums, &ChurnCounts::default())),
        ];
        for (columns, row) in rows {
            assert_eq!(columns.width(), row.len());
            assert_eq!(columns.names().count(), row.len());
        }
    }

    #[test]
    fn counters_are_found_by_their_names() {
        let numbered = std::array::from_fn(|at| at as u64 + 1);
        let stats = MessageStats::of_values(numbered);
        let counts = Counts {
            ready: 100,
            unacked: 20,
            ..Counts::default()
        };
        let row = queue_row(&stats, &counts);
        let value = |name| Columns::QUEUE.value(&row, name);
        for (name, expected) in [
            ("publish", stats.publish),
            ("ack", stats.ack),
            ("disk_writes", stats.disk_writes),
            ("deliver_get", stats.deliver_get()),
            ("messages", 120),
            ("messages_ready", 100),
            ("messages_unacknowledged", 20),
        ] {
            assert_eq!(value(name), Some(expected), "{name}");
        }
        assert_eq!(value("publish_in"), None);
        assert_eq!(Columns::EXCHANGE.value(&[1, 2], "deliver_get"), None);
    }
}
