//! A message: immutable after publish except for the one atomic that tells the store whether it
//! still has to be written.
//!
//! Where a message is, and how often it was delivered, does not belong here: its queue knows that.

mod stored;

pub use stored::Parts;

use bytes::Bytes;
use leveret_protocol::content::{Property, parse_expiration, property};
use smallvec::SmallVec;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

/// Bodies up to this many bytes are copied next to the properties, so that a small message is one
/// piece of memory; larger ones have their own memory, or are most of a read buffer.
pub const INLINE_BODY_MAX: usize = 4096;

/// A head up to this many bytes is stored in the message itself, so that a small message is one allocation: chosen so
/// that the message with its counts fills one of the allocator's sizes (96 bytes).
const HEAD_INLINE: usize = 56;

/// Exchange, routing key, raw properties and, when small, the body.
type Head = SmallVec<[u8; HEAD_INLINE]>;

/// Bytes of a shared message with its two reference counts, head inline.
const SHARED_SIZE: usize = size_of::<Message>() + 2 * size_of::<usize>();
/// Bytes that a large body takes besides itself: its handle, and the counts of whoever shares it.
const LARGE_BODY_SIZE: usize = size_of::<Bytes>() + 3 * size_of::<usize>();

/// The state of a message's write to the store; see [`Message::cancel_write`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum WriteState {
    /// Not written; an acknowledgement can still avoid the write.
    Pending = 0,
    /// Acknowledged before it was written.
    Cancelled = 1,
    /// The store writes or wrote it.
    Claimed = 2,
}

impl WriteState {
    fn of(cancellable: bool) -> Self {
        match cancellable {
            true => WriteState::Pending,
            false => WriteState::Claimed,
        }
    }
}

/// A published message.
#[derive(Debug)]
pub struct Message {
    head: Head,
    exchange_len: u8,
    routing_key_len: u8,
    properties_len: u32,
    /// The body, if it is not in `head`. Boxed: most messages are small, and a queue's memory is mostly the size of its
    /// messages.
    large_body: Option<Box<Bytes>>,
    marks: u8,
    write: AtomicU8,
}

/// [`Message::persistent`], in a message's marks.
const MARK_PERSISTENT: u8 = 1;
/// [`Message::is_letter`].
const MARK_LETTER: u8 = 2;
/// [`Message::pins`].
const MARK_PINS: u8 = 4;
/// It has the property `expiration`.
const MARK_EXPIRES: u8 = 8;

/// Collects the parts of a message as its frames arrive.
#[derive(Debug)]
pub struct MessageBuilder {
    /// `delivery_mode` 2.
    pub persistent: bool,
    head: Head,
    exchange_len: u8,
    routing_key_len: u8,
    properties_len: u32,
    large_body: LargeBody,
    remaining: u64,
}

#[derive(Debug)]
enum LargeBody {
    /// The body goes into `head`.
    Inline,
    /// One frame held all of it.
    Whole(Bytes),
    /// Collected from several frames.
    Pieces(Vec<u8>),
}

/// A body frame had more bytes than the content header announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyOverrun;

impl MessageBuilder {
    /// Starts a message with a body of `body_size` bytes. The exchange's name and `routing_key` are
    /// short strings, so at most 255 bytes each.
    pub fn new(
        exchange: &[u8],
        routing_key: &[u8],
        properties: &[u8],
        persistent: bool,
        body_size: u64,
    ) -> Self {
        let inline = usize::try_from(body_size)
            .ok()
            .filter(|size| *size <= INLINE_BODY_MAX);
        let names = exchange.len() + routing_key.len();
        let mut head = Head::with_capacity(names + properties.len() + inline.unwrap_or(0));
        head.extend_from_slice(exchange);
        head.extend_from_slice(routing_key);
        head.extend_from_slice(properties);
        MessageBuilder {
            persistent,
            head,
            exchange_len: exchange.len() as u8,
            routing_key_len: routing_key.len() as u8,
            properties_len: properties.len() as u32,
            large_body: if inline.is_some() {
                LargeBody::Inline
            } else {
                LargeBody::Whole(Bytes::new())
            },
            remaining: body_size,
        }
    }

