//! The dead letters of a queue enter the next in the order in which they left it, whoever has
//! collected them and whoever is first to send what it has.

use crate::config::Limits;
use crate::domain::broker::{Broker, DEFAULT_VHOST};
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::interfaces::Timed;
use crate::engine::message::MessageBuilder;
use crate::engine::queue::{Effects, Incoming, Queue, QueueSpec};
use leveret_protocol::values::{AMQPValue, FieldTable};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

/// Messages that the first queue and the second may hold.
const ROOM: usize = 2;
/// Those who collect letters at the same time.
const PEERS: usize = 3;

fn broker() -> Broker {
    let broker = Broker::new(Limits::default(), Vec::new(), None);
    let mut fx = broker.effects(None);
    broker.add_vhost(VhostSpec::named(DEFAULT_VHOST), &mut fx);
    broker
}

fn queue(broker: &Broker, name: &str, next: &str, numbers: &[(&str, i32)]) -> Arc<Queue> {
    let mut arguments = FieldTable::default();
    for (key, value) in [
        ("x-dead-letter-exchange", ""),
        ("x-dead-letter-routing-key", next),
    ] {
        arguments.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    for (key, number) in numbers {
        arguments.insert((*key).into(), AMQPValue::LongInt(*number));
    }
    let spec = QueueSpec {
        name: name.into(),
        durable: true,
        auto_delete: false,
        exclusive_to: None,
        arguments,
    };
    let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
    let (new_id, mut fx) = (|| broker.next_queue_id(), broker.effects(None));
    vhost.declare_queue(spec, None, new_id, &mut fx).unwrap().0
}

fn message(publisher: usize, number: usize) -> Incoming {
    let body = format!("{publisher} {number}");
    let mut builder = MessageBuilder::new(b"", b"", &[0, 0], true, body.len() as u64);
    builder.push(body.as_bytes()).unwrap();
    (Arc::new(builder.finish(true)), None)
}

/// The publishers and numbers of all messages of a queue, in order.
fn drained(queue: &Arc<Queue>, fx: &mut Effects) -> Vec<(usize, usize)> {
    let bodies = std::iter::from_fn(|| queue.get(true, fx)).map(|(entry, _)| {
        let body = String::from_utf8(entry.message.body().to_vec()).unwrap();
        let (publisher, number) = body.split_once(' ').unwrap();
        (publisher.parse().unwrap(), number.parse().unwrap())
    });
    bodies.collect()
}

#[derive(Clone, Debug)]
enum Act {
    Publish(usize),
    Reject,
    /// What follows is to become durable as a whole.
    BeginTransaction,
    Perform,
}

fn act() -> impl Strategy<Value = (usize, Act)> {
    let act = prop_oneof![
        4 => (1usize..6).prop_map(Act::Publish),
        2 => Just(Act::Reject),
        1 => Just(Act::BeginTransaction),
        3 => Just(Act::Perform),
    ];
    (0..PEERS, act)
}

proptest! {
    #[test]
    fn who_sends_first_makes_no_difference(acts in prop::collection::vec(act(), 1..60)) {
        let broker = broker();
        let limit = [("x-max-length", ROOM as i32)];
        let first = queue(&broker, "first", "second", &limit);
        let second = queue(&broker, "second", "third", &limit);
        let third = queue(&broker, "third", "", &[]);
        let mut peers: Vec<Effects> = (0..PEERS).map(|_| broker.effects(None)).collect();
        let (mut ready, mut dead, mut next) = (VecDeque::new(), Vec::new(), 0);
        for (peer, act) in acts {
            let fx = &mut peers[peer];
            match act {
                Act::Publish(count) => {
                    first.publish((next..next + count).map(|n| message(0, n)), false, fx);
                    ready.extend(next..next + count);
                    next += count;
                    dead.extend(ready.drain(..ready.len().saturating_sub(ROOM)));
                }
                Act::Reject => {
                    if let Some((entry, _)) = first.get(false, fx) {
                        first.reject([&entry], [], fx);
                        dead.extend(ready.pop_front());
                    }
                }
                Act::BeginTransaction => fx.begin_atomic(),
                Act::Perform => fx.perform(),
            }
        }
        peers.iter_mut().for_each(Effects::perform);
        let mut fx = broker.effects(None);
        let found = [third, second].map(|queue| drained(&queue, &mut fx));
        let found: Vec<_> = found.concat().into_iter().map(|(_, number)| number).collect();
        prop_assert_eq!(found, dead);
    }
}

#[test]
fn publishers_and_a_timer_at_the_same_time_do_not_overtake_each_other() {
    const MESSAGES: usize = 20_000;
    let broker = broker();
    let rules = [("x-max-length", 50), ("x-message-ttl", 1)];
    let source = queue(&broker, "source", "target", &rules);
    let target = queue(&broker, "target", "", &[]);
    let publishing = AtomicUsize::new(PEERS);
    let look = |fx: &mut Effects| {
        let _ = source.clone().on_time(&broker, Instant::now(), fx);
        fx.perform();
    };
    thread::scope(|scope| {
        for publisher in 0..PEERS {
            let (source, broker, publishing) = (&source, &broker, &publishing);
            scope.spawn(move || {
                let mut fx = broker.effects(None);
                for first in (0..MESSAGES).step_by(10) {
                    let run = (first..first + 10).map(|number| message(publisher, number));
                    source.publish(run, false, &mut fx);
                    fx.perform();
                }
                publishing.fetch_sub(1, Ordering::SeqCst);
            });
        }
        let mut fx = broker.effects(None);
        while publishing.load(Ordering::SeqCst) > 0 {
            look(&mut fx);
        }
    });
    let mut fx = broker.effects(None);
    while source.counts().ready > 0 {
        look(&mut fx);
    }
    let found = drained(&target, &mut fx);
    assert_eq!(found.len(), PEERS * MESSAGES);
    for publisher in 0..PEERS {
        let numbers: Vec<_> = found.iter().filter(|(of, _)| *of == publisher).collect();
        assert!(numbers.is_sorted(), "publisher {publisher}");
    }
}
