//! What the world is made of.

use super::PEERS;
use super::dead_letters::EXCHANGE;
use super::world::ConsumerIndex;
use crate::engine::interfaces::ConnectionId;
use crate::engine::message::{Message, MessageBuilder};
use crate::engine::queue::{Credit, Effects, Entry, Queue, QueueSpec, RetryKind, Return};
use crate::plumbing::mailbox::{HIGH_MARK, Mailbox};
use bytes::Bytes;
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_storage::{Position, QueueId};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

/// Returns whether a connection's task was woken.
#[derive(Default)]
pub(super) struct Bell(pub(super) AtomicBool);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// A connection.
pub(super) struct Peer {
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) bell: Arc<Bell>,
    /// It has found its mailbox empty and waits for the bell.
    pub(super) asleep: bool,
    /// How much of the mail the model has seen.
    pub(super) seen: usize,
    pub(super) bytes: usize,
}

pub(super) struct Held {
    pub(super) queue: usize,
    pub(super) consumer: Option<ConsumerIndex>,
    pub(super) entry: Entry,
}

pub(super) struct Channel {
    pub(super) peer: usize,
    pub(super) credit: Arc<Credit>,
    pub(super) used: u32,
    pub(super) unacked: Vec<Held>,
}

/// Four of these fill a mailbox.
pub(super) const LARGE: usize = HIGH_MARK / 4;

/// What a queue is limited to: messages, bytes of bodies, and whether it refuses what is beyond.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) refuses: bool,
}

/// How long messages wait that come back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delays {
    /// Which do: one of [`RetryKind::NAMES`].
    pub(super) kind: &'static str,
    /// Milliseconds.
    pub(super) min: u64,
    pub(super) max: u64,
}

impl Delays {
    /// How long one waits whose delivery failed so often.
    pub(super) fn of(self, how: Return, failures: u16) -> Option<u64> {
        let waits = match how {
            Return::Unseen => false,
            Return::Released => ["all", "returned"].contains(&self.kind),
            Return::Failed => ["all", "failed"].contains(&self.kind),
        };
        let failures = u64::from(failures).max(1);
        waits.then_some((self.min * failures).min(self.max))
    }

    /// Whether any does.
    pub(super) fn any(self) -> bool {
        RetryKind::of(self.kind).is_some()
    }

    /// These arguments, with this policy.
    pub(super) fn with(self, policy: Delays) -> Delays {
        Delays {
            kind: policy.kind,
            min: self.min.min(policy.min),
            max: self.max.min(policy.max),
        }
    }

    /// As a policy says it.
    pub(super) fn definition(self) -> String {
        let Delays { kind, min, max } = self;
        format!(
            r#""delayed-retry-type":"{kind}","delayed-retry-min":{min},"delayed-retry-max":{max}"#
        )
    }
}

/// What a queue is declared with.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rules {
    pub(super) limit: Option<Limit>,
    pub(super) max_priority: Option<u8>,
    pub(super) single_active: bool,
    /// Milliseconds that a message may be ready.
    pub(super) ttl: Option<u64>,
    /// Milliseconds that it may go unused.
    pub(super) expires: Option<u64>,
    /// It has an exchange for dead letters, which also get what it refuses.
    pub(super) dead_letters: bool,
    /// It loses no dead letter, where it can.
    pub(super) at_least_once: bool,
    /// It is a quorum queue, where the delivery of a message may fail so often.
    pub(super) quorum: Option<u16>,
    /// What comes back waits.
    pub(super) delays: Option<Delays>,
}

impl Rules {
    /// How many depend on how those before were served, so that only one is published at a time.
    pub(super) fn one_by_one(&self) -> bool {
        let sorted = self.max_priority.is_some() || self.quorum.is_some();
        self.limit.is_some() || sorted || self.ttl.is_some()
    }

    /// Whether it counts what comes back.
    pub(super) fn counts(&self) -> bool {
        self.quorum.is_some() || self.delays.is_some_and(Delays::any)
    }

    /// Whether what it refuses becomes a dead letter: quorum queues do not know that.
    pub(super) fn refused_are_dead(&self) -> bool {
        let refuses = self.limit.is_some_and(|limit| limit.refuses);
        self.dead_letters && refuses && self.quorum.is_none()
    }

