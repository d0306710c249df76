//! What the connection counts: by channel as it happens, and by virtual host and exchange once per batch, so that no
//! message costs an atomic.

use super::Connection;
use super::content::Routed;
use crate::engine::exchange::Exchange;
use crate::engine::queue::{Consumer, ConsumerId, QueueKind};
use crate::engine::statistics::{MessageSizes, MessageStats, Moved, Traffic};
use leveret_protocol::ChannelId;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What was counted since the last report, and all that was reported.
#[derive(Debug, Default)]
pub(super) struct ConnectionCounts {
    batch: Traffic,
    /// The sizes of the publishes among it.
    sizes: MessageSizes,
    /// Whether there is something to report: of publishes, and of which kinds of queues (a bit each).
    publishes: bool,
    kinds: u8,
    /// Publishes on the slow path to one exchange: their number, and how many queues they were routed to.
    exchange: Option<(Option<Arc<Exchange>>, u64, u64)>,
    /// The sum of all channels, including those that have closed.
    total: MessageStats,
    /// The connection was counted as open.
    pub(super) is_open: bool,
}

/// Deliveries in a row to one consumer, which are counted at once.
#[derive(Debug)]
pub(super) struct Streak {
    consumer: ConsumerId,
    channel: ChannelId,
    kind: QueueKind,
    no_ack: bool,
    /// How many deliveries there were before it.
    before: u64,
    /// How many of its own had been delivered before.
    pub(super) redelivered: u64,
}

impl Streak {
    /// Returns whether a delivery to this consumer belongs to it.
    #[inline]
    pub(super) fn is_of(&self, consumer: &Consumer) -> bool {
        self.consumer == consumer.id
    }

    /// Begins a streak after this many deliveries.
    pub(super) fn new(consumer: &Consumer, before: u64) -> Self {
        Streak {
            consumer: consumer.id,
            channel: consumer.channel,
            kind: consumer.queue.kind,
            no_ack: consumer.no_ack,
            before,
            redelivered: 0,
        }
    }
}

impl ConnectionCounts {
    /// Returns what channels count of publishes.
    #[inline]
    pub(super) fn published(&mut self) -> &mut MessageStats {
        self.publishes = true;
        &mut self.batch.published
    }

    /// Counts a publish on a channel in confirm mode.
    #[inline]
    pub(super) fn count_with_confirm(&mut self) {
        self.batch.with_confirm += 1;
    }

    /// Counts the size of a publish.
    #[inline]
    pub(super) fn count_size(&mut self, bytes: usize) {
        self.sizes.count(bytes as u64);
    }

    /// Returns what channels count of deliveries from queues of this kind.
    #[inline]
    pub(super) fn of(&mut self, kind: QueueKind) -> &mut MessageStats {
        self.kinds |= 1 << kind as u8;
        self.batch.of(kind)
    }

    /// Returns the sum of all channels so far.
    pub(super) fn total(&self) -> MessageStats {
        self.total + self.batch.all()
    }

    /// Takes what was counted, if anything was.
    fn take(&mut self) -> Option<Traffic> {
        if !self.publishes && self.kinds == 0 {
            return None;
        }
        self.publishes = false;
        self.kinds = 0;
        let batch = std::mem::take(&mut self.batch);
        self.total += batch.all();
        Some(batch)
    }
}

