//! Log records of large messages that several queues share.

use bytes::Bytes;

use crate::{
    block::{BLOCK_HEADER, Block},
    record::{
        Appended, BlockHeader, REFERENCE, Record, Reference, append_ack, append_publish,
        append_reference, parse_block,
    },
    types::{Position, QueueId},
};

fn read(bytes: &[u8]) -> Option<Vec<(usize, Record<'_>)>> {
    parse_block(bytes, &BlockHeader::decode(bytes, 11, 48)?)
}

#[test]
fn the_same_large_message_stands_in_a_block_once() {
    let tail = Bytes::from(vec![7; 20_000]);
    let copy = Bytes::copy_from_slice(&tail);
    let mut block = Block::default();
    block.begin();
    let mut publish = |queue, head: &[u8], tail: &Bytes| {
        append_publish(&mut block, QueueId(queue), Position(queue), |out| {
            out.extend_from_slice(head);
            Some(tail.clone())
        })
    };
    assert_eq!(publish(1, b"head", &tail), Appended::Message);
    assert_eq!(publish(2, b"head", &tail), Appended::Reference);
    assert_eq!(publish(3, b"other", &tail), Appended::Message);
    assert_eq!(publish(4, b"head", &copy), Appended::Message, "elsewhere");
    assert_eq!(publish(5, b"other", &tail), Appended::Reference);
    assert_eq!(publish(6, b"head", &tail.slice(5000..)), Appended::Message);
    let small = tail.slice(..100);
    assert_eq!(publish(7, b"head", &small), Appended::Message);
    assert_eq!(publish(8, b"head", &small), Appended::Message);
    assert_eq!(publish(9, b"head", &tail), Appended::Reference);
    let mut bytes: Vec<u8> = block.pieces().flatten().copied().collect();
    let header = BlockHeader {
        records: 9,
        payload: (bytes.len() - BLOCK_HEADER) as u64,
    };
    bytes[..BLOCK_HEADER].copy_from_slice(&header.encode(11, 48));
    let records = read(&bytes).unwrap();
    for (number, (_, record)) in (1..).zip(&records) {
        let Record::Publish {
            queue,
            position,
            message,
            back,
        } = record
        else {
            panic!("{record:?}");
        };
        assert_eq!((queue.0, position.0), (number, number));
        let head: &[u8] = if [3, 5].contains(&number) {
            b"other"
        } else {
            b"head"
        };
        let len =
            [20_000, 15_000, 100, 100][[0, 6, 7, 8].iter().position(|n| *n == number).unwrap_or(0)];
        assert!(*message == [head, &vec![7; len]].concat(), "{number}");
        assert_eq!(*back > 0, [2, 5, 9].contains(&number), "{number}");
    }
}

#[test]
fn a_reference_to_anything_but_that_message_is_no_block() {
    let of_message = BLOCK_HEADER;
    let block = |back: usize, len| {
        let mut out = Block::default();
        out.begin();
        append_publish(&mut out, QueueId(1), Position(1), |out| {
            out.extend_from_slice(b"hello");
            None
        });
        append_ack(out.encoded(), QueueId(1), Position(0), Position(0));
        let at = out.len();
        let reference = Reference {
            queue: QueueId(2),
            position: Position(2),
            back: u32::try_from(at - of_message + back).unwrap(),
            len,
        };
        append_reference(out.encoded(), &reference);
        assert_eq!(out.len() - at, REFERENCE);
        let mut bytes: Vec<u8> = out.pieces().flatten().copied().collect();
        let header = BlockHeader {
            records: 3,
            payload: (bytes.len() - BLOCK_HEADER) as u64,
        };
        bytes[..BLOCK_HEADER].copy_from_slice(&header.encode(11, 48));
        bytes
    };
    assert!(read(&block(0, 5)).is_some());
    assert!(read(&block(0, 6)).is_none(), "another length");
    assert!(read(&block(1, 5)).is_none(), "no record there");
    assert!(read(&block(1000, 5)).is_none(), "before the block");
}
