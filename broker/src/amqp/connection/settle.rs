//! basic.ack, basic.nack, basic.reject, basic.recover.

use super::Connection;
use super::unacked::{Delivery, Returning};
use crate::engine::queue::Return;
use leveret_protocol::classes::{AMQPClass, basic};
use leveret_protocol::{AmqpError, ChannelId, DeliveryTag, texts};

/// What happens to deliveries that leave the unacknowledged state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They are acknowledged.
    Acknowledged,
    /// They go back to their places in the queue.
    Requeued(Return),
    /// They are rejected without requeue.
    Discarded,
}

impl Connection {
    pub(super) fn settle(
        &mut self,
        id: ChannelId,
        tag: DeliveryTag,
        multiple: bool,
        outcome: Outcome,
    ) -> Result<(), AmqpError> {
        let channel = self.open_channel(id)?;
        let unknown = || texts::unknown_delivery_tag(tag);
        if !multiple {
            let delivery = channel.unacked.take(tag).ok_or_else(unknown)?;
            match (&mut channel.transaction, outcome) {
                (Some(transaction), _) => transaction.settle(tag, delivery, outcome),
                (None, Outcome::Requeued(how)) => self.requeue_now([delivery], how),
                (None, Outcome::Acknowledged) => {
                    channel.stats.ack += 1;
                    self.settled.push(delivery);
                }
                (None, Outcome::Discarded) => self.discarded.push(delivery),
            }
            return Ok(());
        }
        let tagged = channel.unacked.take_through(tag).ok_or_else(unknown)?;
        if let Some(transaction) = &mut channel.transaction {
            for (tag, delivery) in tagged {
                transaction.settle(tag, delivery, outcome);
            }
            return Ok(());
        }
        let deliveries = tagged.map(|(_, delivery)| delivery);
        match outcome {
            Outcome::Requeued(how) => self.requeue_now(deliveries, how),
            Outcome::Acknowledged => {
                let before = self.settled.len();
                self.settled.extend(deliveries);
                let acknowledged = self.settled.len() - before;
                self.open_channel(id)?.stats.ack += acknowledged as u64;
            }
            Outcome::Discarded => self.discarded.extend(deliveries),
        }
        Ok(())
    }

    fn requeue_now(&mut self, deliveries: impl IntoIterator<Item = Delivery>, how: Return) {
        let deliveries: Vec<Returning> = deliveries.into_iter().map(|d| (d, how)).collect();
        if !deliveries.is_empty() {
            self.flush_settled();
            self.requeue(deliveries);
        }
    }

    /// Handles basic.recover: everything that the channel has not acknowledged is requeued, except
    /// what its transaction has settled (`rabbit_channel`).
    pub(super) fn recover(
        &mut self,
        id: ChannelId,
        requeue: bool,
        answer: bool,
    ) -> Result<(), AmqpError> {
        if !requeue {
            return Err(texts::not_implemented("requeue=false"));
        }
        let channel = self.open_channel(id)?;
        let all = channel.unacked.take_through(DeliveryTag(0));
        let all = all.into_iter().flatten();
        self.requeue_now(all.map(|(_, delivery)| delivery), Return::Released);
        if answer {
            let ok = basic::RecoverOk {};
            self.reply(id, AMQPClass::Basic(basic::AMQPMethod::RecoverOk(ok)));
        }
        Ok(())
    }
}
