//! A strict reader of what the server says: every frame well-formed and within the agreed size,
//! contents whole, answers in the order of the requests, deliveries for consumers that there are,
//! delivery tags without a gap, confirms for what was published and each once.

use super::probe;
use super::sent::Sent;
use leveret_protocol::classes::{AMQPClass, basic, channel, connection};
use leveret_protocol::content::{CLASS_BASIC, ContentHeader, HEADER_LEN, PropertyIndex};
use leveret_protocol::frame::{self, FrameKind, PROTOCOL_HEADER, Split};
use leveret_protocol::method::{self, Method};
use std::collections::{BTreeMap, BTreeSet};

/// What a client has heard.
#[derive(Debug, Default)]
pub(super) struct Heard {
    octets: Vec<u8>,
    frames: u64,
    on: BTreeMap<u16, HeardOn>,
    /// The server has closed the connection, or answered our close.
    pub(super) closed: bool,
    /// The last word was said: nothing may follow.
    ended: bool,
    /// Channels that the server has closed, not looked at yet.
    pub(super) closed_channels: Vec<u16>,
    /// Messages of the probe, and how they came.
    pub(super) probes: Vec<(u64, Came)>,
}

/// How a message came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Came {
    pub(super) channel: u16,
    pub(super) tag: u64,
    pub(super) no_ack: bool,
}

/// What was heard on one channel.
#[derive(Debug, Default)]
struct HeardOn {
    /// The server closed it, or answered our close.
    closed: bool,
    content: Option<Content>,
    last_tag: u64,
    /// Deliveries that wait for an answer.
    outstanding: BTreeSet<u64>,
    /// Whether their deliveries need no acknowledgement.
    consumers: BTreeMap<String, bool>,
    confirmed: Confirmed,
    returns: u64,
}

/// Content that is not whole yet.
#[derive(Debug)]
struct Content {
    came: Option<Came>,
    size: Option<u64>,
    body: Vec<u8>,
}

/// Which publishes were confirmed: all up to `through`, and some behind.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    through: u64,
    behind: BTreeSet<u64>,
}

impl Heard {
    /// Reads on. `frame_max` is what both agreed on, 0 for no limit.
    pub(super) fn add(&mut self, octets: &[u8], frame_max: u32, sent: &mut Sent) {
        assert!(octets.is_empty() || !self.ended, "more after the last word");
        self.octets.extend_from_slice(octets);
        if self.frames == 0 && self.octets.starts_with(&PROTOCOL_HEADER[..4]) {
            if self.octets.len() >= 8 {
                assert_eq!(self.octets, PROTOCOL_HEADER, "nothing stands behind it");
            }
            return;
        }
        let octets = std::mem::take(&mut self.octets);
        let mut at = 0;
        loop {
            match frame::split(&octets[at..], 0).expect("a frame") {
                Split::Need(_) => break,
                Split::Whole(found) => {
                    let total = found.total();
                    assert!(
                        frame_max == 0 || total <= frame_max as usize,
                        "{total} octets in a frame"
                    );
                    assert!(!self.ended, "a frame after the last word");
                    let payload = &octets[at..][found.payload()];
                    self.frame(found.kind, found.channel.0, payload, sent);
                    self.frames += 1;
                    at += total;
                }
            }
        }
        self.octets = octets[at..].to_vec();
    }

    /// Nothing may be left in the middle when all was read.
    pub(super) fn is_between_frames(&self) -> bool {
        (self.octets.is_empty() || self.octets == PROTOCOL_HEADER)
            && self.on.values().all(|on| on.content.is_none())
    }

    pub(super) fn outstanding(&self, channel: u16) -> Vec<u64> {
        let on = self.on.get(&channel);
        on.map(|on| on.outstanding.iter().copied().collect())
            .unwrap_or_default()
    }

    /// A delivery was answered.
    pub(super) fn settled(&mut self, channel: u16, tag: u64, multiple: bool) {
        if let Some(on) = self.on.get_mut(&channel) {
            on.outstanding
                .retain(|t| *t != tag && !(multiple && *t < tag));
        }
    }

    /// How many publishes were confirmed on a channel.
    pub(super) fn confirmed(&self, channel: u16) -> u64 {
        self.on.get(&channel).map_or(0, |on| on.confirmed.count())
    }

