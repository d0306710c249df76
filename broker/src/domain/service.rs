//! Whether the broker serves clients: operators can suspend its listeners, put it under maintenance, and stop what RabbitMQ
//! calls the application, while the process goes on and answers leveretctl.

use super::addresses::Addresses;
use super::broker::Broker;
use crate::plumbing::ports::{Ports, Users};
use parking_lot::Mutex;
use std::io;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// How long connections may take to close.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause between two looks at whether they have.
const GOODBYE_POLL: Duration = Duration::from_millis(5);

/// What clients are told when an operator drains the broker: RabbitMQ's text.
const DRAINED: &str = "Node was put into maintenance mode";
/// What clients are told when an operator stops the application.
const STOPPED: &str = "broker forced connection closure with reason 'shutdown'";

/// Whether clients are served, for those who watch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// They are.
    #[default]
    Serving,
    /// Only those that are connected already.
    Suspended,
    /// They are being turned away for maintenance.
    Draining,
    /// They have been turned away for maintenance.
    Maintenance,
    /// An operator has stopped the application.
    Stopped,
}

/// The state of the service.
#[derive(Debug, Default)]
pub struct Service {
    /// The listeners.
    pub ports: Ports,
    /// Where they are, once they are.
    pub addresses: OnceLock<Addresses>,
    /// Locked while the application is stopped, started or reset.
    pub switching: Mutex<()>,
    stopped: AtomicBool,
    maintenance: AtomicBool,
    condition: watch::Sender<Condition>,
}

impl Service {
    /// Returns whether the application runs: it does unless an operator has stopped it.
    pub fn is_running(&self) -> bool {
        !self.stopped.load(Ordering::Acquire)
    }

    /// Returns the condition, and tells of each change.
    pub fn condition(&self) -> watch::Receiver<Condition> {
        self.condition.subscribe()
    }

    /// Returns why a client that comes now is turned away; `None` if it is served. Listeners are closed then, but a client
    /// may have been accepted before and be in the middle of its TLS handshake, or come through the HTTP API.
    pub fn turns_away(&self) -> Option<&'static str> {
        if self.is_under_maintenance() {
            return Some(DRAINED);
        }
        (!self.is_running()).then_some(STOPPED)
    }

    /// Returns whether the broker is under maintenance.
    pub fn is_under_maintenance(&self) -> bool {
        self.maintenance.load(Ordering::Acquire)
    }
}

impl Broker {
    /// Stops the application: closes the listeners and all connections, and waits for these. Does nothing if it is
    /// stopped. What is declared and what queues hold stays. Blocks.
    ///
    /// # Errors
    /// When a listener or a connection does not close; then the application is not stopped.
    pub fn stop_app(&self) -> io::Result<()> {
        if self.service.stopped.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let closed = self.service.ports.set_open(Users::Everybody, false);
        let away = closed.and_then(|()| self.turn_clients_away(STOPPED));
        if away.is_err() {
            self.service.stopped.store(false, Ordering::Release);
        } else {
            self.service.condition.send_replace(Condition::Stopped);
        }
        away.map(drop)
    }

    /// Starts the application: listens again. Does nothing if it runs. Blocks.
    ///
    /// # Errors
    /// When a port cannot be had again; then the application stays stopped.
    pub fn start_app(&self) -> io::Result<()> {
        if self.service.is_running() {
            return Ok(());
        }
        // Before the first client: it would be turned away.
        self.service.stopped.store(false, Ordering::Release);
        let opened = self.open_ports();
        if opened.is_err() {
            self.service.stopped.store(true, Ordering::Release);
        }
        opened
    }

    /// Closes the listeners; connections stay. Blocks.
    ///
    /// # Errors
    /// When a listener does not close.
    pub fn suspend(&self) -> io::Result<()> {
        self.service.ports.set_open(Users::Everybody, false)?;
        let suspended = |condition: &mut Condition| {
            let serves = *condition == Condition::Serving;
            if serves {
                *condition = Condition::Suspended;
            }
            serves
        };
        self.service.condition.send_if_modified(suspended);
        Ok(())
    }

    /// Puts the broker under maintenance: closes the clients' listeners and all connections, and waits for these, and so
    /// until what they have not acknowledged is back in its queues and their exclusive queues are gone. Operators are still
    /// served over HTTP. Returns how many connections there were. Blocks.
    ///
    /// # Errors
    /// When a listener or a connection does not close.
    pub fn drain(&self) -> io::Result<usize> {
        self.service.maintenance.store(true, Ordering::Release);
        self.service.condition.send_replace(Condition::Draining);
        self.service.ports.set_open(Users::Clients, false)?;
        let closed = self.turn_clients_away(DRAINED)?;
        self.service.condition.send_replace(Condition::Maintenance);
        Ok(closed)
    }

    /// Opens the listeners, and ends maintenance. Blocks.
    ///
    /// # Errors
    /// When a port cannot be had again; then all are closed, and maintenance goes on.
    pub fn open_ports(&self) -> io::Result<()> {
        // Before the first client: it would be turned away.
        let was_drained = self.service.maintenance.swap(false, Ordering::AcqRel);
        let opened = self.service.ports.set_open(Users::Everybody, true);
        if let Err(error) = opened {
            self.service
                .maintenance
                .store(was_drained, Ordering::Release);
            // All or none: clients must not find half of a broker.
            let _ = self.service.ports.set_open(Users::Everybody, false);
            return Err(error);
        }
        self.service.condition.send_replace(Condition::Serving);
        Ok(())
    }

    fn turn_clients_away(&self, reason: &str) -> io::Result<usize> {
        let closed = self.connections.close_all(reason);
        let deadline = Instant::now() + GOODBYE_TIMEOUT;
        while self.connections.count() > 0 && Instant::now() < deadline {
            thread::sleep(GOODBYE_POLL);
        }
        match self.connections.count() {
            0 => Ok(closed),
            left => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!(
                    "{left} connections have not closed in {} s",
                    GOODBYE_TIMEOUT.as_secs()
                ),
            )),
        }
    }
}
