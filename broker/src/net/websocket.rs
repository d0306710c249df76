//! A stream of bytes over WebSocket (RFC 6455), as the server: the payload of binary frames, however it is cut into frames.
//!
//! Frames are not collected: what has arrived of one is passed on, so that a frame of any size takes no memory here. What is
//! written goes out without being copied.

use super::stream::ByteStream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, BytesMut};
use sha1::{Digest, Sha1};
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

/// What is added to a client's key (RFC 6455, 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Bytes read at once.
const READ_SIZE: usize = 16 << 10;
/// The longest payload of a frame that is sent.
const FRAME_MAX: usize = 1 << 20;
/// The longest payload of a control frame (5.5).
const CONTROL_MAX: usize = 125;
/// Pieces in one vectored write.
const SLICES: usize = 32;

/// Returns the `Sec-WebSocket-Accept` for a `Sec-WebSocket-Key`.
pub fn accept_key(key: &[u8]) -> String {
    let mut hash = Sha1::new();
    hash.update(key);
    hash.update(GUID);
    STANDARD.encode(hash.finalize())
}

/// Status codes of a close frame (7.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Code {
    Normal = 1000,
    ProtocolError = 1002,
    Unsupported = 1003,
}

/// The frame that is being read.
#[derive(Clone, Copy, Debug)]
struct Incoming {
    opcode: u8,
    /// Bytes of its payload that have not been read.
    left: u64,
    mask: [u8; 4],
    /// Which byte of the mask is next.
    turn: usize,
}

/// The server's end of a WebSocket.
pub struct WebSocket<S> {
    socket: S,
    /// What has arrived and was not read.
    input: BytesMut,
    frame: Option<Incoming>,
    /// A binary message has begun, and its last frame not come.
    in_message: bool,
    /// Payload of the control frame that is being read.
    control: Vec<u8>,
    /// The header of the frame that is being sent, or control frames.
    head: BytesMut,
    /// Bytes of its payload that were announced and not sent.
    announced: usize,
    /// A pong or a close frame that is sent once the frame before it is.
    answer: Option<Vec<u8>>,
    /// Whether the peer has closed, or is told to.
    is_over: bool,
    close_sent: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Returns the WebSocket on a connection whose handshake is over; `input` has arrived already.
    pub fn new(socket: S, input: &[u8]) -> Self {
        WebSocket {
            socket,
            input: input.into(),
            frame: None,
            in_message: false,
            control: Vec::new(),
            head: BytesMut::new(),
            announced: 0,
            answer: None,
            is_over: false,
            close_sent: false,
        }
    }

    /// Takes what has arrived of the payload of binary frames, as much as there is room for; returns whether there was any.
    /// Control frames between are handled.
    fn take_payload(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        let before = buffer.filled().len();
        while !self.is_over {
            let Some(mut frame) = self.frame.or_else(|| self.next_header()) else {
                break;
            };
            let is_control = frame.opcode >= 8;
            let room = match is_control {
                true => CONTROL_MAX,
                false => buffer.remaining(),
            };
            let left = usize::try_from(frame.left).unwrap_or(usize::MAX);
            let length = left.min(self.input.len()).min(room);
            let bytes = &mut self.input[..length];
            unmask(bytes, frame.mask, &mut frame.turn);
            match is_control {
                true => self.control.extend_from_slice(bytes),
                false => buffer.put_slice(bytes),
            }
            self.input.advance(length);
            frame.left -= length as u64;
            self.frame = (frame.left > 0).then_some(frame);
            if frame.left == 0 && is_control {
                self.control_frame(frame.opcode);
            } else if length == 0 && frame.left > 0 {
                break;
            }
        }
        buffer.filled().len() > before
    }

