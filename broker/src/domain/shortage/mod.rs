//! Reactions to a shortage of memory or disk space: raising alarms, which block publishers, and closing the connections
//! that hold most memory.

mod evict;
mod watch;

pub use watch::{check, watch};
