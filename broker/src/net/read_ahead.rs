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

/// A socket whose input is read in large pieces. It holds no memory while there is no input.
pub(super) struct ReadAhead<S> {
    socket: S,
    ahead: BytesMut,
}

impl<S> ReadAhead<S> {
    pub(super) fn new(socket: S) -> Self {
        ReadAhead {
            socket,
            ahead: BytesMut::new(),
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
            this.ahead.reserve(READ_AHEAD);
            let read = pin!(this.socket.read_buf(&mut this.ahead)).poll(cx);
            if !matches!(read, Poll::Ready(Ok(1..))) {
                this.ahead = BytesMut::new();
                return read.map_ok(drop);
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
        Pin::new(&mut self.socket).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
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
