//! Everything that performs the machines' effects: mailboxes and timers, the threads that page messages out and read
//! streams, memory accounting and alarms, and the system interface.
//!
//! What belongs here moves, counts or waits; it decides nothing about messages (that is [`engine`](crate::engine)) and knows
//! nothing of what is declared or of who may do what (that is [`domain`](crate::domain)).

pub mod alarms;
pub mod aside;
pub mod ledger;
pub mod mailbox;
pub mod paging;
mod perform;
pub mod replies;
pub mod report;
pub mod slots;
pub mod stream_readers;
pub mod system;
pub mod timers;

/// Returns once the broker is asked to stop.
pub async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // If the sender is gone, that means stop, too.
    let _ = stop.wait_for(|stop| *stop).await;
}
