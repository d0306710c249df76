//! The headers that say how a dead letter died (RabbitMQ: "Dead Letter Exchanges",
//! `rabbit_dead_letter`): `x-death`, one entry per queue and reason, the latest first, and
//! `x-first-death-*` and `x-last-death-*`.

use crate::engine::message::Message;
use crate::engine::queue::{DeadLetter, Origin, Reason};
use leveret_protocol::content::PropertyIndex;
use leveret_protocol::raw_table::{self, RawValue};
use smallvec::SmallVec;

const X_DEATH: &[u8] = b"x-death";
const CC: &[u8] = b"CC";
const FIRST: [&[u8]; 3] = [
    b"x-first-death-exchange",
    b"x-first-death-queue",
    b"x-first-death-reason",
];
/// As in RabbitMQ 4.
const LAST: [&[u8]; 3] = [
    b"x-last-death-exchange",
    b"x-last-death-queue",
    b"x-last-death-reason",
];
/// The number of queues of a cycle that are logged.
const LOGGED_MAX: usize = 16;
const HEADERS_FLAG: u8 = 1 << 5;
const EXPIRATION_FLAG: u8 = 1;

/// A message's death.
pub(super) struct Death<'a> {
    queue: &'a [u8],
    reason: Reason,
    message: &'a Message,
    /// The key it was published with, and those of its CC header. (Its BCC header is no longer
    /// known.)
    pub(super) routing_keys: SmallVec<[&'a [u8]; 4]>,
    /// Seconds since the epoch.
    time: u64,
    /// It continues with another routing key, and only that one.
    new_key: bool,
}

/// The deaths of a message, the latest first: queues, and whether a client rejected it there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deaths<'a>(SmallVec<[(&'a [u8], bool); 4]>);

impl Deaths<'_> {
    /// Returns whether the message has died in this queue before and no client has rejected it there or
    /// since, so that it would cycle forever.
    pub(super) fn would_cycle(&self, queue: &str) -> bool {
        for (known, rejected) in &self.0 {
            if *rejected {
                return false;
            }
            if *known == queue.as_bytes() {
                return true;
            }
        }
        false
    }

    /// Returns the names of the first of them, preceded by the queue that it would come to, for the
    /// log.
    pub(super) fn queues(&self, queue: &str) -> Vec<String> {
        let known = self.0.iter().take(LOGGED_MAX);
        let known = known.map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        std::iter::once(queue.to_owned()).chain(known).collect()
    }
}

/// Buffers for the properties of one letter after another.
#[derive(Debug, Default)]
pub(super) struct Buffers {
    /// Headers added by the broker.
    added: Vec<u8>,
    /// The properties.
    pub(super) properties: Vec<u8>,
}

/// A table entry: its name, and its whole encoding.
type Field<'a> = (&'a [u8], &'a [u8]);

impl<'a> Death<'a> {
    /// Creates the death of a letter at this time.
    pub(super) fn new(letter: &'a DeadLetter, origin: &'a Origin, time: u64) -> Self {
        let message = &letter.message;
        let mut routing_keys = SmallVec::from_slice(&[message.routing_key()]);
        let headers = PropertyIndex::scan(message.properties()).and_then(|index| index.headers);
        let headers = headers.and_then(|range| message.properties().get(range));
        let copies = headers.and_then(|table| raw_table::find(table, "CC"));
        if let Some(copies) = copies.filter(|value| value.kind == b'A') {
            let keys = raw_table::elements(copies.bytes).filter(|key| key.kind == b'S');
            routing_keys.extend(keys.map(|key| key.bytes));
        }
        Death {
            queue: origin.queue.as_str().as_bytes(),
            reason: letter.reason,
            message,
            routing_keys,
            time,
            new_key: origin.routing_key.is_some(),
        }
    }

