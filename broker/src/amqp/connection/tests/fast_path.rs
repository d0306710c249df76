//! Publishes on the fast path have the same effect as those processed frame by frame, and as those
//! that arrive in pieces of any size.

use super::broker;
use super::client::{Client, publish_bytes};
use super::requests::*;
use leveret_protocol::classes::{AMQPClass, BasicProperties, queue};
use leveret_protocol::frame::{self, Split};
use leveret_protocol::values::{AMQPValue, FieldTable};
use proptest::prelude::*;
use std::collections::BTreeMap;

const QUEUES: [&str; 7] = ["q", "r", "s", "t", "u", "short", "long"];
const EXCHANGES: [&str; 11] = [
    "",
    "",
    "amq.direct",
    "amq.topic",
    "amq.topic",
    "amq.fanout",
    "amq.headers",
    "late",
    "through",
    "inside",
    "missing",
];
const KEYS: [&str; 8] = ["q", "r", "s", "a.q", "a.r", "short", "nowhere", "long"];
const KINDS: [Kind; 14] = [
    Kind::Plain,
    Kind::Plain,
    Kind::Persistent,
    Kind::Persistent,
    Kind::Typed,
    Kind::Expiring(true),
    Kind::Expiring(false),
    Kind::Headers("way", 1),
    Kind::Headers("way", 2),
    Kind::Headers("x-delay", 60_000),
    Kind::Copies("CC"),
    Kind::Copies("BCC"),
    Kind::User(true),
    Kind::User(false),
];

#[derive(Clone, Debug)]
enum Step {
    /// Messages, in one piece or in pieces of this size.
    Publish(Vec<One>, usize),
    /// A queue is deleted, or declared again.
    Toggle(usize),
    /// A binding is added or removed.
    Rebind(bool),
    Confirms,
    Transaction,
    Commit,
}

