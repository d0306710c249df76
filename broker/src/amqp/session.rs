//! A connection's task: it alone touches the socket and the connection machine, and polls reading,
//! writing and the mailbox together, so that acknowledgements are read while a write waits.

use crate::amqp::connection::Connection;
use crate::domain::broker::Broker;
use crate::plumbing::mailbox::Mailbox;
use bytes::BytesMut;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest};
use tokio::net::TcpStream;
use tokio::time::Sleep;

use crate::domain::connections::ConnectionInfo;

/// The read buffer of a connection that is quiet.
const READ_BUFFER_MIN: usize = 4 * 1024;
/// The read buffer of a connection that fills it, unless a single frame needs more.
const READ_BUFFER_MAX: usize = 128 * 1024;
/// Pieces of one vectored write.
const WRITE_SLICES: usize = 32;
/// How long logging in may take (RabbitMQ: `handshake_timeout`).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last words may take to be written.
const LAST_WORDS_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two looks at whether the peer of a connection that an alarm has blocked is still there.
const LOOK_AFTER: Duration = Duration::from_secs(5);
/// How long a connection has been quiet when it gives back what it does not need.
const QUIET: Duration = Duration::from_secs(3);
/// How long a connection reads and writes before others get a turn. With a hundred that flood the
/// broker, another waits some ten times as long for each of its requests.
const TURN: Duration = Duration::from_millis(1);

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both sides said goodbye, or the server closed.
    Closed,
    /// The client closed its socket without connection.close.
    Abandoned,
    /// As before, while an alarm had blocked it.
    Gone,
    /// Nothing was heard for two heartbeat intervals.
    Silent,
    /// The login took too long.
    HandshakeTimeout,
    /// The socket failed.
    Failed(io::Error),
}

/// A socket that can tell whether its peer has closed it though there is more to read.
pub(super) trait Peer: AsyncRead + AsyncWrite + Unpin {
    /// Whether nothing will come behind what has come.
    fn is_gone(&self, cx: &mut Context<'_>) -> bool;
}

impl Peer for TcpStream {
    fn is_gone(&self, cx: &mut Context<'_>) -> bool {
        // What the system has told tokio already; no system call.
        let ready = std::pin::pin!(self.ready(Interest::READABLE)).poll(cx);
        matches!(ready, Poll::Ready(Ok(ready)) if ready.is_read_closed())
    }
}

/// A socket with its connection machine.
pub(super) struct Session<S> {
    socket: S,
    connection: Connection,
    info: Arc<ConnectionInfo>,
    broker: Arc<Broker>,
    input: BytesMut,
    read_size: usize,
    timer: Pin<Box<Sleep>>,
    accepted: Instant,
    last_read: Instant,
    last_write: Instant,
    last_words: Option<Instant>,
    /// The connection is not being read: it may say nothing for as long as that lasts.
    paused: bool,
    /// Its buffers may have grown since it last gave some back.
    used: bool,
}

impl<S: Peer> Session<S> {
    pub(super) fn new(
        socket: S,
        broker: Arc<Broker>,
        info: Arc<ConnectionInfo>,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        let now = Instant::now();
        let first_look = now + HANDSHAKE_TIMEOUT;
        Session {
            socket,
            connection: Connection::new(broker.clone(), info.clone(), mailbox),
            info,
            broker,
            input: BytesMut::new(),
            read_size: READ_BUFFER_MIN,
            timer: Box::pin(tokio::time::sleep_until(first_look.into())),
            accepted: now,
            last_read: now,
            last_write: now,
            last_words: None,
            paused: false,
            used: false,
        }
    }

    /// Serves the connection until it ends; gives back the socket, for the peer may not have read
    /// or said its last words.
    pub(super) async fn run(mut self) -> (End, S) {
        let end = poll_fn(|cx| {
            let polled = self.poll(cx);
            self.connection.count_buffers(self.input.capacity());
            polled
        });
        let end = end.await;
        self.connection.end();
        (end, self.socket)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut until = None;
        loop {
            let now = Instant::now();
            let until = *until.get_or_insert(now + TURN);
            let mut progress = false;
            self.connection.take_orders(cx.waker(), now);
            self.connection.check_time(now);
            if self.connection.wants_mail() {
                progress |= self.connection.take_mail(Some(cx.waker()), now);
            } else {
                progress |= self.connection.take_confirms(now);
            }
            match self.poll_read(cx, now, until) {
                Ok(read) => progress |= read,
                Err(end) => return Poll::Ready(end),
            }
            match self.poll_write(cx, now) {
                Ok(wrote) => progress |= wrote,
                Err(error) => return Poll::Ready(End::Failed(error)),
            }
            if let Poll::Ready(end) = self.poll_timer(cx, now) {
                return Poll::Ready(end);
            }
            if self.connection.is_over(now) {
                return Poll::Ready(End::Closed);
            }
            progress |= self.connection.has_committed();
            self.used |= progress;
            if !progress {
                return Poll::Pending;
            }
            if now >= until {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
    }

    /// Reads once and hands what came to the machine; `true` when something came.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        until: Instant,
    ) -> Result<bool, End> {
        if !self.connection.wants_read() {
            if self.connection.waits_for_storage() {
                self.broker.wake_when_caught_up(cx.waker().clone());
                self.info.throttled(now);
            }
            self.paused = true;
            return Ok(false);
        }
        if std::mem::take(&mut self.paused) {
            // Silence counts from here (RabbitMQ pauses its heartbeat monitor).
            self.last_read = now;
        }
        if self.connection.has_rest() {
            let until = Some(until);
            self.connection.input_until(&mut self.input, now, until);
            return Ok(true);
        }
        let wanted = self
            .connection
            .needed_buffer()
            .saturating_sub(self.input.len());
        // Filled up to its largest size and no more: a buffer that grows by doubling is too large for the processor's
        // cache, and for a body to stay in it.
        let free = READ_BUFFER_MAX.saturating_sub(self.input.len());
        let usual = self.read_size.min(free).max(READ_BUFFER_MIN);
        self.input.reserve(wanted.max(usual));
        match self.read_some(cx) {
            Poll::Pending => {
                self.shrink();
                Ok(false)
            }
            Poll::Ready(Err(error)) => Err(End::Failed(error)),
            Poll::Ready(Ok(0)) => Err(End::Abandoned),
            Poll::Ready(Ok(octets)) => {
                if octets >= self.read_size {
                    self.read_size = (self.read_size * 2).min(READ_BUFFER_MAX);
                }
                self.last_read = now;
                self.info.received(octets as u64);
                // What has just come may have been sent after this round began: the time from
                // which it counts, for delays say, must not lie before.
                let now = Instant::now();
                let until = Some(until);
                self.connection.input_until(&mut self.input, now, until);
                Ok(true)
            }
        }
    }

    fn read_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // tokio's read_buf, as a poll: the spare capacity is filled without being zeroed first.
        std::pin::pin!(self.socket.read_buf(&mut self.input)).poll(cx)
    }

