//! Programs from outside the project, run unmodified where they lie beside the workspace.

use std::path::Path;

use leveret_tests::python::{Pika, Script, shared_folder};
use leveret_tests::{TestBroker, run};

use super::programs::{FIVE, printed, start_worker};
use super::users::add_walker;

const PIKA0: [Pika; 3] = [Pika::V0_10_0, Pika::V0_11_2, Pika::V0_13_1];
const PIKA1: [Pika; 3] = [Pika::V1_0_1, Pika::V1_3_2, Pika::V1_4];

/// The folder, or a line that says it is not there.
fn folder(name: &str) -> Option<std::path::PathBuf> {
    let folder = shared_folder(name);
    if folder.is_none() {
        eprintln!("skipped: no scripts called {name} beside the workspace");
    }
    folder
}

/// Two workers that finish the five tasks of the tutorials: 1, 3, 5 and 2, 4. `said` makes the
/// line that a worker prints on receiving a task, `done` is its line at the end.
async fn take_turns(
    broker: &TestBroker,
    worker: &Script,
    sender: &Script,
    queue: &str,
    said: impl Fn(&str) -> String,
    done: &str,
) {
    let mut one = start_worker(broker, worker, queue).await;
    let mut two = start_worker(broker, worker, queue).await;
    for task in FIVE {
        let words: Vec<&str> = task.split(' ').collect();
        sender.run(broker, &words).await;
    }
    for (worker, tasks) in [(&mut one, vec![0, 2, 4]), (&mut two, vec![1, 3])] {
        for &task in &tasks {
            printed(worker, &said(FIVE[task])).await;
        }
        let all_done = async || {
            let finished = worker.lines().iter().filter(|line| *line == done).count();
            (finished == tasks.len()).then_some(())
        };
        leveret_tests::eventually("all tasks are done", all_done).await;
    }
}

fn said_in_bytes(task: &str) -> String {
    format!(" [x] Received b'{task}'")
}

fn prepare_all() {
    for pika in PIKA0.into_iter().chain(PIKA1) {
        pika.prepare();
    }
}

fn script(pika: Pika, folder: &Path, name: &str) -> Script {
    Script::at(pika, folder.join(name))
}

#[test]
fn workers_of_document_001_take_turns() {
    prepare_all();
    run(async {
        let Some(folder) = folder("001-pika0") else {
            return;
        };
        for pika in PIKA0 {
            let broker = TestBroker::start().await;
            let worker = script(pika, &folder, "worker_plain.py");
            let sender = script(pika, &folder, "new_task_plain.py");
            take_turns(
                &broker,
                &worker,
                &sender,
                "hello",
                said_in_bytes,
                " [x] Done",
            )
            .await;
            let worker = script(pika, &folder, "worker.py");
            let sender = script(pika, &folder, "new_task.py");
            take_turns(
                &broker,
                &worker,
                &sender,
                "task_queue",
                said_in_bytes,
                " [x] Done",
            )
            .await;
        }
    });
}

#[test]
fn workers_of_document_002_take_turns() {
    prepare_all();
    run(async {
        let Some(folder) = folder("002-pika1") else {
            return;
        };
        for pika in PIKA1 {
            let broker = TestBroker::start().await;
            let worker = script(pika, &folder, "worker.py");
            let sender = script(pika, &folder, "new_task.py");
            let said = |task: &str| format!("[x] Received {task}");
            take_turns(&broker, &worker, &sender, "task_queue", said, "[x] Done").await;
        }
    });
}

/// A worker dies in mid-task, and the broker in mid-queue; no task is lost.
async fn survive(pika: Pika, folder: &Path, said: impl Fn(&str) -> String) {
    let Some(mut broker) = TestBroker::start_own().await else {
        return;
    };
    let worker = script(pika, folder, "worker.py");
    let sender = script(pika, folder, "new_task.py");
    let long = "x".to_owned() + &".".repeat(200);
    let mut doomed = start_worker(&broker, &worker, "task_queue").await;
    sender.run(&broker, &[&long]).await;
    printed(&mut doomed, &said(&long)).await;
    doomed.kill();
    let mut heir = start_worker(&broker, &worker, "task_queue").await;
    printed(&mut heir, &said(&long)).await;
    sender.run(&broker, &["waiting"]).await;
    let client = broker.client().await;
    client.counts_become("task_queue", 1, 1).await;
    // Confirmed behind the others, so all are on disk.
    client
        .open_confirming()
        .await
        .put_persistent("task_queue", "last")
        .await;
    broker.kill();
    drop(heir);
    broker.start_again().await;
    assert_eq!(
        broker.client().await.drain("task_queue").await,
        [&long, "waiting", "last"]
    );
}

#[test]
fn tasks_of_document_001_survive_worker_and_broker() {
    prepare_all();
    run(async {
        let Some(folder) = folder("001-pika0") else {
            return;
        };
        for pika in PIKA0 {
            survive(pika, &folder, said_in_bytes).await;
        }
    });
}

#[test]
fn tasks_of_document_002_survive_worker_and_broker() {
    prepare_all();
    run(async {
        let Some(folder) = folder("002-pika1") else {
            return;
        };
        for pika in PIKA1 {
            survive(pika, &folder, |task| format!("[x] Received {task}")).await;
        }
    });
}

#[test]
fn programs_of_document_003_work_as_walker() {
    prepare_all();
    run(async {
        let Some(folder) = folder("003-pika0") else {
            return;
        };
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        add_walker(&broker).await;
        let pika = Pika::V0_10_0;
        let consumer = script(pika, &folder, "consumer.py");
        let producer = script(pika, &folder, "producer.py");
        take_turns(
            &broker,
            &consumer,
            &producer,
            "task_queue",
            said_in_bytes,
            " [x] Done",
        )
        .await;

        let listener = script(pika, &folder, "receive_logs.py");
        let emitter = script(pika, &folder, "emit_logs.py");
        let mut listeners = [listener.start(&broker, &[]), listener.start(&broker, &[])];
        for listener in &mut listeners {
            printed(listener, " [*] Waiting for logs. To exit press CTRL+C").await;
        }
        // They print before they consume; their queues and bindings are there already.
        let sent = emitter.run(&broker, &["info:", "to", "all"]).await;
        assert_eq!(sent, [" [x] Sent 'info: to all'"]);
        for listener in &mut listeners {
            printed(listener, " [x] b'info: to all'").await;
        }
    });
}
