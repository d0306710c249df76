//! Incoming frames: which phase and channel they are for, and what happens when they are wrong.

use super::channel::Channel;
use super::content::Content;
use super::{CLOSE_TIMEOUT, Connection, OUTPUT_MAX, Phase, foreign};
use crate::domain::connections::log_connection;
use crate::domain::limits::ChannelLimit;
use crate::text::names::NODE_NAME;
use bytes::{Buf, Bytes, BytesMut};
use leveret_protocol::classes::{AMQPClass, channel as channel_class, connection};
use leveret_protocol::frame::{
    self, Frame, FrameKind, PROTOCOL_HEADER, PROTOCOL_HEADER_0_9, Split,
};
use leveret_protocol::method::{self, Method};
use leveret_protocol::{AmqpError, ChannelId, MethodId, ReplyCode, Scope, texts};
use std::time::Instant;

/// A frame's payload: borrowed from the read buffer, or owned and therefore cheap to keep.
pub(super) enum Payload<'a> {
    Borrowed(&'a [u8]),
    Owned(Bytes),
}

impl Payload<'_> {
    pub(super) fn as_slice(&self) -> &[u8] {
        match self {
            Payload::Borrowed(slice) => slice,
            Payload::Owned(bytes) => bytes,
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Payload::Borrowed(slice) => Bytes::copy_from_slice(slice),
            Payload::Owned(bytes) => bytes,
        }
    }
}

/// The effort after which the clock is checked; a frame counts 1.
const CLOCK_CHECK_EFFORT: u32 = 64;
/// The effort of a method that is neither a publish nor an acknowledgement.
pub(super) const METHOD_EFFORT: u32 = 16;

impl Connection {
    /// Consumes all complete frames from the front of `buf`, then hands the resulting work to the
    /// queues and the store. Leaves in `buf` what an alarm blocks, to be passed again once the
    /// connection is unblocked, and what comes while there is too much output that the peer does
    /// not read: a few bytes (a cancel, a get) can ask for a lot.
    pub fn input(&mut self, buf: &mut BytesMut, now: Instant) {
        self.input_until(buf, now, None);
    }

    /// Like [`Connection::input`], but stops at `until`, so that the requests of one connection,
    /// each of which may be expensive, do not keep others waiting.
    pub fn input_until(&mut self, buf: &mut BytesMut, now: Instant, until: Option<Instant>) {
        self.begin_at(now);
        // Right after allocation the capacity is the whole buffer; later a part may have been used up.
        self.buffer_size = self.buffer_size.max(buf.capacity());
        self.has_rest = false;
        self.moves();
        self.alarms = self.broker.alarms.in_force();
        if self.phase == Phase::Header && !self.protocol_header(buf) {
            return;
        }
        loop {
            match self.phase {
                Phase::Ending | Phase::Refused { .. } => {
                    buf.clear();
                    break;
                }
                Phase::LoggingIn => {
                    self.has_rest = !buf.is_empty();
                    break;
                }
                _ => {}
            }
            let late = self.effort >= CLOCK_CHECK_EFFORT && self.is_late(until);
            if late || self.is_blocked() || self.out.len() >= OUTPUT_MAX {
                self.has_rest = !buf.is_empty();
                break;
            }
            if self.publish_on_fast_path(buf) {
                continue;
            }
            match frame::split(buf, self.frame_limit()) {
                Ok(Split::Need(bytes)) => {
                    self.need = bytes;
                    break;
                }
                Ok(Split::Whole(frame)) => {
                    self.effort += 1;
                    self.whole_frame(frame, buf, now);
                }
                Err(error) => {
                    // Without a valid frame we cannot know where the next one begins.
                    buf.clear();
                    self.fail(ChannelId::CONNECTION, error, now);
                    break;
                }
            }
        }
        self.take_tokens(now);
        self.flush();
        self.report_to_ledger();
    }

    /// Returns whether `until` has passed; checks the clock only after some effort.
    fn is_late(&mut self, until: Option<Instant>) -> bool {
        self.effort = 0;
        until.is_some_and(|until| Instant::now() >= until)
    }

