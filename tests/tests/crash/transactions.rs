//! Transactions under `kill -9`: each takes messages from one queue and puts them into two others.
//!
//! After each restart a message is in the first queue, or in both others, and in each but once. It
//! is in both others if its commit was answered; it is somewhere if its publish was confirmed.
//! The messages are fed while they are taken, so that many are acknowledged before they are
//! written.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::BasicProperties;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicPublishOptions};
use leveret_tests::{Client, TestBroker, TestChannel, run_within};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use super::{ended, setting, within};

const FROM: &str = "moved-from";
const TO: [&str; 2] = ["moved-to-0", "moved-to-1"];
/// Rounds unless `LEVERET_CRASH_ROUNDS` says otherwise.
const ROUNDS: u32 = 15;
/// Messages fed per round at most, so that its check stays short.
const MESSAGES: usize = 3_000;

/// What clients were told in one round.
#[derive(Debug, Default)]
struct Told {
    next: AtomicU64,
    confirmed: Mutex<BTreeSet<u64>>,
    committed: Mutex<BTreeSet<u64>>,
}

#[test]
fn a_transaction_is_there_as_a_whole_or_not_at_all() {
    let rounds = setting("LEVERET_CRASH_ROUNDS").unwrap_or(ROUNDS);
    run_within(Duration::from_secs(60 + 10 * u64::from(rounds)), async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let seed = setting("LEVERET_TEST_SEED").unwrap_or_else(|| rand::rng().random());
        eprintln!("LEVERET_TEST_SEED={seed} LEVERET_CRASH_ROUNDS={rounds}");
        let mut rng = StdRng::seed_from_u64(seed);
        let client = broker.client().await;
        client.durable_queue(FROM).await;
        for queue in TO {
            client.durable_queue(queue).await;
            client.bind(queue, "amq.direct", "to").await;
        }
        client.close().await;
        let mut committed = 0;
        for round in 0..rounds {
            let told = Arc::new(Told::default());
            let load = start(&broker, &told, &mut rng).await;
            let moment = Duration::from_micros(rng.random_range(5_000..250_000));
            // Not a wait for anything: the crash comes at a random moment.
            tokio::time::sleep(moment).await;
            broker.kill();
            ended(load).await;
            broker.start_again().await;
            let found = within("the check after the restart", verify(&broker, &told)).await;
            committed += told.committed.lock().len();
            eprintln!("round {round}: killed after {moment:?}, {found}");
        }
        assert!(committed > 100, "only {committed} messages were moved");
    });
}

/// Feeders and movers; they go on until the broker is gone.
async fn start(broker: &TestBroker, told: &Arc<Told>, rng: &mut StdRng) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (client, fed) = (broker.client().await, Arc::clone(told));
        let channel = client.open_confirming().await;
        tasks.spawn(async move {
            // The end of the broker ends it; which error says so does not matter.
            let _ = feed(&channel, &fed).await;
            drop(client);
        });
        let (client, moved) = (broker.client().await, Arc::clone(told));
        let rng = StdRng::from_rng(rng);
        tasks.spawn(async move {
            let _ = move_all(&client.channel, &moved, rng).await;
            drop(client);
        });
    }
    tasks
}

async fn publish(
    channel: &TestChannel,
    exchange: &str,
    key: &str,
    number: u64,
) -> lapin::Result<lapin::PublisherConfirm> {
    channel
        .basic_publish(
            exchange.into(),
            key.into(),
            BasicPublishOptions::default(),
            &number.to_be_bytes(),
            BasicProperties::default().with_delivery_mode(2),
        )
        .await
}

async fn feed(channel: &TestChannel, told: &Told) -> lapin::Result<()> {
    let mut waiting = Vec::new();
    for _ in 0..MESSAGES / 2 {
        let number = told.next.fetch_add(1, Ordering::SeqCst);
        waiting.push((number, publish(channel, "", FROM, number).await?));
        if waiting.len() == 32 {
            for (number, confirm) in waiting.drain(..) {
                confirm.await?;
                told.confirmed.lock().insert(number);
            }
        }
    }
    Ok(())
}

async fn move_all(channel: &TestChannel, told: &Told, mut rng: StdRng) -> lapin::Result<()> {
    channel.tx_select().await?;
    channel.basic_qos(20, Default::default()).await?;
    let options = BasicConsumeOptions::default();
    let mut consumer = channel
        .basic_consume(FROM.into(), "".into(), options, Default::default())
        .await?;
    loop {
        let mut moved = Vec::new();
        for _ in 0..rng.random_range(1..6) {
            let Some(delivery) = consumer.next().await else {
                return Ok(());
            };
            let delivery = delivery?;
            moved.push((number(&delivery.data), delivery.delivery_tag));
        }
        for commits in [rng.random_bool(0.8), true] {
            for (number, tag) in &moved {
                if rng.random_bool(0.5) {
                    publish(channel, "amq.direct", "to", *number).await?;
                } else {
                    for queue in TO {
                        publish(channel, "", queue, *number).await?;
                    }
                }
                channel.basic_ack(*tag, BasicAckOptions::default()).await?;
            }
            if commits {
                channel.tx_commit().await?;
                let numbers = moved.iter().map(|(number, _)| *number);
                told.committed.lock().extend(numbers);
                break;
            }
            channel.tx_rollback().await?;
        }
    }
}

fn number(body: &[u8]) -> u64 {
    u64::from_be_bytes(body.try_into().expect("a number"))
}

/// Takes all there is and holds it against what clients were told.
async fn verify(broker: &TestBroker, told: &Told) -> String {
    let client = broker.client().await;
    let from = numbers(&client, FROM).await;
    let to = [numbers(&client, TO[0]).await, numbers(&client, TO[1]).await];
    client.close().await;
    assert_eq!(to[0], to[1], "one queue has what the other has not");
    let both: Vec<&u64> = from.intersection(&to[0]).collect();
    assert!(both.is_empty(), "moved, and still there: {both:?}");
    let (committed, confirmed) = (told.committed.lock(), told.confirmed.lock());
    let lost: Vec<&u64> = committed.difference(&to[0]).collect();
    assert!(lost.is_empty(), "committed and not there: {lost:?}");
    let somewhere: BTreeSet<u64> = from.union(&to[0]).copied().collect();
    let lost: Vec<&u64> = confirmed.difference(&somewhere).collect();
    assert!(lost.is_empty(), "confirmed and nowhere: {lost:?}");
    format!(
        "{} moved ({} known to be), {} not",
        to[0].len(),
        committed.len(),
        from.len()
    )
}

/// Empties a queue; nothing may be in it twice.
async fn numbers(client: &Client, queue: &str) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    while let Some(delivery) = client.take(queue).await {
        let number = number(&delivery.data);
        assert!(numbers.insert(number), "{number} is twice in {queue}");
    }
    numbers
}
