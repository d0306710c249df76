//! Messages in sled: chunks of consecutive messages of one queue, and large messages in parts.
//!
//! A chunk is a few values of about 8 KiB, at most 16 KiB, each a sequence of `position (u64), length (u32), message`.
//! A message that does not fit one value is a chunk of its own, split into parts. The catalogue entry in the main sled
//! says which messages of a chunk are live.

use bytes::{Bytes, BytesMut};

use crate::{
    error::StorageError,
    options::Weigh,
    ranges::RangeSet,
    schema::{
        self, BodyKey, CHECKSUM, CHUNK_BYTES, Chunk, MAX_VALUE, MESSAGE_HEADER, SHARED_VALUE,
        is_large,
    },
    sled_store::{Changes, Found, free_garbage},
    types::{Position, QueueId, u32_at, u64_at},
    volumes::Volumes,
};

/// Messages up to this size are returned as slices of the value read; see [`crate::Store::read`].
const MAX_SLICE: usize = 4096;
/// How many bytes of a large message one part holds.
const PART: usize = MAX_VALUE - CHECKSUM;

/// A large message in a volume, for other queues to share.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Large {
    body: BodyKey,
    parts: u32,
    bytes: u64,
    weight: u64,
}

/// Packs messages of one queue, given in order, into chunks.
pub(crate) struct Packer {
    queue: QueueId,
    segment: u64,
    volume: u32,
    weigh: Weigh,
    value: Vec<u8>,
    open: Option<(u64, Chunk)>,
    done: Vec<(u64, Chunk)>,
}

impl Packer {
    /// Creates a packer for the messages of `queue` in segment `segment`, to be written to `volume`.
    pub(crate) fn new(queue: QueueId, segment: u64, volume: u32, weigh: Weigh) -> Packer {
        Packer {
            queue,
            segment,
            volume,
            weigh,
            value: Vec::new(),
            open: None,
            done: Vec::new(),
        }
    }

    /// Adds a message; `out` is written to the volume.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn push(
        &mut self,
        position: u64,
        message: &[u8],
        out: &mut Changes<'_>,
    ) -> Result<(), StorageError> {
        let size = MESSAGE_HEADER + message.len();
        if CHECKSUM + self.value.len() + size > SHARED_VALUE {
            self.end_value(out)?;
        }
        if is_large(message.len()) {
            self.end_chunk(out)?;
            let chunk = self.write_large(position, message, out)?;
            self.done.push((position, chunk));
            return Ok(());
        }
        let (segment, volume) = (self.segment, self.volume);
        let (_, chunk) = self
            .open
            .get_or_insert_with(|| (position, new_chunk(segment, volume, position)));
        chunk.add(position, message, self.weigh);
        self.value.extend_from_slice(&position.to_be_bytes());
        // This fits: a message in a value is below 16 KiB.
        self.value.extend_from_slice(
            &u32::try_from(message.len())
                .unwrap_or(u32::MAX)
                .to_be_bytes(),
        );
        self.value.extend_from_slice(message);
        Ok(())
    }

    /// Writes the last chunk and returns the entries of all chunks by first position. They may be stored once the
    /// volume is synced.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn finish(
        mut self,
        out: &mut Changes<'_>,
    ) -> Result<Vec<(u64, Chunk)>, StorageError> {
        self.end_chunk(out)?;
        Ok(self.done)
    }

    fn end_value(&mut self, out: &mut Changes<'_>) -> Result<(), StorageError> {
        let Some((first, chunk)) = &mut self.open else {
            return Ok(());
        };
        if !self.value.is_empty() {
            let key = schema::body_key(self.queue, Position(*first), chunk.parts);
            out.put(&key, &self.value);
            self.value.clear();
            chunk.parts += 1;
        }
        if chunk.bytes + chunk.live * MESSAGE_HEADER as u64 >= CHUNK_BYTES {
            self.done.extend(self.open.take());
        }
        out.apply_if_large()
    }

    fn end_chunk(&mut self, out: &mut Changes<'_>) -> Result<(), StorageError> {
        self.end_value(out)?;
        self.done.extend(self.open.take());
        Ok(())
    }

    /// Adds a large message that other queues may share through the returned value.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn push_shared(
        &mut self,
        position: u64,
        message: &[u8],
        out: &mut Changes<'_>,
    ) -> Result<Large, StorageError> {
        self.end_chunk(out)?;
        let mut chunk = self.write_large(position, message, out)?;
        let large = Large {
            body: chunk.body(self.queue, Position(position)),
            parts: chunk.parts,
            bytes: chunk.bytes,
            weight: chunk.weight,
        };
        chunk.shared = Some(large.body);
        self.done.push((position, chunk));
        Ok(large)
    }

    /// Adds a large message that is already in this volume.
    ///
    /// # Errors
    /// sled failed.
    pub(crate) fn push_written(
        &mut self,
        position: u64,
        large: &Large,
        out: &mut Changes<'_>,
    ) -> Result<(), StorageError> {
        self.end_chunk(out)?;
        let chunk = Chunk {
            live: 1,
            bytes: large.bytes,
            weight: large.weight,
            parts: large.parts,
            large: true,
            shared: Some(large.body),
            ..new_chunk(self.segment, self.volume, position)
        };
        self.done.push((position, chunk));
        Ok(())
    }

    fn write_large(
        &self,
        position: u64,
        message: &[u8],
        out: &mut Changes<'_>,
    ) -> Result<Chunk, StorageError> {
        let mut chunk = new_chunk(self.segment, self.volume, position);
        chunk.large = true;
        chunk.add(position, message, self.weigh);
        for bytes in message.chunks(PART) {
            let key = schema::body_key(self.queue, Position(position), chunk.parts);
            out.put(&key, bytes);
            chunk.parts += 1;
            out.apply_if_large()?;
        }
        Ok(chunk)
    }
}

