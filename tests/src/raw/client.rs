//! A client that sends exactly the bytes it is given.

use std::fmt::Debug;
use std::time::Duration;

use amq_protocol::frame::{AMQPContentHeader, AMQPFrame, parse_frame};
use amq_protocol::protocol::{AMQPClass, basic, channel, confirm, connection, queue};
use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::wire::{HEADER, closing_properties, encode, login};
use crate::broker::TestBroker;
use crate::client::Reply;

/// How long to wait for the broker's next frame.
const READ_LIMIT: Duration = Duration::from_secs(20);

/// What the client answers to connection.tune.
#[derive(Debug, Clone, Copy)]
pub struct Tune {
    /// The highest channel number; 0 for no limit.
    pub channel_max: u16,
    /// The largest frame in octets; 0 for no limit.
    pub frame_max: u32,
    /// Seconds; 0 for none.
    pub heartbeat: u16,
}

impl Default for Tune {
    fn default() -> Self {
        Self {
            channel_max: 2047,
            frame_max: 131_072,
            heartbeat: 0,
        }
    }
}

/// What carries a connection: TCP, a Unix socket, TLS, WebSocket.
pub trait Carrier: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Unpin> Carrier for S {}

/// A connection in bytes.
#[derive(Debug)]
pub struct Raw {
    stream: Box<dyn Carrier>,
    read: BytesMut,
}

impl Raw {
    /// Opens the socket and sends nothing.
    pub async fn dial(broker: &TestBroker) -> Self {
        Self::dial_to(broker.address()).await
    }

