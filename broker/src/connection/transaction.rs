//! tx.*: publishes and acknowledgements that take effect together (spec 1.9, RabbitMQ:
//! "Broker Semantics").
//!
//! As in RabbitMQ, a publish is checked and routed and an acknowledgement looked up when it comes;
//! both take effect at tx.commit. What RabbitMQ does not promise holds here: one transaction is
//! one batch for the store, so that a crash leaves all of it or nothing.

use super::Connection;
use super::publish::Routed;
use super::run::RUN_MAX;
use super::settle::Outcome;
use super::unacked::Delivery;
use crate::exchange::{Delays, Placed};
use crate::message::SharedMessage;
use crate::queue::Incoming;
use leveret_protocol::classes::{AMQPClass, tx};
use leveret_protocol::{AmqpError, ChannelId, DeliveryTag, texts};
use leveret_storage::Storable;
use std::sync::Arc;

/// What a transaction costs for each of its messages, beside what the message itself holds.
const PUBLISH_OVERHEAD: u64 = 256;

/// What a transactional channel has not committed yet.
#[derive(Debug, Default)]
pub(super) struct Transaction {
    publishes: Vec<Routed>,
    settled: Vec<Settled>,
    /// What `publishes` hold in memory.
    octets: u64,
    /// What `settled` holds.
    settled_octets: u64,
}

/// An acknowledgement, or a rejection, that waits for the commit.
#[derive(Debug)]
struct Settled {
    tag: DeliveryTag,
    delivery: Delivery,
    outcome: Outcome,
}

impl Transaction {
    pub(super) fn settle(&mut self, tag: DeliveryTag, delivery: Delivery, outcome: Outcome) {
        self.settled_octets += delivery.octets();
        self.settled.push(Settled {
            tag,
            delivery,
            outcome,
        });
    }

    /// Messages that wait for the commit.
    pub(super) fn publishes(&self) -> u64 {
        self.publishes.len() as u64
    }

    /// Acknowledgements that wait for the commit.
    pub(super) fn acks(&self) -> u64 {
        let acks = self.settled.iter();
        acks.filter(|s| s.outcome == Outcome::Acknowledged).count() as u64
    }

    /// What the deliveries that wait to be settled keep in memory, about.
    pub(super) fn settled_octets(&self) -> u64 {
        self.settled_octets
    }

