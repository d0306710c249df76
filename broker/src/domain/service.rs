//! Whether the broker serves clients: operators can suspend its listeners, put it under maintenance, and stop what RabbitMQ
//! calls the application, while the process goes on and answers leveretctl.

use super::broker::Broker;
use crate::plumbing::ports::Ports;
use parking_lot::Mutex;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long connections may take to close.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(20);
/// The pause between two looks at whether they have.
const GOODBYE_POLL: Duration = Duration::from_millis(5);

/// The state of the service.
#[derive(Debug, Default)]
pub struct Service {
    /// The listeners.
    pub ports: Ports,
    /// Locked while the application is stopped, started or reset.
    pub switching: Mutex<()>,
    stopped: AtomicBool,
    maintenance: AtomicBool,
}

impl Service {
    /// Returns whether the application runs: it does unless an operator has stopped it.
    pub fn is_running(&self) -> bool {
        !self.stopped.load(Ordering::Acquire)
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
        let reason = "broker forced connection closure with reason 'shutdown'";
        let away = self.turn_clients_away(reason);
        if away.is_err() {
            self.service.stopped.store(false, Ordering::Release);
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
        self.open_ports()?;
        self.service.stopped.store(false, Ordering::Release);
        Ok(())
    }

    /// Puts the broker under maintenance: closes the listeners and all connections, and waits for these. Returns how many
    /// there were. Blocks.
    ///
    /// # Errors
    /// When a listener or a connection does not close.
    pub fn drain(&self) -> io::Result<usize> {
        self.service.maintenance.store(true, Ordering::Release);
        self.turn_clients_away("Node was put into maintenance mode")
    }

    /// Opens the listeners, and ends maintenance. Blocks.
    ///
    /// # Errors
    /// When a port cannot be had again; then all are closed, and maintenance goes on.
    pub fn open_ports(&self) -> io::Result<()> {
        let opened = self.service.ports.set_open(true);
        if let Err(error) = opened {
            // All or none: clients must not find half of a broker.
            let _ = self.service.ports.set_open(false);
            return Err(error);
        }
        self.service.maintenance.store(false, Ordering::Release);
        Ok(())
    }

    fn turn_clients_away(&self, reason: &str) -> io::Result<usize> {
        self.service.ports.set_open(false)?;
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