    /// Writes the message's properties with this death recorded and without an expiration, by which
    /// the letter would die again. Returns all deaths of the message.
    pub(super) fn note(&self, buffers: &mut Buffers) -> Deaths<'a> {
        let properties = self.message.properties();
        // The properties were checked when the message was published.
        let index = PropertyIndex::scan(properties).unwrap_or_default();
        let expiration = index
            .expiration
            .and_then(|range| Some((properties.get(range.clone())?, range)));
        let table = index
            .headers
            .clone()
            .and_then(|range| properties.get(range));
        let at = index.headers.unwrap_or_else(|| {
            let at = before_headers(properties);
            at..at
        });
        let Buffers {
            added,
            properties: noted,
        } = buffers;
        added.clear();
        noted.clear();
        let [high, low] = properties.first_chunk().copied().unwrap_or([0, 0]);
        noted.extend([(high | HEADERS_FLAG) & !EXPIRATION_FLAG, low]);
        noted.extend_from_slice(properties.get(2..at.start).unwrap_or_default());
        let text = expiration.as_ref().map(|(text, _)| *text);
        let deaths = self.put_headers(table.unwrap_or_default(), text, added, noted);
        let mut rest = at.end;
        if let Some((_, text)) = expiration {
            // Including its length byte.
            noted.extend_from_slice(properties.get(rest..text.start - 1).unwrap_or_default());
            rest = text.end;
        }
        noted.extend_from_slice(properties.get(rest..).unwrap_or_default());
        deaths
    }

    /// Writes the headers table, with its length, sorted by name as RabbitMQ leaves it.
    fn put_headers(
        &self,
        table: &'a [u8],
        expiration: Option<&[u8]>,
        added: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Deaths<'a> {
        // A client's claims about earlier deaths do not count (RabbitMQ 4: deaths are annotations of the message, not
        // headers): it may be a new message whose headers were copied from a received one.
        let known = raw_table::find(table, "x-death").filter(|_| self.message.is_letter());
        let gone = |name: &[u8]| {
            name == X_DEATH
                || name == CC && self.new_key
                || LAST.contains(&name)
                || FIRST.contains(&name) && known.is_none()
        };
        let reason = self.reason.as_str().as_bytes();
        let values = [self.message.exchange(), self.queue, reason];
        let mut names: SmallVec<[(&[u8], usize); 7]> = SmallVec::new();
        let first = FIRST.into_iter().zip(values).filter(|_| known.is_none());
        for (name, value) in LAST.into_iter().zip(values).chain(first) {
            put_text(added, name, value);
            names.push((name, added.len()));
        }
        put_name(added, X_DEATH, b'A');
        let deaths = put_with_len(added, |out| self.put_array(known, expiration, out));
        names.push((X_DEATH, added.len()));

        let theirs = raw_table::entries(table).filter(|entry| !gone(entry.name));
        let mut fields: SmallVec<[Field<'_>; 16]> =
            theirs.map(|entry| (entry.name, entry.bytes)).collect();
        let mut start = 0;
        for (name, end) in names {
            fields.push((name, &added[start..end]));
            start = end;
        }
        fields.sort_by_key(|(name, _)| *name);
        put_with_len(out, |out| put_fields(out, &fields));
        deaths
    }

    /// Writes the array of deaths with this one in front: the entry of this queue and reason counts
    /// one more, or there is a new one.
    fn put_array(
        &self,
        known: Option<RawValue<'a>>,
        expiration: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Deaths<'a> {
        let elements = known.map_or(&[][..], |value| value.bytes);
        let tables = raw_table::elements(elements).filter(|element| element.kind == b'F');
        let mut others: SmallVec<[&[u8]; 4]> = SmallVec::new();
        let (mut deaths, mut same) = (Deaths::default(), None);
        deaths.0.push((self.queue, self.reason == Reason::Rejected));
        for element in tables {
            let of = |name| match raw_table::find_field(element.bytes, name) {
                Some(value) if value.kind == b'S' => value.bytes,
                _ => &[],
            };
            let (queue, reason) = (of("queue"), of("reason"));
            if queue == self.queue && reason == self.reason.as_str().as_bytes() {
                same = same.or(Some(element.bytes));
                continue;
            }
            let rejected = reason == Reason::Rejected.as_str().as_bytes();
            deaths.0.push((queue, rejected));
            others.push(element.bytes);
        }
        out.push(b'F');
        put_with_len(out, |out| match same {
            Some(entry) => put_counted_again(out, entry),
            None => self.put_entry(out, expiration, known.is_some()),
        });
        for other in others {
            out.push(b'F');
            put_prefixed(out, other);
        }
        deaths
    }

    /// Writes a new entry of the array; RabbitMQ sorts it unless it is the only one.
    fn put_entry(&self, out: &mut Vec<u8>, expiration: Option<&[u8]>, sorted: bool) {
        const ALONE: [&[u8]; 6] = [
            b"reason",
            b"queue",
            b"time",
            b"exchange",
            b"routing-keys",
            b"original-expiration",
        ];
        let mut names = ALONE;
        if sorted {
            names.sort_unstable();
        }
        put_count(out, 1);
        for name in names {
            match (name, expiration) {
                (b"reason", _) => put_text(out, name, self.reason.as_str().as_bytes()),
                (b"queue", _) => put_text(out, name, self.queue),
                (b"exchange", _) => put_text(out, name, self.message.exchange()),
                (b"time", _) => {
                    put_name(out, name, b'T');
                    out.extend(self.time.to_be_bytes());
                }
                (b"routing-keys", _) => {
                    put_name(out, name, b'A');
                    put_with_len(out, |out| self.put_keys(out));
                }
                (_, Some(text)) => put_text(out, name, text),
                (_, None) => {}
            }
        }
    }

    fn put_keys(&self, out: &mut Vec<u8>) {
        for key in &self.routing_keys {
            out.push(b'S');
            put_prefixed(out, key);
        }
    }
}

