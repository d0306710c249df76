//! Dead letters that found no way, of queues that lose none (`x-dead-letter-strategy:
//! at-least-once`; RabbitMQ: "Quorum Queues: At-Least-Once Dead-Lettering"). They stay where they
//! are in the store, count against the queue's limits, and are sent again until every queue that
//! they lead to has room for them, and there is one.

use super::dead_letter::DeadLetter;
use super::effects::Effects;
use super::expiry::SLICE;
use super::handle::Queue;
use super::machine::Machine;
use crate::clock::Time;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// How long letters wait before they are sent again.
const RETRY: Duration = Duration::from_secs(1);

/// The letters of one queue.
#[derive(Debug, Default)]
pub(super) struct Undelivered {
    letters: VecDeque<DeadLetter>,
    octets: u64,
    retry_at: Option<Time>,
}

impl Undelivered {
    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        self.letters.len() as u64
    }

    /// Octets of their bodies.
    pub(super) fn octets(&self) -> u64 {
        self.octets
    }

    /// When they are sent again.
    pub(super) fn retry_at(&self) -> Option<Time> {
        self.retry_at
    }
}

impl Machine {
    /// Letters have found no way and come back.
    pub(super) fn keep_undelivered(&mut self, letters: Vec<DeadLetter>, fx: &mut Effects) {
        if self.is_deleted() {
            return;
        }
        let kept = self.undelivered.get_or_insert_default();
        kept.octets += octets(&letters);
        kept.letters.extend(letters);
        // Those that wait already are not put off by others that come after them.
        if kept.retry_at.is_none_or(|at| at <= fx.now()) {
            kept.retry_at = Some(fx.now() + RETRY);
        }
    }

    /// Sends letters again if it is time: a slice of them, the rest right after when these have
    /// found their way.
    pub(super) fn retry_undelivered(&mut self, fx: &mut Effects) {
        let due = |kept: &Undelivered| kept.retry_at.is_some_and(|at| at <= fx.now());
        if !self.undelivered.as_deref().is_some_and(due) {
            return;
        }
        let Some(mut kept) = self.undelivered.take() else {
            return;
        };
        let slice = kept.letters.len().min(SLICE);
        let letters: Vec<_> = kept.letters.drain(..slice).collect();
        kept.octets -= octets(&letters);
        if !kept.letters.is_empty() {
            self.undelivered = Some(kept);
        }
        for mut letter in letters {
            // As the queue is set to by now.
            match &self.dead_letters {
                Some(origin) => {
                    letter.origin = origin.clone();
                    fx.dead_letter(letter);
                }
                None => letter.leave(fx),
            }
        }
    }
}

impl Queue {
    /// See [`Machine::keep_undelivered`].
    pub fn keep_undelivered(self: &Arc<Self>, letters: Vec<DeadLetter>, fx: &mut Effects) {
        self.serve(fx, |machine, fx| machine.keep_undelivered(letters, fx));
    }
}

fn octets<'a>(letters: impl IntoIterator<Item = &'a DeadLetter>) -> u64 {
    let bodies = letters.into_iter().map(|letter| letter.message.body());
    bodies.map(|body| body.len() as u64).sum()
}
