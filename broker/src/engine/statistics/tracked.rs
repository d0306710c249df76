//! What samples are taken of: each object notes that it has moved, and is visited only then.

use super::history::{History, Row};
use crate::engine::exchange::Exchange;
use crate::engine::interfaces::ConnectionId;
use leveret_protocol::{QueueName, VhostName};
use parking_lot::Mutex;
use std::sync::Weak;
use std::sync::atomic::{AtomicBool, Ordering};

/// An object that has moved since the last visit.
#[derive(Clone, Debug)]
pub enum Moved {
    /// A queue, by name: what is deleted must not stay in memory until the next sample.
    Queue(VhostName, QueueName),
    /// An exchange other than the default one.
    Exchange(Weak<Exchange>),
    /// A connection, with its channels.
    Connection(ConnectionId),
}

/// The sampler's side of an object: whether it has moved since the last visit, and its history.
#[derive(Debug, Default)]
pub struct Tracked {
    moved: AtomicBool,
    /// Whether it was visited since the last sample.
    visited: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ended: bool,
    /// `None` until something moves.
    history: Option<Box<History>>,
}

impl Tracked {
    /// Notes that the object moves. Returns true if that was not known: then the sampler must be told.
    #[inline]
    pub fn mark(&self) -> bool {
        // Most of the time it is known, and the line stays shared between the processors.
        !self.moved.load(Ordering::Relaxed) && !self.moved.swap(true, Ordering::AcqRel)
    }

    /// Forgets that the object has moved. Must be called before its counters are read.
    pub fn unmark(&self) {
        self.moved.store(false, Ordering::SeqCst);
    }

    /// Notes that the object was visited and has to be sampled. Returns true if that was not known.
    pub fn visit(&self) -> bool {
        !self.visited.swap(true, Ordering::SeqCst)
    }

    /// Forgets that the object has to be sampled. Must be called before its counters are read.
    pub fn unvisit(&self) {
        self.visited.store(false, Ordering::SeqCst);
    }

    /// Records the counters at a time, in milliseconds since the epoch, unless the object has ended. `then` is called
    /// with the values recorded before, under the lock; `new` creates the history of an object that has none, if its
    /// values are not all 0. Returns whether samples begin with this one; [`Tracked::release_if_old`] ends them.
    pub fn record(
        &self,
        time: i64,
        values: &[u64],
        new: impl FnOnce() -> History,
        then: impl FnOnce(&[u64]),
    ) -> bool {
        let mut state = self.state.lock();
        if state.ended || (state.history.is_none() && values.iter().all(|value| *value == 0)) {
            return false;
        }
        let history = state.history.get_or_insert_with(|| Box::new(new()));
        then(history.last());
        history.record(time, values)
    }

    /// Notes that the object has ended: nothing is recorded any more. Returns the last values; `None` if there are
    /// none, or it had ended before.
    pub fn end(&self) -> Option<Row> {
        let mut state = self.state.lock();
        state.ended = true;
        let history = state.history.take()?;
        Some(history.last().into())
    }

    /// Returns the values at these times, oldest first, of the last `age` milliseconds; `None` if nothing has moved
    /// yet.
    pub fn rows(&self, age: i64, times: impl Iterator<Item = i64>) -> Option<Vec<(i64, Row)>> {
        let state = self.state.lock();
        let history = state.history.as_deref()?;
        Some(history.rows(age, times))
    }

    /// Drops samples that are too old; see [`History::release_if_old`].
    pub fn release_if_old(&self, now: i64) -> bool {
        let mut state = self.state.lock();
        let history = state.history.as_deref_mut();
        history.is_none_or(|history| history.release_if_old(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::statistics::{Retention, RingMemory};
    use std::sync::Arc;

    #[test]
    fn only_the_first_move_after_a_sample_is_news() {
        let tracked = Tracked::default();
        assert!(tracked.mark() && !tracked.mark());
        tracked.unmark();
        assert!(tracked.mark());
    }

    #[test]
    fn an_object_that_never_moved_has_no_history_and_one_that_ended_gets_none() {
        let memory = Arc::new(RingMemory::new(1 << 20));
        let new = || History::new(Retention::Basic, 5000, &[0], &memory);
        let tracked = Tracked::default();
        tracked.record(0, &[0], new, |_| {});
        assert!(tracked.rows(0, [0].into_iter()).is_none() && tracked.release_if_old(0));
        let mut before = Vec::new();
        tracked.record(5000, &[3], new, |last| before.push(last[0]));
        tracked.record(10_000, &[7], new, |last| before.push(last[0]));
        assert_eq!(before, [0, 3]);
        assert_eq!(tracked.end().as_deref(), Some(&[7][..]));
        tracked.record(15_000, &[9], new, |last| before.push(last[0]));
        assert_eq!((tracked.end(), before.len(), memory.used()), (None, 2, 0));
    }
}
