//! Definition files in RabbitMQ's format: everything that is declared or set, as one JSON object, to move between brokers
//! or to keep under version control.
//!
//! [`format`](Definitions) is the shape of a file, [`export`] fills one, and [`import`] applies one. Which objects exist
//! and which rules they follow is the domain's.

mod export;
mod format;
mod import;

pub use format::Definitions;
pub(crate) use import::import;
pub use import::{Imported, NotDefinitions, Problem};
