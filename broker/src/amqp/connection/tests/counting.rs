//! What connections, queues, exchanges and virtual hosts count, against a model.

use super::client::Client;
use super::requests::{
    ack, bind, channel_close, channel_open, confirm_select, consume, consume_with, declare,
    declare_limited, exchange, get, nack, qos, reject, table, text, tx_commit, tx_rollback,
    tx_select,
};
use super::{broker, client, two_clients};
use crate::engine::queue::{QueueKind, Reason};
use crate::engine::statistics::{MessageStats, Strategy};
use crate::manage::objects::memory::Memory;
use leveret_protocol::ChannelId;
use leveret_protocol::classes::BasicProperties;
use leveret_protocol::values::AMQPValue;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::BTreeMap;

const QUEUES: [&str; 2] = ["q0", "q1"];
const CHANNELS: [u16; 2] = [1, 2];

/// The counters, by who counts, and what they follow from.
#[derive(Default)]
struct Model {
    channels: BTreeMap<u16, Channel>,
    queues: [Queue; 2],
    default_exchange: (u64, u64),
    fanout: (u64, u64),
    /// Of the connection, as of its virtual host.
    all: MessageStats,
    next_position: u64,
}

#[derive(Default)]
struct Queue {
    stats: MessageStats,
    /// By position, whether they were delivered before.
    ready: BTreeMap<u64, bool>,
}

#[derive(Default)]
struct Channel {
    stats: MessageStats,
    tags: u64,
    /// By delivery tag: the queue and the position.
    unacked: BTreeMap<u64, (usize, u64)>,
}

impl Model {
    /// Counts something on a channel, and for its connection.
    fn count(&mut self, channel: u16, count: impl Fn(&mut MessageStats)) {
        count(&mut self.channels.get_mut(&channel).unwrap().stats);
        count(&mut self.all);
    }

    fn publish(&mut self, channel: u16, to: &[usize], fanout: bool, mandatory: bool) {
        let (confirmed, routed) = (channel == 2, to.len() as u64);
        self.count(channel, |stats| {
            stats.publish += 1;
            stats.confirm += u64::from(confirmed);
            stats.return_unroutable += u64::from(routed == 0 && mandatory);
            stats.drop_unroutable += u64::from(routed == 0 && !mandatory);
        });
        self.all.publish_in += 1;
        self.all.publish_out += routed;
        let exchange = match fanout {
            true => &mut self.fanout,
            false => &mut self.default_exchange,
        };
        exchange.0 += 1;
        exchange.1 += routed;
        for queue in to {
            self.next_position += 1;
            let queue = &mut self.queues[*queue];
            queue.stats.publish += 1;
            queue.ready.insert(self.next_position, false);
        }
    }

    fn get(&mut self, channel: u16, from: usize, no_ack: bool) {
        let Some((position, redelivered)) = self.queues[from].ready.pop_first() else {
            self.queues[from].stats.get_empty += 1;
            return self.count(channel, |stats| stats.get_empty += 1);
        };
        self.queues[from].stats.count_get(no_ack, redelivered);
        self.count(channel, |stats| stats.count_get(no_ack, redelivered));
        let channel = self.channels.get_mut(&channel).unwrap();
        channel.tags += 1;
        if !no_ack {
            channel.unacked.insert(channel.tags, (from, position));
        }
    }

    fn take(&mut self, channel: u16, tag: u64, multiple: bool) -> Vec<(usize, u64)> {
        let unacked = &mut self.channels.get_mut(&channel).unwrap().unacked;
        if !multiple {
            return unacked.remove(&tag).into_iter().collect();
        }
        let rest = unacked.split_off(&(tag + 1));
        std::mem::replace(unacked, rest).into_values().collect()
    }

    fn ack(&mut self, channel: u16, tag: u64, multiple: bool) {
        for (queue, _) in self.take(channel, tag, multiple) {
            self.queues[queue].stats.ack += 1;
            self.count(channel, |stats| stats.ack += 1);
        }
    }

    fn requeue(&mut self, deliveries: Vec<(usize, u64)>) {
        for (queue, position) in deliveries {
            self.queues[queue].ready.insert(position, true);
        }
    }

    fn close(&mut self, channel: u16) {
        let closed = self.channels.insert(channel, Channel::default());
        self.requeue(closed.unwrap().unacked.into_values().collect());
    }

