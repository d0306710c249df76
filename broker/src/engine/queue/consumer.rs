//! A consumer, and the credit it needs for a delivery.

use super::credit::Credit;
use super::handle::Queue;
use super::kept_arguments::KeptArguments;
use crate::engine::interfaces::Inbox;
use leveret_protocol::{ChannelId, ConsumerTag};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A consumer's id, unique for the life of the broker; tags repeat, ids do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConsumerId(pub u64);

/// A consumer: shared by its queue, its channel, and each of its deliveries.
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
    /// It has the queue exclusively.
    pub exclusive: bool,
    /// `x-priority`; higher is served first.
    pub priority: i32,
    /// basic.consume's arguments.
    pub arguments: KeptArguments,
    /// The acknowledgement timeout in its arguments, if any; `Some(None)` means no timeout.
    pub ack_timeout: Option<Option<Duration>>,
    /// Its own prefetch.
    pub credit: Credit,
    /// The prefetch of its channel (basic.qos with `global`); a consumer of a queue that is not
    /// classic has its own, without a limit.
    pub channel_credit: Arc<Credit>,
    /// The queue has passed it over and will not serve it before it is resumed.
    pub blocked: AtomicBool,
    /// Its channel has removed it: pending deliveries are requeued.
    pub cancelled: AtomicBool,
}

impl Consumer {
    /// Takes the credit for one delivery, all or nothing; if refused, the refuser knows that it has
    /// to resume this consumer. A delivery that needs no acknowledgement takes no credit, but waits
    /// like others while the channel's prefetch is used up (`rabbit_limiter:can_send`).
    #[inline]
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
        let channel_had_room = self.channel_credit.take();
        if !channel_had_room {
            // Only this consumer takes from it, and it waits for the other.
            self.credit.put_back(1);
        }
        channel_had_room
    }

    /// Returns the credit that was taken for a delivery that does not happen.
    pub fn give_back_turn(&self) {
        if self.no_ack {
            return;
        }
        let of_channel = self.channel_credit.give_back(1);
        if self.credit.give_back(1) || of_channel {
            // Others were refused meanwhile: the mailbox resumes them.
            self.mailbox.request_resume();
        }
    }

    /// Like [`Consumer::take_turn`], but first marks the consumer as blocked, so that whoever
    /// releases credit, or empties the mailbox, resumes it.
    pub fn take_turn_or_block(&self) -> bool {
        // Set before the attempt: whoever releases credit checks it afterwards.
        self.blocked.store(true, Ordering::SeqCst);
        let may_deliver = self.take_turn();
        if may_deliver {
            self.blocked.store(false, Ordering::SeqCst);
        }
        may_deliver
    }
}
