//! Reading more of a socket at once than is asked for.

use super::stream::ByteStream;
use bytes::{Buf, BytesMut};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// Bytes that are read at once. rustls asks for 4 KiB at a time, a quarter of what it decrypts at once.
const READ_AHEAD: usize = 32 << 10;
/// The same before a handshake is complete: anybody can begin one, and nobody counts what it takes.
const HANDSHAKE_READ_AHEAD: usize = 4 << 10;
/// Bytes of a handshake that are read before the broker has answered: a client's hello takes less than 2 KiB.
const HELLO_MAX: usize = 16 << 10;
/// Bytes of a handshake in which the client may send a chain of certificates. rustls takes no larger message.
const CERTIFICATES_MAX: usize = 64 << 10;

/// A socket whose input is read in large pieces. It holds no memory while there is no input. Until
/// [`complete`](ReadAhead::complete) is called, it reads small pieces, and only so much.
pub(super) struct ReadAhead<S> {
    socket: S,
    ahead: BytesMut,
    /// `None` once the handshake is complete.
    handshake: Option<Handshake>,
}

/// What may be read before a handshake is complete.
struct Handshake {
    read: usize,
    most: usize,
    asks_certificate: bool,
}

impl Handshake {
    /// A client's certificates follow the broker's answer to its hello.
    fn answered(&mut self) {
        if self.asks_certificate {
            self.most = CERTIFICATES_MAX;
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.read < self.most {
            return Ok(());
        }
        let most = self.most;
        let reason =
            format!("the client sends more than {most} bytes before its handshake is complete");
        Err(io::Error::new(io::ErrorKind::InvalidData, reason))
    }
}

impl<S> ReadAhead<S> {
    /// Returns the socket of a connection whose handshake begins, in which the client may be asked for a certificate.
    pub(super) fn new(socket: S, asks_certificate: bool) -> Self {
        ReadAhead {
            socket,
            ahead: BytesMut::new(),
            handshake: Some(Handshake {
                read: 0,
                most: HELLO_MAX,
                asks_certificate,
            }),
        }
    }

    /// Reads without a bound from now on: the handshake is complete.
    pub(super) fn complete(&mut self) {
        self.handshake = None;
    }

    fn answered(&mut self) {
        if let Some(handshake) = &mut self.handshake {
            handshake.answered();
        }
    }
}

impl<S: ByteStream> ByteStream for ReadAhead<S> {
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        self.socket.is_gone(cx)
    }

    fn buffered(&self) -> usize {
        self.ahead.capacity() + self.socket.buffered()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadAhead<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.ahead.is_empty() {
            let most = match &this.handshake {
                None => READ_AHEAD,
                Some(handshake) => {
                    handshake.check()?;
                    HANDSHAKE_READ_AHEAD
                }
            };
            this.ahead.reserve(most);
            let read = pin!(this.socket.read_buf(&mut this.ahead)).poll(cx);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                this.ahead = BytesMut::new();
                return read.map_ok(drop);
            }
            if let Some(handshake) = &mut this.handshake {
                handshake.read += this.ahead.len();
            }
        }
        let length = this.ahead.len().min(buffer.remaining());
        buffer.put_slice(&this.ahead[..length]);
        this.ahead.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ReadAhead<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.answered();
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.answered();
        Pin::new(&mut self.socket).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    /// Returns how many bytes can be read before that fails, and why it does.
    async fn read_all(ahead: &mut ReadAhead<DuplexStream>) -> (usize, String) {
        let (mut read, mut piece) = (0, [0; 4096]);
        loop {
            match ahead.read(&mut piece).await {
                Ok(0) => return (read, "the end".to_owned()),
                Ok(length) => read += length,
                Err(error) => return (read, error.to_string()),
            }
        }
    }

    #[tokio::test]
    async fn a_hello_that_is_too_large_is_refused_once_the_bound_is_passed() {
        let (mut client, server) = duplex(128 << 10);
        // A record of 16 KiB, and in it a hello that says that it has 65520 bytes.
        let mut hello = vec![0x16, 3, 1, 0x40, 0, 1, 0, 0xff, 0xf0, 3, 3];
        hello.resize(16384 + 5, 0);
        let mut all = hello.clone();
        hello[5..].fill(0);
        all.extend_from_slice(&hello);
        client.write_all(&all).await.unwrap();
        let (certificate, key) = {
            let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
            (signed.cert, signed.signing_key)
        };
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(config));
        let refused = acceptor.accept(ReadAhead::new(server, true)).await;
        let refused = refused.err().unwrap();
        assert_eq!(
            crate::net::tls::handshake_failure(&refused),
            "the client sends more than 16384 bytes before its handshake is complete"
        );
    }

    #[tokio::test]
    async fn more_is_read_of_certificates_and_everything_after_the_handshake() {
        for (asks, most) in [(false, HELLO_MAX), (true, CERTIFICATES_MAX)] {
            let (mut client, server) = duplex(256 << 10);
            client.write_all(&[0; 200 << 10]).await.unwrap();
            let mut ahead = ReadAhead::new(server, asks);
            assert_eq!(read_all(&mut ahead).await.0, HELLO_MAX);
            ahead.write_all(b"hello").await.unwrap();
            let (read, reason) = read_all(&mut ahead).await;
            assert_eq!(HELLO_MAX + read, most);
            assert!(
                reason.contains(&format!("more than {most} bytes")),
                "{reason}"
            );
            ahead.complete();
            drop(client);
            let (read, reason) = read_all(&mut ahead).await;
            assert_eq!((most + read, &*reason), (200 << 10, "the end"));
        }
    }
}
