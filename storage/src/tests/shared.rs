//! Large messages in several queues: stored once, and available to each queue whatever happens in the others.

use std::{collections::BTreeMap, fs, path::Path, sync::Arc, thread, time::Duration};

use super::world::*;
use crate::{Op, Options, Position, QueueId, StorageError, Store, salvage};

/// The distance between the positions of two queues, so that no message can take another's place unnoticed.
const APART: u64 = 1000;
/// A message of this length is shared.
const LEN: usize = 40_001;

fn position(queue: u64, number: u64) -> u64 {
    number + queue * APART
}

fn large(number: u64, len: usize) -> Arc<Message> {
    let body = body(SEVERAL, number, len);
    // The ends of odd lengths are shared.
    let odd = body.len() / 2 * 2 - 1;
    Message::shared(&body[..odd])
}

/// Publishes a message to these queues.
fn to_all(queues: std::ops::Range<u64>, number: u64, len: usize) -> Vec<Op> {
    let message = large(number, len);
    let publish = |queue| publish_message(queue, position(queue, number), message.clone());
    queues.map(publish).collect()
}

fn done(queue: u64, number: u64) -> Op {
    let position = position(queue, number);
    ack(queue, position, position)
}

/// Returns the numbers of the large messages in a queue, each checked to its last byte.
fn numbers(store: &Store, queue: u64, len: usize) -> Vec<u64> {
    let mut found = Vec::new();
    let mut from = 0;
    loop {
        let messages = store.read(QueueId(queue), Position(from), 3, 1 << 20);
        let messages = messages.unwrap();
        let Some((last, _)) = messages.last() else {
            return found;
        };
        from = last.0 + 1;
        for (at, message) in messages {
            let number = at.0 - queue * APART;
            let expected = body(SEVERAL, number, len);
            let odd = expected.len() / 2 * 2 - 1;
            assert!(
                message == expected[..odd],
                "queue {queue}, message {number}"
            );
            found.push(number);
        }
    }
}

fn size(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(entries) = fs::read_dir(path) else {
        return fs::metadata(path).map_or(0, |meta| meta.blocks() * 512);
    };
    entries.flatten().map(|entry| size(&entry.path())).sum()
}

/// Each segment is folded as soon as it has a successor; the log is large enough for any of these tests.
fn options(path: &Path) -> Options {
    Options {
        log_bound: 16 << 20,
        ..small(path)
    }
}

fn open_it(path: &Path) -> Store {
    Store::open(options(path)).unwrap().store
}

/// Waits until everything but the last segment is folded.
fn folded(store: &Store) {
    submit(store, [publish(77, APART, 5000)]);
    store.flush().unwrap();
    submit(store, [ack(77, 0, APART)]);
    for at in 1..4 {
        submit(store, [publish(77, APART + at, 5000)]);
        store.flush().unwrap();
        submit(store, [ack(77, 0, APART + at)]);
        store.flush().unwrap();
    }
    eventually("the log is folded", || {
        let stats = store.stats();
        stats.log_bytes < 20_000 && stats.health.is_good()
    });
}

#[test]
fn the_log_and_the_volumes_hold_a_message_of_several_queues_once() {
    let dir = tempfile::tempdir().unwrap();
    // One volume: each takes some room for itself.
    let options = Options {
        volume_size: 256 << 20,
        ..options(dir.path())
    };
    let store = Store::open(options).unwrap().store;
    let len = 1 << 20;
    for number in 0..8 {
        submit(&store, to_all(0..4, number, len));
    }
    store.flush().unwrap();
    let written = store.stats().bytes_written;
    assert!(
        (8 << 20..9 << 20).contains(&written),
        "{written} bytes of log"
    );
    for queue in 0..4 {
        assert_eq!(numbers(&store, queue, len), (0..8).collect::<Vec<_>>());
    }
    folded(&store);
    let taken = size(&dir.path().join("volumes"));
    assert!(
        (8 << 20..32 << 20).contains(&taken),
        "{taken} bytes of volumes"
    );
    for queue in 0..4 {
        assert_eq!(numbers(&store, queue, len), (0..8).collect::<Vec<_>>());
    }
}

