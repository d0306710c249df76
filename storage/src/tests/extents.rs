//! What the store counts for each queue when it is reopened.

use std::{collections::BTreeMap, fs};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::world::*;
use crate::{
    Extent, Op, Opened, Options, Position, QueueId, Store, messages,
    schema::{self, Chunk},
    sled_store::{Found, SledStore},
    usage::UsageDelta,
    volumes::Volumes,
};

fn weigh(message: &[u8]) -> u64 {
    message.len() as u64 / 2
}

fn open_weighing(path: &std::path::Path) -> Opened {
    Store::open(Options {
        weigh,
        ..small(path)
    })
    .unwrap()
}

/// The live messages of a queue: length by position.
type Live = BTreeMap<u64, u64>;

fn sum(live: &Live, first: u64, last: u64) -> (u64, u64, u64) {
    let range = || live.range(first..=last).map(|(_, len)| *len);
    (
        range().count() as u64,
        range().sum(),
        range().map(|len| len / 2).sum(),
    )
}

fn check_extents(extents: &[Extent], live: &Live, bytes: u64) {
    let mut seen = 0;
    let mut before = None;
    for extent in extents {
        assert!(before.is_none_or(|last| extent.first > last), "{extents:?}");
        before = Some(extent.last);
        let of_it = (extent.messages, extent.bytes, extent.weight);
        assert_eq!(
            of_it,
            sum(live, extent.first.0, extent.last.0),
            "{extent:?}"
        );
        assert!(live.contains_key(&extent.first.0) && live.contains_key(&extent.last.0));
        seen += extent.messages;
    }
    assert_eq!(
        seen,
        live.len() as u64,
        "an extent of {bytes} bytes misses some"
    );
}

/// Random publishes, slightly out of order, and random acknowledgements, over several checkpoints.
fn churn(store: &Store, random: &mut StdRng, live: &mut [Live; 3], next: &mut u64) {
    let round = *next;
    let mut order: Vec<u64> = (round..round + 60).collect();
    for i in 1..order.len() {
        if random.random_bool(0.3) {
            order.swap(i - 1, i);
        }
    }
    *next += 60;
    for batch in order.chunks(7) {
        let mut ops = Vec::new();
        for &position in batch {
            for queue in 0..3 {
                let len = if random.random_bool(0.02) {
                    40_000
                } else {
                    random.random_range(0..900)
                };
                ops.push(publish(queue, position, len));
                let len = body(queue, position, len).len() as u64;
                live[queue as usize].insert(position, len);
            }
        }
        submit(store, ops);
        store.flush().unwrap();
    }
    for (queue, live) in (0..).zip(live) {
        let Some((&oldest, _)) = live.first_key_value() else {
            continue;
        };
        let mut ranges = vec![(oldest, oldest + random.random_range(0..60))];
        for _ in 0..random.random_range(0..10) {
            let first = random.random_range(oldest..*next);
            ranges.push((first, (first + random.random_range(0..3)).min(*next - 1)));
        }
        for (first, last) in ranges {
            let last = last.min(*next - 1);
            live.retain(|position, _| *position < first || *position > last);
            submit(store, [ack(queue, first, last)]);
        }
    }
}