    /// The deliveries that wait to be settled.
    #[cfg(test)]
    pub(super) fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.settled.iter().map(|s| &s.delivery)
    }

    /// The deliveries that were acknowledged or rejected, as if they had not been.
    fn into_unsettled(self) -> impl Iterator<Item = (DeliveryTag, Delivery)> {
        self.settled.into_iter().map(|s| (s.tag, s.delivery))
    }
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
            _ => Err(super::basic::unimplemented_method()),
        }
    }

    fn tx_select(&mut self, id: ChannelId) -> Result<(), AmqpError> {
        let channel = self.open_channel(id)?;
        if channel.confirms.is_some() {
            return Err(texts::tx_after_confirm());
        }
        channel.transaction.get_or_insert_default();
        let ok = tx::AMQPMethod::SelectOk(tx::SelectOk {});
        self.reply(id, AMQPClass::Tx(ok));
        Ok(())
    }

    /// Ends the channel's transaction and begins the next.
    fn take_transaction(&mut self, id: ChannelId) -> Result<Transaction, AmqpError> {
        let transaction = self.open_channel(id)?.transaction.as_mut();
        let transaction = transaction.ok_or_else(texts::not_transactional)?;
        let transaction = std::mem::take(&mut **transaction);
        self.uncommitted_octets -= transaction.octets;
        Ok(transaction)
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
        let copies = routed.target.copies.iter().map(|key| key.len() + 32);
        let octets = routed.message.encoded_len() + copies.sum::<usize>();
        let octets = PUBLISH_OVERHEAD + octets as u64;
        let (held, max) = (
            self.uncommitted_octets + octets,
            self.limits.max_transaction_size,
        );
        if held > max {
            return Err(texts::transaction_too_large(held, max));
        }
        self.uncommitted_octets = held;
        if let Some(transaction) = &mut self.open_channel(id)?.transaction {
            transaction.octets += octets;
            transaction.publishes.push(routed);
        }
        Ok(())
    }

    /// tx.commit: the channel is answered once everything is safe. Publishes go first, as in
    /// RabbitMQ.
    fn tx_commit(&mut self, id: ChannelId) -> Result<(), AmqpError> {
        let transaction = self.take_transaction(id)?;
        self.fx.begin_atomic();
        self.info.published(transaction.publishes.len() as u64);
        for routed in &transaction.publishes {
            // A queue may have been deleted since.
            let routable =
                !routed.target.mandatory || routed.queues.iter().any(|q| !q.is_deleted());
            self.return_or_reply(id, routed, routable);
        }
        let same = |a: &Routed, b: &Routed| Arc::ptr_eq(&a.queues, &b.queues);
        for run in transaction.publishes.chunk_by(same) {
            // Others get a turn at the queues in between.
            for part in run.chunks(RUN_MAX) {
                self.publish_uncommitted(part);
            }
        }
        let placed = self.postpone_uncommitted(&transaction.publishes);
        self.settle_uncommitted(transaction.settled);
        let refused = std::mem::take(&mut self.fx.refused().count);
        let committed = if refused > 0 {
            self.perform();
            Err(texts::partial_commit())
        } else {
            let ok = AMQPClass::Tx(tx::AMQPMethod::CommitOk(tx::CommitOk {}));
            let durable = self.fx.has_records();
            self.reply_when_stored(id, Some(ok), durable)
        };
        // The store has the batch now, so what comes due may leave again.
        for (delays, placed) in placed {
            delays.keep(placed, &mut self.fx);
        }
        self.perform();
        committed
    }

    /// Takes places in delayed exchanges for the messages that they keep.
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
                // Whoever acknowledges it in one queue must be able to call off that write alone:
                // the batch is submitted when all queues have it.
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

    fn settle_uncommitted(&mut self, settled: Vec<Settled>) {
        let mut settled = settled.into_iter().peekable();
        while let Some(first) = settled.next() {
            let outcome = first.outcome;
            let mut run = vec![first.delivery];
            while let Some(next) = settled.next_if(|s| s.outcome == outcome) {
                run.push(next.delivery);
            }
            match outcome {
                Outcome::Acknowledged => {
                    self.settled.extend(run);
                    self.flush_settled();
                }
                Outcome::Discarded => {
                    self.discarded.extend(run);
                    self.flush_settled();
                }
                Outcome::Requeued => {
                    self.requeue(run.into_iter().map(Delivery::redelivered).collect());
                }
            }
        }
    }

    /// tx.rollback: publishes are dropped, acknowledgements were never made. Nothing is requeued
    /// (spec 1.9.2.6): the deliveries are the channel's to acknowledge again.
    fn tx_rollback(&mut self, id: ChannelId) -> Result<(), AmqpError> {
        let transaction = self.take_transaction(id)?;
        let channel = self.open_channel(id)?;
        let octets = transaction.settled_octets();
        channel.unacked.restore(transaction.into_unsettled());
        self.held.add(octets);
        let ok = tx::AMQPMethod::RollbackOk(tx::RollbackOk {});
        self.reply(id, AMQPClass::Tx(ok));
        Ok(())
    }

    /// The channel ends without a commit: what it acknowledged goes back with the rest.
    pub(super) fn abandon_transaction(&mut self, id: ChannelId) {
        let Ok(transaction) = self.take_transaction(id) else {
            return;
        };
        if let Some(channel) = self.channel_mut(id) {
            channel.unacked.restore(transaction.into_unsettled());
        }
    }
}
