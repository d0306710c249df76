//! A client of the connection machine: it sends methods and reads what it receives, one line each.

use super::names::describe;
use super::requests;
use crate::amqp::connection::Connection;
use crate::domain::broker::Broker;
use crate::net::Ends;
use bytes::BytesMut;
use leveret_protocol::classes::{AMQPClass, BasicProperties, basic};
use leveret_protocol::content::{ContentHeader, HEADER_LEN};
use leveret_protocol::frame::{self, FRAME_END, FrameKind, Split};
use leveret_protocol::{ChannelId, method};
use std::io::IoSlice;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::{Duration, Instant};

pub(super) struct Client {
    pub(super) broker: Arc<Broker>,
    pub(super) connection: Connection,
    pub(super) now: Instant,
    /// Input that the connection has not split into frames yet.
    buf: BytesMut,
    /// Output that was received and not read yet.
    heard: Vec<u8>,
    /// A delivery, get-ok or return whose body is incomplete: channel, line, size, body.
    content: Option<(u16, String, Option<u64>, Vec<u8>)>,
}

impl Client {
    /// A socket that has just been accepted.
    pub(super) fn new(broker: &Arc<Broker>) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let (info, mailbox) = broker.connections.add(Ends::new(address, address));
        Client {
            broker: broker.clone(),
            connection: Connection::new(broker.clone(), info, mailbox),
            now: Instant::now(),
            buf: BytesMut::new(),
            heard: Vec::new(),
            content: None,
        }
    }

    /// Logged in as guest.
    pub(super) fn open(broker: &Arc<Broker>) -> Self {
        Self::open_as(broker, "guest")
    }

    pub(super) fn open_as(broker: &Arc<Broker>, user: &str) -> Self {
        let mut client = Client::new(broker);
        client.bytes(&frame::PROTOCOL_HEADER);
        client.send(0, requests::start_ok(user, user, true));
        client.send(0, requests::tune_ok(2047, 131_072, 60));
        client.send(0, requests::open("/"));
        assert_eq!(
            client.hears(),
            ["0 start", "0 tune 2047 131072 60", "0 open-ok"]
        );
        client
    }

    /// Logs in and opens `/`, successfully or not, and returns the last line received.
    pub(super) fn tries_to_open(broker: &Arc<Broker>, user: &str) -> (Self, String) {
        let mut client = Client::new(broker);
        client.bytes(&frame::PROTOCOL_HEADER);
        client.send(0, requests::start_ok(user, user, true));
        client.send(0, requests::tune_ok(2047, 131_072, 60));
        client.send(0, requests::open("/"));
        let last = client.hears().pop();
        (client, last.expect("an answer"))
    }

    /// Logged in, with channel 1 open.
    pub(super) fn ready(broker: &Arc<Broker>) -> Self {
        let mut client = Client::open(broker);
        client.open_channel(1);
        client
    }

    pub(super) fn open_channel(&mut self, channel: u16) {
        self.send(channel, requests::channel_open());
        assert_eq!(self.hears(), [format!("{channel} open-ok")]);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
        self.connection.input(&mut self.buf, self.now);
    }

    pub(super) fn send(&mut self, channel: u16, class: AMQPClass) {
        let mut out = BytesMut::new();
        method::encode(&mut out, ChannelId(channel), &class);
        self.bytes(&out);
    }

    /// Sends on channel 1 and returns the answers.
    pub(super) fn ask(&mut self, class: AMQPClass) -> Vec<String> {
        self.send(1, class);
        self.hears()
    }

    pub(super) fn frame(&mut self, kind: FrameKind, channel: u16, payload: &[u8]) {
        self.bytes(&frame_bytes(kind.octet(), channel, payload));
    }

    /// Publishes on channel 1 through the default exchange.
    pub(super) fn publish(&mut self, queue: &str, body: &str) {
        let publish = requests::publish("", queue);
        self.publish_with(1, publish, &BasicProperties::default(), body.as_bytes());
    }

    pub(super) fn publish_with(
        &mut self,
        channel: u16,
        publish: basic::Publish,
        properties: &BasicProperties,
        body: &[u8],
    ) {
        let bytes = publish_bytes(channel, publish, properties, body, 131_072);
        self.bytes(&bytes);
    }

    /// Advances the time.
    pub(super) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Does what the task does when it is woken, and reads all lines.
    pub(super) fn hears(&mut self) -> Vec<String> {
        self.connection.take_orders(Waker::noop(), self.now);
        self.waits_for_login();
        self.connection.check_time(self.now);
        if self.connection.wants_read() {
            // Input left unread while the connection was blocked.
            self.connection.input(&mut self.buf, self.now);
        }
        while self.connection.take_mail(None, self.now) {}
        self.heard_so_far()
    }

    fn waits_for_login(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut context = Context::from_waker(Waker::noop());
        while self.connection.is_logging_in() {
            assert!(Instant::now() < deadline, "the login takes too long");
            if !self.connection.poll_login(&mut context, self.now) {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    /// Reads until this line arrives: the store takes its time.
    pub(super) fn hears_until(&mut self, last: &str) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut lines = Vec::new();
        while !lines.iter().any(|line| line == last) {
            assert!(Instant::now() < deadline, "never heard {last}: {lines:?}");
            lines.extend(self.hears());
            std::thread::yield_now();
        }
        lines
    }

    /// Reads all lines written so far.
    pub(super) fn heard_so_far(&mut self) -> Vec<String> {
        self.read_output();
        let mut lines = Vec::new();
        let heard = std::mem::take(&mut self.heard);
        let mut rest = &heard[..];
        while let Ok(Split::Whole(whole)) = frame::split(rest, 0) {
            let payload = &rest[whole.payload()];
            lines.extend(self.heard_frame(whole.kind, whole.channel.0, payload));
            rest = &rest[whole.total()..];
        }
        self.heard = rest.to_vec();
        assert!(self.heard.is_empty() || self.heard.starts_with(b"AMQP"));
        if !self.heard.is_empty() {
            lines.push(format!(
                "header {:?}",
                &std::mem::take(&mut self.heard)[4..]
            ));
        }
        lines
    }

    fn read_output(&mut self) {
        let output = self.connection.output();
        while !output.is_empty() {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = output.slices(&mut slices);
            let piece: Vec<u8> = slices[..filled].iter().flat_map(|s| s.to_vec()).collect();
            output.advance(piece.len());
            self.heard.extend(piece);
        }
    }

    fn heard_frame(&mut self, kind: FrameKind, channel: u16, payload: &[u8]) -> Option<String> {
        match kind {
            FrameKind::Heartbeat => return Some("heartbeat".to_owned()),
            FrameKind::Method => {
                assert!(self.content.is_none(), "a method inside of content");
                let (line, has_content) = describe(&method::decode(payload).unwrap());
                let line = format!("{channel} {line}");
                if !has_content {
                    return Some(line);
                }
                self.content = Some((channel, line, None, Vec::new()));
                return None;
            }
            FrameKind::Header => {
                let header = ContentHeader::decode(&payload[..HEADER_LEN]).unwrap();
                let content = self.content.as_mut().expect("a header without a method");
                assert_eq!((channel, content.2), (content.0, None));
                content.2 = Some(header.body_size);
            }
            FrameKind::Body => {
                let content = self.content.as_mut().expect("a body without a method");
                assert_eq!(channel, content.0);
                content.3.extend_from_slice(payload);
            }
        }
        let (_, line, size, body) = self.content.as_ref()?;
        if *size != Some(body.len() as u64) {
            return None;
        }
        let body = match std::str::from_utf8(body) {
            Ok(text) if text.len() < 40 => text.to_owned(),
            _ => format!("{} octets", body.len()),
        };
        let line = format!("{line} '{body}'");
        self.content = None;
        Some(line)
    }
}

pub(super) fn frame_bytes(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let mut out = vec![kind];
    out.extend_from_slice(&channel.to_be_bytes());
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes());
    out.extend_from_slice(payload);
    out.push(FRAME_END);
    out
}

/// Encodes a publish in frames of at most `frame_max` bytes.
pub(super) fn publish_bytes(
    channel: u16,
    publish: basic::Publish,
    properties: &BasicProperties,
    body: &[u8],
    frame_max: usize,
) -> BytesMut {
    let mut out = BytesMut::new();
    let id = ChannelId(channel);
    method::encode(
        &mut out,
        id,
        &AMQPClass::Basic(basic::AMQPMethod::Publish(publish)),
    );
    let properties = method::properties_to_vec(properties);
    method::encode_content_header(&mut out, id, body.len() as u64, &properties);
    for piece in body.chunks(frame_max - frame::OVERHEAD) {
        method::encode_body(&mut out, id, piece);
    }
    out
}
