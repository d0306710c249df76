//! queue.declare's arguments: which values RabbitMQ accepts, and its words for those it does not.

use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{AmqpError, QueueName, VhostName, table};

/// What an argument's value has to be.
enum Rule {
    /// An integer of at least `min`.
    Integer { min: i64 },
    /// An integer from 0 to 255.
    Priority,
    /// A string.
    Text,
    /// A string out of these; otherwise the reason given.
    OneOf(&'static [&'static str], &'static str),
    /// A boolean.
    Boolean,
    /// `x-queue-type`.
    QueueType,
}

const RULES: [(&str, Rule); 12] = [
    ("x-message-ttl", Rule::Integer { min: 0 }),
    ("x-expires", Rule::Integer { min: 1 }),
    ("x-max-length", Rule::Integer { min: 0 }),
    ("x-max-length-bytes", Rule::Integer { min: 0 }),
    ("x-max-priority", Rule::Priority),
    ("x-dead-letter-exchange", Rule::Text),
    ("x-dead-letter-routing-key", Rule::Text),
    (
        "x-overflow",
        Rule::OneOf(
            &["drop-head", "reject-publish", "reject-publish-dlx"],
            "invalid_overflow",
        ),
    ),
    (
        "x-queue-mode",
        Rule::OneOf(&["default", "lazy"], "invalid_queue_mode"),
    ),
    ("x-single-active-consumer", Rule::Boolean),
    ("x-consumer-timeout", Rule::Integer { min: 0 }),
    ("x-queue-type", Rule::QueueType),
];

/// Checks every argument that has a rule; arguments nobody knows are accepted.
///
/// # Errors
/// 406 with RabbitMQ's text for the first that does not hold.
pub fn check(
    arguments: &FieldTable,
    queue: &QueueName,
    vhost: &VhostName,
) -> Result<(), AmqpError> {
    let invalid = |name: &str, reason: &str| {
        texts::invalid_argument(name, Entity::Queue(queue), vhost, reason)
    };
    for (name, rule) in &RULES {
        if let Some(value) = arguments.inner().get(*name)
            && let Some(reason) = broken(rule, value)
        {
            return Err(invalid(name, &reason));
        }
    }
    let has = |name: &str| arguments.contains_key(name);
    if has("x-dead-letter-routing-key") && !has("x-dead-letter-exchange") {
        return Err(invalid(
            "x-dead-letter-routing-key",
            "routing_key_but_no_dlx_defined",
        ));
    }
    Ok(())
}

/// Checks the arguments of basic.consume that have a rule.
///
/// # Errors
/// 406 with RabbitMQ's text for the first that does not hold.
pub fn check_consumer(
    arguments: &FieldTable,
    queue: &QueueName,
    vhost: &VhostName,
) -> Result<(), AmqpError> {
    const RULES: [(&str, Rule); 1] = [("x-consumer-timeout", Rule::Integer { min: 0 })];
    for (name, rule) in &RULES {
        if let Some(value) = arguments.inner().get(*name)
            && let Some(reason) = broken(rule, value)
        {
            let queue = Entity::Queue(queue);
            return Err(texts::invalid_argument(name, queue, vhost, reason));
        }
    }
    Ok(())
}

/// The arguments whose effect is not built yet; accepted, kept and compared, and said so in the
/// log rather than ignored in silence.
pub fn without_effect(arguments: &FieldTable) -> Vec<&str> {
    const IN_EFFECT: [&str; 6] = [
        "x-consumer-timeout",
        "x-max-length",
        "x-max-length-bytes",
        "x-overflow",
        "x-queue-mode",
        "x-queue-type",
    ];
    let known = |name: &str| RULES.iter().any(|(rule, _)| *rule == name);
    let names = arguments.into_iter().map(|(name, _)| name.as_str());
    names
        .filter(|name| known(name) && !IN_EFFECT.contains(name))
        .collect()
}

/// Why a value breaks a rule, in RabbitMQ's words; `None` when it does not.
fn broken(rule: &Rule, value: &AMQPValue) -> Option<String> {
    match rule {
        Rule::Integer { min } => match table::as_integer(value) {
            None => Some(wrong_type("integer", value)),
            Some(v) if v < 0 => Some(format!("{{value_negative,{v}}}")),
            Some(v) if v < *min => Some(format!("{{value_zero,{v}}}")),
            Some(_) => None,
        },
        Rule::Priority => match table::as_integer(value) {
            None => Some(wrong_type("integer", value)),
            Some(v) if v < 0 => Some(format!("{{value_negative,{v}}}")),
            Some(v) if v > 255 => Some(format!("{{max_value_exceeded,{v}}}")),
            Some(_) => None,
        },
        Rule::Boolean => {
            let is_boolean = matches!(value, AMQPValue::Boolean(_));
            (!is_boolean).then(|| wrong_type("boolean", value))
        }
        Rule::Text | Rule::OneOf(..) | Rule::QueueType => {
            let AMQPValue::LongString(text) = value else {
                return Some(wrong_type("string", value));
            };
            let allowed = |names: &[&str]| names.iter().any(|n| n.as_bytes() == text.as_bytes());
            match rule {
                Rule::OneOf(names, reason) if !allowed(names) => Some((*reason).to_owned()),
                Rule::QueueType if !allowed(&["classic"]) => {
                    Some(format!("\"unsupported queue type '{text}'\""))
                }
                _ => None,
            }
        }
    }
}

fn wrong_type(expected: &str, value: &AMQPValue) -> String {
    format!("\"expected {expected}, got {}\"", table::type_name(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(name: &str, value: AMQPValue) -> String {
        let mut arguments = FieldTable::default();
        arguments.insert(name.into(), value);
        let error = check(&arguments, &"q".into(), &"/".into()).unwrap_err();
        assert_eq!(error.code.code(), 406);
        error.text
    }

    #[test]
    fn values_are_refused_in_rabbitmqs_words() {
        let text = |t: &str| AMQPValue::LongString(t.into());
        assert_eq!(
            reason("x-message-ttl", text("a")),
            "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q' in vhost '/': \
             \"expected integer, got longstr\""
        );
        assert!(reason("x-message-ttl", AMQPValue::LongInt(-1)).ends_with("{value_negative,-1}"));
        assert!(reason("x-expires", AMQPValue::LongInt(0)).ends_with("{value_zero,0}"));
        assert!(
            reason("x-max-priority", AMQPValue::LongInt(256)).ends_with("{max_value_exceeded,256}")
        );
        assert!(reason("x-overflow", text("bad")).ends_with("invalid_overflow"));
        assert!(
            reason("x-dead-letter-routing-key", text("k"))
                .ends_with("routing_key_but_no_dlx_defined")
        );
        assert!(reason("x-queue-type", text("bad")).ends_with("\"unsupported queue type 'bad'\""));
    }

    #[test]
    fn what_nobody_knows_is_accepted() {
        let mut arguments = FieldTable::default();
        arguments.insert("x-mine".into(), AMQPValue::Void);
        assert!(check(&arguments, &"q".into(), &"/".into()).is_ok());
    }
}
