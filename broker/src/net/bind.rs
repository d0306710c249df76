//! Binding: from what is configured to sockets.

use super::endpoint::Endpoint;
use super::unix_socket::{self, SocketFile};
use crate::config::{ListenerSpec, Place};
use socket2::{Domain, Protocol, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use thiserror::Error;

/// The permissions of a Unix socket: its owner and their group, who need a password like everybody else.
const SOCKET_MODE: u32 = 0o660;

/// Why a listener cannot be had.
#[derive(Debug, Error)]
#[error("cannot listen on {place}: {error}")]
pub struct BindError {
    /// Where.
    pub place: String,
    /// The system's error.
    pub error: io::Error,
}

/// A listening socket that belongs to no runtime yet.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Socket {
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Socket::Tcp(socket) => Socket::Tcp(socket.try_clone()?),
            Socket::Unix(socket) => Socket::Unix(socket.try_clone()?),
        })
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Socket::Tcp(socket) => socket.as_fd(),
            Socket::Unix(socket) => socket.as_fd(),
        }
    }
}

/// A socket with its file, if it has one.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) socket: Socket,
    _file: Option<SocketFile>,
}

/// Returns the endpoints to listen on: a name may have several addresses.
///
/// # Errors
/// When a name has none.
pub fn endpoints(place: &Place) -> Result<Vec<Endpoint>, BindError> {
    match place {
        Place::Address(address) => Ok(vec![Endpoint::Tcp(*address)]),
        Place::Unix(path) => Ok(vec![Endpoint::Unix(path.as_path().into())]),
        Place::Name(name, port) => {
            let found = (name.as_str(), *port).to_socket_addrs();
            let found: io::Result<Vec<SocketAddr>> = found.map(Iterator::collect);
            let mut addresses = found
                .and_then(|found| match found.is_empty() {
                    true => Err(io::Error::other("it has no address")),
                    false => Ok(found),
                })
                .map_err(|error| BindError {
                    place: place.to_string(),
                    error: io::Error::other(format!("the name cannot be resolved: {error}")),
                })?;
            addresses.sort_unstable();
            addresses.dedup();
            Ok(addresses.into_iter().map(Endpoint::Tcp).collect())
        }
    }
}

/// Returns whether an error means that this machine does not have an address, of all that a name has.
pub(super) fn is_elsewhere(error: &io::Error) -> bool {
    const EAFNOSUPPORT: i32 = rustix::io::Errno::AFNOSUPPORT.raw_os_error();
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

/// Listens; port 0 picks a free one. Returns the endpoint with its port.
///
/// # Errors
/// The system's error.
pub(super) fn listen(
    endpoint: &Endpoint,
    spec: &ListenerSpec,
    backlog: u32,
) -> io::Result<(Opened, Endpoint)> {
    let backlog = i32::try_from(spec.backlog.unwrap_or(backlog)).unwrap_or(i32::MAX);
    match endpoint {
        Endpoint::Tcp(address) => {
            let socket = tcp(*address, backlog)?;
            let bound = Endpoint::Tcp(socket.local_addr()?);
            let socket = Socket::Tcp(socket);
            Ok((
                Opened {
                    socket,
                    _file: None,
                },
                bound,
            ))
        }
        Endpoint::Unix(path) => {
            let mode = spec.mode.unwrap_or(SOCKET_MODE);
            let (socket, file) = unix_socket::listen(path, mode, backlog)?;
            let (socket, _file) = (Socket::Unix(socket), Some(file));
            Ok((Opened { socket, _file }, Endpoint::Unix(Arc::clone(path))))
        }
        Endpoint::Process { .. } => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn tcp(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let domain = Domain::for_address(address);
    let socket = socket2::Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for old connections in TIME_WAIT.
    socket.set_reuse_address(true)?;
    if let IpAddr::V6(ip) = address.ip() {
        // [::] is every address of the machine, whatever the system's default.
        let takes_v4 = ip.is_unspecified() || ip.to_ipv4_mapped().is_some();
        socket.set_only_v6(!takes_v4)?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}
