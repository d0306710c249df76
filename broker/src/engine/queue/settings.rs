//! The settings of a queue: its arguments and the policies that apply to it, combined.
//!
//! Which of the two wins follows RabbitMQ (`rabbit_amqqueue_process:args_policy_lookup`, "Policies:
//! Why Not Use Arguments"): the smaller number, and the argument for everything else.

use super::retry::{Retry, RetryKind};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{ExchangeName, table};
use serde::{Deserialize, Serialize};
use std::str::FromStr;
use std::time::Duration;

/// The kind of a queue (`x-queue-type`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QueueKind {
    /// What AMQP 0-9-1 describes.
    #[default]
    Classic,
    /// Durable, with a delivery limit (RabbitMQ: "Quorum Queues"), on one node.
    Quorum,
    /// A log that consumers read and do not empty (RabbitMQ: "Streams").
    Stream,
}

impl QueueKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [QueueKind; 3] = [QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream];

    /// Returns the kind that queue.declare's arguments ask for.
    pub fn of(arguments: &FieldTable) -> QueueKind {
        match text(arguments, "x-queue-type").as_deref() {
            Some("quorum") => QueueKind::Quorum,
            Some("stream") => QueueKind::Stream,
            _ => QueueKind::Classic,
        }
    }

    /// Returns the name of the kind, as in `x-queue-type`.
    pub fn as_str(self) -> &'static str {
        match self {
            QueueKind::Classic => "classic",
            QueueKind::Quorum => "quorum",
            QueueKind::Stream => "stream",
        }
    }

    /// Returns what RabbitMQ's texts call queues of this kind.
    pub fn module(self) -> &'static str {
        match self {
            QueueKind::Classic => "rabbit_classic_queue",
            QueueKind::Quorum => "rabbit_quorum_queue",
            QueueKind::Stream => "rabbit_stream_queue",
        }
    }
}

impl FromStr for QueueKind {
    type Err = String;

    /// Parses the name of a kind, or of its module.
    fn from_str(name: &str) -> Result<Self, String> {
        let kinds = [QueueKind::Classic, QueueKind::Quorum, QueueKind::Stream];
        let named = |kind: &QueueKind| name == kind.as_str() || name == kind.module();
        let kind = kinds.into_iter().find(named);
        kind.ok_or_else(|| format!("{name} is not a valid queue type"))
    }
}

/// What is dropped when a queue is full (`x-overflow`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest messages.
    #[default]
    DropHead,
    /// The new message.
    RejectPublish,
    /// The new message, which becomes a dead letter.
    RejectPublishDlx,
}

/// How dead letters get to their exchange (`x-dead-letter-strategy`, quorum queues only).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeadLetterStrategy {
    /// Letters that cannot be routed are lost.
    #[default]
    AtMostOnce,
    /// Letters that cannot be routed are kept until they can.
    AtLeastOnce,
}

/// The settings of one queue. `None` if not set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// `x-message-ttl`: how long a message may be ready here.
    pub message_ttl: Option<Duration>,
    /// `x-expires`: how long the queue may be unused.
    pub expires: Option<Duration>,
    /// `x-max-length`: ready messages.
    pub max_length: Option<u64>,
    /// `x-max-length-bytes`: bytes of ready bodies.
    pub max_length_bytes: Option<u64>,
    /// `x-overflow`.
    pub overflow: Overflow,
    /// `x-dead-letter-exchange`.
    pub dead_letter_exchange: Option<ExchangeName>,
    /// `x-dead-letter-routing-key`; without it a message keeps its own.
    pub dead_letter_routing_key: Option<Box<[u8]>>,
    /// `x-dead-letter-strategy`.
    pub dead_letter_strategy: DeadLetterStrategy,
    /// `x-max-priority`, at least 1 (`rabbit_priority_queue:priorities`); no policy has it.
    pub max_priority: Option<u8>,
    /// `x-single-active-consumer`; no policy has it.
    pub single_active_consumer: bool,
    /// `x-delivery-limit`; negative for no limit.
    pub delivery_limit: Option<i64>,
    /// `x-delayed-retry-*`: how long messages that come back wait.
    pub delayed_retry: Option<Retry>,
    /// `x-consumer-timeout` in milliseconds; 0 for none.
    pub consumer_timeout: Option<u64>,
    /// `x-max-age`: how long a stream keeps a message.
    pub max_age: Option<Duration>,
    /// `x-stream-max-segment-size-bytes`: bytes of the units in which a stream drops messages.
    pub max_segment_size: Option<u64>,
}