    /// Takes the header of a frame, if it has arrived completely.
    fn next_header(&mut self) -> Option<Incoming> {
        let (first, second) = (*self.input.first()?, *self.input.get(1)?);
        let (is_last, opcode, length) = (first & 0x80 != 0, first & 0x0f, second & 0x7f);
        let code = match opcode {
            // Reserved bits belong to extensions, and none was agreed on; a client's frames are masked (5.1).
            _ if first & 0x70 != 0 || second & 0x80 == 0 => Some(Code::ProtocolError),
            0 if !self.in_message => Some(Code::ProtocolError),
            2 if self.in_message => Some(Code::ProtocolError),
            0 | 2 => None,
            1 => Some(Code::Unsupported),
            8..=10 if is_last && usize::from(length) <= CONTROL_MAX => None,
            _ => Some(Code::ProtocolError),
        };
        if let Some(code) = code {
            self.close(code);
            return None;
        }
        let extended = match length {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let header = self.input.get(..2 + extended + 4)?;
        let left = match extended {
            0 => u64::from(length),
            _ => header[2..2 + extended]
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        };
        let mut mask = [0; 4];
        mask.copy_from_slice(&header[2 + extended..]);
        self.input.advance(2 + extended + 4);
        if left > i64::MAX as u64 {
            self.close(Code::ProtocolError);
            return None;
        }
        if opcode < 8 {
            self.in_message = !is_last;
        }
        Some(Incoming {
            opcode,
            left,
            mask,
            turn: 0,
        })
    }

    fn control_frame(&mut self, opcode: u8) {
        let payload = std::mem::take(&mut self.control);
        match opcode {
            // The latest ping is the one to answer (5.5.3).
            9 => self.answer = Some(control(10, &payload)),
            8 => {
                let code = payload.get(..2).unwrap_or_default();
                self.end(control(8, code));
            }
            _ => {}
        }
    }

    /// Ends the stream because of what the client has sent.
    fn close(&mut self, code: Code) {
        self.end(control(8, &(code as u16).to_be_bytes()));
    }

    fn end(&mut self, close: Vec<u8>) {
        self.is_over = true;
        if !self.close_sent {
            self.close_sent = true;
            self.answer = Some(close);
        }
    }

    /// Sends what stands between two frames.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.announced > 0 {
            // Goes out with the payload.
            return Poll::Ready(Ok(()));
        }
        loop {
            // Only the latest waits: a client that reads nothing can send any number of pings.
            if self.head.is_empty() {
                match self.answer.take() {
                    Some(answer) => self.head.extend_from_slice(&answer),
                    None => return Poll::Ready(Ok(())),
                }
            }
            let written = ready!(Pin::new(&mut self.socket).poll_write(cx, &self.head))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.head.advance(written);
        }
    }

    /// Announces a frame with this payload.
    fn announce(&mut self, length: usize) {
        let length = length.min(FRAME_MAX);
        self.announced = length;
        self.head.extend_from_slice(&[0x82]);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(short @ 0..126), _) => self.head.extend_from_slice(&[short]),
            (_, Ok(length)) => {
                self.head.extend_from_slice(&[126]);
                self.head.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                self.head.extend_from_slice(&[127]);
                self.head.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
    }
}

/// Returns a control frame.
fn control(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len().min(CONTROL_MAX);
    let mut frame = vec![0x80 | opcode, length as u8];
    frame.extend_from_slice(&payload[..length]);
    frame
}

fn unmask(bytes: &mut [u8], mask: [u8; 4], turn: &mut usize) {
    for byte in bytes {
        *byte ^= mask[*turn];
        *turn = (*turn + 1) % 4;
    }
}

impl<S: ByteStream> ByteStream for WebSocket<S> {
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        self.is_over || self.socket.is_gone(cx)
    }

    fn buffered(&self) -> usize {
        self.input.capacity() + self.head.capacity() + self.socket.buffered()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            let taken = this.take_payload(buffer);
            // An answer that cannot be sent now goes out with what is written next.
            if let Poll::Ready(Err(error)) = this.poll_answer(cx) {
                return Poll::Ready(Err(error));
            }
            if taken || this.is_over || buffer.remaining() == 0 {
                return Poll::Ready(Ok(()));
            }
            this.input.reserve(READ_SIZE);
            match pin!(this.socket.read_buf(&mut this.input)).poll(cx) {
                Poll::Ready(Ok(0)) => {
                    this.is_over = true;
                    // Without a close frame it is an end, too: TCP's.
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    if this.input.is_empty() {
                        this.input = BytesMut::new();
                    }
                    return Poll::Pending;
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        if this.close_sent && this.announced == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if this.announced == 0 {
            ready!(this.poll_answer(cx))?;
            this.announce(length);
        }
        loop {
            let mut out = [IoSlice::new(&[]); SLICES];
            out[0] = IoSlice::new(&this.head);
            let (mut filled, mut room) = (1, this.announced);
            for slice in slices {
                if filled == SLICES || room == 0 {
                    break;
                }
                let part = &slice[..slice.len().min(room)];
                out[filled] = IoSlice::new(part);
                (filled, room) = (filled + 1, room - part.len());
            }
            let socket = Pin::new(&mut this.socket);
            let written = ready!(socket.poll_write_vectored(cx, &out[..filled]))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            let of_head = written.min(this.head.len());
            this.head.advance(of_head);
            let payload = written - of_head;
            this.announced -= payload;
            if payload > 0 {
                return Poll::Ready(Ok(payload));
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_answer(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }

    /// Sends the close frame. The client answers with its own, which is the end of what is read; then the connection can be
    /// closed.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.announced > 0 {
            return Pin::new(&mut this.socket).poll_shutdown(cx);
        }
        if !this.close_sent {
            this.close_sent = true;
            this.answer = Some(control(8, &(Code::Normal as u16).to_be_bytes()));
        }
        ready!(this.poll_answer(cx))?;
        Pin::new(&mut this.socket).poll_flush(cx)
    }
}

#[cfg(test)]
mod tests;