#[test]
fn counts_and_extents_are_exact_after_any_end() {
    let seed = std::env::var("LEVERET_TEST_SEED")
        .map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    println!("LEVERET_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = tempfile::tempdir().unwrap();
    let (mut live, mut next) = (<[Live; 3]>::default(), 0);
    for _ in 0..12 {
        let opened = open_weighing(dir.path());
        for (queue, live) in (0..).zip(&live) {
            let found = opened
                .queues
                .iter()
                .find(|found| found.queue == QueueId(queue));
            let totals = found.map_or((0, 0, 0), |found| {
                (found.messages, found.bytes, found.weight)
            });
            assert_eq!(totals, sum(live, 0, u64::MAX), "queue {queue}");
            let ends = found.map_or((None, None), |found| (found.first, found.last));
            let expected = (live.keys().next(), live.keys().next_back());
            assert_eq!(
                ends,
                (
                    expected.0.map(|p| Position(*p)),
                    expected.1.map(|p| Position(*p))
                )
            );
            let bytes = [1, 3_000, 60_000, u64::MAX][random.random_range(0..4)];
            let extents = opened.store.extents(QueueId(queue), bytes).unwrap();
            check_extents(&extents, live, bytes);
        }
        let store = opened.store;
        for _ in 0..random.random_range(1..4) {
            churn(&store, &mut random, &mut live, &mut next);
        }
        if random.random_bool(0.2) {
            submit(&store, [Op::DeleteQueue { queue: QueueId(2) }]);
            live[2].clear();
        }
        store.flush().unwrap();
        if random.random_bool(0.5) {
            store.close().unwrap();
        } else {
            store.abandon();
        }
    }
}

#[test]
fn a_store_of_the_older_schema_is_converted_when_it_is_opened() {
    let dir = tempfile::tempdir().unwrap();
    let mut live = Live::new();
    let store = open_weighing(dir.path()).store;
    for position in 0..400 {
        let len = if position == 50 { 40_000 } else { 300 };
        submit(&store, [publish(0, position, len)]);
        live.insert(position, body(0, position, len).len() as u64);
    }
    store.flush().unwrap();
    submit(&store, [ack(0, 3, 9), ack(0, 60, 60)]);
    live.retain(|position, _| !(3..=9).contains(position) && *position != 60);
    eventually("most is in sled", || store.stats().log_bytes < 20_000);
    store.close().unwrap();
    drop(store);
    make_older(dir.path());

    for _ in 0..2 {
        let opened = open_weighing(dir.path());
        let found = &opened.queues[0];
        let totals = (found.messages, found.bytes, found.weight);
        assert_eq!(totals, sum(&live, 0, u64::MAX));
        check_extents(
            &opened.store.extents(QueueId(0), 5000).unwrap(),
            &live,
            5000,
        );
        opened.store.close().unwrap();
    }
}

/// Turns the store into what the version before volumes would have left: messages in the main sled, one value per
/// chunk, or a large message in parts.
fn make_older(path: &std::path::Path) {
    let sled = SledStore::open(&path.join("sled"), 1 << 20, &mut Vec::new()).unwrap();
    let mut usage = UsageDelta::default();
    let (mut out, mut chunks) = (sled.changes(), Vec::new());
    sled.scan(&[schema::CATALOGUE], |key, value| {
        let chunk = Chunk::decode(value.unwrap()).unwrap();
        usage.add(&chunk);
        chunks.push((schema::parse_catalogue_key(key).unwrap(), chunk));
        out.remove(key);
        Ok(())
    })
    .unwrap();
    let volumes = Volumes::find(&path.join("volumes"), 1 << 20, &usage);
    let volumes = volumes.unwrap().unwrap();
    assert!(chunks.len() > 3);
    for ((queue, first), chunk) in chunks {
        let messages = messages::read(&volumes, queue, first, &chunk)
            .unwrap()
            .unwrap();
        let message = |(position, message): &(u64, bytes::Bytes)| {
            let len = u32::try_from(message.len()).unwrap();
            [&position.to_be_bytes()[..], &len.to_be_bytes(), message].concat()
        };
        // Acknowledged messages stay in a chunk, where they are split too.
        for part in messages.chunks(20) {
            let first = Position(part[0].0);
            let mut older = Chunk {
                acked: chunk.acked.clone(),
                ..chunk.clone()
            };
            older.last = part[part.len() - 1].0;
            if older.count(part, weigh) {
                let mut entry = older.encode();
                entry.drain(52..64);
                let parts = if chunk.large { chunk.parts } else { 0 };
                entry[48..52].copy_from_slice(&parts.to_be_bytes());
                out.put(&schema::catalogue_key(queue, first), &entry);
            }
            if chunk.large {
                for part in 0..chunk.parts {
                    let key = schema::body_key(queue, first, part);
                    let Found::Value(value) = volumes.get(chunk.volume, &key).unwrap() else {
                        panic!("it was there");
                    };
                    out.put(&key, &value);
                }
            } else {
                let value: Vec<u8> = part.iter().flat_map(message).collect();
                out.put(&schema::body_key(queue, first, 0), &value);
            }
        }
    }
    out.apply().unwrap();
    sled.flush_synced().unwrap();
    drop(out);
    drop((sled, volumes));
    fs::remove_dir_all(path.join("volumes")).unwrap();
    let marker = fs::read_to_string(path.join("store")).unwrap();
    let identity = marker.split(' ').nth(1).unwrap();
    let line = format!("1 {identity}");
    let crc = crc32fast::hash(line.as_bytes());
    fs::write(path.join("store"), format!("{line} {crc:08x}\n")).unwrap();
}
