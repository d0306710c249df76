//! The process: starting and stopping, logging, signals, configuration reload, file permissions, and the commands that work
//! on a data directory without a broker.
//!
//! What belongs here concerns the process as a whole. What does not: the broker itself; this layer hands it settings and
//! signals.

pub mod check_config;
pub mod data_dir;
pub mod failure;
mod listeners;
pub mod logging;
pub mod offline;
pub mod private;
pub mod reload;
mod service;
pub mod signals;
pub mod start;
