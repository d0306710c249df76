//! A blocking AMQP client that knows just enough to measure.

use super::Load;
use super::topology::Way;
use bytes::{Buf, BytesMut};
use leveret_protocol::classes::{AMQPClass, basic, channel, confirm, connection, exchange, queue};
use leveret_protocol::frame::{self, Frame, FrameKind, PROTOCOL_HEADER, Split};
use leveret_protocol::method::{self, Method};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{ChannelId, MethodId};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const CHANNEL: ChannelId = ChannelId(1);
/// A blocking read gives up after this long, to look whether the run is over.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

pub(super) struct Client {
    pub(super) socket: TcpStream,
    pub(super) input: BytesMut,
    pub(super) frame_max: u32,
}

impl Client {
    /// Logs in and opens channel 1.
    pub(super) fn connect(load: &Load) -> io::Result<Self> {
        let socket = TcpStream::connect(&load.address)?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(READ_TIMEOUT))?;
        let mut client = Client {
            socket,
            input: BytesMut::with_capacity(1 << 18),
            frame_max: 0,
        };
        client.socket.write_all(&PROTOCOL_HEADER)?;
        client.expect(method::CONNECTION_START)?;
        client.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::StartOk(connection::StartOk {
                client_properties: FieldTable::default(),
                mechanism: "PLAIN".into(),
                response: format!("\0{}\0{}", load.user, load.password).into(),
                locale: "en_US".into(),
            })),
        )?;
        let tune = client.expect(MethodId::new(10, 30))?;
        let AMQPClass::Connection(connection::AMQPMethod::Tune(tune)) = tune else {
            return Err(io::Error::other("expected connection.tune"));
        };
        client.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::TuneOk(connection::TuneOk {
                channel_max: tune.channel_max,
                frame_max: tune.frame_max,
                heartbeat: 0,
            })),
        )?;
        client.frame_max = tune.frame_max;
        client.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::Open(connection::Open {
                virtual_host: "/".into(),
            })),
        )?;
        client.expect(MethodId::new(10, 41))?;
        client.send(
            1,
            AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {})),
        )?;
        client.expect(MethodId::new(20, 11))?;
        Ok(client)
    }

    pub(super) fn declare_queue(&mut self, name: &str, load: &Load) -> io::Result<()> {
        let mut arguments = FieldTable::default();
        for (name, value) in &load.arguments {
            let value = match value.parse() {
                Ok(number) => AMQPValue::LongLongInt(number),
                Err(_) => AMQPValue::LongString(value.as_str().into()),
            };
            arguments.insert(name.as_str().into(), value);
        }
        self.declare(name, false, load.persistent, arguments)
            .map(drop)
    }

    /// How many messages a queue has.
    pub(super) fn messages(&mut self, name: &str) -> io::Result<u32> {
        self.declare(name, true, false, FieldTable::default())
    }

    fn declare(
        &mut self,
        name: &str,
        passive: bool,
        durable: bool,
        arguments: FieldTable,
    ) -> io::Result<u32> {
        let declare = queue::Declare {
            queue: name.into(),
            passive,
            durable,
            exclusive: false,
            auto_delete: false,
            nowait: false,
            arguments,
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Declare(declare)))?;
        match self.expect(MethodId::new(50, 11))? {
            AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok)) => Ok(ok.message_count),
            _ => Err(io::Error::other("expected queue.declare-ok")),
        }
    }

    pub(super) fn delete_queue(&mut self, name: &str) -> io::Result<()> {
        let delete = queue::Delete {
            queue: name.into(),
            if_unused: false,
            if_empty: false,
            nowait: false,
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Delete(delete)))?;
        self.expect(MethodId::new(50, 41)).map(drop)
    }

    pub(super) fn declare_exchange(
        &mut self,
        name: &str,
        kind: &str,
        durable: bool,
    ) -> io::Result<()> {
        let declare = exchange::Declare {
            exchange: name.into(),
            kind: kind.into(),
            passive: false,
            durable,
            auto_delete: false,
            internal: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        let declare = exchange::AMQPMethod::Declare(declare);
        self.send(1, AMQPClass::Exchange(declare))?;
        self.expect(MethodId::new(40, 11)).map(drop)
    }

    pub(super) fn delete_exchange(&mut self, name: &str) -> io::Result<()> {
        let delete = exchange::Delete {
            exchange: name.into(),
            if_unused: false,
            nowait: false,
        };
        self.send(1, AMQPClass::Exchange(exchange::AMQPMethod::Delete(delete)))?;
        self.expect(MethodId::new(40, 21)).map(drop)
    }

    /// Binds without waiting for an answer.
    pub(super) fn bind(&mut self, queue: &str, exchange: &str, way: &Way) -> io::Result<()> {
        let mut arguments = FieldTable::default();
        if let Some(header) = &way.header {
            arguments.insert("way".into(), AMQPValue::LongString(header.as_str().into()));
        }
        let bind = queue::Bind {
            queue: queue.into(),
            exchange: exchange.into(),
            routing_key: way.binding_key.as_str().into(),
            nowait: true,
            arguments,
        };
        self.send(1, AMQPClass::Queue(queue::AMQPMethod::Bind(bind)))
    }

    pub(super) fn confirm_select(&mut self) -> io::Result<()> {
        let select = confirm::Select { nowait: false };
        self.send(1, AMQPClass::Confirm(confirm::AMQPMethod::Select(select)))?;
        self.expect(MethodId::new(85, 11)).map(drop)
    }

    pub(super) fn consume(&mut self, name: &str, ack: bool, prefetch: u16) -> io::Result<()> {
        let qos = basic::Qos {
            prefetch_count: prefetch,
            global: false,
        };
        self.send(1, AMQPClass::Basic(basic::AMQPMethod::Qos(qos)))?;
        self.expect(MethodId::new(60, 11))?;
        let consume = basic::Consume {
            queue: name.into(),
            consumer_tag: "c".into(),
            no_local: false,
            no_ack: !ack,
            exclusive: false,
            nowait: false,
            arguments: FieldTable::default(),
        };
        self.send(1, AMQPClass::Basic(basic::AMQPMethod::Consume(consume)))?;
        self.expect(MethodId::new(60, 21)).map(drop)
    }

    fn send(&mut self, channel: u16, class: AMQPClass) -> io::Result<()> {
        let mut out = BytesMut::new();
        method::encode(&mut out, ChannelId(channel), &class);
        self.socket.write_all(&out)
    }

    /// Waits for a method, dropping others; a close is an error.
    fn expect(&mut self, wanted: MethodId) -> io::Result<AMQPClass> {
        loop {
            let mut found = None;
            while found.is_none()
                && self.take_frame(|frame, payload| {
                    if frame.kind != FrameKind::Method {
                        return Ok(());
                    }
                    let method = method::decode(payload).map_err(io::Error::other)?;
                    match method {
                        Method::Other(class) if method::class_id(&class) == wanted => {
                            found = Some(class);
                            Ok(())
                        }
                        Method::Other(AMQPClass::Connection(connection::AMQPMethod::Close(
                            close,
                        ))) => Err(io::Error::other(close.reply_text.to_string())),
                        Method::Other(AMQPClass::Channel(channel::AMQPMethod::Close(close))) => {
                            Err(io::Error::other(close.reply_text.to_string()))
                        }
                        _ => Ok(()),
                    }
                })?
            {}
            match found {
                Some(class) => return Ok(class),
                None => self.read()?,
            };
        }
    }

    /// Hands the frame at the front of the input to `each`; `false` when there is none.
    pub(super) fn take_frame(
        &mut self,
        each: impl FnOnce(Frame, &[u8]) -> io::Result<()>,
    ) -> io::Result<bool> {
        match frame::split(&self.input, self.frame_max).map_err(io::Error::other)? {
            Split::Need(_) => Ok(false),
            Split::Whole(frame) => {
                each(frame, &self.input[frame.payload()])?;
                self.input.advance(frame.total());
                Ok(true)
            }
        }
    }

    /// Reads once; `false` when nothing came for a while.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 1 << 16];
        match self.socket.read(&mut chunk) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(octets) => {
                self.input.extend_from_slice(&chunk[..octets]);
                Ok(true)
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Writes a whole publish.
pub(super) fn put_publish(
    out: &mut BytesMut,
    exchange: &str,
    routing_key: &str,
    properties: &[u8],
    body: &[u8],
    frame_max: u32,
) {
    let publish = basic::Publish {
        exchange: exchange.into(),
        routing_key: routing_key.into(),
        mandatory: false,
        immediate: false,
    };
    method::encode(
        out,
        CHANNEL,
        &AMQPClass::Basic(basic::AMQPMethod::Publish(publish)),
    );
    method::encode_content_header(out, CHANNEL, body.len() as u64, properties);
    for piece in body.chunks(frame_max as usize - frame::OVERHEAD) {
        method::encode_body(out, CHANNEL, piece);
    }
}

/// Writes basic.ack.
pub(super) fn put_ack(out: &mut BytesMut, tag: u64, multiple: bool) {
    method::encode_ack(out, CHANNEL, leveret_protocol::DeliveryTag(tag), multiple);
}
