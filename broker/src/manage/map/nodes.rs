//! What stands on a map: exchanges, queues and groups of queues, with how much goes in and out.

use crate::domain::broker::Broker;
use crate::engine::exchange::Exchange;
use crate::engine::queue::{Counts, Queue};
use crate::manage::statistics::{Columns, rates};
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// An exchange on a map.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub struct MapExchange {
    /// Its name.
    pub name: String,
    /// Its type; `null` if it does not exist.
    pub r#type: Option<&'static str>,
    /// Whether clients cannot publish to it.
    pub internal: bool,
    /// Messages published to it per second.
    pub r#in: f64,
    /// Messages routed from it per second, each counted once per queue.
    pub out: f64,
    /// How many bindings it has.
    pub bindings: usize,
    /// Whether it does not exist: something names it as its alternate or dead-letter exchange.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub missing: bool,
}

/// A queue on a map.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MapQueue {
    /// Its name.
    pub name: String,
    /// `classic`, `quorum` or `stream`.
    pub r#type: &'static str,
    /// What it holds, and how much goes in and out.
    #[serde(flatten)]
    pub load: Load,
    /// Whether it gets messages through the default exchange only, by its name.
    pub default: bool,
}

/// Queues with the same beginning of their names.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MapGroup {
    /// The beginning.
    pub prefix: String,
    /// How many queues there are.
    pub queues: usize,
    /// How many of them have no consumers.
    pub without_consumers: usize,
    /// What they hold together, and how much goes in and out.
    #[serde(flatten)]
    pub load: Load,
    /// Whether all of them get messages through the default exchange only, by their names.
    pub default: bool,
}

/// What a queue holds, or several, and how much goes in and out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Load {
    /// All messages.
    pub messages: u64,
    /// Messages ready for delivery.
    pub messages_ready: u64,
    /// Messages delivered and not acknowledged.
    pub messages_unacknowledged: u64,
    /// The number of consumers.
    pub consumers: u64,
    /// Messages that arrive per second.
    pub r#in: f64,
    /// Messages delivered to consumers or fetched per second.
    pub out: f64,
}

impl Load {
    fn add(&mut self, counts: &Counts, (more_in, more_out): (f64, f64)) {
        self.messages += counts.all().messages;
        self.messages_ready += counts.ready;
        self.messages_unacknowledged += counts.unacked;
        self.consumers += counts.consumers;
        self.r#in += more_in;
        self.out += more_out;
    }
}

/// How much moves, as of the last two samples.
pub(super) struct Rates<'a>(&'a Broker);

impl<'a> Rates<'a> {
    pub(super) fn of(broker: &'a Broker) -> Self {
        Rates(broker)
    }

    /// Returns how much goes into an exchange and out of it, per second.
    pub(super) fn of_exchange(&self, exchange: &Exchange) -> (f64, f64) {
        let (tracked, names) = (&exchange.counts.tracked, ["publish_in", "publish_out"]);
        let [published, routed] =
            rates(&self.0.statistics, tracked, &Columns::EXCHANGE, None, names);
        (published, routed)
    }

    fn of_queue(&self, queue: &Queue) -> (f64, f64) {
        let names = ["publish", "deliver_get"];
        let [published, delivered] = rates(
            &self.0.statistics,
            &queue.tracked,
            &Columns::QUEUE,
            None,
            names,
        );
        (published, delivered)
    }
}

impl MapExchange {
    pub(super) fn of(exchange: &Exchange, rates: &Rates<'_>) -> Self {
        let (published, routed) = rates.of_exchange(exchange);
        MapExchange {
            name: exchange.name().to_string(),
            r#type: Some(exchange.spec.kind.name()),
            internal: exchange.spec.internal,
            r#in: published,
            out: routed,
            bindings: exchange.binding_count(),
            missing: false,
        }
    }

    pub(super) fn missing(name: &str) -> Self {
        MapExchange {
            name: name.to_owned(),
            missing: true,
            ..MapExchange::default()
        }
    }
}

impl MapQueue {
    pub(super) fn of(queue: &Queue, is_bound: bool, rates: &Rates<'_>) -> Self {
        let mut load = Load::default();
        load.add(&queue.counts(), rates.of_queue(queue));
        MapQueue {
            name: queue.name().to_string(),
            r#type: queue.kind.as_str(),
            load,
            default: !is_bound,
        }
    }
}

impl MapGroup {
    pub(super) fn of<'a>(
        prefix: &str,
        members: impl Iterator<Item = &'a Arc<Queue>>,
        is_bound: impl Fn(&Arc<Queue>) -> bool,
        rates: &Rates<'_>,
    ) -> Self {
        let mut group = MapGroup {
            prefix: prefix.to_owned(),
            queues: 0,
            without_consumers: 0,
            load: Load::default(),
            default: true,
        };
        for queue in members {
            let counts = queue.counts();
            group.queues += 1;
            group.without_consumers += usize::from(counts.consumers == 0);
            group.load.add(&counts, rates.of_queue(queue));
            group.default &= !is_bound(queue);
        }
        group
    }
}
