//! Dead letters (RabbitMQ: "Dead Letter Exchanges"): what leaves a queue otherwise than by being
//! acknowledged, and goes on to the exchange that the queue names for it. The machine only says
//! that a message is one; it is sent when the queue's lock is released.

use super::effects::Effects;
use super::entry::Entry;
use super::handle::QueueSpec;
use super::machine::Machine;
use super::settings::{DeadLetterStrategy, Overflow, QueueKind, Settings};
use crate::message::SharedMessage;
use leveret_protocol::{ExchangeName, QueueName, VhostName};
use leveret_storage::{Op, Position, QueueId};
use std::sync::Arc;

/// Why a message is dead, in RabbitMQ's words for `x-death`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// basic.reject or basic.nack without requeue.
    Rejected,
    /// Its time to live is over.
    Expired,
    /// The queue had more than it may have.
    MaxLength,
    /// It came back too often.
    DeliveryLimit,
}

impl Reason {
    const ALL: [Reason; 4] = [
        Reason::Rejected,
        Reason::Expired,
        Reason::MaxLength,
        Reason::DeliveryLimit,
    ];

    /// A number for it, in memory and in what a restart empties.
    pub(super) fn code(self) -> u8 {
        self as u8
    }

    /// The reason that has this number; that of any other is the first.
    pub(super) fn of_code(code: u8) -> Reason {
        let found = Reason::ALL.get(usize::from(code));
        found.copied().unwrap_or(Reason::Rejected)
    }

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Rejected => "rejected",
            Reason::Expired => "expired",
            Reason::MaxLength => "maxlen",
            Reason::DeliveryLimit => "delivery_limit",
        }
    }
}

/// Where dead letters come from and where they are to go.
#[derive(Debug)]
pub struct Origin {
    /// The queue that they leave.
    pub queue: QueueName,
    /// Its identity.
    pub id: QueueId,
    /// Its virtual host.
    pub vhost: VhostName,
    /// `x-dead-letter-exchange`; there may be none of that name.
    pub exchange: ExchangeName,
    /// `x-dead-letter-routing-key`.
    pub routing_key: Option<Box<[u8]>>,
    /// None is lost: what finds no way is to come back (`x-dead-letter-strategy: at-least-once`).
    pub loses_none: bool,
}

impl Origin {
    /// What a queue's settings say about its dead letters; `None` when they are lost.
    pub(super) fn of(
        id: QueueId,
        vhost: &VhostName,
        spec: &QueueSpec,
        settings: &Settings,
    ) -> Option<Arc<Origin>> {
        let exchange = settings.dead_letter_exchange.clone()?;
        Some(Arc::new(Origin {
            queue: spec.name.clone(),
            id,
            vhost: vhost.clone(),
            exchange,
            routing_key: settings.dead_letter_routing_key.clone(),
            // Only where nothing drops the oldest (`rabbit_quorum_queue:dlh`).
            loses_none: spec.kind() == QueueKind::Quorum
                && settings.dead_letter_strategy == DeadLetterStrategy::AtLeastOnce
                && settings.overflow == Overflow::RejectPublish,
        }))
    }
}

/// A message on its way out of a queue.
#[derive(Clone, Debug)]
pub struct DeadLetter {
    /// The queue it leaves.
    pub origin: Arc<Origin>,
    /// The message as it was there.
    pub message: SharedMessage,
    /// Why.
    pub reason: Reason,
    /// Its place in the store, where it stays until it is wherever it goes.
    pub stored_at: Option<Position>,
}

impl DeadLetter {
    /// Records that it has left its queue: for the batch that says where it is now.
    pub fn leave(&self, fx: &mut Effects) {
        if let Some(position) = self.stored_at {
            fx.store(Op::Settle {
                queue: self.origin.id,
                position,
                message: self.message.clone(),
            });
        }
    }
}

impl Machine {
    /// A message that is neither ready nor unacknowledged any more leaves the queue: as a dead
    /// letter, or for good where those are lost.
    pub(super) fn bury(&mut self, entry: &Entry, reason: Reason, fx: &mut Effects) {
        let Some(origin) = self.dead_letters.clone() else {
            self.forget(entry.position, &entry.message, fx);
            return;
        };
        let stored = self.stores(&entry.message);
        if stored {
            self.discount(&entry.message);
        }
        self.forget_count(entry.position, fx);
        fx.dead_letter(DeadLetter {
            origin,
            message: entry.message.clone(),
            reason,
            stored_at: stored.then_some(entry.position),
        });
    }

    /// A message that the queue turns away becomes a dead letter, if those that are too many do.
    pub(super) fn bury_refused(&self, message: &SharedMessage, fx: &mut Effects) {
        if let Some(origin) = self.origin_of_refused() {
            fx.dead_letter(DeadLetter {
                origin: origin.clone(),
                message: message.clone(),
                reason: Reason::MaxLength,
                stored_at: None,
            });
        }
    }

    fn origin_of_refused(&self) -> Option<&Arc<Origin>> {
        let limits = self.limits.as_deref()?;
        self.dead_letters
            .as_ref()
            .filter(|_| limits.refused_are_dead())
    }

    /// As [`Machine::bury_refused`], for one that has a place in the store already.
    pub(super) fn bury_turned_away(
        &mut self,
        position: Position,
        message: &SharedMessage,
        fx: &mut Effects,
    ) {
        let stored = self.stores(message);
        match self.origin_of_refused().filter(|_| !self.is_deleted()) {
            Some(origin) => fx.dead_letter(DeadLetter {
                origin: origin.clone(),
                message: message.clone(),
                reason: Reason::MaxLength,
                stored_at: stored.then_some(position),
            }),
            None if stored => fx.store_settled(self.id, position, message),
            None => {}
        }
    }
}
