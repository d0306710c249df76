//! Checkpoints that fail or are interrupted: undone and repeated, with nothing lost and nothing duplicated.

use std::time::Duration;

use super::world::*;
use crate::{Op, Options, QueueId, Store};

/// Fills a few segments: publishes of three queues, acks of old and new messages, a deletion, a definition.
fn fill(store: &Store) {
    for round in 0..12u64 {
        let ops =
            (0..12).flat_map(|i| (0..3).map(move |queue| publish(queue, round * 12 + i, 300)));
        submit(store, ops);
        store.flush().unwrap();
        if round >= 3 {
            // Behind by three rounds: in chunks by now, or in segments not folded yet.
            submit(
                store,
                [
                    ack(0, (round - 3) * 12, (round - 3) * 12 + 9),
                    ack(1, round * 12, round * 12),
                ],
            );
        }
        if round == 6 {
            submit(
                store,
                [Op::DeleteQueue { queue: QueueId(2) }, put("a", "1")],
            );
        }
    }
    store.flush().unwrap();
}

fn expected() -> [Vec<u64>; 3] {
    let zero = (0..144).filter(|p| *p >= 108 || p % 12 > 9).collect();
    let one = (0..144).filter(|p| *p < 36 || p % 12 != 0).collect();
    [zero, one, (84..144).collect()]
}

fn check(store: &Store, when: &str) {
    for (queue, expected) in (0..).zip(expected()) {
        assert_eq!(positions(store, queue), expected, "queue {queue}, {when}");
    }
}

#[test]
fn a_checkpoint_that_fails_anywhere_is_done_again() {
    let mut failed = 0;
    for batch in (0..80).step_by(4) {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).store;
        store.fail_sled_after(batch);
        fill(&store);
        check(&store, &format!("failed at {batch}"));
        let last_segment = 20_000;
        // How much is in a segment depends on what was committed together: a small one may be all
        // that is left to fold.
        eventually(
            "all but the last segment is folded, and all is well",
            || {
                let stats = store.stats();
                stats.log_bytes < last_segment && stats.health.is_good()
            },
        );
        failed += usize::from(store.sled_failed());
        check(&store, &format!("failed at {batch}, folded again"));
        store.close().unwrap();
        drop(store);
        check(
            &open(dir.path()).store,
            &format!("failed at {batch}, reopened"),
        );
    }
    // How many batches there are depends on what was committed together, but it is at least so many.
    assert!(failed >= 4, "only {failed} checkpoints failed");
}

#[test]
fn a_crash_anywhere_in_a_checkpoint_costs_nothing() {
    let mut unfinished = 0;
    for batch in 0..60 {
        let dir = tempfile::tempdir().unwrap();
        let store = open(dir.path()).store;
        store.fail_sled_after(batch);
        fill(&store);
        unfinished += usize::from(store.sled_failed());
        // The checkpoint stands still after its failure for longer than this takes.
        store.abandon();
        drop(store);
        let opened = open(dir.path());
        check(&opened.store, &format!("cut at {batch}"));
    }
    assert!(
        unfinished >= 12,
        "only {unfinished} checkpoints were cut short"
    );
}

#[test]
fn what_is_acknowledged_while_its_segment_may_wait_never_reaches_sled() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        log_bound: 256 << 10,
        fold_delay_bytes: 64 << 10,
        fold_delay: Duration::from_secs(3600),
        ..small(dir.path())
    };
    let store = Store::open(options).unwrap().store;
    // Each message is acknowledged a segment or two later.
    for round in 0..100u64 {
        submit(&store, (0..10).map(|i| publish(1, round * 10 + i, 300)));
        if let Some(before) = round.checked_sub(3) {
            submit(&store, [ack(1, before * 10, before * 10 + 9)]);
        }
        store.flush().unwrap();
    }
    eventually("what may not wait is folded", || {
        store.stats().log_bytes < (64 << 10) + 16 * 1024
    });
    assert!(store.stats().folded_segments > 10);
    let volumes = std::fs::read_dir(dir.path().join("volumes")).unwrap();
    assert_eq!(volumes.count(), 0);
    assert_eq!(positions(&store, 1), (970..1000).collect::<Vec<_>>());
    drop(store);
    let store = open(dir.path()).store;
    assert_eq!(positions(&store, 1), (970..1000).collect::<Vec<_>>());
}
