//! What a queue counts: messages that came and went, and how much of the time consumers kept up. Under the queue's lock,
//! so these are plain numbers.

use super::effects::Effects;
use super::handle::Queue;
use super::machine::Machine;
use super::paging::Wanted;
use crate::engine::clock::Time;
use crate::engine::statistics::{MessageStats, Moved, QueueSums, Utilisation};

/// The counts of a queue that was used.
#[derive(Debug, Default)]
pub struct Activity {
    pub(super) stats: MessageStats,
    utilisation: Utilisation,
}

impl Activity {
    // Kept out of the functions that count each message.
    #[cold]
    #[inline(never)]
    fn begin(fx: &mut Effects) -> Box<Self> {
        let mut activity = Box::<Activity>::default();
        activity.utilisation.begin(fx.now());
        activity
    }
}

impl Machine {
    /// Returns the counts, which begin with their first use: a queue that only exists has none.
    #[inline]
    pub(super) fn activity(&mut self, fx: &mut Effects) -> &mut Activity {
        self.activity.get_or_insert_with(|| Activity::begin(fx))
    }

    /// Returns what was counted so far.
    pub fn stats(&self) -> MessageStats {
        let activity = self.activity.as_deref();
        activity.map(|activity| activity.stats).unwrap_or_default()
    }

    /// Returns the fraction of time in which the queue could deliver at once, from 0 to 1; 0 without consumers
    /// (`rabbit_amqqueue_process:i/2`).
    pub fn utilisation(&self, now: Time) -> f64 {
        match self.activity.as_deref() {
            _ if self.is_without_consumers() => 0.0,
            Some(activity) => activity.utilisation.get(now),
            None => 1.0,
        }
    }

    /// Records that a message is ready and no consumer can take it.
    #[inline]
    pub(super) fn record_stall(&mut self, fx: &mut Effects) {
        let utilisation = &mut self.activity(fx).utilisation;
        if utilisation.is_active() {
            utilisation.record_stall(fx.now());
        }
    }

    /// Records that a consumer can take messages, if one can.
    #[inline]
    pub(super) fn record_resumption(&mut self, fx: &mut Effects) {
        if let Some(activity) = &mut self.activity
            && !activity.utilisation.is_active()
            && self.consumers.any_ready()
        {
            activity.utilisation.record_resumption(fx.now());
        }
    }

    /// Counts what is written when pages leave memory.
    pub(super) fn count_written(&mut self, wanted: &Wanted, fx: &mut Effects) {
        let written = wanted.written();
        if written > 0 {
            self.activity(fx).stats.disk_writes += written;
        }
    }
}

impl Queue {
    /// Returns what was counted so far.
    pub fn stats(&self) -> MessageStats {
        match self.stream() {
            Some(stream) => stream.stats.get(),
            None => self.with_machine(|machine| machine.stats()),
        }
    }

    /// Returns what it adds to the sums of its virtual host.
    pub fn sums(&self) -> QueueSums {
        match self.stream() {
            Some(stream) => QueueSums::of(stream.counts(), &stream.stats.get()),
            None => self.with_machine(|machine| QueueSums::of(machine.counts(), &machine.stats())),
        }
    }

    /// Returns whether something about it may still change without its being reported: a stream's messages are ready
    /// once they are stored.
    pub fn is_unsettled(&self) -> bool {
        self.stream().is_some_and(|stream| stream.awaits_commit())
    }

    /// Counts messages that were published other than with [`Queue::publish`].
    pub(super) fn count_published(&self, publish: u64, fx: &mut Effects) {
        let batch = MessageStats {
            publish,
            ..MessageStats::default()
        };
        match self.stream() {
            Some(stream) => stream.stats.add(&batch),
            None => self.with_machine(|machine| machine.activity(fx).stats += batch),
        }
        self.moves(fx);
    }

    /// See [`Machine::utilisation`]; a stream has none.
    pub fn utilisation(&self, now: Time) -> Option<f64> {
        match self.stream() {
            Some(_) => None,
            None => Some(self.with_machine(|machine| machine.utilisation(now))),
        }
    }

    /// Reports that something about the queue may have changed since the last visit.
    #[inline]
    pub(super) fn moves(&self, fx: &Effects) {
        if self.tracked.mark() {
            fx.has_moved(|| Moved::Queue(self.vhost.clone(), self.name().clone()));
        }
    }
}
