//! AMQP 0-9-1 on bytes: frames, methods, content headers, field tables, names and reply codes.
//!
//! Nothing here does I/O or knows of tokio. The few methods that travel once per message
//! (publish, deliver, ack and their like) are read and written by hand in [`method`]; every other
//! method goes through the `amq-protocol` crate, after [`table`] has checked that the peer's field
//! tables are well-formed and not nested without bound.

pub mod content;
pub mod error;
pub mod frame;
pub mod method;
pub mod names;
pub mod raw_table;
pub mod table;
pub mod texts;
pub mod whole;

pub use amq_protocol::protocol as classes;
pub use amq_protocol::types as values;

pub use error::{AmqpError, MethodId, ReplyCode, Scope};
pub use names::{
    ChannelId, ConsumerTag, DeliveryTag, ExchangeName, QueueName, RoutingKey, UserName, VhostName,
};

#[cfg(test)]
mod hostile;
