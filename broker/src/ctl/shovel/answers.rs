//! What both brokers say while a queue is moved.

use std::io;

use bytes::BytesMut;
use leveret_protocol::MethodId;
use leveret_protocol::classes::{AMQPClass, basic, connection, queue};
use leveret_protocol::frame::{Frame, FrameKind};
use leveret_protocol::method::{self, BASIC_DELIVER, BASIC_RETURN, Method};

use crate::client::{Client, check_frame};

use super::failure::{Failure, Side, Stage};
use super::mover::Counts;
use super::relay::{CHANNEL, Relay, Relayed};
use super::window::Window;

const CONSUME_OK: MethodId = MethodId::new(60, 21);
const CANCEL_OK: MethodId = MethodId::new(60, 31);

/// What the destination has said.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) window: Window,
    pub(super) blocked: bool,
    /// News for the user.
    pub(super) notes: Vec<String>,
    pub(super) settled: bool,
}

/// What the source has said, apart from deliveries.
#[derive(Debug, Default)]
pub(super) struct Source {
    /// The length of the queue was asked for, when this many messages had arrived.
    pub(super) asked: Option<u64>,
    /// How many answers in a row said that the queue is empty, with no delivery between them.
    pub(super) found_empty: u32,
    pub(super) arrived: u64,
    /// The consumer is the one that takes many messages at once.
    pub(super) is_wide: bool,
    /// The consumer: whether its end was asked for, and whether it has ended.
    pub(super) cancelling: bool,
    pub(super) cancelled: bool,
}

impl Answers {
    /// Takes what the destination has sent.
    pub(super) fn take(&mut self, client: &mut Client) -> io::Result<()> {
        client.frames(|frame, payload| {
            // The content of what came back is dropped: the source still has it.
            if frame.kind != FrameKind::Method {
                return Ok(true);
            }
            if method::peek_id(payload) == Some(BASIC_RETURN) {
                self.window.returned();
                return Ok(true);
            }
            let method = method::decode(payload).map_err(io::Error::other)?;
            let (tag, multiple, good) = match method {
                Method::Ack { tag, multiple } => (tag, multiple, true),
                Method::Nack { tag, multiple, .. } => (tag, multiple, false),
                Method::Other(AMQPClass::Connection(connection::AMQPMethod::Blocked(blocked))) => {
                    self.blocked = true;
                    let reason = blocked.reason;
                    self.notes.push(format!(
                        "the destination accepts nothing for now ({reason}): waiting"
                    ));
                    return Ok(true);
                }
                Method::Other(AMQPClass::Connection(connection::AMQPMethod::Unblocked(_))) => {
                    self.blocked = false;
                    self.notes
                        .push("the destination accepts messages again".to_owned());
                    return Ok(true);
                }
                _ => return check_frame(frame, payload),
            };
            self.settled = true;
            match self.window.settle(tag.0, multiple, good) {
                true => Ok(true),
                false => Err(io::Error::other(format!(
                    "the broker confirmed message {}, which was not published",
                    tag.0
                ))),
            }
        })
    }
}

impl Source {
    /// Returns the tag of the consumer.
    pub(super) fn consumer(&self) -> &'static str {
        match self.is_wide {
            false => "leveretctl.shovel.first",
            true => "leveretctl.shovel",
        }
    }

    /// Takes a frame of the source. Returns the message that it completes.
    pub(super) fn take(
        &mut self,
        frame: Frame,
        payload: &[u8],
        relay: &mut Relay,
        counts: &mut Counts,
        out: &mut BytesMut,
    ) -> Result<Option<Relayed>, Failure> {
        match (frame.kind, frame.channel) {
            (FrameKind::Header, CHANNEL) => {
                return relay.header(payload, out).map_err(Failure::Unfit);
            }
            (FrameKind::Body, CHANNEL) => {
                self.arrived += 1;
                return relay.body(payload, out).map_err(Failure::Unfit);
            }
            (FrameKind::Method, _) => {}
            _ => return Ok(None),
        }
        match method::peek_id(payload) {
            Some(BASIC_DELIVER) => {
                self.arrived += 1;
                self.found_empty = 0;
                relay.deliver(payload, out).map_err(Failure::Unfit)?;
            }
            Some(CONSUME_OK) => {}
            Some(CANCEL_OK) => self.cancelled = true,
            _ => self.take_other(frame, payload, counts)?,
        }
        Ok(None)
    }

    fn take_other(
        &mut self,
        frame: Frame,
        payload: &[u8],
        counts: &mut Counts,
    ) -> Result<(), Failure> {
        let of = |error| Failure::broker(Side::Source, Stage::Move, error);
        match method::decode(payload).map_err(|error| of(io::Error::other(error)))? {
            Method::Other(AMQPClass::Queue(queue::AMQPMethod::DeclareOk(ok))) => {
                let nothing_came = self.asked.take() == Some(self.arrived);
                self.found_empty = match ok.message_count == 0 && nothing_came {
                    true => self.found_empty + 1,
                    false => 0,
                };
                counts.ready = u64::from(ok.message_count);
                counts.other_consumers = ok.consumer_count.saturating_sub(1);
                Ok(())
            }
            Method::Other(AMQPClass::Basic(basic::AMQPMethod::Cancel(_))) => {
                Err(Failure::QueueGone)
            }
            _ => check_frame(frame, payload).map(drop).map_err(of),
        }
    }
}
