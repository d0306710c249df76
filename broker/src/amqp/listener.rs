//! Connections: from what a listener accepts to their end.

use super::linger::linger;
use super::session::{End, Session};
use crate::domain::broker::Broker;
use crate::domain::connections::{ConnectionInfo, log_connection};
use crate::net::{
    Acceptor, Arrival, ByteStream, Ends, Listener, Source, Stream, StreamPlace, StreamService,
};
use crate::plumbing::ports::Users;
use crate::plumbing::stopped;
use crate::plumbing::system;
use parking_lot::Mutex;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

/// The minimum time between two log lines about the same problem.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// What serves AMQP connections, whatever they come from. Copies share its places.
#[derive(Clone)]
pub struct Sessions {
    broker: Arc<Broker>,
    /// One permit per socket, including those whose protocol has not begun and those that are lingering.
    places: Arc<Semaphore>,
    full: Arc<Mutex<LogThrottle>>,
}

impl Sessions {
    /// Returns as many places as there may be sockets.
    pub fn new(broker: Arc<Broker>) -> Self {
        let places = system::socket_limit(system::file_limit());
        let places = usize::try_from(places).unwrap_or(usize::MAX);
        Sessions {
            broker,
            places: Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS))),
            full: Arc::default(),
        }
    }

    /// Serves these listeners until `stop` becomes true, then tells all connections to close (320 CONNECTION_FORCED). Whoever
    /// stops the broker waits for them.
    pub async fn serve(self, listeners: Vec<Listener>, mut stop: watch::Receiver<bool>) {
        let mut listening = JoinSet::new();
        for listener in listeners {
            let (orders, stop) = (self.broker.service.ports.add(Users::Clients), stop.clone());
            let sessions = self.clone();
            listening.spawn(async move {
                let serve = |source: Source, mut end| {
                    let sessions = sessions.clone();
                    async move {
                        let acceptor = source.acceptor()?;
                        tokio::select! {
                            () = sessions.accept(&acceptor) => {}
                            () = stopped(&mut end) => {}
                        }
                        io::Result::Ok(())
                    }
                };
                listener.run(orders, stop, serve).await;
            });
        }
        stopped(&mut stop).await;
        while listening.join_next().await.is_some() {}
        self.broker
            .connections
            .close_all("broker forced connection closure with reason 'shutdown'");
    }

    /// Accepts connections forever, up to the limit; further ones wait until another closes.
    async fn accept(&self, acceptor: &Acceptor) {
        loop {
            if self.places.available_permits() == 0 {
                self.log_full();
            }
            let Ok(place) = self.places.clone().acquire_owned().await else {
                return;
            };
            self.start(acceptor.accept().await, place);
        }
    }

    fn log_full(&self) {
        if !self.full.lock().is_due() {
            return;
        }
        tracing::warn!(
            connections = self.broker.connections.count(),
            "no file descriptors are left for more connections: new ones wait until others close; raise LimitNOFILE \
             (systemd) or ulimit -n"
        );
    }

    fn start(&self, arrival: Arrival, place: OwnedSemaphorePermit) {
        let sessions = self.clone();
        match arrival.into_plain() {
            Ok((socket, ends)) => {
                tokio::spawn(sessions.run(socket, ends, place));
            }
            Err(arrival) => {
                tokio::spawn(async move {
                    // Boxed, here and below: the futures would take their memory for as long as the connection lasts.
                    let greeted = Box::pin(arrival.greet()).await;
                    match greeted {
                        Some((Stream::Tcp(socket), ends)) => {
                            Box::pin(sessions.run(socket, ends, place)).await;
                        }
                        Some((Stream::Other(stream), ends)) => {
                            Box::pin(sessions.run(stream, ends, place)).await;
                        }
                        None => {}
                    }
                });
            }
        }
    }

    /// Serves a connection.
    fn run<S: ByteStream + 'static>(
        self,
        socket: S,
        ends: Ends,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send + 'static {
        let broker = self.broker;
        let (info, mailbox) = broker.connections.add(ends);
        // Looked at when it is in the list: whoever turns clients away comes later and finds it there.
        if let Some(reason) = broker.service.turns_away() {
            broker.connections.close(info.id, reason);
        }
        // Probes connect and close, every few seconds: a client is logged when it has logged in.
        log_connection!(debug, info, id = %info.id, "accepting AMQP connection");
        let session = Session::new(socket, broker.clone(), info.clone(), mailbox);
        let entry = RemoveOnDrop { broker, info };
        async move {
            let (end, socket) = session.run().await;
            entry.with(&end);
            drop(entry);
            if matches!(end, End::Closed) {
                linger(socket).await;
            }
            drop(place);
        }
    }
}

/// Serves streams that have come through HTTP, in the runtime of all other connections.
pub struct Forwarded {
    sessions: Sessions,
    runtime: Handle,
}

impl Forwarded {
    /// Serves them in the runtime that this is called in.
    pub fn new(sessions: Sessions) -> Self {
        let runtime = Handle::current();
        Forwarded { sessions, runtime }
    }
}

impl StreamService for Forwarded {
    fn reserve(&self) -> Option<StreamPlace> {
        if self.sessions.broker.service.turns_away().is_some() {
            return None;
        }
        let place = self.sessions.places.clone().try_acquire_owned();
        let place = place.inspect_err(|_| self.sessions.log_full()).ok()?;
        let (sessions, runtime) = (self.sessions.clone(), self.runtime.clone());
        Some(Box::new(move |stream, ends| {
            runtime.spawn(sessions.run(stream, ends, place));
        }))
    }
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