    fn frame(&mut self, kind: FrameKind, channel: u16, payload: &[u8], sent: &mut Sent) {
        match kind {
            FrameKind::Heartbeat => assert_eq!((channel, payload), (0, &[][..])),
            FrameKind::Method => {
                let payload = with_plain_key(payload);
                let method = method::decode(&payload).expect("a method");
                match channel {
                    0 => self.connection_method(&method),
                    _ => self.channel_method(channel, &method, sent),
                }
            }
            FrameKind::Header | FrameKind::Body => {
                let on = self.on.get_mut(&channel).expect("content on a channel");
                let content = on.content.as_mut().expect("a method before content");
                content.add(kind, payload);
                if content.size == Some(content.body.len() as u64) {
                    let content = on.content.take().expect("there is content");
                    self.whole(channel, content);
                }
            }
        }
    }

    fn whole(&mut self, channel: u16, content: Content) {
        let Some(came) = content.came else { return };
        if !came.no_ack {
            let on = self.on.get_mut(&channel).expect("content on a channel");
            on.outstanding.insert(came.tag);
        }
        if let Some(id) = probe::read(&content.body) {
            self.probes.push((id, came));
        }
    }

    fn connection_method(&mut self, method: &Method<'_>) {
        use connection::AMQPMethod as M;
        let Method::Other(AMQPClass::Connection(method)) = method else {
            panic!("{method:?} on channel 0");
        };
        match method {
            M::Start(_) => assert_eq!(self.frames, 0),
            M::Tune(_) | M::OpenOk(_) | M::UpdateSecretOk(_) | M::Blocked(_) | M::Unblocked(_) => {
                assert!(!self.closed, "{method:?} after connection.close");
            }
            M::Close(close) => {
                assert!(close.reply_code >= 300 && !close.reply_text.as_str().is_empty());
                self.closed = true;
            }
            M::CloseOk(_) => (self.closed, self.ended) = (true, true),
            other => panic!("a server does not send {other:?}"),
        }
    }

    fn channel_method(&mut self, id: u16, method: &Method<'_>, sent: &mut Sent) {
        use basic::AMQPMethod as B;
        use channel::AMQPMethod as C;
        assert!(!self.closed, "{method:?} after connection.close");
        let lenient = sent.closes;
        let numbers = method.id();
        let sent = sent.on(id);
        let on = self.on.entry(id).or_default();
        assert!(on.content.is_none(), "{method:?} inside of content");
        match method {
            Method::Ack { tag, multiple } | Method::Nack { tag, multiple, .. } => {
                assert!(!on.closed, "a confirm on a closed channel");
                on.confirmed.add(tag.0, *multiple, sent.publishes);
                return;
            }
            Method::Other(AMQPClass::Channel(C::Close(close))) => {
                assert!(close.reply_code >= 300 && !close.reply_text.as_str().is_empty());
                assert!(!on.closed, "closed twice: {close:?}");
                on.closed = true;
                sent.closed_by_server();
                self.closed_channels.push(id);
                return;
            }
            Method::Other(AMQPClass::Basic(B::Deliver(_) | B::Return(_) | B::Cancel(_))) => {
                assert!(!on.closed, "{method:?} on a closed channel");
                on.unasked(id, method, sent);
                return;
            }
            _ => {}
        }
        let asked = sent.answered(numbers.class, numbers.method, lenient);
        let asked = asked.unwrap_or_else(|| {
            panic!(
                "on channel {id} nobody asked for {method:?}: {}",
                sent.describe()
            )
        });
        on.answer(id, method, asked.no_ack);
    }
}

/// A routing key may be any bytes; the reader takes UTF-8 only.
fn with_plain_key(payload: &[u8]) -> Vec<u8> {
    let mut plain = payload.to_vec();
    let after = |at: usize| at + 1 + usize::from(payload[at]);
    let key = match method::peek_id(payload) {
        Some(method::BASIC_DELIVER) => after(after(4) + 9),
        Some(method::BASIC_RETURN) => after(after(6)),
        Some(method::BASIC_GET_OK) => after(4 + 9),
        _ => return plain,
    };
    for octet in &mut plain[key + 1..after(key)] {
        *octet = (*octet).min(b'~');
    }
    plain
}

