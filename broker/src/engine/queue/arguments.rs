//! queue.declare's arguments: which values RabbitMQ accepts, and its texts for those it does not.

use super::retry::RetryKind;
use super::settings::{QueueKind, age};
use super::spec::QueueSpec;
use crate::engine::stream::StartAt;
use crate::text::names::without_line_ends;
use leveret_protocol::content::MAX_EXPIRY_MS;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{AmqpError, ExchangeName, QueueName, VhostName, table};
use std::collections::BTreeMap;

/// The rule for an argument's value.
enum Rule {
    /// An integer of at least `min`.
    Integer { min: i64 },
    /// Milliseconds, at least `min`.
    Milliseconds { min: i64 },
    /// An integer from 0 to 255.
    Priority,
    /// A boolean.
    Boolean,
    /// `x-dead-letter-routing-key`: a string, and only with an exchange.
    DeadLetterKey,
    /// One of these strings; otherwise the given reason.
    OneOf(&'static [&'static str], &'static str),
    /// `x-queue-mode`.
    QueueMode,
    /// `x-queue-version`.
    QueueVersion,
    /// `x-max-age`: a number and a unit.
    Age,
}

/// In RabbitMQ's order, which decides which of several wrong arguments it reports
/// (`rabbit_amqqueue:declare_args`).
const RULES: [(&str, Rule); 24] = [
    ("x-expires", Rule::Milliseconds { min: 1 }),
    ("x-message-ttl", Rule::Milliseconds { min: 0 }),
    ("x-dead-letter-routing-key", Rule::DeadLetterKey),
    (
        "x-dead-letter-strategy",
        Rule::OneOf(&["at-most-once", "at-least-once"], "invalid_dlx_strategy"),
    ),
    ("x-max-length", Rule::Integer { min: 0 }),
    ("x-max-length-bytes", Rule::Integer { min: 0 }),
    ("x-max-in-memory-length", Rule::Integer { min: 0 }),
    ("x-max-in-memory-bytes", Rule::Integer { min: 0 }),
    ("x-max-priority", Rule::Priority),
    (
        "x-overflow",
        Rule::OneOf(
            &["drop-head", "reject-publish", "reject-publish-dlx"],
            "invalid_overflow",
        ),
    ),
    ("x-queue-mode", Rule::QueueMode),
    ("x-queue-version", Rule::QueueVersion),
    ("x-single-active-consumer", Rule::Boolean),
    ("x-quorum-initial-group-size", Rule::Integer { min: 1 }),
    ("x-quorum-target-group-size", Rule::Integer { min: 1 }),
    ("x-max-age", Rule::Age),
    ("x-stream-max-segment-size-bytes", Rule::Integer { min: 0 }),
    ("x-initial-cluster-size", Rule::Integer { min: 1 }),
    (
        "x-queue-leader-locator",
        Rule::OneOf(
            &["client-local", "balanced", "random", "least-leaders"],
            "invalid_queue_locator_arg",
        ),
    ),
    ("x-consumer-timeout", Rule::Integer { min: 0 }),
    ("x-consumer-disconnected-timeout", Rule::Integer { min: 0 }),
    // RabbitMQ accepts any value for these, and ignores those it does not understand.
    (
        RETRY_TYPE,
        Rule::OneOf(&RetryKind::NAMES, "invalid_delayed_retry_type"),
    ),
    (RETRY_MIN, Rule::Integer { min: 1 }),
    (RETRY_MAX, Rule::Integer { min: 1 }),
];

/// The same for basic.consume.
const CONSUMER_RULES: [(&str, Rule); 1] = [("x-consumer-timeout", Rule::Integer { min: 0 })];
const RETRY_TYPE: &str = "x-delayed-retry-type";
const RETRY_MIN: &str = "x-delayed-retry-min";
const RETRY_MAX: &str = "x-delayed-retry-max";

/// The argument that gives the prefix of a server-generated queue name.
const NAME_PREFIX: &str = "x-name-prefix";
/// Its maximum length in bytes.
const NAME_PREFIX_MAX: usize = 64;

const QUEUE_TYPE: &str = "x-queue-type";
const DEAD_LETTER_EXCHANGE: &str = "x-dead-letter-exchange";

use QueueKind::{Classic, Quorum, Stream};

