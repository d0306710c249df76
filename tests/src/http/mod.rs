//! The management HTTP API, reply by reply: what is asked, and what RabbitMQ answers, kept as text.
//! `tests/conformance/http/README.md` describes the language and how to record.
//!
//! - [`script`]: files of scenarios, read strictly and written when they are recorded;
//! - `reply`: status, headers and body of an answer, as text and back;
//! - `client`: asks, one request at a time; `player`: one scenario from its first line to its last;
//! - `mask`: what differs from run to run, taken out in one place;
//! - `compare`: two replies, key by key; [`deviations`]: which differences are meant.
//!
//! AMQP itself is in `dialogue`, whose words the scenarios use for it.

mod clean;
mod client;
mod compare;
mod condition;
pub mod deviations;
mod mask;
mod player;
mod reply;
mod run;
pub mod script;

pub use compare::{Difference, Kind};
pub use deviations::Deviations;
pub use run::{Mismatch, Target, play, record, summary};
pub use script::Script;