    /// A connection that waits keeps no large buffer, a quiet one none.
    fn shrink(&mut self) {
        if self.input.is_empty() {
            self.read_size = READ_BUFFER_MIN;
            if self.input.capacity() > READ_BUFFER_MIN || !self.used {
                self.input = BytesMut::new();
            }
        }
    }

    /// Gives back what a burst has left, once it is over; says when to look again.
    fn rest(&mut self, now: Instant) -> Option<Instant> {
        if !self.used {
            return None;
        }
        let quiet = self.last_read.max(self.last_write) + QUIET;
        if now < quiet {
            return Some(quiet);
        }
        self.used = false;
        self.shrink();
        self.connection.give_back();
        None
    }

    /// Writes until the socket takes no more; `true` when something was written.
    fn poll_write(&mut self, cx: &mut Context<'_>, now: Instant) -> io::Result<bool> {
        let mut wrote = false;
        while !self.connection.output().is_empty() {
            let written = {
                let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
                let filled = self.connection.output().slices(&mut slices);
                let socket = Pin::new(&mut self.socket);
                match socket.poll_write_vectored(cx, &slices[..filled]) {
                    Poll::Pending => return Ok(wrote),
                    Poll::Ready(result) => result?,
                }
            };
            if written == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.connection.output().advance(written);
            self.info.sent(written as u64);
            self.last_write = now;
            wrote = true;
        }
        ready_flush(Pin::new(&mut self.socket).poll_flush(cx))?;
        Ok(wrote)
    }

    /// Looks at what depends on time: heartbeats (spec 4.2.7, RabbitMQ: "Heartbeats"), the
    /// handshake's limit, the last words' limit.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<End> {
        let mut next = now + Duration::from_secs(3600);
        if let Some(interval) = self.connection.heartbeat() {
            let unheard = self.connection.wants_read() && now >= self.last_read + interval * 2;
            // A peer that takes nothing is as dead as one that says nothing.
            let untaken =
                !self.connection.output().is_empty() && now >= self.last_write + interval * 2;
            if unheard || untaken {
                return Poll::Ready(End::Silent);
            }
            if now >= self.last_write + interval / 2 && self.connection.output().is_empty() {
                self.connection.send_heartbeat();
                self.last_write = now;
                cx.waker().wake_by_ref();
            }
            next = next
                .min(self.last_read + interval * 2)
                .min(self.last_write + interval / 2);
            next = next.max(now + interval / 8);
        } else if !self.connection.is_open() {
            if now >= self.accepted + HANDSHAKE_TIMEOUT && self.connection.is_handshaking() {
                return Poll::Ready(End::HandshakeTimeout);
            }
            next = next.min(self.accepted.max(now) + HANDSHAKE_TIMEOUT);
        }
        if self.connection.is_ending() {
            let until = *self.last_words.get_or_insert(now + LAST_WORDS_TIMEOUT);
            if now >= until {
                return Poll::Ready(End::Closed);
            }
            next = next.min(until);
        }
        if self.connection.is_blocked() || self.connection.waits_for_memory() {
            // A peer without heartbeats that is blocked for an hour and has gone meanwhile would keep its exclusive
            // queues and its deliveries for as long.
            if self.socket.is_gone(cx) {
                return Poll::Ready(End::Gone);
            }
            next = next.min(now + LOOK_AFTER);
        }
        if let Some(deadline) = self.connection.deadline() {
            next = next.min(deadline);
        }
        if let Some(quiet) = self.rest(now) {
            next = next.min(quiet);
        }
        self.wake_at(cx, next)
    }

    fn wake_at(&mut self, cx: &mut Context<'_>, next: Instant) -> Poll<End> {
        let current = self.timer.deadline().into_std();
        // A timer that is early is only one look too many; one that is late would be a fault.
        if next < current || self.timer.is_elapsed() {
            self.timer.as_mut().reset(next.into());
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// A flush that waits is woken with the next write.
fn ready_flush(flush: Poll<io::Result<()>>) -> io::Result<()> {
    match flush {
        Poll::Pending => Ok(()),
        Poll::Ready(result) => result,
    }
}
