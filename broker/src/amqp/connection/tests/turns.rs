//! A channel's prefetch shared by several queues: whose turn it is, and that nobody is forgotten.

use super::client::Client;
use super::requests::*;
use super::{broker, two_clients};
use crate::engine::queue::Queue;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const QUEUES: [&str; 3] = ["a", "b", "c"];

/// Three queues of so many messages each, and a consumer of each on a channel with this prefetch.
fn three_queues(messages: usize, prefetch: u16) -> Client {
    let (mut client, mut publisher) = two_clients();
    client.ask(qos(prefetch, true));
    for queue in QUEUES {
        client.ask(declare(queue));
        for _ in 0..messages {
            publisher.publish(queue, "m");
        }
    }
    client
}

/// The consumers' tags, in order of their deliveries; nothing else was heard.
fn served(lines: &[String]) -> String {
    let tag = |line: &String| match line.split(' ').nth(1) {
        Some("deliver") => line.split(' ').nth(2).unwrap().to_owned(),
        _ => panic!("{line}"),
    };
    lines.iter().map(tag).collect()
}

fn consume_all(client: &mut Client) -> String {
    let heard: Vec<String> = QUEUES
        .iter()
        .flat_map(|queue| client.ask(consume(queue, queue)))
        .collect();
    let deliveries: Vec<String> = heard
        .into_iter()
        .filter(|line| !line.contains("consume-ok"))
        .collect();
    served(&deliveries)
}

#[test]
fn queues_that_wait_for_a_channels_credit_take_turns() {
    let mut client = three_queues(100, 1);
    let mut order = consume_all(&mut client);
    for tag in 1..99 {
        order += &served(&client.ask(ack(tag, false)));
    }
    assert_eq!(order, "a".to_owned() + &"abc".repeat(33)[..98]);
}

#[test]
fn each_queue_gets_its_share_of_what_is_free_at_once() {
    let mut client = three_queues(100, 10);
    assert_eq!(consume_all(&mut client), "a".repeat(10));
    assert_eq!(served(&client.ask(ack(10, true))), "aaaabbbbcc");
    assert_eq!(served(&client.ask(ack(20, true))), "aaaabbbbcc");
    assert_eq!(served(&client.ask(ack(21, false))), "a");
    assert_eq!(served(&client.ask(ack(23, true))), "bc");
    assert_eq!(served(&client.ask(ack(24, false))), "a");
}

#[test]
fn what_one_queue_leaves_the_others_get() {
    let mut client = three_queues(2, 9);
    let mut publisher = Client::ready(&client.broker);
    for _ in 0..20 {
        publisher.publish("a", "m");
    }
    assert_eq!(consume_all(&mut client), "a".repeat(9));
    assert_eq!(served(&client.ask(ack(9, true))), "aaabbccaa");
    assert_eq!(served(&client.ask(ack(18, true))), "a".repeat(8));
}

#[test]
fn a_consumer_whose_own_prefetch_is_free_again_waits_for_its_turn_on_the_channel() {
    let mut client = three_queues(100, 0);
    client.ask(qos(2, false));
    client.ask(qos(2, true));
    let mut order = consume_all(&mut client);
    for tag in 1..11 {
        order += &served(&client.ask(ack(tag, false)));
    }
    assert_eq!(order, "aaabcabcabca");
}

#[test]
fn consumers_of_one_queue_take_turns_too() {
    let mut client = three_queues(100, 1);
    client.ask(consume("a", "x"));
    client.ask(consume("a", "y"));
    client.ask(consume("b", "z"));
    let mut order = String::new();
    for tag in 1..9 {
        order += &served(&client.ask(ack(tag, false)));
    }
    assert_eq!(order, "xzyzxzyz");
}

#[test]
fn requeued_messages_do_not_keep_their_queue_before_the_others() {
    let mut client = three_queues(100, 1);
    let mut order = consume_all(&mut client);
    for tag in 1..7 {
        order += &served(&client.ask(nack(tag, false, true)));
    }
    for tag in 7..10 {
        order += &served(&client.ask(reject(tag, false)));
    }
    assert_eq!(order, "aabcabcabc");
}

