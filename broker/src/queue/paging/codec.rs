//! Messages of a page as they are written to the place that a restart empties: position, what the
//! queue knows of it, length and content, over and over.

use crate::message::{INLINE_BODY_MAX, Message, SharedMessage};
use crate::queue::entry::Entry;
use bytes::{Buf, Bytes};
use leveret_storage::{Position, Spill, Spilled, Storable};
use std::io;
use std::sync::Arc;

/// Octets before each message.
const HEADER: usize = 8 + 8 + 4;

/// Small messages are handed on in pieces of about so many octets.
const PIECE: usize = 16 << 10;

/// Writes a page.
///
/// # Errors
/// The disk failed or is full.
pub(super) fn write(spill: &Spill, entries: &[Entry]) -> io::Result<Spilled> {
    let len = |entry: &Entry| (HEADER + entry.message.encoded_len()) as u64;
    spill.write(entries.iter().map(len).sum(), |out| {
        let mut piece = Vec::with_capacity(PIECE + INLINE_BODY_MAX);
        for entry in entries {
            let len = u32::try_from(entry.message.encoded_len()).map_err(io::Error::other)?;
            let mut head = [0; HEADER];
            head[..8].copy_from_slice(&entry.position.0.to_be_bytes());
            head[8..16].copy_from_slice(&entry.word().to_be_bytes());
            head[16..].copy_from_slice(&len.to_be_bytes());
            piece.extend_from_slice(&head);
            entry.message.encode_head(&mut piece);
            match entry.message.large_body() {
                None => piece.extend_from_slice(entry.message.body()),
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
    let mut octets = page.read()?;
    let damaged = || io::Error::new(io::ErrorKind::InvalidData, "a malformed page");
    let mut entries = Vec::new();
    while !octets.is_empty() {
        entries.push(next(&mut octets).ok_or_else(damaged)?);
    }
    Ok(entries)
}

fn next(octets: &mut Bytes) -> Option<Entry> {
    let position = Position(octets.try_get_u64().ok()?);
    let word = octets.try_get_u64().ok()?;
    let len = octets.try_get_u32().ok()? as usize;
    if octets.len() < len {
        return None;
    }
    // A large body stays a slice of what it is decoded from: not of a page of many, which it would
    // keep in memory.
    let kept_whole = octets.len() == len || len <= INLINE_BODY_MAX;
    let message = octets.split_to(len);
    let message = if kept_whole {
        message
    } else {
        Bytes::copy_from_slice(&message)
    };
    let message: SharedMessage = Arc::new(Message::decode(message)?);
    Some(Entry::with_word(position, message, word))
}
