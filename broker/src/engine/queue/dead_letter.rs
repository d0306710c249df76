//! Dead letters (RabbitMQ: "Dead Letter Exchanges"): messages that leave a queue without being
//! acknowledged, and go to the exchange that the queue names for them. The machine only puts them
//! into the queue's outbox; they are sent when the queue's lock is released.

use super::effects::Effects;
use super::entry::Entry;
use super::limits::Limits;
use super::machine::Machine;
use super::settings::{DeadLetterStrategy, Overflow, QueueKind, Settings};
use super::spec::QueueSpec;
use crate::engine::message::SharedMessage;
use crate::engine::statistics::Strategy;
use leveret_protocol::{ExchangeName, QueueName};
use leveret_storage::{Op, Position, QueueId};
use std::sync::Arc;

/// Why a message was dead-lettered, in RabbitMQ's words for `x-death`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// basic.reject or basic.nack without requeue.
    Rejected,
    /// Its time to live is over.
    Expired,
    /// The queue was over its length limit.
    MaxLength,
    /// Its delivery failed too often.
    DeliveryLimit,
}

impl Reason {
    /// All reasons, in the order of their numbers.
    pub const ALL: [Reason; 4] = [
        Reason::Rejected,
        Reason::Expired,
        Reason::MaxLength,
        Reason::DeliveryLimit,
    ];

    /// Returns its number, used in memory and in the spill area.
    pub(super) fn code(self) -> u8 {
        self as u8
    }

    /// Returns the reason with this number; unknown numbers map to the first.
    pub(super) fn of_code(code: u8) -> Reason {
        let found = Reason::ALL.get(usize::from(code));
        found.copied().unwrap_or(Reason::Rejected)
    }

    /// Returns its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::Expired => "expired",
            Reason::MaxLength => "maxlen",
            Reason::DeliveryLimit => "delivery_limit",
        }
    }
}

/// Where dead letters come from and where they go.
#[derive(Debug)]
pub struct Origin {
    /// The queue they leave.
    pub queue: QueueName,
    /// `x-dead-letter-exchange`; it may not exist.
    pub exchange: ExchangeName,
    /// `x-dead-letter-routing-key`.
    pub routing_key: Option<Box<[u8]>>,
    /// None may be lost: letters that cannot be routed come back (`x-dead-letter-strategy:
    /// at-least-once`).
    pub loses_none: bool,
}

impl Origin {
    /// Returns where a queue's dead letters go according to its settings; `None` if they are
    /// dropped.
    pub(super) fn of(spec: &QueueSpec, settings: &Settings) -> Option<Arc<Origin>> {
        let exchange = settings.dead_letter_exchange.clone()?;
        Some(Arc::new(Origin {
            queue: spec.name.clone(),
            exchange,
            routing_key: settings.dead_letter_routing_key.clone(),
            // Only if the overflow rule does not drop the oldest (`rabbit_quorum_queue:dlh`).
            loses_none: spec.kind() == QueueKind::Quorum
                && settings.dead_letter_strategy == DeadLetterStrategy::AtLeastOnce
                && settings.overflow == Overflow::RejectPublish,
        }))
    }
}

/// A dead letter that is leaving its queue.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The message as it was in its queue.
    pub message: SharedMessage,
    /// Why.
    pub reason: Reason,
    /// It was caused immediately by other dead letters.
    pub chained: bool,
    /// Its sequence number in its queue.
    pub number: u64,
    /// Its place in the store, where it stays until it is stored at its destinations.
    pub stored_at: Option<Position>,
}

impl DeadLetter {
    /// Bytes of its body.
    pub(super) fn bytes(&self) -> u64 {
        self.message.body().len() as u64
    }

    /// Records that it has left this queue, in the batch that says where it is now.
    pub fn leave(&self, queue: QueueId, fx: &mut Effects) {
        if let Some(position) = self.stored_at {
            fx.store(Op::Settle {
                queue,
                position,
                message: self.message.clone(),
            });
        }
    }
}

impl Machine {
    /// Removes a message that is neither ready nor unacknowledged any more from the queue: as a
    /// dead letter, or for good if there is no dead letter exchange.
    pub(super) fn bury(&mut self, entry: &Entry, reason: Reason, fx: &mut Effects) {
        self.count_death(reason, fx);
        if self.dead_letters.is_none() {
            self.forget(entry.position, &entry.message, fx);
            return;
        }
        let stored = self.stores(&entry.message);
        if stored {
            self.discount(&entry.message);
        }
        self.forget_count(entry.position, fx);
        let stored_at = stored.then_some(entry.position);
        self.die(entry.message.clone(), reason, stored_at, fx);
    }

    fn count_death(&self, reason: Reason, fx: &mut Effects) {
        let strategy = match self.dead_letters.as_deref() {
            None => Strategy::Disabled,
            Some(Origin { loses_none, .. }) if *loses_none => Strategy::AtLeastOnce,
            Some(_) => Strategy::AtMostOnce,
        };
        fx.count_death(self.kind, reason, strategy);
    }

    fn die(
        &mut self,
        message: SharedMessage,
        reason: Reason,
        stored_at: Option<Position>,
        fx: &mut Effects,
    ) {
        let letter = DeadLetter {
            message,
            reason,
            chained: fx.is_sending_letters(),
            number: 0,
            stored_at,
        };
        self.send_letter(letter, fx);
    }

    /// Dead-letters a message that the queue rejects, if the overflow rule says so.
    pub(super) fn bury_refused(&mut self, message: &SharedMessage, fx: &mut Effects) {
        if self.refused_are_dead() {
            self.count_death(Reason::MaxLength, fx);
            self.die(message.clone(), Reason::MaxLength, None, fx);
        }
    }

    fn refused_are_dead(&self) -> bool {
        let limits = self.limits.as_deref();
        self.dead_letters.is_some() && limits.is_some_and(Limits::refused_are_dead)
    }

    /// Like [`Machine::bury_refused`], for a message that already has a place in the store.
    pub(super) fn bury_turned_away(
        &mut self,
        position: Position,
        message: &SharedMessage,
        fx: &mut Effects,
    ) {
        let stored = self.stores(message);
        if self.refused_are_dead() && !self.is_deleted() {
            let stored_at = stored.then_some(position);
            self.count_death(Reason::MaxLength, fx);
            self.die(message.clone(), Reason::MaxLength, stored_at, fx);
        } else if stored {
            fx.store_settled(self.id, position, message);
        }
    }
}
