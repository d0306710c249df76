//! Definition files in RabbitMQ's format: everything that is declared or set, as one JSON object, to move between brokers
//! or to keep under version control.
//!
//! [`Definitions`] is a file when it is serialized and [`Export`] writes one in chunks; [`import`] and [`load`] apply
//! files. Which objects exist and which rules they follow is the domain's.

mod elsewhere;
mod entry;
mod export;
mod files;
mod format;
mod import;
mod load;
#[cfg(test)]
mod mutation_tests;
mod pairs;
mod problem;
mod read;
mod reload;
mod stream;
#[cfg(test)]
mod tests;

pub use export::{Definitions, Scope, incompatible_users};
pub use files::{ImportError, ImportOptions, MAX_FILE};
pub use load::{LoadError, check_configured, load, load_configured};
pub use problem::{Imported, Problem};
pub use read::NotDefinitions;
pub use reload::{Applied, NewRules, Rules};
pub use stream::Export;
