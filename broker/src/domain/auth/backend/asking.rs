//! Asking somebody else in the middle of an operation, without holding up other connections.

use parking_lot::{Condvar, Mutex};
use std::time::Duration;
use tokio::runtime::{Handle, RuntimeFlavor};

/// Bounds how many threads wait for answers at a time: while a worker of the runtime waits, the runtime starts another one.
/// A few more wait for their turn, because many clients may come at once, after a restart for example.
#[derive(Debug)]
pub struct AskingLimit {
    state: Mutex<State>,
    freed: Condvar,
    patience: Duration,
}

#[derive(Debug)]
struct State {
    /// How many more may ask now, and how many more may wait for that.
    free: usize,
    room: usize,
}

/// So many are waiting for an answer already that nobody else may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are waiting for an answer")]
pub struct TooManyAsked;

/// Gives a place back, however the question ends.
struct Place<'a>(&'a AskingLimit);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state.lock().free += 1;
        self.0.freed.notify_one();
    }
}

impl AskingLimit {
    /// Allows so many at a time, and so many who wait for their turn, for as long as `patience`.
    pub const fn new(places: usize, waiting: usize, patience: Duration) -> Self {
        let state = State {
            free: places,
            room: waiting,
        };
        AskingLimit {
            state: Mutex::new(state),
            freed: Condvar::new(),
            patience,
        }
    }

    /// Calls `ask`, which may block, while the runtime serves its other tasks on another thread.
    ///
    /// # Errors
    /// When too many others wait, or for too long. `ask` was not called then.
    pub fn ask<T>(&self, ask: impl FnOnce() -> T) -> Result<T, TooManyAsked> {
        let asking = || {
            let _place = self.place()?;
            Ok(ask())
        };
        let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        // Elsewhere nobody else waits for this thread, and tokio refuses.
        match flavor {
            Ok(RuntimeFlavor::MultiThread) if self.has_room() => {
                tokio::task::block_in_place(asking)
            }
            _ => asking(),
        }
    }

    /// Returns whether somebody may ask or wait; nobody else needs a thread.
    fn has_room(&self) -> bool {
        let state = self.state.lock();
        state.free > 0 || state.room > 0
    }

    /// Waits for a place.
    fn place(&self) -> Result<Place<'_>, TooManyAsked> {
        let mut state = self.state.lock();
        if state.free == 0 {
            state.room = state.room.checked_sub(1).ok_or(TooManyAsked)?;
            let is_full = |state: &mut State| state.free == 0;
            let waited = self
                .freed
                .wait_while_for(&mut state, is_full, self.patience);
            state.room += 1;
            if waited.timed_out() {
                return Err(TooManyAsked);
            }
        }
        state.free -= 1;
        Ok(Place(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn others_are_served_while_answers_are_awaited_and_too_many_are_refused() {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let limit = Arc::new(AskingLimit::new(1, 0, Duration::ZERO));
        let (answer, answered) = mpsc::channel();
        let (started, has_started) = mpsc::channel();
        let asking = runtime.spawn({
            let limit = limit.clone();
            async move {
                limit.ask(|| {
                    started.send(()).unwrap();
                    answered.recv_timeout(Duration::from_secs(10)).unwrap()
                })
            }
        });
        has_started.recv().unwrap();
        // The only worker waits, and still this task runs.
        let other = runtime.spawn({
            let limit = limit.clone();
            async move { limit.ask(|| 1) }
        });
        assert_eq!(runtime.block_on(other).unwrap(), Err(TooManyAsked));
        answer.send(7).unwrap();
        assert_eq!(runtime.block_on(asking).unwrap(), Ok(7));
        assert_eq!(limit.ask(|| 2), Ok(2));
    }

    #[test]
    fn some_wait_for_their_turn() {
        let limit = Arc::new(AskingLimit::new(1, 1, Duration::from_secs(10)));
        let (answer, answered) = mpsc::channel::<()>();
        let (started, has_started) = mpsc::channel();
        let first = std::thread::spawn({
            let limit = limit.clone();
            move || {
                limit.ask(|| {
                    started.send(()).unwrap();
                    answered.recv_timeout(Duration::from_secs(10)).unwrap();
                })
            }
        });
        has_started.recv().unwrap();
        let second = std::thread::spawn({
            let limit = limit.clone();
            move || limit.ask(|| 2)
        });
        while limit.has_room() {
            std::thread::yield_now();
        }
        assert_eq!(limit.ask(|| 3), Err(TooManyAsked));
        answer.send(()).unwrap();
        assert_eq!(first.join().unwrap(), Ok(()));
        assert_eq!(second.join().unwrap(), Ok(2));
        let hasty = AskingLimit::new(0, 1, Duration::from_millis(1));
        assert_eq!(hasty.ask(|| 4), Err(TooManyAsked));
    }

    #[test]
    fn a_panic_gives_the_place_back() {
        let limit = AskingLimit::new(1, 0, Duration::ZERO);
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            limit.ask(|| -> u8 { panic!("the answer") })
        }));
        assert!(asked.is_err());
        assert_eq!(limit.ask(|| 3), Ok(3));
    }
}
