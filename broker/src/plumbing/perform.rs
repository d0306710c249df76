//! Performing effects: records go to the store, pages to the pager, deadlines to the timers, and connections are woken;
//! before that, dead letters are sent on.

use super::mailbox::Mailbox;
use crate::engine::queue::Effects;
use leveret_storage::{Op, Store};

/// The maximum number of records that count as few.
const FEW: usize = 8;
/// How many times in a row there must be few records before the submitter commits them itself.
const FEW_BEFORE: u8 = 8;

impl Effects {
    /// Returns whether somebody waits for these records, and they are few, like those before. A publisher that sends
    /// more without waiting for confirms should be read meanwhile.
    fn is_awaited(&mut self) -> bool {
        let awaited = |op: &Op| match op {
            Op::Publish { token, .. } => token.is_some(),
            Op::Notify { .. } => true,
            _ => false,
        };
        if self.ops.len() > FEW {
            self.few_before = 0;
        }
        if self.ops.len() > FEW || !self.ops.iter().any(awaited) {
            return false;
        }
        self.few_before = self.few_before.saturating_add(1);
        self.few_before > FEW_BEFORE
    }

    /// Performs all effects: sends dead letters on, hands the records to the store, wakes
    /// connections and sets timers. Without a store the records are dropped.
    pub fn perform(&mut self) {
        if !self.letters.is_empty() {
            self.send_dead_letters();
        }
        self.submit();
        self.perform_rest();
    }

    /// Like [`Effects::perform`], but the caller must hold no lock: a few records that somebody waits for are written
    /// and synced by this thread, if the disk is fast enough and the storage thread sleeps. Everybody else concerned is
    /// served first. Returns true if the caller has to check its mailbox for the results itself.
    pub fn perform_and_commit(&mut self, mailbox: &Mailbox) -> bool {
        if !self.letters.is_empty() {
            self.send_dead_letters();
        }
        if !self.is_awaited() {
            self.perform();
            return false;
        }
        self.hand_over(Store::enqueue);
        self.perform_rest();
        if let Some(store) = &self.environment.store {
            mailbox.while_committing(|| store.commit());
        }
        true
    }

    fn perform_rest(&mut self) {
        self.report_deaths();
        self.published.clear();
        for op in self.ops.drain(..) {
            // Without a store, everything is as safe as it will be.
            if let Op::NotifySink { sink, token } = op {
                sink.committed(&[token]);
            }
        }
        if let Some(pager) = &self.environment.pager {
            for job in self.jobs.drain(..) {
                pager.submit(job, self.environment.clone());
            }
            if !self.dropped_pages.is_empty() {
                pager.discard(std::mem::take(&mut self.dropped_pages));
            }
            if pager.is_short() {
                pager.clone().call_sweeper(&self.environment);
            }
        }
        for mailbox in self.wakes.drain(..) {
            mailbox.wake();
        }
        for (at, what) in self.deadlines.drain(..) {
            if let Some(timers) = &self.environment.timers {
                timers.wake_at(at, &what);
            }
        }
        self.now = None;
    }
}
