//! What one queue promises. Each method is told what was asked of the real queue; `served` and
//! `recorded` judge what came of it.

use super::dead_letters::RETRY;
use super::fixtures::{Kind, LARGE, Rules, id_of};
use super::records::Record;
use super::world::ConsumerIndex;
use crate::engine::queue::{Counts, DeadLetter, Entry, Parked, Reason, Return, Returns};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// What is known of a message in a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Unique over all publishes.
    pub(super) id: u64,
    pub(super) stored: bool,
    /// It is in one stored queue only, so that its write may be spared.
    pub(super) cancellable: bool,
    pub(super) bytes: u64,
    pub(super) priority: u8,
    pub(super) redelivered: bool,
    /// Its own time to live, in milliseconds.
    expiration: Option<u64>,
    /// When it expires.
    expires_at: Option<u64>,
    /// How often it came back, where that is counted.
    pub(super) returns: Returns,
    /// Until when it waits, or waited when it last came back.
    pub(super) due: Option<u64>,
}

impl Known {
    /// A message as it is published.
    pub(super) fn new(id: u64, kind: Kind, cancellable: bool) -> Self {
        Known {
            id,
            stored: kind.persistent,
            cancellable,
            bytes: if kind.large { LARGE as u64 } else { 0 },
            priority: kind.priority,
            redelivered: false,
            expiration: kind.expiration.map(u64::from),
            expires_at: None,
            returns: Returns::default(),
            due: None,
        }
    }

    /// A dead letter as it enters a classic queue: its time to live is taken off, and what it was
    /// in another queue does not count.
    pub(super) fn of_letter(letter: &DeadLetter) -> Self {
        let message = &letter.message;
        Known {
            id: id_of(message),
            stored: message.persistent(),
            cancellable: message.persistent(),
            bytes: message.body().len() as u64,
            priority: message.priority().unwrap_or(0),
            redelivered: false,
            expiration: None,
            expires_at: None,
            returns: Returns::default(),
            due: None,
        }
    }
}

/// A dead letter that could not be routed and is kept by its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kept {
    id: u64,
    reason: Reason,
    /// Its place in the store.
    pub(super) stored_at: Option<u64>,
    bytes: u64,
}

impl Kept {
    pub(super) fn of(letter: &DeadLetter) -> Self {
        Kept {
            id: id_of(&letter.message),
            reason: letter.reason,
            stored_at: letter.stored_at.map(|position| position.0),
            bytes: letter.message.body().len() as u64,
        }
    }
}

/// Where a message stands among those that are ready: priority first, then age.
type Place = (Reverse<u8>, u64);

/// One queue as it should be. Positions are plain numbers here.
#[derive(Default)]
pub(super) struct Model {
    pub(super) ready: BTreeMap<Place, Known>,
    pub(super) unacked: BTreeMap<u64, Known>,
    /// Messages that wait before they are ready again, by time and place.
    pub(super) waiting: BTreeMap<(u64, u64), Known>,
    /// Places taken by messages that have not arrived.
    pub(super) reserved: BTreeMap<u64, Known>,
    /// In the order in which they came.
    pub(super) consumers: Vec<ConsumerIndex>,
    /// Who alone is served, where there is such a rule.
    pub(super) single: Option<ConsumerIndex>,
    /// The highest priority among those that could take its place when it left.
    pub(super) best_heir: Option<i32>,
    pub(super) next: u64,
    pub(super) delivered_through: Option<u64>,
    pub(super) records: BTreeMap<u64, Record>,
    /// Stored messages that left in this call.
    pub(super) left: BTreeSet<u64>,
    /// Stored messages that came in this call, and whether their writes may be spared.
    pub(super) came: BTreeMap<u64, bool>,
    pub(super) told_through: Option<u64>,
    pub(super) deleted: bool,
    /// What it was declared with.
    pub(super) declared: Rules,
    /// The same, with the policy that applies.
    pub(super) rules: Rules,
    pub(super) refused: u64,
    /// The time in milliseconds.
    pub(super) now: u64,
    /// When it began, in milliseconds since the epoch.
    pub(super) epoch: u64,
    /// When the queue was last used, unless it is.
    pub(super) used_at: u64,
    /// Dead letters that could not be routed, and when they are sent again.
    pub(super) kept: Vec<Kept>,
    pub(super) retry_at: Option<u64>,
    /// Those that were sent again in this call.
    resent: BTreeSet<u64>,
    /// One of them is for a queue that had no room.
    pub(super) blocked: bool,
    /// What they were tried by.
    routes: u64,
    /// Messages that have left as dead letters in this call: id, why, and where they are stored.
    pub(super) dead: Vec<(u64, Reason, Option<u64>)>,
    /// Where the last one came to in this call: it may be served though it expires at once.
    pub(super) fresh: Option<u64>,
    /// The returns that the store knows of.
    pub(super) stored_returns: BTreeMap<u64, (Returns, Option<u64>)>,
}

