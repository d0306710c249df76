//! What exists, as typed objects: one file for each kind. Their serde names are the keys of RabbitMQ's HTTP API;
//! leveretctl's columns, the metrics and definition files read the same fields.
//!
//! A new field belongs in its object here, and is then shown by every view. What does not belong here: how a view writes
//! it, and rules about it.

mod arguments;
pub mod binding;
pub mod channel;
pub mod connection;
pub mod consumer;
pub mod contents;
mod erlang;
mod erlang_hash;
pub mod exchange;
pub mod feature_flag;
pub mod limits;
pub mod listener;
pub mod memory;
pub mod message;
pub mod node;
pub mod overview;
pub mod policy;
pub mod policy_matches;
pub mod queue;
pub mod queue_key;
mod rates;
pub mod route;
pub mod stream;
pub mod user;
pub mod vhost;

pub use arguments::Arguments;
pub use binding::Binding;
pub use channel::Channel;
pub use connection::Connection;
pub use consumer::Consumer;
pub use exchange::Exchange;
pub use listener::Listener;
pub use message::Message;
pub use node::Node;
pub use overview::Overview;
pub use policy::Policy;
pub use policy_matches::PolicyMatches;
pub use queue::Queue;
pub use rates::{ByteDetails, Counted, LengthDetails, MessageStatistics, Rates};
pub use route::Route;
pub use stream::Stream;
pub use user::User;
pub use vhost::Vhost;
