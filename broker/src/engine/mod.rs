//! The pure machines: what a queue, a stream, an exchange and a delayed exchange do with messages, and where dead
//! letters go.
//!
//! A rule of AMQP or RabbitMQ about messages belongs here, together with its property test; sockets, threads, tasks,
//! the disk, users, and the names of declared objects do not. A machine is told the time and collects what it wants
//! done in [`queue::Effects`]; it knows its environment only through the traits in [`interfaces`], which the layers
//! above implement.

pub mod applied_policy;
pub mod clock;
pub mod dead_letters;
pub mod exchange;
pub mod interfaces;
pub mod message;
pub mod queue;
pub mod record;
pub mod statistics;
pub mod stream;
#[cfg(test)]
pub(crate) mod test_tables;
