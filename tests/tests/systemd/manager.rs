//! A service manager as far as sd_notify(3) goes: a socket that keeps what it is told.

use std::ffi::OsString;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::time::{Duration, Instant};

use leveret_tests::eventually;
use parking_lot::Mutex;
use tempfile::TempDir;

type Messages = Mutex<Vec<(Instant, String)>>;

/// Listens until it is dropped.
pub(super) struct Manager {
    address: OsString,
    messages: Arc<Messages>,
    _folder: Option<TempDir>,
}

impl Manager {
    /// Listens at a path.
    pub(super) fn start() -> Self {
        let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let path = folder.path().join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        Manager::listen(socket, path.into(), Some(folder))
    }

    /// Listens at an abstract name.
    pub(super) fn start_abstract() -> Self {
        let name = format!("leveret-test-{}-{:?}", std::process::id(), Instant::now());
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        let socket = UnixDatagram::bind_addr(&address).expect("a socket");
        Manager::listen(socket, format!("@{name}").into(), None)
    }

    fn listen(socket: UnixDatagram, address: OsString, folder: Option<TempDir>) -> Self {
        let messages = Arc::new(Messages::default());
        let kept = Arc::downgrade(&messages);
        socket
            .set_read_timeout(Some(Duration::from_millis(100)))
            .expect("a timeout");
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let received = socket.recv(&mut buffer);
                let Some(kept) = kept.upgrade() else { return };
                if let Ok(length) = received {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    kept.lock().push((Instant::now(), text));
                }
            }
        });
        Manager {
            address,
            messages,
            _folder: folder,
        }
    }

    /// Returns the variables that a broker gets from it, and these.
    pub(super) fn environment(
        &self,
        more: &[(&'static str, &str)],
    ) -> Vec<(&'static str, OsString)> {
        let more = more.iter().map(|&(name, value)| (name, value.into()));
        std::iter::once(("NOTIFY_SOCKET", self.address.clone()))
            .chain(more)
            .collect()
    }

    /// Returns what it has been told so far.
    pub(super) fn told(&self) -> Vec<String> {
        let messages = self.messages.lock();
        messages.iter().map(|(_, text)| text.clone()).collect()
    }

    /// Returns when it was told this, each time.
    pub(super) fn times(&self, line: &str) -> Vec<Instant> {
        let messages = self.messages.lock();
        let those = messages.iter().filter(|(_, text)| has(text, line));
        those.map(|(at, _)| *at).collect()
    }

    /// Waits for a message with this in it that is at least the `number`th message, and returns it with its number.
    pub(super) async fn hears(&self, part: &str, number: usize) -> (usize, String) {
        eventually(part, async || {
            let told = self.told();
            let found = told.iter().enumerate().skip(number);
            let mut found = found.filter(|(_, text)| text.contains(part));
            found.next().map(|(at, text)| (at, text.clone()))
        })
        .await
    }
}

/// Returns whether a message has this line.
pub(super) fn has(message: &str, line: &str) -> bool {
    message.lines().any(|each| each == line)
}
