//! Failing disks: nothing is ever confirmed that is not there afterwards.

use std::sync::Arc;

use super::{
    disk::{BadDisk, Shared},
    world::*,
};
use crate::{Batch, CommitSink, Op, Position, QueueId, StorageError, Store};

fn publish_with_token(position: u64) -> Op {
    Op::Publish {
        queue: QueueId(1),
        position: Position(position),
        message: Message::new(body(1, position, 700)),
        token: Some(token(position)),
    }
}

/// [`Store::submit`] or [`submit_directly`].
type Submit = fn(&Store, Batch);

/// Publishes messages one commit at a time on a failing disk, and cuts the power after `cut` of them.
fn run(disk: &Arc<BadDisk>, cut: u64, submit: Submit) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open_with(small(dir.path()), Arc::new(Shared(disk.clone())))
        .unwrap()
        .store;
    let told = Arc::new(Told::default());
    for position in 0..cut {
        let sink = Some(told.clone() as Arc<dyn CommitSink>);
        let ops = vec![publish_with_token(position)];
        submit(&store, Batch { ops, sink });
        loop {
            match store.flush() {
                Ok(()) => break,
                Err(StorageError::WriteFailing { .. }) => std::thread::yield_now(),
                Err(error) => panic!("{error}"),
            }
        }
    }
    assert!(store.stats().health.is_good(), "{:?}", store.stats().health);
    // One more, that the power cut may catch anywhere.
    let sink = Some(told.clone() as Arc<dyn CommitSink>);
    let ops = vec![publish_with_token(cut)];
    submit(&store, Batch { ops, sink });
    store.abandon();
    let told = told.0.lock().clone();
    drop(store);
    let opened = open(dir.path());
    let found = positions(&opened.store, 1);
    assert_eq!(
        told,
        (0..told.len() as u64).collect::<Vec<_>>(),
        "once each, in order"
    );
    assert!(told.len() as u64 >= cut);
    assert!(
        found.len() >= told.len(),
        "{} confirmed, {} found",
        told.len(),
        found.len()
    );
    assert_eq!(
        found,
        (0..found.len() as u64).collect::<Vec<_>>(),
        "no gaps, nothing twice"
    );
}

#[test]
fn every_single_operation_may_fail_once() {
    for kept in [0, 500, 1000] {
        for at in 0..60 {
            let disk = BadDisk::failing(at, at + 1, kept);
            run(&disk, 20, Store::submit);
            assert!(disk.operations() > 40);
            run(&BadDisk::failing(at, at + 1, kept), 20, submit_directly);
        }
    }
}

#[test]
fn a_disk_may_fail_for_a_while() {
    for at in [0, 3, 4, 5, 20, 21, 22] {
        run(&BadDisk::failing(at, at + 4, 300), 12, Store::submit);
        run(&BadDisk::failing(at, at + 4, 300), 12, submit_directly);
    }
}

#[test]
fn a_store_on_a_dead_disk_says_so_and_closes() {
    let dir = tempfile::tempdir().unwrap();
    let disk = BadDisk::failing(0, u64::MAX, 0);
    let store = Store::open_with(small(dir.path()), Arc::new(Shared(disk)))
        .unwrap()
        .store;
    let told = Arc::new(Told::default());
    store.submit(Batch {
        ops: vec![publish_with_token(0)],
        sink: Some(told.clone()),
    });
    assert!(matches!(
        store.flush(),
        Err(StorageError::WriteFailing { .. })
    ));
    assert!(
        store
            .stats()
            .health
            .write
            .is_some_and(|why| why.contains("told to fail"))
    );
    assert!(matches!(
        store.close(),
        Err(StorageError::WriteFailing { .. })
    ));
    assert!(told.0.lock().is_empty());
    let opened = open(dir.path());
    assert!(!opened.report.clean);
    assert_eq!(positions(&opened.store, 1), []);
}
