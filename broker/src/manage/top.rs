//! What `leveretctl top` shows: the broker at a glance, and the queues or connections that lead by some figure.
//!
//! Rates are those between the last two samples, and 0 before there are two.

use super::objects::Connection;
use super::statistics::{Columns, Series, visit};
use super::status::Status;
use crate::domain::broker::Broker;
use crate::engine::queue::Queue;
use crate::engine::statistics::{Tracked, VhostSums};
use serde::{Deserialize, Serialize};
use std::cmp::Ordering;
use std::sync::Arc;

/// The maximum number of rows.
const ROWS_MAX: usize = 1000;

/// What a list is in the order of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopQueueKey {
    /// Messages published and delivered per second.
    #[default]
    Rate,
    /// Messages that wait for a consumer.
    Ready,
    /// Messages delivered and not acknowledged.
    Unacked,
    /// Consumers.
    Consumers,
    /// Bytes of all messages.
    Bytes,
    /// The virtual host and the name.
    Name,
}

/// What a list is in the order of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopConnectionKey {
    /// Bytes received and sent per second.
    #[default]
    Rate,
    /// Channels.
    Channels,
    /// Bytes that the client has not read yet.
    Pending,
    /// The user.
    User,
    /// The name.
    Name,
}

/// Which list, in which order: the largest figures first, names from A to Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopList {
    /// Queues.
    Queues(TopQueueKey),
    /// Connections.
    Connections(TopConnectionKey),
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Top {
    /// The node.
    pub status: Status,
    /// What happens on it.
    pub activity: Activity,
    /// How many rows match the filter, those beyond the limit included.
    pub matching: u64,
    /// The first of them.
    #[serde(flatten)]
    pub rows: TopRows,
}

/// What happens on the node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Ready messages.
    pub messages_ready: u64,
    /// Unacknowledged messages.
    pub messages_unacknowledged: u64,
    /// Consumers.
    pub consumers: u64,
    /// Messages published per second.
    pub publish_rate: f64,
    /// Messages delivered, or got, per second.
    pub deliver_rate: f64,
    /// Acknowledgements per second.
    pub ack_rate: f64,
}

/// The rows of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TopRows {
    /// Queues.
    Queues(Vec<TopQueue>),
    /// Connections.
    Connections(Vec<TopConnection>),
}

/// A queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopQueue {
    /// Its name.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
    /// `classic`, `quorum` or `stream`.
    pub r#type: String,
    /// Ready messages.
    pub messages_ready: u64,
    /// Unacknowledged messages.
    pub messages_unacknowledged: u64,
    /// Bytes of all messages.
    pub message_bytes: u64,
    /// Consumers.
    pub consumers: u64,
    /// Messages published per second.
    pub publish_rate: f64,
    /// Messages delivered, or got, per second.
    pub deliver_rate: f64,
    /// Acknowledgements per second.
    pub ack_rate: f64,
}

/// A connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TopConnection {
    /// What the client calls it, or else its addresses.
    pub name: String,
    /// The client's address and port.
    pub peer: String,
    /// The user.
    pub user: String,
    /// The virtual host.
    pub vhost: String,
    /// `running`, `blocked` and so on.
    pub state: String,
    /// Channels.
    pub channels: u64,
    /// Bytes received per second.
    pub recv_rate: f64,
    /// Bytes sent per second.
    pub send_rate: f64,
    /// Bytes that the client has not read yet.
    pub send_pend: u64,
}

/// Returns the broker at a glance and the rows that come first, of those that contain `filter`, in whichever case.
pub(super) fn top(
    broker: &Broker,
    mut status: Status,
    list: TopList,
    filter: &str,
    limit: usize,
) -> Top {
    let filter = filter.to_lowercase();
    let limit = limit.min(ROWS_MAX);
    // They do not move.
    status.settings.clear();
    status.variables.clear();
    visit(broker);
    let (matching, rows) = match list {
        TopList::Queues(key) => {
            let (matching, queues) = queues(broker, key, &filter, limit);
            (matching, TopRows::Queues(queues))
        }
        TopList::Connections(key) => {
            let (matching, connections) = connections(broker, key, &filter, limit);
            (matching, TopRows::Connections(connections))
        }
    };
    Top {
        status,
        activity: Activity::of(broker),
        matching: matching as u64,
        rows,
    }
}

impl Activity {
    fn of(broker: &Broker) -> Self {
        let mut sums = VhostSums::default();
        for vhost in broker.vhosts() {
            sums.add(&vhost.statistics.sums());
        }
        let counts = sums.queues().counts;
        let rates = Rates::of(broker, &broker.statistics.broker, &Columns::BROKER);
        Activity {
            messages_ready: counts.ready,
            messages_unacknowledged: counts.unacked,
            consumers: counts.consumers,
            publish_rate: rates.get("publish"),
            deliver_rate: rates.get("deliver_get"),
            ack_rate: rates.get("ack"),
        }
    }
}

/// The rates of an object.
struct Rates(Series);

impl Rates {
    fn of(broker: &Broker, tracked: &Tracked, columns: &'static Columns) -> Self {
        Rates(Series::of(&broker.statistics, tracked, columns, None))
    }

    fn get(&self, counter: &str) -> f64 {
        self.0.details(counter).unwrap_or_default().rate
    }
}

