//! The process: logging, signals, configuration reload, file permissions, and the commands that work on a data directory
//! without a broker.

pub mod logging;
pub mod offline;
pub mod private;
pub mod reload;
pub mod signals;
