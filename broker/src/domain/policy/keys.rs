//! The keys of definitions: their values, who may set them, and the queue types that do not support them
//! (`rabbit_policies.erl` and the capabilities of RabbitMQ's queue types, 4.x).

use super::Target;
use crate::engine::queue::{QueueKind, RetryKind, age};
use serde_json::Value;

/// The values that a key accepts.
enum Rule {
    /// A string.
    Text,
    /// An integer in this range.
    Integer(i64, i64),
    /// One of these strings.
    OneOf(&'static [&'static str]),
    /// `queue-version`.
    Version,
    /// A number and a unit of time.
    Age,
}

/// A key of definitions.
pub(super) struct Key {
    name: &'static str,
    rule: Rule,
    /// RabbitMQ's words after `is not a valid`, for a value that breaks the rule.
    what: &'static str,
    /// How two values are merged, for a key that operator policies may have.
    pub(super) merge: Option<Merge>,
}

/// Which value is in force, the policy's or the operator policy's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// The smaller.
    Smaller,
    /// The larger.
    Larger,
    /// The smaller; a negative one means no limit.
    StricterLimit,
    /// The operator's.
    Operator,
}

const fn key(name: &'static str, rule: Rule, what: &'static str) -> Key {
    Key {
        name,
        rule,
        what,
        merge: None,
    }
}

const fn mergeable(name: &'static str, rule: Rule, what: &'static str, merge: Merge) -> Key {
    Key {
        name,
        rule,
        what,
        merge: Some(merge),
    }
}

const MAX: i64 = i64::MAX;
/// RabbitMQ's `MAX_STREAM_MAX_SEGMENT_SIZE`, in bytes.
const SEGMENT_MAX: i64 = 3_000_000_000;

#[rustfmt::skip] // A table reads better as a table.
static KEYS: &[Key] = &[
    key("alternate-exchange", Rule::Text, "alternate exchange name"),
    key("consumer-disconnected-timeout", Rule::Integer(0, MAX), "consumer disconnected timeout"),
    key("consumer-timeout", Rule::Integer(0, MAX), "consumer timeout"),
    key("dead-letter-exchange", Rule::Text, "dead letter exchange name"),
    key("dead-letter-routing-key", Rule::Text, "dead letter routing key"),
    key("dead-letter-strategy", Rule::OneOf(&["at-most-once", "at-least-once"]), "dead letter strategy"),
    mergeable("delayed-retry-max", Rule::Integer(1, MAX),
        "delayed retry maximum delay. Must be a positive integer", Merge::Smaller),
    mergeable("delayed-retry-min", Rule::Integer(1, MAX),
        "delayed retry minimum delay. Must be a positive integer", Merge::Larger),
    mergeable("delayed-retry-type", Rule::OneOf(&RetryKind::NAMES),
        "delayed retry type. Must be one of: all, failed, returned, disabled", Merge::Operator),
    mergeable("delivery-limit", Rule::Integer(i64::MIN, MAX), "delivery limit", Merge::StricterLimit),
    mergeable("expires", Rule::Integer(1, MAX), "queue expiry", Merge::Smaller),
    key("initial-cluster-size", Rule::Integer(0, MAX), "cluster size"),
    key("max-age", Rule::Age, "max age"),
    mergeable("max-in-memory-bytes", Rule::Integer(0, MAX), "maximum memory in bytes", Merge::Smaller),
    // RabbitMQ uses the same words for it.
    mergeable("max-in-memory-length", Rule::Integer(0, MAX), "maximum memory in bytes", Merge::Smaller),
    mergeable("max-length", Rule::Integer(0, MAX), "maximum length", Merge::Smaller),
    mergeable("max-length-bytes", Rule::Integer(0, MAX), "maximum length in bytes", Merge::Smaller),
    mergeable("message-ttl", Rule::Integer(0, MAX), "message TTL", Merge::Smaller),
    mergeable("overflow", Rule::OneOf(&["drop-head", "reject-publish", "reject-publish-dlx"]),
        "overflow value", Merge::Operator),
    key("queue-leader-locator", Rule::OneOf(&["client-local", "balanced", "random", "least-leaders"]),
        "queue leader locator value"),
    key("queue-mode", Rule::OneOf(&["default", "lazy"]), "queue-mode value"),
    mergeable("queue-version", Rule::Version, "queue-version value", Merge::Operator),
    key("stream-filter-size-bytes", Rule::Integer(16, 255), "filter size. Valid range is 16-255"),
    key("stream-max-segment-size-bytes", Rule::Integer(0, SEGMENT_MAX), "segment size"),
];

