//! Asking somebody else in the middle of an operation, without holding up other connections.

use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::{Handle, RuntimeFlavor};

/// Bounds how many threads wait for answers at a time: while a worker of the runtime waits, the runtime starts another one.
#[derive(Debug)]
pub struct AskingLimit {
    free: AtomicUsize,
}

/// So many are waiting for an answer already that nobody else may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many requests are waiting for an answer")]
pub struct TooManyAsked;

/// Gives a place back, however the question ends.
struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl AskingLimit {
    /// Allows this many at a time.
    pub const fn new(places: usize) -> Self {
        AskingLimit {
            free: AtomicUsize::new(places),
        }
    }

    /// Calls `ask`, which may block, while the runtime serves its other tasks on another thread.
    ///
    /// # Errors
    /// When too many others wait. `ask` was not called then.
    pub fn ask<T>(&self, ask: impl FnOnce() -> T) -> Result<T, TooManyAsked> {
        let take = |free: usize| free.checked_sub(1);
        self.free
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, take)
            .map_err(|_| TooManyAsked)?;
        let _place = Place(&self.free);
        let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
        // Elsewhere nobody else waits for this thread, and tokio refuses.
        match flavor {
            Ok(RuntimeFlavor::MultiThread) => Ok(tokio::task::block_in_place(ask)),
            _ => Ok(ask()),
        }
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
        let limit = Arc::new(AskingLimit::new(1));
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
    fn a_panic_gives_the_place_back() {
        let limit = AskingLimit::new(1);
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            limit.ask(|| -> u8 { panic!("the answer") })
        }));
        assert!(asked.is_err());
        assert_eq!(limit.ask(|| 3), Ok(3));
    }
}
