//! What exists, as typed objects: one file for each kind. Their serde names are the keys of RabbitMQ's HTTP API;
//! leveretctl's columns, the metrics and definition files read the same fields.
//!
//! A new field belongs in its object here, and is then shown by every view. What does not belong here: how a view writes
//! it, and rules about it.

pub(crate) mod queue;
mod rates;

pub use queue::Queue;
pub use rates::{LengthDetails, MessageStatistics, OctetDetails, Rates};

use serde_json::{Map, Value};

/// Arguments as RabbitMQ's HTTP API writes them: an object with plain JSON values.
pub type Arguments = Map<String, Value>;
