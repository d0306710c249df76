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

/// Whom a listener serves, or whose listeners are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// Clients: AMQP.
    Clients,
    /// Operators: the HTTP API and metrics.
    Operators,
    /// Both.
    Everybody,
}

/// The listeners of the broker.
#[derive(Debug, Default)]
pub struct Ports(Mutex<Vec<(Users, mpsc::UnboundedSender<PortOrder>)>>);

impl Ports {
    /// Adds a listener for these, and returns what it is told from now on. Its answers are awaited.
    pub fn add(&self, users: Users) -> mpsc::UnboundedReceiver<PortOrder> {
        let (orders, listener) = mpsc::unbounded_channel();
        self.0.lock().push((users, orders));
        listener
    }

    /// Makes every listener of these users listen, or close its socket, and returns when they have. One that does already
    /// is no error.
    /// Blocks.
    ///
    /// # Errors
    /// The first error of a listener: its port may be in use by now.
    pub fn set_open(&self, whose: Users, open: bool) -> io::Result<()> {
        // Locked to the end: orders of several operators do not mix.
        let mut listeners = self.0.lock();
        let mut answers: Vec<Receiver<io::Result<()>>> = Vec::new();
        // A listener that has ended is no more.
        listeners.retain(|(users, orders)| {
            if whose != Users::Everybody && whose != *users {
                return !orders.is_closed();
            }
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
        let set_open = |open| ports.set_open(Users::Everybody, open);
        assert!(set_open(false).is_ok());
        let add = || ports.add(Users::Clients);
        let (mut good, mut bad, gone) = (add(), add(), add());
        drop(gone);
        let obey = std::thread::spawn(move || {
            let order = good.blocking_recv().unwrap();
            assert!(order.open);
            order.done(Ok(()));
            let order = bad.blocking_recv().unwrap();
            order.done(Err(io::ErrorKind::AddrInUse.into()));
        });
        let error = set_open(true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
        obey.join().unwrap();
        // Both have ended.
        assert!(set_open(true).is_ok());
    }

    #[test]
    fn only_those_that_are_meant_obey() {
        let ports = Ports::default();
        let (mut clients, mut operators) = (ports.add(Users::Clients), ports.add(Users::Operators));
        std::thread::scope(|scope| {
            scope.spawn(|| clients.blocking_recv().unwrap().done(Ok(())));
            ports.set_open(Users::Clients, false).unwrap();
        });
        assert!(operators.try_recv().is_err());
        assert!(clients.try_recv().is_err());
    }
}
