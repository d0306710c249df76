//! What a quorum queue does beyond a classic one, on one node (RabbitMQ: "Quorum Queues"): it
//! counts how often a message came back, keeps that over a restart, and gives up on a message that
//! came back too often.

use super::dead_letter::Reason;
use super::effects::Effects;
use super::entry::Entry;
use super::machine::Machine;
use super::settings::Settings;
use crate::definitions::Definition;
use leveret_storage::{Position, QueueId};
use std::collections::BTreeMap;

/// `x-delivery-limit` when none is set (RabbitMQ 4.0).
pub const DELIVERY_LIMIT: i64 = 20;

/// What a quorum queue counts.
#[derive(Debug)]
pub struct Quorum {
    /// How often a message may come back; none for any number.
    limit: Option<u64>,
    /// The counts that the store has, of messages that are here.
    counts: BTreeMap<Position, u16>,
    /// Those that it had before a restart, of messages that have not been restored.
    found: BTreeMap<Position, u16>,
}

impl Quorum {
    /// Nothing counted yet.
    pub fn new(settings: &Settings) -> Self {
        let mut quorum = Quorum {
            limit: None,
            counts: BTreeMap::new(),
            found: BTreeMap::new(),
        };
        quorum.configure(settings);
        quorum
    }

    /// Another limit holds from now on, for messages that come back.
    pub fn configure(&mut self, settings: &Settings) {
        let limit = settings.delivery_limit.unwrap_or(DELIVERY_LIMIT);
        // Below zero is no limit.
        self.limit = u64::try_from(limit).ok();
    }

    fn exceeded(&self, count: u16) -> bool {
        self.limit.is_some_and(|limit| u64::from(count) > limit)
    }
}

impl Machine {
    /// A message that comes back from a consumer, if the queue takes it back.
    pub(super) fn count_return(&mut self, entry: Entry, fx: &mut Effects) -> Option<Entry> {
        let stores = self.stores(&entry.message);
        let Some(quorum) = &mut self.quorum else {
            return Some(entry);
        };
        let count = entry.delivery_count();
        if quorum.exceeded(count) {
            self.bury(&entry, Reason::DeliveryLimit, fx);
            return None;
        }
        if stores && count > 0 && quorum.counts.insert(entry.position, count) != Some(count) {
            fx.store(definition(self.id, entry.position, count).put());
        }
        Some(entry)
    }

    /// A message leaves the queue: so does what is known of it.
    pub(super) fn forget_count(&mut self, position: Position, fx: &mut Effects) {
        if let Some(quorum) = &mut self.quorum
            && quorum.counts.remove(&position).is_some()
        {
            fx.store(definition(self.id, position, 0).delete());
        }
    }

    /// Every message has left the queue.
    pub(super) fn forget_counts(&mut self, fx: &mut Effects) {
        self.forget_counts_between(Position(0), Position(u64::MAX), fx);
    }

    /// All messages from one place to another have left the queue.
    pub(super) fn forget_counts_between(
        &mut self,
        first: Position,
        last: Position,
        fx: &mut Effects,
    ) {
        let Some(quorum) = &mut self.quorum else {
            return;
        };
        for counts in [&mut quorum.counts, &mut quorum.found] {
            let mut gone = counts.split_off(&first);
            if last.0 < u64::MAX {
                counts.append(&mut gone.split_off(&Position(last.0 + 1)));
            }
            for position in gone.into_keys() {
                fx.store(definition(self.id, position, 0).delete());
            }
        }
    }

    /// The counts that the store kept over a restart, before any message is restored.
    pub fn restore_counts(&mut self, counts: BTreeMap<Position, u16>) {
        if let Some(quorum) = &mut self.quorum {
            quorum.found = counts;
        }
    }

    /// What the store kept of a message.
    pub(super) fn restore_count(&mut self, entry: &mut Entry) {
        if let Some(quorum) = &mut self.quorum
            && let Some(count) = quorum.found.remove(&entry.position)
        {
            entry.set_delivery_count(count);
            entry.mark_redelivered();
            quorum.counts.insert(entry.position, count);
        }
    }

    /// All messages are restored: counts of others were about to be removed.
    pub fn restored(&mut self, fx: &mut Effects) {
        if let Some(quorum) = &mut self.quorum {
            for position in std::mem::take(&mut quorum.found).into_keys() {
                fx.store(definition(self.id, position, 0).delete());
            }
        }
    }
}

fn definition(queue: QueueId, position: Position, count: u16) -> Definition {
    Definition::DeliveryCount {
        queue: queue.0,
        position: position.0,
        count,
    }
}
