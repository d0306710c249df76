//! What a dead letter's headers say about how it died (RabbitMQ: "Dead Letter Exchanges",
//! `rabbit_dead_letter`): `x-death`, one entry per queue and reason, the latest first, and
//! `x-first-death-*` and `x-last-death-*`.

use crate::message::Message;
use crate::queue::{DeadLetter, Origin, Reason};
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
/// As RabbitMQ 4 has them.
const LAST: [&[u8]; 3] = [
    b"x-last-death-exchange",
    b"x-last-death-queue",
    b"x-last-death-reason",
];
/// Queues of a cycle that the log names.
const TOLD_MAX: usize = 16;
const HEADERS_FLAG: u8 = 1 << 5;
const EXPIRATION_FLAG: u8 = 1;

/// A message's death.
pub(super) struct Death<'a> {
    queue: &'a [u8],
    reason: Reason,
    message: &'a Message,
    /// The key it was published with, and those of its CC header. (What its BCC header said is not
    /// known any more.)
    pub(super) routing_keys: SmallVec<[&'a [u8]; 4]>,
    /// Seconds since the epoch.
    time: u64,
    /// It goes on with another routing key, and by that alone.
    new_key: bool,
}

/// The deaths of a message, the latest first: queues, and whether a client rejected it there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Deaths(Vec<(Vec<u8>, bool)>);

impl Deaths {
    /// Whether a queue has had the message before, and nobody has rejected it since or there: it
    /// would go round for ever.
    pub(super) fn would_go_round(&self, queue: &str) -> bool {
        for (known, rejected) in &self.0 {
            if *rejected {
                return false;
            }
            if known == queue.as_bytes() {
                return true;
            }
        }
        false
    }

    /// The names of the first of them behind that of the queue that it would come to, for the log.
    pub(super) fn queues(&self, queue: &str) -> Vec<String> {
        let known = self.0.iter().take(TOLD_MAX);
        let known = known.map(|(name, _)| String::from_utf8_lossy(name).into_owned());
        std::iter::once(queue.to_owned()).chain(known).collect()
    }
}

/// An entry of a table as it stands there: its name, and all of it.
type Field<'a> = (&'a [u8], Vec<u8>);

