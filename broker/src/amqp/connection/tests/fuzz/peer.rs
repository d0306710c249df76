//! A client and its connection machine, with what a socket and a session do between them: input
//! arrives in pieces, output leaves as fast as the client reads, limits are looked at.

use super::acts::{Act, frame, mode};
use super::heard::Heard;
use super::sent::Sent;
use crate::amqp::connection::tests::requests;
use crate::amqp::connection::{Connection, DEFERRED_MAX, OUTPUT_MAX};
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::engine::interfaces::ConnectionId;
use crate::net::Ends;
use crate::plumbing::mailbox::{HIGH_MARK, Mailbox};
use bytes::BytesMut;
use leveret_protocol::classes::AMQPClass;
use leveret_protocol::frame::PROTOCOL_HEADER;
use leveret_protocol::{ChannelId, method};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// A session's read buffer, unless one frame needs more.
const READ_BUFFER: usize = 128 * 1024;
/// What one step may add to the output when it is just below its mark: a full mailbox, a message
/// that was one byte short of filling it, and replies.
const OUTPUT_STEP: usize = HIGH_MARK + (2 << 20);

/// Pieces may be single bytes, but not of half a megabyte: that only takes time.
const MOST_PIECES: usize = 500;

/// How a client connects.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// What it sends before the normal handshake.
    pub(super) greeting: Vec<Act>,
    pub(super) vhost: &'static str,
    pub(super) frame_max: u32,
    pub(super) channels: u16,
}

/// A client with its connection.
pub(super) struct Peer {
    pub(super) connection: Connection,
    pub(super) info: Arc<ConnectionInfo>,
    pub(super) mailbox: Arc<Mailbox>,
    pub(super) sent: Sent,
    pub(super) heard: Heard,
    /// Sent and not read by the server yet.
    under_way: BytesMut,
    /// The server's read buffer.
    buf: BytesMut,
    /// The size of the pieces in which the server reads.
    pub(super) piece: usize,
    /// The bytes that the client reads at a time; 0 if it does not read.
    pub(super) reads: usize,
    pub(super) now: Instant,
}

impl Peer {
    pub(super) fn connect(broker: &Arc<Broker>, manner: &Manner, now: Instant) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let (info, mailbox) = broker.connections.add(Ends::new(address, address));
        let mut peer = Peer {
            connection: Connection::new(broker.clone(), info.clone(), mailbox.clone()),
            info,
            mailbox,
            sent: Sent::default(),
            heard: Heard::default(),
            under_way: BytesMut::new(),
            buf: BytesMut::new(),
            piece: READ_BUFFER,
            reads: usize::MAX,
            now,
        };
        peer.send(&PROTOCOL_HEADER);
        for act in &manner.greeting {
            peer.act(act);
        }
        peer.ask(0, &requests::start_ok("guest", "guest", true));
        peer.ask(0, &requests::tune_ok(2047, manner.frame_max, 60));
        peer.ask(0, &requests::open(manner.vhost));
        for channel in 1..=manner.channels {
            peer.open(channel);
        }
        peer
    }

    pub(super) fn id(&self) -> ConnectionId {
        self.info.id
    }

    pub(super) fn act(&mut self, act: &Act) {
        let heard = |channel| self.heard.outstanding(channel);
        let octets = act.octets(&heard);
        if let Act::Settle(settle) = act
            && let Some((tag, multiple)) = settle.choose(&heard(settle.channel))
        {
            self.heard.settled(settle.channel, tag, multiple);
        }
        self.send(&octets);
    }

    fn send(&mut self, octets: &[u8]) {
        self.sent.add(octets);
        self.under_way.extend_from_slice(octets);
    }

    pub(super) fn ask(&mut self, channel: u16, class: &AMQPClass) {
        let mut out = BytesMut::new();
        method::encode(&mut out, ChannelId(channel), class);
        self.send(&out);
    }

    fn open(&mut self, channel: u16) {
        self.ask(channel, &requests::channel_open());
        self.send(&mode(channel));
    }

    /// Answers what the server closed: channels are opened again, the connection's end is
    /// acknowledged.
    pub(super) fn answer(&mut self) {
        for channel in std::mem::take(&mut self.heard.closed_channels) {
            self.ask(channel, &requests::channel_close_ok());
            self.open(channel);
        }
        if self.heard.closed && !self.connection.is_ending() {
            self.send(&frame(1, 0, &[0, 10, 0, 51]));
        }
    }

    /// What a session does in one round; `true` when there may be more to do.
    pub(super) fn round(&mut self) -> bool {
        let mut progress = false;
        self.connection.take_orders(Waker::noop(), self.now);
        self.connection.check_time(self.now);
        if self.connection.wants_mail() {
            progress |= self.connection.take_mail(None, self.now);
        } else {
            progress |= self.connection.take_confirms(self.now);
        }
        let reads = self.connection.wants_read();
        if reads && self.connection.has_rest() {
            self.connection.input(&mut self.buf, self.now);
            progress = true;
        } else if reads && !self.under_way.is_empty() {
            let len = self.under_way.len();
            let taken = self.piece.max(len / MOST_PIECES).min(READ_BUFFER).min(len);
            self.buf.extend_from_slice(&self.under_way.split_to(taken));
            self.connection.input(&mut self.buf, self.now);
            progress = true;
        }
        self.check_bounds();
        progress | self.read()
    }

    fn check_bounds(&mut self) {
        let output = self.connection.output().len();
        assert!(
            output <= OUTPUT_MAX + OUTPUT_STEP,
            "{output} octets of output"
        );
        let held = self.connection.deferred_bytes;
        assert!(held <= DEFERRED_MAX + READ_BUFFER, "{held} octets held");
        let frame_max = self.connection.tuned.frame_max as usize;
        assert!(
            self.buf.len() <= frame_max + READ_BUFFER,
            "{} octets unread",
            self.buf.len()
        );
    }

    /// The client reads.
    fn read(&mut self) -> bool {
        let frame_max = self.connection.tuned.frame_max;
        let output = self.connection.output();
        let (mut left, mut any) = (self.reads, false);
        if left > 0 {
            left = left.max(output.len() / MOST_PIECES);
        }
        while left > 0 && !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = output.slices(&mut slices);
            let front = slices[..filled]
                .iter()
                .flat_map(|slice| slice.iter().copied());
            let octets: Vec<u8> = front.take(left).collect();
            output.advance(octets.len());
            left -= octets.len();
            any = true;
            self.heard.add(&octets, frame_max, &mut self.sent);
        }
        any
    }

    /// Whether the client reads all that there is.
    pub(super) fn reads_all(&self) -> bool {
        self.reads == usize::MAX
    }

    /// Whether the server has all that was sent and listens on.
    pub(super) fn is_read(&self) -> bool {
        let all = self.under_way.is_empty() && !self.connection.has_rest();
        all || !self.connection.is_open()
    }

    /// Whether the session would end by itself.
    pub(super) fn is_over(&self) -> bool {
        self.connection.is_over(self.now)
    }

    /// Advances the time.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
        if self.connection.heartbeat().is_some() && self.connection.output().is_empty() {
            self.connection.send_heartbeat();
        }
    }

    /// The socket is gone. What was written to it may have arrived.
    pub(super) fn end(&mut self, broker: &Broker) {
        self.reads = usize::MAX;
        self.read();
        self.connection.end();
        broker.connections.remove(self.id());
        assert!(self.connection.channels.is_empty(), "channels are gone");
        self.mailbox
            .peek(|mail| assert!(mail.is_empty(), "{mail:?} after the end"));
    }
}
