//! What a client has sent, read by itself: which answers it may expect, in which order, and how
//! much of what it hears it can have caused.

use super::methods::PROBE;
use bytes::{Buf, BytesMut};
use leveret_protocol::MethodId;
use leveret_protocol::classes::{AMQPClass, access, basic, channel, confirm, exchange, queue, tx};
use leveret_protocol::frame::{self, FrameKind, Split};
use leveret_protocol::method::{self, Method};
use std::collections::{BTreeMap, VecDeque};

/// What a client has sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    buf: BytesMut,
    greeted: bool,
    /// It sent what is no frame: the server listens no longer.
    lost: bool,
    /// It closes the connection: the server need not answer what it was asked before.
    pub(super) closes: bool,
    /// Messages of the probe may be gone without a trace: it purged them, say.
    pub(super) forfeits: bool,
    on: BTreeMap<u16, SentOn>,
}

/// What was sent on one channel number.
#[derive(Debug, Default)]
pub(super) struct SentOn {
    awaited: VecDeque<Awaited>,
    /// What was asked for with basic.get and without acknowledgement, and passed over by later answers.
    passed_over: u64,
    /// The server has closed the channel: what was sent until that was acknowledged is void.
    closed: bool,
    pub(super) publishes: u64,
    pub(super) mandatory: u64,
    /// Delivery tag and multiple of every answer to a delivery.
    settled: Vec<(u64, bool)>,
    /// Consumers that were started without an answer: whether they need no acknowledgements.
    silent: BTreeMap<String, bool>,
}

#[derive(Debug)]
enum Awaited {
    Answer(Answer),
    /// Not an answer: channel.close-ok, with which a closed channel can be opened again.
    CloseOk,
    /// Nothing: one or more frames that are not answered.
    Nothing,
}

/// The answer to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    class: u16,
    methods: [u16; 2],
    /// What is delivered because of it needs no acknowledgement.
    pub(super) no_ack: bool,
}

/// basic.get-ok and basic.get-empty.
const GET: (u16, [u16; 2]) = (60, [71, 72]);

impl Sent {
    /// See [`SentOn::may_have_taken`].
    pub(super) fn may_have_taken(&self) -> u64 {
        self.on.values().map(SentOn::may_have_taken).sum()
    }

    pub(super) fn on(&mut self, channel: u16) -> &mut SentOn {
        self.on.entry(channel).or_default()
    }

    /// Reads on.
    pub(super) fn add(&mut self, octets: &[u8]) {
        self.buf.extend_from_slice(octets);
        if !self.greeted {
            if self.buf.len() < 8 {
                return;
            }
            self.buf.advance(8);
            self.greeted = true;
        }
        while !self.lost {
            match frame::split(&self.buf, 0) {
                Ok(Split::Whole(frame)) => {
                    let payload = self.buf[frame.payload()].to_vec();
                    self.buf.advance(frame.total());
                    match frame.kind {
                        FrameKind::Method => self.method(frame.channel.0, &payload),
                        _ => self.on(frame.channel.0).sent_unanswered(),
                    }
                }
                Ok(Split::Need(_)) => return,
                Err(_) => self.lost = true,
            }
        }
    }

    fn method(&mut self, channel: u16, payload: &[u8]) {
        let Ok(method) = method::decode(payload) else {
            return self.on(channel).malformed(method::peek_id(payload));
        };
        if let Method::Other(AMQPClass::Connection(_)) = method {
            use method::{CONNECTION_CLOSE, CONNECTION_CLOSE_OK};
            self.closes |= [CONNECTION_CLOSE, CONNECTION_CLOSE_OK].contains(&method.id());
            return;
        }
        self.forfeits |= forfeits(&method);
        self.on(channel).method(&method);
    }
}

