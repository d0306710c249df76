//! Reactions to a shortage of memory or disk space: raising alarms, which block publishers, and closing the connections
//! that hold most memory.
//!
//! What is measured, and what each connection holds, does not belong here: see `plumbing`.

mod evict;
mod watch;

pub use watch::{check, watch};
