//! Two clients that send anything: methods in any order, broken contents, garbage. The broker
//! never panics, loses count of nothing, and serves the next client as if nothing had been.

use super::client::{Client, frame_bytes, publish_bytes};
use super::requests::*;
use super::{broker, broker_with};
use crate::broker::Broker;
use crate::server::mailbox::Mail;
use bytes::BytesMut;
use leveret_protocol::classes::{AMQPClass, BasicProperties};
use leveret_protocol::frame::FRAME_END;
use leveret_protocol::{ChannelId, method};
use leveret_storage::{Options, Store};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Something that a client sends.
#[derive(Clone, Debug)]
enum Act {
    Ask(u16, AMQPClass),
    /// A publish of which only part is sent when `cut` is less than all.
    Publish {
        channel: u16,
        exchange: &'static str,
        key: &'static str,
        persistent: bool,
        mandatory: bool,
        size: usize,
        frame_max: usize,
        cut: usize,
    },
    /// A method with one octet changed.
    Changed(u16, AMQPClass, prop::sample::Index, u8),
    Frame(u8, u16, Vec<u8>),
    Bytes(Vec<u8>),
}

impl Act {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Act::Ask(channel, class) => encoded(*channel, class),
            Act::Publish {
                channel,
                exchange,
                key,
                persistent,
                mandatory,
                size,
                frame_max,
                cut,
            } => {
                let mode = 1 + u8::from(*persistent);
                let properties = BasicProperties::default().with_delivery_mode(mode);
                let mut publish = publish(exchange, key);
                publish.mandatory = *mandatory;
                let body = vec![b'x'; *size];
                let all = publish_bytes(*channel, publish, &properties, &body, *frame_max);
                // Cut where frames end, so that others can follow.
                let ends = (0..=all.len()).filter(|at| *at == 0 || all[at - 1] == FRAME_END);
                let end = ends.take(cut + 1).last().unwrap_or_default();
                all[..end].to_vec()
            }
            Act::Changed(channel, class, at, to) => {
                let mut bytes = encoded(*channel, class);
                let at = 7 + at.index(bytes.len() - 8);
                bytes[at] = *to;
                bytes
            }
            Act::Frame(kind, channel, payload) => frame_bytes(*kind, *channel, payload),
            Act::Bytes(bytes) => bytes.clone(),
        }
    }
}

fn encoded(channel: u16, class: &AMQPClass) -> Vec<u8> {
    let mut out = BytesMut::new();
    method::encode(&mut out, ChannelId(channel), class);
    out.to_vec()
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "d", ""])
}

fn exchange_name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["", "x", "y", "amq.fanout", "amq.topic"])
}

fn queue_request() -> impl Strategy<Value = AMQPClass> {
    prop_oneof![
        5 => (name(), prop::bool::weighted(0.3), prop::bool::weighted(0.2), any::<bool>()).prop_map(
            |(name, durable, exclusive, auto_delete)| declare_with(name, |d| {
                (d.durable, d.exclusive, d.auto_delete) = (durable, exclusive, auto_delete);
            })),
        1 => name().prop_map(|name| declare_with(name, |d| d.passive = true)),
        1 => (name(), 0i32..3, prop::sample::select(vec!["", "reject-publish"])).prop_map(
            |(name, messages, overflow)| declare_limited(name, messages, overflow)),
        1 => (name(), any::<bool>(), any::<bool>()).prop_map(
            |(name, unused, empty)| delete_if(name, unused, empty)),
        1 => name().prop_map(purge),
        3 => (name(), exchange_name(), name()).prop_map(|(q, x, key)| bind(q, x, key)),
        1 => (name(), exchange_name(), name()).prop_map(|(q, x, key)| unbind(q, x, key)),
        2 => (exchange_name(), any::<bool>(), any::<bool>()).prop_map(
            |(name, durable, auto_delete)| exchange_with(name, "fanout", |x| {
                (x.durable, x.auto_delete) = (durable, auto_delete);
            })),
        1 => (exchange_name(), any::<bool>()).prop_map(|(x, unused)| exchange_delete(x, unused)),
        1 => (exchange_name(), exchange_name()).prop_map(|(to, from)| exchange_bind(to, from)),
    ]
}

