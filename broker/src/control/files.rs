//! Files that follow a request on the admin socket.

use crate::manage::AdminContext;
use crate::manage::access::Principal;
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
    principal: &Principal,
    file: Vec<u8>,
    skip_if_unchanged: bool,
) -> Response {
    let (context, principal) = (context.clone(), principal.clone());
    let options = ImportOptions {
        vhost: None,
        skip_if_unchanged,
    };
    let import = move || context.import_definitions(&principal, &file, &options);
    let imported = tokio::task::spawn_blocking(import);
    match imported.await {
        Ok(Ok(imported)) => Response::Imported(imported),
        Ok(Err(error @ ImportError::NotDefinitions(_))) => {
            Response::refused_because(ErrorKind::Data, error.to_string())
        }
        Ok(Err(error)) => Response::refused_because(ErrorKind::Software, error.to_string()),
        Err(error) => Response::refused_because(ErrorKind::Software, error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncBufReadExt;

    /// Returns what is received of a file of this length that a client sends with what follows, and the next line.
    fn received(sent: &[u8], length: u64) -> (io::Result<Option<Vec<u8>>>, String) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .unwrap();
        let mut socket = BufReader::new(sent.take(1 << 20));
        let file = runtime.block_on(receive(&mut socket, length));
        socket.get_mut().set_limit(1 << 20);
        let mut line = String::new();
        runtime.block_on(socket.read_line(&mut line)).unwrap();
        (file, line)
    }

    #[test]
    fn a_file_ends_where_it_was_said_to_end() {
        for length in [0, 1, 8192, 100_000] {
            let mut sent = vec![b'x'; length];
            sent.extend_from_slice(b"next\n");
            let (file, line) = received(&sent, length as u64);
            assert_eq!(file.unwrap().unwrap().len(), length);
            assert_eq!(line, "next\n");
        }
    }

    #[test]
    fn a_file_that_breaks_off_or_is_too_long_is_not_received() {
        let (file, _) = received(b"half", 8);
        assert_eq!(file.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        let (file, line) = received(b"next\n", u64::MAX);
        assert!(file.unwrap().is_none());
        assert_eq!(line, "next\n", "nothing was read");
    }
}
