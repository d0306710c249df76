//! Messages that come back from consumers: the queue counts how often, gives up on one whose delivery failed too often
//! (RabbitMQ: "Quorum Queues", "Poison Message Handling"), and delays them before they are ready again ("Delayed
//! Retry"). The store keeps both across a restart.
//!
//! This applies to quorum queues, and to classic queues that are set to delay.

use super::dead_letter::Reason;
use super::delivery_count::DeliveryCount;
use super::effects::Effects;
use super::entry::{Entry, Return, Returns};
use super::machine::{Machine, SLICE};
use super::paging::{JobResult, PageId, PageWork, Section, StoredForm, Totals};
use super::retry::Retry;
use super::settings::{QueueKind, Settings};
use super::waiting::{Due, Waiting};
use crate::engine::clock::Time;
use leveret_storage::Position;
use std::collections::BTreeMap;

/// The default of `x-delivery-limit` (RabbitMQ 4.0).
pub const DELIVERY_LIMIT: i64 = 20;

/// The state of the messages that came back to one queue.
#[derive(Debug)]
pub(super) struct Returned {
    /// Whether messages that come back from now on are counted.
    counts_more: bool,
    /// How often the delivery of a message may fail; `None` for no limit.
    limit: Option<u64>,
    retry: Option<Retry>,
    /// The stored counts of messages that are here.
    counts: BTreeMap<Position, Returns>,
    /// The counts stored before a restart, of messages that have not been restored.
    found: BTreeMap<Position, Found>,
    /// Messages that are not ready yet.
    pub(super) waiting: Waiting,
}

/// What the store kept of a message across a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// How often it came back.
    pub returns: Returns,
    /// When it is or was due.
    pub due: Option<Time>,
}

impl Returned {
    /// Creates the state, if the queue has to count.
    fn of(kind: QueueKind, settings: &Settings) -> Option<Box<Self>> {
        let returned = Returned::new(kind, settings);
        returned.counts_more.then(|| Box::new(returned))
    }

    fn new(kind: QueueKind, settings: &Settings) -> Self {
        let mut returned = Returned {
            counts_more: false,
            limit: None,
            retry: None,
            counts: BTreeMap::new(),
            found: BTreeMap::new(),
            waiting: Waiting::default(),
        };
        returned.configure(kind, settings);
        returned
    }

    fn configure(&mut self, kind: QueueKind, settings: &Settings) {
        let limit = settings.delivery_limit.unwrap_or(DELIVERY_LIMIT);
        // A negative value means no limit.
        let limit = u64::try_from(limit).ok();
        self.limit = limit.filter(|_| kind == QueueKind::Quorum);
        self.retry = settings.delayed_retry;
        self.counts_more = kind == QueueKind::Quorum || self.retry.is_some();
    }

    /// Applies new settings to messages that come back from now on.
    pub(super) fn apply_settings(
        this: &mut Option<Box<Self>>,
        kind: QueueKind,
        settings: &Settings,
    ) {
        match this {
            Some(returned) => returned.configure(kind, settings),
            None => *this = Returned::of(kind, settings),
        }
    }

    fn exceeded(&self, failed: u16) -> bool {
        self.limit.is_some_and(|limit| u64::from(failed) > limit)
    }

    /// Returns whether any message waits.
    #[inline]
    pub(super) fn waits(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns when the first waiting message is due, unless it has to be read first.
    pub(super) fn first_due(&self) -> Option<Time> {
        self.waiting.first_due()
    }
}

impl Machine {
    /// Handles a message that comes back from a consumer; returns it if it is ready again at once.
    pub(super) fn came_back(
        &mut self,
        mut entry: Entry,
        how: Return,
        fx: &mut Effects,
    ) -> Option<Entry> {
        if how == Return::Unseen {
            return Some(entry);
        }
        entry.mark_redelivered();
        let stores = self.stores(&entry.message);
        let counting = self.returned.as_deref_mut().filter(|r| r.counts_more);
        let Some(returned) = counting else {
            return Some(entry);
        };
        let returns = entry.returns().and(how);
        entry.set_returns(returns);
        if returned.exceeded(returns.failed) {
            self.bury(&entry, Reason::DeliveryLimit, fx);
            return None;
        }
        let delay = returned.retry.and_then(|retry| retry.delay(how, returns));
        let due = delay.map(|delay| fx.now() + delay);
        if stores {
            let before = returned.counts.insert(entry.position, returns);
            if before != Some(returns) || due.is_some() {
                let millis = due.map(|due| fx.wall_millis(due));
                let count = DeliveryCount {
                    queue: self.id.0,
                    position: entry.position.0,
                    count: returns.failed,
                    released: returns.released,
                    due: millis,
                };
                fx.store(count.put());
            }
        }
        match due {
            Some(due) => {
                returned.waiting.insert(due, entry);
                None
            }
            None => Some(entry),
        }
    }

