//! What a stop waits for, and for how long: docs/operate/service.md promises the sum.

use super::reporter::Report;
use super::{Notifier, Reporter};
use crate::domain::broker::Broker;
use leveret_storage::{StorageError, Store};
use sd_notify::NotifyState;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How long clients may take to answer that the broker closes their connections.
const ANSWER: Duration = Duration::from_millis(1500);
/// How long it waits on while connections keep closing: there may be thousands, each with messages to hand back.
const LONGEST: Duration = Duration::from_secs(10);
/// How long no connection may have closed for that.
const STEADY: Duration = Duration::from_millis(500);
/// How often the service manager is told how many are left.
const STATUS_EVERY: Duration = Duration::from_secs(1);
/// The pause between two looks.
const POLL: Duration = Duration::from_millis(5);

/// Tells the service manager that the broker stops, and waits in bounded time for connections that are being closed; not
/// at all once `hurry` becomes true.
pub(in crate::node) async fn say_goodbye(
    notifier: &Notifier,
    broker: &Arc<Broker>,
    hurry: &watch::Receiver<bool>,
) {
    notifier.send(&[NotifyState::Stopping]);
    let waiting = broker.connections.count();
    notifier.status(&waiting_for(waiting));
    if waiting > 0 {
        tracing::info!(connections = waiting, "stopping: waiting for connections");
    }
    let began = Instant::now();
    let (mut count, mut changed, mut told) = (waiting, began, began);
    loop {
        let now = Instant::now();
        let left = broker.connections.count();
        if left != count {
            (count, changed) = (left, now);
        }
        if now - told >= STATUS_EVERY {
            told = now;
            notifier.status(&waiting_for(count));
        }
        if left == 0 || *hurry.borrow() || !goes_on(now - began, now - changed) {
            break;
        }
        sleep(POLL).await;
    }
    if count > 0 {
        tracing::warn!(
            connections = count,
            "stopping: not waiting any longer for connections whose clients do not answer; messages that they have not \
             acknowledged stay in their queues"
        );
    }
}

/// Returns whether it waits on, so long after it began and after a connection has closed.
fn goes_on(since_start: Duration, since_change: Duration) -> bool {
    since_start < ANSWER || since_start < LONGEST && since_change < STEADY
}

fn waiting_for(connections: usize) -> String {
    match connections {
        1 => "stopping: waiting for 1 connection".to_owned(),
        many => format!("stopping: waiting for {many} connections"),
    }
}

/// Closes the store, which has bounds of its own for each of its steps, and reports it while it lasts. Blocks.
///
/// # Errors
/// See [`Store::close`].
pub(in crate::node) fn close_store(notifier: &Notifier, store: &Store) -> Result<(), StorageError> {
    let look = {
        let store = store.clone();
        move || {
            let stats = store.stats();
            let what = match stats.backlog_bytes {
                0 => "a checkpoint or backup ends".to_owned(),
                bytes => format!("{bytes} bytes are written"),
            };
            Report {
                text: format!("stopping: closing the store, until {what}"),
                mark: stats.commits.wrapping_add(stats.bytes_written),
            }
        }
    };
    let say = |text: &str| tracing::info!("{text}");
    // Without a thread for it, it is not reported.
    let reporter = Reporter::start(notifier.clone(), look, say).ok();
    let closed = store.close();
    drop(reporter);
    closed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_that_do_not_answer_are_not_waited_for_and_those_that_leave_are() {
        let seconds = Duration::from_secs_f64;
        assert!(goes_on(seconds(1.4), seconds(1.4)));
        assert!(!goes_on(seconds(1.6), seconds(1.6)));
        assert!(goes_on(seconds(5.0), seconds(0.1)));
        assert!(!goes_on(seconds(5.0), seconds(0.6)));
        assert!(!goes_on(seconds(10.1), seconds(0.0)));
    }
}
