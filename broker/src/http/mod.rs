//! The management HTTP API and the metrics: RabbitMQ's paths, JSON and names.
//!
//! What belongs here is how a request is read and how an answer is written: paths, query parameters, statuses, JSON,
//! and how much one client may cost. What does not: what exists and what can be done, which [`manage`](crate::manage)
//! describes, and who may do it. A handler is a line that checks a right, names a listing or an operation, and returns it.

mod allowance;
mod api;
pub mod body;
mod bounded_json;
mod chunks;
mod denials;
mod effort;
pub mod error;
mod fields;
mod foreign;
mod headers;
pub mod list;
mod login;
mod metrics;
mod page;
mod row;
pub mod server;
mod session;
mod state;
mod websocket;
