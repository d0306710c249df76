//! Every method of AMQP 0-9-1 with RabbitMQ's extensions, the server's too, as rows of a table:
//! how often it is sent, its numbers and its arguments. Written independently of the decoder.

use super::tables::{
    Table, binding_arguments, client_properties, consume_arguments, exchange_arguments,
    queue_arguments, table_of,
};
use leveret_protocol::values::{AMQPValue, FieldTable};
use proptest::prelude::*;
use proptest::sample::select;
use std::fmt;

/// Few names, so that objects collide.
pub(super) const QUEUES: &[&str] = &["a", "b", "c", "d", ""];
pub(super) const EXCHANGES: &[&str] = &[
    "x",
    "y",
    "z",
    "",
    "amq.fanout",
    "amq.topic",
    "amq.direct",
    "amq.headers",
];
pub(super) const TYPES: &[&str] = &[
    "fanout",
    "fanout",
    "direct",
    "topic",
    "headers",
    "x-delayed-message",
    "x-consistent-hash",
    "x-random",
    "x-modulus-hash",
    "x-recent-history",
    "weird",
];
const KEYS: &[&str] = &[
    "a", "b", "c", "d", "", "#", "*", "a.*", "a.b.c", "*.b.#", "1", "10",
];
const TAGS: &[&str] = &["s", "t", "u", "v", "w", "x", "y", "z", "", "", "", ""];
/// Its messages are counted: clients take from it, but do not fill, purge or delete it.
pub(super) const PROBE: &str = "the-probe";
const SOURCES: &[&str] = &[
    "a",
    "b",
    "c",
    "a",
    "b",
    "c",
    "d",
    "",
    "amq.rabbitmq.reply-to",
];
/// The virtual hosts that there are.
pub(super) const VHOSTS: [&str; 2] = ["/", "v"];

