//! The bytes of a connection to the broker: over TCP or a Unix socket, in the clear or with TLS.
//!
//! Reads and writes block for at most [`TIMEOUT`], so that their callers can check whether the run is over. What is in the
//! clear goes straight from and to the socket.

mod fault;
mod tls;
mod trust;

pub(crate) use tls::Tls;
pub use trust::Version;
pub(crate) use trust::{Handshakes, Settings, Trust};

use super::uri::Address;
use rustix::net::{RecvFlags, recv};
use socket2::Socket;
use std::io::{self, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Duration;

/// The timeout of blocking reads and writes.
pub(crate) const TIMEOUT: Duration = Duration::from_millis(100);

/// The stream of bytes between us and the broker.
pub(crate) enum Stream {
    Plain(Socket),
    Tls(Box<Tls>),
}

/// Whether a read waits for bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// For at most [`TIMEOUT`].
    ForBytes,
    No,
}

/// Connects to the broker: of the addresses a name resolves to, to the first that answers.
pub(crate) fn dial(address: &Address, patience: Duration) -> io::Result<Socket> {
    let name = match address {
        Address::Tcp(name) => name,
        Address::Unix(path) => return prepared(UnixStream::connect(path)?.into()),
    };
    let mut failed = ErrorKind::AddrNotAvailable.into();
    for candidate in resolve(name)? {
        match TcpStream::connect_timeout(&candidate, patience) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                return prepared(socket.into());
            }
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Looks up the addresses of `host:port`: anew for every connection, because what a name stands for may change.
pub(crate) fn resolve(name: &str) -> io::Result<impl Iterator<Item = SocketAddr>> {
    name.to_socket_addrs().map_err(|error| {
        let host = name.rsplit_once(':').map_or(name, |(host, _)| host);
        let text = format!(
            "the host name '{host}' cannot be resolved: {}",
            reason(&error)
        );
        io::Error::new(error.kind(), text)
    })
}

/// Returns what the resolver says, without the name of its function.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let said = text.strip_prefix("failed to lookup address information: ");
    said.unwrap_or(&text).to_owned()
}

/// Sets the timeouts that reads and writes rely on.
pub(crate) fn prepared(socket: Socket) -> io::Result<Socket> {
    socket.set_read_timeout(Some(TIMEOUT))?;
    socket.set_write_timeout(Some(TIMEOUT))?;
    Ok(socket)
}

impl Stream {
    /// Reads what has arrived into `buf`, which must have room for [`tls::MIN_ROOM`]. Returns 0 if the broker has closed the
    /// connection, and an error of the kind `WouldBlock` if nothing has arrived.
    pub(crate) fn read(&mut self, buf: &mut [u8], wait: Wait) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => receive(socket, buf, wait),
            Stream::Tls(tls) => tls.read(buf, wait),
        }
    }

    /// Writes some of the bytes and returns how many. With TLS they may not all have left: see
    /// [`Stream::holds_output`].
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Plain(socket) => send(socket, bytes),
            Stream::Tls(tls) => tls.write(bytes),
        }
    }

    /// Returns whether bytes that were written are still here. Another write, of nothing if need be, sends them.
    pub(crate) fn holds_output(&self) -> bool {
        match self {
            Stream::Plain(_) => false,
            Stream::Tls(tls) => tls.holds_output(),
        }
    }

    /// Tells the broker that nothing more will be written, if TLS has a word for it.
    pub(crate) fn say_goodbye(&mut self) {
        if let Stream::Tls(tls) = self {
            tls.say_goodbye();
        }
    }

    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Stream::Plain(socket) => socket,
            Stream::Tls(tls) => tls.socket(),
        }
    }
}

/// Receives what has arrived.
fn receive(socket: &Socket, buf: &mut [u8], wait: Wait) -> io::Result<usize> {
    let flags = match wait {
        Wait::ForBytes => RecvFlags::empty(),
        Wait::No => RecvFlags::DONTWAIT,
    };
    let (bytes, _) = recv(socket, buf, flags)?;
    Ok(bytes)
}

/// Sends some of the bytes, at least one.
fn send(mut socket: &Socket, bytes: &[u8]) -> io::Result<usize> {
    match socket.write(bytes)? {
        0 if !bytes.is_empty() => Err(ErrorKind::WriteZero.into()),
        sent => Ok(sent),
    }
}

/// Returns whether a read or write has just not been possible in time.
pub(crate) fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}