    /// As [`Raw::dial`], to a broker that the test has started by itself.
    pub async fn dial_to(address: &str) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the broker listens");
        stream.set_nodelay(true).expect("a TCP option");
        Self::over(stream)
    }

    /// Uses a connection that is there already.
    pub fn over(stream: impl Carrier + 'static) -> Self {
        Self {
            stream: Box::new(stream),
            read: BytesMut::new(),
        }
    }

    /// Connects as guest.
    pub async fn connect(broker: &TestBroker) -> Self {
        Self::connect_with(broker, Tune::default()).await
    }

    /// Connects as guest with chosen limits.
    pub async fn connect_with(broker: &TestBroker, tune: Tune) -> Self {
        Self::log_in(broker.address(), ("guest", "guest"), tune).await
    }

    /// Connects as this user.
    pub async fn connect_as(broker: &TestBroker, user: &str, password: &str) -> Self {
        Self::log_in(broker.address(), (user, password), Tune::default()).await
    }

    /// Connects as guest to a broker that the test has started by itself.
    pub async fn connect_to(address: &str) -> Self {
        Self::log_in(address, ("guest", "guest"), Tune::default()).await
    }

    async fn log_in(address: &str, credentials: (&str, &str), tune: Tune) -> Self {
        let raw = Self::dial_to(address).await;
        raw.opened(credentials, tune).await
    }

    /// Logs in as guest, on a connection on which nothing was sent.
    pub async fn as_guest(self) -> Self {
        self.opened(("guest", "guest"), Tune::default()).await
    }

    async fn opened(mut self, (user, password): (&str, &str), tune: Tune) -> Self {
        self.start().await;
        self.bytes(&login(user, password, &closing_properties()))
            .await;
        let AMQPClass::Connection(connection::AMQPMethod::Tune(_)) = self.method_on(0).await else {
            panic!("expected connection.tune");
        };
        self.tune_and_open(tune).await;
        let AMQPClass::Connection(connection::AMQPMethod::OpenOk(_)) = self.method_on(0).await
        else {
            panic!("expected connection.open-ok");
        };
        self
    }

    /// Sends the protocol header and reads connection.start.
    pub async fn start(&mut self) -> connection::Start {
        self.bytes(HEADER).await;
        match self.method_on(0).await {
            AMQPClass::Connection(connection::AMQPMethod::Start(start)) => start,
            other => panic!("expected connection.start, got {other:?}"),
        }
    }

    /// Sends tune-ok and open of `/`.
    pub async fn tune_and_open(&mut self, tune: Tune) {
        let Tune {
            channel_max,
            frame_max,
            heartbeat,
        } = tune;
        let tune_ok = connection::TuneOk {
            channel_max,
            frame_max,
            heartbeat,
        };
        self.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune_ok)),
        )
        .await;
        let open = connection::Open {
            virtual_host: "/".into(),
        };
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::Open(open)))
            .await;
    }

    /// Opens a channel.
    pub async fn open_channel(&mut self, id: u16) {
        self.send(
            id,
            AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})),
        )
        .await;
        match self.method_on(id).await {
            AMQPClass::Channel(channel::AMQPMethod::OpenOk(_)) => {}
            other => panic!("expected channel.open-ok, got {other:?}"),
        }
    }

    /// Declares a transient queue on an open channel and returns its name.
    pub async fn declare(&mut self, id: u16, queue: &str) -> String {
        let declare = queue::Declare {
            queue: queue.into(),
            ..queue::Declare::default()
        };
        self.send(id, AMQPClass::Queue(queue::AMQPMethod::Declare(declare)))
            .await;
        match self.method_on(id).await {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => ok.queue.as_str().to_owned(),
            other => panic!("expected queue.declare-ok, got {other:?}"),
        }
    }

    /// Sends basic.publish to the default exchange; the content frames are the caller's.
    pub async fn publish_method(&mut self, id: u16, queue: &str) {
        let publish = basic::Publish {
            routing_key: queue.into(),
            ..basic::Publish::default()
        };
        self.send(id, AMQPClass::Basic(basic::AMQPMethod::Publish(publish)))
            .await;
    }

    /// Sends the content header of an empty body.
    pub async fn empty_content(&mut self, id: u16) {
        self.content_header(id, 0).await;
    }

    /// Sends a content header without properties for a body of this size.
    pub async fn content_header(&mut self, id: u16, body_size: u64) {
        let properties = basic::AMQPProperties::default();
        let header = AMQPContentHeader {
            class_id: 60,
            body_size,
            properties,
        };
        self.send_frame(&AMQPFrame::Header(id, header)).await;
    }

    /// Sends basic.qos, a method that is answered and does no harm.
    pub async fn send_qos(&mut self, id: u16) {
        let qos = basic::Qos {
            prefetch_count: 1,
            global: false,
        };
        self.send(id, AMQPClass::Basic(basic::AMQPMethod::Qos(qos)))
            .await;
    }

    /// Starts a consumer that has to acknowledge.
    pub async fn consume(&mut self, id: u16, queue: &str, tag: &str) {
        let consume = basic::Consume {
            queue: queue.into(),
            consumer_tag: tag.into(),
            ..basic::Consume::default()
        };
        self.send(id, AMQPClass::Basic(basic::AMQPMethod::Consume(consume)))
            .await;
        match self.method_on(id).await {
            AMQPClass::Basic(basic::AMQPMethod::ConsumeOk(ok)) => {
                assert_eq!(ok.consumer_tag.as_str(), tag);
            }
            other => panic!("expected basic.consume-ok, got {other:?}"),
        }
    }

    /// Puts the channel in confirm mode.
    pub async fn confirm_select(&mut self, id: u16) {
        let select = confirm::Select { nowait: false };
        self.send(id, AMQPClass::Confirm(confirm::AMQPMethod::Select(select)))
            .await;
        match self.method_on(id).await {
            AMQPClass::Confirm(confirm::AMQPMethod::SelectOk(_)) => {}
            other => panic!("expected confirm.select-ok, got {other:?}"),
        }
    }

    /// Sends a method.
    pub async fn send(&mut self, channel: u16, method: AMQPClass) {
        self.send_frame(&AMQPFrame::Method(channel, method)).await;
    }

    /// Sends a frame.
    pub async fn send_frame(&mut self, frame: &AMQPFrame) {
        self.bytes(&encode(frame)).await;
    }

    /// Sends these bytes; a peer that has closed already is no failure.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        // The broker may close in mid-send, which the reply shows; a broken pipe shows nothing.
        let _ = self.stream.write_all(bytes).await;
    }

    /// Reads one frame, heartbeats included; `None` once the broker has closed.
    pub async fn frame(&mut self) -> Option<AMQPFrame> {
        tokio::time::timeout(READ_LIMIT, self.frame_unbounded())
            .await
            .expect("a frame within 20 seconds")
    }

    async fn frame_unbounded(&mut self) -> Option<AMQPFrame> {
        loop {
            if let Some(whole) = self.whole_frame() {
                let (_, frame) = parse_frame(&whole[..]).expect("a frame that parses");
                return Some(frame);
            }
            // A reset is an end as good as any.
            if self.stream.read_buf(&mut self.read).await.unwrap_or(0) == 0 {
                return None;
            }
        }
    }

    /// Cuts the bytes of one whole frame off the read buffer.
    fn whole_frame(&mut self) -> Option<Vec<u8>> {
        let size = self.read.get(3..7)?.get_u32() as usize + 8;
        (self.read.len() >= size).then(|| self.read.split_to(size).to_vec())
    }

    /// Reads the next method, which must be on this channel; heartbeats are passed over.
    pub async fn method_on(&mut self, id: u16) -> AMQPClass {
        loop {
            match self.frame().await {
                Some(AMQPFrame::Method(channel, method)) if channel == id => return method,
                Some(AMQPFrame::Heartbeat) => {}
                other => panic!("expected a method on channel {id}, got {other:?}"),
            }
        }
    }

    /// Reads a whole content (header and bodies) that follows a method.
    pub async fn content(&mut self) -> Vec<u8> {
        let Some(AMQPFrame::Header(_, header)) = self.frame().await else {
            panic!("expected a content header");
        };
        let size = usize::try_from(header.body_size).expect("a size that fits");
        let mut body = Vec::with_capacity(size);
        while body.len() < size {
            let Some(AMQPFrame::Body(_, part)) = self.frame().await else {
                panic!("expected a content body");
            };
            body.extend(part);
        }
        body
    }

    /// Gets one message without acknowledgement.
    pub async fn take(&mut self, id: u16, queue: &str) -> Option<Vec<u8>> {
        let get = basic::Get {
            queue: queue.into(),
            no_ack: true,
        };
        self.send(id, AMQPClass::Basic(basic::AMQPMethod::Get(get)))
            .await;
        match self.method_on(id).await {
            AMQPClass::Basic(basic::AMQPMethod::GetOk(_)) => Some(self.content().await),
            AMQPClass::Basic(basic::AMQPMethod::GetEmpty(_)) => None,
            other => panic!("expected get-ok or get-empty, got {other:?}"),
        }
    }

    /// Reads on until the broker closes the connection, answers close-ok, expects the socket to
    /// close, and returns the reply.
    pub async fn closed(&mut self) -> Reply {
        self.closed_or_ended()
            .await
            .expect("connection.close before the end of the stream")
    }

    /// As [`Raw::closed`], for input that RabbitMQ answers by dropping the socket: `None` then.
    pub async fn closed_or_ended(&mut self) -> Option<Reply> {
        loop {
            match self.frame().await? {
                AMQPFrame::Method(
                    0,
                    AMQPClass::Connection(connection::AMQPMethod::Close(close)),
                ) => {
                    let ok = connection::CloseOk {};
                    self.send(
                        0,
                        AMQPClass::Connection(connection::AMQPMethod::CloseOk(ok)),
                    )
                    .await;
                    self.ended().await;
                    return Some((close.reply_code, close.reply_text.as_str().to_owned()));
                }
                AMQPFrame::Method(0, other) => panic!("expected connection.close, got {other:?}"),
                _ => {}
            }
        }
    }

    /// Expects channel.close on this channel, answers close-ok and returns the reply.
    pub async fn channel_closed(&mut self, id: u16) -> Reply {
        match self.method_on(id).await {
            AMQPClass::Channel(channel::AMQPMethod::Close(close)) => {
                let ok = channel::CloseOk {};
                self.send(id, AMQPClass::Channel(channel::AMQPMethod::CloseOk(ok)))
                    .await;
                (close.reply_code, close.reply_text.as_str().to_owned())
            }
            other => panic!("expected channel.close, got {other:?}"),
        }
    }

    /// Reads to the end of the stream, and returns the bytes on the way.
    pub async fn ended(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.read).to_vec();
        let end = tokio::time::timeout(READ_LIMIT, self.stream.read_to_end(&mut bytes)).await;
        // Closed is closed, with or without a reset.
        drop(end.expect("the broker closes within 20 seconds"));
        bytes
    }
}