    fn arguments(self) -> FieldTable {
        let limit = self
            .limit
            .map(|limit| limit.arguments(self.refused_are_dead()));
        let mut arguments = limit.unwrap_or_default();
        if let Some(max) = self.max_priority {
            let max = AMQPValue::LongInt(max.into());
            arguments.insert("x-max-priority".into(), max);
        }
        let number = |n: u64| AMQPValue::LongLongInt(n as i64);
        let text = |text: &str| AMQPValue::LongString(text.into());
        for (name, value) in [("x-message-ttl", self.ttl), ("x-expires", self.expires)] {
            if let Some(value) = value {
                arguments.insert(name.into(), number(value));
            }
        }
        if let Some(limit) = self.quorum {
            arguments.insert("x-queue-type".into(), text("quorum"));
            arguments.insert("x-delivery-limit".into(), number(limit.into()));
        }
        if let Some(Delays { kind, min, max }) = self.delays {
            arguments.insert("x-delayed-retry-type".into(), text(kind));
            arguments.insert("x-delayed-retry-min".into(), number(min));
            arguments.insert("x-delayed-retry-max".into(), number(max));
        }
        if self.at_least_once && self.quorum.is_some() {
            let strategy = text("at-least-once");
            arguments.insert("x-dead-letter-strategy".into(), strategy);
        }
        if self.dead_letters {
            arguments.insert("x-dead-letter-exchange".into(), text(EXCHANGE));
        }
        if self.single_active {
            let yes = AMQPValue::Boolean(true);
            arguments.insert("x-single-active-consumer".into(), yes);
        }
        arguments
    }
}

impl Limit {
    /// What a full queue does; `dead_letters`: it has an exchange for what it refuses.
    fn overflow(self, dead_letters: bool) -> &'static str {
        match (self.refuses, dead_letters) {
            (true, true) => "reject-publish-dlx",
            (true, false) => "reject-publish",
            (false, _) => "drop-head",
        }
    }

    /// As a policy says it.
    pub(super) fn definition(self, dead_letters: bool) -> String {
        let (messages, bytes) = (self.messages, self.bytes);
        let overflow = self.overflow(dead_letters);
        format!(r#""max-length":{messages},"max-length-bytes":{bytes},"overflow":"{overflow}""#)
    }

    fn arguments(self, dead_letters: bool) -> FieldTable {
        let overflow = self.overflow(dead_letters);
        let mut arguments = FieldTable::default();
        let number = |n: u64| AMQPValue::LongLongInt(n as i64);
        arguments.insert("x-max-length".into(), number(self.messages));
        arguments.insert("x-max-length-bytes".into(), number(self.bytes));
        arguments.insert("x-overflow".into(), AMQPValue::LongString(overflow.into()));
        arguments
    }
}

pub(super) fn new_queue(id: usize, rules: Rules, fx: &mut Effects) -> Arc<Queue> {
    let spec = QueueSpec {
        name: format!("q{id}").as_str().into(),
        durable: true,
        auto_delete: id % 2 == 1,
        exclusive_to: None,
        arguments: rules.arguments(),
    };
    let id = QueueId(id as u64);
    let queue = Arc::new(Queue::new(id, "/".into(), spec, Position(0)));
    queue.start(fx);
    queue
}

pub(super) fn new_peer() -> Peer {
    Peer {
        mailbox: Arc::new(Mailbox::new(ConnectionId(1))),
        bell: Arc::default(),
        asleep: false,
        seen: 0,
        bytes: 0,
    }
}

pub(super) fn new_channel(index: usize) -> Channel {
    Channel {
        peer: index % PEERS,
        credit: Arc::new(Credit::new(0)),
        used: 0,
        unacked: Vec::new(),
    }
}

/// What a message is like.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kind {
    pub(super) persistent: bool,
    pub(super) large: bool,
    pub(super) priority: u8,
    /// Milliseconds.
    pub(super) expiration: Option<u8>,
}

impl Kind {
    /// There is no priority 0: that stands for none. A flag says that there is one; another that there
    /// is an expiration.
    fn properties(self) -> Vec<u8> {
        let mut properties = vec![0, 0];
        if self.persistent {
            properties[0] |= 1 << 4;
            properties.push(2);
        }
        if self.priority > 0 {
            properties[0] |= 1 << 3;
            properties.push(self.priority);
        }
        if let Some(expiration) = self.expiration {
            properties[0] |= 1;
            let text = expiration.to_string();
            properties.push(text.len() as u8);
            properties.extend(text.as_bytes());
        }
        properties
    }
}

/// A message that carries its id as its routing key.
pub(super) fn message(id: u64, kind: Kind, cancellable: bool) -> Arc<Message> {
    let body = if kind.large { LARGE } else { 0 };
    let key = id.to_string();
    let properties = kind.properties();
    let mut builder = MessageBuilder::new(
        b"",
        key.as_bytes(),
        &properties,
        kind.persistent,
        body as u64,
    );
    static BODY: [u8; LARGE] = [0; LARGE];
    if kind.large {
        builder.push_frame(Bytes::from_static(&BODY)).unwrap();
    }
    Arc::new(builder.finish(cancellable))
}

pub(super) fn id_of(message: &Message) -> u64 {
    std::str::from_utf8(message.routing_key())
        .unwrap()
        .parse()
        .unwrap()
}