/// A message, repeated.
#[derive(Clone, Debug)]
struct One {
    exchange: &'static str,
    key: &'static str,
    kind: Kind,
    size: usize,
    mandatory: bool,
    immediate: bool,
    times: usize,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Plain,
    Persistent,
    Typed,
    /// With a valid or invalid expiration.
    Expiring(bool),
    Headers(&'static str, i32),
    Copies(&'static str),
    /// With the user id of its publisher, or another one.
    User(bool),
}

impl Kind {
    fn properties(self) -> BasicProperties {
        let plain = BasicProperties::default();
        match self {
            Kind::Plain => plain,
            Kind::Persistent => plain.with_delivery_mode(2),
            Kind::Typed => plain.with_content_type("text".into()).with_priority(3),
            Kind::Expiring(true) => plain.with_expiration("60000".into()),
            Kind::Expiring(false) => plain.with_expiration("soon".into()),
            Kind::Headers(name, value) => {
                plain.with_headers(table([(name, AMQPValue::LongInt(value))]))
            }
            Kind::Copies(name) => {
                let keys = AMQPValue::FieldArray(vec![text("t"), text("r")].into());
                plain.with_headers(table([(name, keys)]))
            }
            Kind::User(true) => plain.with_user_id("guest".into()),
            Kind::User(false) => plain.with_user_id("somebody".into()),
        }
    }
}

/// Operations that close the channel are rare, so that there are others before and after them.
fn one() -> impl Strategy<Value = One> {
    let sizes = vec![0usize, 5, 5, 100, 4096, 4097, 200_000];
    let rarely = || prop::bool::weighted(0.02);
    let names = (
        0..EXCHANGES.len(),
        prop::sample::select(KEYS.to_vec()),
        0..KINDS.len(),
        rarely(),
    );
    let rest = (
        prop::sample::select(sizes),
        any::<bool>(),
        rarely(),
        1usize..4,
    );
    (names, rest).prop_map(
        |((exchange, key, kind, fatal), (size, mandatory, immediate, times))| One {
            exchange: match EXCHANGES[exchange] {
                "inside" | "missing" if !fatal => "amq.direct",
                exchange => exchange,
            },
            key,
            kind: match KINDS[kind] {
                Kind::Expiring(false) | Kind::User(false) if !fatal => Kind::Plain,
                kind => kind,
            },
            size,
            mandatory,
            immediate,
            times,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let pieces = prop_oneof![2 => Just(usize::MAX), 1 => 1usize..300];
    let publish = (prop::collection::vec(one(), 1..40), pieces)
        .prop_map(|(messages, piece)| Step::Publish(messages, piece));
    prop_oneof![
        12 => publish,
        1 => (0..QUEUES.len()).prop_map(Step::Toggle),
        1 => any::<bool>().prop_map(Step::Rebind),
        1 => Just(Step::Confirms),
        1 => prop::bool::weighted(0.3).prop_map(|begin| match begin {
            true => Step::Transaction,
            false => Step::Commit,
        }),
    ]
}

/// How publishes reach the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cut {
    /// As the step specifies.
    Pieces,
    /// Every frame by itself.
    Frames,
}

struct Side {
    client: Client,
    cut: Cut,
    exists: [bool; QUEUES.len()],
    heard: Vec<String>,
    /// The verdict on each confirmed publish, for each channel that ever existed: one confirm may
    /// cover several, which ones depends on timing.
    verdicts: Vec<BTreeMap<u64, &'static str>>,
}

fn declaration(name: &str) -> AMQPClass {
    match name {
        "short" => declare_limited(name, 3, "reject-publish"),
        _ => declare(name),
    }
}

fn headers_binding(queue: &str, way: i32) -> AMQPClass {
    AMQPClass::Queue(queue::AMQPMethod::Bind(queue::Bind {
        queue: queue.into(),
        exchange: "amq.headers".into(),
        routing_key: "".into(),
        nowait: false,
        arguments: table([("way", AMQPValue::LongInt(way))]),
    }))
}

impl Side {
    fn new(cut: Cut) -> Side {
        let mut side = Side {
            client: Client::ready(&broker()),
            cut,
            exists: [true; QUEUES.len()],
            heard: Vec::new(),
            verdicts: vec![BTreeMap::new()],
        };
        let client = &mut side.client;
        client.ask(exchange_with("late", "x-delayed-message", |exchange| {
            exchange.arguments = table([("x-delayed-type", text("direct"))]);
        }));
        client.ask(exchange("through", "topic"));
        client.ask(exchange_with("inside", "direct", |exchange| {
            exchange.internal = true;
        }));
        client.ask(exchange_bind("amq.direct", "through"));
        for (number, queue) in QUEUES.into_iter().enumerate() {
            client.ask(declaration(queue));
            client.ask(bind(queue, "amq.fanout", ""));
            client.ask(bind(queue, "amq.direct", queue));
            client.ask(bind(queue, "late", queue));
            client.ask(bind(queue, "amq.topic", &format!("*.{queue}")));
            client.ask(headers_binding(queue, number as i32 % 3));
        }
        client.ask(bind("t", "amq.topic", "#"));
        side
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Toggle(which) => {
                self.exists[*which] ^= true;
                let name = QUEUES[*which];
                match self.exists[*which] {
                    true => self.client.send(1, declaration(name)),
                    false => self.client.send(1, delete(name)),
                }
            }
            Step::Rebind(true) => self.client.send(1, bind("s", "amq.topic", "a.*")),
            Step::Rebind(false) => self.client.send(1, unbind("s", "amq.topic", "a.*")),
            Step::Confirms => self.client.send(1, confirm_select()),
            Step::Transaction => self.client.send(1, tx_select()),
            Step::Commit => self.client.send(1, tx_commit()),
            Step::Publish(messages, piece) => {
                let mut bytes = Vec::new();
                for one in messages {
                    bytes.extend_from_slice(&one.bytes());
                }
                self.send(&bytes, *piece);
            }
        }
        self.hear();
    }

    fn send(&mut self, mut bytes: &[u8], piece: usize) {
        if self.cut == Cut::Pieces {
            for piece in bytes.chunks(piece.max(bytes.len() / 2000).max(1)) {
                self.client.bytes(piece);
            }
            return;
        }
        while let Ok(Split::Whole(whole)) = frame::split(bytes, 0) {
            self.client.bytes(&bytes[..whole.total()]);
            bytes = &bytes[whole.total()..];
        }
    }

    fn hear(&mut self) {
        for line in self.client.hears() {
            let words: Vec<&str> = line.split(' ').collect();
            let verdict = match words[..] {
                ["1", "ack", ..] => "ack",
                ["1", "nack", ..] => "nack",
                _ => {
                    self.heard.push(line);
                    continue;
                }
            };
            let tag: u64 = words[2].parse().expect("a tag");
            let verdicts = self.verdicts.last_mut().expect("one at least");
            let first = if words.len() > 3 { 1 } else { tag };
            for tag in first..=tag {
                verdicts.entry(tag).or_insert(verdict);
            }
        }
        if self
            .heard
            .last()
            .is_some_and(|line| line.starts_with("1 close "))
        {
            self.client.send(1, channel_close_ok());
            self.client.send(1, channel_open());
            self.verdicts.push(BTreeMap::new());
        }
        if self
            .heard
            .last()
            .is_some_and(|line| line.starts_with("0 close "))
        {
            // The immediate flag is not a channel error.
            let broker = self.client.broker.clone();
            self.client = Client::ready(&broker);
            self.heard.push("again".to_owned());
            self.verdicts.push(BTreeMap::new());
        }
    }

    /// All that was received, what was confirmed, and what is in the queues.
    fn outcome(mut self) -> (Vec<String>, Vec<BTreeMap<u64, &'static str>>, Vec<String>) {
        self.hear();
        let mut kept = Vec::new();
        let vhost = self.client.broker.vhost("/").expect("it is there");
        for queue in QUEUES.iter().filter_map(|name| vhost.queue(name)) {
            let mut fx = Default::default();
            while let Some((entry, _)) = queue.get(true, &mut fx) {
                let message = &entry.message;
                kept.push(format!(
                    "{} {:?} {:?} {:?} {} {} {:?}",
                    queue.name(),
                    String::from_utf8_lossy(message.exchange()),
                    String::from_utf8_lossy(message.routing_key()),
                    message.properties(),
                    message.body().len(),
                    message.persistent(),
                    entry.position,
                ));
            }
        }
        (self.heard, self.verdicts, kept)
    }
}

impl One {
    fn bytes(&self) -> Vec<u8> {
        let mut publish = publish(self.exchange, self.key);
        publish.mandatory = self.mandatory;
        publish.immediate = self.immediate;
        let (properties, body) = (self.kind.properties(), vec![b'x'; self.size]);
        publish_bytes(1, publish, &properties, &body, 131_072).repeat(self.times)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn however_it_is_cut_the_outcome_is_the_same(
        steps in prop::collection::vec(step(), 1..12),
    ) {
        let mut sides = [Side::new(Cut::Pieces), Side::new(Cut::Frames)];
        for step in &steps {
            for side in &mut sides {
                side.step(step);
            }
        }
        let [pieces, frames] = sides.map(Side::outcome);
        prop_assert_eq!(pieces, frames);
    }
}

/// The publishes of a batch, whatever their keys, reach each queue in the order in which they were
/// sent.
#[test]
fn keys_that_take_turns_do_not_change_the_order_in_a_queue() {
    let mut side = Side::new(Cut::Pieces);
    let mut bytes = Vec::new();
    for n in 0..3000usize {
        // Alternately to one queue, the other, or both.
        let (exchange, key) = [
            ("", "q"),
            ("", "r"),
            ("amq.fanout", "any"),
            ("amq.topic", "a.q"),
        ][n * 7919 % 13 % 4];
        let body = n.to_string();
        let publish = publish(exchange, key);
        let none = BasicProperties::default();
        bytes.extend_from_slice(&publish_bytes(1, publish, &none, body.as_bytes(), 4096));
    }
    side.client.bytes(&bytes);
    let vhost = side.client.broker.vhost("/").expect("it is there");
    for name in ["q", "r", "t"] {
        let queue = vhost.queue(name).expect("it was declared");
        let mut fx = Default::default();
        let mut bodies = Vec::new();
        while let Some((entry, _)) = queue.get(true, &mut fx) {
            let text = String::from_utf8_lossy(entry.message.body()).into_owned();
            bodies.push(text.parse::<usize>().expect("a number"));
        }
        assert!(
            bodies.len() > 1000 && bodies.is_sorted(),
            "{name}: {bodies:?}"
        );
    }
}

/// With an exchange that was deleted, or may no longer be written to, the fast path does the same
/// as the slow one.
#[test]
fn a_known_route_is_forgotten_when_the_exchange_goes() {
    let mut client = Client::ready(&broker());
    client.ask(declare("q"));
    client.ask(exchange("x", "fanout"));
    client.ask(bind("q", "x", ""));
    let one = || publish_bytes(1, publish("x", "k"), &Default::default(), b"m", 4096).repeat(3);
    client.bytes(&one());
    assert_eq!(client.ask(get("q", true)).len(), 1);
    client.ask(exchange_delete("x", false));
    client.bytes(&one());
    assert_eq!(
        client.hears(),
        ["1 close 404 NOT_FOUND - no exchange 'x' in vhost '/' (60,40)"]
    );
}

/// Headers are evaluated for each message, even if its key is cached.
#[test]
fn a_headers_exchange_looks_at_each_message() {
    let mut client = Client::ready(&broker());
    client.ask(declare("one"));
    client.ask(declare("two"));
    client.ask(headers_binding("one", 1));
    client.ask(headers_binding("two", 2));
    let mut bytes = Vec::new();
    for way in [1, 2, 2, 3, 1, 2] {
        let headers: FieldTable = table([("way", AMQPValue::LongInt(way))]);
        let properties = BasicProperties::default().with_headers(headers);
        let publish = publish("amq.headers", "");
        bytes.extend_from_slice(&publish_bytes(1, publish, &properties, b"m", 4096));
    }
    client.bytes(&bytes);
    assert_eq!(client.ask(purge("one")), ["1 purge-ok 2"]);
    assert_eq!(client.ask(purge("two")), ["1 purge-ok 3"]);
}
