//! What carries out the machines' wishes: mailboxes and timers, the threads that page messages out and read streams, what
//! peers hold and when memory or the disk is short, and the system beneath.
//!
//! What belongs here moves, counts or waits; it decides nothing about messages (that is [`engine`](crate::engine)) and knows
//! nothing of what is declared or of who may do what (that is [`domain`](crate::domain)).

pub mod alarms;
pub mod ledger;
pub mod mailbox;
pub mod paging;
mod perform;
pub mod replies;
pub mod report;
pub mod stream_readers;
pub mod system;
pub mod timers;

/// Returns once the broker is told to stop.
pub async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // When nobody can say stop any more, it is as good as said.
    let _ = stop.wait_for(|stop| *stop).await;
}