    /// Returns the raw property bytes.
    pub fn properties(&self) -> &[u8] {
        let start = usize::from(self.exchange_len) + usize::from(self.routing_key_len);
        &self.head[start..start + self.properties_len as usize]
    }

    /// Returns the bytes of the body that are still missing.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Returns whether body frames should be passed as [`Bytes`], to be kept without copying.
    pub fn keeps_frames(&self) -> bool {
        !matches!(self.large_body, LargeBody::Inline)
    }

    /// Adds a piece of a body that is copied anyway.
    ///
    /// # Errors
    /// If the piece is longer than what is missing.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), BodyOverrun> {
        self.take_from_remaining(piece.len())?;
        match &mut self.large_body {
            LargeBody::Inline => self.head.extend_from_slice(piece),
            LargeBody::Whole(_) => {
                let mut pieces = Vec::new();
                extend(&mut pieces, piece, self.remaining);
                self.large_body = LargeBody::Pieces(pieces);
            }
            LargeBody::Pieces(pieces) => extend(pieces, piece, self.remaining),
        }
        Ok(())
    }

    /// Adds a piece, which is kept without copying if it is the whole body.
    ///
    /// # Errors
    /// If the piece is longer than what is missing.
    pub fn push_frame(&mut self, piece: Bytes) -> Result<(), BodyOverrun> {
        let is_whole = self.remaining == piece.len() as u64;
        if is_whole && matches!(&self.large_body, LargeBody::Whole(first) if first.is_empty()) {
            self.remaining = 0;
            self.large_body = LargeBody::Whole(piece);
            return Ok(());
        }
        self.push(&piece)
    }

    /// Returns the memory that the unfinished message takes, in bytes.
    pub fn weight(&self) -> u64 {
        let head = if self.head.spilled() {
            self.head.capacity()
        } else {
            0
        };
        let body = match &self.large_body {
            LargeBody::Inline => 0,
            LargeBody::Whole(body) => body.len(),
            LargeBody::Pieces(pieces) => pieces.capacity(),
        };
        (size_of::<Self>() + head + body) as u64
    }

    fn take_from_remaining(&mut self, len: usize) -> Result<(), BodyOverrun> {
        self.remaining = self.remaining.checked_sub(len as u64).ok_or(BodyOverrun)?;
        Ok(())
    }

    /// Returns the complete message. `cancellable` means that it goes to at most one durable queue,
    /// so an early acknowledgement can avoid its write.
    pub fn finish(self, cancellable: bool) -> Message {
        let names = usize::from(self.exchange_len) + usize::from(self.routing_key_len);
        let marks = marks(self.persistent, &self.head[names..]);
        Message {
            head: self.head,
            exchange_len: self.exchange_len,
            routing_key_len: self.routing_key_len,
            properties_len: self.properties_len,
            large_body: match self.large_body {
                LargeBody::Inline => None,
                LargeBody::Whole(body) => Some(Box::new(body)),
                LargeBody::Pieces(pieces) => Some(Box::new(pieces.into())),
            },
            marks,
            write: AtomicU8::new(WriteState::of(cancellable) as u8),
        }
    }
}

/// Adds a piece to a body of which `remaining` bytes are missing: capacity doubles as usual, but never exceeds the
/// body.
fn extend(pieces: &mut Vec<u8>, piece: &[u8], remaining: u64) {
    let len = pieces.len() + piece.len();
    if len > pieces.capacity() {
        let total = usize::try_from(remaining).map_or(usize::MAX, |rest| len.saturating_add(rest));
        let wanted = len.max(2 * pieces.capacity()).min(total);
        pieces.reserve_exact(wanted - pieces.len());
    }
    pieces.extend_from_slice(piece);
}

