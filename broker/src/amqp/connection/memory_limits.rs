//! Limits on the memory that one peer makes the broker use and that no prefetch, paging or flow control bounds:
//! unacknowledged deliveries, unfinished and uncommitted messages, channels, consumers and their arguments. The
//! [`Ledger`](crate::plumbing::ledger::Ledger) says how much each connection may use.
//!
//! A peer that reads everything and acknowledges nothing would pull a queue of millions of messages from the disk into
//! memory. RabbitMQ stops that with its `consumer_timeout` only. Here such a connection gets no further deliveries
//! until it acknowledges some; consumers that acknowledge in time never notice.

use super::Connection;
use crate::plumbing::ledger::Kind;
use leveret_protocol::{AmqpError, ChannelId, texts};

/// basic.get is refused for holding too much, which closes the channel, only above this many unacknowledged bytes.
const GET_LIMIT_MIN: u64 = 1 << 20;
/// Bytes that a delivery takes besides its message: its slots in lists.
pub(super) const DELIVERY_OVERHEAD: u64 = 128;
/// Approximate bytes that a channel takes.
pub(super) const CHANNEL: u64 = 512;
/// Approximate bytes that a consumer takes besides its arguments, including its share of the queue.
pub(super) const CONSUMER: u64 = 768;
/// Bytes of arguments that all consumers of a connection may have together. RabbitMQ has no such limit; a consumer's
/// arguments are some ten bytes, and rarely more than a hundred.
const CONSUMER_ARGUMENTS: usize = 4 << 20;
/// An upper bound on a sum, which is added up again only when the bound is not good enough.
#[derive(Debug, Default)]
pub(super) struct UpperBound(u64);

impl UpperBound {
    /// Records that the sum has grown.
    pub(super) fn add(&mut self, bytes: u64) {
        self.0 += bytes;
    }

    /// Returns whether the sum is above `mark`; adds it up only if it may be.
    fn is_over(&mut self, mark: u64, sum: impl FnOnce() -> u64) -> bool {
        if self.0 > mark {
            self.0 = sum();
        }
        self.0 > mark
    }
}

impl Connection {
    /// Returns whether the peer holds too many unacknowledged bytes to get more deliveries.
    pub(super) fn holds_too_much(&self) -> bool {
        let ledger = &self.broker.ledger;
        self.unacknowledged() > ledger.deliveries_limit() || ledger.deliveries_are_stopped()
    }

    /// Checks that a client may have another message by basic.get.
    pub(super) fn check_get(&mut self) -> Result<(), AmqpError> {
        self.account.report_growth();
        let limit = self.broker.ledger.deliveries_limit().max(GET_LIMIT_MIN);
        match self.unacknowledged() > limit {
            true => Err(texts::too_much_unacknowledged(limit)),
            false => Ok(()),
        }
    }

    fn unacknowledged(&self) -> u64 {
        self.account.holdings().of(Kind::Unacknowledged)
    }

    /// Checks the limit on what a client has started and not finished: messages, transactions,
    /// channels.
    ///
    /// # Errors
    /// 406 when it holds more than it may.
    pub(super) fn check_requests(&mut self) -> Result<(), AmqpError> {
        match self.requests_over() {
            Some(limit) => Err(texts::too_much_unfinished(limit)),
            None => Ok(()),
        }
    }

    /// Returns the limit that the peer exceeds with what it has sent, if it does.
    pub(super) fn requests_over(&mut self) -> Option<u64> {
        self.account.report_growth();
        let limit = self.broker.ledger.requests_limit();
        (self.account.requests() > limit).then_some(limit)
    }

    /// Counts the message whose frames have not all arrived.
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

    /// Reports to the ledger what the connection holds at the end of a turn.
    pub(super) fn report_to_ledger(&mut self) {
        let holdings = self.account.holdings();
        holdings.set(Kind::Output, self.out.memory());
        holdings.set(Kind::Deferred, self.deferred_bytes as u64);
        self.account.report();
    }

    /// Like `report_to_ledger`, including the buffers; `input` is the size of the read buffer.
    pub fn count_buffers(&mut self, input: usize) {
        self.account.holdings().set(Kind::Input, input as u64);
        self.report_to_ledger();
    }

    /// Checks the limit on consumers' arguments for a new consumer with this many bytes of them.
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
}
