//! What the store keeps when acknowledgements and deletions come around the moment in which
//! publishes reach it.
//!
//! A message may be seen before that moment, also a message of a transaction. Its acknowledgement
//! then calls the write off and is no record of its own, so none can be stored before the batch,
//! nor outlive a batch that never came.

use super::{Effects, Queue, QueueSpec};
use crate::config::Config;
use crate::domain::broker::{Broker, DEFAULT_VHOST};
use crate::domain::recovery::recover;
use crate::engine::message::{MessageBuilder, SharedMessage};
use leveret_protocol::values::FieldTable;
use leveret_storage::{Options, Store};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn open(dir: &Path) -> Broker {
    let config = Config::with_data_dir(dir.to_owned());
    let opened = Store::open(Options::new(dir.join("store"))).unwrap();
    recover(&config, opened).unwrap()
}

fn queue(broker: &Broker, name: &str) -> Arc<Queue> {
    let spec = QueueSpec {
        name: name.into(),
        durable: true,
        auto_delete: false,
        exclusive_to: None,
        arguments: FieldTable::default(),
    };
    let (vhost, mut fx) = (broker.vhost(DEFAULT_VHOST).unwrap(), broker.effects(None));
    let new_id = || broker.next_queue_id();
    let declared = vhost.declare_queue(spec, None, new_id, &mut fx);
    fx.perform();
    declared.unwrap().0
}

fn message() -> SharedMessage {
    Arc::new(MessageBuilder::new(b"", b"", &[0, 0], true, 0).finish(true))
}

/// When the consumer's acknowledgement is performed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ack {
    BeforeTheBatch,
    AfterTheBatch,
    AfterTheCommit,
}

/// What is in both queues after a crash: one message for each from a transaction, of which `a`'s is
/// acknowledged. `reaches`: the transaction's batch reached the store before the crash.
fn left(ack: Ack, transactional: bool, reaches: bool) -> (u64, u64) {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path());
    let store = broker.store.clone().unwrap();
    let (a, b) = (queue(&broker, "a"), queue(&broker, "b"));
    // Before it, so that acknowledgements make a range with the one of the transaction.
    let mut plain = broker.effects(None);
    a.publish([(message(), None)], false, &mut plain);
    plain.perform();
    store.flush().unwrap();

    let mut publisher = broker.effects(None);
    publisher.begin_atomic();
    let first = message();
    let second = Arc::new(first.separate());
    a.publish([(first, None)], false, &mut publisher);
    b.publish([(second, None)], false, &mut publisher);

    let mut consumer = broker.effects(None);
    let consume = |consumer: &mut Effects| {
        let entries: Vec<_> = std::iter::from_fn(|| a.get(false, consumer)).collect();
        assert_eq!(entries.len(), 2);
        if transactional {
            consumer.begin_atomic();
        }
        a.settle(entries.iter().map(|(entry, _)| entry), [], consumer);
        consumer.perform();
        store.flush().unwrap();
    };
    if ack == Ack::BeforeTheBatch {
        consume(&mut consumer);
    }
    if reaches {
        publisher.submit();
    }
    if ack == Ack::AfterTheCommit {
        store.flush().unwrap();
    }
    if ack != Ack::BeforeTheBatch {
        consume(&mut consumer);
    }
    // What was not submitted is lost with the process.
    store.close().unwrap();
    drop((publisher, consumer, plain, store, a, b, broker));

    let broker = open(dir.path());
    let (a, b) = (queue(&broker, "a"), queue(&broker, "b"));
    // A place is not taken twice: what comes next is kept.
    let mut plain = broker.effects(None);
    a.publish([(message(), None)], false, &mut plain);
    plain.perform();
    let store = broker.store.clone().unwrap();
    store.flush().unwrap();
    let found = (a.counts().ready - 1, b.counts().ready);
    store.close().unwrap();
    drop((plain, store, a, b, broker));
    let broker = open(dir.path());
    assert_eq!(queue(&broker, "a").counts().ready, found.0 + 1);
    broker.store.as_ref().unwrap().close().unwrap();
    found
}

#[test]
fn an_acknowledgement_is_never_kept_without_the_transaction_that_it_is_about() {
    for transactional in [false, true] {
        for ack in [Ack::BeforeTheBatch, Ack::AfterTheBatch, Ack::AfterTheCommit] {
            let with = left(ack, transactional, true);
            assert_eq!(with, (0, 1), "{ack:?}, transactional {transactional}");
        }
        let without = left(Ack::BeforeTheBatch, transactional, false);
        assert_eq!(without, (0, 0), "transactional {transactional}");
    }
}

#[test]
fn cycles_of_dead_letters_are_told_once_a_minute_with_those_that_were_not() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path());
    let (queue, mut fx) = (queue(&broker, "q"), broker.effects(None));
    let began = Instant::now();
    let mut at = |seconds, cycles| {
        fx.begin_at(began + Duration::from_secs(seconds));
        queue.count_cycles(cycles, &mut fx)
    };
    assert_eq!(at(0, 1), Some(1));
    assert_eq!((at(1, 2), at(59, 3)), (None, None));
    assert_eq!(at(60, 1), Some(6));
    assert_eq!((at(61, 1), at(200, 1)), (None, Some(2)));
    broker.store.as_ref().unwrap().close().unwrap();
}

#[test]
fn a_publish_that_reaches_the_store_after_its_queue_was_deleted_leaves_nothing_there() {
    let dir = tempfile::tempdir().unwrap();
    let broker = open(dir.path());
    let store = broker.store.clone().unwrap();
    let (gone, stays) = (queue(&broker, "gone"), queue(&broker, "stays"));
    let mut publisher = broker.effects(None);
    for queue in [&gone, &stays] {
        queue.publish([(message(), None)], false, &mut publisher);
    }
    // Delivered, so that the queue cannot call the write off.
    let (mut consumer, mut operator) = (broker.effects(None), broker.effects(None));
    gone.get(false, &mut consumer).unwrap();
    consumer.perform();
    let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
    vhost.end_queue(&gone, &mut operator);
    operator.perform();
    publisher.perform();
    store.close().unwrap();
    let stays = stays.id;
    drop((publisher, consumer, operator, store, vhost, gone, broker));
    let found = Store::open(Options::new(dir.path().join("store"))).unwrap();
    let with_messages = found.queues.iter().filter(|queue| queue.messages > 0);
    let with_messages: Vec<_> = with_messages.map(|queue| queue.queue).collect();
    assert_eq!(with_messages, [stays]);
}
