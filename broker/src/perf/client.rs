//! A blocking AMQP client that knows just enough to measure: its login, and frames in and out.
//! What it declares is in [`super::declare`].

use super::options::Load;
use super::patience::Patience;
use bytes::BytesMut;
use leveret_protocol::classes::{AMQPClass, basic, channel, connection};
use leveret_protocol::frame::{self, FrameKind, PROTOCOL_HEADER, Split};
use leveret_protocol::method::{self, Method};
use leveret_protocol::values::{AMQPValue, FieldTable};
use leveret_protocol::{ChannelId, MethodId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// A blocking read or write gives up after this long, to look whether the run is over.
const SOCKET_TIMEOUT: Duration = Duration::from_millis(100);
/// Octets of the input buffer; a larger frame makes it grow.
const INPUT: usize = 256 * 1024;
/// Octets of the largest frame where the broker has no limit.
const FRAME_MAX: u32 = 128 * 1024;
/// What a broker has not done that is waited for.
pub(super) const TAKEN: &str = "has taken nothing";
const ANSWERED: &str = "has not answered";

pub(super) struct Client {
    socket: TcpStream,
    input: Vec<u8>,
    /// What of the input has come and is not taken yet.
    from: usize,
    to: usize,
    frame_max: u32,
    /// A message was begun and not ended: nothing can be said any more.
    torn: bool,
    /// How long the broker may do nothing.
    patience: Duration,
}

impl Client {
    /// Logs in and opens channel 1.
    pub(super) fn connect(load: &Load) -> io::Result<Self> {
        let target = load.target().map_err(io::Error::other)?;
        let socket = connected(&target.address, load.patience())
            .map_err(|error| explained(&format!("cannot connect to {}", target.address), &error))?;
        let mut client = Self::bare(socket, load)?;
        client.login(&target.user, &target.password, &target.vhost)?;
        client.open_channel(1)?;
        Ok(client)
    }

    /// Takes a socket as it is.
    pub(super) fn bare(socket: TcpStream, load: &Load) -> io::Result<Self> {
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(SOCKET_TIMEOUT))?;
        socket.set_write_timeout(Some(SOCKET_TIMEOUT))?;
        Ok(Client {
            socket,
            input: vec![0; INPUT],
            from: 0,
            to: 0,
            frame_max: FRAME_MAX,
            torn: false,
            patience: load.patience(),
        })
    }

    fn login(&mut self, user: &str, password: &str, vhost: &str) -> io::Result<()> {
        self.send_octets(&PROTOCOL_HEADER)?;
        self.expect(method::CONNECTION_START)?;
        let start_ok = connection::StartOk {
            client_properties: properties(),
            mechanism: "PLAIN".into(),
            response: format!("\0{user}\0{password}").into(),
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
            most => most.min(FRAME_MAX),
        };
        let tune_ok = connection::TuneOk {
            channel_max: tune.channel_max,
            frame_max,
            // A generator that is busy measuring does not want to send them.
            heartbeat: 0,
        };
        self.send(
            0,
            AMQPClass::Connection(connection::AMQPMethod::TuneOk(tune_ok)),
        )?;
        self.frame_max = frame_max;
        let open = connection::Open {
            virtual_host: vhost.into(),
        };
        self.send(0, AMQPClass::Connection(connection::AMQPMethod::Open(open)))?;
        self.expect(MethodId::new(10, 41)).map(drop)
    }

    pub(super) fn open_channel(&mut self, channel: u16) -> io::Result<()> {
        let open = channel::AMQPMethod::Open(channel::Open {});
        self.send(channel, AMQPClass::Channel(open))?;
        self.expect(MethodId::new(20, 11)).map(drop)
    }

    pub(super) fn frame_max(&self) -> u32 {
        self.frame_max
    }

    pub(super) fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub(super) fn send(&mut self, channel: u16, class: AMQPClass) -> io::Result<()> {
        let mut out = BytesMut::new();
        method::encode(&mut out, ChannelId(channel), &class);
        self.send_octets(&out)
    }

    fn send_octets(&mut self, octets: &[u8]) -> io::Result<()> {
        let whole = self.write(octets, |_, patience| patience.lasts(TAKEN))?;
        if whole {
            Ok(())
        } else {
            Err(ErrorKind::Interrupted.into())
        }
    }

    /// Waits for a method, dropping others; a close is an error.
    pub(super) fn expect(&mut self, wanted: MethodId) -> io::Result<AMQPClass> {
        self.expect_within(self.patience, wanted)
    }

    /// The same for an answer that may take so long.
    pub(super) fn expect_within(
        &mut self,
        most: Duration,
        wanted: MethodId,
    ) -> io::Result<AMQPClass> {
        let mut patience = Patience::new(most);
        loop {
            let mut found = None;
            self.frames(|kind, payload| {
                if kind == FrameKind::Method {
                    match method::decode(payload).map_err(io::Error::other)? {
                        Method::Other(class) if method::class_id(&class) == wanted => {
                            found = Some(class);
                        }
                        other => notice(&other)?,
                    }
                }
                Ok(found.is_none())
            })?;
            if let Some(class) = found {
                return Ok(class);
            }
            if self.read()? {
                patience.renew();
            } else if !patience.lasts(ANSWERED)? {
                return Err(ErrorKind::Interrupted.into());
            }
        }
    }

    /// Hands out frames that have come whole, until there are none or `each` says `false`.
    pub(super) fn frames(
        &mut self,
        mut each: impl FnMut(FrameKind, &[u8]) -> io::Result<bool>,
    ) -> io::Result<()> {
        loop {
            let input = &self.input[self.from..self.to];
            match frame::split(input, self.frame_max).map_err(io::Error::other)? {
                Split::Need(_) => return Ok(()),
                Split::Whole(frame) => {
                    self.from += frame.total();
                    if !each(frame.kind, &input[frame.payload()])? {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Reads once; `false` when nothing came for a while.
    pub(super) fn read(&mut self) -> io::Result<bool> {
        self.make_room();
        match self.socket.read(&mut self.input[self.to..]) {
            Ok(0) => Err(io::Error::new(
                ErrorKind::UnexpectedEof,
                "the broker closed the connection without a word",
            )),
            Ok(octets) => {
                self.to += octets;
                Ok(true)
            }
            Err(error) if is_timeout(&error) => Ok(false),
            Err(error) => Err(explained("reading from the broker", &error)),
        }
    }

    fn make_room(&mut self) {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.input.len() - self.to < INPUT / 4 {
            self.input.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        // Frames are bounded by what was tuned, so this happens once at most.
        if self.to == self.input.len() {
            self.input.resize(self.to + INPUT, 0);
        }
    }

    /// Reads what is there, without waiting.
    pub(super) fn look(&mut self) -> io::Result<bool> {
        self.socket.set_nonblocking(true)?;
        let came = self.read();
        self.socket.set_nonblocking(false)?;
        came
    }

    /// Waits until something can be read, or for so long.
    pub(super) fn wait(&mut self, most: Duration) -> io::Result<()> {
        let most = most.min(SOCKET_TIMEOUT);
        let timeout = Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(most.subsec_nanos()),
        };
        let mut sockets = [PollFd::new(&self.socket, PollFlags::IN)];
        match poll(&mut sockets, Some(&timeout)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => Ok(()),
            Ok(_) => self.look().map(drop),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes everything, unless `stalled` says `false`: it is asked whenever the broker has not
    /// taken anything for a while, and is given the patience that lasts since then. Returns whether
    /// all was written.
    pub(super) fn write(
        &mut self,
        mut octets: &[u8],
        mut stalled: impl FnMut(&mut Client, &mut Patience) -> io::Result<bool>,
    ) -> io::Result<bool> {
        let mut patience = Patience::new(self.patience);
        while !octets.is_empty() {
            match self.socket.write(octets) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => {
                    octets = &octets[written..];
                    patience.renew();
                }
                Err(error) if is_timeout(&error) => {
                    let goes_on = stalled(self, &mut patience);
                    if !matches!(goes_on, Ok(true)) {
                        self.torn = true;
                        return goes_on;
                    }
                }
                Err(error) => return Err(self.why_it_closed(&error)),
            }
        }
        Ok(true)
    }

    /// A broker that hangs up has often said why.
    fn why_it_closed(&mut self, error: &io::Error) -> io::Error {
        while let Ok(true) = self.look() {
            if let Err(reason) = self.frames(taken_note_of) {
                return reason;
            }
        }
        explained("writing to the broker", error)
    }

    /// Says good-bye and waits for the answer, which comes when the broker has read everything before
    /// it. What still comes is dropped.
    ///
    /// # Errors
    /// The broker has refused something that was sent before; or it does not answer.
    pub(super) fn close(mut self) -> io::Result<()> {
        if self.torn {
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
        if !self.write(&out, |_, patience| patience.lasts(TAKEN))? {
            return Ok(());
        }
        let mut answered = false;
        // From the good-bye on: deliveries may go on coming.
        let mut patience = Patience::new(self.patience);
        while !answered && patience.lasts("has not answered the good-bye")? {
            self.frames(|kind, payload| {
                if kind != FrameKind::Method {
                    return Ok(true);
                }
                answered = method::peek_id(payload) == Some(method::CONNECTION_CLOSE_OK);
                // Whatever was sent last is refused now, if at all.
                match refusal(&method::decode(payload).map_err(io::Error::other)?) {
                    Some(refusal) => Err(refusal),
                    None => Ok(!answered),
                }
            })?;
            if !answered {
                self.read()?;
            }
        }
        Ok(())
    }
}

fn properties() -> FieldTable {
    let mut capabilities = FieldTable::default();
    // Without the first a refused login is a connection that ends without a word.
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
        AMQPValue::LongString("leveretperf".into()),
    );
    properties.insert("capabilities".into(), AMQPValue::FieldTable(capabilities));
    properties
}

/// Connects to the first of an address's places that answers.
fn connected(address: &str, patience: Duration) -> io::Result<TcpStream> {
    let mut failed = ErrorKind::AddrNotAvailable.into();
    for place in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&place, patience) {
            Ok(socket) => return Ok(socket),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted
    )
}

pub(super) fn explained(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// For frames that nobody waits for: an error if the broker refuses something by them.
pub(super) fn taken_note_of(kind: FrameKind, payload: &[u8]) -> io::Result<bool> {
    if kind == FrameKind::Method {
        notice(&method::decode(payload).map_err(io::Error::other)?)?;
    }
    Ok(true)
}

fn notice(method: &Method<'_>) -> io::Result<()> {
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
            eprintln!("the broker blocks publishers no longer");
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Why the broker closed the connection or the channel, if this method does.
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
    let text = format!("the broker closed the {what}: {code} {text}");
    Some(io::Error::other(text))
}