#[test]
fn the_batches_of_a_group_are_one_commit_however_large_the_message() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(options(dir.path())).unwrap().store;
    // More than a commit usually holds.
    let len = 6 << 20;
    for number in 0..4 {
        let group = store.group();
        for batch in to_all(0..4, number, len) {
            submit(&store, [batch]);
            // The storage thread has all the time that it wants.
            thread::sleep(Duration::from_millis(2));
        }
        drop(group);
    }
    store.flush().unwrap();
    let written = store.stats().bytes_written;
    assert!(
        (24 << 20..25 << 20).contains(&written),
        "{written} bytes of log"
    );
    for queue in 0..4 {
        assert_eq!(numbers(&store, queue, len), (0..4).collect::<Vec<_>>());
    }
}

#[test]
fn whichever_queue_has_done_with_it_first_the_others_have_it_still() {
    for first in 0..3 {
        for when in ["in the log", "in a volume"] {
            let dir = tempfile::tempdir().unwrap();
            let mut store = open_it(dir.path());
            submit(&store, to_all(0..3, 1, LEN));
            submit(&store, to_all(0..3, 2, LEN));
            store.flush().unwrap();
            if when == "in a volume" {
                folded(&store);
            }
            let queue = QueueId(first);
            submit(
                &store,
                [Op::DeleteQueue { queue }, done((first + 1) % 3, 1)],
            );
            store.flush().unwrap();
            for end in ["at once", "folded", "opened again", "and again"] {
                match end {
                    "folded" => folded(&store),
                    "opened again" => {
                        store.abandon();
                        drop(store);
                        store = open_it(dir.path());
                    }
                    "and again" => {
                        store.close().unwrap();
                        drop(store);
                        store = open_it(dir.path());
                    }
                    _ => {}
                }
                let what = format!("{first} deleted {when}, {end}");
                assert_eq!(numbers(&store, first, LEN), [], "{what}");
                assert_eq!(numbers(&store, (first + 1) % 3, LEN), [2], "{what}");
                assert_eq!(numbers(&store, (first + 2) % 3, LEN), [1, 2], "{what}");
            }
        }
    }
}

#[test]
fn a_write_that_is_called_off_leaves_the_message_to_the_next_queue() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_it(dir.path());
    let shared = large(1, LEN);
    let mut ops = vec![publish_message(9, 1, Message::cancelled(&b"gone"[..]))];
    ops.extend((0..3).map(|queue| publish_message(queue, position(queue, 1), shared.clone())));
    submit(&store, ops);
    store.flush().unwrap();
    assert!(store.stats().bytes_written < LEN as u64 + 5000);
    for queue in 0..3 {
        assert_eq!(numbers(&store, queue, LEN), [1]);
    }
}

/// The live messages, by queue.
type Live = BTreeMap<u64, Vec<u64>>;

/// Each round publishes a message to four queues, with small ones beside it; one queue is emptied at once, one later,
/// one is deleted.
fn fill(store: &Store) -> Live {
    for round in 0..9 {
        let mut ops = to_all(0..4, round, LEN);
        ops.push(publish(9, round, 300));
        submit(store, ops);
        store.flush().unwrap();
        let mut ops = vec![done(round % 4, round)];
        if round >= 3 {
            ops.push(done((round + 1) % 4, round - 3));
        }
        if round == 5 {
            let queue = QueueId(3);
            ops.push(Op::DeleteQueue { queue });
        }
        submit(store, ops);
    }
    store.flush().unwrap();
    let lives = |queue: u64, round: u64| {
        let early = round % 4 == queue;
        let late = round + 3 < 9 && (round + 3 + 1) % 4 == queue;
        !early && !late && (queue != 3 || round > 5)
    };
    let of_queue = |queue| (0..9).filter(|round| lives(queue, *round)).collect();
    (0..4).map(|queue| (queue, of_queue(queue))).collect()
}

