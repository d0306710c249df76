//! Accepting, and what comes before the first byte of a connection's protocol.

use super::bind::Socket;
use super::endpoint::{Endpoint, Ends};
use super::listen::SocketOptions;
use super::proxy::{self, ProxyError};
use super::read_ahead::ReadAhead;
use super::stream::{ByteStream, Stream, TLS_OUTPUT_MAX};
use super::tls::{Encryption, handshake_failure};
use crate::config::{ListenerSpec, Trusted};
use crate::plumbing::log::LineLimit;
use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// The pause after a failed accept (out of file descriptors, for example): the listener must neither end nor spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long the PROXY header and TLS may take together, as long as a login (RabbitMQ: `ssl_handshake_timeout`).
const GREETING_TIMEOUT: Duration = Duration::from_secs(10);
/// The system asks a silent peer again after this part of the time that it may be silent.
const KEEPALIVE_PART: u32 = 4;

/// What the connections of a listener share.
#[derive(Debug)]
pub(super) struct Shared {
    listener: Endpoint,
    spec: Arc<ListenerSpec>,
    options: SocketOptions,
    is_http: bool,
    /// The last number of a client of a Unix socket.
    number: AtomicU16,
    failed: LineLimit,
    refused: LineLimit,
}

impl Shared {
    pub(super) fn new(
        listener: Endpoint,
        spec: Arc<ListenerSpec>,
        options: SocketOptions,
        is_http: bool,
    ) -> Self {
        Shared {
            listener,
            spec,
            options,
            is_http,
            number: AtomicU16::new(0),
            failed: LineLimit::default(),
            refused: LineLimit::default(),
        }
    }

    /// Anybody can cause such a line.
    fn log_refused(&self, peer: &Endpoint, reason: &Refused) {
        let listener = &self.listener;
        let admitted = match reason.is_probe() {
            true => None,
            false => self.refused.admit(Instant::now()),
        };
        match admitted {
            None => tracing::debug!(%peer, %listener, "connection refused: {reason}"),
            Some(0) => tracing::warn!(%peer, %listener, "connection refused: {reason}"),
            Some(suppressed) => {
                tracing::warn!(%peer, %listener, suppressed, "connection refused: {reason}");
            }
        }
    }
}

enum Accepting {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Accepts connections, until it is dropped. Then those whose protocol has not begun end, too.
pub struct Acceptor {
    socket: Accepting,
    shared: Arc<Shared>,
    open: watch::Sender<()>,
}

impl Acceptor {
    pub(super) fn new(socket: Socket, shared: Arc<Shared>) -> io::Result<Self> {
        Ok(Acceptor {
            socket: match socket {
                Socket::Tcp(socket) => Accepting::Tcp(TcpListener::from_std(socket)?),
                Socket::Unix(socket) => Accepting::Unix(UnixListener::from_std(socket)?),
            },
            shared,
            open: watch::channel(()).0,
        })
    }

    /// Takes a connection that was accepted elsewhere.
    ///
    /// # Errors
    /// When this runtime does not take its socket.
    pub fn attach(&self, detached: Detached) -> io::Result<Arrival> {
        let socket = match detached.socket {
            DetachedSocket::Tcp(socket) => Arrived::Tcp(TcpStream::from_std(socket)?),
            DetachedSocket::Unix(socket) => Arrived::Unix(UnixStream::from_std(socket)?),
        };
        Ok(self.arrival(socket, detached.ends))
    }

    fn arrival(&self, socket: Arrived, ends: Ends) -> Arrival {
        Arrival {
            socket,
            ends,
            shared: self.shared.clone(),
            listener: self.open.subscribe(),
        }
    }