/// An argument's place in a method.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Octet,
    Short,
    Long,
    LongText,
    Word,
    /// A queue to declare, bind, purge or delete.
    Queue,
    /// One of these queues or exchanges.
    Named(&'static str),
    NoArguments,
    /// A queue to take messages from.
    Source,
    Probe,
    Exchange,
    ExchangeType,
    Key,
    ConsumerTag,
    DeliveryTag,
    PrefetchSize,
    PrefetchCount,
    Vhost,
    /// Flags, each with its chance in percent, from the lowest bit.
    Bits(&'static [u8]),
    QueueArguments,
    ExchangeArguments,
    BindingArguments,
    ConsumeArguments,
    ClientProperties,
}

type Row = (u32, &'static str, (u16, u16), &'static [Kind]);

use Kind::{
    BindingArguments, Bits, ClientProperties, ConsumeArguments, ConsumerTag, DeliveryTag, Exchange,
    ExchangeArguments, ExchangeType, Key, Long, LongText, Named, NoArguments, Octet, PrefetchCount,
    PrefetchSize, Probe, Queue, QueueArguments, Short, Source, Vhost, Word,
};

/// The methods that a client sends on a channel.
#[rustfmt::skip]
const CLIENT: &[Row] = &[
    (2, "channel.open", (20, 10), &[Word]),
    (2, "channel.flow", (20, 20), &[Bits(&[99])]),
    (1, "channel.flow-ok", (20, 21), &[Bits(&[50])]),
    (1, "channel.close", (20, 40), &[Short, Word, Short, Short]),
    (4, "channel.close-ok", (20, 41), &[]),
    (10, "exchange.declare", (40, 10), &[Short, Named("x"), Named("fanout"), Bits(&[0, 0, 0, 0, 10]), NoArguments]),
    (10, "exchange.declare", (40, 10), &[Short, Named("y"), Named("topic"), Bits(&[0, 100, 0, 0, 10]), NoArguments]),
    (12, "exchange.declare", (40, 10), &[Short, Exchange, ExchangeType, Bits(&[10, 30, 20, 10, 10]), ExchangeArguments]),
    (4, "exchange.delete", (40, 20), &[Short, Exchange, Bits(&[40, 10])]),
    (12, "exchange.bind", (40, 30), &[Short, Exchange, Exchange, Key, Bits(&[10]), BindingArguments]),
    (4, "exchange.unbind", (40, 40), &[Short, Exchange, Exchange, Key, Bits(&[10]), BindingArguments]),
    (14, "queue.declare", (50, 10), &[Short, Named("a"), Bits(&[0, 0, 0, 0, 10]), NoArguments]),
    (14, "queue.declare", (50, 10), &[Short, Named("b"), Bits(&[0, 100, 0, 0, 10]), NoArguments]),
    (14, "queue.declare", (50, 10), &[Short, Named("c"), Bits(&[0, 0, 0, 100, 10]), NoArguments]),
    (14, "queue.declare", (50, 10), &[Short, Named(""), Bits(&[0, 20, 40, 40, 10]), QueueArguments]),
    (16, "queue.declare", (50, 10), &[Short, Queue, Bits(&[8, 30, 15, 25, 10]), QueueArguments]),
    (24, "queue.bind", (50, 20), &[Short, Queue, Exchange, Key, Bits(&[10]), BindingArguments]),
    (6, "queue.unbind", (50, 50), &[Short, Queue, Exchange, Key, BindingArguments]),
    (2, "queue.purge", (50, 30), &[Short, Queue, Bits(&[10])]),
    (5, "queue.delete", (50, 40), &[Short, Queue, Bits(&[40, 40, 10])]),
    (12, "basic.qos", (60, 10), &[PrefetchSize, PrefetchCount, Bits(&[40])]),
    (48, "basic.consume", (60, 20), &[Short, Source, ConsumerTag, Bits(&[10, 30, 3, 10]), ConsumeArguments]),
    (24, "basic.consume", (60, 20), &[Short, Probe, ConsumerTag, Bits(&[10, 0, 2, 10]), ConsumeArguments]),
    (16, "basic.cancel", (60, 30), &[ConsumerTag, Bits(&[10])]),
    (2, "basic.cancel-ok", (60, 31), &[ConsumerTag]),
    (24, "basic.get", (60, 70), &[Short, Source, Bits(&[40])]),
    (12, "basic.get", (60, 70), &[Short, Probe, Bits(&[40])]),
    (1, "basic.ack", (60, 80), &[DeliveryTag, Bits(&[40])]),
    (1, "basic.reject", (60, 90), &[DeliveryTag, Bits(&[50])]),
    (1, "basic.nack", (60, 120), &[DeliveryTag, Bits(&[40, 50])]),
    (2, "basic.recover-async", (60, 100), &[Bits(&[99])]),
    (6, "basic.recover", (60, 110), &[Bits(&[99])]),
    (3, "confirm.select", (85, 10), &[Bits(&[10])]),
    (2, "tx.select", (90, 10), &[]),
    (3, "tx.commit", (90, 20), &[]),
    (2, "tx.rollback", (90, 30), &[]),
];

/// The connection's own, and those that only servers send: few of these are survived.
#[rustfmt::skip]
const OTHERS: &[Row] = &[
    (1, "connection.start", (10, 10), &[Octet, Octet, ClientProperties, LongText, LongText]),
    (2, "connection.start-ok", (10, 11), &[ClientProperties, Word, LongText, Word]),
    (1, "connection.secure", (10, 20), &[LongText]),
    (1, "connection.secure-ok", (10, 21), &[LongText]),
    (1, "connection.tune", (10, 30), &[Short, Long, Short]),
    (2, "connection.tune-ok", (10, 31), &[Short, Long, Short]),
    (2, "connection.open", (10, 40), &[Vhost, Word, Bits(&[50])]),
    (1, "connection.open-ok", (10, 41), &[Word]),
    (6, "connection.close", (10, 50), &[Short, Word, Short, Short]),
    (4, "connection.close-ok", (10, 51), &[]),
    (1, "connection.blocked", (10, 60), &[Word]),
    (1, "connection.unblocked", (10, 61), &[]),
    (4, "connection.update-secret", (10, 70), &[LongText, Word]),
    (1, "connection.update-secret-ok", (10, 71), &[]),
    (1, "channel.open-ok", (20, 11), &[LongText]),
    (1, "access.request", (30, 10), &[Word, Bits(&[50, 50, 50, 50, 50])]),
    (1, "access.request-ok", (30, 11), &[Short]),
    (1, "exchange.declare-ok", (40, 11), &[]),
    (1, "exchange.delete-ok", (40, 21), &[]),
    (1, "exchange.bind-ok", (40, 31), &[]),
    (1, "exchange.unbind-ok", (40, 51), &[]),
    (1, "queue.declare-ok", (50, 11), &[Queue, Long, Long]),
    (1, "queue.bind-ok", (50, 21), &[]),
    (1, "queue.purge-ok", (50, 31), &[Long]),
    (1, "queue.delete-ok", (50, 41), &[Long]),
    (1, "queue.unbind-ok", (50, 51), &[]),
    (1, "basic.qos-ok", (60, 11), &[]),
    (1, "basic.consume-ok", (60, 21), &[ConsumerTag]),
    (1, "basic.return", (60, 50), &[Short, Word, Exchange, Key]),
    (1, "basic.deliver", (60, 60), &[ConsumerTag, DeliveryTag, Bits(&[50]), Exchange, Key]),
    (1, "basic.get-ok", (60, 71), &[DeliveryTag, Bits(&[50]), Exchange, Key, Long]),
    (1, "basic.get-empty", (60, 72), &[Word]),
    (1, "basic.recover-ok", (60, 111), &[]),
    (1, "confirm.select-ok", (85, 11), &[]),
    (1, "tx.select-ok", (90, 11), &[]),
    (1, "tx.commit-ok", (90, 21), &[]),
    (1, "tx.rollback-ok", (90, 31), &[]),
    (1, "nothing", (61, 1), &[Word]),
];

/// A value in its place.
#[derive(Clone)]
enum Value {
    Fixed(Vec<u8>),
    Short(String),
    Long(Vec<u8>),
    Table(Table),
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Fixed(octets) => write!(f, "{octets:?}"),
            Value::Short(text) => write!(f, "{text:?}"),
            Value::Long(octets) => write!(f, "{:?}", String::from_utf8_lossy(octets)),
            Value::Table(table) => write!(f, "{table:?}"),
        }
    }
}

