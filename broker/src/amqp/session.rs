//! A connection's task: it alone touches the socket and the connection machine, and polls reading,
//! writing and the mailbox together, so that acknowledgements are read while a write is pending.

use crate::amqp::connection::Connection;
use crate::domain::broker::Broker;
use crate::net::ByteStream;
use crate::plumbing::mailbox::Mailbox;
use bytes::BytesMut;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::time::Sleep;

use crate::domain::connections::ConnectionInfo;

/// The read buffer of an idle connection.
const READ_BUFFER_MIN: usize = 4 * 1024;
/// The read buffer of a busy connection, unless a single frame needs more.
const READ_BUFFER_MAX: usize = 128 * 1024;
/// The maximum number of pieces in one vectored write.
const WRITE_SLICES: usize = 32;
/// How long a login may take (RabbitMQ: `handshake_timeout`).
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the last output may take to be written.
const FINAL_WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// The interval at which the peer of a connection blocked by an alarm is checked for being alive.
const PEER_CHECK_INTERVAL: Duration = Duration::from_secs(5);
/// How long a connection must be idle before it frees unused memory.
const QUIET: Duration = Duration::from_secs(3);
/// How long a connection reads and writes before others get a turn. With a hundred connections that
/// flood the broker, another waits some ten times as long for each of its requests.
const TURN: Duration = Duration::from_millis(1);

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// Both sides closed, or the server did.
    Closed,
    /// The client closed its socket without having sent anything: a probe.
    Unused,
    /// The client closed its socket without connection.close.
    Abandoned,
    /// The same, while an alarm blocked it.
    Gone,
    /// Nothing was received for two heartbeat intervals.
    Silent,
    /// The login took too long.
    HandshakeTimeout,
    /// The socket failed.
    Failed(io::Error),
}

/// A socket with its connection machine.
pub(super) struct Session<S> {
    socket: S,
    /// Boxed: the future that serves it would hold it several times.
    connection: Box<Connection>,
    info: Arc<ConnectionInfo>,
    broker: Arc<Broker>,
    input: BytesMut,
    read_size: usize,
    timer: Pin<Box<Sleep>>,
    accepted: Instant,
    last_read: Instant,
    last_write: Instant,
    last_words: Option<Instant>,
    /// Reading is paused, so the peer's silence does not count.
    paused: bool,
    /// Its buffers may have grown since it last freed some.
    used: bool,
}

impl<S: ByteStream> Session<S> {
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
            connection: Box::new(Connection::new(broker.clone(), info.clone(), mailbox)),
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

