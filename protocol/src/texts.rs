//! Every reply text of RabbitMQ's, each defined once. Taken from RabbitMQ 3.10 and 4.x; clients'
//! own test suites match on them.

use crate::error::{AmqpError, ReplyCode};
use crate::values::AMQPValue;
use crate::{ExchangeName, QueueName, VhostName, table};
use ReplyCode::*;
use std::fmt::Display;
use std::time::Duration;

mod kinds;
mod limits;

pub use kinds::*;
pub use limits::*;

/// A queue that does not exist.
pub fn no_queue(queue: &str, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        NotFound,
        format_args!("no queue '{queue}' in vhost '{vhost}'"),
    )
}

/// An exchange that does not exist.
pub fn no_exchange(exchange: impl Display, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        NotFound,
        format_args!("no exchange '{exchange}' in vhost '{vhost}'"),
    )
}

/// An empty queue name where the channel declared none.
pub fn no_previous_queue() -> AmqpError {
    AmqpError::channel(NotFound, "no previously declared queue")
}

/// The subject of a declaration, as the texts name it.
#[derive(Clone, Copy, Debug)]
pub enum Entity<'a> {
    /// A queue.
    Queue(&'a QueueName),
    /// An exchange.
    Exchange(&'a ExchangeName),
}

impl Display for Entity<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Entity::Queue(name) => write!(f, "queue '{name}'"),
            Entity::Exchange(name) => write!(f, "exchange '{name}'"),
        }
    }
}

/// A redeclaration with another property.
pub fn inequivalent_property(
    property: &str,
    entity: Entity<'_>,
    vhost: &VhostName,
    received: impl Display,
    current: impl Display,
) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!(
            "inequivalent arg '{property}' for {entity} in vhost '{vhost}': \
             received '{received}' but current is '{current}'"
        ),
    )
}

/// A redeclaration with another value, or none, for an argument.
pub fn inequivalent_argument(
    argument: &str,
    entity: Entity<'_>,
    vhost: &VhostName,
    received: Option<&AMQPValue>,
    current: Option<&AMQPValue>,
) -> AmqpError {
    let (received, current) = match (received, current) {
        (Some(r), Some(c)) => (
            format!("'{}'", table::display(r)),
            format!("'{}'", table::display(c)),
        ),
        (r, c) => (value_or_none(r), value_or_none(c)),
    };
    AmqpError::channel(
        PreconditionFailed,
        format_args!(
            "inequivalent arg '{argument}' for {entity} in vhost '{vhost}': \
             received {received} but current is {current}"
        ),
    )
}

fn value_or_none(value: Option<&AMQPValue>) -> String {
    match value {
        None => "none".to_owned(),
        Some(value) => {
            format!(
                "the value '{}' of type '{}'",
                table::display(value),
                table::type_name(value)
            )
        }
    }
}

/// A queue argument with a value that is not allowed; `reason` as RabbitMQ prints it.
pub fn invalid_argument(
    argument: &str,
    entity: Entity<'_>,
    vhost: &VhostName,
    reason: impl Display,
) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("invalid arg '{argument}' for {entity} in vhost '{vhost}': {reason}"),
    )
}

/// A method that no client sends, or that the broker does not have; on the connection.
pub fn unimplemented_method() -> AmqpError {
    AmqpError::connection(crate::ReplyCode::CommandInvalid, "unimplemented method")
}

/// tx.select on a channel in confirm mode.
pub fn tx_after_confirm() -> AmqpError {
    AmqpError::channel(PreconditionFailed, "cannot switch from confirm to tx mode")
}

/// confirm.select on a transactional channel.
pub fn confirm_after_tx() -> AmqpError {
    AmqpError::channel(PreconditionFailed, "cannot switch from tx to confirm mode")
}

/// tx.commit or tx.rollback on a channel that is not transactional.
pub fn not_transactional() -> AmqpError {
    AmqpError::channel(PreconditionFailed, "channel is not transactional")
}

/// A commit of which a queue rejected some messages.
pub fn partial_commit() -> AmqpError {
    AmqpError::channel(PreconditionFailed, "partial tx completion")
}

/// Transactions over the configured limit; both in bytes. RabbitMQ has no such limit.
pub fn transaction_too_large(size: u64, max: u64) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!(
            "uncommitted messages of {size} bytes on this connection exceed the configured \
             max_transaction_size {max}"
        ),
    )
}

/// Anything that waits for the store after the store has failed for good.
pub fn store_ended() -> AmqpError {
    AmqpError::connection(
        InternalError,
        "the store has failed and accepts no more data; see the broker's log",
    )
}

/// A queue that another connection holds exclusively.
pub fn locked_queue(queue: &QueueName, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        ResourceLocked,
        format_args!(
            "cannot obtain exclusive access to locked queue '{queue}' in vhost '{vhost}'. It could \
             be originally declared on another connection or the exclusive property value does not \
             match that of the original declaration."
        ),
    )
}

