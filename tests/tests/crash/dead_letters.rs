//! Dead letters under `kill -9`: messages die in three queues, by time, by rejection and for want of
//! room, and go on to a queue each. After each restart a confirmed message is in the queue it was
//! published to or in the other, and there but once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::BasicProperties;
use lapin::options::{
    BasicConsumeOptions, BasicNackOptions, BasicPublishOptions, BasicQosOptions,
    QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use leveret_tests::{Client, TestBroker, TestChannel, eventually, run_within};
use parking_lot::Mutex;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use super::{ended, setting, within};

/// Where messages die, and the argument that kills them; rejections take none.
const DYING: [(&str, Option<(&str, i32)>); 3] = [
    ("dying-expired", Some(("x-message-ttl", 20))),
    ("dying-rejected", None),
    ("dying-maxlen", Some(("x-max-length", 20))),
];
/// Rounds unless `LEVERET_CRASH_ROUNDS` says otherwise.
const ROUNDS: u32 = 15;
/// Messages fed per round and queue at most, so that its check stays short.
const MESSAGES: usize = 1_500;

/// What publishers were told in one round, by queue.
#[derive(Debug, Default)]
struct Told {
    next: AtomicU64,
    confirmed: [Mutex<BTreeSet<u64>>; DYING.len()],
}

fn dead(queue: &str) -> String {
    queue.replace("dying", "dead")
}

#[test]
fn a_dead_letter_is_where_it_was_or_where_it_went() {
    let rounds = setting("LEVERET_CRASH_ROUNDS").unwrap_or(ROUNDS);
    run_within(Duration::from_secs(60 + 10 * u64::from(rounds)), async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let seed = setting("LEVERET_TEST_SEED").unwrap_or_else(|| rand::rng().random());
        eprintln!("LEVERET_TEST_SEED={seed} LEVERET_CRASH_ROUNDS={rounds}");
        let mut rng = StdRng::seed_from_u64(seed);
        declare(&broker).await;
        let mut dead = 0;
        for round in 0..rounds {
            let told = Arc::new(Told::default());
            let load = start(&broker, &told).await;
            let moment = Duration::from_micros(rng.random_range(5_000..250_000));
            // Not a wait for anything: the crash comes at a random moment.
            tokio::time::sleep(moment).await;
            broker.kill();
            ended(load).await;
            broker.start_again().await;
            let found = within("the check after the restart", verify(&broker, &told)).await;
            dead += found.iter().map(|(_, dead)| dead).sum::<usize>();
            eprintln!("round {round}: killed after {moment:?}, left and dead: {found:?}");
        }
        assert!(dead > 100, "only {dead} messages died");
    });
}

async fn declare(broker: &TestBroker) {
    let client = broker.client().await;
    for (queue, killer) in DYING {
        let text = |text: &str| AMQPValue::LongString(text.into());
        let mut arguments = FieldTable::default();
        arguments.insert("x-dead-letter-exchange".into(), text(""));
        arguments.insert("x-dead-letter-routing-key".into(), text(&dead(queue)));
        if let Some((name, value)) = killer {
            arguments.insert(name.into(), AMQPValue::LongInt(value));
        }
        client
            .queue_declare(queue.into(), QueueDeclareOptions::durable(), arguments)
            .await
            .expect("declare-ok");
        client.durable_queue(&dead(queue)).await;
    }
    client.close().await;
}

/// A feeder for each queue, and one who rejects; they go on until the broker is gone.
async fn start(broker: &TestBroker, told: &Arc<Told>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for (at, (queue, _)) in DYING.into_iter().enumerate() {
        let (client, told) = (broker.client().await, Arc::clone(told));
        let channel = client.open_confirming().await;
        tasks.spawn(async move {
            // The end of the broker ends it; which error says so does not matter.
            let _ = feed(&channel, queue, &told, at).await;
            drop(client);
        });
    }
    let client = broker.client().await;
    tasks.spawn(async move {
        let _ = reject_all(&client.channel).await;
        drop(client);
    });
    tasks
}

async fn feed(channel: &TestChannel, queue: &str, told: &Told, at: usize) -> lapin::Result<()> {
    let mut waiting = Vec::new();
    for _ in 0..MESSAGES {
        let number = told.next.fetch_add(1, Ordering::SeqCst);
        let properties = BasicProperties::default().with_delivery_mode(2);
        let (options, body) = (BasicPublishOptions::default(), number.to_be_bytes());
        let publish = channel.basic_publish("".into(), queue.into(), options, &body, properties);
        waiting.push((number, publish.await?));
        if waiting.len() == 32 {
            for (number, confirm) in waiting.drain(..) {
                confirm.await?;
                told.confirmed[at].lock().insert(number);
            }
        }
    }
    Ok(())
}

/// Rejects now one and now all that it has.
async fn reject_all(channel: &TestChannel) -> lapin::Result<()> {
    channel.basic_qos(20, BasicQosOptions::default()).await?;
    let options = BasicConsumeOptions::default();
    let queue = DYING[1].0.into();
    let mut consumer = channel
        .basic_consume(queue, "".into(), options, FieldTable::default())
        .await?;
    while let Some(delivery) = consumer.next().await {
        let tag = delivery?.delivery_tag;
        if tag % 3 > 0 {
            let options = BasicNackOptions {
                multiple: tag % 3 == 1,
                requeue: false,
            };
            channel.basic_nack(tag, options).await?;
        }
    }
    Ok(())
}

/// Takes all there is and holds it against what publishers were told.
async fn verify(broker: &TestBroker, told: &Told) -> Vec<(usize, usize)> {
    let client = broker.client().await;
    let mut found = Vec::new();
    for (at, (queue, killer)) in DYING.into_iter().enumerate() {
        if killer.is_some_and(|(name, _)| name == "x-message-ttl") {
            // What had not died yet does now.
            eventually("all have expired", async || {
                (client.counts(queue).await.0 == 0).then_some(())
            })
            .await;
        }
        let left = numbers(&client, queue).await;
        let died = numbers(&client, &dead(queue)).await;
        let both: Vec<&u64> = left.intersection(&died).collect();
        assert!(both.is_empty(), "{queue}: dead, and still there: {both:?}");
        let confirmed = told.confirmed[at].lock();
        let lost: Vec<&u64> = confirmed
            .iter()
            .filter(|number| !left.contains(number) && !died.contains(number))
            .collect();
        assert!(lost.is_empty(), "{queue}: confirmed and nowhere: {lost:?}");
        found.push((left.len(), died.len()));
    }
    client.close().await;
    found
}

/// Empties a queue; nothing may be in it twice.
async fn numbers(client: &Client, queue: &str) -> BTreeSet<u64> {
    let mut numbers = BTreeSet::new();
    while let Some(delivery) = client.take(queue).await {
        let body: [u8; 8] = delivery.data.as_slice().try_into().expect("a number");
        let number = u64::from_be_bytes(body);
        assert!(numbers.insert(number), "{number} is twice in {queue}");
    }
    numbers
}
