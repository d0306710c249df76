//! One connection to a broker: bytes out, the broker's frames in, sorted by channel.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use super::fields;
use super::item::{Content, FRAME_BODY, FRAME_HEADER, FRAME_METHOD, Item};
use super::value::{Value, Wire};

const HEARTBEAT: u8 = 8;

/// A connection.
pub(super) struct Peer {
    stream: TcpStream,
    read: Vec<u8>,
    arrived: BTreeMap<u16, VecDeque<Item>>,
    /// Content whose frames are still coming, with the octets of body that are missing.
    coming: BTreeMap<u16, (Item, Option<u64>)>,
    open: BTreeSet<u16>,
    /// Channels in the middle of a content that is sent by hand, with what is missing of it.
    sending: BTreeMap<u16, Option<u64>>,
    /// Channels in confirm mode, with the publishes that wait for theirs.
    unconfirmed: BTreeMap<u16, Unconfirmed>,
    /// Whether close is answered at once.
    answers_close: bool,
    ended: bool,
    /// Octets of the largest frame to send.
    pub(super) frame_max: usize,
}

#[derive(Default)]
struct Unconfirmed {
    published: u64,
    waiting: BTreeSet<u64>,
}

impl Peer {
    /// Opens the socket and sends nothing.
    pub(super) fn dial(address: &str, answers_close: bool) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        stream
            .set_nodelay(true)
            .and_then(|()| stream.set_write_timeout(Some(Duration::from_secs(20))))
            .map_err(|error| error.to_string())?;
        Ok(Peer {
            stream,
            read: Vec::new(),
            arrived: BTreeMap::new(),
            coming: BTreeMap::new(),
            open: BTreeSet::new(),
            sending: BTreeMap::new(),
            unconfirmed: BTreeMap::new(),
            answers_close,
            ended: false,
            frame_max: 131_072,
        })
    }

    /// The port of this end and of the broker's.
    pub(super) fn ports(&self) -> Result<(u16, u16), String> {
        let ports = || -> std::io::Result<(u16, u16)> {
            let ours = self.stream.local_addr()?.port();
            Ok((ours, self.stream.peer_addr()?.port()))
        };
        ports().map_err(|error| error.to_string())
    }

    /// The channels that are open and in the middle of nothing.
    pub(super) fn idle_channels(&self) -> Vec<u16> {
        let idle = |channel: &u16| !self.sending.contains_key(channel);
        match self.ended {
            true => Vec::new(),
            false => self.open.iter().copied().filter(idle).collect(),
        }
    }

    /// What has come on any channel and was not taken.
    pub(super) fn leftovers(&mut self) -> Vec<(u16, Item)> {
        let arrived = std::mem::take(&mut self.arrived).into_iter();
        arrived
            .flat_map(|(channel, items)| items.into_iter().map(move |item| (channel, item)))
            .collect()
    }

    /// Sends. A broker that has closed meanwhile is no failure: what it said shows it.
    pub(super) fn send(&mut self, channel: u16, item: &Item) {
        self.note_sent(channel, item);
        let _ = self.stream.write_all(&item.encode(channel, self.frame_max));
    }

    fn note_sent(&mut self, channel: u16, item: &Item) {
        let whole = match item {
            Item::Method {
                method, content, ..
            } => match (method.name, content) {
                ("confirm.select", _) => {
                    self.unconfirmed.entry(channel).or_default();
                    false
                }
                ("basic.publish", None) => {
                    self.sending.insert(channel, None);
                    false
                }
                ("basic.publish", Some(_)) => true,
                _ => false,
            },
            Item::Header { size, .. } => self.sending_needs(channel, *size),
            Item::Frame { kind, payload, .. } if *kind == FRAME_BODY => {
                let missing = self.sending.get(&channel).copied().flatten();
                let sent = payload.len() as u64;
                missing
                    .is_some_and(|octets| self.sending_needs(channel, octets.saturating_sub(sent)))
            }
            _ => false,
        };
        if whole && let Some(unconfirmed) = self.unconfirmed.get_mut(&channel) {
            unconfirmed.published += 1;
            unconfirmed.waiting.insert(unconfirmed.published);
        }
    }

    /// Whether a content that is sent by hand is whole when it needs so many octets more.
    fn sending_needs(&mut self, channel: u16, octets: u64) -> bool {
        if octets > 0 {
            self.sending.insert(channel, Some(octets));
            return false;
        }
        self.sending.remove(&channel).is_some()
    }

    /// The next thing said on a channel; when the connection is closed instead, that. `None` when
    /// nothing comes in time.
    pub(super) fn next(
        &mut self,
        channel: u16,
        until: Instant,
    ) -> Result<Option<(u16, Item)>, String> {
        loop {
            if let Some(item) = self.arrived.entry(channel).or_default().pop_front() {
                return Ok(Some((channel, item)));
            }
            let closing = self.arrived.get(&0).and_then(VecDeque::front);
            let closing = closing.is_some_and(|item| match item {
                Item::Eof => true,
                item => item.method().is_some_and(|m| m.name == "connection.close"),
            });
            if closing {
                let item = self.arrived.entry(0).or_default().pop_front();
                return Ok(item.map(|item| (0, item)));
            }
            if self.ended || !self.receive(until)? {
                return Ok(None);
            }
        }
    }

    /// Reads from the socket; `false` when nothing comes in time.
    fn receive(&mut self, until: Instant) -> Result<bool, String> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(false);
        }
        let timeout = self.stream.set_read_timeout(Some(left));
        timeout.map_err(|error| error.to_string())?;
        let mut buffer = [0; 1 << 16];
        match self.stream.read(&mut buffer) {
            Ok(octets) if octets > 0 => self.read.extend_from_slice(&buffer[..octets]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
            // A reset is an end as good as any.
            _ => {
                self.ended = true;
                self.say(0, Item::Eof);
            }
        }
        while let Some((kind, channel, payload)) = self.whole_frame() {
            self.frame(kind, channel, &payload)?;
        }
        Ok(true)
    }

    fn whole_frame(&mut self) -> Option<(u8, u16, Vec<u8>)> {
        if self.read.starts_with(b"AMQP") {
            if self.read.len() < 8 {
                return None;
            }
            let header = self.read.drain(..8).collect();
            self.say(0, Item::Bytes(header));
        }
        let mut wire = Wire(&self.read);
        let kind = wire.number(1).ok()? as u8;
        let channel = wire.number(2).ok()? as u16;
        let size = wire.number(4).ok()? as usize;
        let payload = wire.take(size).ok()?.to_vec();
        wire.take(1).ok()?;
        self.read.drain(..size + 8);
        Some((kind, channel, payload))
    }

    fn say(&mut self, channel: u16, item: Item) {
        self.arrived.entry(channel).or_default().push_back(item);
    }

    fn frame(&mut self, kind: u8, channel: u16, payload: &[u8]) -> Result<(), String> {
        match kind {
            HEARTBEAT => Ok(()),
            FRAME_METHOD => {
                let item = Item::decode_method(payload)?;
                self.method(channel, item);
                Ok(())
            }
            FRAME_HEADER | FRAME_BODY => self.content(kind, channel, payload),
            other => Err(format!("a frame of type {other}")),
        }
    }

    fn method(&mut self, channel: u16, item: Item) {
        let Some(method) = item.method() else { return };
        match method.name {
            "channel.open-ok" => {
                self.open.insert(channel);
            }
            "channel.close-ok" => self.forget(channel),
            "channel.close" => {
                self.forget(channel);
                self.answer_close(channel, "channel.close-ok");
            }
            // Who closes the socket then, and when, is not looked at.
            "connection.close-ok" => self.open.clear(),
            "connection.close" => self.answer_close(channel, "connection.close-ok"),
            "basic.ack" | "basic.nack" => return self.confirms(channel, item),
            _ if method.has_content() => {
                self.coming.insert(channel, (item, None));
                return;
            }
            _ => {}
        }
        self.say(channel, item);
    }

    fn forget(&mut self, channel: u16) {
        self.open.remove(&channel);
        self.unconfirmed.remove(&channel);
        self.sending.remove(&channel);
    }

    fn answer_close(&mut self, channel: u16, name: &str) {
        if self.answers_close {
            let ok = Item::parse(name, false).expect("a method without fields");
            self.send(channel, &ok);
        }
    }

    /// A confirm of several publishes is shown as several confirms: how many a broker puts into
    /// one is chance.
    fn confirms(&mut self, channel: u16, item: Item) {
        let tag = match item.field("delivery-tag") {
            Some(Value::Integer(_, tag)) => *tag as u64,
            _ => 0,
        };
        let Some(unconfirmed) = self.unconfirmed.get_mut(&channel) else {
            return self.say(channel, item);
        };
        let mut due = vec![tag];
        if item.is_set("multiple") {
            due = unconfirmed.waiting.range(..=tag).copied().collect();
        }
        unconfirmed.waiting.retain(|tag| !due.contains(tag));
        let name = item.method().map_or("", |method| method.name);
        for tag in due {
            let one = Item::parse(&format!("{name} delivery-tag={tag}"), false);
            self.say(channel, one.expect("a method and its field"));
        }
    }

    fn content(&mut self, kind: u8, channel: u16, payload: &[u8]) -> Result<(), String> {
        let unexpected = || format!("content that belongs to nothing on channel {channel}");
        let (mut item, missing) = self.coming.remove(&channel).ok_or_else(unexpected)?;
        let Item::Method { content, .. } = &mut item else {
            return Err(unexpected());
        };
        let missing = match (kind, missing) {
            (FRAME_HEADER, None) => {
                let mut wire = Wire(payload);
                if (wire.number(2)?, wire.number(2)?) != (60, 0) {
                    return Err("a content header of another class or weight".to_owned());
                }
                let size = wire.number(8)?;
                *content = Some(Content {
                    properties: fields::decode_properties(&mut wire)?,
                    ..Content::default()
                });
                size
            }
            (FRAME_BODY, Some(missing)) => {
                let content = content.as_mut().ok_or_else(unexpected)?;
                content.body.extend(payload);
                content.frames.push(payload.len());
                let octets = payload.len() as u64;
                missing
                    .checked_sub(octets)
                    .ok_or("more body than its header said")?
            }
            _ => return Err(unexpected()),
        };
        if missing == 0 {
            self.say(channel, item);
        } else {
            self.coming.insert(channel, (item, Some(missing)));
        }
        Ok(())
    }
}