/// A name beginning with `amq.` chosen by a client; `kind` is `queue` or `exchange`.
pub fn reserved_name(kind: &str, name: &str) -> AmqpError {
    AmqpError::channel(
        AccessRefused,
        format_args!("{kind} name '{name}' contains reserved prefix 'amq.*'"),
    )
}

/// Declaring, deleting or binding the default exchange.
pub fn default_exchange() -> AmqpError {
    AmqpError::channel(
        AccessRefused,
        "operation not permitted on the default exchange",
    )
}

/// Deleting an exchange whose name begins with `amq.`.
pub fn system_exchange(exchange: &ExchangeName, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        AccessRefused,
        format_args!("deletion of system exchange '{exchange}' in vhost '{vhost}' not allowed"),
    )
}

/// An unknown exchange type.
pub fn unknown_exchange_type(kind: &str) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("unknown exchange type '{kind}'"),
    )
}

/// An exchange argument of an invalid type.
pub fn invalid_argument_type(
    argument: &str,
    value: &AMQPValue,
    entity: Entity<'_>,
    vhost: &VhostName,
) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!(
            "invalid type '{}' for arg '{argument}' in {entity} in vhost '{vhost}'",
            table::type_name(value)
        ),
    )
}

/// An `x-match` in the arguments of a headers binding that is none of the four.
pub fn invalid_match(value: &AMQPValue) -> AmqpError {
    let printed = table::erlang_term(value);
    match value {
        AMQPValue::LongString(_) => AmqpError::channel(
            PreconditionFailed,
            format_args!(
                "Invalid x-match field value {printed}; expected all, any, all-with-x, or \
                 any-with-x"
            ),
        ),
        other => AmqpError::channel(
            PreconditionFailed,
            format_args!(
                "Invalid x-match field type {} (value {printed}); expected longstr",
                table::type_name(other)
            ),
        ),
    }
}

/// A binding of a consistent-hash exchange whose key is not a weight; `key` is unchanged.
pub fn weight_not_integer(key: &str) -> AmqpError {
    let key = crate::erlang::erlang_binary(key.as_bytes());
    AmqpError::channel(
        PreconditionFailed,
        format_args!("The binding key must be an integer: {key}"),
    )
}

/// A binding of a consistent-hash exchange with a weight below 1.
pub fn weight_too_small() -> AmqpError {
    AmqpError::channel(PreconditionFailed, "The binding key must be greater than 0")
}

/// A binding of a consistent-hash exchange with a weight above `max`.
pub fn weight_too_large(max: u32) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("The binding key must not exceed {max}"),
    )
}

/// A consistent-hash exchange on a property that it cannot hash.
pub fn unsupported_hash_property(property: impl Display) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("Unsupported property: {property}"),
    )
}

/// A consistent-hash exchange on both a header and a property.
pub fn hash_header_and_property() -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        "hash-header and hash-property are mutually exclusive",
    )
}

/// A binding of a local random exchange with a key.
pub fn local_random_key(key: &str) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("Non empty binding '{key}' key not permitted"),
    )
}

/// A binding of a local random exchange to an exchange.
pub fn local_random_destination() -> AmqpError {
    AmqpError::channel(PreconditionFailed, "Destination not found")
}

/// A delayed exchange without the type that routes its messages.
pub fn no_delayed_type() -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        "Invalid argument, 'x-delayed-type' must be an existing exchange type",
    )
}

/// A delayed exchange of delayed exchanges.
pub fn delayed_type_of_itself() -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        "Invalid argument, 'x-delayed-message' can't be used for 'x-delayed-type'",
    )
}

/// A `CC` or `BCC` header that is not an array.
pub fn unacceptable_header(header: &str, type_name: &str) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("invalid message: {{unacceptable_type_in_header,\"{header}\",{type_name}}}"),
    )
}

/// Delete if-empty of a queue with messages.
pub fn queue_not_empty(queue: &QueueName, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("queue '{queue}' in vhost '{vhost}' not empty"),
    )
}

/// Delete if-unused of something in use.
pub fn in_use(entity: Entity<'_>, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("{entity} in vhost '{vhost}' in use"),
    )
}

/// Consuming from a queue that another consumer holds exclusively, or exclusively from one that
/// has consumers.
pub fn exclusive_use(queue: &QueueName, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        AccessRefused,
        format_args!("queue '{queue}' in vhost '{vhost}' in exclusive use"),
    )
}

/// An acknowledgement of something that is not outstanding.
pub fn unknown_delivery_tag(tag: impl Display) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("unknown delivery tag {tag}"),
    )
}

/// A delivery that was not acknowledged in time.
pub fn ack_timed_out(channel: impl Display, timeout: Duration) -> AmqpError {
    let milliseconds = timeout.as_millis();
    AmqpError::channel(
        PreconditionFailed,
        format_args!(
            "delivery acknowledgement on channel {channel} timed out. Timeout value used: \
             {milliseconds} ms. This timeout value can be configured, see consumers doc guide to \
             learn more"
        ),
    )
}

