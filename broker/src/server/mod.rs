//! Plumbing: sockets, connection tasks, their mailboxes, and the orderly end of it all.

pub mod connections;
mod linger;
pub mod listener;
pub mod mailbox;
pub mod replies;
mod session;
pub mod timers;

pub use connections::{ConnectionId, ConnectionInfo};

/// Returns once the broker is told to stop.
pub async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // When nobody can say stop any more, it is as good as said.
    let _ = stop.wait_for(|stop| *stop).await;
}
