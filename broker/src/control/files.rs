//! Files that follow a request on the admin socket.

use crate::manage::AdminContext;
use crate::manage::definitions::{ImportError, ImportOptions, MAX_FILE};
use crate::manage::request::{ErrorKind, Response};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, BufReader, Take};

/// How long a client may take to send a file.
const TIMEOUT: Duration = Duration::from_secs(60);

/// Reads a file of this length; `None`, without reading it, if it is too long.
///
/// # Errors
/// When the client goes away, or takes too long.
pub(super) async fn receive(
    socket: &mut BufReader<Take<impl AsyncRead + Unpin>>,
    length: u64,
) -> io::Result<Option<Vec<u8>>> {
    if length > MAX_FILE as u64 {
        return Ok(None);
    }
    // Some of it may be in the buffer already, so this is no less than what is still to come.
    socket.get_mut().set_limit(length);
    // It grows with what arrives, not with what was announced.
    let mut file = Vec::new();
    let mut announced = socket.take(length);
    let received = announced.read_to_end(&mut file);
    let received = tokio::time::timeout(TIMEOUT, received).await??;
    match received as u64 == length {
        true => Ok(Some(file)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Refuses a file that is too long. The connection has to be closed, because the file follows.
pub(super) fn too_long() -> Response {
    let message = format!("a definition file must not exceed {MAX_FILE} bytes");
    Response::refused_because(ErrorKind::Data, message)
}

/// Imports a file on a thread of its own.
pub(super) async fn import(
    context: &AdminContext,
    file: Vec<u8>,
    skip_if_unchanged: bool,
) -> Response {
    let broker = context.broker.clone();
    let options = ImportOptions {
        vhost: None,
        skip_if_unchanged,
    };
    let imported = tokio::task::spawn_blocking(move || broker.import_definitions(&file, &options));
    match imported.await {
        Ok(Ok(imported)) => Response::Imported(imported),
        Ok(Err(error @ ImportError::NotDefinitions(_))) => {
            Response::refused_because(ErrorKind::Data, error.to_string())
        }
        Ok(Err(error)) => Response::refused_because(ErrorKind::Software, error.to_string()),
        Err(error) => Response::refused_because(ErrorKind::Software, error.to_string()),
    }
}
