//! The admin socket: a Unix socket in the data directory that only its owner may use, so that no
//! password is needed.

use super::files;
use super::logs;
use super::socket::SocketPath;
use super::wire::{self, MAX_LINE};
use crate::manage::AdminContext;
use crate::manage::access::{Principal, Process};
use crate::manage::definitions::{Export, Scope, incompatible_users};
use crate::manage::listings;
use crate::manage::operations::Operations;
use crate::manage::request::{ErrorKind, Request, Response};
use crate::manage::value::Row;
use crate::plumbing::aside::Aside;
use crate::plumbing::slots::{ConnectionSlot, ConnectionSlots};
use crate::plumbing::stopped;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;

/// How long a client may take to send a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The clients served at a time.
const MAX_CLIENTS: usize = 64;
/// The number of rows sent in one line.
const ROWS_PER_LINE: usize = 256;
/// Held by the client whose file is received and imported.
static UPLOAD: Mutex<()> = Mutex::const_new(());

/// The admin socket.
pub struct AdminSocket {
    listener: UnixListener,
    path: PathBuf,
    context: AdminContext,
}

impl AdminSocket {
    /// Binds the socket in the data directory, replacing one that a dead broker left: the store's lock
    /// guarantees that there is no running one.
    ///
    /// # Errors
    /// When the socket cannot be created.
    pub fn bind(context: AdminContext) -> io::Result<Self> {
        let data_dir = &context.data_dir;
        let path = data_dir.join(super::socket::SOCKET_NAME);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let short = SocketPath::of(data_dir)?;
        // Bound under another name and moved into place once its mode is set, so that no other user
        // can ever connect.
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
            context,
        })
    }

    /// Serves, aside, until told to stop, then removes the socket.
    pub async fn serve(self, aside: &Aside, mut stop: watch::Receiver<bool>) {
        let AdminSocket {
            listener,
            path,
            context,
        } = self;
        let served = async {
            let first = next(&listener).await.into_std()?;
            let listener = listener.into_std()?;
            let accepting = aside.spawn(async move {
                let first = UnixStream::from_std(first)?;
                accept(UnixListener::from_std(listener)?, first, context).await;
                Ok(())
            })?;
            accepting.await.map_err(io::Error::other)?
        };
        let served: io::Result<()> = tokio::select! {
            served = served => served,
            () = stopped(&mut stop) => Ok(()),
        };
        if let Err(error) = served {
            tracing::error!(%error, "the admin socket is not served any more");
        }
        // If the socket is gone already, so much the better.
        let _ = std::fs::remove_file(&path);
    }
}