/// Writes the fields of an `x-death` entry, with its count incremented.
fn put_counted_again(out: &mut Vec<u8>, entry: &[u8]) {
    let before = raw_table::find_field(entry, "count").and_then(|count| count.integer());
    let before = before.and_then(|count| i64::try_from(count).ok());
    let mut count = Vec::new();
    put_count(&mut count, before.unwrap_or(0).saturating_add(1));
    let others = raw_table::fields(entry).filter(|field| field.name != b"count");
    let mut fields: SmallVec<[Field<'_>; 8]> =
        others.map(|field| (field.name, field.bytes)).collect();
    fields.push((b"count", &count));
    fields.sort_by_key(|(name, _)| *name);
    put_fields(out, &fields);
}

fn put_fields(out: &mut Vec<u8>, fields: &[Field<'_>]) {
    for (_, bytes) in fields {
        out.extend_from_slice(bytes);
    }
}

fn put_count(out: &mut Vec<u8>, count: i64) {
    put_name(out, b"count", b'l');
    out.extend(count.to_be_bytes());
}

fn put_text(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    put_name(out, name, b'S');
    put_prefixed(out, value);
}

/// Writes the name and type of a field. Names are ours, and short.
fn put_name(out: &mut Vec<u8>, name: &[u8], kind: u8) {
    out.push(name.len() as u8);
    out.extend_from_slice(name);
    out.push(kind);
}

/// Writes bytes with a length prefix. Nothing here is longer than the frames it came in, many times
/// over.
fn put_prefixed(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend((bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Like [`put_prefixed`], for what `write` writes.
fn put_with_len<T>(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let at = out.len();
    out.extend([0; 4]);
    let written = write(out);
    let len = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    written
}

/// Returns where headers begin in properties that have none: after content-type and
/// content-encoding.
fn before_headers(properties: &[u8]) -> usize {
    let flags = properties.first().copied().unwrap_or_default();
    let before = usize::from(flags >> 7) + usize::from(flags >> 6 & 1);
    (0..before).fold(2, |at, _| {
        at + 1 + properties.get(at).map_or(0, |len| usize::from(*len))
    })
}

#[cfg(test)]
mod tests;