/// Arguments that only some kinds of queues have; the others refuse them
/// (`rabbit_amqqueue:check_arguments_key`).
const OF_KINDS: [(&str, &[QueueKind]); 24] = [
    ("x-consumer-disconnected-timeout", &[Quorum]),
    (DEAD_LETTER_EXCHANGE, &[Classic, Quorum]),
    ("x-dead-letter-routing-key", &[Classic, Quorum]),
    ("x-dead-letter-strategy", &[Quorum]),
    // RabbitMQ supports these for quorum queues only.
    (RETRY_MAX, &[Classic, Quorum]),
    (RETRY_MIN, &[Classic, Quorum]),
    (RETRY_TYPE, &[Classic, Quorum]),
    ("x-delivery-limit", &[Quorum]),
    ("x-expires", &[Classic, Quorum]),
    ("x-initial-cluster-size", &[Stream]),
    ("x-max-age", &[Stream]),
    ("x-max-in-memory-bytes", &[Quorum]),
    ("x-max-in-memory-length", &[Quorum]),
    ("x-max-length", &[Classic, Quorum]),
    ("x-max-priority", &[Classic]),
    ("x-message-ttl", &[Classic, Quorum]),
    ("x-overflow", &[Classic, Quorum]),
    ("x-queue-mode", &[Classic]),
    ("x-queue-version", &[Classic]),
    ("x-quorum-initial-group-size", &[Quorum]),
    ("x-quorum-target-group-size", &[Quorum]),
    ("x-single-active-consumer", &[Classic, Quorum]),
    ("x-stream-filter-size-bytes", &[Stream]),
    ("x-stream-max-segment-size-bytes", &[Stream]),
];

/// The largest `x-stream-max-segment-size-bytes`.
const SEGMENT_SIZE_MAX: i64 = 3_000_000_000;
/// Valid values of `x-stream-filter-size-bytes`.
const FILTER_SIZES: std::ops::RangeInclusive<i64> = 16..=255;

/// Returns the dead letter exchange that a queue is declared with.
///
/// # Errors
/// 406 with RabbitMQ's text if the argument is not a string.
pub fn dead_letter_exchange(
    arguments: &FieldTable,
    queue: &QueueName,
    vhost: &VhostName,
) -> Result<Option<ExchangeName>, AmqpError> {
    match arguments.inner().get(DEAD_LETTER_EXCHANGE) {
        None => Ok(None),
        Some(AMQPValue::LongString(name)) => Ok(Some(
            String::from_utf8_lossy(name.as_bytes()).as_ref().into(),
        )),
        Some(other) => Err(texts::invalid_argument_type(
            DEAD_LETTER_EXCHANGE,
            other,
            Entity::Queue(queue),
            vhost,
        )),
    }
}

/// Checks every argument that has a rule; unknown arguments are accepted.
///
/// # Errors
/// 406 with RabbitMQ's text for the first violation.
pub fn check(
    arguments: &FieldTable,
    queue: &QueueName,
    vhost: &VhostName,
) -> Result<(), AmqpError> {
    let entity = Entity::Queue(queue);
    let invalid = |name: &str, reason: &str| texts::invalid_argument(name, entity, vhost, reason);
    if let Some(value) = arguments.inner().get(QUEUE_TYPE)
        && let Some(reason) = wrong_queue_type(value)
    {
        return Err(invalid(QUEUE_TYPE, &reason));
    }
    let kind = QueueKind::of(arguments);
    let foreign = |(name, kinds): &&(&str, &[QueueKind])| {
        arguments.contains_key(name) && !kinds.contains(&kind)
    };
    if let Some((name, _)) = OF_KINDS.iter().find(foreign) {
        let module = kind.module();
        return Err(texts::argument_of_other_type(name, entity, vhost, module));
    }
    let has = |name: &str| arguments.contains_key(name);
    for (name, rule) in &RULES {
        let Some(value) = arguments.inner().get(*name) else {
            continue;
        };
        if let Some(reason) = broken(rule, value) {
            return Err(invalid(name, &reason));
        }
        if matches!(rule, Rule::DeadLetterKey) && !has(DEAD_LETTER_EXCHANGE) {
            return Err(invalid(name, "routing_key_but_no_dlx_defined"));
        }
    }
    if let Some(reason) = wrong_delays(arguments) {
        return Err(invalid(RETRY_MAX, &reason));
    }
    match kind {
        QueueKind::Stream => check_stream_sizes(arguments),
        QueueKind::Classic | QueueKind::Quorum => Ok(()),
    }
}

/// Returns why the maximum delay does not go with the minimum, in RabbitMQ's words for such a policy.
fn wrong_delays(arguments: &FieldTable) -> Option<String> {
    let delay = |name: &str| table::as_integer(arguments.inner().get(name)?);
    let (min, max) = (delay(RETRY_MIN)?, delay(RETRY_MAX)?);
    (max < min).then(|| {
        format!("\"delayed-retry-max ({max}) must not be smaller than delayed-retry-min ({min})\"")
    })
}

