//! basic.ack, basic.nack, basic.reject, basic.recover.

use super::Connection;
use super::unacked::Delivery;
use leveret_protocol::classes::{AMQPClass, basic};
use leveret_protocol::{AmqpError, ChannelId, DeliveryTag, texts};

/// What happens to deliveries that leave the unacknowledged state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// They are done with.
    Acknowledged,
    /// They go back to their places.
    Requeued,
    /// Nobody wants them.
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
        let mut requeued = Vec::new();
        if multiple {
            let taken = channel.unacked.take_through(tag).ok_or_else(unknown)?;
            match outcome {
                Outcome::Requeued => requeued.extend(taken),
                Outcome::Acknowledged | Outcome::Discarded => self.settled.extend(taken),
            }
        } else {
            let taken = channel.unacked.take(tag).ok_or_else(unknown)?;
            match outcome {
                Outcome::Requeued => requeued.push(taken),
                Outcome::Acknowledged | Outcome::Discarded => self.settled.push(taken),
            }
        }
        self.requeue_now(requeued);
        Ok(())
    }

    fn requeue_now(&mut self, deliveries: Vec<Delivery>) {
        if !deliveries.is_empty() {
            self.flush_settled();
            self.requeue(deliveries.into_iter().map(Delivery::redelivered).collect());
        }
    }

    /// basic.recover: everything that the channel has not acknowledged goes back.
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
        let all: Vec<Delivery> = channel
            .unacked
            .take_through(DeliveryTag(0))
            .into_iter()
            .flatten()
            .collect();
        self.requeue_now(all);
        if answer {
            let ok = basic::RecoverOk {};
            self.reply(id, AMQPClass::Basic(basic::AMQPMethod::RecoverOk(ok)));
        }
        Ok(())
    }
}
