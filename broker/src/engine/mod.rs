//! The pure machines: what a queue, a stream, an exchange and a delayed exchange do with messages, and where dead letters
//! go.
//!
//! A rule of AMQP or RabbitMQ about messages belongs here, with its property test. What does not: sockets, threads, tasks,
//! the disk, users, the names under which things are declared. A machine is told the time and keeps what it wants done in
//! [`queue::Effects`]; of its environment it knows the traits in [`interfaces`], which the layers above implement.

pub mod clock;
pub mod dead_letters;
pub mod exchange;
pub mod interfaces;
pub mod message;
pub mod queue;
pub mod record;
pub mod stream;
