//! Messages to the service manager, as systemd's sd_notify(3) describes them.
//!
//! sd-notify knows the messages. The socket is ours, because that crate knows no abstract ones and waits without end for a
//! manager that does not read.

use sd_notify::NotifyState;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::time::Duration;

/// Where the socket is: a path, or `@` and an abstract name.
const VARIABLE: &str = "NOTIFY_SOCKET";
/// How long the manager may take to read earlier messages.
const PATIENCE: Duration = Duration::from_secs(1);

/// Tells the service manager what the broker does; nobody, if there is none. Copies are the same.
#[derive(Clone, Debug, Default)]
pub(in crate::node) struct Notifier(Option<Arc<OsStr>>);

impl Notifier {
    /// Returns one that tells whoever started this process and wants to know. The variable stays, since the broker starts
    /// no other process that could take it for its own.
    pub(in crate::node) fn from_environment() -> Self {
        let address = std::env::var_os(VARIABLE).filter(|address| !address.is_empty());
        Notifier(address.map(Arc::from))
    }

    /// Returns one that tells the manager at this address.
    #[cfg(test)]
    pub(super) fn at(address: &OsStr) -> Self {
        Notifier(Some(address.into()))
    }

    /// Returns whether there is a service manager.
    pub(in crate::node) fn is_heard(&self) -> bool {
        self.0.is_some()
    }

    /// Sends a message. A manager that cannot be reached changes nothing for the broker.
    pub(in crate::node) fn send(&self, states: &[NotifyState<'_>]) {
        let Some(address) = &self.0 else { return };
        let mut message = String::new();
        for state in states {
            // Writing to a string does not fail.
            let _ = writeln!(message, "{state}");
        }
        let sent = connect(address).and_then(|socket| socket.send(message.as_bytes()));
        if let Err(error) = sent {
            tracing::warn!(
                socket = %address.display(),
                %error,
                "cannot tell the service manager what the broker does"
            );
        }
    }

    /// Sends the text that `systemctl status` shows.
    pub(in crate::node) fn status(&self, text: &str) {
        self.send(&[NotifyState::Status(text)]);
    }
}

/// Connects each time: a manager that was replaced has another socket there.
fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    match address.as_bytes().strip_prefix(b"@") {
        Some(name) => connect_abstract(&socket, name)?,
        None => socket.connect(address)?,
    }
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

#[cfg(target_os = "linux")]
fn connect_abstract(socket: &UnixDatagram, name: &[u8]) -> io::Result<()> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    socket.connect_addr(&address)
}

#[cfg(not(target_os = "linux"))]
fn connect_abstract(_: &UnixDatagram, _: &[u8]) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(address: &OsStr, manager: &UnixDatagram) -> String {
        let notifier = Notifier::at(address);
        notifier.send(&[NotifyState::Ready, NotifyState::Status("fine")]);
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn the_manager_is_told_through_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        assert_eq!(told(path.as_os_str(), &manager), "READY=1\nSTATUS=fine\n");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_manager_is_told_through_an_abstract_name() {
        use std::os::linux::net::SocketAddrExt;
        use std::os::unix::net::SocketAddr;
        let name = format!("leveret-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&address).unwrap();
        let told = told(OsStr::new(&format!("@{name}")), &manager);
        assert_eq!(told, "READY=1\nSTATUS=fine\n");
    }

    #[test]
    fn a_manager_that_does_not_read_or_is_gone_does_not_hold_up_the_broker() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let socket = connect(path.as_os_str()).unwrap();
        socket.set_nonblocking(true).unwrap();
        while socket.send(b"full").is_ok() {}
        let notifier = Notifier::at(path.as_os_str());
        let began = std::time::Instant::now();
        notifier.send(&[NotifyState::Watchdog]);
        drop(manager);
        notifier.send(&[NotifyState::Watchdog]);
        assert!(began.elapsed() < 20 * PATIENCE, "{:?}", began.elapsed());
        Notifier::default().send(&[NotifyState::Watchdog]);
    }
}