    fn check(&self, client: &Client) {
        for (id, channel) in &self.channels {
            let found = client.connection.channels.get(ChannelId(*id)).unwrap();
            assert_eq!(found.stats, channel.stats, "channel {id}");
        }
        let vhost = client.broker.vhost("/").unwrap();
        for (queue, name) in self.queues.iter().zip(QUEUES) {
            let found = vhost.queue(name).unwrap();
            assert_eq!(found.stats(), queue.stats, "{name}");
            assert_eq!(found.counts().ready, queue.ready.len() as u64, "{name}");
        }
        let counted = |(publish_in, publish_out)| MessageStats {
            publish_in,
            publish_out,
            ..MessageStats::default()
        };
        let default = vhost.statistics.default_exchange.get();
        assert_eq!(default, counted(self.default_exchange));
        let fanout = vhost.exchange("x").unwrap();
        assert_eq!(fanout.counts.get(), counted(self.fanout));
        assert_eq!(client.connection.tally.total(), self.all);
        assert_eq!(client.connection.info.stats.get(), self.all);
        assert_eq!(vhost.statistics.sums().stats(), self.all);
    }
}

fn publish(
    client: &mut Client,
    channel: u16,
    exchange: &str,
    key: &str,
    mandatory: bool,
    slow: bool,
) {
    let mut publish = super::requests::publish(exchange, key);
    publish.mandatory = mandatory;
    // A header that asks for copies takes the slow path.
    let properties = match slow {
        true => BasicProperties::default().with_headers(table([(
            "CC",
            AMQPValue::FieldArray(vec![text("nowhere")].into()),
        )])),
        false => BasicProperties::default(),
    };
    client.publish_with(channel, publish, &properties, b"body");
}

#[test]
fn whatever_happens_is_counted_as_the_model_counts_it() {
    let seed = rand::rng().random::<u64>();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut client = client();
    client.open_channel(2);
    client.send(2, confirm_select());
    client.ask(exchange("x", "fanout"));
    for queue in QUEUES {
        client.ask(declare(queue));
        client.ask(bind(queue, "x", ""));
    }
    let mut model = Model::default();
    for channel in CHANNELS {
        model.channels.insert(channel, Channel::default());
    }
    for _ in 0..2000 {
        let channel = CHANNELS[random.random_range(0..2)];
        let queue = random.random_range(0..2);
        let (mandatory, slow) = (random.random_bool(0.3), random.random_bool(0.3));
        let unacked = model.channels[&channel].unacked.keys().copied();
        let unacked: Vec<u64> = unacked.collect();
        match random.random_range(0..20) {
            0..=4 => {
                publish(&mut client, channel, "", QUEUES[queue], mandatory, slow);
                model.publish(channel, &[queue], false, mandatory);
            }
            5..=6 => {
                publish(&mut client, channel, "x", "", mandatory, slow);
                model.publish(channel, &[0, 1], true, mandatory);
            }
            7 => {
                publish(&mut client, channel, "", "nowhere", mandatory, slow);
                model.publish(channel, &[], false, mandatory);
            }
            8..=13 => {
                let no_ack = random.random_bool(0.3);
                client.send(channel, get(QUEUES[queue], no_ack));
                model.get(channel, queue, no_ack);
            }
            14..=15 if !unacked.is_empty() => {
                let tag = unacked[random.random_range(0..unacked.len())];
                let multiple = random.random_bool(0.3);
                client.send(channel, ack(tag, multiple));
                model.ack(channel, tag, multiple);
            }
            16..=17 if !unacked.is_empty() => {
                let tag = unacked[random.random_range(0..unacked.len())];
                let (multiple, again) = (random.random_bool(0.3), random.random_bool(0.7));
                client.send(channel, nack(tag, multiple, again));
                let taken = model.take(channel, tag, multiple);
                if again {
                    model.requeue(taken);
                }
            }
            18 if random.random_bool(0.1) => {
                client.send(channel, channel_close());
                client.send(channel, channel_open());
                if channel == 2 {
                    client.send(2, confirm_select());
                }
                model.close(channel);
            }
            _ => {}
        }
        client.hears();
        model.check(&client);
    }
}