/// Returns the marks of a message with these properties, which may be followed by something else.
fn marks(persistent: bool, properties: &[u8]) -> u8 {
    let expires = properties
        .first()
        .is_some_and(|flags| flags & EXPIRATION_FLAG != 0);
    let mark = |is_set, mark| if is_set { mark } else { 0 };
    mark(persistent, MARK_PERSISTENT) | mark(expires, MARK_EXPIRES)
}

/// The flag of the property `expiration` in the first byte of the properties.
const EXPIRATION_FLAG: u8 = 1;

impl Message {
    /// Creates a message with a body of at most [`INLINE_BODY_MAX`] bytes, as [`MessageBuilder`] would make it of one
    /// piece; the names are at most 255 bytes each, `cancellable` is as for [`MessageBuilder::finish`].
    pub fn small(
        names: (&[u8], &[u8]),
        properties: &[u8],
        body: &[u8],
        persistent: bool,
        cancellable: bool,
    ) -> SharedMessage {
        let (exchange, routing_key) = names;
        let len = exchange.len() + routing_key.len() + properties.len() + body.len();
        let parts = [exchange, routing_key, properties, body];
        let head = if len <= HEAD_INLINE {
            // By hand: a growing `SmallVec` reads its length right after the previous part was written, which stalls
            // the processor each time.
            let (mut inline, mut at) = ([0; HEAD_INLINE], 0);
            for part in parts {
                inline[at..at + part.len()].copy_from_slice(part);
                at += part.len();
            }
            Head::from_buf_and_len(inline, len)
        } else {
            let mut head = Head::with_capacity(len);
            for part in parts {
                head.extend_from_slice(part);
            }
            head
        };
        Arc::new(Message {
            head,
            exchange_len: exchange.len() as u8,
            routing_key_len: routing_key.len() as u8,
            properties_len: properties.len() as u32,
            large_body: None,
            marks: marks(persistent, properties),
            write: AtomicU8::new(WriteState::of(cancellable) as u8),
        })
    }

    /// Returns the name of the exchange it was published to; empty for the default exchange.
    pub fn exchange(&self) -> &[u8] {
        &self.head[..usize::from(self.exchange_len)]
    }

    /// Returns the routing key it was published with.
    pub fn routing_key(&self) -> &[u8] {
        let start = usize::from(self.exchange_len);
        &self.head[start..start + usize::from(self.routing_key_len)]
    }

    /// Returns the raw property bytes of its content header, flags first.
    pub fn properties(&self) -> &[u8] {
        let start = usize::from(self.exchange_len) + usize::from(self.routing_key_len);
        &self.head[start..start + self.properties_len as usize]
    }

    /// Returns the body.
    pub fn body(&self) -> &[u8] {
        match &self.large_body {
            None => {
                let names = usize::from(self.exchange_len) + usize::from(self.routing_key_len);
                &self.head[names + self.properties_len as usize..]
            }
            Some(body) => body,
        }
    }

    /// Returns the memory it takes in bytes: names, properties, body and bookkeeping. Everything that holds messages
    /// counts by this; the length of the body is only what clients see.
    pub fn weight(&self) -> u64 {
        let head = if self.head.spilled() {
            self.head.capacity()
        } else {
            0
        };
        let body = self.large_body.as_ref();
        let body = body.map_or(0, |body| LARGE_BODY_SIZE + body.len());
        (SHARED_SIZE + head + body) as u64
    }

    /// Returns whether its body is a slice of a much larger buffer, all of which it keeps in memory. That is good for a
    /// message on its way to a consumer; one that stays must be [`Message::cut_out`].
    pub fn pins(&self) -> bool {
        self.marks & MARK_PINS != 0
    }

    /// See [`Message::pins`].
    pub fn mark_pinning(&mut self) {
        self.marks |= MARK_PINS;
    }

    /// Gives a message that stays a body of its own, unless it is shared.
    #[inline]
    pub fn cut_out(this: &mut SharedMessage) {
        if this.pins()
            && let Some(message) = Arc::get_mut(this)
        {
            message.marks &= !MARK_PINS;
            if let Some(body) = &mut message.large_body {
                **body = Bytes::copy_from_slice(body);
            }
        }
    }