fn check(store: &Store, live: &Live, what: &str) {
    for (&queue, live) in live {
        assert_eq!(numbers(store, queue, LEN), *live, "queue {queue}, {what}");
    }
    assert_eq!(positions(store, 9), (0..9).collect::<Vec<_>>(), "{what}");
}

#[test]
fn a_checkpoint_that_fails_anywhere_is_done_again() {
    let mut failed = 0;
    for batch in (0..48).step_by(4) {
        let dir = tempfile::tempdir().unwrap();
        let store = open_it(dir.path());
        store.fail_sled_after(batch);
        let live = fill(&store);
        folded(&store);
        failed += usize::from(store.sled_failed());
        check(&store, &live, &format!("failed at {batch}"));
        store.close().unwrap();
        drop(store);
        let store = open_it(dir.path());
        check(&store, &live, &format!("failed at {batch}, reopened"));
    }
    assert!(failed >= 4, "only {failed} checkpoints failed");
}

#[test]
fn a_crash_anywhere_in_a_checkpoint_costs_nothing() {
    let mut unfinished = 0;
    for batch in (0..40).step_by(2) {
        let dir = tempfile::tempdir().unwrap();
        let store = open_it(dir.path());
        store.fail_sled_after(batch);
        let live = fill(&store);
        unfinished += usize::from(store.sled_failed());
        store.abandon();
        drop(store);
        let store = open_it(dir.path());
        check(&store, &live, &format!("cut at {batch}"));
        folded(&store);
        check(&store, &live, &format!("cut at {batch}, folded"));
    }
    assert!(unfinished >= 4, "only {unfinished} were cut short");
}

/// Volumes and limits on waste so small that there is always something to reclaim.
fn tight(path: &Path) -> Options {
    Options {
        segment_size: 128 << 10,
        log_bound: 2 << 20,
        volume_size: 3 << 20,
        waste: 1 << 20,
        roll_after: Duration::from_millis(50),
        ..small(path)
    }
}

/// Publishes in rounds; of each but the last few, one message in eight stays, in two of its four queues.
fn churn(store: &Store, rounds: u64) -> Live {
    let stays = |round: u64, queue: u64| {
        round + 6 >= rounds || (round.is_multiple_of(8) && (round / 8 + queue) % 4 < 2)
    };
    for round in 0..rounds {
        submit(store, to_all(0..4, round, LEN));
        store.flush().unwrap();
        if let Some(old) = round.checked_sub(6) {
            let gone = (0..4).filter(|queue| !stays(old, *queue));
            submit(store, gone.map(|queue| done(queue, old)));
        }
    }
    store.flush().unwrap();
    let of_queue = |queue| {
        (0..rounds)
            .filter(|round| {
                // The last rounds' acknowledgements were not submitted.
                round + 6 >= rounds || stays(*round, queue)
            })
            .collect()
    };
    (0..4).map(|queue| (queue, of_queue(queue))).collect()
}

fn check_large(store: &Store, live: &Live, what: &str) {
    for (&queue, live) in live {
        assert_eq!(numbers(store, queue, LEN), *live, "queue {queue}, {what}");
    }
}

#[test]
fn volumes_are_emptied_of_shared_messages_as_of_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(tight(dir.path())).unwrap().store;
    let live = churn(&store, 200);
    // 25 messages that stay, and 6: about 1.3 MB.
    eventually("the room is given back", || {
        size(&dir.path().join("volumes")) < 12 << 20
    });
    check_large(&store, &live, "running");
    store.close().unwrap();
    drop(store);
    let opened = Store::open(tight(dir.path())).unwrap();
    check_large(&opened.store, &live, "reopened");
    let all = (0..4).flat_map(|queue| live[&queue].iter().map(move |number| done(queue, *number)));
    submit(&opened.store, all);
    opened.store.flush().unwrap();
    eventually("nothing is left", || {
        fs::read_dir(dir.path().join("volumes")).map_or(0, Iterator::count) <= 1
    });
}