/// A method with its arguments.
#[derive(Clone)]
pub(super) struct Call {
    name: &'static str,
    id: (u16, u16),
    values: Vec<Value>,
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}", self.name, self.values)
    }
}

impl Call {
    /// The payload of its frame.
    pub(super) fn payload(&self) -> Vec<u8> {
        let (class, method) = self.id;
        let mut out = [class.to_be_bytes(), method.to_be_bytes()].concat();
        for value in &self.values {
            match value {
                Value::Fixed(octets) => out.extend_from_slice(octets),
                Value::Short(text) => {
                    out.push(text.len() as u8);
                    out.extend_from_slice(text.as_bytes());
                }
                Value::Long(octets) => {
                    out.extend_from_slice(&(octets.len() as u32).to_be_bytes());
                    out.extend_from_slice(octets);
                }
                Value::Table(table) => out.extend(table.bytes()),
            }
        }
        out
    }
}

/// What a client sends on a channel.
pub(super) fn client_call() -> impl Strategy<Value = Call> {
    call(CLIENT)
}

/// What belongs to channel 0, or to a server.
pub(super) fn other_call() -> impl Strategy<Value = Call> {
    call(OTHERS)
}

fn call(rows: &[Row]) -> impl Strategy<Value = Call> + use<> {
    proptest::strategy::Union::new_weighted(rows.iter().map(weighted_call).collect())
}

fn weighted_call(&(weight, name, id, kinds): &Row) -> (u32, BoxedStrategy<Call>) {
    let values: Vec<_> = kinds.iter().map(|kind| value(*kind)).collect();
    let call = values.prop_map(move |values| Call { name, id, values });
    (weight, call.boxed())
}

