//! Definition files on their way out, chunk by chunk.

use super::{Definitions, Scope};
use crate::domain::broker::Broker;
use std::io::{self, Write};
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// The size from which a chunk is sent, in bytes.
const CHUNK: usize = 64 << 10;
/// Chunks that wait for a slow reader.
const WAITING: usize = 4;

/// Part of a file that is being written.
enum Part {
    Chunk(String),
    End,
}

/// A definition file that a thread of its own writes as fast as it is read.
#[derive(Debug)]
pub struct Export {
    parts: mpsc::Receiver<Part>,
    /// Everything was read.
    ended: bool,
}

impl Export {
    /// Starts to write the definitions in a scope, without these users. Dropping the result ends it.
    pub fn start(broker: Arc<Broker>, scope: Scope, left_out: Vec<String>) -> Self {
        let (parts, receiver) = mpsc::channel(WAITING);
        tokio::task::spawn_blocking(move || {
            let mut chunks = Chunks {
                text: Vec::new(),
                parts,
            };
            // It fails when the reader is gone: then nobody wants to know.
            let _ = chunks.write_file(&Definitions::new(&broker, scope).without(left_out));
        });
        Export {
            parts: receiver,
            ended: false,
        }
    }

    /// Returns the next chunk; `None` at the end, however often it is asked then.
    ///
    /// # Errors
    /// When writing broke off.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<String>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        self.parts.poll_recv(context).map(|part| {
            self.ended = !matches!(part, Some(Part::Chunk(_)));
            match part {
                Some(Part::Chunk(text)) => Some(Ok(text)),
                Some(Part::End) => None,
                None => Some(Err(io::Error::other("the export broke off"))),
            }
        })
    }

    /// Waits for the next chunk; `None` at the end.
    ///
    /// # Errors
    /// When writing broke off.
    pub async fn next(&mut self) -> Option<io::Result<String>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }
}

struct Chunks {
    text: Vec<u8>,
    parts: mpsc::Sender<Part>,
}

impl Chunks {
    fn write_file(&mut self, definitions: &Definitions<'_>) -> io::Result<()> {
        serde_json::to_writer(&mut *self, definitions)?;
        self.flush()?;
        self.send(Part::End)
    }

    fn send(&self, part: Part) -> io::Result<()> {
        let sent = self.parts.blocking_send(part);
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Chunks {
    /// Takes all of it, and so cuts no character in two: the serializer does not, either.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.text.extend_from_slice(bytes);
        if self.text.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.text.is_empty() {
            return Ok(());
        }
        let text = String::from_utf8(std::mem::take(&mut self.text));
        self.send(Part::Chunk(text.map_err(io::Error::other)?))
    }
}