impl Model {
    pub(super) fn new(rules: Rules, now: u64, epoch: u64) -> Self {
        Model {
            declared: rules,
            rules,
            now,
            epoch,
            used_at: now,
            ..Model::default()
        }
    }

    /// Where a message stands when it is ready.
    pub(super) fn rank(&self, position: u64, priority: u8) -> Place {
        let priority = match (self.rules.quorum, priority) {
            // It says none.
            (Some(_), 0) => 4,
            (Some(_), priority) => priority.min(31),
            (None, priority) => priority.min(self.rules.max_priority.unwrap_or(0)),
        };
        (Reverse(priority), position)
    }

    /// A message enters: from now on its time counts.
    fn enter(&mut self, position: u64, mut known: Known) {
        let ttl = known.expiration.into_iter().chain(self.rules.ttl).min();
        known.expires_at = ttl.map(|ttl| self.now + ttl);
        self.fresh = Some(position);
        self.make_ready(position, known);
    }

    fn make_ready(&mut self, position: u64, known: Known) {
        let place = self.rank(position, known.priority);
        self.ready.insert(place, known);
    }

    pub(super) fn joined(&mut self, consumer: ConsumerIndex) {
        self.consumers.push(consumer);
        if self.rules.single_active {
            self.single.get_or_insert(consumer);
        }
    }

    /// A consumer has left; `priority` tells that of others.
    pub(super) fn left(&mut self, gone: ConsumerIndex, priority: impl Fn(ConsumerIndex) -> i32) {
        let before = self.consumers.len();
        self.consumers.retain(|consumer| *consumer != gone);
        if before > 0 && self.consumers.is_empty() {
            self.touch();
        }
        if self.single != Some(gone) {
            return;
        }
        self.single = None;
        // Quorum queues have a rule of their own.
        if self.rules.quorum.is_none() {
            let first = self.consumers.iter().rev().copied();
            self.single = first.max_by_key(|consumer| priority(*consumer));
        }
    }

    /// Whether no dead letter of it is lost.
    pub(super) fn loses_none(&self) -> bool {
        let refuses = self.rules.limit.is_some_and(|limit| limit.refuses);
        let wanted = self.rules.at_least_once && self.rules.dead_letters;
        wanted && self.rules.quorum.is_some() && refuses
    }

    /// Whether it drops its oldest messages for others.
    pub(super) fn drops(&self) -> bool {
        self.rules.limit.is_some_and(|limit| !limit.refuses)
    }

    /// Whether there is room for a message behind so many others with this many bytes.
    pub(super) fn has_room(&self, known: &Known, others: u64, bytes: u64) -> bool {
        let kept = self.kept.len() as u64;
        let bodies = self.kept.iter().map(|kept| kept.bytes).sum::<u64>();
        self.drops() || !self.over(1 + others + kept, known.bytes + bytes + bodies)
    }

    /// Keeps a dead letter that could not be routed.
    pub(super) fn keep(&mut self, letter: Kept) {
        self.kept.push(letter);
        self.retry_at.get_or_insert(self.now + RETRY);
    }

    /// The timer looks at the queue.
    pub(super) fn on_time(&mut self) {
        while self.waits_too_long() {
            if let Some(((_, position), known)) = self.waiting.pop_first() {
                self.make_ready(position, known);
            }
        }
        self.drop_over_limit();
        if self.retry_at.is_some_and(|at| at <= self.now) {
            self.retry();
        }
    }

    /// Sends the letters that could not be routed again, before others.
    fn retry(&mut self) {
        self.retry_at = None;
        self.blocked = false;
        self.resent.extend(self.kept.iter().map(|kept| kept.id));
        let kept = std::mem::take(&mut self.kept).into_iter();
        let kept = kept.map(|kept| (kept.id, kept.reason, kept.stored_at));
        self.dead.splice(0..0, kept);
    }

    /// They are, too, when there may be other ways than when they were tried, and when the queue does
    /// not keep letters any more.
    pub(super) fn retry_early(&mut self, routes: u64) {
        let before = std::mem::replace(&mut self.routes, routes);
        if self.retry_at.is_some() && (before != routes || !self.loses_none()) {
            self.retry();
        }
    }

    /// Whether a message waits that should not any more.
    pub(super) fn waits_too_long(&self) -> bool {
        let first = self.waiting.first_key_value();
        first.is_some_and(|((due, _), _)| *due <= self.now)
    }