fn basic_request() -> impl Strategy<Value = AMQPClass> {
    let tag = || prop::sample::select(vec!["s", "t", "u", ""]);
    prop_oneof![
        4 => (name(), tag(), prop::bool::weighted(0.3), prop::bool::weighted(0.1)).prop_map(
            |(queue, tag, no_ack, exclusive)| consume_with(queue, tag, |c| {
                (c.no_ack, c.exclusive) = (no_ack, exclusive);
            })),
        2 => tag().prop_map(cancel),
        3 => (name(), any::<bool>()).prop_map(|(queue, no_ack)| get(queue, no_ack)),
        4 => (0u64..6, any::<bool>()).prop_map(|(tag, multiple)| ack(tag, multiple)),
        3 => (0u64..6, any::<bool>(), any::<bool>()).prop_map(
            |(tag, multiple, requeue)| nack(tag, multiple, requeue)),
        1 => (0u64..6, any::<bool>()).prop_map(|(tag, requeue)| reject(tag, requeue)),
        2 => (0u16..3, any::<bool>()).prop_map(|(count, global)| qos(count, global)),
        // Without requeue it closes the connection; that is tested elsewhere.
        1 => Just(recover(true)),
        1 => Just(confirm_select()),
        2 => Just(tx_select()),
        4 => Just(tx_commit()),
        2 => Just(tx_rollback()),
    ]
}

fn channel_request() -> impl Strategy<Value = AMQPClass> {
    prop_oneof![
        6 => Just(channel_open()),
        2 => Just(channel_close()),
        3 => Just(channel_close_ok()),
        1 => Just(flow(true)),
    ]
}

fn request() -> impl Strategy<Value = AMQPClass> {
    prop_oneof![3 => queue_request(), 5 => basic_request(), 1 => channel_request()]
}

fn act() -> impl Strategy<Value = Act> {
    let channel = || 1u16..4;
    let whole = 1000usize;
    prop_oneof![
        20 => (channel(), request()).prop_map(|(channel, class)| Act::Ask(channel, class)),
        12 => (channel(), exchange_name(), name(), any::<(bool, bool)>(), 0usize..12_000,
              9usize..5000, prop_oneof![20 => Just(whole), 1 => 0usize..4]).prop_map(
            |(channel, exchange, key, (persistent, mandatory), size, frame_max, cut)| {
                // Small frames for small bodies: a frame per octet of a large one takes its time.
                let frame_max = frame_max.max(size / 20 + 8);
                Act::Publish { channel, exchange, key, persistent, mandatory, size, frame_max, cut }
            }),
        1 => (channel(), request(), any::<prop::sample::Index>(), any::<u8>()).prop_map(
            |(channel, class, at, to)| Act::Changed(channel, class, at, to)),
        1 => (prop::sample::select(vec![1u8, 2, 3, 8, 9]), 0u16..5,
              prop::collection::vec(any::<u8>(), 0..40)).prop_map(
            |(kind, channel, payload)| Act::Frame(kind, channel, payload)),
        1 => prop::collection::vec(any::<u8>(), 1..20).prop_map(Act::Bytes),
        1 => prop::sample::select(vec![close(), close_ok(), open("/")]).prop_map(
            |class| Act::Ask(0, class)),
    ]
}

/// One client's turn: what it sends, and in pieces of how many octets.
#[derive(Clone, Debug)]
struct Turn {
    client: usize,
    acts: Vec<Act>,
    piece: usize,
    listens: bool,
}

fn turn() -> impl Strategy<Value = Turn> {
    (
        0usize..2,
        prop::collection::vec(act(), 1..6),
        prop_oneof![1usize..30, Just(100_000)],
        prop::bool::weighted(0.8),
    )
        .prop_map(|(client, acts, piece, listens)| Turn {
            client,
            acts,
            piece,
            listens,
        })
}

