//! The listeners of the broker, which operators can close and open again while the broker runs.

use parking_lot::Mutex;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a listener may take to obey.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a listener is told: to listen, or to close its socket.
#[derive(Debug)]
pub struct PortOrder {
    /// Whether to listen.
    pub open: bool,
    answer: Sender<io::Result<()>>,
}

impl PortOrder {
    /// Answers whoever gave the order.
    pub fn done(self, result: io::Result<()>) {
        // Whoever asked may have lost patience.
        let _ = self.answer.send(result);
    }
}

/// The listeners of the broker.
#[derive(Debug, Default)]
pub struct Ports(Mutex<Vec<mpsc::UnboundedSender<PortOrder>>>);

impl Ports {
    /// Adds a listener, and returns what it is told from now on. Its answers are awaited.
    pub fn add(&self) -> mpsc::UnboundedReceiver<PortOrder> {
        let (orders, listener) = mpsc::unbounded_channel();
        self.0.lock().push(orders);
        listener
    }

    /// Makes every listener listen, or close its socket, and returns when they have. One that does already is no error.
    /// Blocks.
    ///
    /// # Errors
    /// The first error of a listener: its port may be in use by now.
    pub fn set_open(&self, open: bool) -> io::Result<()> {
        // Locked to the end: orders of several operators do not mix.
        let mut listeners = self.0.lock();
        let mut answers: Vec<Receiver<io::Result<()>>> = Vec::new();
        // A listener that has ended is no more.
        listeners.retain(|orders| {
            let (answer, answered) = channel();
            answers.push(answered);
            orders.send(PortOrder { open, answer }).is_ok()
        });
        let mut result = Ok(());
        for answered in answers {
            let answer = match answered.recv_timeout(PATIENCE) {
                Ok(answer) => answer,
                // The listener has ended: the broker stops.
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => Ok(()),
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {
                    Err(io::ErrorKind::TimedOut.into())
                }
            };
            result = result.and(answer);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_listeners_obey_and_the_first_error_is_told() {
        let ports = Ports::default();
        assert!(ports.set_open(false).is_ok());
        let (mut good, mut bad, gone) = (ports.add(), ports.add(), ports.add());
        drop(gone);
        let obey = std::thread::spawn(move || {
            let order = good.blocking_recv().unwrap();
            assert!(order.open);
            order.done(Ok(()));
            let order = bad.blocking_recv().unwrap();
            order.done(Err(io::ErrorKind::AddrInUse.into()));
        });
        let error = ports.set_open(true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        obey.join().unwrap();
        // Both have ended.
        assert!(ports.set_open(true).is_ok());
    }
}