    fn over(&self, messages: u64, bytes: u64) -> bool {
        let messages = (self.ready.len() + self.waiting.len()) as u64 + messages;
        let held = self.ready.values().chain(self.waiting.values());
        let bytes = held.map(|k| k.bytes).sum::<u64>() + bytes;
        self.rules
            .limit
            .is_some_and(|limit| messages > limit.messages || bytes > limit.bytes)
    }

    pub(super) fn publish(&mut self, known: Known) {
        let known = self.stored_here(known);
        if self.turns_away(&known) {
            self.refused += 1;
            if self.rules.refused_are_dead() {
                self.dead.push((known.id, Reason::MaxLength, None));
            }
            return;
        }
        let position = self.place(&known);
        self.enter(position, known);
    }

    /// A quorum queue keeps everything.
    fn stored_here(&self, known: Known) -> Known {
        Known {
            stored: known.stored || self.rules.quorum.is_some(),
            ..known
        }
    }

    pub(super) fn reserve(&mut self, known: Known) -> u64 {
        let known = self.stored_here(known);
        let position = self.place(&known);
        self.reserved.insert(position, known);
        position
    }

    fn place(&mut self, known: &Known) -> u64 {
        let position = self.next;
        self.next += 1;
        if known.stored {
            self.came.insert(position, known.cancellable);
        }
        position
    }

    /// A message comes to the place that it had reserved; `sure`: there is room. Returns whether it
    /// enters.
    pub(super) fn arrived(&mut self, position: u64, sure: bool) -> bool {
        let known = self.reserved.remove(&position).expect("reserved");
        if self.deleted {
            self.leave(position, &known);
        } else if sure || !self.turns_away(&known) {
            self.enter(position, known);
            return true;
        } else if self.rules.refused_are_dead() {
            self.die(position, &known, Reason::MaxLength);
        } else {
            self.leave(position, &known);
        }
        false
    }

    fn turns_away(&self, known: &Known) -> bool {
        !self.has_room(known, 0, 0)
    }

    /// What is over the limit goes, oldest first, but for what waits. A queue that refuses drops
    /// nothing, though what comes back to it may be more than its limit.
    pub(super) fn drop_over_limit(&mut self) {
        self.trim(false);
    }

    /// Likewise; `once`: though it refuses.
    pub(super) fn trim(&mut self, once: bool) {
        while (once || self.drops()) && self.over(0, 0) {
            let Some(((_, position), known)) = self.ready.pop_first() else {
                assert!(!self.waiting.is_empty(), "nothing is over no limit");
                return;
            };
            self.die(position, &known, Reason::MaxLength);
        }
    }

    /// The queue handed out a message: it must be the first one, as it was published.
    pub(super) fn served(&mut self, entry: &Entry, no_ack: bool) {
        let (position, id) = (entry.position.0, id_of(&entry.message));
        if self.fresh != Some(position) {
            self.expire();
        }
        let ((_, first), known) = self.ready.pop_first().expect("served though none is ready");
        assert_eq!(position, first, "served out of order");
        assert_eq!(
            (id, entry.redelivered(), entry.returns()),
            (known.id, known.redelivered, known.returns)
        );
        if no_ack {
            self.leave(position, &known);
        } else {
            if known.stored {
                self.delivered_through = self.delivered_through.max(Some(position));
            }
            self.unacked.insert(position, known);
        }
    }

    pub(super) fn settled(&mut self, position: u64, rejected: bool) {
        let known = self.unacked.remove(&position).expect("settled twice");
        if rejected {
            self.die(position, &known, Reason::Rejected);
        } else {
            self.leave(position, &known);
        }
    }

    /// A message leaves, as a dead letter if there is an exchange for them.
    fn die(&mut self, position: u64, known: &Known, reason: Reason) {
        if self.rules.dead_letters {
            let stored_at = known.stored.then_some(position);
            self.dead.push((known.id, reason, stored_at));
        } else {
            self.leave(position, known);
        }
    }

    /// The place of the first message, if it has expired; of a quorum queue, of the first one of any
    /// priority.
    pub(super) fn expired(&self) -> Option<Place> {
        let mut heads: Vec<(&Place, &Known)> = self.ready.iter().collect();
        heads.dedup_by_key(|((priority, _), _)| *priority);
        heads.truncate(match self.rules.quorum {
            Some(_) => usize::MAX,
            None => 1,
        });
        let expired = |known: &Known| known.expires_at.is_some_and(|at| at <= self.now);
        let found = heads.into_iter().find(|(_, known)| expired(known));
        found.map(|(place, _)| *place)
    }

    /// What has expired goes, as far as it stands at the head.
    pub(super) fn expire(&mut self) {
        while let Some(place) = self.expired() {
            if let Some(known) = self.ready.remove(&place) {
                self.die(place.1, &known, Reason::Expired);
            }
        }
    }

