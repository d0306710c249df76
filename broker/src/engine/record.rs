//! The encoding of stored records other than messages: each has a key that names its object, and a versioned value.

use bytes::{BufMut, Bytes, BytesMut};
use leveret_storage::Op;
use serde::Serialize;

/// The first byte of a value; raised when the encoding changes.
pub const VERSION: u8 = 1;

/// Builds a key: its kind, then parts with their lengths, so that no name can imitate another object's key.
pub fn key(kind: u8, parts: &[&[u8]]) -> Bytes {
    let mut key = BytesMut::new();
    key.put_u8(kind);
    for part in parts {
        key.put_u32(part.len() as u32);
        key.put_slice(part);
    }
    key.freeze()
}

/// Builds the record that stores a value under a key.
pub fn put(key: Bytes, value: &impl Serialize) -> Op {
    let mut written = vec![VERSION];
    // Serializing plain structs of strings and numbers into memory cannot fail.
    let _ = serde_json::to_writer(&mut written, value);
    Op::PutDefinition {
        key,
        value: written.into(),
    }
}