#[test]
fn giving_room_back_may_fail_anywhere_and_costs_nothing() {
    for batch in (0..160).step_by(19) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(tight(dir.path())).unwrap().store;
        store.fail_sled_after(batch);
        let live = churn(&store, 60);
        check_large(&store, &live, &format!("failed at {batch}"));
        eventually("all is well", || store.stats().health.is_good());
        if batch % 2 == 0 {
            store.close().unwrap();
        } else {
            store.abandon();
        }
        drop(store);
        let store = Store::open(tight(dir.path())).unwrap().store;
        check_large(&store, &live, &format!("failed at {batch}, reopened"));
    }
}

#[test]
fn a_damaged_message_is_told_for_each_of_its_queues() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_it(dir.path());
    submit(&store, to_all(0..3, 1, LEN));
    submit(&store, to_all(0..3, 2, LEN));
    folded(&store);
    submit(&store, [done(1, 2)]);
    store.close().unwrap();
    drop(store);
    // Its beginning, in each copy that there is in the volumes.
    let body = body(SEVERAL, 1, LEN);
    let wanted = &body[..body.iter().position(|byte| *byte == b';').unwrap() + 1];
    let mut found = 0;
    for volume in fs::read_dir(dir.path().join("volumes")).unwrap() {
        let db = volume.unwrap().path().join("db");
        let mut bytes = fs::read(&db).unwrap();
        let places = bytes.windows(wanted.len()).enumerate();
        let places: Vec<_> = places.filter(|(_, is)| *is == wanted).collect();
        let places: Vec<_> = places.into_iter().map(|(at, _)| at).collect();
        for at in places {
            bytes[at] ^= 1;
            found += 1;
        }
        fs::write(&db, bytes).unwrap();
    }
    assert_eq!(found, 1, "it is stored once");
    let findings = salvage::check(&options(dir.path())).unwrap();
    let of_queue = |queue: u64| {
        let of = findings.queues.iter().find(|of| of.queue.0 == queue);
        of.map(|of| (of.intact, of.lost)).unwrap()
    };
    assert_eq!([0, 1, 2].map(of_queue), [(1, 1), (0, 1), (1, 1)]);
    let store = open_it(dir.path());
    for queue in 0..3 {
        let error = store.read(QueueId(queue), Position(0), 10, 1 << 20);
        let error = error.unwrap_err();
        assert!(
            matches!(error, StorageError::DamagedMessages { queue: of, first, .. }
                if of.0 == queue && first.0 == position(queue, 1)),
            "{error}"
        );
    }
    store.close().unwrap();
    drop(store);
    let repaired = salvage::repair(&options(dir.path())).unwrap();
    assert!(!repaired.findings.damage.is_empty());
    let store = open_it(dir.path());
    assert_eq!(
        [0, 1, 2].map(|queue| numbers(&store, queue, LEN)),
        [vec![2], vec![], vec![2]]
    );
}

#[test]
fn a_deleted_queue_s_message_is_found_by_those_who_look_through_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let store = open_it(dir.path());
    submit(&store, to_all(0..3, 1, LEN));
    folded(&store);
    for queue in [0, 1].map(QueueId) {
        submit(&store, [Op::DeleteQueue { queue }]);
    }
    store.flush().unwrap();
    // What says so may be in the log or be folded already.
    store.abandon();
    drop(store);
    let findings = salvage::check(&options(dir.path())).unwrap();
    assert_eq!(findings.damage, [""; 0]);
    let of = findings.queues.iter().find(|of| of.queue.0 == 2).unwrap();
    assert_eq!((of.intact, of.lost), (1, 0));
}