#[test]
fn who_acknowledges_nothing_waits_while_the_channels_prefetch_is_used_up() {
    let (mut client, mut publisher) = two_clients();
    client.ask(qos(1, true));
    for queue in ["a", "b"] {
        client.ask(declare(queue));
    }
    client.ask(consume("a", "a"));
    client.ask(consume_with("b", "b", |c| c.no_ack = true));
    publisher.publish("b", "m");
    assert_eq!(served(&client.hears()), "b", "there is room");
    publisher.publish("a", "m");
    assert_eq!(served(&client.hears()), "a");
    for _ in 0..3 {
        publisher.publish("b", "m");
    }
    publisher.publish("a", "m");
    assert_eq!(client.hears(), [""; 0]);
    let late = client.ask(consume_with("b", "c", |c| c.no_ack = true));
    assert_eq!(late, ["1 consume-ok c"]);
    assert_eq!(served(&client.ask(ack(2, false))), "a", "its turn");
    let order = served(&client.ask(ack(3, false)));
    assert_eq!(order.len(), 3, "{order}");
    assert!(order.contains('b') && order.contains('c'), "{order}");
}

#[test]
fn a_message_that_was_got_does_not_count() {
    let (mut client, mut publisher) = two_clients();
    client.ask(qos(1, true));
    client.ask(declare("a"));
    for _ in 0..3 {
        publisher.publish("a", "m");
    }
    assert!(client.ask(get("a", false))[0].contains("get-ok"));
    assert_eq!(client.ask(consume("a", "a"))[1], "1 deliver a #2 'm'");
    assert!(client.ask(get("a", true))[0].contains("get-ok"));
}

#[test]
fn a_change_of_the_prefetch_reaches_all_that_wait() {
    let mut client = three_queues(6, 1);
    assert_eq!(consume_all(&mut client), "a");
    let heard = client.ask(qos(7, true));
    assert_eq!(heard[0], "1 qos-ok");
    assert_eq!(served(&heard[1..]), "aabbcc");
    client.ask(qos(2, true));
    assert_eq!(client.ask(ack(5, true)), [""; 0], "two are out still");
    assert_eq!(served(&client.ask(ack(6, false))), "a");
    let heard = client.ask(qos(0, false));
    assert_eq!(served(&heard[1..]).len(), 18 - 8, "nothing limits it");
}

#[test]
fn who_goes_while_waiting_leaves_its_turn_to_the_others() {
    let mut client = three_queues(100, 1);
    assert_eq!(consume_all(&mut client), "a");
    assert_eq!(client.ask(cancel("b")), ["1 cancel-ok b"]);
    assert_eq!(served(&client.ask(ack(1, false))), "a");
    assert_eq!(served(&client.ask(ack(2, false))), "c");
    let mut other = Client::ready(&client.broker);
    assert_eq!(other.ask(delete("a")), ["1 delete-ok 98"]);
    assert_eq!(client.hears(), ["1 cancel a"]);
    assert_eq!(served(&client.ask(ack(3, false))), "c");
    assert_eq!(client.ask(cancel("c")), ["1 cancel-ok c"]);
    assert_eq!(client.ask(consume("b", "again")), ["1 consume-ok again"]);
    assert_eq!(served(&client.ask(ack(4, false))), "again");
}

#[test]
fn a_closed_channel_leaves_no_turn_to_the_next_of_its_number() {
    let mut client = three_queues(100, 1);
    consume_all(&mut client);
    assert_eq!(client.ask(channel_close()), ["1 close-ok"]);
    client.open_channel(1);
    client.ask(qos(2, true));
    assert_eq!(consume_all(&mut client), "aa");
    assert_eq!(served(&client.ask(ack(2, true))), "ab");
}

