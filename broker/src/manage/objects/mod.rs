//! What exists, as typed objects: one file for each kind. Their serde names are the keys of RabbitMQ's HTTP API;
//! leveretctl's columns, the metrics and definition files read the same fields.
//!
//! A new field belongs in its object here, and is then shown by every view. What does not belong here: how a view writes
//! it, and rules about it.

mod arguments;
pub mod binding;
pub mod consumer;
pub mod exchange;
pub mod message;
pub mod queue;

pub use arguments::Arguments;
pub use binding::Binding;
pub use consumer::Consumer;
pub use exchange::Exchange;
pub use message::Message;
pub use queue::Queue;