impl<'a> Death<'a> {
    /// The death of a letter at this time.
    pub(super) fn new(letter: &'a DeadLetter, origin: &'a Origin, time: u64) -> Self {
        let message = &letter.message;
        let mut routing_keys = SmallVec::from_slice(&[message.routing_key()]);
        let headers = PropertyIndex::scan(message.properties()).and_then(|index| index.headers);
        let headers = headers.and_then(|range| message.properties().get(range));
        let copies = headers.and_then(|table| raw_table::find(table, "CC"));
        if let Some(copies) = copies.filter(|value| value.kind == b'A') {
            let keys = raw_table::elements(copies.octets).filter(|key| key.kind == b'S');
            routing_keys.extend(keys.map(|key| key.octets));
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

    /// The properties of the message with this death noted in them, and without an expiration: the
    /// letter would die again by it.
    pub(super) fn noted(&self) -> (Vec<u8>, Deaths) {
        let properties = self.message.properties();
        // They were checked when the message was published.
        let index = PropertyIndex::scan(properties).unwrap_or_default();
        let expiration = index
            .expiration
            .and_then(|range| Some((properties.get(range.clone())?, range)));
        let table = index
            .headers
            .clone()
            .and_then(|range| properties.get(range));
        let (headers, deaths) = self.headers(
            table.unwrap_or_default(),
            expiration.as_ref().map(|(text, _)| *text),
        );
        let at = index.headers.unwrap_or_else(|| {
            let at = before_headers(properties);
            at..at
        });
        let mut noted = Vec::with_capacity(properties.len() + headers.len() + 2);
        let flags = properties.first_chunk().copied().unwrap_or([0, 0]);
        let [high, low] = flags;
        noted.extend([(high | HEADERS_FLAG) & !EXPIRATION_FLAG, low]);
        noted.extend(properties.get(2..at.start).unwrap_or_default());
        noted.extend(headers);
        match expiration {
            Some((_, text)) => {
                // With the octet of its length.
                noted.extend(properties.get(at.end..text.start - 1).unwrap_or_default());
                noted.extend(properties.get(text.end..).unwrap_or_default());
            }
            None => noted.extend(properties.get(at.end..).unwrap_or_default()),
        }
        (noted, deaths)
    }

    /// The headers table, with its length, sorted by name as RabbitMQ leaves it.
    fn headers(&self, table: &[u8], expiration: Option<&[u8]>) -> (Vec<u8>, Deaths) {
        // What a client says of deaths that its message had before is nothing (RabbitMQ 4: they are
        // annotations of the message, and no headers): it may be a new message, of which it copied the
        // headers from one that it had got.
        let known = raw_table::find(table, "x-death").filter(|_| self.message.is_letter());
        let gone = |name: &[u8]| {
            name == X_DEATH
                || name == CC && self.new_key
                || LAST.contains(&name)
                || FIRST.contains(&name) && known.is_none()
        };
        let entries = raw_table::entries(table).filter(|entry| !gone(entry.name));
        let mut fields: Vec<Field<'_>> = entries.map(|e| (e.name, e.octets.to_vec())).collect();
        let reason = self.reason.as_str().as_bytes();
        let values = [self.message.exchange(), self.queue, reason];
        for (name, value) in LAST.into_iter().zip(values) {
            fields.push(text(name, value));
        }
        if known.is_none() {
            for (name, value) in FIRST.into_iter().zip(values) {
                fields.push(text(name, value));
            }
        }
        let (array, deaths) = self.array(known, expiration);
        fields.push(field(X_DEATH, b'A', &array));
        fields.sort_by_key(|(name, _)| *name);
        (joined(&fields), deaths)
    }

    /// The array of deaths with this one in front: the entry of this queue and reason counts one
    /// more, or there is a new one.
    fn array(&self, known: Option<RawValue<'_>>, expiration: Option<&[u8]>) -> (Vec<u8>, Deaths) {
        let elements = known.map_or(&[][..], |value| value.octets);
        let tables = raw_table::elements(elements).filter(|element| element.kind == b'F');
        let (mut others, mut deaths, mut same) = (Vec::new(), Deaths::default(), None);
        deaths
            .0
            .push((self.queue.to_vec(), self.reason == Reason::Rejected));
        for element in tables {
            let of = |name| match raw_table::find_field(element.octets, name) {
                Some(value) if value.kind == b'S' => value.octets,
                _ => &[],
            };
            let (queue, reason) = (of("queue"), of("reason"));
            if queue == self.queue && reason == self.reason.as_str().as_bytes() {
                same = same.or(Some(element.octets));
                continue;
            }
            let rejected = reason == Reason::Rejected.as_str().as_bytes();
            deaths.0.push((queue.to_vec(), rejected));
            others.push(b'F');
            others.extend(prefixed(element.octets));
        }
        let mut first = match same {
            Some(entry) => counted_again(entry),
            None => self.entry(expiration),
        };
        if known.is_some() {
            // RabbitMQ sorts an entry that does not stand alone.
            first.sort_by_key(|(name, _)| *name);
        }
        let mut array = vec![b'F'];
        array.extend(joined(&first));
        array.extend(others);
        (array, deaths)
    }

    fn entry(&self, expiration: Option<&[u8]>) -> Vec<Field<'static>> {
        let mut keys = Vec::new();
        for key in &self.routing_keys {
            keys.push(b'S');
            keys.extend(prefixed(key));
        }
        let mut entry = vec![
            count(1),
            text(b"reason", self.reason.as_str().as_bytes()),
            text(b"queue", self.queue),
            field(b"time", b'T', &self.time.to_be_bytes()),
            text(b"exchange", self.message.exchange()),
            field(b"routing-keys", b'A', &keys),
        ];
        entry.extend(expiration.map(|expiration| text(b"original-expiration", expiration)));
        entry
    }
}

/// An entry of `x-death` that counts one more.
fn counted_again(entry: &[u8]) -> Vec<Field<'_>> {
    let before = raw_table::find_field(entry, "count").and_then(|count| count.integer());
    let before = before.and_then(|count| i64::try_from(count).ok());
    let fields = raw_table::fields(entry).filter(|field| field.name != b"count");
    std::iter::once(count(before.unwrap_or(0).saturating_add(1)))
        .chain(fields.map(|field| (field.name, field.octets.to_vec())))
        .collect()
}

fn count(count: i64) -> Field<'static> {
    field(b"count", b'l', &count.to_be_bytes())
}

fn text<'a>(name: &'a [u8], value: &[u8]) -> Field<'a> {
    field(name, b'S', value)
}

/// An entry of a table. Names are ours, and short.
fn field<'a>(name: &'a [u8], kind: u8, value: &[u8]) -> Field<'a> {
    let mut octets = vec![name.len() as u8];
    octets.extend(name);
    octets.push(kind);
    match kind {
        b'S' | b'A' => octets.extend(prefixed(value)),
        _ => octets.extend(value),
    }
    (name, octets)
}

/// With the length in front. Nothing here is longer than the frames it came in, many times over.
fn prefixed(octets: &[u8]) -> Vec<u8> {
    let mut out = (octets.len() as u32).to_be_bytes().to_vec();
    out.extend(octets);
    out
}

fn joined(fields: &[Field<'_>]) -> Vec<u8> {
    let len: usize = fields.iter().map(|(_, octets)| octets.len()).sum();
    let mut table = Vec::with_capacity(4 + len);
    table.extend((len as u32).to_be_bytes());
    for (_, octets) in fields {
        table.extend(octets);
    }
    table
}

/// Where headers begin in properties that have none: behind content-type and content-encoding.
fn before_headers(properties: &[u8]) -> usize {
    let flags = properties.first().copied().unwrap_or_default();
    let before = usize::from(flags >> 7) + usize::from(flags >> 6 & 1);
    (0..before).fold(2, |at, _| {
        at + 1 + properties.get(at).map_or(0, |len| usize::from(*len))
    })
}

#[cfg(test)]
mod tests;
