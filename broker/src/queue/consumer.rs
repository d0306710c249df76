//! Consumers of a queue and whose turn it is.

use super::credit::Credit;
use super::handle::Queue;
use crate::server::mailbox::Mailbox;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{ChannelId, ConsumerTag};
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
    pub mailbox: Arc<Mailbox>,
    /// Deliveries need no acknowledgement.
    pub no_ack: bool,
    /// No other consumer may have the queue.
    pub exclusive: bool,
    /// `x-priority`; higher is served first.
    pub priority: i32,
    /// basic.consume's arguments.
    pub arguments: FieldTable,
    /// Its own prefetch.
    pub credit: Credit,
    /// The prefetch of its channel (basic.qos with `global`).
    pub channel_credit: Arc<Credit>,
    /// The queue has passed it over and will not serve it until it is resumed.
    pub blocked: AtomicBool,
    /// Its channel has forgotten it: deliveries that are still under way go back.
    pub cancelled: AtomicBool,
}

impl Consumer {
    /// Takes what one delivery needs, all or nothing; on refusal, whoever refused knows that it
    /// has to resume this consumer.
    pub(super) fn take_turn(&self) -> bool {
        if self.mailbox.is_full() {
            return false;
        }
        if self.no_ack {
            return true;
        }
        if !self.channel_credit.take() {
            return false;
        }
        if self.credit.take() {
            return true;
        }
        if self.channel_credit.give_back(1) {
            // Others of this channel were refused meanwhile: its own mailbox sees to them.
            self.mailbox.request_resume();
        }
        false
    }
}

impl Consumer {
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

/// The consumers of one queue: those that take messages in turn, by priority, and those that
/// cannot at the moment (RabbitMQ: "Consumer Priorities").
#[derive(Debug, Default)]
pub struct Consumers {
    /// Highest priority first; round robin within each.
    active: Vec<(i32, VecDeque<Arc<Consumer>>)>,
    /// Who was passed over first comes first.
    blocked: Vec<Arc<Consumer>>,
}

impl Consumers {
    /// Number of consumers.
    pub fn len(&self) -> usize {
        self.blocked.len()
            + self
                .active
                .iter()
                .map(|(_, turn)| turn.len())
                .sum::<usize>()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All of them, in no order that means anything.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.active
            .iter()
            .flat_map(|(_, turn)| turn)
            .chain(&self.blocked)
    }

    /// The consumer that holds the queue exclusively.
    pub fn exclusive(&self) -> Option<&Arc<Consumer>> {
        self.iter().find(|consumer| consumer.exclusive)
    }

    /// Adds a consumer at the end of its round.
    pub fn add(&mut self, consumer: Arc<Consumer>) {
        let priority = consumer.priority;
        match self.active.binary_search_by(|(p, _)| priority.cmp(p)) {
            Ok(at) => self.active[at].1.push_back(consumer),
            Err(at) => self
                .active
                .insert(at, (priority, VecDeque::from([consumer]))),
        }
    }

    /// Removes a consumer. `None` when it is not here (any more).
    pub fn remove(&mut self, id: ConsumerId) -> Option<Arc<Consumer>> {
        if let Some(at) = self.blocked.iter().position(|c| c.id == id) {
            return Some(self.blocked.remove(at));
        }
        for level in 0..self.active.len() {
            let turn = &mut self.active[level].1;
            if let Some(at) = turn.iter().position(|c| c.id == id) {
                let removed = turn.remove(at);
                if turn.is_empty() {
                    self.active.remove(level);
                }
                return removed;
            }
        }
        None
    }

    /// Removes all of them.
    pub fn drain(&mut self) -> Vec<Arc<Consumer>> {
        let active = std::mem::take(&mut self.active);
        let mut all: Vec<_> = active.into_iter().flat_map(|(_, turn)| turn).collect();
        all.append(&mut self.blocked);
        all
    }

    /// Passes a consumer over until it is resumed.
    pub fn set_aside(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.remove(id) {
            consumer.blocked.store(true, Ordering::SeqCst);
            self.blocked.push(consumer);
        }
    }

    /// Lets consumers that were passed over take part again, in the order in which they were:
    /// whoever has waited longest is served first.
    pub fn resume(&mut self, ids: impl IntoIterator<Item = ConsumerId>) {
        let place = |id| self.blocked.iter().position(|c| c.id == id);
        let mut places: SmallVec<[usize; 4]> = ids.into_iter().filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        for (gone, at) in places.into_iter().enumerate() {
            let consumer = self.blocked.remove(at - gone);
            consumer.blocked.store(false, Ordering::SeqCst);
            self.add(consumer);
        }
    }

    /// The consumer whose turn it is, having taken its credit for one delivery; consumers that
    /// cannot take one are set aside until they are resumed.
    pub fn next(&mut self) -> Option<Arc<Consumer>> {
        while let Some((_, turn)) = self.active.first_mut() {
            while let Some(consumer) = turn.pop_front() {
                // Set before the attempt: whoever gives credit back looks at it afterwards.
                consumer.blocked.store(true, Ordering::SeqCst);
                if consumer.take_turn() {
                    consumer.blocked.store(false, Ordering::SeqCst);
                    turn.push_back(consumer.clone());
                    return Some(consumer);
                }
                self.blocked.push(consumer);
            }
            self.active.remove(0);
        }
        None
    }
}
