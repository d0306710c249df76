//! The admin socket: leveretctl and the broker talk over a Unix socket in the data directory.
//!
//! The form of requests and responses belongs here; the requests themselves are in [`manage`](crate::manage).

mod files;
#[cfg(test)]
mod hostile;
mod logs;
pub mod server;
pub mod socket;
pub mod wire;
