//! What moves, waits and counts around the machines: performing their effects, mailboxes and timers, the threads that page
//! messages out and read streams, accounts of memory and alarms, where the log goes, the interface to the system.
//!
//! What belongs here decides nothing about messages (that is [`engine`](crate::engine)) and knows nothing of what is
//! declared or of who may do what (that is [`domain`](crate::domain)).

pub mod alarms;
pub mod aside;
pub mod ledger;
pub mod log;
pub mod mailbox;
pub mod paging;
mod perform;
pub mod ports;
pub mod replies;
pub mod report;
pub mod slots;
pub mod stream_readers;
pub mod system;
pub mod timers;
pub mod workers;

/// Returns once the broker is asked to stop.
pub async fn stopped(stop: &mut tokio::sync::watch::Receiver<bool>) {
    // If the sender is gone, that means stop, too.
    let _ = stop.wait_for(|stop| *stop).await;
}