    /// Reads the protocol header (spec 4.2.2); returns false while it is incomplete or not ours.
    fn protocol_header(&mut self, buf: &mut BytesMut) -> bool {
        let known = buf.len().min(PROTOCOL_HEADER.len());
        let speaks_amqp = buf[..known.min(4)] == PROTOCOL_HEADER[..known.min(4)];
        if speaks_amqp && known < PROTOCOL_HEADER.len() {
            self.need = PROTOCOL_HEADER.len();
            return false;
        }
        if buf[..known] != PROTOCOL_HEADER && buf[..known] != PROTOCOL_HEADER_0_9 {
            let addresses = self.broker.service.addresses.get();
            let elsewhere = addresses.map(|known| foreign::elsewhere(buf, known));
            log_connection!(
                warn,
                self.info,
                "closing connection: {}{}",
                foreign::described(buf),
                elsewhere.unwrap_or_default()
            );
            // Send the version that we speak, then close.
            self.out.buffer().extend_from_slice(&PROTOCOL_HEADER);
            self.phase = Phase::Ending;
            buf.clear();
            return false;
        }
        buf.advance(PROTOCOL_HEADER.len());
        self.send_start();
        true
    }

    fn whole_frame(&mut self, frame: Frame, buf: &mut BytesMut, now: Instant) {
        if frame.kind == FrameKind::Body && self.is_worth_keeping(frame.size) {
            let owned = buf.split_to(frame.total()).freeze();
            self.frame(frame, Payload::Owned(owned.slice(frame.payload())), now);
        } else {
            self.frame(frame, Payload::Borrowed(&buf[frame.payload()]), now);
            buf.advance(frame.total());
        }
    }

    /// Returns whether a body of `len` bytes may stay a slice of the read buffer instead of being copied: keeping it
    /// keeps the whole buffer, which must not be much larger.
    pub(super) fn is_worth_keeping(&self, len: usize) -> bool {
        2 * len >= self.buffer_size
    }

    /// Returns whether it may be such a slice on its way to a consumer; see
    /// [`Message::pins`](crate::engine::message::Message::pins).
    pub(super) fn is_worth_passing_on(&self, len: usize) -> bool {
        10 * len >= self.buffer_size
    }

    pub(super) fn frame(&mut self, frame: Frame, payload: Payload<'_>, now: Instant) {
        if let Err(error) = self.on_frame(frame, payload, now) {
            self.fail(frame.channel, error, now);
        }
    }

