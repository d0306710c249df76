//! What clients do to declarations and messages, with every check that RabbitMQ makes and in its order: reserved names,
//! permissions, exclusive queues, types of queues that do not support an operation, and memory. A refusal is an AMQP
//! error, whose text RabbitMQ gives to clients of its HTTP API, too.
//!
//! A check belongs here if it applies to every caller, over AMQP and HTTP: each operation is a method of its [`Caller`].
//! What an operation does when nothing speaks against it belongs in [`vhost`](crate::domain::vhost). What only one protocol
//! has does not belong here: replies, an empty name for the last declared queue, waiting for the store, what a connection
//! may hold. Administrators' requests, which no permission limits, are in `manage`.

mod bindings;
mod caller;
mod exchanges;
mod firehose;
mod get;
mod ignored;
mod messages;
mod moving;
mod publish;
mod queues;
mod room;

#[cfg(test)]
mod message_tests;
#[cfg(test)]
mod tests;

pub use bindings::BindingSpec;
pub use caller::Caller;
pub use exchanges::ExchangeDeclaration;
pub use get::{Got, Settlement, Wanted};
pub use messages::{PermittedExchange, Subscription, check_properties};
pub use moving::{MoveBounds, Moved};
pub use publish::{NewMessage, Published};
pub use queues::{QueueConditions, QueueDeclaration};
