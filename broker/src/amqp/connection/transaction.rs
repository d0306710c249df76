//! The class tx: publishes and acknowledgements that take effect together (spec 1.9, RabbitMQ:
//! "Broker Semantics").
//!
//! As in RabbitMQ, a publish is checked and routed, and an acknowledgement looked up, when it
//! arrives; both take effect at tx.commit. Unlike in RabbitMQ, a transaction is one batch for the
//! store, so that a crash leaves all of it or nothing.

use super::Connection;
use super::content::Routed;
use super::run::RUN_MAX;
use super::settle::Outcome;
use super::unacked::Delivery;
use crate::engine::exchange::{Delays, Placed};
use crate::engine::message::SharedMessage;
use crate::engine::queue::Incoming;
use crate::plumbing::ledger::{Holdings, Kind, Part};
use leveret_protocol::classes::{AMQPClass, tx};
use leveret_protocol::{AmqpError, ChannelId, DeliveryTag, texts};
use std::sync::Arc;

/// Bytes that a transaction takes for each message besides the message itself.
const PUBLISH_OVERHEAD: u64 = 256;

/// The uncommitted operations of a transactional channel.
#[derive(Debug)]
pub(super) struct Transaction {
    publishes: Vec<Routed>,
    settled: Vec<Settled>,
    /// Memory used by `publishes`.
    published_part: Part,
    /// Memory used by `settled`.
    settled_part: Part,
}

/// An acknowledgement, or a rejection, that waits for the commit.
#[derive(Debug)]
struct Settled {
    tag: DeliveryTag,
    delivery: Delivery,
    outcome: Outcome,
}

impl Transaction {
    fn new(holdings: &Arc<Holdings>) -> Self {
        Transaction {
            publishes: Vec::new(),
            settled: Vec::new(),
            published_part: Part::new(holdings, Kind::Uncommitted),
            settled_part: Part::new(holdings, Kind::Unacknowledged),
        }
    }

    pub(super) fn settle(&mut self, tag: DeliveryTag, delivery: Delivery, outcome: Outcome) {
        self.settled_part.add(delivery.bytes());
        self.settled.push(Settled {
            tag,
            delivery,
            outcome,
        });
    }

    /// Returns the number of messages that wait for the commit.
    pub(super) fn publishes(&self) -> u64 {
        self.publishes.len() as u64
    }

    /// Returns the number of acknowledgements that wait for the commit.
    pub(super) fn acks(&self) -> u64 {
        let acks = self.settled.iter();
        acks.filter(|s| s.outcome == Outcome::Acknowledged).count() as u64
    }

    /// Adds up the memory of the messages again.
    #[cfg(test)]
    pub(super) fn weight(&self) -> u64 {
        self.publishes.iter().map(weight).sum()
    }

    /// Iterates over the deliveries that wait to be settled.
    #[cfg(test)]
    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.settled.iter().map(|s| &s.delivery)
    }

    /// Returns the acknowledged and rejected deliveries to the unacknowledged state.
    fn into_unsettled(self) -> impl Iterator<Item = (DeliveryTag, Delivery)> {
        self.settled.into_iter().map(|s| (s.tag, s.delivery))
    }
}

/// Returns the bytes that a message takes while it waits for the commit.
fn weight(routed: &Routed) -> u64 {
    let copies = routed.target.copies.iter().map(|key| key.len() + 32);
    PUBLISH_OVERHEAD + routed.message.weight() + copies.sum::<usize>() as u64
}

impl Connection {
    pub(super) fn tx_method(
        &mut self,
        id: ChannelId,
        method: &tx::AMQPMethod,
    ) -> Result<(), AmqpError> {
        match method {
            tx::AMQPMethod::Select(_) => self.tx_select(id),
            tx::AMQPMethod::Commit(_) => self.tx_commit(id),
            tx::AMQPMethod::Rollback(_) => self.tx_rollback(id),
            _ => Err(leveret_protocol::texts::unimplemented_method()),
        }
    }

    fn tx_select(&mut self, id: ChannelId) -> Result<(), AmqpError> {
        let holdings = self.account.holdings().clone();
        let channel = self.open_channel(id)?;
        if channel.confirms.is_some() {
            return Err(texts::tx_after_confirm());
        }
        let new = || Box::new(Transaction::new(&holdings));
        channel.transaction.get_or_insert_with(new);
        let ok = tx::AMQPMethod::SelectOk(tx::SelectOk {});
        self.reply(id, AMQPClass::Tx(ok));
        Ok(())
    }

    /// Takes the channel's transaction and begins the next.
    fn take_transaction(&mut self, id: ChannelId) -> Result<Transaction, AmqpError> {
        let next = Transaction::new(self.account.holdings());
        let transaction = self.open_channel(id)?.transaction.as_mut();
        let transaction = transaction.ok_or_else(texts::not_transactional)?;
        Ok(std::mem::replace(&mut **transaction, next))
    }