fn value(kind: Kind) -> BoxedStrategy<Value> {
    let name = |names: &'static [&'static str]| {
        prop_oneof![
            60 => select(names).prop_map(str::to_owned),
            1 => Just("amq.x".to_owned()),
            1 => Just("n".repeat(255)),
        ]
        .prop_map(Value::Short)
        .boxed()
    };
    let octets = |octets: BoxedStrategy<Vec<u8>>| octets.prop_map(Value::Fixed).boxed();
    match kind {
        Octet => octets(any::<[u8; 1]>().prop_map(Vec::from).boxed()),
        Short => octets(
            prop_oneof![9 => Just([0; 2]), 1 => any::<[u8; 2]>()]
                .prop_map(Vec::from)
                .boxed(),
        ),
        Long => octets(any::<[u8; 4]>().prop_map(Vec::from).boxed()),
        LongText => prop_oneof![
            Just(b"\0guest\0guest".to_vec()),
            prop::collection::vec(any::<u8>(), 0..12)
        ]
        .prop_map(Value::Long)
        .boxed(),
        Word => word().prop_map(Value::Short).boxed(),
        Queue => name(QUEUES),
        Named(name) => Just(Value::Short(name.to_owned())).boxed(),
        NoArguments => Just(Value::Table(Table::Sound(FieldTable::default()))).boxed(),
        Source => name(SOURCES),
        Probe => Just(Value::Short(PROBE.to_owned())).boxed(),
        Exchange => name(EXCHANGES),
        ExchangeType => name(TYPES),
        Key => name(KEYS),
        ConsumerTag => name(TAGS),
        Vhost => name(&["/", "v", "nowhere"]),
        DeliveryTag => octets(
            prop_oneof![8 => 0u64..8, 1 => any::<u64>()]
                .prop_map(|tag| tag.to_be_bytes().to_vec())
                .boxed(),
        ),
        PrefetchSize => octets(
            prop_oneof![200 => Just(0u32), 1 => any::<u32>()]
                .prop_map(|size| size.to_be_bytes().to_vec())
                .boxed(),
        ),
        PrefetchCount => octets(
            prop_oneof![8 => 0u16..4, 1 => any::<u16>()]
                .prop_map(|count| count.to_be_bytes().to_vec())
                .boxed(),
        ),
        Bits(chances) => octets(bits(chances).prop_map(|bits| vec![bits]).boxed()),
        QueueArguments => few(queue_arguments().boxed()),
        ExchangeArguments => few(exchange_arguments().boxed()),
        BindingArguments => few(binding_arguments().boxed()),
        ConsumeArguments => few(consume_arguments().boxed()),
        ClientProperties => table_of(client_properties(), 3)
            .prop_map(Value::Table)
            .boxed(),
    }
}

/// Arguments: mostly none, so that declarations are often the same.
fn few(fields: BoxedStrategy<(String, AMQPValue)>) -> BoxedStrategy<Value> {
    prop_oneof![
        3 => Just(Table::Sound(FieldTable::default())),
        2 => table_of(fields, 3),
    ]
    .prop_map(Value::Table)
    .boxed()
}

/// Flags with a chance in percent each; seldom one that means nothing.
pub(super) fn bits(chances: &'static [u8]) -> impl Strategy<Value = u8> {
    let flags: Vec<_> = chances
        .iter()
        .map(|chance| prop::bool::weighted(f64::from(*chance) / 100.0))
        .collect();
    flags.prop_map(|flags| {
        let set = flags.iter().enumerate().filter(|(_, set)| **set);
        set.map(|(bit, _)| 1 << bit).sum()
    })
}

/// A routing key.
pub(super) fn key() -> impl Strategy<Value = &'static str> {
    select(KEYS)
}

/// An exchange to publish to.
pub(super) fn exchange() -> impl Strategy<Value = &'static str> {
    prop_oneof![1 => Just(""), 2 => select(EXCHANGES)]
}

/// Some text.
pub(super) fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(&["a", "b", "en_US", "PLAIN", "AMQPLAIN", "ä€"][..]).prop_map(str::to_owned),
        2 => "[a-z]{0,4}",
        1 => (0usize..256).prop_map(|len| "w".repeat(len)),
    ]
}
