//! A connection with just enough features: login, and frames in and out.
//! Declarations are in [`super::declare`].

use super::dialer::Program;
use super::patience::Patience;
use super::transport::{Stream, TIMEOUT, Wait, is_timeout};
use super::uri::Target;
use bytes::BytesMut;
use leveret_protocol::classes::{AMQPClass, basic, channel, connection};
use leveret_protocol::frame::{self, Frame, FrameKind, PROTOCOL_HEADER, Split};
use leveret_protocol::method::{self, Method};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{ChannelId, MethodId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;
use std::io::{self, ErrorKind};
use std::time::Duration;

/// The size in bytes of the input buffer, which grows for larger frames.
const INPUT_BUFFER: usize = 256 * 1024;
/// The least that a read has room for.
const READ_ROOM: usize = INPUT_BUFFER / 4;
/// The largest frame size if the broker has no limit.
const FRAME_MAX: u32 = 128 * 1024;
/// What the broker failed to do while we waited.
pub(crate) const ACCEPTED_NOTHING: &str = "has accepted no data";
const NOT_ANSWERED: &str = "has not answered";

pub(crate) struct Client {
    stream: Stream,
    input: Vec<u8>,
    /// The range of the input that has been read but not processed.
    from: usize,
    to: usize,
    frame_max: u32,
    /// The highest channel number that the broker allows.
    channel_max: u16,
    /// A message was only partly written, so nothing more can be sent.
    mid_message: bool,
    /// How long the broker may be idle.
    patience: Duration,
}

impl Client {
    /// Creates a client that is connected but not logged in.
    pub(crate) fn over(stream: Stream, patience: Duration) -> Self {
        Client {
            stream,
            input: vec![0; INPUT_BUFFER],
            from: 0,
            to: 0,
            frame_max: FRAME_MAX,
            channel_max: u16::MAX,
            mid_message: false,
            patience,
        }
    }

    pub(crate) fn login(&mut self, target: &Target, program: Program) -> io::Result<()> {
        self.send_bytes(&PROTOCOL_HEADER)?;
        let started = self.expect(method::CONNECTION_START);
        started.map_err(|error| self.expecting_tls(error))?;
        let (mechanism, response) = match target.external {
            true => ("EXTERNAL", String::new()),
            false => ("PLAIN", format!("\0{}\0{}", target.user, target.password)),
        };
        let start_ok = connection::StartOk {
            client_properties: properties(program),
            mechanism: mechanism.into(),
            response: response.into(),
            locale: "en_US".into(),
        };
        self.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::StartOk(start_ok)),
        )?;
        let tune = self.expect(MethodId::new(10, 30))?;
        let AMQPClass::Connection(connection::AMQPMethod::Tune(tune)) = tune else {
            return Err(io::Error::other("expected connection.tune"));
        };
        let frame_max = match tune.frame_max {
            0 => FRAME_MAX,
            max => max.min(FRAME_MAX),
        };
        let tune_ok = connection::TuneOk {
            channel_max: tune.channel_max,
            frame_max,
            // No heartbeats: they would disturb measurements, and TCP notices a broker that is gone.
            heartbeat: 0,
        };
        self.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune_ok)),
        )?;
        self.frame_max = frame_max;
        if tune.channel_max != 0 {
            self.channel_max = tune.channel_max;
        }
        let open = connection::Open {
            virtual_host: target.vhost.as_str().into(),
        };
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::Open(open)))?;
        self.expect(MethodId::new(10, 41)).map(drop)
    }

    /// Explains an error in place of connection.start: the broker may expect TLS.
    fn expecting_tls(&self, error: io::Error) -> io::Error {
        let why = match (&self.stream, &self.input[self.from..self.to]) {
            // An alert of TLS.
            (Stream::Plain(_), [0x15, 0x03, ..]) => {
                "the broker expects TLS on this port: use amqps://, or --tls"
            }
            (Stream::Plain(_), []) if error.kind() == ErrorKind::UnexpectedEof => {
                "the broker closed the connection without an answer: it may expect TLS on this port \
                 (amqps://, --tls)"
            }
            _ => return error,
        };
        io::Error::other(why)
    }

    /// Opens the channels up to this number, beside channel 1.
    pub(crate) fn open_channels(&mut self, last: u16) -> io::Result<()> {
        if last > self.channel_max {
            let max = self.channel_max;
            return Err(io::Error::other(format!(
                "the broker allows {max} channels on a connection, fewer than the {last} of --channels"
            )));
        }
        (2..=last).try_for_each(|channel| self.open_channel(channel))
    }

    pub(crate) fn open_channel(&mut self, channel: u16) -> io::Result<()> {
        let open = channel::AMQPMethod::Open(channel::Open {});
        self.send(channel, AMQPClass::Channel(open))?;
        self.expect(MethodId::new(20, 11)).map(drop)
    }

    pub(crate) fn frame_max(&self) -> u32 {
        self.frame_max
    }

    pub(crate) fn socket(&self) -> &Socket {
        self.stream.socket()
    }

    pub(crate) fn send(&mut self, channel: u16, class: AMQPClass) -> io::Result<()> {
        let mut out = BytesMut::new();
        method::encode(&mut out, ChannelId(channel), &class);
        self.send_bytes(&out)
    }

    fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        let all_written = self.write(bytes, |_, patience| patience.lasts(ACCEPTED_NOTHING))?;
        if all_written {
            Ok(())
        } else {
            Err(ErrorKind::Interrupted.into())
        }
    }

    /// Waits for a method and drops others. A close is an error.
    pub(crate) fn expect(&mut self, wanted: MethodId) -> io::Result<AMQPClass> {
        self.expect_within(self.patience, wanted)
    }

    /// Does the same with a time limit of its own.
    pub(crate) fn expect_within(
        &mut self,
        max: Duration,
        wanted: MethodId,
    ) -> io::Result<AMQPClass> {
        let mut patience = Patience::new(max);
        loop {
            let mut found = None;
            self.frames(|frame, payload| {
                if frame.kind == FrameKind::Method {
                    match method::decode(payload).map_err(io::Error::other)? {
                        Method::Other(class) if method::class_id(&class) == wanted => {
                            found = Some(class);
                        }
                        other => check_method(&other)?,
                    }
                }
                Ok(found.is_none())
            })?;
            if let Some(class) = found {
                return Ok(class);
            }
            if self.read()? {
                patience.renew();
            } else if !patience.lasts(NOT_ANSWERED)? {
                return Err(ErrorKind::Interrupted.into());
            }
        }
    }

    /// Calls `each` with every complete frame, until there are none or it returns false.
    pub(crate) fn frames(
        &mut self,
        mut each: impl FnMut(Frame, &[u8]) -> io::Result<bool>,
    ) -> io::Result<()> {
        loop {
            let input = &self.input[self.from..self.to];
            match frame::split(input, self.frame_max).map_err(io::Error::other)? {
                Split::Need(_) => return Ok(()),
                Split::Whole(frame) => {
                    self.from += frame.total();
                    if !each(frame, &input[frame.payload()])? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads once. Returns false if nothing arrived before the timeout.
    pub(crate) fn read(&mut self) -> io::Result<bool> {
        self.read_once(Wait::ForBytes)
    }

    /// Reads what is available, without waiting.
    pub(crate) fn read_available(&mut self) -> io::Result<bool> {
        self.read_once(Wait::No)
    }

    fn read_once(&mut self, wait: Wait) -> io::Result<bool> {
        self.make_room();
        match self.stream.read(&mut self.input[self.to..], wait) {
            Ok(0) => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the broker closed the connection without giving a reason",
            )),
            Ok(bytes) => {
                self.to += bytes;
                Ok(true)
            }
            Err(error) if is_timeout(&error) => Ok(false),
            Err(error) => Err(with_context("reading from the broker", &error)),
        }
    }

    fn make_room(&mut self) {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.input.len() - self.to < READ_ROOM {
            self.input.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        // The frame size is limited, so this happens at most once.
        if self.input.len() - self.to < READ_ROOM {
            self.input.resize(self.to + INPUT_BUFFER, 0);
        }
    }

    /// Waits until something can be read, but no longer than `max`.
    pub(crate) fn wait(&mut self, max: Duration) -> io::Result<()> {
        let max = max.min(TIMEOUT);
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(max.subsec_nanos()),
        };
        let mut sockets = [PollFd::new(self.stream.socket(), PollFlags::IN)];
        match poll(&mut sockets, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => self.read_available().map(drop),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until one of two can be read, but no longer than `max`. Returns whether one can.
    pub(crate) fn wait_for_either(one: &Client, other: &Client, max: Duration) -> io::Result<bool> {
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(max.min(TIMEOUT).subsec_nanos()),
        };
        let mut sockets = [
            PollFd::new(one.stream.socket(), PollFlags::IN),
            PollFd::new(other.stream.socket(), PollFlags::IN),
        ];
        match poll(&mut sockets, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(false),
            Ok(_) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes everything, unless `stalled` returns false: it is called whenever the broker has not
    /// accepted data for a while, with the patience measured since then. Returns whether everything
    /// was written.
    pub(crate) fn write(
        &mut self,
        mut bytes: &[u8],
        mut stalled: impl FnMut(&mut Client, &mut Patience) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let mut patience = Patience::new(self.patience);
        while !bytes.is_empty() || self.stream.holds_output() {
            match self.stream.write(bytes) {
                Ok(written) => {
                    bytes = &bytes[written..];
                    patience.renew();
                }
                Err(error) if is_timeout(&error) => {
                    let goes_on = stalled(self, &mut patience);
                    if !matches!(goes_on, Ok(true)) {
                        self.mid_message = true;
                        return goes_on;
                    }
                }
                Err(error) => return Err(self.close_reason(&error)),
            }
        }
        Ok(true)
    }

    /// Returns the reason that the broker gave before it hung up, if any.
    fn close_reason(&mut self, error: &io::Error) -> io::Error {
        while let Ok(true) = self.read_available() {
            if let Err(reason) = self.frames(check_frame) {
                return reason;
            }
        }
        with_context("writing to the broker", error)
    }

    /// Closes the connection and waits for the answer, which arrives when the broker has processed
    /// everything sent before. Anything else that arrives is dropped.
    ///
    /// # Errors
    /// The broker has rejected something sent earlier, or it does not answer.
    pub(crate) fn close(mut self) -> io::Result<()> {
        if self.mid_message {
            return Ok(());
        }
        let close = connection::Close {
            reply_code: 200,
            reply_text: "good-bye".into(),
            class_id: 0,
            method_id: 0,
        };
        let close = connection::AMQPMethod::Close(close);
        let mut out = BytesMut::new();
        method::encode(&mut out, ChannelId(0), &AMQPClass::Connection(close));
        if !self.write(&out, |_, patience| patience.lasts(ACCEPTED_NOTHING))? {
            return Ok(());
        }
        let mut answered = false;
        // Starts with the close, because deliveries may keep arriving.
        let mut patience = Patience::new(self.patience);
        while !answered && patience.lasts("has not answered connection.close")? {
            self.frames(|frame, payload| {
                if frame.kind != FrameKind::Method {
                    return Ok(true);
                }
                answered = method::peek_id(payload) == Some(method::CONNECTION_CLOSE_OK);
                // If anything sent last is rejected, it is now.
                match refusal(&method::decode(payload).map_err(io::Error::other)?) {
                    Some(refusal) => Err(refusal),
                    None => Ok(!answered),
                }
            })?;
            if !answered {
                self.read()?;
            }
        }
        self.stream.say_goodbye();
        Ok(())
    }
}

fn properties(program: Program) -> FieldTable {
    let mut capabilities = FieldTable::default();
    // Without the first, a failed login ends the connection without a reason.
    for name in [
        "authentication_failure_close",
        "basic.nack",
        "connection.blocked",
        "consumer_cancel_notify",
        "publisher_confirms",
    ] {
        capabilities.insert(name.into(), AMQPValue::Boolean(true));
    }
    let mut properties = FieldTable::default();
    properties.insert(
        "product".into(),
        AMQPValue::LongString(program.product.into()),
    );
    if let Some(name) = program.connection_name {
        let name = AMQPValue::LongString(name.into());
        properties.insert("connection_name".into(), name);
    }
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

pub(crate) fn with_context(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// Handles a frame that nobody waits for: returns an error if the broker rejects something with it.
pub(crate) fn check_frame(frame: Frame, payload: &[u8]) -> io::Result<bool> {
    if frame.kind == FrameKind::Method {
        check_method(&method::decode(payload).map_err(io::Error::other)?)?;
    }
    Ok(true)
}

fn check_method(method: &Method<'_>) -> io::Result<()> {
    if let Some(refusal) = refusal(method) {
        return Err(refusal);
    }
    let Method::Other(class) = method else {
        return Ok(());
    };
    match class {
        AMQPClass::Basic(basic::AMQPMethod::Cancel(_)) => Err(io::Error::other(
            "the broker cancelled a consumer: its queue is gone",
        )),
        AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked)) => {
            eprintln!("the broker blocks publishers: {}", blocked.reason);
            Ok(())
        }
        AMQPClass::Connection(connection::AMQPMethod::Unblocked(_)) => {
            eprintln!("the broker no longer blocks publishers");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Why the broker closed a connection or a channel: the error of an `io::Error`.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the broker closed the {what}: {code} {text}")]
pub(crate) struct Refusal {
    /// The connection or the channel.
    what: &'static str,
    /// The reply code.
    pub(crate) code: u16,
    /// The broker's words.
    pub(crate) text: String,
}

impl Refusal {
    /// Returns the refusal in an error, if it is one.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// Returns why the broker closed the connection or the channel, if this method does so.
fn refusal(method: &Method<'_>) -> Option<io::Error> {
    let Method::Other(class) = method else {
        return None;
    };
    let (what, code, text) = match class {
        AMQPClass::Connection(connection::AMQPMethod::Close(close)) => {
            ("connection", close.reply_code, &close.reply_text)
        }
        AMQPClass::Channel(channel::AMQPMethod::Close(close)) => {
            ("channel", close.reply_code, &close.reply_text)
        }
        _ => return None,
    };
    let text = text.to_string();
    Some(io::Error::other(Refusal { what, code, text }))
}