#[test]
fn queues_that_wait_for_room_in_the_mailbox_take_turns() {
    let (mut client, mut publisher) = two_clients();
    let body = vec![b'x'; 400_000];
    for queue in QUEUES {
        client.ask(declare(queue));
        for _ in 0..9 {
            publisher.publish_with(1, publish("", queue), &Default::default(), &body);
        }
    }
    let mut order = String::new();
    for queue in QUEUES {
        client.send(1, consume_with(queue, queue, |c| c.no_ack = true));
    }
    while order.len() < 27 {
        let heard = client.heard_so_far();
        let heard: Vec<_> = heard.into_iter().filter(|l| !l.contains("ok")).collect();
        order += &served(&heard);
        client.connection.take_mail(None, client.now);
    }
    let (early, _) = order.split_at(12);
    for queue in QUEUES {
        assert!(early.contains(queue), "{queue} waits until last: {order}");
    }
}

/// What happens to a channel whose consumers share queues and a prefetch.
#[derive(Clone, Debug)]
enum Step {
    Publish { queue: usize, count: usize },
    Settle { at: prop::sample::Index, how: How },
    Qos { count: u16, global: bool },
    Consume { queue: usize, no_ack: bool },
    Cancel(prop::sample::Index),
    Delete { queue: usize },
    Recover,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ack,
    AckThrough,
    Requeue,
    Reject,
}

fn step() -> impl Strategy<Value = Step> {
    let queue = || 0..QUEUES.len();
    let how = prop::sample::select(vec![How::Ack, How::AckThrough, How::Requeue, How::Reject]);
    prop_oneof![
        6 => (queue(), 1usize..6).prop_map(|(queue, count)| Step::Publish { queue, count }),
        8 => (any::<prop::sample::Index>(), how).prop_map(|(at, how)| Step::Settle { at, how }),
        2 => (0u16..5, any::<bool>()).prop_map(|(count, global)| Step::Qos { count, global }),
        4 => (queue(), prop::bool::weighted(0.3))
            .prop_map(|(queue, no_ack)| Step::Consume { queue, no_ack }),
        1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
        1 => queue().prop_map(|queue| Step::Delete { queue }),
        1 => Just(Step::Recover),
    ]
}

/// A channel, and what is known of it from outside.
struct World {
    client: Client,
    publisher: Client,
    /// The queue of each consumer there is, and whether it acknowledges nothing.
    consumers: BTreeMap<String, (usize, bool)>,
    next_consumer: usize,
    /// Delivery tags that are not settled, with their consumers.
    outstanding: BTreeMap<u64, String>,
    limit: usize,
    each: usize,
    /// The prefetch that each consumer was started with.
    limits: BTreeMap<String, usize>,
    /// How often others were served while a queue waited for its turn.
    passed_over: [usize; QUEUES.len()],
}

impl World {
    fn new() -> Self {
        let broker = broker();
        let mut client = Client::ready(&broker);
        for queue in QUEUES {
            client.ask(declare(queue));
        }
        World {
            publisher: Client::ready(&broker),
            client,
            consumers: BTreeMap::new(),
            next_consumer: 0,
            outstanding: BTreeMap::new(),
            limit: 0,
            each: 0,
            limits: BTreeMap::new(),
            passed_over: [0; QUEUES.len()],
        }
    }

    fn queue(&self, at: usize) -> Arc<Queue> {
        let vhost = self.client.broker.vhost("/").unwrap();
        vhost.queue(QUEUES[at]).unwrap()
    }

    fn is_full(&self) -> bool {
        self.limit > 0 && self.outstanding.len() >= self.limit
    }

    fn held_by(&self, consumer: &str) -> usize {
        self.outstanding.values().filter(|c| *c == consumer).count()
    }

    fn is_spent(&self, consumer: &str) -> bool {
        let (limit, held) = (self.limits[consumer], self.held_by(consumer));
        limit > 0 && held >= limit && !self.consumers[consumer].1
    }

    fn run(&mut self, step: &Step) {
        let waiting = self.waiting();
        let heard = self.act(step);
        let mut served = [false; QUEUES.len()];
        for line in heard {
            let mut words = line.split(' ').skip(1);
            if words.next() != Some("deliver") {
                continue;
            }
            let consumer = words.next().unwrap().to_owned();
            let tag = words.next().unwrap()[1..].parse().unwrap();
            let (queue, no_ack) = self.consumers[&consumer];
            assert!(!self.is_full(), "{line}: more than the channel may have");
            assert!(!self.is_spent(&consumer), "{line}: more than it may have");
            served[queue] = true;
            if !no_ack {
                self.outstanding.insert(tag, consumer);
            }
        }
        self.nobody_waits_in_vain();
        self.everybody_has_a_turn(&waiting, &served);
    }