impl SentOn {
    fn method(&mut self, sent: &Method<'_>) {
        match sent {
            Method::Publish(publish) => {
                self.publishes += 1;
                self.mandatory += u64::from(publish.mandatory);
            }
            Method::Ack { tag, multiple } | Method::Nack { tag, multiple, .. } => {
                self.settled.push((tag.0, *multiple));
            }
            Method::Reject { tag, .. } => self.settled.push((tag.0, false)),
            Method::Other(AMQPClass::Basic(basic::AMQPMethod::Consume(consume)))
                if consume.nowait =>
            {
                self.silent
                    .insert(consume.consumer_tag.to_string(), consume.no_ack);
            }
            Method::Qos(_) | Method::Other(_) => {}
        }
        match sent.id() {
            method::CHANNEL_CLOSE_OK => self.awaited.push_back(Awaited::CloseOk),
            _ => match answer_to(sent) {
                Some(answer) => self.awaited.push_back(Awaited::Answer(answer)),
                None => self.sent_unanswered(),
            },
        }
    }

    /// A method that does not decode ends the connection, but on a channel that the server has
    /// closed: there nothing is looked at but whether it is a close or a close-ok
    /// (`rabbit_reader:process_frame`).
    fn malformed(&mut self, id: Option<MethodId>) {
        match id {
            Some(method::CHANNEL_CLOSE_OK) => self.awaited.push_back(Awaited::CloseOk),
            Some(method::CHANNEL_CLOSE) => self.awaited.push_back(Awaited::Answer(Answer {
                class: 20,
                methods: [41; 2],
                no_ack: false,
            })),
            _ => self.sent_unanswered(),
        }
    }

    fn sent_unanswered(&mut self) {
        if !matches!(self.awaited.back(), Some(Awaited::Nothing)) {
            self.awaited.push_back(Awaited::Nothing);
        }
    }

    /// The server has closed the channel.
    pub(super) fn closed_by_server(&mut self) {
        self.closed = true;
    }

    /// An answer was heard: the request that it belongs to. With `lenient`, requests before it may
    /// have gone without an answer.
    pub(super) fn answered(&mut self, class: u16, method: u16, lenient: bool) -> Option<Answer> {
        let answers = |awaited: &Awaited| awaited.answer().is_some_and(|a| a.is(class, method));
        if self.closed && (class, method) == (20, 41) {
            // A close that crossed the server's own is answered at any time.
            return self
                .awaited
                .iter()
                .find(|a| answers(a))
                .and_then(Awaited::answer);
        }
        if self.closed && (class, method) == (20, 11) {
            // Nothing but an open can follow the close-ok that a closed channel waits for. A
            // close-ok before that did not mean anything, an open behind it was an error.
            let pair = |at: usize| {
                matches!(self.awaited[at], Awaited::CloseOk)
                    && self.awaited.get(at + 1).is_some_and(answers)
            };
            let at = (0..self.awaited.len()).find(|at| pair(*at))?;
            self.closed = false;
            return self
                .awaited
                .drain(..at + 2)
                .next_back()
                .and_then(|a| a.answer());
        }
        while let Some(awaited) = self.awaited.pop_front() {
            match awaited.answer() {
                Some(answer) if answer.is(class, method) => return Some(answer),
                Some(_) if !lenient => {
                    self.awaited.push_front(awaited);
                    return None;
                }
                Some(answer) => self.passed_over += u64::from(answer.may_take()),
                None => {}
            }
        }
        None
    }

    /// How often the client may have been given a message that needs no acknowledgement, in an answer that it did not live
    /// to hear.
    pub(super) fn may_have_taken(&self) -> u64 {
        let awaited = self.awaited.iter().filter_map(Awaited::answer);
        self.passed_over + awaited.filter(|answer| answer.may_take()).count() as u64
    }

    /// Whether a consumer that was never answered may have this tag, and needs no
    /// acknowledgements then.
    pub(super) fn silent(&self, tag: &str) -> Option<bool> {
        let generated = || self.silent.get("").filter(|_| tag.starts_with("amq.ctag-"));
        self.silent.get(tag).or_else(generated).copied()
    }

    /// Whether the client may have acknowledged or rejected this delivery.
    pub(super) fn may_have_settled(&self, tag: u64) -> bool {
        let covers =
            |(to, multiple): &(u64, bool)| *to == tag || *multiple && (*to == 0 || *to > tag);
        self.settled.iter().any(covers)
    }