    /// Returns the body as shared memory, if it is large enough to be written without copying.
    pub fn large_body(&self) -> Option<&Bytes> {
        self.large_body.as_deref()
    }

    /// Returns whether it is persistent (`delivery_mode` 2).
    pub fn persistent(&self) -> bool {
        self.marks & MARK_PERSISTENT != 0
    }

    /// Returns whether the broker made it from a dead letter: only then are its death headers the
    /// broker's and not a client's.
    pub fn is_letter(&self) -> bool {
        self.marks & MARK_LETTER != 0
    }

    /// Returns the same message, as a dead letter.
    pub fn into_letter(self) -> Message {
        Message {
            marks: self.marks | MARK_LETTER,
            ..self
        }
    }

    /// Returns how long it may wait in a queue, by its `expiration` property.
    #[inline]
    pub fn expiration(&self) -> Option<Duration> {
        // Few messages have the property: the others are not parsed.
        match self.marks & MARK_EXPIRES {
            0 => None,
            _ => self.parsed_expiration(),
        }
    }

    fn parsed_expiration(&self) -> Option<Duration> {
        let text = property(self.properties(), Property::Expiration)?;
        // Checked when the message was published.
        parse_expiration(text).ok().map(Duration::from_millis)
    }

    /// Returns the `priority` property, parsed on demand: only queues with priorities need it.
    pub fn priority(&self) -> Option<u8> {
        property(self.properties(), Property::Priority)?
            .first()
            .copied()
    }

    /// Returns the same message with other properties (raw, flags first), not written yet; a large
    /// body is shared. `cancellable` as for [`MessageBuilder::finish`].
    pub fn with_properties(&self, properties: &[u8], cancellable: bool) -> Message {
        self.forwarded(self.exchange(), self.routing_key(), properties, cancellable)
    }

    /// Returns the same message as if published with another exchange, routing key (at most 255
    /// bytes) and properties; see [`Message::with_properties`].
    pub fn forwarded(
        &self,
        exchange: &[u8],
        key: &[u8],
        properties: &[u8],
        cancellable: bool,
    ) -> Message {
        let body = self.body();
        let size = body.len() as u64;
        let persistent = self.persistent();
        let mut builder = MessageBuilder::new(exchange, key, properties, persistent, size);
        // The lengths match, so neither can fail.
        let _ = match &self.large_body {
            None => builder.push(body),
            Some(large) => builder.push_frame(Bytes::clone(large)),
        };
        let finished = builder.finish(cancellable);
        Message {
            marks: (self.marks & !MARK_EXPIRES) | finished.marks,
            ..finished
        }
    }

    /// Tells the store that the message need not be written, because it was acknowledged. Returns
    /// false if the store has claimed it: then the acknowledgement must be stored.
    pub fn cancel_write(&self) -> bool {
        self.swap_write(WriteState::Pending, WriteState::Cancelled)
    }

    /// Returns whether the store has claimed the message for writing: then it can be read back there as soon as what
    /// was submitted before is committed.
    pub fn is_claimed(&self) -> bool {
        self.write.load(Ordering::Acquire) == WriteState::Claimed as u8
    }

    /// Returns a copy of the message for another queue, with a write of its own that can be
    /// cancelled. A large body is shared.
    pub fn separate(&self) -> Message {
        Message {
            head: self.head.clone(),
            exchange_len: self.exchange_len,
            routing_key_len: self.routing_key_len,
            properties_len: self.properties_len,
            large_body: self.large_body.clone(),
            marks: self.marks,
            write: AtomicU8::new(WriteState::Pending as u8),
        }
    }

    fn swap_write(&self, from: WriteState, to: WriteState) -> bool {
        self.write
            .compare_exchange(from as u8, to as u8, Ordering::AcqRel, Ordering::Acquire)
            .is_ok()
    }
}

/// A message shared by queues.
pub type SharedMessage = Arc<Message>;

#[cfg(test)]
mod tests;
