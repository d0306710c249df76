//! The two ends of a connection.

use super::tls::Encryption;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

/// One end of a connection, or what a listener listens on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// An address and port. An IPv4 address that an IPv6 socket was reached by is shown as what it is.
    Tcp(SocketAddr),
    /// A Unix socket of the broker.
    Unix(Arc<Path>),
    /// A client of a Unix socket.
    Process {
        /// Its process, if the system knows.
        pid: Option<i32>,
        /// What tells its connections apart.
        number: u16,
    },
}

impl Endpoint {
    /// Returns the IP address. Whoever may open a Unix socket is on this machine.
    pub fn ip(&self) -> IpAddr {
        match self {
            Endpoint::Tcp(address) => address.ip(),
            Endpoint::Unix(_) | Endpoint::Process { .. } => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Returns the address without the port: `unix:PATH` and `unix:pid=PID` for the ends of a Unix socket.
    pub fn host(&self) -> String {
        match self {
            Endpoint::Tcp(address) => address.ip().to_string(),
            Endpoint::Unix(path) => format!("unix:{}", path.display()),
            Endpoint::Process { pid: Some(pid), .. } => format!("unix:pid={pid}"),
            Endpoint::Process { pid: None, .. } => "unix:client".to_owned(),
        }
    }

    /// Returns the port; 0 for a Unix socket of the broker.
    pub fn port(&self) -> u16 {
        match self {
            Endpoint::Tcp(address) => address.port(),
            Endpoint::Unix(_) => 0,
            Endpoint::Process { number, .. } => *number,
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Endpoint::Tcp(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => write!(f, "{address}"),
            Endpoint::Unix(_) => f.write_str(&self.host()),
            Endpoint::Process { number, .. } => write!(f, "{}:{number}", self.host()),
        }
    }
}

/// What is known about a connection before the first byte of its protocol.
#[derive(Clone, Debug)]
pub struct Ends {
    /// The client's.
    pub peer: Endpoint,
    /// The broker's, or what a proxy says that the client has dialled.
    pub local: Endpoint,
    /// What TLS has agreed on.
    pub encryption: Option<Arc<Encryption>>,
    /// Whether it runs over WebSocket.
    pub is_websocket: bool,
}

impl Ends {
    /// Returns those of a connection without TLS.
    pub fn new(peer: impl Into<Endpoint>, local: impl Into<Endpoint>) -> Self {
        Ends {
            peer: peer.into(),
            local: local.into(),
            encryption: None,
            is_websocket: false,
        }
    }
}

impl fmt::Display for Ends {
    /// Writes `peer -> local`, which is RabbitMQ's name for a connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.peer, self.local)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_shown_as_what_they_are() {
        let tcp = |text: &str| Endpoint::from(text.parse::<SocketAddr>().unwrap());
        let mapped = tcp("[::ffff:192.0.2.1]:4000");
        assert_eq!(mapped.to_string(), "192.0.2.1:4000");
        assert_eq!((mapped.host().as_str(), mapped.port()), ("192.0.2.1", 4000));
        assert_eq!(tcp("[::1]:4000").to_string(), "[::1]:4000");
        assert_eq!(tcp("[::1]:4000").host(), "::1");
        let socket = Endpoint::Unix(Path::new("/run/a.sock").into());
        let client = Endpoint::Process {
            pid: Some(7),
            number: 3,
        };
        assert!(client.ip().is_loopback());
        let ends = Ends {
            peer: client,
            local: socket,
            encryption: None,
            is_websocket: false,
        };
        assert_eq!(ends.to_string(), "unix:pid=7:3 -> unix:/run/a.sock");
    }
}
