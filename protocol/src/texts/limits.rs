//! RabbitMQ's texts for limits that an operator has set.

use crate::error::{AmqpError, ReplyCode};
use crate::texts::Entity;
use crate::{QueueName, VhostName};
use ReplyCode::*;
use std::fmt::Display;

/// More queues than the virtual host may have.
pub fn queue_limit(queue: &QueueName, vhost: &VhostName, limit: u64) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!(
            "cannot declare queue '{queue}': queue limit in vhost '{vhost}' ({limit}) is reached"
        ),
    )
}

/// More connections than the broker accepts.
pub fn node_connection_limit(limit: u64) -> AmqpError {
    AmqpError::connection(
        NotAllowed,
        format_args!("connection refused: node connection limit ({limit}) is reached"),
    )
}

/// More connections than the virtual host may have.
pub fn vhost_connection_limit(vhost: &VhostName, user: impl Display, limit: u64) -> AmqpError {
    AmqpError::connection(
        NotAllowed,
        format_args!(
            "access to vhost '{vhost}' refused for user '{user}': connection limit ({limit}) is \
             reached"
        ),
    )
}

/// More connections than the user may have.
pub fn user_connection_limit(user: impl Display, limit: u64) -> AmqpError {
    AmqpError::connection(
        NotAllowed,
        format_args!(
            "connection refused for user '{user}': user connection limit ({limit}) is reached"
        ),
    )
}

/// More channels than the user may have.
pub fn user_channel_limit(user: impl Display, limit: u64) -> AmqpError {
    AmqpError::connection(
        NotAllowed,
        format_args!(
            "number of channels opened for user '{user}' has reached the maximum allowed user \
             limit of {limit}"
        ),
    )
}

/// More channels than negotiated (`rabbit_reader:create_channel`).
pub fn channel_max_reached(open: usize, max: u16) -> AmqpError {
    AmqpError::connection(
        NotAllowed,
        format_args!(
            "number of channels opened ({open}) has reached the negotiated channel_max ({max})"
        ),
    )
}

/// More channels than the broker accepts.
pub fn node_channel_limit(node: &str, limit: u64) -> AmqpError {
    AmqpError::connection(
        NotAllowed,
        format_args!(
            "number of channels opened on node '{node}' has reached the maximum allowed limit of \
             {limit}"
        ),
    )
}

/// More consumers than a channel may have.
pub fn consumer_limit(limit: u64) -> AmqpError {
    AmqpError::connection(
        NotAllowed,
        format_args!("reached maximum ({limit}) of consumers per channel"),
    )
}

/// Arguments of a queue, an exchange or a binding that are too large.
pub fn arguments_limit(bytes: usize, limit: usize) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("arguments of {bytes} bytes are larger than the allowed {limit} bytes"),
    )
}

/// Arguments of consumers that are too large in total for one connection.
pub fn consumer_arguments_limit(limit: usize) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("arguments of a connection's consumers are limited to {limit} bytes"),
    )
}

/// A client that gets messages and acknowledges none.
pub fn too_much_unacknowledged(limit: u64) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!("more than {limit} bytes of messages are not acknowledged"),
    )
}

/// Data sent by a client that takes more memory than currently allowed; on a channel.
pub fn too_much_unfinished(limit: u64) -> AmqpError {
    AmqpError::channel(PreconditionFailed, unfinished(limit))
}

/// The same, when the client opens another channel.
pub fn too_much_for_a_channel(limit: u64) -> AmqpError {
    AmqpError::connection(ResourceError, unfinished(limit))
}

fn unfinished(limit: u64) -> String {
    format!(
        "unfinished and uncommitted messages, channels and consumers of this connection take more \
         memory than the {limit} bytes currently allowed"
    )
}

/// A new queue, exchange or binding for which there is no memory.
pub fn no_memory_for(what: Entity<'_>, vhost: &VhostName) -> AmqpError {
    AmqpError::channel(
        PreconditionFailed,
        format_args!(
            "cannot declare {what} in vhost '{vhost}' or bind to it: memory is far above its watermark"
        ),
    )
}
