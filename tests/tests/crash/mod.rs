//! `kill -9` at random moments under load, many times over on one data directory.
//!
//! What must hold after each restart:
//!
//! - a confirmed message for which no ack was sent is there, once, and intact;
//! - messages of one publisher in one queue are in the order of publishing;
//! - a message whose ack was *flushed* never returns. Flushed means: after the ack, a persistent
//!   message was published on the same channel and confirmed. The broker takes both from one
//!   socket in this order, and a confirm means that its batch and all before it are on disk;
//! - a message whose publisher got no confirm, or whose ack was not flushed, may be there or
//!   not; but once it was not there after a restart, it stays away.
//!
//! `LEVERET_TEST_SEED` repeats the random choices of a run (not the moments at which the
//! operating system runs whom), `LEVERET_CRASH_ROUNDS` makes a longer one.

mod body;
mod dead_letters;
mod fates;
mod load;
mod power;
mod transactions;
mod verify;

use std::sync::Arc;
use std::time::Duration;

use leveret_tests::{TestBroker, run_within};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use self::fates::Fates;

/// The durable queues under load.
const QUEUES: [&str; 4] = ["crash-0", "crash-1", "crash-2", "crash-3"];
/// The queue of the publishes whose confirm says that acks are flushed.
const BARRIER: &str = "barrier";
/// Rounds unless `LEVERET_CRASH_ROUNDS` says otherwise.
const ROUNDS: u32 = 50;

/// How long the tasks have to process what the broker told them before it died. Cutting one off
/// weakens the check of that round by what it had not recorded yet, and breaks nothing.
const NOTICE: Duration = Duration::from_millis(500);

#[test]
fn no_confirmed_message_is_lost_and_no_flushed_ack_is_forgotten() {
    let rounds = setting("LEVERET_CRASH_ROUNDS").unwrap_or(ROUNDS);
    // Some ten times what a round takes.
    run_within(Duration::from_secs(60 + 10 * u64::from(rounds)), async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let seed = setting("LEVERET_TEST_SEED").unwrap_or_else(|| rand::rng().random());
        eprintln!("LEVERET_TEST_SEED={seed} LEVERET_CRASH_ROUNDS={rounds}");
        let mut rng = StdRng::seed_from_u64(seed);
        let fates = Arc::new(Fates::default());
        declare(&broker).await;
        for round in 0..rounds {
            let start = load::start(&broker, &fates, &mut rng);
            let load = within("the start of the load", start).await;
            let moment = Duration::from_micros(rng.random_range(1_000..300_000));
            // Not waiting for anything: the crash happens at a random moment.
            tokio::time::sleep(moment).await;
            broker.kill();
            within("the load notices that the broker is gone", load.ended()).await;
            broker.start_again().await;
            let check = verify::verify(&broker, &fates, &mut rng);
            let found = within("the check after the restart", check).await;
            eprintln!(
                "round {round}: killed after {moment:?}, {found}, up in {:?}",
                broker.start_up()
            );
        }
        fates.assert_load();
    });
}

/// Names the step that hangs, because otherwise only the whole test has a time limit.
async fn within<T>(what: &str, step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), step)
        .await
        .unwrap_or_else(|_| panic!("not within 30 seconds: {what}"))
}

/// Waits for all tasks to notice that the broker is gone; fails if one has failed.
async fn ended(mut tasks: JoinSet<()>) {
    let joined = tokio::time::timeout(NOTICE, async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(failed) = ended {
                std::panic::resume_unwind(failed.into_panic());
            }
        }
    });
    if joined.await.is_err() {
        // lapin occasionally leaves a call or a confirm waiting when its connection dies.
        tasks.shutdown().await;
    }
}

async fn declare(broker: &TestBroker) {
    let client = broker.client().await;
    for queue in QUEUES.into_iter().chain([BARRIER]) {
        client.durable_queue(queue).await;
    }
    client.close().await;
}

/// Reads a number from the environment; panics if it is invalid.
fn setting<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .ok()
            .unwrap_or_else(|| panic!("{name} is no number: {text}")),
    )
}
