//! Plumbing: sockets, connection tasks, their mailboxes, and the orderly end of it all.

pub mod connections;
pub mod listener;
pub mod mailbox;
mod session;

pub use connections::{ConnectionId, ConnectionInfo};