    /// Waits for the next connection.
    pub async fn accept(&self) -> Arrival {
        loop {
            match self.try_accept().await {
                Ok(arrival) => return arrival,
                Err(error) => {
                    if let Some(suppressed) = self.shared.failed.admit(Instant::now()) {
                        let listener = &self.shared.listener;
                        tracing::error!(%error, %listener, suppressed, "cannot accept a connection");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    async fn try_accept(&self) -> io::Result<Arrival> {
        let (socket, ends) = match &self.socket {
            Accepting::Tcp(listener) => {
                let (socket, peer) = listener.accept().await?;
                let local = socket.local_addr().unwrap_or(peer);
                (Arrived::Tcp(socket), Ends::new(peer, local))
            }
            Accepting::Unix(listener) => {
                let (socket, _) = listener.accept().await?;
                let pid = socket.peer_cred().ok().and_then(|peer| peer.pid());
                let number = self.shared.number.fetch_add(1, Ordering::Relaxed);
                let number = number.wrapping_add(1);
                let peer = Endpoint::Process { pid, number };
                let local = self.shared.listener.clone();
                (Arrived::Unix(socket), Ends::new(peer, local))
            }
        };
        Ok(self.arrival(socket, ends))
    }
}

enum Arrived {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection that belongs to no runtime.
pub struct Detached {
    socket: DetachedSocket,
    ends: Ends,
}

enum DetachedSocket {
    Tcp(std::net::TcpStream),
    Unix(std::os::unix::net::UnixStream),
}

/// A connection whose protocol has not begun.
pub struct Arrival {
    socket: Arrived,
    ends: Ends,
    shared: Arc<Shared>,
    listener: watch::Receiver<()>,
}

/// Why a connection ended before its protocol began.
#[derive(Debug, Error)]
enum Refused {
    #[error("its address is not in proxy_protocol of this listener")]
    Untrusted,
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    #[error("the TLS handshake failed: {}", handshake_failure(.0))]
    Tls(io::Error),
    #[error("there is no certificate any more")]
    NoCertificate,
    #[error("it took longer than {} s to begin", GREETING_TIMEOUT.as_secs())]
    TimedOut,
    #[error("the listener was closed")]
    Closed,
}

impl Refused {
    /// Returns whether this is how probes end.
    fn is_probe(&self) -> bool {
        let ended = |error: &io::Error| {
            matches!(
                error.kind(),
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset
            )
        };
        match self {
            Refused::Proxy(ProxyError::Io(error)) | Refused::Tls(error) => ended(error),
            Refused::Closed => true,
            _ => false,
        }
    }
}

impl Arrival {
    /// Returns the socket and its ends if its protocol begins at once: TCP without TLS and PROXY header.
    ///
    /// # Errors
    /// The connection, if something comes first.
    pub fn into_plain(self) -> Result<(TcpStream, Ends), Box<Arrival>> {
        let spec = &self.shared.spec;
        let is_plain = !spec.tls && spec.trusted.is_empty();
        match self.socket {
            Arrived::Tcp(socket) if is_plain => {
                prepare(&socket, &self.shared.options);
                Ok((socket, self.ends))
            }
            socket => Err(Box::new(Arrival { socket, ..self })),
        }
    }

    /// Takes it out of its runtime.
    ///
    /// # Errors
    /// The system's error.
    pub(super) fn detach(self) -> io::Result<Detached> {
        let socket = match self.socket {
            Arrived::Tcp(socket) => DetachedSocket::Tcp(socket.into_std()?),
            Arrived::Unix(socket) => DetachedSocket::Unix(socket.into_std()?),
        };
        let ends = self.ends;
        Ok(Detached { socket, ends })
    }

    /// Returns a handle of its socket, by which the system knows it.
    pub fn socket(&self) -> std::os::fd::BorrowedFd<'_> {
        use std::os::fd::AsFd;
        match &self.socket {
            Arrived::Tcp(socket) => socket.as_fd(),
            Arrived::Unix(socket) => socket.as_fd(),
        }
    }

    /// Reads what comes first: the header of the PROXY protocol, then the handshake of TLS. Returns `None`, having logged
    /// why, if there is no connection.
    pub async fn greet(self) -> Option<(Stream, Ends)> {
        let Arrival {
            socket,
            ends,
            shared,
            mut listener,
        } = self;
        let peer = ends.peer.clone();
        let greeted = async {
            match socket {
                Arrived::Tcp(socket) => {
                    prepare(&socket, &shared.options);
                    begin(socket, ends, &shared, Stream::Tcp).await
                }
                Arrived::Unix(socket) => {
                    let other = |socket| Stream::Other(Box::new(socket) as Box<dyn ByteStream>);
                    begin(socket, ends, &shared, other).await
                }
            }
        };
        let result = tokio::select! {
            greeted = tokio::time::timeout(GREETING_TIMEOUT, greeted) => {
                greeted.unwrap_or(Err(Refused::TimedOut))
            }
            // It only ever fails: the listener is gone.
            _ = listener.changed() => Err(Refused::Closed),
        };
        if let Err(reason) = &result {
            shared.log_refused(&peer, reason);
        }
        result.ok()
    }
}

/// Sets the options of a socket.
fn prepare(socket: &TcpStream, options: &SocketOptions) {
    // Small replies must not be delayed by Nagle's algorithm.
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    // Detects peers without heartbeats that the network has lost.
    let Some(after) = options.keepalive() else {
        return;
    };
    let interval = (after / KEEPALIVE_PART).max(Duration::from_secs(1));
    let alive = TcpKeepalive::new().with_time(after).with_interval(interval);
    if let Err(error) = SockRef::from(socket).set_tcp_keepalive(&alive) {
        tracing::debug!(%error, "cannot set SO_KEEPALIVE");
    }
}

async fn begin<S: ByteStream + 'static>(
    mut socket: S,
    mut ends: Ends,
    shared: &Shared,
    plain: impl FnOnce(S) -> Stream,
) -> Result<(Stream, Ends), Refused> {
    let spec = &shared.spec;
    if !spec.trusted.is_empty() {
        if !spec
            .trusted
            .iter()
            .any(|trusted| is_in(&ends.peer, trusted))
        {
            return Err(Refused::Untrusted);
        }
        if let Some((peer, local)) = proxy::read_header(&mut socket).await? {
            (ends.peer, ends.local) = (peer, local);
        }
    }
    if !spec.tls {
        return Ok((plain(socket), ends));
    }
    let tls = shared.options.tls();
    let config = match shared.is_http {
        true => tls.https_config(),
        false => tls.server_config(),
    };
    let asks_certificate = !shared.is_http && tls.asks_certificate();
    let acceptor = TlsAcceptor::from(config.ok_or(Refused::NoCertificate)?);
    let socket = ReadAhead::new(socket, asks_certificate);
    let mut stream = acceptor.accept(socket).await.map_err(Refused::Tls)?;
    let (socket, session) = stream.get_mut();
    socket.complete();
    session.set_buffer_limit(Some(TLS_OUTPUT_MAX));
    ends.encryption = Some(Arc::new(Encryption::of(session, tls.login_from())));
    Ok((Stream::Other(Box::new(stream)), ends))
}

fn is_in(peer: &Endpoint, trusted: &Trusted) -> bool {
    match (peer, trusted) {
        (Endpoint::Tcp(address), Trusted::Network(network)) => {
            let address: IpAddr = address.ip();
            network.contains(&address)
        }
        (Endpoint::Process { .. }, Trusted::Unix) => true,
        _ => false,
    }
}