/// Waits for the next client.
async fn next(listener: &UnixListener) -> UnixStream {
    loop {
        match listener.accept().await {
            Ok((socket, _)) => return socket,
            Err(error) => {
                tracing::error!(%error, "cannot accept an admin connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Accepts clients forever, beginning with this one.
async fn accept(listener: UnixListener, first: UnixStream, context: AdminContext) {
    let slots = ConnectionSlots::new(MAX_CLIENTS);
    let mut socket = first;
    loop {
        let slot = slots.take(&socket).await;
        let context = context.clone();
        tokio::spawn(async move {
            let served = tokio::select! {
                served = serve_client(socket, context, &slot) => served,
                () = slot.evicted() => Err(io::ErrorKind::TimedOut.into()),
            };
            if let Err(error) = served {
                tracing::debug!(%error, "admin connection lost");
            }
        });
        socket = next(&listener).await;
    }
}

pub(super) async fn serve_client(
    socket: UnixStream,
    context: AdminContext,
    slot: &ConnectionSlot,
) -> io::Result<()> {
    let peer = socket.peer_cred().ok();
    let principal = Principal::Owner(Process {
        uid: peer.map(|peer| peer.uid()),
        pid: peer.and_then(|peer| peer.pid()),
    });
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read.take(MAX_LINE as u64));
    let mut line = Vec::new();
    loop {
        line.clear();
        let asked = lines.read_until(b'\n', &mut line);
        if tokio::time::timeout(REQUEST_TIMEOUT, asked).await?? == 0 || !slot.request_started() {
            return Ok(());
        }
        lines.get_mut().set_limit(MAX_LINE as u64);
        if line.last() != Some(&b'\n') {
            let message = format!("a request must not exceed {MAX_LINE} bytes");
            return send(
                &mut write,
                slot,
                &Response::refused_because(ErrorKind::Refused, message),
            )
            .await;
        }
        let request = match wire::decode_request(&line) {
            Ok(request) => request,
            Err(response) => {
                send(&mut write, slot, &response).await?;
                slot.response_sent();
                continue;
            }
        };
        let allowed = request.check_app(context.broker.service.is_running());
        match request {
            Request::ImportDefinitions {
                bytes,
                skip_if_unchanged,
            } => {
                let turn = UPLOAD.lock().await;
                let Some(file) = files::receive(&mut lines, bytes).await? else {
                    return send(&mut write, slot, &files::too_long()).await;
                };
                lines.get_mut().set_limit(MAX_LINE as u64);
                // The file has to be read in any case: it is no request.
                let response = match allowed {
                    Ok(()) => files::import(&context, &principal, file, skip_if_unchanged).await,
                    Err(kind) => Response::refused(kind),
                };
                drop(turn);
                send(&mut write, slot, &response).await?;
            }
            request => match allowed {
                Ok(()) => answer(request, &principal, &context, &mut write, slot).await?,
                Err(kind) => send(&mut write, slot, &Response::refused(kind)).await?,
            },
        }
        slot.response_sent();
    }
}

/// Returns the rows of a listing, made on a thread of its own; `None` if the request is for something else.
async fn rows(
    request: &Request,
    context: &AdminContext,
) -> io::Result<Option<Result<Vec<Row>, Response>>> {
    let (request, broker) = (request.clone(), context.broker.clone());
    let threads = Handle::current();
    let list = move || threads.block_on(listings::rows(&request, &broker));
    spawn_blocking(list).await.map_err(io::Error::other)
}

async fn answer(
    request: Request,
    principal: &Principal,
    context: &AdminContext,
    write: &mut (impl AsyncWriteExt + Unpin),
    slot: &ConnectionSlot,
) -> io::Result<()> {
    if request == Request::Stop {
        write_line(write, &Response::Ok).await?;
        tracing::info!("stopping, requested through the admin socket");
        context.stop.send_replace(true);
        // The client takes the end of this connection as the end of the broker.
        std::future::pending::<()>().await;
    }
    let broker = &context.broker;
    if let Some(rows) = rows(&request, context).await? {
        match rows {
            Ok(rows) => {
                let mut rows = rows.into_iter().peekable();
                while rows.peek().is_some() {
                    let some = rows.by_ref().take(ROWS_PER_LINE).collect();
                    send(write, slot, &Response::Rows(some)).await?;
                }
            }
            Err(response) => return send(write, slot, &response).await,
        }
        return send(write, slot, &Response::Ok).await;
    }
    if let Request::ExportDefinitions { compatible_hashes } = request {
        let left_out = match compatible_hashes {
            true => incompatible_users(broker),
            false => Vec::new(),
        };
        let mut export = Export::start(broker.clone(), Scope::Broker, left_out.clone());
        while let Some(chunk) = export.next().await {
            send(write, slot, &Response::Chunk(chunk?)).await?;
        }
        let end = match left_out.is_empty() {
            true => Response::Ok,
            false => Response::LeftOut(left_out),
        };
        return send(write, slot, &end).await;
    }
    if logs::answer(&request, context, write, slot).await? {
        return Ok(());
    }
    let verbs = Operations::new(context.clone());
    // Changes wait for the disk, so they run on a blocking thread.
    let principal = principal.clone();
    let response = spawn_blocking(move || verbs.perform(&principal, request)).await;
    let response = response
        .unwrap_or_else(|error| Response::refused_because(ErrorKind::Software, error.to_string()));
    send(write, slot, &response).await
}

pub(super) async fn send(
    write: &mut (impl AsyncWriteExt + Unpin),
    slot: &ConnectionSlot,
    response: &Response,
) -> io::Result<()> {
    slot.sending_response();
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
