//! The encoding of pages in the spill area: for each message the queue's state, the length and the content.

use crate::engine::message::{INLINE_BODY_MAX, Message, SharedMessage};
use crate::engine::queue::Entry;
use crate::engine::queue::paging::{MoreKeys, Rank, Ranked, RankedPage};
use bytes::{Buf, BufMut, Bytes};
use leveret_storage::{Position, Spill, Spilled, Storable};
use std::io;
use std::sync::Arc;

/// Bytes of an entry's state: position and state word.
const ENTRY: usize = 8 + 8;
/// Bytes of the length prefix of each message.
const LENGTH: usize = 4;

/// Small messages are passed on in pieces of about this many bytes.
const PIECE: usize = 16 << 10;

/// Writes a page.
///
/// # Errors
/// The disk failed or is full.
pub(super) fn write(spill: &Spill, entries: &[Entry]) -> io::Result<Spilled> {
    let len = |entry: &Entry| ENTRY + LENGTH + entry.message.encoded_len();
    let total = entries.iter().map(len).sum();
    write_all(spill, total, entries, |entry, out| {
        put_entry(entry, out);
        &entry.message
    })
}

/// Writes a page of messages with their ranks.
///
/// # Errors
/// Like [`write`].
pub(super) fn write_sorted(spill: &Spill, entries: &[(Rank, Ranked)]) -> io::Result<Spilled> {
    let len = |(_, ranked): &(Rank, Ranked)| {
        let keys = ranked.more_keys.iter().flat_map(|keys| keys.iter());
        let keys = keys.map(|key| 4 + key.len()).sum::<usize>();
        16 + ENTRY + 4 + keys + LENGTH + ranked.entry.message.encoded_len()
    };
    let total = entries.iter().map(len).sum();
    write_all(spill, total, entries, |(rank, ranked), out| {
        out.put_u64(rank.0);
        out.put_u64(rank.1);
        put_entry(&ranked.entry, out);
        let keys = ranked.more_keys.as_deref().map_or(&[][..], |keys| keys);
        out.put_u32(keys.len() as u32);
        for key in keys {
            out.put_u32(key.len() as u32);
            out.put_slice(key);
        }
        &ranked.entry.message
    })
}

fn put_entry(entry: &Entry, out: &mut Vec<u8>) {
    out.put_u64(entry.position.0);
    out.put_u64(entry.word());
}

/// Writes the messages, each preceded by what `head` writes.
fn write_all<T>(
    spill: &Spill,
    len: usize,
    entries: &[T],
    head: impl for<'a> Fn(&'a T, &mut Vec<u8>) -> &'a SharedMessage,
) -> io::Result<Spilled> {
    spill.write(len as u64, |out| {
        let mut piece = Vec::with_capacity(PIECE + INLINE_BODY_MAX);
        for entry in entries {
            let message = head(entry, &mut piece);
            let len = u32::try_from(message.encoded_len()).map_err(io::Error::other)?;
            piece.put_u32(len);
            message.encode_head(&mut piece);
            match message.large_body() {
                None => piece.extend_from_slice(message.body()),
                Some(body) => {
                    out.write_all(&piece)?;
                    piece.clear();
                    out.write_all(body)?;
                }
            }
            if piece.len() >= PIECE {
                out.write_all(&piece)?;
                piece.clear();
            }
        }
        out.write_all(&piece)
    })
}

/// Reads a page back.
///
/// # Errors
/// The disk failed, or the page is damaged.
pub(super) fn read(page: &Spilled) -> io::Result<Vec<Entry>> {
    read_all(page, next_entry)
}

/// Reads a page of messages with their ranks back.
///
/// # Errors
/// Like [`read`].
pub(super) fn read_sorted(page: &Spilled) -> io::Result<RankedPage> {
    read_all(page, next_ranked)
}

fn read_all<T>(page: &Spilled, next: impl Fn(&mut Bytes) -> Option<T>) -> io::Result<Vec<T>> {
    let mut bytes = page.read()?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a malformed page");
    let mut entries = Vec::new();
    while !bytes.is_empty() {
        entries.push(next(&mut bytes).ok_or_else(damaged)?);
    }
    Ok(entries)
}

fn next_entry(bytes: &mut Bytes) -> Option<Entry> {
    let position = Position(bytes.try_get_u64().ok()?);
    let word = bytes.try_get_u64().ok()?;
    Some(Entry::with_word(position, next_message(bytes)?, word))
}

fn next_ranked(bytes: &mut Bytes) -> Option<(Rank, Ranked)> {
    let rank = (bytes.try_get_u64().ok()?, bytes.try_get_u64().ok()?);
    let position = Position(bytes.try_get_u64().ok()?);
    let word = bytes.try_get_u64().ok()?;
    let mut keys = Vec::new();
    for _ in 0..bytes.try_get_u32().ok()? {
        let len = bytes.try_get_u32().ok()? as usize;
        keys.push(bytes.get(..len)?.into());
        bytes.advance(len);
    }
    let more_keys = (!keys.is_empty()).then(|| Box::new(MoreKeys::from(keys)));
    let entry = Entry::with_word(position, next_message(bytes)?, word);
    Some((rank, Ranked { entry, more_keys }))
}

fn next_message(bytes: &mut Bytes) -> Option<SharedMessage> {
    let len = bytes.try_get_u32().ok()? as usize;
    if bytes.len() < len {
        return None;
    }
    // A large body stays a slice of the input, unless that is a page of many messages, which it
    // would keep in memory.
    let kept_whole = bytes.len() == len || len <= INLINE_BODY_MAX;
    let message = bytes.split_to(len);
    let message = if kept_whole {
        message
    } else {
        Bytes::copy_from_slice(&message)
    };
    Some(Arc::new(Message::decode(message)?))
}