/// A consumer tag already in use on the channel.
pub fn consumer_tag_reuse(tag: &str) -> AmqpError {
    AmqpError::connection(
        NotAllowed,
        format_args!("attempt to reuse consumer tag '{tag}'"),
    )
}

/// A feature of the specification that RabbitMQ does not have, `immediate=true`.
pub fn not_implemented(what: impl Display) -> AmqpError {
    AmqpError::connection(NotImplemented, what)
}

/// An expiration property that is not a number of milliseconds.
pub fn invalid_expiration(expiration: &str, reason: impl Display) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("invalid expiration '{expiration}': {reason}"),
    )
}

/// A user_id property that is not the connection's user.
pub fn wrong_user_id(claimed: &str, user: impl Display) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("user_id property set to '{claimed}' but authenticated user was '{user}'"),
    )
}

/// A request for direct replies by who does not wait for them.
pub fn no_reply_consumer() -> AmqpError {
    AmqpError::channel(PreconditionFailed, "fast reply consumer does not exist")
}

/// A body over the configured limit; both in bytes.
pub fn message_too_large(size: u64, max: u64) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("message size {size} is larger than configured max size {max}"),
    )
}

/// A second channel.open.
pub fn second_channel_open() -> AmqpError {
    AmqpError::connection(ChannelError, "second 'channel.open' seen")
}

/// A method on a channel that is not open.
pub fn channel_not_open() -> AmqpError {
    AmqpError::connection(ChannelError, "expected 'channel.open'")
}

/// A login with a wrong name or password.
pub fn login_refused(mechanism: &str) -> AmqpError {
    AmqpError::connection(
        AccessRefused,
        format_args!(
            "Login was refused using authentication mechanism {mechanism}. For details see the \
             broker logfile."
        ),
    )
}

/// A new secret (connection.update-secret) that was refused.
pub fn secret_refused() -> AmqpError {
    AmqpError::connection(NotAllowed, "New secret was refused by one of the backends")
}

/// A virtual host that does not exist.
pub fn no_vhost(vhost: &str) -> AmqpError {
    AmqpError::connection(NotAllowed, format_args!("vhost {vhost} not found"))
}

/// A virtual host on which the user has no permissions.
pub fn vhost_refused(vhost: impl Display, user: impl Display) -> AmqpError {
    AmqpError::connection(
        NotAllowed,
        format_args!("access to vhost '{vhost}' refused for user '{user}'"),
    )
}

/// An operation without the permission for it; `access` is `configure`, `write` or `read`.
pub fn access_refused(
    access: &str,
    entity: Entity<'_>,
    vhost: &VhostName,
    user: impl Display,
) -> AmqpError {
    AmqpError::channel(
        AccessRefused,
        format_args!("{access} access to {entity} in vhost '{vhost}' refused for user '{user}'"),
    )
}

/// A routing key that the user's topic permission does not allow; `access` is `write` or `read`.
pub fn topic_refused(
    access: &str,
    routing_key: &str,
    exchange: &str,
    vhost: &str,
    user: &str,
) -> AmqpError {
    AmqpError::channel(
        AccessRefused,
        format_args!(
            "{access} access to topic '{routing_key}' in exchange '{exchange}' in vhost '{vhost}' \
             refused for user '{user}'"
        ),
    )
}

/// A publish to an internal exchange.
pub fn internal_exchange(exchange: &ExchangeName, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        AccessRefused,
        format_args!("cannot publish to internal exchange '{exchange}' in vhost '{vhost}'"),
    )
}

/// A frame that the channel does not expect.
pub fn unexpected_frame(what: impl Display) -> AmqpError {
    AmqpError::connection(UnexpectedFrame, what)
}

/// A connection closed by an operator or because the broker is stopping.
pub fn connection_forced(reason: impl Display) -> AmqpError {
    AmqpError::connection(ConnectionForced, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_compared_in_rabbitmqs_words() {
        let vhost = VhostName::from("/");
        let queue = QueueName::from("ptt");
        let ttl = AMQPValue::LongInt(1000);
        let error = inequivalent_argument(
            "x-message-ttl",
            Entity::Queue(&queue),
            &vhost,
            None,
            Some(&ttl),
        );
        assert_eq!(
            error.text,
            "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'ptt' in vhost '/': \
             received none but current is the value '1000' of type 'signedint'"
        );
        let other = AMQPValue::LongInt(2000);
        let error = inequivalent_argument(
            "x-message-ttl",
            Entity::Queue(&queue),
            &vhost,
            Some(&other),
            Some(&ttl),
        );
        assert!(
            error
                .text
                .ends_with("received '2000' but current is '1000'"),
            "{}",
            error.text
        );
    }
}
