//! TLS over a blocking socket. rustls decrypts and encrypts in buffers of ours, which are as large as what is read from and
//! written to the socket at a time; its own buffers would cost a system call for every 4 KiB.

use super::fault::explain;
use super::{Wait, is_timeout, receive, send};
use crate::client::patience::Patience;
use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, UnbufferedStatus};
use rustls::{ClientConfig, HandshakeKind};
use socket2::Socket;
use std::io::{self, ErrorKind};
use std::sync::Arc;

/// The most plaintext that is encrypted at a time: a write of a publisher.
const CHUNK: usize = 64 * 1024;
/// The room for what is encrypted at a time: the chunk, and the headers and tags of its records.
const OUTGOING: usize = CHUNK + 4096;
/// The most that is read from the socket at a time.
const INCOMING: usize = 256 * 1024;
/// The room that a read needs: it must be possible to complete the largest record.
pub(crate) const MIN_ROOM: usize = 32 * 1024;

pub(crate) struct Tls {
    session: UnbufferedClientConnection,
    socket: Socket,
    /// Ciphertext that has been read but not decrypted: after a read, less than a record.
    incoming: Vec<u8>,
    from: usize,
    to: usize,
    /// Ciphertext to be sent, between these two.
    outgoing: Vec<u8>,
    sent: usize,
    end: usize,
    /// The broker has said that it sends nothing more.
    closed: bool,
}

/// What a handshake has agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Handshake {
    pub(crate) version: String,
    pub(crate) cipher: String,
    /// A session was resumed, without certificates.
    pub(crate) resumed: bool,
}

