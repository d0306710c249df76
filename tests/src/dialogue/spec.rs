//! Every method of AMQP 0-9-1 with its fields (spec 1.1 to 1.9, with RabbitMQ's additions), and
//! the properties of content, as tables to read from.

use std::sync::OnceLock;

/// How a field travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Octet,
    Short,
    Long,
    LongLong,
    Bit,
    ShortString,
    LongString,
    Table,
}

/// A field of a method, or a property of content.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

impl Field {
    /// Fields that carry nothing are sent as zero and not shown.
    pub(super) fn is_reserved(&self) -> bool {
        self.name == "reserved"
    }
}

/// A method.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) name: &'static str,
    pub(super) class: u16,
    pub(super) id: u16,
    pub(super) fields: Vec<Field>,
}

/// Name, class, number, fields. `/o` octet, `/s` short, `/l` long, `/L` long long, `/b` bit,
/// `/t` table, `/S` long string; without a letter a short string.
const METHODS: &str = "
connection.start 10 10 version-major/o version-minor/o server-properties/t mechanisms/S locales/S
connection.start-ok 10 11 client-properties/t mechanism response/S locale
connection.secure 10 20 challenge/S
connection.secure-ok 10 21 response/S
connection.tune 10 30 channel-max/s frame-max/l heartbeat/s
connection.tune-ok 10 31 channel-max/s frame-max/l heartbeat/s
connection.open 10 40 virtual-host reserved reserved/b
connection.open-ok 10 41 reserved
connection.close 10 50 reply-code/s reply-text class-id/s method-id/s
connection.close-ok 10 51
connection.blocked 10 60 reason
connection.unblocked 10 61
connection.update-secret 10 70 new-secret/S reason
connection.update-secret-ok 10 71
channel.open 20 10 reserved
channel.open-ok 20 11 reserved/S
channel.flow 20 20 active/b
channel.flow-ok 20 21 active/b
channel.close 20 40 reply-code/s reply-text class-id/s method-id/s
channel.close-ok 20 41
access.request 30 10 realm exclusive/b passive/b active/b write/b read/b
access.request-ok 30 11 ticket/s
exchange.declare 40 10 reserved/s exchange type passive/b durable/b auto-delete/b internal/b no-wait/b arguments/t
exchange.declare-ok 40 11
exchange.delete 40 20 reserved/s exchange if-unused/b no-wait/b
exchange.delete-ok 40 21
exchange.bind 40 30 reserved/s destination source routing-key no-wait/b arguments/t
exchange.bind-ok 40 31
exchange.unbind 40 40 reserved/s destination source routing-key no-wait/b arguments/t
exchange.unbind-ok 40 51
queue.declare 50 10 reserved/s queue passive/b durable/b exclusive/b auto-delete/b no-wait/b arguments/t
queue.declare-ok 50 11 queue message-count/l consumer-count/l
queue.bind 50 20 reserved/s queue exchange routing-key no-wait/b arguments/t
queue.bind-ok 50 21
queue.purge 50 30 reserved/s queue no-wait/b
queue.purge-ok 50 31 message-count/l
queue.delete 50 40 reserved/s queue if-unused/b if-empty/b no-wait/b
queue.delete-ok 50 41 message-count/l
queue.unbind 50 50 reserved/s queue exchange routing-key arguments/t
queue.unbind-ok 50 51
basic.qos 60 10 prefetch-size/l prefetch-count/s global/b
basic.qos-ok 60 11
basic.consume 60 20 reserved/s queue consumer-tag no-local/b no-ack/b exclusive/b no-wait/b arguments/t
basic.consume-ok 60 21 consumer-tag
basic.cancel 60 30 consumer-tag no-wait/b
basic.cancel-ok 60 31 consumer-tag
basic.publish 60 40 reserved/s exchange routing-key mandatory/b immediate/b
basic.return 60 50 reply-code/s reply-text exchange routing-key
basic.deliver 60 60 consumer-tag delivery-tag/L redelivered/b exchange routing-key
basic.get 60 70 reserved/s queue no-ack/b
basic.get-ok 60 71 delivery-tag/L redelivered/b exchange routing-key message-count/l
basic.get-empty 60 72 reserved
basic.ack 60 80 delivery-tag/L multiple/b
basic.reject 60 90 delivery-tag/L requeue/b
basic.recover-async 60 100 requeue/b
basic.recover 60 110 requeue/b
basic.recover-ok 60 111
basic.nack 60 120 delivery-tag/L multiple/b requeue/b
tx.select 90 10
tx.select-ok 90 11
tx.commit 90 20
tx.commit-ok 90 21
tx.rollback 90 30
tx.rollback-ok 90 31
confirm.select 85 10 no-wait/b
confirm.select-ok 85 11
";

/// From the highest flag bit down (spec 1.8.1).
const PROPERTIES: &str = "content-type content-encoding headers/t delivery-mode/o priority/o \
    correlation-id reply-to expiration message-id timestamp/L type user-id app-id cluster-id";

fn field(word: &'static str) -> Field {
    let (name, kind) = match word.split_once('/') {
        None => (word, Kind::ShortString),
        Some((name, letter)) => {
            let kind = match letter {
                "o" => Kind::Octet,
                "s" => Kind::Short,
                "l" => Kind::Long,
                "L" => Kind::LongLong,
                "b" => Kind::Bit,
                "t" => Kind::Table,
                "S" => Kind::LongString,
                other => panic!("no kind of field {other}"),
            };
            (name, kind)
        }
    };
    Field { name, kind }
}

fn methods() -> &'static [Method] {
    static TABLE: OnceLock<Vec<Method>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let method = |line: &'static str| {
            let mut words = line.split(' ');
            let mut next = || words.next().expect("name, class and number");
            Method {
                name: next(),
                class: next().parse().expect("a class number"),
                id: next().parse().expect("a method number"),
                fields: words.map(field).collect(),
            }
        };
        METHODS.trim().lines().map(method).collect()
    })
}

/// The properties of content, in the order of their flags.
pub(super) fn properties() -> &'static [Field] {
    static TABLE: OnceLock<Vec<Field>> = OnceLock::new();
    TABLE.get_or_init(|| PROPERTIES.split_whitespace().map(field).collect())
}

/// The method of this name.
pub(super) fn method(name: &str) -> Option<&'static Method> {
    methods().iter().find(|method| method.name == name)
}

/// The method with these numbers.
pub(super) fn method_numbered(class: u16, id: u16) -> Option<&'static Method> {
    methods()
        .iter()
        .find(|method| (method.class, method.id) == (class, id))
}

impl Method {
    /// Whether content follows it.
    pub(super) fn has_content(&self) -> bool {
        ["publish", "return", "deliver", "get-ok"]
            .iter()
            .any(|name| self.name.strip_prefix("basic.") == Some(name))
    }

    /// Whether the server answers it, unless `no-wait` asks for silence.
    pub(super) fn is_answered(&self) -> bool {
        method(&format!("{}-ok", self.name)).is_some() && self.name != "connection.start"
    }

    /// Whether it is an answer to a method of this name.
    pub(super) fn answers(&self, asked: &str) -> bool {
        self.name.strip_prefix(asked) == Some("-ok")
            || (asked, self.name) == ("basic.get", "basic.get-empty")
    }
}
