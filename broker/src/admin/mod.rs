//! What operators ask of a running broker: leveretctl and the broker talk over a Unix socket in
//! the data directory.

pub mod columns;
pub mod pid;
pub mod report;
pub mod server;
pub mod socket;
pub mod status;
pub mod value;
pub mod wire;
