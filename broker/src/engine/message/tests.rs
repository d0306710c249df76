//! Tests of messages.

use super::*;
use leveret_storage::{QueueId, Storable};

/// Properties that say nothing but `delivery_mode` 2.
const PERSISTENT_ONLY: [u8; 3] = [1 << 4, 0, 2];

fn message(body: &[u8], cancellable: bool) -> Message {
    let mut builder = MessageBuilder::new(b"x", b"key", &PERSISTENT_ONLY, true, body.len() as u64);
    builder.push(body).unwrap();
    builder.finish(cancellable)
}

#[test]
fn what_is_stored_reads_back() {
    for size in [0, 1, INLINE_BODY_MAX, INLINE_BODY_MAX + 1, 100_000] {
        let body = vec![7; size];
        let original = message(&body, true);
        let mut stored = Vec::new();
        original.encode(&mut stored);
        assert_eq!(stored.len(), original.encoded_len());
        let back = Message::decode(stored.into()).unwrap();
        assert_eq!(back.exchange(), b"x");
        assert_eq!(back.routing_key(), b"key");
        assert_eq!(back.properties(), &PERSISTENT_ONLY);
        assert_eq!(back.body(), body);
        assert!(back.persistent());
    }
}

#[test]
fn a_dead_letter_is_one_wherever_it_is() {
    let read_back = |message: &Message| {
        let mut stored = Vec::new();
        message.encode(&mut stored);
        Message::decode(stored.into()).unwrap()
    };
    let plain = message(b"m", true);
    assert!(!plain.is_letter() && !read_back(&plain).is_letter());
    let letter = plain.into_letter();
    assert!(letter.is_letter() && letter.persistent());
    let back = read_back(&letter);
    assert!(back.is_letter() && back.persistent());
    let delayed = back.with_properties(&PERSISTENT_ONLY, true);
    assert!(delayed.is_letter() && delayed.separate().is_letter());
    assert_eq!(delayed.body(), b"m");
}

#[test]
fn a_small_message_is_what_its_parts_would_be_built_into() {
    for (size, cancellable) in [(0, true), (3, false), (INLINE_BODY_MAX, true)] {
        let body = vec![7; size];
        let built = message(&body, cancellable);
        let names = (&b"x"[..], &b"key"[..]);
        let small = Message::small(names, &PERSISTENT_ONLY, &body, true, cancellable);
        assert_eq!(format!("{small:?}"), format!("{built:?}"));
    }
}

#[test]
fn a_message_weighs_what_it_takes_properties_included() {
    let weigh = |properties: &[u8], body: usize| {
        let mut builder = MessageBuilder::new(b"x", b"key", properties, false, body as u64);
        builder.push(&vec![7; body]).unwrap();
        builder.finish(true).weight()
    };
    assert_eq!(weigh(&[0, 0], 16), SHARED_SIZE as u64);
    assert_eq!(SHARED_SIZE, 96, "one of the allocator's sizes");
    let large = (INLINE_BODY_MAX + 1) as u64;
    for (properties, body) in [(2, 1000), (100_000, 0), (100_000, 1000), (2, large)] {
        let weight = weigh(&vec![0; properties], body as usize);
        let taken = properties as u64 + body;
        let range = taken + SHARED_SIZE as u64..taken + 200;
        assert!(range.contains(&weight), "{properties} + {body}: {weight}");
    }
}

#[test]
fn a_message_that_stays_keeps_no_more_than_its_own_body() {
    let buffer = Bytes::from(vec![7; 100_000]);
    let size = INLINE_BODY_MAX as u64 + 1;
    let mut builder = MessageBuilder::new(b"x", b"key", &[0, 0], false, size);
    let slice = buffer.slice(..size as usize);
    builder.push_frame(slice).unwrap();
    let mut message = builder.finish(true);
    message.mark_pinning();
    let mut message = Arc::new(message);
    let other = message.clone();
    Message::cut_out(&mut message);
    assert!(message.pins() && !buffer.is_unique(), "another has it, too");
    drop(other);
    Message::cut_out(&mut message);
    assert!(!message.pins() && buffer.is_unique());
    assert_eq!(message.body(), vec![7; size as usize]);
}

#[test]
fn a_cut_record_is_no_message() {
    let mut stored = Vec::new();
    message(b"", true).encode(&mut stored);
    for end in 0..stored.len() {
        assert!(Message::decode(Bytes::copy_from_slice(&stored[..end])).is_none());
    }
}

#[test]
fn a_write_is_cancelled_or_claimed_but_never_both() {
    let early = message(b"m", true);
    assert!(early.cancel_write());
    assert!(!early.begin_write(QueueId(1)));
    let late = message(b"m", true);
    assert!(late.begin_write(QueueId(1)));
    assert!(!late.cancel_write());
    let shared = message(b"m", false);
    assert!(!shared.cancel_write());
    assert!(shared.begin_write(QueueId(1)) && shared.begin_write(QueueId(2)));
}

#[test]
fn a_body_in_pieces_reserves_no_more_than_it_needs() {
    let mut builder = MessageBuilder::new(b"", b"", &[0, 0], false, 100_000);
    let empty = builder.weight();
    for piece in [&[1; 40_000][..], &[2; 40_000], &[3; 20_000]] {
        let piece = Bytes::copy_from_slice(piece);
        builder.push_frame(piece).unwrap();
        assert!(builder.weight() <= empty + 100_000);
    }
    assert_eq!(builder.weight(), empty + 100_000);
    assert_eq!(builder.finish(false).body().len(), 100_000);
}

#[test]
fn a_body_may_not_outgrow_its_header() {
    let mut builder = MessageBuilder::new(b"", b"", &[0, 0], false, 3);
    assert_eq!(builder.push(b"ab"), Ok(()));
    assert_eq!(builder.push(b"cd"), Err(BodyOverrun));
}
