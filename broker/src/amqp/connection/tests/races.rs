//! Several connections on threads of their own, sharing queues and credit: no wake-up may be lost.
//! Whoever waits in vain for ten seconds fails the test. The windows are narrow, so this finds what
//! is grossly wrong; the orders that matter are argued where the marks are set.

use super::broker;
use super::client::Client;
use super::requests::*;
use crate::domain::broker::Broker;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

const QUEUES: [&str; 3] = ["a", "b", "c"];
const MESSAGES: usize = 12_000;

const PATIENCE: Duration = Duration::from_secs(10);

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// How a connection consumes: prefetch of the channel and of each consumer, and the queues of
/// which it acknowledges nothing.
#[derive(Clone, Copy)]
struct Manner {
    global: u16,
    each: u16,
    no_ack: &'static [&'static str],
}

/// What the consumers have still to do together.
struct Left {
    messages: AtomicUsize,
    consumers: Mutex<Vec<Thread>>,
}

impl Left {
    fn any(&self) -> bool {
        self.messages.load(Ordering::SeqCst) > 0
    }

    fn done_with(&self, count: usize) {
        if self.messages.fetch_sub(count, Ordering::SeqCst) == count && count > 0 {
            for consumer in self.consumers.lock().iter() {
                consumer.unpark();
            }
        }
    }
}

/// Consumes from every queue until nothing is left.
fn consume_all(broker: &Arc<Broker>, manner: Manner, left: &Left) {
    left.consumers.lock().push(thread::current());
    let mut client = Client::ready(broker);
    client.ask(qos(manner.each, false));
    client.ask(qos(manner.global, true));
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    for queue in QUEUES {
        let no_ack = manner.no_ack.contains(&queue);
        client.send(1, consume_with(queue, queue, |c| c.no_ack = no_ack));
    }
    let mut heard_last = Instant::now();
    while left.any() {
        while client.connection.take_mail(Some(&waker), client.now) {}
        let heard = client.heard_so_far();
        let delivered: Vec<_> = heard.iter().filter_map(|line| delivery(line)).collect();
        if delivered.is_empty() && left.any() {
            assert!(heard_last.elapsed() < PATIENCE, "nobody wakes us");
            thread::park_timeout(PATIENCE);
            continue;
        }
        heard_last = Instant::now();
        let mut done = 0;
        for (queue, tag, redelivered) in delivered {
            let no_ack = manner.no_ack.contains(&queue);
            // Some go back once, to anybody.
            let again = tag % 7 == 0 && !redelivered && !no_ack;
            done += usize::from(!again);
            if again {
                client.send(1, nack(tag, false, true));
            } else if !no_ack {
                client.send(1, ack(tag, false));
            }
        }
        left.done_with(done);
    }
    client.connection.end();
}

/// Queue, delivery tag and redelivered.
fn delivery(line: &str) -> Option<(&str, u64, bool)> {
    let (queue, tag) = line.strip_prefix("1 deliver ")?.split_once(" #")?;
    let tag = tag.split(' ').next()?.parse().ok()?;
    Some((queue, tag, line.contains(" redelivered ")))
}

fn publish_all(broker: &Arc<Broker>) {
    let mut client = Client::ready(broker);
    let large = vec![b'x'; 300_000];
    for i in 0..MESSAGES {
        let body = if i % 200 == 0 { &large[..] } else { b"m" };
        let queue = QUEUES[i % QUEUES.len()];
        client.publish_with(1, publish("", queue), &Default::default(), body);
    }
    client.connection.end();
}

#[test]
fn nobody_waits_for_ever() {
    let broker = broker();
    for queue in QUEUES {
        Client::ready(&broker).ask(declare(queue));
    }
    let left = Left {
        messages: AtomicUsize::new(MESSAGES),
        consumers: Mutex::default(),
    };
    let manners = [
        (3, 2, &[][..]),
        (1, 1, &[]),
        (0, 1, &[]),
        (2, 0, &["c"]),
        (1, 0, &["a", "b"]),
        (0, 0, &QUEUES),
    ];
    thread::scope(|scope| {
        for (global, each, no_ack) in manners {
            let manner = Manner {
                global,
                each,
                no_ack,
            };
            let (broker, left) = (&broker, &left);
            scope.spawn(move || consume_all(broker, manner, left));
        }
        scope.spawn(|| publish_all(&broker));
    });
    for queue in QUEUES {
        let counts = broker.vhost("/").unwrap().queue(queue).unwrap().counts();
        assert_eq!((counts.ready, counts.unacked), (0, 0));
    }
}
