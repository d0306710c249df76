//! A consumer, and what it needs for one delivery.

use super::credit::Credit;
use super::handle::Queue;
use super::kept_arguments::KeptArguments;
use crate::engine::interfaces::Inbox;
use leveret_protocol::{ChannelId, ConsumerTag};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A consumer's identity for the life of the broker; tags repeat, these do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);

/// A consumer: known to its queue, to its channel, and named by each of its deliveries.
#[derive(Debug)]
pub struct Consumer {
    /// Its identity.
    pub id: ConsumerId,
    /// Its name on its channel.
    pub tag: ConsumerTag,
    /// Its channel.
    pub channel: ChannelId,
    /// The queue it consumes from.
    pub queue: Arc<Queue>,
    /// Where its deliveries go.
    pub mailbox: Arc<dyn Inbox>,
    /// Deliveries need no acknowledgement.
    pub no_ack: bool,
    /// No other consumer may have the queue.
    pub exclusive: bool,
    /// `x-priority`; higher is served first.
    pub priority: i32,
    /// basic.consume's arguments.
    pub arguments: KeptArguments,
    /// How long its deliveries may wait for an acknowledgement, where its arguments say so; none is forever.
    pub ack_timeout: Option<Option<Duration>>,
    /// Its own prefetch.
    pub credit: Credit,
    /// The prefetch of its channel (basic.qos with `global`); a consumer of what is no
    /// classic queue has one of its own, without a limit.
    pub channel_credit: Arc<Credit>,
    /// The queue has passed it over and will not serve it until it is resumed.
    pub blocked: AtomicBool,
    /// Its channel has forgotten it: deliveries that are still under way go back.
    pub cancelled: AtomicBool,
}

impl Consumer {
    /// Takes what one delivery needs, all or nothing; on refusal, whoever refused knows that it
    /// has to resume this consumer. A delivery that needs no acknowledgement takes nothing, but
    /// waits like others while the channel's prefetch is used up (`rabbit_limiter:can_send`).
    pub(super) fn take_turn(&self) -> bool {
        if self.mailbox.is_full() {
            return false;
        }
        if self.no_ack {
            return self.channel_credit.has_room();
        }
        if !self.credit.take() {
            return false;
        }
        let taken = self.channel_credit.take();
        if !taken {
            // Nobody but this consumer takes from it, and it waits for the other.
            self.credit.put_back(1);
        }
        taken
    }

    /// Gives back what was taken for a delivery that there is none for.
    pub fn give_back_turn(&self) {
        if self.no_ack {
            return;
        }
        let of_channel = self.channel_credit.give_back(1);
        if self.credit.give_back(1) || of_channel {
            // Others were refused meanwhile: the mailbox sees to them.
            self.mailbox.request_resume();
        }
    }

    /// [`Consumer::take_turn`], with the mark that tells whoever gives credit back, or empties the
    /// mailbox, to resume the consumer.
    pub fn take_turn_or_block(&self) -> bool {
        // Set before the attempt: whoever gives credit back looks at it afterwards.
        self.blocked.store(true, Ordering::SeqCst);
        let taken = self.take_turn();
        if taken {
            self.blocked.store(false, Ordering::SeqCst);
        }
        taken
    }
}
