//! The consumers of a queue, and whose turn it is.

use super::consumer::{Consumer, ConsumerId};
use super::settings::{QueueKind, Settings};
use super::single_active::SingleActive;
use smallvec::SmallVec;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The consumers of one queue: those that take messages in turn, by priority, and those that
/// currently cannot (RabbitMQ: "Consumer Priorities").
#[derive(Debug, Default)]
pub struct Consumers {
    /// Highest priority first; round robin within each.
    active: Vec<(i32, VecDeque<Arc<Consumer>>)>,
    /// In the order in which they were passed over.
    blocked: Vec<Arc<Consumer>>,
    /// Set if only one of them is served at a time.
    single: Option<SingleActive>,
}

impl Consumers {
    /// Creates an empty set for a queue with these settings.
    pub fn new(kind: QueueKind, settings: &Settings) -> Self {
        let single = || SingleActive::new(kind == QueueKind::Quorum);
        Consumers {
            single: settings.single_active_consumer.then(single),
            ..Consumers::default()
        }
    }

    /// Returns the number of consumers.
    pub fn len(&self) -> usize {
        self.blocked.len()
            + self
                .active
                .iter()
                .map(|(_, turn)| turn.len())
                .sum::<usize>()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns whether one of them may be able to take a message now.
    pub fn any_ready(&self) -> bool {
        match self.single.as_ref().map(SingleActive::holder) {
            None => !self.active.is_empty(),
            Some(holder) => holder.is_some_and(|holder| !holder.blocked.load(Ordering::SeqCst)),
        }
    }

    /// Iterates over all of them, in arbitrary order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Consumer>> {
        self.active
            .iter()
            .flat_map(|(_, turn)| turn)
            .chain(&self.blocked)
    }

    /// Returns the consumer that has the queue exclusively.
    pub fn exclusive(&self) -> Option<&Arc<Consumer>> {
        self.iter().find(|consumer| consumer.exclusive)
    }

    /// Returns whether only one consumer is served at a time.
    pub fn is_single_active(&self) -> bool {
        self.single.is_some()
    }

    /// Returns the single active consumer, if there is such a rule.
    pub fn single_active(&self) -> Option<&Arc<Consumer>> {
        self.single.as_ref()?.holder()
    }

    /// Adds a consumer at the end of its round.
    pub fn add(&mut self, consumer: Arc<Consumer>) {
        if let Some(single) = &mut self.single {
            single.consumer_joined(&consumer);
        }
        self.insert(consumer);
        self.promote();
    }

    /// If consumers of higher priority do not wait for the active one to leave, the first of them
    /// replaces it as soon as it holds no messages.
    fn promote(&mut self) {
        if let Some(single) = &mut self.single
            && let Some((_, turn)) = self.active.first()
            && let Some(first) = turn.front()
        {
            single.promote(first);
        }
    }

    fn insert(&mut self, consumer: Arc<Consumer>) {
        let priority = consumer.priority;
        match self.active.binary_search_by(|(p, _)| priority.cmp(p)) {
            Ok(at) => self.active[at].1.push_back(consumer),
            Err(at) => self
                .active
                .insert(at, (priority, VecDeque::from([consumer]))),
        }
    }

    /// Removes a consumer. Returns `None` if it is not here.
    pub fn remove(&mut self, id: ConsumerId) -> Option<Arc<Consumer>> {
        let removed = self.take(id);
        if let Some(single) = &mut self.single {
            let able = self.active.first().and_then(|(_, turn)| turn.front());
            // The remaining consumers may include only one that made room while its mailbox was
            // full.
            let longest = || self.blocked.iter().rev().max_by_key(|c| c.priority);
            single.consumer_left(id, able.or_else(longest));
        }
        removed
    }

    fn take(&mut self, id: ConsumerId) -> Option<Arc<Consumer>> {
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
        if let Some(single) = &mut self.single {
            single.clear();
        }
        let active = std::mem::take(&mut self.active);
        let mut all: Vec<_> = active.into_iter().flat_map(|(_, turn)| turn).collect();
        all.append(&mut self.blocked);
        all
    }

    /// Sets a consumer aside until it is resumed.
    pub fn set_aside(&mut self, id: ConsumerId) {
        if let Some(consumer) = self.take(id) {
            consumer.blocked.store(true, Ordering::SeqCst);
            self.blocked.push(consumer);
        }
    }

    /// Resumes consumers that were passed over, in that order: the one that has waited longest is
    /// served first.
    pub fn resume(&mut self, ids: impl IntoIterator<Item = ConsumerId>) {
        let place = |id| self.blocked.iter().position(|c| c.id == id);
        let mut places: SmallVec<[usize; 4]> = ids.into_iter().filter_map(place).collect();
        places.sort_unstable();
        places.dedup();
        for (gone, at) in places.into_iter().enumerate() {
            let consumer = self.blocked.remove(at - gone);
            consumer.blocked.store(false, Ordering::SeqCst);
            self.insert(consumer);
        }
    }

    /// Returns the consumer whose turn it is, after taking its credit for one delivery; consumers
    /// that have none are set aside until they are resumed.
    pub fn next(&mut self) -> Option<&Arc<Consumer>> {
        if self.single.is_some() {
            return self.next_single();
        }
        while let Some((_, turn)) = self.active.first_mut() {
            while let Some(consumer) = turn.front() {
                // The mark is set only after a refusal, and followed by a second attempt.
                if consumer.take_turn() || consumer.take_turn_or_block() {
                    turn.rotate_left(1);
                    return self.active[0].1.back();
                }
                self.blocked.extend(turn.pop_front());
            }
            self.active.remove(0);
        }
        None
    }

    /// Returns the single active consumer if it can take a message.
    fn next_single(&mut self) -> Option<&Arc<Consumer>> {
        self.promote();
        let single = self.single.as_ref()?;
        if single.is_leaving() {
            return None;
        }
        let holder = single.holder()?.clone();
        if holder.blocked.load(Ordering::SeqCst) {
            return None;
        }
        if holder.take_turn_or_block() {
            return self.single_active();
        }
        self.set_aside(holder.id);
        None
    }
}