fn fresh(broker: &Arc<Broker>) -> Client {
    let mut client = Client::ready(broker);
    client.open_channel(2);
    client
}

/// Runs all turns, then ends both clients and looks at what is left.
fn run(broker: &Arc<Broker>, turns: Vec<Turn>) {
    let mut clients = [fresh(broker), fresh(broker)];
    // Something to work with from the start.
    for name in ["a", "b"] {
        clients[0].send(1, declare(name));
        clients[1].send(1, consume(name, "first"));
    }
    for turn in turns {
        let client = &mut clients[turn.client];
        let bytes: Vec<u8> = turn.acts.iter().flat_map(Act::bytes).collect();
        for piece in bytes.chunks(turn.piece) {
            client.bytes(piece);
        }
        if turn.listens {
            let heard = client.hears();
            answer(client, &heard);
        }
        if client.connection.is_ending() || !client.connection.is_open() {
            client.connection.end();
            *client = fresh(broker);
        }
        check_counts(broker, &clients);
    }
    for client in &mut clients {
        client.connection.end();
    }
    check_the_end(broker);
}

/// Channels that were closed on us can be used again once we have said that we know.
fn answer(client: &mut Client, heard: &[String]) {
    for line in heard {
        let (channel, told) = line.split_once(' ').unwrap_or_default();
        let channel: u16 = channel.parse().unwrap_or_default();
        if told.starts_with("close ") && channel > 0 {
            client.send(channel, channel_close_ok());
            client.send(channel, channel_open());
        } else if told.starts_with("close ") {
            client.send(0, close_ok());
        }
    }
}

/// Every unacknowledged message that a queue counts is with one client, or on its way there.
fn check_counts(broker: &Broker, clients: &[Client; 2]) {
    let mut held: BTreeMap<u64, u64> = BTreeMap::new();
    for client in clients {
        for channel in client.connection.channels.iter().flatten() {
            let uncommitted = channel.transaction.iter().flat_map(|tx| tx.deliveries());
            let unacked = channel.unacked.entries().map(|(_, delivery)| delivery);
            for delivery in unacked.chain(uncommitted) {
                *held.entry(delivery.queue.id.0).or_default() += 1;
            }
        }
        client.mailbox.peek(|mail| {
            for mail in mail {
                if let Mail::Deliver(consumer, _) = mail
                    && !consumer.no_ack
                {
                    *held.entry(consumer.queue.id.0).or_default() += 1;
                }
            }
        });
    }
    for queue in broker.vhost("/").unwrap().queues() {
        let expected = held.get(&queue.id.0).copied().unwrap_or_default();
        assert_eq!(queue.counts().unacked, expected, "queue {}", queue.name());
    }
}

fn check_the_end(broker: &Arc<Broker>) {
    let vhost = broker.vhost("/").unwrap();
    for queue in vhost.queues() {
        let counts = queue.counts();
        assert_eq!((counts.unacked, counts.consumers), (0, 0));
        assert!(queue.spec.exclusive_to.is_none(), "its connection is gone");
    }
    let mut client = Client::ready(broker);
    for queue in vhost.queues() {
        let ready = queue.counts().ready;
        for left in (0..ready).rev() {
            let heard = client.ask(get(queue.name().as_str(), true));
            assert!(heard[0].contains(&format!("left {left} ")), "{heard:?}");
        }
        assert_eq!(
            client.ask(get(queue.name().as_str(), true)),
            ["1 get-empty"]
        );
    }
    client.ask(declare("afterwards"));
    client.publish("afterwards", "m");
    let heard = client.ask(get("afterwards", true));
    assert!(heard[0].ends_with("left 0 'm'"), "{heard:?}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nothing_that_clients_send_does_harm(turns in prop::collection::vec(turn(), 1..40)) {
        run(&broker(), turns);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..Default::default() })]

    #[test]
    fn nor_with_a_store(turns in prop::collection::vec(turn(), 1..40)) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(Options::new(directory.path())).unwrap().store;
        run(&broker_with(Some(store)), turns);
    }
}
