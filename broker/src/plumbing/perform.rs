//! Performing what machines want done: records to the store, pages to the pager, deadlines to the timers, connections
//! woken; and sending dead letters on before that.

use super::mailbox::Mailbox;
use crate::engine::queue::Effects;
use leveret_storage::{Op, Store};

/// So many records are few.
const FEW: usize = 8;
/// So many times in a row there have to be few, before they are committed by who submits them.
const FEW_BEFORE: u8 = 8;

impl Effects {
    /// Whether somebody waits for these records, which are few, as those before were: from a publisher that
    /// sends more before it hears of them there is more to come, and it goes on being read meanwhile.
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

    /// Does it all: sends dead letters on, hands the records to the store, wakes and sets timers.
    /// Without a store the records are dropped.
    pub fn perform(&mut self) {
        if !self.letters.is_empty() {
            self.send_dead_letters();
        }
        self.submit();
        self.perform_rest();
    }

    /// Likewise, under no lock whatever: a few records that somebody waits for are written and synced
    /// here and now, where the disk is fast enough and the storage thread sleeps. Everybody else that
    /// this concerns is seen to first. `true`: the caller has to look into its mailbox by itself for
    /// what came of it.
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
        if let Some(store) = &self.surroundings.store {
            mailbox.while_committing(|| store.commit());
        }
        true
    }

    fn perform_rest(&mut self) {
        self.published.clear();
        for op in self.ops.drain(..) {
            // Where there is no store, everything is as safe as it will be.
            if let Op::NotifySink { sink, token } = op {
                sink.committed(&[token]);
            }
        }
        if let Some(pager) = &self.surroundings.pager {
            for job in self.jobs.drain(..) {
                pager.submit(job, self.surroundings.clone());
            }
            if !self.litter.is_empty() {
                pager.discard(std::mem::take(&mut self.litter));
            }
            if pager.is_short() {
                pager.clone().call_sweeper(&self.surroundings);
            }
        }
        for mailbox in self.wakes.drain(..) {
            mailbox.wake();
        }
        for (at, what) in self.deadlines.drain(..) {
            if let Some(timers) = &self.surroundings.timers {
                timers.wake_at(at, &what);
            }
        }
        self.now = None;
    }
}