#[test]
fn deliveries_are_counted_by_whether_they_need_an_acknowledgement() {
    let (mut one, mut other) = two_clients();
    one.ask(declare("q"));
    one.ask(consume("q", "c"));
    (0..5).for_each(|n| one.publish("q", &n.to_string()));
    one.hears();
    one.ask(ack(2, true));
    // The rest goes to the other, redelivered.
    other.ask(consume_with("q", "d", |consume| consume.no_ack = true));
    one.ask(channel_close());
    other.hears();
    let broker = one.broker.clone();
    let vhost = broker.vhost("/").unwrap();
    let stats = vhost.queue("q").unwrap().stats();
    let expected = MessageStats {
        publish: 5,
        deliver: 5,
        deliver_no_ack: 3,
        redeliver: 3,
        ack: 2,
        ..MessageStats::default()
    };
    assert_eq!(stats, expected);
    let sums = vhost.statistics.sums();
    let mut traffic = sums.traffic;
    assert_eq!(traffic.of(QueueKind::Classic).deliver_get(), 8);
    assert_eq!(traffic.of(QueueKind::Quorum).deliver_get(), 0);
    one.connection.end();
    other.connection.end();
    let after = vhost.statistics.sums();
    assert_eq!(after.stats(), sums.stats(), "it outlives the connections");
    let churn = broker.statistics.churn.get();
    assert_eq!((churn.connection_created, churn.connection_closed), (2, 2));
    assert_eq!((churn.channel_created, churn.channel_closed), (2, 2));
    assert_eq!((churn.queue_declared, churn.queue_created), (1, 1));
}

#[test]
fn what_a_transaction_does_counts_once_it_is_committed() {
    let mut client = client();
    client.ask(declare("q"));
    client.publish("q", "first");
    client.ask(tx_select());
    client.ask(get("q", false));
    client.publish("q", "second");
    client.ask(ack(1, false));
    let stats = |client: &Client| {
        let channel = client.connection.channels.get(ChannelId(1)).unwrap();
        (channel.stats.publish, channel.stats.ack)
    };
    assert_eq!(stats(&client), (1, 0));
    client.ask(tx_rollback());
    assert_eq!(stats(&client), (1, 0));
    client.publish("q", "second");
    client.ask(ack(1, false));
    client.ask(tx_commit());
    assert_eq!(stats(&client), (2, 1));
    let queue = client.broker.vhost("/").unwrap().queue("q").unwrap();
    assert_eq!((queue.stats().publish, queue.stats().ack), (2, 1));
}

#[test]
fn deaths_are_counted_by_reason_and_strategy() {
    let broker = broker();
    let mut client = Client::ready(&broker);
    client.ask(declare_limited("short", 1, "drop-head"));
    for _ in 0..4 {
        client.publish("short", "m");
    }
    client.ask(get("short", false));
    client.ask(reject(1, false));
    let count = |reason| {
        let (kind, strategy) = (QueueKind::Classic, Strategy::Disabled);
        broker.statistics.dead_letters.get(kind, reason, strategy)
    };
    assert_eq!((count(Reason::MaxLength), count(Reason::Rejected)), (3, 1));
}

#[test]
fn a_queue_whose_consumers_do_not_keep_up_says_so() {
    let mut client = client();
    client.ask(declare("q"));
    let queue = client.broker.vhost("/").unwrap().queue("q").unwrap();
    let now = |client: &Client| client.broker.clock.time(client.now);
    assert_eq!(queue.utilisation(now(&client)), Some(0.0), "no consumer");
    client.ask(qos(1, false));
    client.ask(consume("q", "c"));
    assert_eq!(queue.utilisation(now(&client)), Some(1.0));
    client.publish("q", "1");
    client.publish("q", "2");
    client.hears();
    client.wait(std::time::Duration::from_secs(1));
    let half = queue.utilisation(now(&client)).unwrap();
    assert!((half - 0.5).abs() < 0.01, "{half}");
    client.ask(ack(1, false));
    client.ask(ack(2, false));
    client.wait(std::time::Duration::from_secs(60));
    let full = queue.utilisation(now(&client)).unwrap();
    assert!(full > 0.99, "{full}");
}

#[test]
fn an_unacknowledged_message_takes_memory_in_one_place() {
    let mut client = client();
    client.ask(declare("q"));
    let (count, body) = (50, "x".repeat(2000));
    let before = Memory::of(&client.broker);
    (0..count).for_each(|_| client.publish("q", &body));
    let ready = Memory::of(&client.broker);
    let waiting = ready.queue_procs - before.queue_procs;
    assert!(waiting >= count * 2000, "{waiting}");
    assert_eq!(ready.connection_channels, before.connection_channels);
    client.ask(consume("q", "c"));
    client.hears();
    client.connection.report_to_ledger();
    let held = Memory::of(&client.broker);
    assert_eq!(held.queue_procs, before.queue_procs);
    let deliveries = held.connection_channels - before.connection_channels;
    assert!(deliveries >= count * 2000, "{deliveries}");
    assert!(held.connection_other < 2000, "{}", held.connection_other);
}
