//! The process: its log, signals, what a reload changes, the files that are the owner's alone, and the commands that work on
//! a data directory without a broker.

pub mod logging;
pub mod offline;
pub mod private;
pub mod reload;
pub mod signals;