/// Returns the prefix of the name that the broker generates for a queue declared without one: what
/// the client asks for, or `amq.gen`. The argument is removed, as it is not one of the queue
/// (`rabbit_amqqueue:server_named_queue_prefix`).
///
/// # Errors
/// 406 with RabbitMQ's text if it is too long.
pub fn take_name_prefix(spec: &mut QueueSpec) -> Result<String, AmqpError> {
    let Some(asked) = spec.arguments.inner().get(NAME_PREFIX).cloned() else {
        return Ok(DEFAULT_PREFIX.to_owned());
    };
    let others = spec.arguments.inner().iter();
    let others = others.filter(|(name, _)| name.as_str() != NAME_PREFIX);
    let others: BTreeMap<_, _> = others.map(|(n, v)| (n.clone(), v.clone())).collect();
    spec.arguments = others.into();
    // Other kinds of queues always have names.
    let generated = spec.name.is_empty() && spec.kind() == QueueKind::Classic;
    match asked {
        AMQPValue::LongString(prefix) if generated && !prefix.as_bytes().is_empty() => {
            let text = String::from_utf8_lossy(prefix.as_bytes());
            let text = without_line_ends(&text).into_owned();
            match prefix.as_bytes().len() <= NAME_PREFIX_MAX {
                true => Ok(text),
                false => Err(texts::name_prefix_too_long(&text)),
            }
        }
        _ => Ok(DEFAULT_PREFIX.to_owned()),
    }
}

/// The default prefix of generated names.
const DEFAULT_PREFIX: &str = "amq.gen";

/// The check that streams do last (`rabbit_stream_queue:declare`).
fn check_stream_sizes(arguments: &FieldTable) -> Result<(), AmqpError> {
    let number = |name: &str| arguments.inner().get(name).map(table::as_integer);
    let segment_size = number("x-stream-max-segment-size-bytes").flatten();
    if segment_size.is_some_and(|size| size > SEGMENT_SIZE_MAX) {
        return Err(texts::segment_size_exceeded());
    }
    match number("x-stream-filter-size-bytes") {
        Some(None) => Err(texts::filter_size_type()),
        Some(Some(size)) if !FILTER_SIZES.contains(&size) => Err(texts::filter_size_value()),
        _ => Ok(()),
    }
}

/// Checks the properties of a declared queue: queues that are not classic must have a name given by the client
/// (`is_named`), be durable and not be exclusive (`rabbit_queue_type_util`).
///
/// # Errors
/// 406 with RabbitMQ's text for the first violation.
pub fn check_properties(
    spec: &QueueSpec,
    is_named: bool,
    vhost: &VhostName,
) -> Result<(), AmqpError> {
    let kind = spec.kind();
    if kind == QueueKind::Classic {
        return Ok(());
    }
    if !is_named {
        return Err(texts::server_named(kind.module()));
    }
    let wrong = [
        (spec.auto_delete, "auto-delete"),
        (spec.exclusive_to.is_some(), "exclusive-owner"),
        (!spec.durable, "non-durable"),
    ];
    match wrong.into_iter().find(|(is_wrong, _)| *is_wrong) {
        Some((_, property)) => Err(texts::invalid_property(
            property,
            Entity::Queue(&spec.name),
            vhost,
        )),
        None => Ok(()),
    }
}

/// Checks the arguments of basic.consume that have a rule.
///
/// # Errors
/// 406 with RabbitMQ's text for the first violation.
pub fn check_consumer(
    arguments: &FieldTable,
    kind: QueueKind,
    queue: &QueueName,
    vhost: &VhostName,
) -> Result<(), AmqpError> {
    let foreign = match kind {
        QueueKind::Stream => "x-priority",
        QueueKind::Classic | QueueKind::Quorum => "x-stream-offset",
    };
    if arguments.contains_key(foreign) {
        let (queue, module) = (Entity::Queue(queue), kind.module());
        return Err(texts::argument_of_other_type(foreign, queue, vhost, module));
    }
    if let Err(offset) = StartAt::of(arguments, 0) {
        return Err(texts::invalid_stream_offset(offset, queue, vhost));
    }
    for (name, rule) in &CONSUMER_RULES {
        if let Some(value) = arguments.inner().get(*name)
            && let Some(reason) = broken(rule, value)
        {
            let queue = Entity::Queue(queue);
            return Err(texts::invalid_argument(name, queue, vhost, reason));
        }
    }
    Ok(())
}

/// Returns whether queue.declare has an argument with this name.
pub(super) fn is_known(name: &str) -> bool {
    // RabbitMQ's former name of the leader locator, which has no rule.
    const OTHERS: [&str; 3] = [QUEUE_TYPE, NAME_PREFIX, "x-queue-master-locator"];
    RULES.iter().any(|(known, _)| *known == name)
        || OF_KINDS.iter().any(|(known, _)| *known == name)
        || OTHERS.contains(&name)
}

