//! AMQP 0-9-1 on bytes: frames, methods, content headers, field tables, names and reply codes.
//!
//! Nothing here does I/O or depends on tokio. The few methods that are sent once per message
//! (publish, deliver, ack and the like) are encoded and decoded by hand in [`method`]; all others
//! go through the `amq-protocol` crate, after [`table`] has checked that the field tables of the
//! peer are well-formed and not nested too deeply.
//!
//! What a method does does not belong here, nor which names and values are valid for whom.

pub mod complete_publish;
pub mod content;
pub mod erlang;
pub mod error;
pub mod frame;
pub mod method;
pub mod names;
pub mod raw_table;
pub mod table;
pub mod texts;

pub use amq_protocol::protocol as classes;
pub use amq_protocol::types as values;

pub use error::{AmqpError, MethodId, ReplyCode, Scope};
pub use names::{
    ChannelId, ConsumerTag, DeliveryTag, ExchangeName, QueueName, RoutingKey, UserName, VhostName,
};

#[cfg(test)]
mod hostile;
