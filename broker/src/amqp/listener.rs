//! Listening, accepting and stopping.

use super::linger::linger;
use super::session::{End, Session};
use crate::domain::broker::Broker;
use crate::domain::connections::{ConnectionInfo, log_connection};
use crate::plumbing::ports::PortOrder;
use crate::plumbing::stopped;
use crate::plumbing::system;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// The pause after a failed accept (out of file descriptors, for example): the listener must
/// neither end nor spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// The system probes a peer that has been silent for this long ...
const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);
/// ... and again at this interval; after nine unanswered probes the socket has failed.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
/// The minimum time between two log lines about the same problem.
const LOG_INTERVAL: Duration = Duration::from_secs(10);
/// How long connections may take to close when the broker stops.
const GOODBYE_TIMEOUT: Duration = Duration::from_millis(1500);

/// A listening socket.
pub struct Listener {
    /// The socket; `None` while an operator has closed it.
    listener: Option<TcpListener>,
    address: SocketAddr,
    orders: UnboundedReceiver<PortOrder>,
    broker: Arc<Broker>,
    /// One permit per socket, including those that are lingering.
    places: Arc<Semaphore>,
}

impl Listener {
    /// Binds `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// The system's error.
    pub fn bind(broker: Arc<Broker>, address: SocketAddr) -> io::Result<Self> {
        let listener = listen(address)?;
        let places = system::socket_limit(system::file_limit());
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        Ok(Listener {
            address: listener.local_addr()?,
            listener: Some(listener),
            orders: broker.service.ports.add(),
            broker,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
        })
    }

    /// Returns the bound address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop` becomes true, then closes all connections (320 CONNECTION_FORCED) and
    /// waits briefly for them.
    pub async fn serve(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let order = tokio::select! {
                () = accept(self.listener.as_ref(), &self.broker, &self.places) => break,
                () = stopped(&mut stop) => break,
                order = self.orders.recv() => order,
            };
            let Some(order) = order else {
                break;
            };
            let result = self.obey(order.open);
            order.done(result);
        }
        drop(self.listener);
        self.broker
            .connections
            .close_all("broker forced connection closure with reason 'shutdown'");
        let deadline = tokio::time::Instant::now() + GOODBYE_TIMEOUT;
        while self.broker.connections.count() > 0 && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Listens on the port that it had, or closes the socket.
    fn obey(&mut self, open: bool) -> io::Result<()> {
        if !open {
            self.listener = None;
        } else if self.listener.is_none() {
            self.listener = Some(listen(self.address)?);
        }
        Ok(())
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    // A restart must not wait for old connections in TIME_WAIT.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts connections forever, up to the limit; further ones wait until another closes. Without a socket it only waits.
async fn accept(listener: Option<&TcpListener>, broker: &Arc<Broker>, places: &Arc<Semaphore>) {
    let Some(listener) = listener else {
        return std::future::pending().await;
    };
    let (mut full, mut failed) = (LogThrottle::default(), LogThrottle::default());
    loop {
        if places.available_permits() == 0 && full.is_due() {
            tracing::warn!(
                connections = broker.connections.count(),
                "no file descriptors are left for more connections: new ones wait until others close; raise \
                 LimitNOFILE (systemd) or ulimit -n"
            );
        }
        let Ok(place) = places.clone().acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((socket, peer)) => start(broker, socket, peer, place),
            Err(error) => {
                if failed.is_due() {
                    tracing::error!(%error, "cannot accept a connection");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn start(broker: &Arc<Broker>, socket: TcpStream, peer: SocketAddr, place: OwnedSemaphorePermit) {
    // Small replies must not be delayed by Nagle's algorithm.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, %peer, "cannot set TCP_NODELAY");
    }
    // Detects peers without heartbeats that the network has lost.
    let alive = TcpKeepalive::new()
        .with_time(KEEPALIVE_AFTER)
        .with_interval(KEEPALIVE_INTERVAL);
    if let Err(error) = SockRef::from(&socket).set_tcp_keepalive(&alive) {
        tracing::debug!(%error, %peer, "cannot set SO_KEEPALIVE");
    }
    let local = socket.local_addr().unwrap_or(peer);
    let (info, mailbox) = broker.connections.add(peer, local);
    // Probes connect and close, every few seconds: a client is logged when it has logged in.
    log_connection!(debug, info, id = %info.id, "accepting AMQP connection");
    let session = Session::new(socket, broker.clone(), info.clone(), mailbox);
    let entry = RemoveOnDrop {
        broker: broker.clone(),
        info,
    };
    tokio::spawn(async move {
        let (end, socket) = session.run().await;
        entry.with(&end);
        drop(entry);
        if matches!(end, End::Closed) {
            linger(socket).await;
        }
        drop(place);
    });
}

/// Limits how often a recurring problem is logged.
#[derive(Default)]
struct LogThrottle(Option<Instant>);

impl LogThrottle {
    fn is_due(&mut self) -> bool {
        let due = self.0.is_none_or(|told| told.elapsed() >= LOG_INTERVAL);
        if due {
            self.0 = Some(Instant::now());
        }
        due
    }
}

/// Removes a connection from the list, however its task ends.
struct RemoveOnDrop {
    broker: Arc<Broker>,
    info: Arc<ConnectionInfo>,
}

impl RemoveOnDrop {
    fn with(&self, end: &End) {
        let info = &self.info;
        match end {
            End::Closed if info.is_open() => log_connection!(info, info, "connection closed"),
            End::Closed => log_connection!(debug, info, "connection closed before its login"),
            End::Unused => {
                log_connection!(debug, info, "the client closed without sending anything");
            }
            End::Abandoned | End::Gone => {
                log_connection!(warn, info, "client unexpectedly closed TCP connection");
            }
            End::Silent => log_connection!(error, info, "missed heartbeats from client"),
            End::HandshakeTimeout => log_connection!(error, info, "handshake timed out"),
            // Load balancers end their probes so.
            End::Failed(error) if info.bytes()[0] == 0 => {
                log_connection!(debug, info, %error, "the client closed without sending anything");
            }
            End::Failed(error) => {
                log_connection!(warn, info, %error, "connection lost: its socket failed");
            }
        }
    }
}

impl Drop for RemoveOnDrop {
    fn drop(&mut self) {
        self.broker.connections.remove(self.info.id);
    }
}
