//! Policies: settings that operators give to many queues and exchanges at once, by the pattern
//! that their names match (RabbitMQ: "Policies", "Operator Policies").
//!
//! `keys` says what may stand in a definition, `definition` reads and merges definitions, `policy`
//! is one of them with its pattern, `policies` are those of a virtual host and which of them apply
//! to a name. What a key does to a queue is for [`Settings`](crate::engine::queue::Settings) to say, and
//! when policies are applied for [`Vhost`](crate::domain::vhost::Vhost).

mod definition;
mod keys;
mod one;
mod policies;

pub use definition::PolicyDefinition;
pub use one::{ApplyTo, Policy, PolicyError, PolicyKind, PolicySpec, Target, WrittenPolicy};
pub use policies::{Applied, Policies};
