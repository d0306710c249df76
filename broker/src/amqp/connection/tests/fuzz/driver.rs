//! Runs case after case for a while, each from a seed of its own, watches that none hangs, and
//! makes the first that fails as small as it can.
//!
//! `LEVERET_FUZZ_SECONDS` says for how long (5 by default), `LEVERET_TEST_SEED` which case comes
//! first: the one that a failure names.

use parking_lot::Mutex;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A case that takes longer hangs. Most take milliseconds; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

/// The case that is running, and since when.
type Running = Arc<Mutex<(u64, Instant)>>;

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number, not '{text}'")),
    )
}

fn runner(seed: u64) -> TestRunner {
    let mut octets = [0; 32];
    octets[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        failure_persistence: None,
        max_shrink_iters: 3000,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &octets))
}

/// Runs `test` with what `strategy` makes of seed after seed.
pub(super) fn fuzz<S>(strategy: fn() -> S, test: fn(S::Value))
where
    S: Strategy + 'static,
    S::Value: Clone + Debug,
{
    let first = setting("LEVERET_TEST_SEED").unwrap_or_else(rand::random);
    let time = Duration::from_secs(setting("LEVERET_FUZZ_SECONDS").unwrap_or(5));
    println!("LEVERET_TEST_SEED={first} for {time:?}");
    let running: Running = Arc::new(Mutex::new((first, Instant::now())));
    let (done, finished) = channel();
    let shared = running.clone();
    std::thread::spawn(move || {
        // Whoever waits may have given up.
        let _ = done.send(run(&shared, first, time, strategy, test));
    });
    loop {
        match finished.recv_timeout(Duration::from_secs(1)) {
            Ok(Ok(cases)) => return println!("{cases} cases"),
            Ok(Err(failure)) => panic!("{failure}"),
            Err(RecvTimeoutError::Timeout) => {
                let (seed, since) = *running.lock();
                if since.elapsed() > PATIENCE {
                    let case = strategy().new_tree(&mut runner(seed));
                    let case = case.map(|tree| tree.current());
                    panic!("LEVERET_TEST_SEED={seed} (or a part of it) hangs: {case:?}");
                }
            }
            Err(RecvTimeoutError::Disconnected) => panic!("the driver itself failed"),
        }
    }
}

fn run<S>(
    running: &Running,
    first: u64,
    time: Duration,
    strategy: fn() -> S,
    test: fn(S::Value),
) -> Result<u64, String>
where
    S: Strategy,
    S::Value: Clone + Debug,
{
    let end = Instant::now() + time;
    let strategy = strategy();
    let mut cases = 0;
    while cases == 0 || Instant::now() < end {
        let seed = first.wrapping_add(cases);
        let mut runner = runner(seed);
        let case = strategy
            .new_tree(&mut runner)
            .map_err(|reason| reason.to_string())?;
        let result = runner.run_one(case, |value| {
            *running.lock() = (seed, Instant::now());
            test(value);
            Ok(())
        });
        match result {
            Ok(_) => cases += 1,
            Err(TestError::Fail(reason, smallest)) => {
                return Err(format!("LEVERET_TEST_SEED={seed}: {reason}\n{smallest:?}"));
            }
            Err(error) => return Err(format!("LEVERET_TEST_SEED={seed}: {error}")),
        }
    }
    Ok(cases)
}