    /// Keeps a routed message until the commit.
    ///
    /// # Errors
    /// 406 when the connection's transactions would hold more than they may.
    pub(super) fn publish_in_transaction(
        &mut self,
        id: ChannelId,
        routed: Routed,
    ) -> Result<(), AmqpError> {
        let bytes = weight(&routed);
        let (held, max) = (
            self.account.holdings().of(Kind::Uncommitted) + bytes,
            self.limits.max_transaction_size,
        );
        if held > max {
            return Err(texts::transaction_too_large(held, max));
        }
        if let Some(transaction) = &mut self.open_channel(id)?.transaction {
            transaction.published_part.add(bytes);
            transaction.publishes.push(routed);
        }
        self.check_requests()
    }

    /// Handles tx.commit: the channel is answered once everything is durable. Publishes go first,
    /// as in RabbitMQ.
    fn tx_commit(&mut self, id: ChannelId) -> Result<(), AmqpError> {
        let transaction = self.take_transaction(id)?;
        self.fx.begin_atomic();
        self.info.published(transaction.publishes.len() as u64);
        for routed in &transaction.publishes {
            // A queue may have been deleted since.
            let routable = !routed.target.mandatory
                || !routed.kept_by.is_empty()
                || routed.queues.iter().any(|q| !q.is_deleted());
            self.return_or_reply(id, routed, routable);
        }
        let same = |a: &Routed, b: &Routed| Arc::ptr_eq(&a.queues, &b.queues);
        for run in transaction.publishes.chunk_by(same) {
            // Others get a turn at the queues between parts.
            for part in run.chunks(RUN_MAX) {
                self.publish_uncommitted(part);
            }
        }
        let placed = self.postpone_uncommitted(&transaction.publishes);
        self.settle_uncommitted(id, transaction.settled);
        let refused = std::mem::take(&mut self.fx.refused().count);
        let committed = if refused > 0 {
            self.perform();
            Err(texts::partial_commit())
        } else {
            let ok = AMQPClass::Tx(tx::AMQPMethod::CommitOk(tx::CommitOk {}));
            let durable = self.fx.has_records();
            self.reply_when_stored(id, Some(ok), durable)
        };
        // The store has the batch now, so due messages may leave again.
        for (delays, placed) in placed {
            delays.keep(placed, &mut self.fx);
        }
        self.perform();
        committed
    }

    /// Reserves places in delayed exchanges for the messages that they keep.
    fn postpone_uncommitted(&mut self, publishes: &[Routed]) -> Vec<(Arc<Delays>, Vec<Placed>)> {
        let postponed = publishes.iter().flat_map(|routed| routed.postponed(None));
        let (now, fx) = (self.now, &mut self.fx);
        postponed
            .map(|(delays, postponed)| {
                let placed = delays.place([postponed], now, fx);
                (delays, placed)
            })
            .collect()
    }

    fn publish_uncommitted(&mut self, run: &[Routed]) {
        let mut stored_before = false;
        for queue in run[0].queues.iter() {
            let separate = stored_before && queue.spec.is_stored();
            stored_before |= queue.spec.is_stored();
            let incoming = |routed: &Routed| -> Incoming {
                // An acknowledgement in one queue must be able to cancel that write alone: the
                // batch is submitted only when all queues have the message.
                let message: SharedMessage =
                    if separate && queue.stores(routed.message.persistent()) {
                        Arc::new(routed.message.separate())
                    } else {
                        routed.message.clone()
                    };
                (message, None)
            };
            queue.publish(run.iter().map(incoming), false, &mut self.fx);
        }
    }

    fn settle_uncommitted(&mut self, id: ChannelId, settled: Vec<Settled>) {
        let mut settled = settled.into_iter().peekable();
        while let Some(first) = settled.next() {
            let outcome = first.outcome;
            let mut run = vec![first.delivery];
            while let Some(next) = settled.next_if(|s| s.outcome == outcome) {
                run.push(next.delivery);
            }
            match outcome {
                Outcome::Acknowledged => {
                    if let Some(channel) = self.channel_mut(id) {
                        channel.stats.ack += run.len() as u64;
                    }
                    self.settled.extend(run);
                    self.flush_settled();
                }
                Outcome::Discarded => {
                    self.discarded.extend(run);
                    self.flush_settled();
                }
                Outcome::Requeued(how) => {
                    self.requeue(run.into_iter().map(|delivery| (delivery, how)).collect());
                }
            }
        }
    }

    /// Handles tx.rollback: publishes are dropped, acknowledgements are undone. Nothing is requeued
    /// (spec 1.9.2.6): the channel can acknowledge the deliveries again.
    fn tx_rollback(&mut self, id: ChannelId) -> Result<(), AmqpError> {
        let transaction = self.take_transaction(id)?;
        let channel = self.open_channel(id)?;
        channel.unacked.restore(transaction.into_unsettled());
        let ok = tx::AMQPMethod::RollbackOk(tx::RollbackOk {});
        self.reply(id, AMQPClass::Tx(ok));
        Ok(())
    }

    /// Abandons the transaction of a channel that ends without a commit: what it acknowledged is
    /// requeued with the rest.
    pub(super) fn abandon_transaction(&mut self, id: ChannelId) {
        let Ok(transaction) = self.take_transaction(id) else {
            return;
        };
        if let Some(channel) = self.channel_mut(id) {
            channel.unacked.restore(transaction.into_unsettled());
        }
    }
}
