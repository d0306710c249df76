//! The stream of bytes that a session reads and writes, whatever carries it.

use super::endpoint::Ends;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

/// Bytes that TLS keeps of what was written and the peer has not taken.
pub(super) const TLS_OUTPUT_MAX: usize = 64 << 10;
/// What TLS takes per connection beside that. Measured: 7 KiB for one that is idle.
const TLS_STATE: usize = 8 << 10;

/// A stream that knows whether its peer has closed it, even if there is more to read.
pub trait ByteStream: AsyncRead + AsyncWrite + Unpin + Send {
    /// Returns whether the peer has closed its side.
    fn is_gone(&self, cx: &mut Context<'_>) -> bool;

    /// Returns about how many bytes of memory the stream itself takes.
    fn buffered(&self) -> usize {
        0
    }
}

impl ByteStream for TcpStream {
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        // Tokio knows this already; no system call.
        let ready = pin!(self.ready(Interest::READABLE)).poll(cx);
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }
}

impl ByteStream for UnixStream {
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        let ready = pin!(self.ready(Interest::READABLE)).poll(cx);
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }
}

impl<S: ByteStream> ByteStream for TlsStream<S> {
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        self.get_ref().0.is_gone(cx)
    }

    fn buffered(&self) -> usize {
        let pending = match self.get_ref().1.wants_write() {
            true => TLS_OUTPUT_MAX,
            false => 0,
        };
        TLS_STATE + pending
    }
}

impl ByteStream for Box<dyn ByteStream> {
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        (**self).is_gone(cx)
    }

    fn buffered(&self) -> usize {
        (**self).buffered()
    }
}

/// A place for a stream: serves it.
pub type StreamPlace = Box<dyn FnOnce(Box<dyn ByteStream>, Ends) + Send>;

/// Serves streams that come through another protocol: AMQP over WebSocket.
pub trait StreamService: Send + Sync {
    /// Returns a place for a stream if there is one.
    fn reserve(&self) -> Option<StreamPlace>;
}

/// What a listener has accepted: TCP as it is, so that nothing stands between the socket and its session, and everything
/// else.
pub enum Stream {
    /// Without TLS.
    Tcp(TcpStream),
    /// TLS, a Unix socket.
    Other(Box<dyn ByteStream>),
}

macro_rules! either {
    ($stream:expr, $inner:ident => $then:expr) => {
        match $stream.get_mut() {
            Stream::Tcp($inner) => $then,
            Stream::Other($inner) => $then,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, inner => Pin::new(inner).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, inner => Pin::new(inner).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Tcp(inner) => inner.is_write_vectored(),
            Stream::Other(inner) => inner.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, inner => Pin::new(inner).poll_shutdown(cx))
    }
}

impl ByteStream for Stream {
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        match self {
            Stream::Tcp(inner) => inner.is_gone(cx),
            Stream::Other(inner) => inner.is_gone(cx),
        }
    }

    fn buffered(&self) -> usize {
        match self {
            Stream::Tcp(inner) => inner.buffered(),
            Stream::Other(inner) => inner.buffered(),
        }
    }
}