    /// Serves the connection until it ends; returns the socket, because the peer may not have read,
    /// or sent, everything.
    pub(super) async fn run(mut self) -> (End, S) {
        let end = poll_fn(|cx| {
            let polled = self.poll(cx);
            let buffers = self.input.capacity() + self.socket.buffered();
            self.connection.count_buffers(buffers);
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
            progress |= self.connection.poll_login(cx, now);
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

    /// Reads once and passes the input to the machine; returns whether anything came.
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
        // The buffer is filled up to its maximum size and no more: one that grows by doubling is too large for the
        // processor's cache, and for bodies to stay in it.
        let free = READ_BUFFER_MAX.saturating_sub(self.input.len());
        let next_read = self.read_size.min(free).max(READ_BUFFER_MIN);
        self.input.reserve(wanted.max(next_read));
        match self.read_some(cx) {
            Poll::Pending => {
                self.shrink();
                Ok(false)
            }
            // With TLS that is the end without a close_notify, as of a client that was killed.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                Err(self.end_of_input())
            }
            Poll::Ready(Err(error)) => Err(End::Failed(error)),
            Poll::Ready(Ok(0)) => Err(self.end_of_input()),
            Poll::Ready(Ok(bytes)) => {
                if bytes >= self.read_size {
                    self.read_size = (self.read_size * 2).min(READ_BUFFER_MAX);
                }
                self.last_read = now;
                self.info.received(bytes as u64);
                // This input may have been sent after this round began: the time from which delays
                // count must not be earlier.
                let now = Instant::now();
                let until = Some(until);
                self.connection.input_until(&mut self.input, now, until);
                Ok(true)
            }
        }
    }

    /// Returns what it means that the client has closed its side.
    fn end_of_input(&self) -> End {
        match () {
            // Many do not answer connection.close, and none can answer a refusal without it.
            () if self.connection.is_closing() => End::Closed,
            () if self.info.bytes()[0] == 0 => End::Unused,
            () => End::Abandoned,
        }
    }

    fn read_some(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // Tokio's read_buf as a poll: the spare capacity is filled without being zeroed first.
        std::pin::pin!(self.socket.read_buf(&mut self.input)).poll(cx)
    }

    /// Shrinks the read buffer: a waiting connection keeps no large buffer, an idle one none.
    fn shrink(&mut self) {
        if self.input.is_empty() {
            self.read_size = READ_BUFFER_MIN;
            if self.input.capacity() > READ_BUFFER_MIN || !self.used {
                self.input = BytesMut::new();
            }
        }
    }

    /// Frees what a burst has left, once it is over; returns when to check again.
    fn shrink_when_idle(&mut self, now: Instant) -> Option<Instant> {
        if !self.used {
            return None;
        }
        let quiet = self.last_read.max(self.last_write) + QUIET;
        if now < quiet {
            return Some(quiet);
        }
        self.used = false;
        self.shrink();
        self.connection.release_memory();
        None
    }

    /// Writes until the socket accepts no more; returns whether anything was written.
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

    /// Handles everything that depends on time: heartbeats (spec 4.2.7, RabbitMQ: "Heartbeats"),
    /// the handshake timeout, the timeout of the last output.
    fn poll_timer(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<End> {
        let mut next = now + Duration::from_secs(3600);
        if let Some(interval) = self.connection.heartbeat() {
            let unheard = self.connection.wants_read() && now >= self.last_read + interval * 2;
            // A peer that reads nothing is as dead as one that sends nothing.
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
        } else if self.connection.is_handshaking() {
            let deadline = self.accepted + HANDSHAKE_TIMEOUT;
            if now >= deadline {
                return Poll::Ready(End::HandshakeTimeout);
            }
            next = next.min(deadline);
        }
        if self.connection.is_ending() {
            let until = *self.last_words.get_or_insert(now + FINAL_WRITE_TIMEOUT);
            if now >= until {
                return Poll::Ready(End::Closed);
            }
            next = next.min(until);
        }
        if self.connection.is_blocked()
            || self.connection.waits_for_memory()
            || self.connection.is_logging_in()
        {
            // Without this, a peer without heartbeats that goes away while it is blocked for an hour would keep its
            // exclusive queues and its deliveries that long.
            if self.socket.is_gone(cx) {
                return Poll::Ready(End::Gone);
            }
            next = next.min(now + PEER_CHECK_INTERVAL);
        }
        if let Some(deadline) = self.connection.deadline() {
            next = next.min(deadline);
        }
        if let Some(quiet) = self.shrink_when_idle(now) {
            next = next.min(quiet);
        }
        self.wake_at(cx, next)
    }

    fn wake_at(&mut self, cx: &mut Context<'_>, next: Instant) -> Poll<End> {
        let current = self.timer.deadline().into_std();
        // A timer that fires early costs one check; one that fires late would be a bug.
        if next < current || self.timer.is_elapsed() {
            self.timer.as_mut().reset(next.into());
        }
        if self.timer.as_mut().poll(cx).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// A pending flush is woken with the next write.
fn ready_flush(flush: Poll<io::Result<()>>) -> io::Result<()> {
    match flush {
        Poll::Pending => Ok(()),
        Poll::Ready(result) => result,
    }
}
