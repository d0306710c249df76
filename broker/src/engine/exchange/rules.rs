//! What may be declared and bound: the checks of RabbitMQ's exchange types, with its texts.

use super::binding::Binding;
use super::consistent_hash::{HASH_HEADER, HASH_PROPERTY, MAX_WEIGHT, hashable_property};
use super::headers::{X_MATCH, is_compared, is_valid_match};
use super::{ALTERNATE_EXCHANGE, Destination, ExchangeKind, ExchangeSpec};
use crate::engine::queue::Ignored;
use crate::engine::queue::ignored::judge;
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{AmqpError, ExchangeName, VhostName};

/// The argument that names the type by which a delayed exchange routes messages.
const DELAYED_TYPE: &str = "x-delayed-type";

/// Returns the alternate exchange in a new exchange's arguments.
///
/// # Errors
/// 406 if it is not a valid name.
pub fn alternate_exchange(
    spec: &ExchangeSpec,
    vhost: &VhostName,
) -> Result<Option<ExchangeName>, AmqpError> {
    match spec.arguments.inner().get(ALTERNATE_EXCHANGE) {
        None => Ok(None),
        Some(AMQPValue::LongString(name)) => Ok(Some(
            String::from_utf8_lossy(name.as_bytes()).as_ref().into(),
        )),
        Some(other) => Err(texts::invalid_argument_type(
            ALTERNATE_EXCHANGE,
            other,
            Entity::Exchange(&spec.name),
            vhost,
        )),
    }
}

/// Checks the arguments that an exchange's type requires.
///
/// # Errors
/// 406 with RabbitMQ's text.
pub fn check_declaration(spec: &ExchangeSpec, vhost: &VhostName) -> Result<(), AmqpError> {
    if spec.kind == ExchangeKind::DelayedMessage {
        delayed_type(&spec.arguments)?;
    }
    if spec.routed_by() != ExchangeKind::ConsistentHash {
        return Ok(());
    }
    let text = |name: &str| match spec.arguments.inner().get(name) {
        None => Ok(None),
        Some(AMQPValue::LongString(text)) => Ok(Some(text)),
        // RabbitMQ closes the connection with 541 here.
        Some(other) => Err(texts::invalid_argument_type(
            name,
            other,
            Entity::Exchange(&spec.name),
            vhost,
        )),
    };
    match (text(HASH_HEADER)?, text(HASH_PROPERTY)?) {
        (Some(_), Some(_)) => Err(texts::hash_header_and_property()),
        (None, Some(property)) if hashable_property(property.as_bytes()).is_none() => {
            Err(texts::unsupported_hash_property(property))
        }
        _ => Ok(()),
    }
}

/// Returns the type by which a delayed exchange with these arguments routes messages.
///
/// # Errors
/// 406 if the argument is missing or not the name of a type that routes.
pub fn delayed_type(arguments: &FieldTable) -> Result<ExchangeKind, AmqpError> {
    let Some(AMQPValue::LongString(name)) = arguments.inner().get(DELAYED_TYPE) else {
        return Err(texts::no_delayed_type());
    };
    let name = String::from_utf8_lossy(name.as_bytes());
    match ExchangeKind::parse(&name) {
        Some(ExchangeKind::DelayedMessage) => Err(texts::delayed_type_of_itself()),
        Some(kind) => Ok(kind),
        None => Err(texts::unknown_exchange_type(&name)),
    }
}

/// Returns the arguments of exchange.declare that have no effect for its type.
pub fn ignored_arguments(spec: &ExchangeSpec) -> impl Iterator<Item = (&str, Ignored)> {
    let (kind, routed_by) = (spec.kind, spec.routed_by());
    judge(&spec.arguments, move |name, _| match name {
        ALTERNATE_EXCHANGE => None,
        DELAYED_TYPE => (kind != ExchangeKind::DelayedMessage).then_some(Ignored::WithoutEffect),
        HASH_HEADER | HASH_PROPERTY => {
            (routed_by != ExchangeKind::ConsistentHash).then_some(Ignored::WithoutEffect)
        }
        _ => Some(Ignored::Unknown),
    })
}

