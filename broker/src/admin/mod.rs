//! What operators ask of a running broker.

pub mod report;
pub mod server;
