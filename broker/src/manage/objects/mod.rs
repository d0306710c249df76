//! What exists, as typed objects: one file for each kind. Their serde names are the keys of RabbitMQ's HTTP API;
//! leveretctl's columns, the metrics and definition files read the same fields.
//!
//! A new field belongs in its object here, and is then shown by every view. What does not belong here: how a view writes
//! it, and rules about it.

pub mod channel;
pub mod connection;
mod erlang;
pub mod feature_flag;
pub mod limits;
pub mod listener;
pub mod memory;
pub mod node;
pub mod overview;
pub mod policy;
pub(crate) mod queue;
mod rates;
pub mod user;
pub mod vhost;

pub use channel::Channel;
pub use connection::Connection;
pub use listener::Listener;
pub use node::Node;
pub use overview::Overview;
pub use policy::Policy;
pub use queue::Queue;
pub use rates::{LengthDetails, MessageStatistics, OctetDetails, Rates};
pub use user::User;
pub use vhost::Vhost;

use serde_json::{Map, Value};

/// Arguments as RabbitMQ's HTTP API writes them: an object with plain JSON values.
pub type Arguments = Map<String, Value>;
