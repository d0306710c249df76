//! The admin socket: leveretctl and the broker talk over a Unix socket in the data directory.
//!
//! What belongs here is the form of a request and of its answer. What does not: what can be asked ([`manage`](crate::manage)).

#[cfg(test)]
mod hostile;
mod seats;
pub mod server;
pub mod socket;
pub mod wire;
