//! The metrics, as RabbitMQ's Prometheus plugin names, types and labels them, and Leveret's own.
//!
//! Each metric is described once, in a table of its subject: [`objects`] has those of queues, exchanges, channels and
//! connections, [`node`] those of the process, [`global`] those of all messages, [`own`] Leveret's. A table is read for
//! each object, or once for the sum of all. [`families`] says which tables an endpoint shows.
//!
//! What does not belong here: counting, which the layers below do where things happen, and the text formats, which are
//! `http`'s.

mod description;
mod families;
mod global;
mod leveret;
mod node;
mod objects;
mod scrape;
mod selected;
mod totals;

pub use description::{Kind, Labels, Metric, Sink};
pub use families::{Endpoint, Selection};
pub use scrape::{Scrape, Scraper};