    fn on_frame(
        &mut self,
        frame: Frame,
        payload: Payload<'_>,
        now: Instant,
    ) -> Result<(), AmqpError> {
        if frame.channel == ChannelId::CONNECTION {
            return self.connection_frame(frame, payload.as_slice(), now);
        }
        let unexpected = |payload: &Payload<'_>| {
            let byte = frame.kind.octet();
            Err(texts::unexpected_frame(frame::describe(
                byte,
                payload.as_slice(),
            )))
        };
        match self.phase {
            Phase::Running => {}
            Phase::Closing { .. } => return Ok(()),
            _ => return unexpected(&payload),
        }
        frame::check_form(frame.kind, payload.as_slice())?;
        if frame.kind == FrameKind::Heartbeat {
            return unexpected(&payload);
        }
        match self.channel_mut(frame.channel) {
            None => self.open_by(frame, payload.as_slice()),
            Some(Channel {
                deferred: Some(deferred),
                ..
            }) => {
                deferred.frames.push_back((frame, payload.into_bytes()));
                self.deferred_bytes += frame.total();
                Ok(())
            }
            Some(channel) if channel.closing => {
                self.while_closing(frame, payload.as_slice());
                Ok(())
            }
            Some(channel) => match (&channel.content, frame.kind) {
                (Content::Method, FrameKind::Method) => {
                    self.method_frame(frame.channel, payload.as_slice())
                }
                (Content::Method, _) => Err(texts::unexpected_frame(
                    "expected method frame, got non method frame instead",
                )),
                _ => self.content_frame(frame, payload),
            },
        }
    }

    fn connection_frame(
        &mut self,
        frame: Frame,
        payload: &[u8],
        now: Instant,
    ) -> Result<(), AmqpError> {
        let closing = matches!(self.phase, Phase::Closing { .. });
        if !closing {
            frame::check_form(frame.kind, payload)?;
        }
        match frame.kind {
            FrameKind::Method => {}
            FrameKind::Heartbeat => return Ok(()),
            FrameKind::Header | FrameKind::Body if closing => return Ok(()),
            FrameKind::Header | FrameKind::Body => {
                let byte = frame.kind.octet();
                return Err(texts::unexpected_frame(frame::describe(byte, payload)));
            }
        }
        let id = method::peek_id(payload).unwrap_or_default();
        if closing && id != method::CONNECTION_CLOSE && id != method::CONNECTION_CLOSE_OK {
            return Ok(());
        }
        let Method::Other(AMQPClass::Connection(class)) = method::decode(payload)? else {
            return Err(unexpected_in_state(self.state_name()).caused_by(id));
        };
        self.connection_method(class, now)
            .map_err(|error| error.caused_by(id))
    }

    pub(super) fn state_name(&self) -> &'static str {
        match self.phase {
            Phase::Header | Phase::Starting | Phase::LoggingIn => "starting",
            Phase::Tuning => "tuning",
            Phase::Opening => "opening",
            Phase::Running => "running",
            Phase::Closing { .. } | Phase::Ending | Phase::Refused { .. } => "closing",
        }
    }

    /// Checks that the first frame on a channel opens it, and that another channel is allowed: the
    /// limit is on their number, not on their numbering (`rabbit_reader:create_channel`).
    fn open_by(&mut self, frame: Frame, payload: &[u8]) -> Result<(), AmqpError> {
        let (open, max) = (self.channels.len(), self.tuned.channel_max);
        if open >= usize::from(max) {
            return Err(texts::channel_max_reached(open, max));
        }
        let id = method::peek_id(payload).filter(|_| frame.kind == FrameKind::Method);
        match id {
            Some(method::CHANNEL_OPEN) => {
                method::decode(payload)?;
                // As in RabbitMQ, the refusal of a channel names no method.
                self.open(frame.channel)
            }
            Some(id) => Err(texts::channel_not_open().caused_by(id)),
            None => Err(texts::unexpected_frame(
                "expected method frame, got non method frame instead",
            )),
        }
    }

    fn open(&mut self, id: ChannelId) -> Result<(), AmqpError> {
        if let Some(limit) = self.requests_over() {
            // There is no channel yet that could be closed.
            return Err(texts::too_much_for_a_channel(limit));
        }
        self.count_channel()?;
        self.next_epoch = (self.next_epoch + 1) & 0x7fff;
        let channel = Channel::new(id, self.next_epoch, self.account.holdings());
        self.channels.insert(channel);
        self.info.channel_opened();
        self.broker.statistics.churn.channel_created.count();
        let open_ok = channel_class::OpenOk {};
        self.reply(
            id,
            AMQPClass::Channel(channel_class::AMQPMethod::OpenOk(open_ok)),
        );
        Ok(())
    }

    /// Counts a channel, unless the user or the broker is at its limit.
    fn count_channel(&mut self) -> Result<(), AmqpError> {
        let (Some(usage), Some(login)) = (&mut self.usage, &self.login) else {
            return Ok(());
        };
        let user = &login.identity;
        let limit = self.broker.users.limits(user.name.as_str()).channels();
        let node_limit = self.limits.channel_max_per_node;
        usage
            .open_channel(limit, node_limit)
            .map_err(|full| match full {
                ChannelLimit::User(limit) => texts::user_channel_limit(&user.name, limit),
                ChannelLimit::Node(limit) => texts::node_channel_limit(NODE_NAME, limit),
            })
    }

    /// Handles a frame on a channel that we are closing, where only close and close-ok matter.
    fn while_closing(&mut self, frame: Frame, payload: &[u8]) {
        if frame.kind != FrameKind::Method {
            return;
        }
        match method::peek_id(payload) {
            Some(method::CHANNEL_CLOSE_OK) => self.forget_channel(frame.channel),
            Some(method::CHANNEL_CLOSE) => {
                // Both sides closed at once: we answer the peer's close, and its answer to ours
                // still comes.
                let close_ok = channel_class::CloseOk {};
                let method = channel_class::AMQPMethod::CloseOk(close_ok);
                self.reply(frame.channel, AMQPClass::Channel(method));
            }
            _ => {}
        }
    }

    /// Writes a method.
    pub(super) fn reply(&mut self, channel: ChannelId, class: AMQPClass) {
        method::encode(self.out.buffer(), channel, &class);
    }

    /// Reports an error to the peer and closes the channel or connection.
    pub(super) fn fail(&mut self, channel: ChannelId, error: AmqpError, now: Instant) {
        match error.scope {
            Scope::Channel if channel != ChannelId::CONNECTION => {
                self.log_error(channel, "channel", &error);
                self.fail_channel(channel, &error);
            }
            _ => {
                self.log_error(channel, "connection", &error);
                self.fail_connection(&error, now);
            }
        }
    }

    fn log_error(&self, channel: ChannelId, scope: &str, error: &AmqpError) {
        let operation = error.method.name();
        log_connection!(
            error,
            self.info,
            %channel,
            operation,
            "{scope} error: {error}"
        );
    }

    fn fail_channel(&mut self, id: ChannelId, error: &AmqpError) {
        // What came before the error on any channel takes effect first.
        self.flush();
        let close = channel_class::Close {
            reply_code: error.code.code(),
            reply_text: error.text.as_str().into(),
            class_id: error.method.class,
            method_id: error.method.method,
        };
        self.reply(
            id,
            AMQPClass::Channel(channel_class::AMQPMethod::Close(close)),
        );
        self.release_channel(id);
        if let Some(channel) = self.channel_mut(id) {
            channel.closing = true;
        }
    }

    /// Closes with connection.close, or without a reply where the peer is not far enough to
    /// understand one (RabbitMQ does the same, after a pause that slows password guessing).
    pub(super) fn fail_connection(&mut self, error: &AmqpError, now: Instant) {
        let told = match self.phase {
            Phase::Header | Phase::Starting | Phase::LoggingIn => {
                self.wants_close_on_refusal && error.code == ReplyCode::AccessRefused
            }
            Phase::Tuning => error.code == ReplyCode::NotAllowed,
            Phase::Opening | Phase::Running => true,
            Phase::Closing { .. } | Phase::Ending | Phase::Refused { .. } => return,
        };
        if !told {
            self.phase = Phase::Refused {
                until: now + super::handshake::REFUSAL_PAUSE,
            };
            return;
        }
        self.flush();
        // As in RabbitMQ, a refused login names no method.
        let method = match self.phase {
            Phase::Starting | Phase::LoggingIn => MethodId::default(),
            _ => error.method,
        };
        let close = connection::Close {
            reply_code: error.code.code(),
            reply_text: error.text.as_str().into(),
            class_id: method.class,
            method_id: method.method,
        };
        self.reply(
            ChannelId::CONNECTION,
            AMQPClass::Connection(connection::AMQPMethod::Close(close)),
        );
        self.release_all_channels();
        self.phase = Phase::Closing {
            until: now + CLOSE_TIMEOUT,
        };
    }

    /// Closes the connection for the broker or an operator: 320 CONNECTION_FORCED.
    pub fn force_close(&mut self, reason: &str, now: Instant) {
        match self.phase {
            Phase::Opening | Phase::Running => {
                log_connection!(warn, self.info, "closing connection: {reason}");
                self.fail_connection(&texts::connection_forced(reason), now);
            }
            Phase::Header | Phase::Starting | Phase::LoggingIn | Phase::Tuning => {
                self.phase = Phase::Ending;
            }
            Phase::Closing { .. } | Phase::Ending | Phase::Refused { .. } => {}
        }
    }
}

fn unexpected_in_state(state: &str) -> AmqpError {
    AmqpError::connection(
        ReplyCode::ChannelError,
        format_args!("unexpected method in connection state {state}"),
    )
}
