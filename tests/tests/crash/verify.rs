//! Checks after a restart that the queues contain what they must.

use std::collections::HashMap;

use lapin::options::{BasicAckOptions, QueuePurgeOptions};
use leveret_tests::{TestBroker, next};
use rand::Rng;
use rand::rngs::StdRng;

use super::body::Id;
use super::fates::Fates;
use super::load::barrier;
use super::{BARRIER, QUEUES};

/// Above this backlog everything is acknowledged, so that rounds stay short.
const BACKLOG: usize = 3_000;

/// Reads every queue to its end, checks it, and leaves all, some or none of the messages for the
/// next round. Returns a line for the log.
pub(super) async fn verify(broker: &TestBroker, fates: &Fates, rng: &mut StdRng) -> String {
    let client = broker.client().await;
    let channel = client.open_confirming().await;
    let mut found = Vec::new();
    let mut deliveries = Vec::new();
    for (place, queue) in QUEUES.into_iter().enumerate() {
        let (messages, _) = channel.counts(queue).await;
        let mut consumer = channel.consume(queue, queue).await;
        let mut last: HashMap<u32, u64> = HashMap::new();
        for _ in 0..messages {
            let delivery = next(&mut consumer).await;
            let id = Id::of(&delivery.data);
            assert_eq!(id.queue as usize, place, "{id:?} is in {queue}");
            if let Some(before) = last.insert(id.publisher, id.number) {
                assert!(before < id.number, "{id:?} comes after {before} in {queue}");
            }
            found.push(id);
            deliveries.push((id, delivery));
        }
        channel
            .basic_cancel(queue.into(), Default::default())
            .await
            .expect("cancel-ok");
        assert_eq!(
            channel.counts(queue).await,
            (0, 0),
            "{queue} has more than it said"
        );
    }
    fates.judge(&found);

    let share = if found.len() > BACKLOG {
        1.0
    } else {
        [0.0, 0.5, 1.0][rng.random_range(0..3)]
    };
    let mut acked = Vec::new();
    for (id, delivery) in &deliveries {
        if rng.random_bool(share) {
            fates.ack_sent(*id);
            delivery
                .ack(BasicAckOptions::default())
                .await
                .expect("acked");
            acked.push(*id);
        }
    }
    barrier(&channel).await.expect("a confirm");
    for id in &acked {
        fates.ack_flushed(*id);
    }
    channel
        .queue_purge(BARRIER.into(), QueuePurgeOptions::default())
        .await
        .expect("purge-ok");
    // Unacknowledged messages return to their place.
    client.close().await;
    format!(
        "{} messages found, {} of them acked",
        found.len(),
        acked.len()
    )
}