impl Settings {
    /// Combines queue.declare's arguments with the policy that applies, whose keys have no `x-`.
    pub fn of(arguments: &FieldTable, policy: Option<&FieldTable>) -> Settings {
        let kind = QueueKind::of(arguments);
        let merged = Merged {
            arguments,
            policy,
            policy_first: kind == QueueKind::Stream,
        };
        Settings {
            message_ttl: merged.least("message-ttl").map(Duration::from_millis),
            expires: merged.least("expires").map(Duration::from_millis),
            max_length: merged.least("max-length"),
            max_length_bytes: merged.least("max-length-bytes"),
            overflow: match merged.text("overflow").as_deref() {
                Some("reject-publish") => Overflow::RejectPublish,
                // Quorum queues do not support it (`rabbit_quorum_queue:overflow`).
                Some("reject-publish-dlx") if kind == QueueKind::Quorum => Overflow::DropHead,
                Some("reject-publish-dlx") => Overflow::RejectPublishDlx,
                _ => Overflow::DropHead,
            },
            dead_letter_exchange: merged
                .text("dead-letter-exchange")
                .map(|name| name.as_str().into()),
            dead_letter_routing_key: merged
                .bytes("dead-letter-routing-key")
                .map(|key| key.into()),
            dead_letter_strategy: match merged.text("dead-letter-strategy").as_deref() {
                Some("at-least-once") => DeadLetterStrategy::AtLeastOnce,
                _ => DeadLetterStrategy::AtMostOnce,
            },
            max_priority: integer(arguments, "x-max-priority")
                .and_then(|priority| u8::try_from(priority).ok())
                .map(|priority| priority.max(1)),
            single_active_consumer: matches!(
                arguments.inner().get("x-single-active-consumer"),
                Some(AMQPValue::Boolean(true))
            ),
            delivery_limit: merged.delivery_limit(),
            delayed_retry: merged.delayed_retry().filter(|_| kind != QueueKind::Stream),
            consumer_timeout: merged.least("consumer-timeout"),
            max_age: merged.text("max-age").as_deref().and_then(age),
            max_segment_size: merged.least("stream-max-segment-size-bytes"),
        }
    }
}

/// Parses the value of `x-max-age` and its policy key: an integer and a unit (RabbitMQ: "Streams",
/// `rabbit_amqqueue:check_max_age`). `None` if it is malformed or out of range.
pub fn age(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let seconds: u64 = match unit {
        'Y' => 365 * 86_400,
        'M' => 30 * 86_400,
        'D' => 86_400,
        'h' => 3600,
        'm' => 60,
        's' => 1,
        _ => return None,
    };
    let number = &text[..text.len() - 1];
    if !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    let seconds = number.checked_mul(seconds)?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

struct Merged<'a> {
    arguments: &'a FieldTable,
    policy: Option<&'a FieldTable>,
    /// The policy wins, whatever its value (`rabbit_stream_queue:policy_precedence`).
    policy_first: bool,
}

impl Merged<'_> {
    /// Returns the smaller of the argument and the policy's value.
    fn least_integer(&self, key: &str) -> Option<i64> {
        let argument = integer(self.arguments, &format!("x-{key}"));
        let policy = self.policy.and_then(|policy| integer(policy, key));
        if self.policy_first {
            return policy.or(argument);
        }
        argument.into_iter().chain(policy).min()
    }

    /// Returns the smaller limit; a negative one, which means no limit, is overridden by a limit
    /// (`rabbit_quorum_queue:resolve_delivery_limit`).
    fn delivery_limit(&self) -> Option<i64> {
        let argument = integer(self.arguments, "x-delivery-limit");
        let policy = self
            .policy
            .and_then(|policy| integer(policy, "delivery-limit"));
        match (argument, policy) {
            (Some(a), Some(p)) if a < 0 || p < 0 => Some(a.max(p)),
            (argument, policy) => argument.into_iter().chain(policy).min(),
        }
    }

    /// Returns the retry settings: the kind is the policy's choice before the argument's, and
    /// nothing waits without a delay (`rabbit_quorum_queue:get_delayed_retry_config`).
    fn delayed_retry(&self) -> Option<Retry> {
        let policy = self
            .policy
            .and_then(|policy| text(policy, "delayed-retry-type"));
        let kind = policy.or_else(|| text(self.arguments, "x-delayed-retry-type"))?;
        let delay = |key| self.least(key).filter(|millis| *millis > 0);
        let min = delay("delayed-retry-min")?;
        Some(Retry {
            kind: RetryKind::of(&kind)?,
            min,
            max: delay("delayed-retry-max").unwrap_or(min),
        })
    }

    fn least(&self, key: &str) -> Option<u64> {
        u64::try_from(self.least_integer(key)?).ok()
    }

    /// Returns the argument's value, or the policy's.
    fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        let argument = bytes(self.arguments, &format!("x-{key}"));
        let policy = || bytes(self.policy?, key);
        let chosen = if self.policy_first {
            policy().or(argument)
        } else {
            argument.or_else(policy)
        };
        chosen.map(<[u8]>::to_vec)
    }

    fn text(&self, key: &str) -> Option<String> {
        let bytes = self.bytes(key)?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}

fn integer(table: &FieldTable, key: &str) -> Option<i64> {
    table::as_integer(table.inner().get(key)?)
}