impl HeardOn {
    /// What the server says by itself.
    fn unasked(&mut self, channel: u16, method: &Method<'_>, sent: &super::sent::SentOn) {
        use basic::AMQPMethod as B;
        let Method::Other(AMQPClass::Basic(method)) = method else {
            return;
        };
        match method {
            B::Deliver(deliver) => {
                let consumer = deliver.consumer_tag.as_str();
                let known = self.consumers.get(consumer).copied();
                let no_ack = known.or_else(|| sent.silent(consumer));
                let no_ack = no_ack.unwrap_or_else(|| panic!("no consumer {consumer}"));
                self.content(Some(Came {
                    channel,
                    tag: deliver.delivery_tag,
                    no_ack,
                }));
            }
            B::Return(returned) => {
                assert!([312, 313].contains(&returned.reply_code));
                self.returns += 1;
                assert!(self.returns <= sent.mandatory, "nothing was to be returned");
                self.content(None);
            }
            B::Cancel(cancel) => {
                let consumer = cancel.consumer_tag.as_str();
                let known = self.consumers.remove(consumer).is_some();
                assert!(
                    known || sent.silent(consumer).is_some(),
                    "no consumer {consumer}"
                );
            }
            _ => {}
        }
    }

    fn answer(&mut self, channel: u16, method: &Method<'_>, no_ack: bool) {
        use basic::AMQPMethod as B;
        use channel::AMQPMethod as C;
        match method {
            Method::Other(AMQPClass::Channel(C::OpenOk(_))) => {
                *self = HeardOn {
                    returns: self.returns,
                    ..HeardOn::default()
                };
            }
            Method::Other(AMQPClass::Channel(C::CloseOk(_))) => self.closed = true,
            Method::Other(AMQPClass::Basic(B::ConsumeOk(ok))) => {
                self.consumers.insert(ok.consumer_tag.to_string(), no_ack);
            }
            Method::Other(AMQPClass::Basic(B::CancelOk(ok))) => {
                self.consumers.remove(ok.consumer_tag.as_str());
            }
            Method::Other(AMQPClass::Basic(B::GetOk(ok))) => {
                self.content(Some(Came {
                    channel,
                    tag: ok.delivery_tag,
                    no_ack,
                }));
            }
            _ => {}
        }
        let reopens = matches!(method, Method::Other(AMQPClass::Channel(_)));
        assert!(!self.closed || reopens, "{method:?} on a closed channel");
    }

    fn content(&mut self, came: Option<Came>) {
        if let Some(came) = came {
            assert_eq!(came.tag, self.last_tag + 1, "delivery tags have no gaps");
            self.last_tag = came.tag;
        }
        self.content = Some(Content {
            came,
            size: None,
            body: Vec::new(),
        });
    }
}

impl Content {
    fn add(&mut self, kind: FrameKind, payload: &[u8]) {
        if kind == FrameKind::Header {
            assert_eq!(self.size, None, "a second header");
            let header = ContentHeader::decode(payload).expect("a content header");
            assert_eq!(header.class, CLASS_BASIC);
            assert!(
                PropertyIndex::scan(&payload[HEADER_LEN..]).is_some(),
                "sound properties"
            );
            self.size = Some(header.body_size);
            return;
        }
        let size = self.size.expect("a header before the body");
        assert!(!payload.is_empty(), "an empty body frame");
        self.body.extend_from_slice(payload);
        assert!(self.body.len() as u64 <= size, "more body than announced");
    }
}

impl Confirmed {
    pub(super) fn count(&self) -> u64 {
        self.through + self.behind.len() as u64
    }

    pub(super) fn add(&mut self, tag: u64, multiple: bool, published: u64) {
        assert!(
            tag > self.through && !self.behind.contains(&tag),
            "{tag} was confirmed before"
        );
        assert!(tag <= published, "{tag} was not published yet");
        if multiple {
            self.through = tag;
            self.behind.retain(|behind| *behind > tag);
        } else {
            self.behind.insert(tag);
        }
        while self.behind.remove(&(self.through + 1)) {
            self.through += 1;
        }
    }
}
