//! Publishers with confirms, and consumers that acknowledge some of their deliveries.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_lite::StreamExt;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicNackOptions, BasicPublishOptions};
use lapin::{BasicProperties, Confirmation, PublisherConfirm};
use leveret_tests::{TestBroker, TestChannel};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tokio::task::JoinSet;

use super::body::Id;
use super::fates::Fates;
use super::{BARRIER, QUEUES};

const PUBLISHERS: u32 = 3;
/// How many confirms a publisher waits for at a time.
const WINDOW: usize = 64;
/// The most messages per publisher and round, so that checking a round is quick.
const MESSAGES: usize = 2_000;
/// The number of acks between two barriers.
const ACKS: usize = 20;

/// The numbers of messages, over all rounds.
static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// The tasks of one round.
pub(super) struct Load(JoinSet<()>);

impl Load {
    /// Waits for all tasks to notice that the broker is gone; fails if one has failed.
    pub(super) async fn ended(self) {
        super::ended(self.0).await;
    }
}

/// Starts publishers and consumers; they go on until the broker is gone.
pub(super) async fn start(broker: &TestBroker, fates: &Arc<Fates>, rng: &mut StdRng) -> Load {
    let mut tasks = JoinSet::new();
    for publisher in 0..PUBLISHERS {
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        let (fates, rng) = (Arc::clone(fates), StdRng::from_rng(rng));
        tasks.spawn(async move {
            // The end of the broker ends it; which error says so does not matter.
            let _ = publish(&channel, publisher, &fates, rng).await;
            drop(client);
        });
    }
    for queue in QUEUES {
        // Some queues grow for a round.
        if rng.random_bool(0.3) {
            continue;
        }
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        let (fates, rng) = (Arc::clone(fates), StdRng::from_rng(rng));
        tasks.spawn(async move {
            let _ = consume(&channel, queue, &fates, rng).await;
            drop(client);
        });
    }
    Load(tasks)
}

async fn publish(
    channel: &TestChannel,
    publisher: u32,
    fates: &Fates,
    mut rng: StdRng,
) -> lapin::Result<()> {
    let mut window: VecDeque<(Id, PublisherConfirm)> = VecDeque::new();
    for _ in 0..MESSAGES {
        if window.len() == WINDOW {
            settle(window.pop_front().expect("a full window"), fates).await?;
        }
        let place = rng.random_range(0..QUEUES.len());
        let queue = u32::try_from(place).expect("a few queues");
        let id = Id {
            queue,
            publisher,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
        };
        fates.sent(id);
        let body = id.body(filling(&mut rng));
        let confirm = channel
            .basic_publish(
                "".into(),
                QUEUES[place].into(),
                BasicPublishOptions::default(),
                &body,
                BasicProperties::default().with_delivery_mode(2),
            )
            .await?;
        window.push_back((id, confirm));
    }
    for sent in window {
        settle(sent, fates).await?;
    }
    Ok(())
}

/// Returns mostly small sizes, and sometimes one of several frames.
fn filling(rng: &mut StdRng) -> usize {
    match rng.random_range(0..200) {
        0 => rng.random_range(100_000..400_000),
        1..20 => rng.random_range(2_000..40_000),
        _ => rng.random_range(0..1_000),
    }
}

async fn settle((id, confirm): (Id, PublisherConfirm), fates: &Fates) -> lapin::Result<()> {
    match confirm.await? {
        Confirmation::Ack(_) => fates.confirmed(id),
        other => panic!("{id:?}: {other:?}"),
    }
    Ok(())
}

async fn consume(
    channel: &TestChannel,
    queue: &str,
    fates: &Fates,
    mut rng: StdRng,
) -> lapin::Result<()> {
    channel.basic_qos(100, Default::default()).await?;
    let (options, table) = Default::default();
    let mut consumer = channel
        .basic_consume(queue.into(), "".into(), options, table)
        .await?;
    let mut acked = Vec::new();
    while let Some(delivery) = consumer.next().await {
        let delivery: Delivery = delivery?;
        let id = Id::of(&delivery.data);
        fates.delivered(id);
        match rng.random_range(0..10) {
            // Kept until the crash.
            0 => {}
            1 => {
                delivery
                    .nack(BasicNackOptions {
                        requeue: true,
                        multiple: false,
                    })
                    .await?;
            }
            _ => {
                fates.ack_sent(id);
                delivery.ack(BasicAckOptions::default()).await?;
                acked.push(id);
            }
        }
        if acked.len() == ACKS {
            barrier(channel).await?;
            for id in acked.drain(..) {
                fates.ack_flushed(id);
            }
        }
    }
    Ok(())
}

/// When this returns, all acks sent on the channel before it are on disk.
pub(super) async fn barrier(channel: &TestChannel) -> lapin::Result<()> {
    let persistent = BasicProperties::default().with_delivery_mode(2);
    let options = BasicPublishOptions::default();
    let confirm = channel
        .basic_publish("".into(), BARRIER.into(), options, b"", persistent)
        .await?;
    match confirm.await? {
        Confirmation::Ack(_) => Ok(()),
        other => panic!("the barrier: {other:?}"),
    }
}
