//! The admin socket: a Unix socket in the data directory that only its owner may use, so nobody
//! has to give a password.

use super::seats::{Seat, Seats};
use super::socket::SocketPath;
use super::wire::{self, MAX_LINE};
use crate::manage::Surroundings;
use crate::manage::listings;
use crate::manage::request::{ErrorKind, Request, Response};
use crate::manage::verbs::Verbs;
use crate::plumbing::stopped;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// How long a client may take to say what it wants.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// Rows sent in one line.
const ROWS_PER_LINE: usize = 256;

/// The admin socket.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    surroundings: Surroundings,
}

impl AdminSocket {
    /// Binds the socket in the data directory, replacing one that a dead broker left: the store's
    /// lock says that no living one is there.
    ///
    /// # Errors
    /// What the system says.
    pub fn bind(surroundings: Surroundings) -> io::Result<Self> {
        let data_dir = &surroundings.data_dir;
        let path = data_dir.join(super::socket::SOCKET_NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let short = SocketPath::of(data_dir)?;
        // Bound under a name of its own and moved into place with its mode set: at no moment can
        // another user connect.
        let staging = short.path().with_extension("new");
        match std::fs::remove_file(&staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(&staging)?;
        std::fs::set_permissions(&staging, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&staging, &path)?;
        Ok(AdminSocket {
            listener,
            path,
            surroundings,
        })
    }

    /// Serves until told to stop, then removes the socket.
    pub async fn serve(self, mut stop: watch::Receiver<bool>) {
        tokio::select! {
            () = self.accept() => {}
            () = stopped(&mut stop) => {}
        }
        // A socket that is gone already is as good.
        let _ = std::fs::remove_file(&self.path);
    }

    /// Accepts clients for ever.
    async fn accept(&self) {
        let seats = Arc::new(Seats::default());
        loop {
            match self.listener.accept().await {
                Ok((socket, _)) => {
                    let seat = seats.take().await;
                    let surroundings = self.surroundings.clone();
                    tokio::spawn(async move {
                        let served = tokio::select! {
                            served = serve_client(socket, surroundings, &seat) => served,
                            () = seat.is_wanted() => Err(io::ErrorKind::TimedOut.into()),
                        };
                        if let Err(error) = served {
                            tracing::debug!(%error, "admin client lost");
                        }
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept an admin client");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

pub(super) async fn serve_client(
    socket: UnixStream,
    surroundings: Surroundings,
    seat: &Seat,
) -> io::Result<()> {
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read.take(MAX_LINE as u64));
    let mut line = Vec::new();
    loop {
        line.clear();
        let asked = lines.read_until(b'\n', &mut line);
        if tokio::time::timeout(REQUEST_TIMEOUT, asked).await?? == 0 || !seat.works() {
            return Ok(());
        }
        lines.get_mut().set_limit(MAX_LINE as u64);
        if line.last() != Some(&b'\n') {
            let message = format!("a request is at most {MAX_LINE} octets long");
            return send(
                &mut write,
                seat,
                &Response::refused_because(ErrorKind::Refused, message),
            )
            .await;
        }
        let request = match wire::decode_request(&line) {
            Ok(request) => request,
            Err(response) => {
                send(&mut write, seat, &response).await?;
                seat.waits();
                continue;
            }
        };
        answer(request, &surroundings, &mut write, seat).await?;
        seat.waits();
    }
}

async fn answer(
    request: Request,
    surroundings: &Surroundings,
    write: &mut (impl AsyncWriteExt + Unpin),
    seat: &Seat,
) -> io::Result<()> {
    if request == Request::Stop {
        write_line(write, &Response::Ok).await?;
        tracing::info!("stopping: asked to by an administrator");
        surroundings.stop.send_replace(true);
        // The client sees the end of the broker as the end of this connection.
        std::future::pending::<()>().await;
    }
    let broker = &surroundings.broker;
    if let Some(rows) = listings::rows(&request, broker).await {
        match rows {
            Ok(rows) => {
                let mut rows = rows.into_iter().peekable();
                while rows.peek().is_some() {
                    let some = rows.by_ref().take(ROWS_PER_LINE).collect();
                    send(write, seat, &Response::Rows(some)).await?;
                }
            }
            Err(response) => return send(write, seat, &response).await,
        }
        return send(write, seat, &Response::Ok).await;
    }
    let verbs = Verbs::new(surroundings.clone());
    // Changes wait for the disk.
    let response = tokio::task::spawn_blocking(move || verbs.perform(request)).await;
    let response = response
        .unwrap_or_else(|error| Response::refused_because(ErrorKind::Software, error.to_string()));
    send(write, seat, &response).await
}

async fn send(
    write: &mut (impl AsyncWriteExt + Unpin),
    seat: &Seat,
    response: &Response,
) -> io::Result<()> {
    seat.answers();
    write_line(write, response).await
}

async fn write_line(
    write: &mut (impl AsyncWriteExt + Unpin),
    response: &Response,
) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    write.write_all(&line).await
}
