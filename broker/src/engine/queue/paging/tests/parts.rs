//! Pages that come in parts.

use super::{Bench, Kind};
use crate::engine::message::MessageBuilder;
use crate::engine::queue::Queue;
use crate::engine::queue::paging::{Holder, Outline, PageMover};
use leveret_storage::{Position, QueueId, Storable};
use std::sync::Arc;

/// A page of 50 messages after a restart, and their properties, which are much larger than a page
/// should be.
fn with_a_heavy_page() -> (Bench, Vec<u8>) {
    let mut bench = Bench::new(Kind::Plain);
    let position = Position(0);
    let spec = bench.queue.spec.clone();
    bench.queue = Arc::new(Queue::new(QueueId(1), "/".into(), spec, position));
    // One long header, and a delivery mode of 2.
    let mut properties = vec![1 << 5 | 1 << 4, 0];
    let value = vec![b'v'; 20_000];
    properties.extend_from_slice(&(2 + 1 + 4 + value.len() as u32).to_be_bytes());
    properties.extend_from_slice(b"\x01hS");
    properties.extend_from_slice(&(value.len() as u32).to_be_bytes());
    properties.extend_from_slice(&value);
    properties.push(2);
    for position in 0..50 {
        let mut builder = MessageBuilder::new(b"", b"key", &properties, true, 1);
        builder.push(&[7]).unwrap();
        let mut encoded = Vec::new();
        builder.finish(false).encode(&mut encoded);
        bench.kept.0.lock().insert(position, encoded.into());
    }
    let outline = Outline {
        first: Position(0),
        last: Position(49),
        messages: 50,
        bytes: 50,
    };
    bench.queue.restore_pages(&[outline], None);
    (bench, properties)
}

#[test]
fn a_page_that_is_heavier_than_the_store_knew_comes_in_parts() {
    let (mut bench, properties) = with_a_heavy_page();
    let mut most = 0;
    for expected in 0..50 {
        let (entry, left) = bench.queue.get(false, &mut bench.fx).unwrap();
        most = most.max(bench.queue.counts().memory);
        assert_eq!((entry.position.0, left), (expected, 49 - expected));
        assert_eq!(entry.message.properties(), properties);
    }
    assert!(most < 100_000, "{most} of a million bytes were in memory");
    let counts = bench.queue.counts();
    assert_eq!((counts.persistent, counts.persistent_bytes), (50, 50));
}

#[test]
fn a_second_reader_of_a_page_that_came_in_parts_does_not_bring_the_rest_again() {
    let (mut bench, _) = with_a_heavy_page();
    let slow = bench.next_reading().unwrap();
    assert!(bench.queue.fetch_head(&mut bench.fx));
    let _holds = bench.queue.clone().page_out_idle(true, &mut bench.fx);
    // Whatever is asked for now, a page that the slow reader knows is not.
    while let Some(next) = bench.next_reading() {
        assert_ne!(next.page, slow.page);
    }
    bench.pager.clone().work_now(slow, &mut bench.fx);
    for expected in 0..50 {
        let (entry, left) = bench.queue.get(false, &mut bench.fx).unwrap();
        assert_eq!((entry.position.0, left), (expected, 49 - expected));
    }
    assert!(bench.queue.get(false, &mut bench.fx).is_none());
}
