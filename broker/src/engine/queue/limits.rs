//! Length limits of a queue: `x-max-length`, `x-max-length-bytes` and `x-overflow` (RabbitMQ:
//! "Queue Length Limit"). Only ready messages count, and only the bytes of their bodies.

use super::dead_letter::Reason;
use super::effects::Effects;
use super::machine::{Machine, SLICE};
use super::settings::{Overflow, QueueKind, Settings};
use crate::engine::message::{Message, SharedMessage};

/// The limits of one queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum number of messages; no limit is the largest number.
    messages: u64,
    /// The maximum bytes of bodies; no limit is the largest number.
    bytes: u64,
    overflow: Overflow,
    /// The queue was over these limits when they were set, and its oldest messages are dropped,
    /// once.
    trims: bool,
}

impl Limits {
    /// Returns the limits in a queue's settings; `None` if there are none.
    pub fn of(settings: &Settings) -> Option<Limits> {
        if settings.max_length.is_none() && settings.max_length_bytes.is_none() {
            return None;
        }
        Some(Limits {
            messages: settings.max_length.unwrap_or(u64::MAX),
            bytes: settings.max_length_bytes.unwrap_or(u64::MAX),
            overflow: settings.overflow,
            trims: false,
        })
    }

    /// Returns whether a message is rejected by a queue with this many messages and bytes: it would
    /// be one too many, even if a consumer waits for it (`rabbit_amqqueue_process:will_overflow`).
    pub fn refuse(&self, message: &Message, messages: u64, bytes: u64) -> bool {
        self.overflow != Overflow::DropHead
            && self.exceeded(messages + 1, bytes + message.body().len() as u64)
    }

    /// Returns whether a queue with this many messages and bytes has to drop its head.
    pub fn drop_head(&self, (messages, bytes): (u64, u64)) -> bool {
        (self.overflow == Overflow::DropHead || self.trims) && self.exceeded(messages, bytes)
    }

    /// Returns whether rejected messages become dead letters.
    pub fn refused_are_dead(&self) -> bool {
        self.overflow == Overflow::RejectPublishDlx
    }

    fn exceeded(&self, messages: u64, bytes: u64) -> bool {
        messages > self.messages || bytes > self.bytes
    }
}

impl Machine {
    /// Returns whether the queue's limits would reject this message after `others` more with this
    /// many bytes.
    pub(super) fn has_no_room(&self, message: &SharedMessage, others: u64, bytes: u64) -> bool {
        let kept = self.outbox.as_deref();
        let kept = kept.map(|outbox| (outbox.len(), outbox.bytes()));
        let (letters, bodies) = kept.unwrap_or_default();
        let (held, held_bytes) = self.limited();
        let full = |limits: &Limits| {
            limits.refuse(
                message,
                held + others + letters,
                held_bytes + bytes + bodies,
            )
        };
        self.limits.as_deref().is_some_and(full)
    }

    /// Returns the messages that limits count, and the bytes of their bodies: those that are ready, and those that wait
    /// to become ready (`rabbit_fifo:messages_ready_plus_delayed`).
    fn limited(&self) -> (u64, u64) {
        let (waiting, bytes) = self.waiting();
        (
            self.ready.len() as u64 + waiting,
            self.ready.bytes() + bytes,
        )
    }

    /// Returns whether the queue's limits reject this message.
    pub(super) fn is_full_for(&self, message: &SharedMessage) -> bool {
        self.has_no_room(message, 0, 0)
    }

    /// Returns whether the head of the queue has to be dropped.
    pub(super) fn is_over_limit(&self) -> bool {
        let over = |limits: &Limits| limits.drop_head(self.limited());
        self.limits.as_deref().is_some_and(over)
    }

    /// Applies new limits; [`Machine::drop_over_limit`] must be called afterwards.
    pub(super) fn limit(&mut self, settings: &Settings) {
        // A classic queue in RabbitMQ gets its new limits before its new overflow rule, so one that has dropped its
        // oldest messages so far does so once more (`rabbit_amqqueue_process:process_args_policy`). A quorum queue gets
        // both at once.
        let trims = self.limits.as_ref().is_some_and(|limits| limits.trims)
            || self.kind != QueueKind::Quorum && self.overflow == Overflow::DropHead;
        self.overflow = settings.overflow;
        let limits = Limits::of(settings).map(|limits| Limits { trims, ..limits });
        self.limits = limits.map(Box::new);
    }

    /// Drops the oldest messages while there are more than the limits allow; a slice of them now,
    /// the rest later.
    pub fn drop_over_limit(&mut self, fx: &mut Effects) {
        self.drops_later = false;
        let Some(limits) = self.limits.as_deref().copied() else {
            return;
        };
        for _ in 0..SLICE {
            if !limits.drop_head(self.limited()) {
                if let Some(limits) = &mut self.limits {
                    limits.trims = false;
                }
                return;
            }
            // A head on disk is dropped when it has been read. Waiting messages are not a head.
            let Some(entry) = self.ready.pop() else {
                if let Some(limits) = self.limits.as_mut().filter(|_| self.ready.is_empty()) {
                    limits.trims = false;
                }
                return;
            };
            self.bury(&entry, Reason::MaxLength, fx);
        }
        self.drops_later = limits.drop_head(self.limited());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_without_a_limit_has_none_whatever_it_does_on_overflow() {
        let settings = Settings {
            overflow: Overflow::RejectPublish,
            ..Settings::default()
        };
        assert_eq!(Limits::of(&settings), None);
    }

    #[test]
    fn what_is_not_set_does_not_limit() {
        let settings = Settings {
            max_length_bytes: Some(7),
            overflow: Overflow::RejectPublishDlx,
            ..Settings::default()
        };
        assert_eq!(
            Limits::of(&settings),
            Some(Limits {
                messages: u64::MAX,
                bytes: 7,
                overflow: Overflow::RejectPublishDlx,
                trims: false
            })
        );
        let settings = Settings {
            max_length: Some(0),
            ..Settings::default()
        };
        assert_eq!(
            Limits::of(&settings),
            Some(Limits {
                messages: 0,
                bytes: u64::MAX,
                overflow: Overflow::DropHead,
                trims: false
            })
        );
    }
}