impl Tls {
    /// Does the handshake.
    pub(super) fn handshake(
        socket: Socket,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        mut patience: Patience,
    ) -> io::Result<Self> {
        let session =
            UnbufferedClientConnection::new(config, name).map_err(|error| explain(&error, &[]))?;
        let mut tls = Tls {
            session,
            socket,
            incoming: vec![0; INCOMING],
            from: 0,
            to: 0,
            outgoing: vec![0; OUTGOING],
            sent: 0,
            end: 0,
            closed: false,
        };
        loop {
            tls.process(&mut [])?;
            let waits = match tls.flush() {
                Ok(()) if !tls.session.is_handshaking() => return Ok(tls),
                Ok(()) => tls.fill(INCOMING, Wait::ForBytes),
                Err(error) => Err(error),
            };
            match waits {
                Ok(0) => return Err(ended_early()),
                Ok(_) => patience.renew(),
                Err(error) if is_timeout(&error) => {
                    if !patience.lasts("has not completed the TLS handshake")? {
                        return Err(ErrorKind::Interrupted.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Returns what the handshake has agreed on.
    pub(crate) fn agreed(&self) -> Handshake {
        let version = self.session.protocol_version();
        let suite = self.session.negotiated_cipher_suite();
        let named = |name: Option<&str>| name.unwrap_or("unknown").to_owned();
        Handshake {
            version: named(version.and_then(|version| version.as_str())).replace('_', "."),
            cipher: named(suite.and_then(|suite| suite.suite().as_str())),
            resumed: self.session.handshake_kind() == Some(HandshakeKind::Resumed),
        }
    }

    /// Reads and decrypts. `WouldBlock`: no complete record has arrived.
    pub(super) fn read(&mut self, buf: &mut [u8], wait: Wait) -> io::Result<usize> {
        debug_assert!(buf.len() >= MIN_ROOM);
        if self.closed {
            return Ok(0);
        }
        // No more than fits once it is decrypted, so that no complete record is ever left over.
        if self.fill(buf.len(), wait)? == 0 {
            return Ok(0);
        }
        let decrypted = self.process(buf)?;
        match decrypted {
            0 if !self.closed => Err(ErrorKind::WouldBlock.into()),
            bytes => Ok(bytes),
        }
    }

    /// Encrypts some of the bytes and sends them as far as the socket accepts them.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.flush()?;
        let chunk = &bytes[..bytes.len().min(CHUNK)];
        if chunk.is_empty() {
            return Ok(0);
        }
        self.with_outgoing(|traffic, outgoing| traffic.encrypt(chunk, outgoing))?;
        match self.flush() {
            Err(error) if !is_timeout(&error) => Err(error),
            _ => Ok(chunk.len()),
        }
    }

    pub(super) fn holds_output(&self) -> bool {
        self.sent < self.end
    }

    pub(super) fn socket(&self) -> &Socket {
        &self.socket
    }

    /// Sends close_notify. The connection is over whether or not it arrives.
    pub(super) fn say_goodbye(&mut self) {
        let queued = self.with_outgoing(|traffic, outgoing| traffic.queue_close_notify(outgoing));
        if queued.is_ok() {
            let _ = self.flush();
        }
    }

    /// Appends to what is to be sent.
    fn with_outgoing<E: std::error::Error + Send + Sync + 'static>(
        &mut self,
        write: impl FnOnce(
            &mut rustls::unbuffered::WriteTraffic<'_, rustls::client::ClientConnectionData>,
            &mut [u8],
        ) -> Result<usize, E>,
    ) -> io::Result<()> {
        // What else rustls wants to send goes first, such as the answer to a key update.
        self.process(&mut [])?;
        let incoming = &mut self.incoming[self.from..self.to];
        let UnbufferedStatus { discard, state } = self.session.process_tls_records(incoming);
        self.from += discard;
        match state {
            Ok(ConnectionState::WriteTraffic(mut traffic)) => {
                let room = &mut self.outgoing[self.end..];
                self.end += write(&mut traffic, room).map_err(io::Error::other)?;
                Ok(())
            }
            _ => Err(io::Error::other("the TLS session is over")),
        }
    }

    /// Processes every complete record: decrypts into `buf`, and queues what is to be answered. Returns the number of bytes
    /// decrypted.
    fn process(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut decrypted = 0;
        loop {
            let incoming = &mut self.incoming[self.from..self.to];
            let UnbufferedStatus { mut discard, state } =
                self.session.process_tls_records(incoming);
            let mut waits = false;
            let failed = match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                    match traffic.next_record() {
                        Some(Ok(record)) => {
                            let len = record.payload.len();
                            let Some(room) = buf.get_mut(decrypted..decrypted + len) else {
                                return Err(io::Error::other("the broker spoke out of turn"));
                            };
                            room.copy_from_slice(record.payload);
                            decrypted += len;
                            discard += record.discard;
                        }
                        Some(Err(error)) => break Some(error),
                        None => break None,
                    }
                },
                Ok(ConnectionState::EncodeTlsData(mut data)) => {
                    if let Err(EncodeError::InsufficientSize(needs)) = data
                        .encode(&mut self.outgoing[self.end..])
                        .map(|bytes| self.end += bytes)
                    {
                        // A long chain of certificates.
                        self.outgoing.resize(self.end + needs.required_size, 0);
                        let room = &mut self.outgoing[self.end..];
                        self.end += data.encode(room).map_err(io::Error::other)?;
                    }
                    None
                }
                Ok(ConnectionState::TransmitTlsData(data)) => {
                    data.done();
                    None
                }
                Ok(ConnectionState::PeerClosed | ConnectionState::Closed) => {
                    (self.closed, waits) = (true, true);
                    None
                }
                Ok(_) => {
                    waits = true;
                    None
                }
                Err(error) => Some(error),
            };
            if let Some(error) = failed {
                let error = explain(&error, &self.incoming[self.from..self.to]);
                self.tell_why();
                return Err(error);
            }
            self.from += discard;
            if waits {
                return Ok(decrypted);
            }
        }
    }

    /// Sends the alert that says what was wrong, if it can be sent at once.
    fn tell_why(&mut self) {
        let status = self.session.process_tls_records(&mut []);
        if let Ok(ConnectionState::EncodeTlsData(mut data)) = status.state
            && let Ok(bytes) = data.encode(&mut self.outgoing[self.end..])
        {
            self.end += bytes;
            let _ = self.flush();
        }
    }

    /// Reads from the socket so that `max` bytes of ciphertext are here at most. Returns 0 at the end of the stream.
    fn fill(&mut self, max: usize, wait: Wait) -> io::Result<usize> {
        self.incoming.copy_within(self.from..self.to, 0);
        (self.from, self.to) = (0, self.to - self.from);
        let room = &mut self.incoming[self.to..max.min(INCOMING)];
        let bytes = receive(&self.socket, room, wait)?;
        self.to += bytes;
        Ok(bytes)
    }

    /// Sends what is to be sent.
    fn flush(&mut self) -> io::Result<()> {
        while self.holds_output() {
            self.sent += send(&self.socket, &self.outgoing[self.sent..self.end])?;
        }
        (self.sent, self.end) = (0, 0);
        Ok(())
    }
}

fn ended_early() -> io::Error {
    let text = "the broker closed the connection during the TLS handshake";
    io::Error::new(ErrorKind::UnexpectedEof, text)
}
