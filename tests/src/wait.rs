//! Bounded time: every test ends, and waiting is polling with a deadline.

use crate::binaries::binaries;
use crate::broker::against_another_broker;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

/// How long a test may take before it fails; generous, because test machines are busy.
const TEST_LIMIT: Duration = Duration::from_secs(120);
/// How long [`eventually`] waits.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// The pause between two checks.
const POLL: Duration = Duration::from_millis(5);

/// Runs a test body on its own runtime, and fails it after two minutes.
pub fn run(test: impl Future<Output = ()>) {
    run_within(TEST_LIMIT, test);
}

/// Runs a test body on its own runtime, and fails it after `limit`, not counting the build of the broker by the first
/// test of a process.
pub fn run_within(limit: Duration, test: impl Future<Output = ()>) {
    if !against_another_broker() {
        binaries();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a tokio runtime");
    runtime.block_on(async {
        let mut test = pin!(test);
        // Panics while the future of the test is alive, so that the broker in it sees a panicking thread when it is
        // dropped and prints its log.
        if tokio::time::timeout(limit, &mut test).await.is_err() {
            panic!("the test did not end within {limit:?}");
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
}

/// Polls `look` until it returns `Some`, and returns that; panics after 30 seconds.
pub async fn eventually<T>(what: &str, look: impl AsyncFnMut() -> Option<T>) -> T {
    eventually_within(PATIENCE, what, look).await
}

/// Like [`eventually`], but panics after `patience`: for what takes seconds even on an idle machine.
pub async fn eventually_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            started.elapsed() < patience,
            "waited {patience:?} in vain: {what}"
        );
        tokio::time::sleep(POLL).await;
    }
}
