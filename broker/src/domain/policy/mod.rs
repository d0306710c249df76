//! Policies: settings that operators give to all queues and exchanges whose names match a pattern
//! (RabbitMQ: "Policies", "Operator Policies").
//!
//! `keys` lists the keys of definitions and their values, `definition` parses and merges definitions,
//! `spec` is a policy with its pattern, `candidate` one that is not set yet, and `policies` are those of a virtual host and which of them apply
//! to a name. [`Settings`](crate::engine::queue::Settings) implements what a key does to a queue, and
//! [`Vhost`](crate::domain::vhost::Vhost) applies policies.
//!
//! What a policy does to the messages of a queue does not belong here.

mod candidate;
mod definition;
mod keys;
mod policies;
mod spec;

pub use candidate::Candidate;
pub use definition::PolicyDefinition;
pub use policies::{Applied, InOrder, Policies};
pub use spec::{ApplyTo, Policy, PolicyError, PolicyKind, PolicySpec, Target, WrittenPolicy};
