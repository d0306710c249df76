//! RabbitMQ's texts about operations that a type of queue does not support.

use super::Entity;
use crate::error::{AmqpError, ReplyCode};
use crate::values::AMQPValue;
use crate::{QueueName, VhostName, table};
use ReplyCode::*;

/// An argument for other types of queues; `module` is RabbitMQ's name for this type
/// (`rabbit_classic_queue`).
pub fn argument_of_other_type(
    argument: &str,
    entity: Entity<'_>,
    vhost: &VhostName,
    module: &str,
) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!(
            "invalid arg '{argument}' for {entity} in vhost '{vhost}' of queue type {module}"
        ),
    )
}

/// A property that this type of queue does not have (`non-durable`, `exclusive-owner`,
/// `auto-delete`).
pub fn invalid_property(property: &str, entity: Entity<'_>, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("invalid property '{property}' for {entity} in vhost '{vhost}'"),
    )
}

/// A queue of a type that clients must name.
pub fn server_named(module: &str) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("Cannot declare a server-named queue for type {module}"),
    )
}

/// A prefix requested for server-generated names that is too long.
pub fn name_prefix_too_long(prefix: &str) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("Queue name prefix '{prefix}' exceeds the 64-byte limit"),
    )
}

/// `x-stream-max-segment-size-bytes` over its maximum.
pub fn segment_size_exceeded() -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        "Exceeded max value for x-stream-max-segment-size-bytes",
    )
}

/// `x-stream-filter-size-bytes` that is not a number.
pub fn filter_size_type() -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        "Invalid type for x-stream-filter-size-bytes",
    )
}

/// `x-stream-filter-size-bytes` out of its range.
pub fn filter_size_value() -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        "Invalid value for x-stream-filter-size-bytes",
    )
}

/// A consumer of a stream on a channel without a prefetch.
pub fn no_prefetch(queue: &QueueName, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("consumer prefetch count is not set for 'queue '{queue}' in vhost '{vhost}''"),
    )
}

/// A consumer of a stream that does not acknowledge.
pub fn no_automatic_ack(queue: &QueueName, vhost: &VhostName) -> AmqpError {
    not_by_streams("automatic acknowledgement", queue, vhost)
}

/// A consumer of a stream or a quorum queue on a channel with a global prefetch.
pub fn no_global_qos(queue: &QueueName, vhost: &VhostName) -> AmqpError {
    AmqpError::connection(
        NotImplemented,
        format_args!("queue '{queue}' in vhost '{vhost}' does not support global qos"),
    )
}

/// basic.get from a quorum queue with a single active consumer.
pub fn no_get_beside_single_active(queue: &QueueName, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        ResourceLocked,
        format_args!(
            "cannot obtain access to locked queue '{queue}' in vhost '{vhost}'. basic.get \
             operations are not supported by quorum queues with single active consumer"
        ),
    )
}

/// queue.delete of a quorum queue with `if-unused` or `if-empty`.
pub fn no_conditional_delete(queue: &QueueName, vhost: &VhostName, flag: &str) -> AmqpError {
    AmqpError::connection(
        NotImplemented,
        format_args!(
            "cannot delete queue '{queue}' in vhost '{vhost}'. queue.delete operations with \
             {flag} flag set are not supported by quorum queues"
        ),
    )
}

/// A method that streams do not support (`basic.get`, `queue.purge`).
pub fn not_by_streams(what: &str, queue: &QueueName, vhost: &VhostName) -> AmqpError {
    AmqpError::connection(
        NotImplemented,
        format_args!("{what} not supported by stream queues queue '{queue}' in vhost '{vhost}'"),
    )
}

/// `x-stream-offset` that is not a valid offset.
pub fn invalid_stream_offset(value: &AMQPValue, queue: &QueueName, vhost: &VhostName) -> AmqpError {
    let (kind, printed) = (table::type_name(value), table::erlang_term(value));
    let reason = format_args!("{{invalid_stream_offset_arg,{{{kind},{printed}}}}}");
    super::invalid_argument("x-stream-offset", Entity::Queue(queue), vhost, reason)
}
