//! Reports what takes long, while it lasts: in the log, so that an operator knows, and to the service manager, which then
//! waits longer.

use super::Notifier;
use sd_notify::NotifyState;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often it is reported. Operators are promised a line at least every 5 seconds.
const EVERY: Duration = Duration::from_secs(4);
/// How much more time the service manager is asked for each time.
const EXTENSION: Duration = Duration::from_secs(60);
/// How long nothing may change before the service manager is asked for no more time. One write to a disk that is in trouble
/// can take minutes.
const STANDSTILL: Duration = Duration::from_secs(300);

/// How far something is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What is being done and how far it is, for operators.
    pub text: String,
    /// Changes whenever something was done, even where the text does not.
    pub mark: u64,
}

/// Reports on a thread of its own until it is dropped.
pub struct Reporter {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Reporter {
    /// Starts to report what `look` returns: at once to the service manager, and to `say` if it lasts.
    ///
    /// # Errors
    /// When there can be no thread.
    pub(in crate::node) fn start(
        notifier: Notifier,
        look: impl Fn() -> Report + Send + 'static,
        say: impl Fn(&str) + Send + 'static,
    ) -> io::Result<Self> {
        Reporter::start_every(EVERY, notifier, look, say)
    }

    fn start_every(
        every: Duration,
        notifier: Notifier,
        look: impl Fn() -> Report + Send + 'static,
        say: impl Fn(&str) + Send + 'static,
    ) -> io::Result<Self> {
        let mut movement = Movement::new(look(), Instant::now());
        extend(&notifier, &movement.last.text);
        let (stop, stopped) = channel::<()>();
        let thread = std::thread::Builder::new().name("progress".to_owned());
        let thread = thread.spawn(move || {
            while stopped.recv_timeout(every) == Err(RecvTimeoutError::Timeout) {
                let report = look();
                say(&report.text);
                let text = report.text.clone();
                if movement.goes_on(report, Instant::now()) {
                    extend(&notifier, &text);
                } else {
                    notifier.status(&text);
                }
            }
        })?;
        Ok(Reporter {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Starts to report on standard error, for commands.
    ///
    /// # Errors
    /// When there can be no thread.
    pub fn on_terminal(look: impl Fn() -> Report + Send + 'static) -> io::Result<Self> {
        let say = |text: &str| eprintln!("leveret: {text}");
        Reporter::start(Notifier::default(), look, say)
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // If it has panicked, that is in the log.
            let _ = thread.join();
        }
    }
}

fn extend(notifier: &Notifier, text: &str) {
    // A minute fits.
    let micros = u32::try_from(EXTENSION.as_micros()).unwrap_or(u32::MAX);
    notifier.send(&[
        NotifyState::ExtendTimeoutUsec(micros),
        NotifyState::Status(text),
    ]);
}

/// Whether what is reported changes.
struct Movement {
    last: Report,
    since: Instant,
}

impl Movement {
    fn new(first: Report, now: Instant) -> Self {
        Movement {
            last: first,
            since: now,
        }
    }

    /// Returns whether something has changed lately.
    fn goes_on(&mut self, report: Report, now: Instant) -> bool {
        if report != self.last {
            *self = Movement::new(report, now);
        }
        now.saturating_duration_since(self.since) < STANDSTILL
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    fn report(mark: u64) -> Report {
        let text = "reading the log: 1.2 of 3.4 GiB".to_owned();
        Report { text, mark }
    }

    #[test]
    fn more_time_is_asked_for_while_something_is_done() {
        let start = Instant::now();
        let mut movement = Movement::new(report(0), start);
        assert!(movement.goes_on(report(0), start + STANDSTILL / 2));
        assert!(!movement.goes_on(report(0), start + STANDSTILL));
        // It was only slow.
        assert!(movement.goes_on(report(1), start + STANDSTILL * 2));
        assert!(!movement.goes_on(report(1), start + STANDSTILL * 4));
    }

    #[test]
    fn a_slow_step_is_reported_again_and_again_and_then_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
        let (done, said) = (
            Arc::new(AtomicU64::new(0)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let look = {
            let done = done.clone();
            move || report(done.fetch_add(1, Ordering::Relaxed))
        };
        let say = {
            let said = said.clone();
            move |text: &str| said.lock().push(text.to_owned())
        };
        let notifier = Notifier::at(path.as_os_str());
        let every = Duration::from_millis(5);
        let reporter = Reporter::start_every(every, notifier, look, say).unwrap();
        let mut buffer = [0; 256];
        for _ in 0..4 {
            let length = manager.recv(&mut buffer).unwrap();
            let told = String::from_utf8_lossy(&buffer[..length]);
            let wanted = "EXTEND_TIMEOUT_USEC=60000000\nSTATUS=reading the log: 1.2 of 3.4 GiB\n";
            assert_eq!(told, wanted);
        }
        drop(reporter);
        assert!(said.lock().len() >= 3);
        let looks = done.load(Ordering::Relaxed);
        std::thread::sleep(every * 4);
        assert_eq!(done.load(Ordering::Relaxed), looks);
    }
}
