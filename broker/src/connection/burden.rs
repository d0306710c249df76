//! What one peer makes the broker keep that no prefetch, no page on disk and no publisher's waiting bounds:
//! deliveries that it does not acknowledge, and tables of arguments.
//!
//! A peer that reads everything and acknowledges nothing empties a queue of millions of messages from
//! the disk into memory. RabbitMQ stops that with its `consumer_timeout` only. Here such a connection
//! gets no further deliveries until it has acknowledged some; whoever acknowledges never notices.

use super::Connection;
use super::channel::Channel;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, table, texts};

/// Octets of deliveries that any connection may hold without acknowledging them.
const HELD_ALWAYS: u64 = 4 << 20;
/// It may hold this part of the memory mark while no memory alarm is in force.
const HELD_SHARE: u64 = 4;
/// While one is, all connections together may hold this part of the mark, each as much as the others ...
const HELD_WHEN_LOW: u64 = 2;
/// ... and no more than this.
const HELD_WHEN_LOW_MAX: u64 = 64 << 20;
/// A client that gets messages one by one is told so, which closes its channel: from here on.
const GOT_ALWAYS: u64 = 64 << 20;
/// What a delivery takes besides its body: its places in lists, properties, routing key.
pub(super) const DELIVERY_OVERHEAD: u64 = 256;
/// Octets of arguments that the consumers of a connection may have, all together. RabbitMQ has no such
/// limit; a consumer's arguments are some ten octets, and seldom more than a hundred.
const CONSUMER_ARGUMENTS: usize = 4 << 20;
/// Octets of arguments of a queue, an exchange or a binding: a quarter of a frame. RabbitMQ takes what
/// fits into a frame; but it all stays in memory, and decoded it takes up to twenty times as much.
const DECLARED_ARGUMENTS: usize = 32 << 10;
/// The same while memory is low.
const DECLARED_WHEN_LOW: usize = 1 << 10;

/// What is known of a sum without adding it up each time: it is no more than this.
#[derive(Debug, Default)]
pub(super) struct Bound(u64);

impl Bound {
    /// The sum has grown.
    pub(super) fn add(&mut self, octets: u64) {
        self.0 += octets;
    }

    /// Whether the sum is above `mark`; it is added up only when it may be.
    fn is_over(&mut self, mark: u64, sum: impl FnOnce() -> u64) -> bool {
        if self.0 > mark {
            self.0 = sum();
        }
        self.0 > mark
    }
}

impl Connection {
    /// Whether the peer holds so much without acknowledging it that it gets no more for now.
    pub(super) fn holds_too_much(&mut self) -> bool {
        let mark = self.held_mark();
        self.holds_over(mark)
    }

    /// A client asks for another message by basic.get.
    pub(super) fn check_got(&mut self) -> Result<(), AmqpError> {
        let mark = self.held_mark().max(GOT_ALWAYS);
        match self.holds_over(mark) {
            true => Err(texts::too_much_unacknowledged(mark)),
            false => Ok(()),
        }
    }

    fn holds_over(&mut self, mark: u64) -> bool {
        let channels = self.channels.iter();
        let of = |channel: &Channel| {
            let settled = channel.transaction.as_ref().map(|tx| tx.settled_octets());
            channel.unacked.octets() + settled.unwrap_or_default()
        };
        self.held.is_over(mark, || channels.map(of).sum())
    }

    /// What the peer may hold at present.
    fn held_mark(&self) -> u64 {
        let alarms = &self.broker.alarms;
        let mark = alarms.memory_mark();
        if !alarms.in_force().has_memory() {
            return (mark / HELD_SHARE).max(HELD_ALWAYS);
        }
        let connections = self.broker.connections.count().max(1) as u64;
        (mark / HELD_WHEN_LOW / connections).clamp(HELD_ALWAYS, HELD_WHEN_LOW_MAX)
    }

    /// A consumer wants to be kept with these arguments, so many octets.
    pub(super) fn check_consumer_arguments(&mut self, octets: usize) -> Result<(), AmqpError> {
        let max = CONSUMER_ARGUMENTS as u64;
        let channels = self.channels.iter();
        let consumers = channels.flat_map(|channel| channel.consumers.values());
        let sum = || consumers.map(|c| c.arguments.octets() as u64).sum::<u64>();
        if self
            .kept_arguments
            .is_over(max - (octets as u64).min(max), sum)
        {
            return Err(texts::consumer_arguments_limit(CONSUMER_ARGUMENTS));
        }
        self.kept_arguments.add(octets as u64);
        Ok(())
    }

    /// A queue, an exchange or a binding wants to be kept with these arguments.
    pub(super) fn check_declared_arguments(&self, arguments: &FieldTable) -> Result<(), AmqpError> {
        if arguments.inner().is_empty() {
            return Ok(());
        }
        let low = self.broker.alarms.in_force().has_memory();
        let max = if low {
            DECLARED_WHEN_LOW
        } else {
            DECLARED_ARGUMENTS
        };
        let octets = table::encode(arguments).len();
        if octets > max {
            return Err(texts::arguments_limit(octets, max));
        }
        Ok(())
    }
}