    /// Makes a slice of the messages that have waited long enough ready again, and the rest later.
    pub(super) fn end_waits(&mut self, fx: &mut Effects) {
        let Some(returned) = &mut self.returned else {
            return;
        };
        if !returned.waits() {
            return;
        }
        let now = fx.now();
        for _ in 0..SLICE {
            let Some(due) = returned.waiting.pop_due(now) else {
                return;
            };
            if let Due::Message(entry) = due {
                self.expiry.enters(&entry);
                self.ready.requeue(entry);
            }
        }
    }

    /// Returns the number of waiting messages that were read, and the bytes of their bodies.
    pub(super) fn waiting(&self) -> (u64, u64) {
        let waiting = self.returned.as_deref().map(|returned| &returned.waiting);
        waiting.map_or((0, 0), |waiting| (waiting.len(), waiting.bytes()))
    }

    /// Drops all waiting messages and returns their number.
    pub(super) fn drop_waiting(&mut self, fx: &mut Effects) -> u64 {
        let mut count = 0;
        while let Some(returned) = &mut self.returned {
            if let Some(entry) = returned.waiting.pop() {
                self.forget(entry.position, &entry.message, fx);
                count += 1;
            } else if let Some(page) = returned.waiting.drop_page() {
                count += self.forget_page(page, fx);
            } else {
                break;
            }
        }
        count
    }

    /// Drops the waiting messages of a deleted queue: those that the store has not claimed need not
    /// be written.
    pub(super) fn call_off_waiting(&mut self, fx: &mut Effects) {
        while let Some(returned) = &mut self.returned {
            if let Some(entry) = returned.waiting.pop() {
                self.cancel_write(&entry);
            } else if let Some(page) = returned.waiting.drop_page() {
                fx.discard(page);
            } else {
                break;
            }
        }
    }

    /// Returns the page that has to be read before its messages can be ready again.
    pub(super) fn waiting_to_read(
        &mut self,
        fx: &mut Effects,
    ) -> Option<(Section, PageId, PageWork)> {
        let returned = self.returned.as_deref_mut()?;
        let (page, spilled) = returned.waiting.next_read(|| fx.now())?;
        Some((Section::Waiting, page, PageWork::ReadSorted(spilled)))
    }

    /// Returns the bytes of waiting messages in memory.
    pub(super) fn waiting_memory(&self) -> u64 {
        let returned = self.returned.as_deref();
        returned.map_or(0, |returned| returned.waiting.memory())
    }

    /// Pages out the waiting messages that are due last; see [`Waiting::page_out`].
    pub(super) fn page_out_waiting(
        &mut self,
        bytes: u64,
        at_head: u64,
        kept: impl Fn(&Entry) -> StoredForm,
    ) -> Option<(Section, PageId, PageWork)> {
        let waiting = &mut self.returned.as_deref_mut()?.waiting;
        if waiting.memory() == 0 {
            return None;
        }
        let number = self.ready.next_page();
        let (page, entries) = waiting.page_out(number, bytes, at_head, kept)?;
        Some((Section::Waiting, page, PageWork::WriteSorted(entries)))
    }

