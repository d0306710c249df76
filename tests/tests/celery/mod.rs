//! Celery's job queue with its default transport, pinned, against the release binary.

use leveret_tests::python::Celery;
use leveret_tests::{TestBroker, eventually, run};
use std::path::Path;

/// Returns the lines that tasks have written.
fn lines(notes: &Path, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(notes.join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn tasks_retries_and_results_come_back() {
    Celery::prepare();
    run(async {
        let broker = TestBroker::start().await;
        let notes = tempfile::tempdir().expect("a folder");
        let celery = Celery::at(&broker, notes.path());
        let _worker = celery.worker("one", "celery").await;
        celery.run("results.py", &[]).await;
    });
}

#[test]
fn tasks_on_quorum_queues_are_retried_after_delays() {
    Celery::prepare();
    run(async {
        let broker = TestBroker::start().await;
        let notes = tempfile::tempdir().expect("a folder");
        let celery = Celery::with_quorum_queues_at(&broker, notes.path());
        let _worker = celery.worker("one", "jobs").await;
        celery.run("quorum_results.py", &[]).await;
    });
}

#[test]
fn urgent_tasks_go_first() {
    Celery::prepare();
    run(async {
        let broker = TestBroker::start().await;
        let notes = tempfile::tempdir().expect("a folder");
        let celery = Celery::at(&broker, notes.path());
        celery.run("priorities.py", &[]).await;
        let _worker = celery.worker("one", "urgent").await;
        let order = eventually("all tasks are done", async || {
            let order = lines(notes.path(), "order");
            (order.len() == 12).then_some(order)
        })
        .await;
        let mut tasks: Vec<u32> = (0..12).collect();
        tasks.sort_by_key(|n| std::cmp::Reverse(n % 4));
        let expected: Vec<String> = tasks.iter().map(|n| format!("{} {n}", n % 4 * 3)).collect();
        assert_eq!(order, expected);
    });
}

#[test]
fn a_task_of_a_killed_worker_is_done_by_another() {
    Celery::prepare();
    run(async {
        let broker = TestBroker::start().await;
        let notes = tempfile::tempdir().expect("a folder");
        let celery = Celery::at(&broker, notes.path());
        let mut first = celery.worker("one", "late").await;
        let asker = celery.start("late.py", &[]);
        eventually("the task has started", async || {
            (lines(notes.path(), "survive") == ["first"]).then_some(())
        })
        .await;
        first.kill();
        let _second = celery.worker("two", "late").await;
        assert_eq!(asker.succeeded().await, ["done"]);
        assert_eq!(lines(notes.path(), "survive"), ["first", "again"]);
    });
}

#[test]
fn workers_are_controlled_and_watched_from_afar() {
    Celery::prepare();
    run(async {
        let broker = TestBroker::start().await;
        let notes = tempfile::tempdir().expect("a folder");
        let celery = Celery::at(&broker, notes.path());
        let mut worker = celery.worker("one", "celery").await;
        celery.run("remote.py", &[]).await;
        assert!(worker.ended().await.success(), "shut down from afar");
    });
}