fn bytes<'a>(table: &'a FieldTable, key: &str) -> Option<&'a [u8]> {
    match table.inner().get(key)? {
        AMQPValue::LongString(text) => Some(text.as_bytes()),
        _ => None,
    }
}

fn text(table: &FieldTable, key: &str) -> Option<String> {
    bytes(table, key).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_tables::{table, text as long};

    #[test]
    fn nothing_set_is_the_default() {
        let nothing = FieldTable::default();
        assert_eq!(Settings::of(&nothing, None), Settings::default());
        assert_eq!(Settings::of(&nothing, Some(&nothing)), Settings::default());
        assert_eq!(QueueKind::of(&nothing), QueueKind::Classic);
    }

    #[test]
    fn of_numbers_the_smaller_wins_and_of_texts_the_argument() {
        let arguments = table(&[
            ("x-message-ttl", AMQPValue::LongInt(7)),
            ("x-max-length", AMQPValue::LongLongInt(9)),
            ("x-overflow", long("reject-publish")),
            ("x-dead-letter-exchange", long("mine")),
        ]);
        let policy = table(&[
            ("message-ttl", AMQPValue::LongInt(8)),
            ("max-length", AMQPValue::LongInt(8)),
            ("expires", AMQPValue::LongInt(5)),
            ("overflow", long("drop-head")),
            ("dead-letter-exchange", long("theirs")),
            ("dead-letter-routing-key", long("key")),
            // Neither can be set by a policy.
            ("max-priority", AMQPValue::LongInt(5)),
            ("single-active-consumer", AMQPValue::Boolean(true)),
        ]);
        let expected = Settings {
            message_ttl: Some(Duration::from_millis(7)),
            max_length: Some(8),
            expires: Some(Duration::from_millis(5)),
            overflow: Overflow::RejectPublish,
            dead_letter_exchange: Some("mine".into()),
            dead_letter_routing_key: Some(b"key".as_slice().into()),
            ..Settings::default()
        };
        assert_eq!(Settings::of(&arguments, Some(&policy)), expected);
    }

    #[test]
    fn of_delays_the_smaller_counts_and_the_policy_says_what_waits() {
        let delays = |arguments: &[(&str, AMQPValue)], policy: &[(&str, AMQPValue)]| {
            let shown = Settings::of(&table(arguments), Some(&table(policy))).delayed_retry;
            shown.map(|retry| retry.to_string())
        };
        let arguments = [
            ("x-delayed-retry-type", long("all")),
            ("x-delayed-retry-min", AMQPValue::LongInt(10)),
            ("x-delayed-retry-max", AMQPValue::LongInt(90)),
        ];
        let shown =
            |kind: &str, min: u64, max: u64| Some(format!("{kind} (min: {min}ms, max: {max}ms)"));
        assert_eq!(delays(&arguments, &[]), shown("all", 10, 90));
        let policy = [
            ("delayed-retry-type", long("failed")),
            ("delayed-retry-min", AMQPValue::LongInt(20)),
            ("delayed-retry-max", AMQPValue::LongInt(80)),
        ];
        assert_eq!(delays(&arguments, &policy), shown("failed", 10, 80));
        assert_eq!(delays(&[], &policy), shown("failed", 20, 80));
        assert_eq!(delays(&[], &policy[..2]), shown("failed", 20, 20));
        assert_eq!(delays(&arguments[..1], &policy[1..2]), shown("all", 20, 20));
        let off = [("delayed-retry-type", long("disabled"))];
        assert_eq!(delays(&arguments, &off), None);
        assert_eq!(delays(&arguments[..1], &[]), None, "without a delay");
        assert_eq!(delays(&arguments[1..], &[]), None, "without a type");
        let stream = [("x-queue-type", long("stream"))];
        assert_eq!(delays(&stream, &policy), None);
    }

    #[test]
    fn of_a_stream_the_policy_wins() {
        let arguments = table(&[
            ("x-queue-type", long("stream")),
            ("x-max-length-bytes", AMQPValue::LongInt(7)),
            ("x-max-age", long("1h")),
        ]);
        let policy = table(&[
            ("max-length-bytes", AMQPValue::LongInt(8)),
            ("max-age", long("2h")),
        ]);
        let settings = Settings::of(&arguments, Some(&policy));
        assert_eq!(settings.max_length_bytes, Some(8));
        assert_eq!(settings.max_age, Some(Duration::from_secs(7200)));
        let alone = Settings::of(&arguments, None);
        assert_eq!(alone.max_length_bytes, Some(7));
    }

    #[test]
    fn ages_have_a_unit() {
        assert_eq!(age("5D"), Some(Duration::from_secs(5 * 86_400)));
        assert_eq!(age("1M"), Some(Duration::from_secs(30 * 86_400)));
        assert_eq!(age("90s"), Some(Duration::from_secs(90)));
        for wrong in [
            "",
            "5",
            "0s",
            "s",
            "-5s",
            "5x",
            "1.5h",
            "99999999999999999999Y",
            "5ü",
        ] {
            assert_eq!(age(wrong), None, "{wrong}");
        }
    }
}
