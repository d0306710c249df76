//! What is missing of a page, and what only seems to be.

use super::{Bench, Kind, Step};
use crate::engine::queue::paging::{Job, PageMover, PageWork};

/// What is logged meanwhile on this thread.
fn logged(work: impl FnOnce()) -> String {
    let (read, write) = std::io::pipe().unwrap();
    let write = move || write.try_clone().unwrap();
    let log = tracing_subscriber::fmt().with_writer(write);
    tracing::subscriber::with_default(log.finish(), work);
    std::io::read_to_string(read).unwrap()
}

/// A queue of 200 messages, most of them in the store only, and the reading of a page of those that is under way.
fn with_a_page_on_its_way() -> (Bench, Job) {
    let mut bench = Bench::new(Kind::Plain);
    for _ in 0..200 {
        bench.publish(true, 1000, 0);
    }
    let job = bench.next_reading().unwrap();
    (bench, job)
}

#[test]
fn what_is_settled_or_dropped_while_a_page_is_read_twice_is_not_missing() {
    // Whoever takes them does not wait for the page, and reads it as well.
    let taken: fn(&mut Bench) = |bench| {
        while !bench.ready.is_empty() {
            bench.get(true);
        }
    };
    let purged: fn(&mut Bench) = |bench| bench.run(&Step::Purge);
    let deleted: fn(&mut Bench) = |bench| {
        let deleted = bench.queue.delete_if(|_| Ok::<_, ()>(()), &mut bench.fx);
        assert!(deleted.is_ok());
        bench.perform();
        bench.kept.0.lock().clear();
    };
    for gone in [taken, purged, deleted] {
        let (mut bench, job) = with_a_page_on_its_way();
        let log = logged(|| {
            gone(&mut bench);
            bench.pager.clone().work_now(job, &mut bench.fx);
        });
        assert_eq!(log, "");
    }
}

#[test]
fn what_is_missing_of_a_page_that_is_awaited_is_told() {
    let (mut bench, job) = with_a_page_on_its_way();
    let PageWork::Read(_, outline) = &job.work else {
        panic!("not read: {job:?}");
    };
    bench.kept.0.lock().remove(&outline.first.0);
    let log = logged(|| {
        bench.pager.clone().work_now(job, &mut bench.fx);
    });
    assert!(log.contains("are missing from the store"), "{log}");
}