impl Connection {
    /// Counts a publish on the slow path, which takes effect now.
    pub(super) fn count_publish(&mut self, id: ChannelId, routed: &Routed, goes_on: bool) {
        let mandatory = routed.target.mandatory;
        let one = MessageStats {
            publish: 1,
            return_unroutable: u64::from(!goes_on && mandatory),
            drop_unroutable: u64::from(!goes_on && !mandatory),
            ..MessageStats::default()
        };
        if let Some(channel) = self.channel_mut(id) {
            channel.stats += one;
            if channel.stats.publish == 1 {
                self.count_publisher();
            }
        }
        self.tally.count_size(routed.message.body().len());
        let unroutable = MessageStats { publish: 0, ..one };
        if !goes_on {
            *self.tally.published() += unroutable;
        }
        let same = |a: &Option<Arc<Exchange>>, b: &Option<Arc<Exchange>>| match (a, b) {
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        let exchange = &routed.target.to.exchange;
        let queues = routed.queues.len() as u64;
        match &mut self.tally.exchange {
            Some((last, published, to)) if same(last, exchange) => {
                *published += 1;
                *to += queues;
            }
            _ => {
                self.count_exchange();
                self.tally.exchange = Some((exchange.clone(), 1, queues));
            }
        }
    }

    /// Counts the deliveries of a streak that has ended after this many deliveries.
    pub(super) fn count_streak(&mut self, streak: &Streak, delivered: u64) {
        let deliveries = delivered - streak.before;
        let count = |stats: &mut MessageStats| {
            stats.count_deliveries(streak.no_ack, deliveries, streak.redelivered);
        };
        if let Some(channel) = self.channel_mut(streak.channel) {
            count(&mut channel.stats);
        }
        count(self.tally.of(streak.kind));
    }

    /// Counts a channel that has published for the first time.
    #[cold]
    pub(super) fn count_publisher(&self) {
        let publishers = &self.broker.statistics.publishers;
        publishers.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a channel that has ended and had published.
    pub(super) fn uncount_publisher(&self) {
        let publishers = &self.broker.statistics.publishers;
        publishers.fetch_sub(1, Ordering::Relaxed);
    }

    /// Counts what was published on the slow path for its exchange.
    fn count_exchange(&mut self) {
        if let Some((exchange, published, routed)) = self.tally.exchange.take() {
            self.add_to_exchange(exchange.as_ref(), published, routed);
        }
    }

    /// Counts what was published by cached routes for their exchanges.
    pub(super) fn count_routes(&mut self) {
        while let Some((exchange, published, routed)) = self.route.cached.take_counted() {
            self.add_to_exchange(exchange.as_ref(), published, routed);
        }
    }

    fn add_to_exchange(&mut self, exchange: Option<&Arc<Exchange>>, published: u64, routed: u64) {
        let stats = self.tally.published();
        stats.publish += published;
        stats.publish_in += published;
        stats.publish_out += routed;
        match exchange {
            Some(exchange) => {
                if let Some(moved) = exchange.count(published, routed) {
                    self.broker.statistics.has_moved(moved);
                }
            }
            None => {
                if let Some(caller) = &self.caller {
                    let counts = &caller.vhost().statistics.default_exchange;
                    counts.add(published, routed);
                }
            }
        }
    }

    /// Adds what was counted to the sums of the virtual host.
    pub(super) fn report_counts(&mut self) {
        self.count_routes();
        if self.tally.exchange.is_some() {
            self.count_exchange();
        }
        if let Some(batch) = self.tally.take()
            && let Some(caller) = &self.caller
        {
            caller.vhost().statistics.traffic.add(&batch);
            self.info.stats.set(&self.tally.total);
            let sizes = std::mem::take(&mut self.tally.sizes);
            self.broker.statistics.message_sizes.add(&sizes);
        }
    }

    /// Notes that the connection is used, so that samples of it are taken.
    #[inline]
    pub(super) fn moves(&self) {
        if self.info.tracked.mark() {
            let moved = Moved::Connection(self.info.id);
            self.broker.statistics.has_moved(moved);
        }
    }

    /// Counts the end of a connection that was open. No samples are taken of it any more.
    pub(super) fn count_end(&mut self) {
        self.report_counts();
        if !std::mem::take(&mut self.tally.is_open) {
            return;
        }
        self.broker.statistics.churn.connection_closed.count();
        let last = self.info.tracked.end();
        let last = last.and_then(|last| last.first_chunk().copied());
        if let Some(caller) = &self.caller {
            let statistics = &caller.vhost().statistics;
            statistics.change_bytes(last.unwrap_or_default(), self.info.bytes());
        }
    }
}