    fn act(&mut self, step: &Step) -> Vec<String> {
        match step {
            Step::Publish { queue, count } => {
                for _ in 0..*count {
                    self.publisher.publish(QUEUES[*queue], "m");
                }
                self.client.hears()
            }
            Step::Settle { at, how } => self.settle(*at, *how),
            Step::Qos { count, global } => {
                self.limit = if *global { usize::from(*count) } else { 0 };
                if !global {
                    self.each = usize::from(*count);
                }
                self.client.ask(qos(*count, *global))
            }
            Step::Consume { queue, no_ack } => {
                let tag = format!("c{}", self.next_consumer);
                self.next_consumer += 1;
                self.limits.insert(tag.clone(), self.each);
                self.consumers.insert(tag.clone(), (*queue, *no_ack));
                let consume = consume_with(QUEUES[*queue], &tag, |c| c.no_ack = *no_ack);
                self.client.ask(consume)
            }
            Step::Cancel(at) => {
                let Some(tag) = choose(self.consumers.keys().cloned().collect(), *at) else {
                    return Vec::new();
                };
                let heard = self.client.ask(cancel(&tag));
                self.consumers.remove(&tag);
                heard
            }
            Step::Delete { queue } => {
                self.publisher.ask(delete(QUEUES[*queue]));
                self.consumers.retain(|_, (of, _)| of != queue);
                self.publisher.ask(declare(QUEUES[*queue]));
                // The new queue is one more that may have its turn before those that wait.
                for passed_over in &mut self.passed_over {
                    *passed_over = passed_over.saturating_sub(1);
                }
                self.client.hears()
            }
            Step::Recover => {
                self.outstanding.clear();
                self.client.ask(recover(true))
            }
        }
    }

    fn settle(&mut self, at: prop::sample::Index, how: How) -> Vec<String> {
        let Some(tag) = choose(self.outstanding.keys().copied().collect(), at) else {
            return Vec::new();
        };
        match how {
            How::AckThrough => self.outstanding.retain(|other, _| *other > tag),
            _ => drop(self.outstanding.remove(&tag)),
        }
        self.client.ask(match how {
            How::Ack => ack(tag, false),
            How::AckThrough => ack(tag, true),
            How::Requeue => nack(tag, false, true),
            How::Reject => nack(tag, false, false),
        })
    }

    /// The queues that have messages for a consumer that may have more.
    fn waiting(&self) -> [bool; QUEUES.len()] {
        std::array::from_fn(|at| {
            let mut consumers = self.consumers.iter().filter(|(_, (of, _))| *of == at);
            self.queue(at).counts().ready > 0 && consumers.any(|(tag, _)| !self.is_spent(tag))
        })
    }

    fn nobody_waits_in_vain(&self) {
        let waiting = self.waiting();
        assert!(
            self.is_full() || !waiting.contains(&true),
            "there is room, and these wait: {waiting:?}"
        );
    }

    /// A queue that waits is served when each of the others was.
    fn everybody_has_a_turn(&mut self, waited: &[bool], served: &[bool]) {
        for at in 0..QUEUES.len() {
            let others = (0..QUEUES.len()).any(|other| other != at && served[other]);
            match (waited[at] && self.waiting()[at], served[at], others) {
                (true, false, true) => self.passed_over[at] += 1,
                (true, false, false) => {}
                _ => self.passed_over[at] = 0,
            }
            assert!(
                self.passed_over[at] < QUEUES.len(),
                "{} never has its turn",
                QUEUES[at]
            );
        }
    }
}

fn choose<T>(mut from: Vec<T>, at: prop::sample::Index) -> Option<T> {
    (!from.is_empty()).then(|| from.swap_remove(at.index(from.len())))
}

proptest! {
    #[test]
    fn nothing_starves_and_nothing_exceeds(steps in prop::collection::vec(step(), 0..120)) {
        let mut world = World::new();
        for step in steps {
            world.run(&step);
        }
    }
}