    /// Handles the result of a job for a page of waiting messages.
    pub(super) fn waiting_paged(&mut self, page: PageId, done: JobResult, fx: &mut Effects) {
        let stores = self.storing();
        let Some(returned) = &mut self.returned else {
            return;
        };
        let waiting = &mut returned.waiting;
        match done {
            JobResult::Written(spilled) => return waiting.written(page, spilled),
            JobResult::ReadSorted(entries) => {
                let mut found = Totals::default();
                for (_, ranked) in &entries {
                    found.count(&ranked.entry, stores(&ranked.entry.message));
                }
                if let Some(known) = waiting.page_read(page, entries, found) {
                    self.correct_stored(known, found);
                }
            }
            JobResult::NotRead | JobResult::Read(..) => waiting.not_read(page),
        }
        self.end_waits(fx);
        self.drop_over_limit(fx);
        self.dispatch(fx);
    }

    /// Removes the count of a message that leaves the queue.
    pub(super) fn forget_count(&mut self, position: Position, fx: &mut Effects) {
        if let Some(returned) = &mut self.returned
            && returned.counts.remove(&position).is_some()
        {
            fx.store(DeliveryCount::delete(self.id, position));
        }
    }

    /// Removes all counts, after every message has left the queue.
    pub(super) fn forget_counts(&mut self, fx: &mut Effects) {
        self.forget_counts_between(Position(0), Position(u64::MAX), fx);
    }

    /// Removes the counts of all messages between two positions that were ready and have left the
    /// queue.
    pub(super) fn forget_counts_between(
        &mut self,
        first: Position,
        last: Position,
        fx: &mut Effects,
    ) {
        self.forget_found(first, last, fx);
        let Some(returned) = &mut self.returned else {
            return;
        };
        for (position, _) in take_between(&mut returned.counts, first, last) {
            fx.store(DeliveryCount::delete(self.id, position));
        }
    }

    /// Takes what the store kept of messages that came back, before any message is restored.
    pub fn restore_returned(&mut self, found: BTreeMap<Position, Found>) {
        if found.is_empty() {
            return;
        }
        // A classic queue may have had a policy that no longer exists.
        let (kind, nothing) = (self.kind, Settings::default());
        let returned = self
            .returned
            .get_or_insert_with(|| Box::new(Returned::new(kind, &nothing)));
        for (position, found) in &found {
            if let Some(due) = found.due {
                returned.waiting.insert_unread(due, *position);
            }
        }
        returned.found = found;
    }

    /// Restores what the store kept of a message. Returns when it is due, if it waits.
    pub(super) fn restore_count(&mut self, entry: &mut Entry) -> Option<Time> {
        let returned = self.returned.as_deref_mut()?;
        let found = returned.found.remove(&entry.position)?;
        entry.set_returns(found.returns);
        entry.mark_redelivered();
        returned.counts.insert(entry.position, found.returns);
        let due = found.due?;
        returned.waiting.awaits(due, entry.position).then_some(due)
    }

    /// Lets a message that was read continue to wait.
    pub(super) fn restore_waiting(&mut self, due: Time, entry: Entry) {
        if let Some(returned) = &mut self.returned {
            returned.waiting.insert(due, entry);
        }
    }

    /// Drops what is left after all messages were restored: it was about to be removed.
    pub fn restored(&mut self, fx: &mut Effects) {
        self.forget_found(Position(0), Position(u64::MAX), fx);
    }

    /// Drops what is left between two positions after all messages there were restored.
    pub(super) fn forget_found(&mut self, first: Position, last: Position, fx: &mut Effects) {
        let Some(returned) = &mut self.returned else {
            return;
        };
        for (position, found) in take_between(&mut returned.found, first, last) {
            if let Some(due) = found.due {
                returned.waiting.forget_unread(due, position);
            }
            fx.store(DeliveryCount::delete(self.id, position));
        }
    }
}

/// Removes and returns the entries between two positions.
fn take_between<T>(
    map: &mut BTreeMap<Position, T>,
    first: Position,
    last: Position,
) -> Vec<(Position, T)> {
    let places: Vec<Position> = map.range(first..=last).map(|(place, _)| *place).collect();
    let take = |place| Some((place, map.remove(&place)?));
    places.into_iter().filter_map(take).collect()
}