fn queues(broker: &Broker, key: TopQueueKey, filter: &str, limit: usize) -> (usize, Vec<TopQueue>) {
    let all = broker.vhosts().into_iter().flat_map(|vhost| vhost.queues());
    let matching = all.filter(|queue| {
        contains(queue.name().as_str(), filter) || contains(queue.vhost.as_str(), filter)
    });
    // Rows are only made of those that are shown.
    let figures = matching.map(|queue| (queue_figure(broker, &queue, key), queue));
    let by_name = |a: &Arc<Queue>, b: &Arc<Queue>| {
        (a.vhost.as_str(), a.name().as_str()).cmp(&(b.vhost.as_str(), b.name().as_str()))
    };
    let (count, first) = leading(figures.collect(), limit, by_name);
    let rows = first.iter().map(|queue| TopQueue::of(broker, queue));
    (count, rows.collect())
}

fn queue_figure(broker: &Broker, queue: &Queue, key: TopQueueKey) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "for an order")]
    let figure = |count: u64| count as f64;
    match key {
        TopQueueKey::Name => 0.0,
        TopQueueKey::Rate => {
            let rates = Rates::of(broker, &queue.tracked, &Columns::QUEUE);
            rates.get("publish") + rates.get("deliver_get")
        }
        TopQueueKey::Ready => figure(queue.counts().ready),
        TopQueueKey::Unacked => figure(queue.counts().unacked),
        TopQueueKey::Consumers => figure(queue.counts().consumers),
        TopQueueKey::Bytes => figure(queue.counts().all().bytes),
    }
}

impl TopQueue {
    fn of(broker: &Broker, queue: &Queue) -> Self {
        let counts = queue.counts();
        let rates = Rates::of(broker, &queue.tracked, &Columns::QUEUE);
        TopQueue {
            name: queue.name().to_string(),
            vhost: queue.vhost.to_string(),
            r#type: queue.spec.kind().as_str().to_owned(),
            messages_ready: counts.ready,
            messages_unacknowledged: counts.unacked,
            message_bytes: counts.all().bytes,
            consumers: counts.consumers,
            publish_rate: rates.get("publish"),
            deliver_rate: rates.get("deliver_get"),
            ack_rate: rates.get("ack"),
        }
    }
}

fn connections(
    broker: &Broker,
    key: TopConnectionKey,
    filter: &str,
    limit: usize,
) -> (usize, Vec<TopConnection>) {
    let described = Connection::list(broker, |_| true).into_iter();
    let rows = described.map(|(info, connection)| {
        let rates = Rates::of(broker, &info.tracked, &Columns::CONNECTION);
        TopConnection {
            name: connection.user_provided_name.unwrap_or(connection.name),
            peer: info.ends.peer.to_string(),
            user: connection.user,
            vhost: connection.vhost.unwrap_or_default(),
            state: connection.state.to_owned(),
            channels: connection.channels,
            recv_rate: rates.get("recv_oct"),
            send_rate: rates.get("send_oct"),
            send_pend: connection.send_pend,
        }
    });
    let matching = rows.filter(|row| {
        [&row.name, &row.peer, &row.user, &row.vhost]
            .iter()
            .any(|text| contains(text, filter))
    });
    #[allow(clippy::cast_precision_loss, reason = "for an order")]
    let figure = |row: &TopConnection| match key {
        TopConnectionKey::Rate => row.recv_rate + row.send_rate,
        TopConnectionKey::Channels => row.channels as f64,
        TopConnectionKey::Pending => row.send_pend as f64,
        TopConnectionKey::User | TopConnectionKey::Name => 0.0,
    };
    let figures = matching.map(|row| (figure(&row), row)).collect();
    leading(figures, limit, |a, b| match key {
        TopConnectionKey::User => (&a.user, &a.name, &a.peer).cmp(&(&b.user, &b.name, &b.peer)),
        _ => (&a.name, &a.peer).cmp(&(&b.name, &b.peer)),
    })
}

/// Returns how many there are and those with the largest figures; of equal ones, those that come first by name.
fn leading<T>(
    mut all: Vec<(f64, T)>,
    limit: usize,
    by_name: impl Fn(&T, &T) -> Ordering,
) -> (usize, Vec<T>) {
    let count = all.len();
    let order = |(a, first): &(f64, T), (b, second): &(f64, T)| {
        b.total_cmp(a).then_with(|| by_name(first, second))
    };
    if limit < count {
        all.select_nth_unstable_by(limit, order);
        all.truncate(limit);
    }
    all.sort_unstable_by(order);
    (count, all.into_iter().map(|(_, each)| each).collect())
}

/// Returns whether a text contains a filter, which is in lower case.
fn contains(text: &str, filter: &str) -> bool {
    filter.is_empty() || text.to_lowercase().contains(filter)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_filter_is_found_in_whichever_case_and_an_empty_one_everywhere() {
        assert!(contains("Orders.EU", "rs.e") && contains("x", ""));
        assert!(!contains("orders", "orders2"));
    }

    proptest! {
        #[test]
        fn the_leading_ones_are_the_first_of_the_sorted_ones(
            figures in proptest::collection::vec(0_u8..5, 0..40),
            limit in 0_usize..50,
        ) {
            let all: Vec<(f64, usize)> = figures.iter().map(|f| f64::from(*f)).zip(0..).collect();
            let (count, first) = leading(all, limit, usize::cmp);
            let mut sorted: Vec<usize> = (0..figures.len()).collect();
            sorted.sort_by_key(|at| (std::cmp::Reverse(figures[*at]), *at));
            sorted.truncate(limit);
            prop_assert_eq!((count, first), (figures.len(), sorted));
        }
    }
}