    pub(super) fn describe(&self) -> String {
        format!("{:?}", self.awaited)
    }
}

impl Awaited {
    fn answer(&self) -> Option<Answer> {
        match self {
            Awaited::Answer(answer) => Some(*answer),
            Awaited::CloseOk | Awaited::Nothing => None,
        }
    }
}

impl Answer {
    /// It may have come with a message that is nobody else's any more.
    fn may_take(&self) -> bool {
        (self.class, self.methods) == GET && self.no_ack
    }

    fn is(&self, class: u16, method: u16) -> bool {
        self.class == class && self.methods.contains(&method)
    }
}

/// Whether the method may take messages of the probe without a trace. None of these is made on
/// purpose, but a changed byte may make one.
fn forfeits(sent: &Method<'_>) -> bool {
    match sent {
        Method::Other(AMQPClass::Queue(queue::AMQPMethod::Purge(m))) => m.queue.as_str() == PROBE,
        Method::Other(AMQPClass::Queue(queue::AMQPMethod::Delete(m))) => m.queue.as_str() == PROBE,
        Method::Other(AMQPClass::Queue(queue::AMQPMethod::Declare(m))) => m.queue.as_str() == PROBE,
        Method::Other(AMQPClass::Basic(basic::AMQPMethod::Consume(m))) => {
            m.queue.as_str() == PROBE && m.no_ack
        }
        _ => false,
    }
}

/// The answer to a method, if one is asked for (spec 1.3; RabbitMQ: `no-wait`).
fn answer_to(sent: &Method<'_>) -> Option<Answer> {
    let id = sent.id();
    let mut no_ack = false;
    let waits = match sent {
        Method::Publish(_) | Method::Ack { .. } | Method::Nack { .. } | Method::Reject { .. } => {
            false
        }
        Method::Qos(_) => true,
        Method::Other(AMQPClass::Channel(method)) => matches!(
            method,
            channel::AMQPMethod::Open(_)
                | channel::AMQPMethod::Flow(_)
                | channel::AMQPMethod::Close(_)
        ),
        Method::Other(AMQPClass::Exchange(method)) => match method {
            exchange::AMQPMethod::Declare(m) => !m.nowait,
            exchange::AMQPMethod::Delete(m) => !m.nowait,
            exchange::AMQPMethod::Bind(m) => !m.nowait,
            exchange::AMQPMethod::Unbind(m) => !m.nowait,
            _ => false,
        },
        Method::Other(AMQPClass::Queue(method)) => match method {
            queue::AMQPMethod::Declare(m) => !m.nowait,
            queue::AMQPMethod::Bind(m) => !m.nowait,
            queue::AMQPMethod::Unbind(_) => true,
            queue::AMQPMethod::Purge(m) => !m.nowait,
            queue::AMQPMethod::Delete(m) => !m.nowait,
            _ => false,
        },
        Method::Other(AMQPClass::Basic(method)) => match method {
            basic::AMQPMethod::Consume(m) => {
                no_ack = m.no_ack;
                !m.nowait
            }
            basic::AMQPMethod::Cancel(m) => !m.nowait,
            basic::AMQPMethod::Get(m) => {
                let (class, methods) = GET;
                return Some(Answer {
                    class,
                    methods,
                    no_ack: m.no_ack,
                });
            }
            basic::AMQPMethod::Recover(_) => true,
            _ => false,
        },
        Method::Other(AMQPClass::Access(method)) => {
            matches!(method, access::AMQPMethod::Request(_))
        }
        Method::Other(AMQPClass::Confirm(confirm::AMQPMethod::Select(m))) => !m.nowait,
        Method::Other(AMQPClass::Tx(method)) => matches!(
            method,
            tx::AMQPMethod::Select(_) | tx::AMQPMethod::Commit(_) | tx::AMQPMethod::Rollback(_)
        ),
        Method::Other(_) => false,
    };
    // exchange.unbind-ok alone does not follow its request by one.
    let ok = if (id.class, id.method) == (40, 40) {
        51
    } else {
        id.method + 1
    };
    waits.then_some(Answer {
        class: id.class,
        methods: [ok; 2],
        no_ack,
    })
}
