//! The process: logging, signals, configuration reload, file permissions, and the commands that work on a data directory
//! without a broker.
//!
//! What belongs here concerns the process as a whole. What does not: anything about the broker in it, which other modules
//! can be told.

pub mod logging;
pub mod offline;
pub mod private;
pub mod reload;
pub mod signals;