    /// The queue is used.
    pub(super) fn touch(&mut self) {
        self.used_at = self.now;
    }

    /// Whether the queue has gone unused for too long.
    pub(super) fn is_abandoned(&self) -> bool {
        let unused = !self.deleted && self.consumers.is_empty();
        let expires = self.rules.expires.filter(|_| unused);
        expires.is_some_and(|expires| self.used_at + expires <= self.now)
    }

    /// Judges the dead letters of one call. Where backlogs leave memory, `paged`, what expires of one
    /// priority need not wait for what is read of another, nor for letters that are sent again.
    pub(super) fn buried(&mut self, letters: &[DeadLetter], paged: bool) {
        let priority = |letter: &DeadLetter| {
            let own = letter.message.priority().unwrap_or(0);
            self.rank(0, own).0
        };
        let priorities: BTreeMap<u64, Reverse<u8>> = letters
            .iter()
            .map(|letter| (id_of(&letter.message), priority(letter)))
            .collect();
        let mut letters: Vec<_> = letters
            .iter()
            .map(|letter| {
                let stored_at = letter.stored_at.map(|position| position.0);
                (id_of(&letter.message), letter.reason, stored_at)
            })
            .collect();
        let mut dead = self.dead.clone();
        let resent = std::mem::take(&mut self.resent);
        if paged && self.rules.quorum.is_some() {
            for all in [&mut letters, &mut dead] {
                all.sort_by_key(|(id, ..)| !resent.contains(id));
                for run in all.chunk_by_mut(|a, b| a.1 == b.1) {
                    if run[0].1 == Reason::Expired {
                        run.sort_by_key(|(id, ..)| priorities.get(id));
                    }
                }
            }
        }
        assert_eq!(letters, dead, "dead letters");
        self.fresh = None;
    }

    pub(super) fn requeued(&mut self, position: u64, how: Return) {
        let mut known = self.unacked.remove(&position).expect("requeued twice");
        known.redelivered |= how != Return::Unseen;
        if how == Return::Unseen || !self.rules.counts() {
            return self.make_ready(position, known);
        }
        match how {
            Return::Failed => known.returns.failed += 1,
            _ => known.returns.released += 1,
        }
        let failed = known.returns.failed;
        if self.rules.quorum.is_some_and(|limit| failed > limit) {
            return self.die(position, &known, Reason::DeliveryLimit);
        }
        let delays = self.rules.delays;
        known.due = delays.and_then(|delays| Some(self.now + delays.of(how, failed)?));
        match known.due {
            Some(due) => drop(self.waiting.insert((due, position), known)),
            None => self.make_ready(position, known),
        }
    }

    pub(super) fn purged(&mut self) -> u64 {
        let ready = std::mem::take(&mut self.ready);
        let waiting = std::mem::take(&mut self.waiting);
        let ready = ready.into_iter().map(|((_, place), known)| (place, known));
        let waiting = waiting
            .into_iter()
            .map(|((_, place), known)| (place, known));
        let all: Vec<(u64, Known)> = ready.chain(waiting).collect();
        for (position, known) in &all {
            self.leave(*position, known);
        }
        all.len() as u64
    }

    pub(super) fn deleted(&mut self) -> u64 {
        let ready = self.ready.len() as u64;
        let stored_returns = std::mem::take(&mut self.stored_returns);
        let reserved = std::mem::take(&mut self.reserved);
        let mut records = std::mem::take(&mut self.records);
        records.retain(|position, _| reserved.contains_key(position));
        *self = Model {
            deleted: true,
            now: self.now,
            epoch: self.epoch,
            reserved,
            records,
            stored_returns,
            ..Model::default()
        };
        ready
    }

    fn leave(&mut self, position: u64, known: &Known) {
        if known.stored {
            self.left.insert(position);
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let both = || {
            let all = self.ready.values().chain(self.waiting.values());
            all.chain(self.unacked.values())
        };
        Counts {
            ready: self.ready.len() as u64,
            waiting: Parked {
                messages: self.waiting.len() as u64,
                bytes: self.waiting.values().map(|k| k.bytes).sum(),
                ..Parked::default()
            },
            unacked: self.unacked.len() as u64,
            persistent: both().filter(|k| k.stored).count() as u64,
            persistent_bytes: both().filter(|k| k.stored).map(|k| k.bytes).sum(),
            ready_bytes: self.ready.values().map(|k| k.bytes).sum(),
            unacked_bytes: self.unacked.values().map(|k| k.bytes).sum(),
            consumers: self.consumers.len() as u64,
            undelivered: Parked {
                messages: self.kept.len() as u64,
                bytes: self.kept.iter().map(|kept| kept.bytes).sum(),
                ..Parked::default()
            },
            ..Counts::default()
        }
    }
}