/// Returns the arguments that only distinguish a binding from others with the same key, for
/// messages routed by this type: all of them, unless they are compared with headers.
pub fn ignored_in_binding(
    kind: ExchangeKind,
    arguments: &FieldTable,
) -> impl Iterator<Item = (&str, Ignored)> {
    judge(arguments, move |name, _| match kind {
        ExchangeKind::Headers => (!is_compared(arguments, name)).then_some(Ignored::WithoutEffect),
        _ => Some(Ignored::WithoutEffect),
    })
}

/// Checks what an exchange's type requires of its bindings.
///
/// # Errors
/// 406 with RabbitMQ's text.
pub fn check_binding(kind: ExchangeKind, binding: &Binding) -> Result<(), AmqpError> {
    match kind {
        ExchangeKind::Headers => match binding.arguments.inner().get(X_MATCH) {
            Some(value) if !is_valid_match(&binding.arguments) => Err(texts::invalid_match(value)),
            _ => Ok(()),
        },
        ExchangeKind::ConsistentHash => check_weight(binding.key.as_str()),
        ExchangeKind::LocalRandom => match &binding.destination {
            _ if !binding.key.as_str().is_empty() => {
                Err(texts::local_random_key(binding.key.as_str()))
            }
            Destination::Queue(_) => Ok(()),
            Destination::Exchange(_) => Err(texts::local_random_destination()),
        },
        ExchangeKind::Direct
        | ExchangeKind::Fanout
        | ExchangeKind::Topic
        | ExchangeKind::Random
        | ExchangeKind::ModulusHash
        | ExchangeKind::DelayedMessage => Ok(()),
    }
}

fn check_weight(key: &str) -> Result<(), AmqpError> {
    let digits = key.strip_prefix(['+', '-']).unwrap_or(key);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(texts::weight_not_integer(key));
    }
    if key.starts_with('-') || digits.bytes().all(|byte| byte == b'0') {
        return Err(texts::weight_too_small());
    }
    match key.parse::<u32>() {
        Ok(weight) if weight <= MAX_WEIGHT => Ok(()),
        _ => Err(texts::weight_too_large(MAX_WEIGHT)),
    }
}

#[cfg(test)]
mod tests {
    use super::Ignored::{Unknown, WithoutEffect};
    use super::*;

    fn table(fields: &[(&str, &str)]) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in fields {
            table.insert((*name).into(), AMQPValue::LongString((*value).into()));
        }
        table
    }

    #[test]
    fn arguments_of_exchanges_belong_to_types() {
        let ignored = |kind| {
            let spec = ExchangeSpec {
                name: "x".into(),
                kind,
                durable: false,
                auto_delete: false,
                internal: false,
                arguments: table(&[
                    ("alternate-exchange", "y"),
                    ("alternate_exchange", "y"),
                    ("hash-header", "h"),
                    ("x-delayed-type", "x-consistent-hash"),
                ]),
            };
            let found = ignored_arguments(&spec).map(|(name, why)| (name.to_owned(), why));
            found.collect::<Vec<_>>()
        };
        let found = |names: &[(&str, Ignored)]| {
            let owned = names.iter().map(|(name, why)| ((*name).to_owned(), *why));
            owned.collect::<Vec<_>>()
        };
        let typo = ("alternate_exchange", Unknown);
        let (hash, delay) = (
            ("hash-header", WithoutEffect),
            ("x-delayed-type", WithoutEffect),
        );
        assert_eq!(ignored(ExchangeKind::Direct), found(&[typo, hash, delay]));
        assert_eq!(ignored(ExchangeKind::ConsistentHash), found(&[typo, delay]));
        assert_eq!(ignored(ExchangeKind::DelayedMessage), found(&[typo]));
    }

    #[test]
    fn arguments_of_bindings_count_for_headers_only() {
        let of = |kind, fields: &[(&str, &str)]| {
            let arguments = table(fields);
            ignored_in_binding(kind, &arguments).count()
        };
        let headers = |mode| [("x-match", mode), ("colour", "red"), ("x-size", "xl")];
        assert_eq!(of(ExchangeKind::Headers, &headers("all")), 1);
        assert_eq!(of(ExchangeKind::Headers, &headers("any")), 1);
        assert_eq!(of(ExchangeKind::Headers, &headers("all-with-x")), 0);
        assert_eq!(of(ExchangeKind::Headers, &[("x-size", "xl")]), 1);
        assert_eq!(of(ExchangeKind::Topic, &headers("all")), 3);
        assert_eq!(of(ExchangeKind::Fanout, &[]), 0);
    }
}