fn new_chunk(segment: u64, volume: u32, first: u64) -> Chunk {
    Chunk {
        segment,
        last: first,
        first_live: first,
        last_live: first,
        live: 0,
        bytes: 0,
        weight: 0,
        parts: 0,
        large: false,
        volume,
        shared: None,
        acked: RangeSet::default(),
    }
}

impl Chunk {
    fn add(&mut self, position: u64, message: &[u8], weigh: Weigh) {
        self.last = position;
        self.last_live = position;
        self.live += 1;
        self.bytes += message.len() as u64;
        self.weight = self.weight.saturating_add(weigh(message));
    }
}

/// Returns every message of a chunk, including acknowledged ones, or `None` if the chunk is no longer there.
///
/// # Errors
/// The chunk is damaged, or sled failed.
pub(crate) fn read(
    volumes: &Volumes,
    queue: QueueId,
    first: Position,
    chunk: &Chunk,
) -> Result<Option<Vec<(u64, Bytes)>>, StorageError> {
    read_from(queue, first, chunk, |key| volumes.get(chunk.volume, key))
}

/// Does the same with values from `get`.
///
/// # Errors
/// As for [`read`].
pub(crate) fn read_from(
    queue: QueueId,
    first: Position,
    chunk: &Chunk,
    get: impl Fn(&[u8]) -> Result<Found, StorageError>,
) -> Result<Option<Vec<(u64, Bytes)>>, StorageError> {
    let damaged = || StorageError::DamagedMessages {
        queue,
        first,
        last: Position(chunk.last),
    };
    let capacity = if chunk.large { chunk.bytes } else { 0 };
    let mut body = BytesMut::with_capacity(usize::try_from(capacity).unwrap_or(0));
    let mut messages = Vec::new();
    let values = chunk.body(queue, first);
    for part in 0..chunk.parts {
        match get(&values.part(part))? {
            Found::Nothing => return Ok(None),
            Found::Damaged => return Err(damaged()),
            Found::Value(value) if chunk.large => body.extend_from_slice(&value),
            Found::Value(value) => unpack(&value.into(), &mut messages).ok_or_else(damaged)?,
        }
    }
    free_garbage();
    if chunk.large {
        messages.push((first.0, body.freeze()));
    }
    Ok(Some(messages))
}

pub(crate) fn unpack(value: &Bytes, messages: &mut Vec<(u64, Bytes)>) -> Option<()> {
    let mut at = 0;
    while at < value.len() {
        let (position, len) = (u64_at(value, at)?, u32_at(value, at + 8)? as usize);
        let start = at + MESSAGE_HEADER;
        let end = start.checked_add(len).filter(|end| *end <= value.len())?;
        messages.push((position, slice_or_copy(value, start, end)));
        at = end;
    }
    Some(())
}

/// Returns one of several messages that were read at once. Larger ones are copied, so that keeping one does not keep
/// all the others in memory.
pub(crate) fn slice_or_copy(read: &Bytes, start: usize, end: usize) -> Bytes {
    if end - start <= MAX_SLICE {
        read.slice(start..end)
    } else {
        Bytes::copy_from_slice(&read[start..end])
    }
}

/// Returns the chunk with `acked` applied, or `None` if no message of it is live.
///
/// # Errors
/// sled failed. A damaged chunk is no error here: its entry records the acks, and reading it will report what is lost.
pub(crate) fn acknowledge(
    volumes: &Volumes,
    queue: QueueId,
    first: Position,
    chunk: &Chunk,
    acked: &RangeSet,
    weigh: Weigh,
) -> Result<Option<Chunk>, StorageError> {
    let mut chunk = chunk.clone();
    for (from, to) in acked.within(first.0, chunk.last) {
        chunk.acked.insert(from, to);
    }
    if chunk.acked.covers(chunk.first_live, chunk.last_live) {
        return Ok(None);
    }
    if chunk.large {
        return Ok(Some(chunk));
    }
    let messages = match read(volumes, queue, first, &chunk) {
        Ok(Some(messages)) => messages,
        Ok(None) | Err(StorageError::DamagedMessages { .. }) => return Ok(Some(chunk)),
        Err(error) => return Err(error),
    };
    Ok(chunk.count(&messages, weigh).then_some(chunk))
}

impl Chunk {
    /// Recomputes the figures about live messages from the messages. Returns false if none is live.
    pub(crate) fn count(&mut self, messages: &[(u64, Bytes)], weigh: Weigh) -> bool {
        let live = || {
            messages
                .iter()
                .filter(|(position, _)| !self.acked.contains(*position))
        };
        let (Some((first_live, _)), Some((last_live, _))) = (live().next(), live().next_back())
        else {
            return false;
        };
        let (mut count, mut bytes, mut weight) = (0, 0, 0u64);
        for (_, message) in live() {
            count += 1;
            bytes += message.len() as u64;
            weight = weight.saturating_add(weigh(message));
        }
        (self.first_live, self.last_live) = (*first_live, *last_live);
        (self.live, self.bytes, self.weight) = (count, bytes, weight);
        true
    }
}
