//! Tells the service manager that the broker is alive, as long as it is. A manager that hears nothing restarts it.
//!
//! Each message proves that within the last seconds the runtime of the AMQP connections has run a task and a timer and
//! that the lists of connections and virtual hosts could be read, and that the store's threads wait for work, get on with
//! it, or wait for a disk that has not been silent for minutes ([`Store::hung`](leveret_storage::Store::hung)). It is sent
//! by a thread of its own: a runtime in which nothing runs cannot send it.

use super::Notifier;
use crate::domain::broker::Broker;
use sd_notify::NotifyState;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// How long the runtime may take to run a task. The store has limits of its own.
const PATIENCE: Duration = Duration::from_secs(10);

/// Watches until it is dropped.
pub(in crate::node) struct Watchdog(#[allow(dead_code, reason = "held, not read")] Sender<()>);

impl Watchdog {
    /// Starts watching, if the service manager wants it. Call it in the runtime of the connections.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(in crate::node) fn start(
        notifier: &Notifier,
        broker: &Arc<Broker>,
    ) -> io::Result<Option<Self>> {
        let period = sd_notify::watchdog_enabled().filter(|period| !period.is_zero());
        let Some(period) = period.filter(|_| notifier.is_heard()) else {
            return Ok(None);
        };
        // Half of it, as sd_watchdog_enabled(3) recommends.
        let every = period / 2;
        let (stop, stopped) = channel::<()>();
        let (notifier, broker, runtime) = (notifier.clone(), broker.clone(), Handle::current());
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        thread.spawn(move || {
            let mut probe = Probe::send(&runtime, &broker);
            let mut was_well = true;
            loop {
                let hung = broker.store.as_ref().and_then(|store| store.hung());
                let complaint = complaint(probe.unanswered(), hung);
                match &complaint {
                    None => notifier.send(&[NotifyState::Watchdog]),
                    Some(reason) if was_well => tracing::error!(
                        "the watchdog does not tell the service manager that the broker is alive: {reason}"
                    ),
                    Some(_) => {}
                }
                was_well = complaint.is_none();
                if probe.unanswered().is_none() {
                    probe = Probe::send(&runtime, &broker);
                }
                if stopped.recv_timeout(every) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
        })?;
        Ok(Some(Watchdog(stop)))
    }
}

/// Returns why the broker does not count as alive: the runtime has not answered for this long, or the store hangs.
fn complaint(unanswered: Option<Duration>, hung: Option<String>) -> Option<String> {
    let runtime = unanswered.filter(|time| *time > PATIENCE);
    let runtime = runtime.map(|time| {
        format!(
            "no task of the connections has run for {} s",
            time.as_secs()
        )
    });
    runtime.or(hung)
}

/// A question to the runtime and to the storage thread.
struct Probe {
    sent: Instant,
    answered: Arc<AtomicBool>,
}

impl Probe {
    fn send(runtime: &Handle, broker: &Arc<Broker>) -> Self {
        if let Some(store) = &broker.store {
            store.ask();
        }
        let answered = Arc::new(AtomicBool::new(false));
        let (broker, answer) = (broker.clone(), answered.clone());
        runtime.spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            // Whoever never gives these locks back stops everybody.
            let _ = (broker.connections.count(), broker.vhosts());
            answer.store(true, Ordering::Release);
        });
        Probe {
            sent: Instant::now(),
            answered,
        }
    }

    /// Returns for how long the runtime has not answered; `None` if it has.
    fn unanswered(&self) -> Option<Duration> {
        let answered = self.answered.load(Ordering::Acquire);
        (!answered).then(|| self.sent.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;

    #[test]
    fn a_runtime_in_which_nothing_runs_does_not_answer() {
        let broker = Arc::new(Broker::new(Limits::default(), Vec::new(), None));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let probe = Probe::send(runtime.handle(), &broker);
        std::thread::sleep(Duration::from_millis(20));
        assert!(probe.unanswered().is_some(), "nobody drives it");
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
        assert_eq!(probe.unanswered(), None);
    }

    #[test]
    fn a_busy_runtime_is_well_and_one_that_hangs_is_not() {
        assert_eq!(complaint(None, None), None);
        assert_eq!(complaint(Some(PATIENCE / 2), None), None);
        let said = complaint(Some(PATIENCE + Duration::from_secs(1)), None).unwrap();
        assert!(said.ends_with("for 11 s"), "{said}");
        let hung = Some("the storage thread has ended".to_owned());
        assert_eq!(complaint(None, hung.clone()), hung);
    }
}
