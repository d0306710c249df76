//! leveretctl's side of the admin socket.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::control::socket::SocketPath;
use crate::control::wire;
use crate::manage::request::{Request, Response};

/// How long to wait for each response of the broker if no timeout was given.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// No broker answers in the data directory.
    #[error("{0}")]
    Unreachable(String),
    /// The response takes longer than allowed.
    #[error("timed out")]
    TimedOut,
    /// The response breaks off or cannot be decoded.
    #[error("{0}")]
    Broken(String),
}

/// A connection to the broker.
pub(super) struct Client {
    stream: BufReader<UnixStream>,
    deadline: Option<Instant>,
}

impl Client {
    /// Connects to the broker of this data directory. The deadline is for everything that follows.
    pub(super) fn connect(data_dir: &Path, deadline: Option<Instant>) -> Result<Self, ClientError> {
        let stream = Self::reach(data_dir).map_err(|error| unreachable_broker(data_dir, &error))?;
        Ok(Client {
            stream: BufReader::new(stream),
            deadline,
        })
    }

    /// Connects to the socket of this data directory.
    pub(super) fn reach(data_dir: &Path) -> io::Result<UnixStream> {
        UnixStream::connect(SocketPath::of(data_dir)?.path())
    }

    /// Sends a request.
    pub(super) fn send(&mut self, request: &Request) -> Result<(), ClientError> {
        let mut line = wire::encode_request(request)
            .map_err(|error| ClientError::Broken(format!("cannot send the request: {error}")))?;
        line.push('\n');
        let stream = self.stream.get_mut();
        stream
            .set_write_timeout(Some(DEFAULT_TIMEOUT))
            .map_err(|error| broken(&error))?;
        stream
            .write_all(line.as_bytes())
            .map_err(|error| broken(&error))
    }

    /// Sends the file that follows a request.
    pub(super) fn send_file(&mut self, file: &[u8]) -> Result<(), ClientError> {
        let written = self.stream.get_mut().write_all(file);
        written.map_err(|error| broken(&error))
    }

    /// Reads the next response.
    pub(super) fn receive(&mut self) -> Result<Response, ClientError> {
        let line = self.read_line()?.ok_or_else(|| {
            ClientError::Broken("the broker closed the connection without an answer".to_owned())
        })?;
        serde_json::from_slice(&line).map_err(|error| {
            ClientError::Broken(format!(
                "cannot decode the broker's response ({error}); do leveret and leveretctl have the \
                 same version?"
            ))
        })
    }

    /// Waits until the broker has closed the connection, as it does when it stops.
    pub(super) fn wait_for_end(&mut self) -> Result<(), ClientError> {
        match self.read_line() {
            // A broker that stops may reset the connection.
            Ok(_) | Err(ClientError::Broken(_)) => Ok(()),
            Err(other) => Err(other),
        }
    }

    /// Reads a line, without its line feed; returns `None` at the end.
    fn read_line(&mut self) -> Result<Option<Vec<u8>>, ClientError> {
        let mut line = Vec::new();
        loop {
            let timeout = self.timeout()?;
            self.stream
                .get_mut()
                .set_read_timeout(Some(timeout))
                .map_err(|e| broken(&e))?;
            let available = match self.stream.fill_buf() {
                Ok([]) => return Ok(None),
                Ok(available) => available,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(&error)),
            };
            let end = available.iter().position(|byte| *byte == b'\n');
            line.extend_from_slice(&available[..end.unwrap_or(available.len())]);
            let used = end.map_or(available.len(), |end| end + 1);
            self.stream.consume(used);
            if line.len() > wire::MAX_LINE {
                return Err(ClientError::Broken(
                    "the broker's response is too long".to_owned(),
                ));
            }
            if end.is_some() {
                return Ok(Some(line));
            }
        }
    }

    fn timeout(&self) -> Result<Duration, ClientError> {
        let Some(deadline) = self.deadline else {
            return Ok(DEFAULT_TIMEOUT);
        };
        let left = deadline.saturating_duration_since(Instant::now());
        // A timeout of zero would mean none.
        if left.is_zero() {
            Err(ClientError::TimedOut)
        } else {
            Ok(left)
        }
    }
}

fn broken(error: &io::Error) -> ClientError {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => ClientError::TimedOut,
        _ => ClientError::Broken(format!("lost the connection to the broker: {error}")),
    }
}

fn unreachable_broker(data_dir: &Path, error: &io::Error) -> ClientError {
    let directory = data_dir.display();
    ClientError::Unreachable(match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => format!(
            "no broker is running with data directory {directory}. Start one with 'leveret \
             --data-dir {directory}', or name the directory of a running one with --data-dir or \
             LEVERET_DATA_DIR."
        ),
        io::ErrorKind::PermissionDenied => format!(
            "the broker with data directory {directory} belongs to another user. Run leveretctl \
             as the user that runs the broker, or with sudo."
        ),
        _ => format!("the broker with data directory {directory} cannot be reached: {error}."),
    })
}