/// Returns whether basic.consume has an argument with this name.
pub(super) fn is_known_of_consumers(name: &str) -> bool {
    const OTHERS: [&str; 5] = [
        "x-priority",
        "x-stream-offset",
        "x-stream-filter",
        "x-stream-match-unfiltered",
        // There are no mirrors that could fail over.
        "x-cancel-on-ha-failover",
    ];
    CONSUMER_RULES.iter().any(|(known, _)| *known == name) || OTHERS.contains(&name)
}

/// Returns why a value breaks a rule, in RabbitMQ's words; `None` if it does not.
fn broken(rule: &Rule, value: &AMQPValue) -> Option<String> {
    match rule {
        Rule::Integer { min } => wrong_integer(value, *min, |_| None),
        Rule::Milliseconds { min } => wrong_integer(value, *min, |v| {
            (v as u64 > MAX_EXPIRY_MS).then(|| format!("{{value_too_large,{v}}}"))
        }),
        Rule::Priority => wrong_integer(value, 0, |v| {
            (v > 255).then(|| format!("{{max_value_exceeded,{v}}}"))
        }),
        Rule::QueueVersion => wrong_integer(value, 0, |v| {
            (![1, 2].contains(&v)).then(|| format!("\"unsupported queue version '{v}'\""))
        }),
        Rule::Boolean => match value {
            AMQPValue::Boolean(_) => None,
            other => Some(unacceptable(other)),
        },
        Rule::DeadLetterKey => wrong_text(value, |_| None),
        Rule::OneOf(names, reason) => wrong_text(value, |text| {
            (!names.contains(&text)).then(|| (*reason).to_owned())
        }),
        Rule::Age => wrong_text(value, |text| {
            age(text).is_none().then(|| "invalid_max_age".to_owned())
        }),
        Rule::QueueMode => wrong_text(value, |mode| {
            let known = ["default", "lazy"].contains(&mode);
            (!known).then(|| format!("\"unsupported queue mode '{mode}'\""))
        }),
    }
}

fn wrong_queue_type(value: &AMQPValue) -> Option<String> {
    wrong_text(value, |kind| {
        (!["classic", "quorum", "stream"].contains(&kind))
            .then(|| format!("\"unsupported queue type '{kind}'\""))
    })
}

/// Returns what is wrong with an integer that must be at least `min` (0 or 1) and satisfy `other`.
fn wrong_integer(
    value: &AMQPValue,
    min: i64,
    other: impl FnOnce(i64) -> Option<String>,
) -> Option<String> {
    match table::as_integer(value) {
        None => Some(format!(
            "\"expected integer, got {}\"",
            table::type_name(value)
        )),
        Some(v) if v < 0 => Some(format!("{{value_negative,{v}}}")),
        Some(v) if v < min => Some(format!("{{value_zero,{v}}}")),
        Some(v) => other(v),
    }
}

fn wrong_text(value: &AMQPValue, other: impl FnOnce(&str) -> Option<String>) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => other(&String::from_utf8_lossy(text.as_bytes())),
        value => Some(unacceptable(value)),
    }
}

fn unacceptable(value: &AMQPValue) -> String {
    format!("{{unacceptable_type,{}}}", table::type_name(value))
}

/// The arguments that a redeclaration has to repeat, in RabbitMQ's order
/// (`rabbit_classic_queue:capabilities`).
const COMPARED_FOR_CLASSIC: [&str; 17] = [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-version",
    "x-single-active-consumer",
    "x-queue-type",
    "x-queue-master-locator",
    "x-queue-leader-locator",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
];

/// The same for quorum queues and streams (`rabbit_quorum_queue:capabilities`,
/// `rabbit_stream_queue:capabilities`).
const COMPARED_FOR_QUORUM_AND_STREAM: [&str; 23] = [
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-overflow",
    "x-single-active-consumer",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-delivery-limit",
    "x-queue-leader-locator",
    "x-consumer-disconnected-timeout",
    "x-delayed-retry-type",
    "x-delayed-retry-min",
    "x-delayed-retry-max",
    "x-max-age",
    "x-stream-max-segment-size-bytes",
    "x-initial-cluster-size",
    "x-stream-filter-size-bytes",
];

/// What RabbitMQ 4.3 also compares for quorum queues.
const ALSO_COMPARED_FOR_QUORUM: [&str; 1] = ["x-consumer-timeout"];

/// Returns the arguments that a redeclaration of this kind of queue has to repeat, in the order in which they are compared.
pub fn compared(kind: QueueKind) -> impl Iterator<Item = &'static str> {
    let (names, more): (&[&str], &[&str]) = match kind {
        Classic => (&COMPARED_FOR_CLASSIC, &[]),
        Quorum => (&COMPARED_FOR_QUORUM_AND_STREAM, &ALSO_COMPARED_FOR_QUORUM),
        Stream => (&COMPARED_FOR_QUORUM_AND_STREAM, &[]),
    };
    names.iter().chain(more).copied()
}

#[cfg(test)]
mod tests;
