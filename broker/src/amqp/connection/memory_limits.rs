//! What one peer makes the broker keep that no prefetch, no page on disk and no publisher's waiting bounds:
//! deliveries that it does not acknowledge, messages that it does not finish or commit, channels, consumers, and tables
//! of arguments. What one may hold of that is the [`Ledger`](crate::plumbing::ledger::Ledger)'s to say.
//!
//! A peer that reads everything and acknowledges nothing empties a queue of millions of messages from
//! the disk into memory. RabbitMQ stops that with its `consumer_timeout` only. Here such a connection
//! gets no further deliveries until it has acknowledged some; whoever acknowledges never notices.

use super::Connection;
use crate::plumbing::ledger::Kind;
use leveret_protocol::ChannelId;
use leveret_protocol::texts::Entity;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, table, texts};

/// A client that gets messages one by one is told that it holds too many, which closes its channel: from here on.
const GET_LIMIT_MIN: u64 = 1 << 20;
/// What a delivery takes besides its message: its places in lists.
pub(super) const DELIVERY_OVERHEAD: u64 = 128;
/// What a channel takes, about.
pub(super) const CHANNEL: u64 = 512;
/// What a consumer takes besides its arguments, about, its queue's part included.
pub(super) const CONSUMER: u64 = 768;
/// Bytes of arguments that the consumers of a connection may have, all together. RabbitMQ has no such
/// limit; a consumer's arguments are some ten bytes, and seldom more than a hundred.
const CONSUMER_ARGUMENTS: usize = 4 << 20;
/// Bytes of arguments of a queue, an exchange or a binding: a quarter of a frame. RabbitMQ takes what
/// fits into a frame; but it all stays in memory, and decoded it takes up to twenty times as much.
const DECLARED_ARGUMENTS: usize = 32 << 10;
/// The same while memory is low.
const DECLARED_WHEN_LOW: usize = 1 << 10;

/// What is known of a sum without adding it up each time: it is no more than this.
#[derive(Debug, Default)]
pub(super) struct UpperBound(u64);

impl UpperBound {
    /// The sum has grown.
    pub(super) fn add(&mut self, bytes: u64) {
        self.0 += bytes;
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
    pub(super) fn holds_too_much(&self) -> bool {
        self.unacknowledged() > self.broker.ledger.deliveries_limit()
    }

    /// A client asks for another message by basic.get.
    pub(super) fn check_get(&mut self) -> Result<(), AmqpError> {
        self.account.tell_growth();
        let limit = self.broker.ledger.deliveries_limit().max(GET_LIMIT_MIN);
        match self.unacknowledged() > limit {
            true => Err(texts::too_much_unacknowledged(limit)),
            false => Ok(()),
        }
    }

    fn unacknowledged(&self) -> u64 {
        self.account.holdings().of(Kind::Unacknowledged)
    }

    /// A client has sent more of what is kept until it sends the rest, or ends it.
    ///
    /// # Errors
    /// 406 when it holds more of that than it may.
    pub(super) fn check_requests(&mut self) -> Result<(), AmqpError> {
        match self.requests_over() {
            Some(limit) => Err(texts::too_much_unfinished(limit)),
            None => Ok(()),
        }
    }

    /// The limit that the peer is over with what it has sent.
    pub(super) fn requests_over(&mut self) -> Option<u64> {
        self.account.tell_growth();
        let limit = self.broker.ledger.requests_limit();
        (self.account.requests() > limit).then_some(limit)
    }

    /// Counts the message of which not all frames have come.
    pub(super) fn count_unfinished(&mut self, id: ChannelId) -> Result<(), AmqpError> {
        let Some(channel) = self.channel_mut(id) else {
            return Ok(());
        };
        let before = channel.unfinished.bytes();
        let now = channel.content.weight();
        channel.unfinished.set(now);
        if now > before {
            self.check_requests()?;
        }
        Ok(())
    }

    /// Tells the ledger what the connection holds at the end of a turn.
    pub(super) fn tell_ledger(&mut self) {
        let holdings = self.account.holdings();
        holdings.set(Kind::Output, self.out.memory());
        holdings.set(Kind::Deferred, self.deferred_bytes as u64);
        self.account.tell();
    }

    /// Tells it with what its buffers hold; the read buffer has this many bytes.
    pub fn count_buffers(&mut self, input: usize) {
        self.account.holdings().set(Kind::Input, input as u64);
        self.tell_ledger();
    }

    /// A consumer wants to be kept with these arguments, this many bytes.
    pub(super) fn check_consumer_arguments(&mut self, bytes: usize) -> Result<(), AmqpError> {
        let max = CONSUMER_ARGUMENTS as u64;
        let channels = self.channels.iter();
        let consumers = channels.flat_map(|channel| channel.consumers.values());
        let sum = || consumers.map(|c| c.arguments.bytes() as u64).sum::<u64>();
        if self
            .argument_bytes
            .is_over(max - (bytes as u64).min(max), sum)
        {
            return Err(texts::consumer_arguments_limit(CONSUMER_ARGUMENTS));
        }
        self.argument_bytes.add(bytes as u64);
        Ok(())
    }

    /// Something new wants to be declared, which no connection answers for.
    ///
    /// # Errors
    /// 406 when memory is far above its watermark.
    pub(super) fn check_room_for(&self, what: Entity<'_>) -> Result<(), AmqpError> {
        match self.broker.alarms.is_exhausted() {
            true => Err(texts::no_memory_for(what, self.vhost()?.name())),
            false => Ok(()),
        }
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
        let bytes = table::encode(arguments).len();
        if bytes > max {
            return Err(texts::arguments_limit(bytes, max));
        }
        Ok(())
    }
}