/// A policy with any of these keys does not apply to classic queues.
const NOT_CLASSIC: &[&str] = &[
    "dead-letter-strategy",
    "delivery-limit",
    "initial-cluster-size",
    "max-age",
    "max-in-memory-bytes",
    "max-in-memory-length",
    "stream-max-segment-size-bytes",
];

/// A policy with any of these keys does not apply to quorum queues.
const NOT_QUORUM: &[&str] = &[
    "initial-cluster-size",
    "max-age",
    "queue-mode",
    "stream-max-segment-size-bytes",
];

/// A policy with any of these keys does not apply to streams.
const NOT_STREAM: &[&str] = &[
    "dead-letter-exchange",
    "dead-letter-routing-key",
    "dead-letter-strategy",
    "delivery-limit",
    "expires",
    "max-in-memory-bytes",
    "max-in-memory-length",
    "max-length",
    "message-ttl",
    "overflow",
    "queue-mode",
];

impl Key {
    /// Returns the key with this name.
    pub(super) fn find(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// Returns what is wrong with a value, as the text that follows the value; `None` if it is valid.
    pub(super) fn error_in(&self, value: &Value) -> Option<String> {
        let holds = match &self.rule {
            Rule::Text => value.is_string(),
            Rule::Integer(min, max) => integer(value).is_some_and(|v| (*min..=*max).contains(&v)),
            Rule::OneOf(words) => value.as_str().is_some_and(|word| words.contains(&word)),
            Rule::Version => matches!(integer(value), Some(1 | 2)),
            Rule::Age => {
                let age = value.as_str().and_then(age);
                age.is_some_and(|age| !age.is_zero())
            }
        };
        (!holds).then(|| format!("is not a valid {}", self.what))
    }
}

/// Returns the integer in a value; one that is too large is clamped.
pub(super) fn integer(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_u64().map(|_| i64::MAX))
}

/// Returns whether a policy with this key can apply to a target. Exchanges accept every policy and use the
/// keys that they understand.
pub(super) fn applies_to(name: &str, target: Target) -> bool {
    let unsupported = match target {
        Target::Exchange => return true,
        Target::Queue(QueueKind::Classic) => NOT_CLASSIC,
        Target::Queue(QueueKind::Quorum) => NOT_QUORUM,
        Target::Queue(QueueKind::Stream) => NOT_STREAM,
    };
    !unsupported.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_keeps_a_policy_from_a_queue_is_a_key() {
        for name in [NOT_CLASSIC, NOT_QUORUM, NOT_STREAM].concat() {
            assert!(Key::find(name).is_some(), "{name}");
        }
        assert!(applies_to("max-age", Target::Queue(QueueKind::Stream)));
        assert!(!applies_to("max-age", Target::Queue(QueueKind::Classic)));
        assert!(applies_to(
            "delivery-limit",
            Target::Queue(QueueKind::Quorum)
        ));
        assert!(applies_to("max-age", Target::Exchange));
    }

    #[test]
    fn values_at_the_edge_are_judged_as_rabbitmq_judges_them() {
        let takes = |name: &str, value: Value| Key::find(name).unwrap().error_in(&value).is_none();
        assert!(takes("expires", json!(1)) && !takes("expires", json!(0)));
        assert!(takes("message-ttl", json!(0)) && !takes("message-ttl", json!(-1)));
        assert!(takes("delivery-limit", json!(-1)));
        assert!(takes("max-length", json!(u64::MAX)) && !takes("max-length", json!(5.0)));
        assert!(takes("max-age", json!("5D")) && !takes("max-age", json!("0s")));
        assert!(!takes("max-age", json!(5)) && !takes("max-age", json!("5")));
        assert!(takes("queue-version", json!(2)) && !takes("queue-version", json!(3)));
        assert!(takes("stream-filter-size-bytes", json!(255)));
        assert!(!takes("stream-filter-size-bytes", json!(256)));
        assert!(takes("overflow", json!("reject-publish")) && !takes("overflow", json!(null)));
    }
}
