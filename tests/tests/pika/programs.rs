//! Steps that the tests of this folder share, and one test per version of pika.

use leveret_tests::python::{Pika, Script};
use leveret_tests::{Process, TestBroker};

/// Writes, for each function `promise(pika: Pika)` named, a module with one test per version.
macro_rules! for_each_version {
    ($($promise:ident),+ $(,)?) => {
        $(
            mod $promise {
                use leveret_tests::python::Pika;
                use leveret_tests::run;

                #[test]
                fn pika_0_10_0() {
                    Pika::V0_10_0.prepare();
                    run(super::$promise(Pika::V0_10_0));
                }

                #[test]
                fn pika_0_11_2() {
                    Pika::V0_11_2.prepare();
                    run(super::$promise(Pika::V0_11_2));
                }

                #[test]
                fn pika_0_13_1() {
                    Pika::V0_13_1.prepare();
                    run(super::$promise(Pika::V0_13_1));
                }

                #[test]
                fn pika_1_0_1() {
                    Pika::V1_0_1.prepare();
                    run(super::$promise(Pika::V1_0_1));
                }

                #[test]
                fn pika_1_3_2() {
                    Pika::V1_3_2.prepare();
                    run(super::$promise(Pika::V1_3_2));
                }

                #[test]
                fn pika_1_4() {
                    Pika::V1_4.prepare();
                    run(super::$promise(Pika::V1_4));
                }
            }
        )+
    };
}
pub(super) use for_each_version;

/// Starts a worker and waits until it consumes: the order in which workers start is the order
/// of their turns.
pub(super) async fn start_worker(broker: &TestBroker, script: &Script, queue: &str) -> Process {
    let watcher = broker.client().await;
    let before = watcher
        .look_at(queue)
        .await
        .map_or(0, |(_, consumers)| consumers);
    let mut worker = script.start(broker, &[]);
    leveret_tests::eventually("the worker consumes", async || {
        assert!(worker.exited().is_none(), "the worker ended");
        let (_, consumers) = watcher.look_at(queue).await.ok()?;
        (consumers > before).then_some(())
    })
    .await;
    worker
}

/// Runs the sender once per task, in order.
pub(super) async fn send(broker: &TestBroker, script: &Script, tasks: &[&str]) {
    for task in tasks {
        let words: Vec<&str> = task.split(' ').collect();
        script.run(broker, &words).await;
    }
}

/// Waits until the worker has printed this line.
pub(super) async fn printed(worker: &mut Process, line: &str) {
    worker
        .line(line, |printed| (printed == line).then_some(()))
        .await;
}

/// The tasks that a worker says it received, in order.
pub(super) fn received(worker: &Process) -> Vec<String> {
    let lines = worker.lines();
    let tasks = lines
        .iter()
        .filter_map(|line| line.strip_prefix("received "));
    tasks
        .map(|task| {
            task.split(" redelivered=")
                .next()
                .unwrap_or(task)
                .to_owned()
        })
        .collect()
}

/// The five tasks of the tutorials: each takes a second longer than the one before.
pub(super) const FIVE: [&str; 5] = [
    "First message.",
    "Second message..",
    "Third message...",
    "Fourth message....",
    "Fifth message.....",
];

/// The script of this name in the style of this pika.
pub(super) fn script(pika: Pika, name: &str) -> Script {
    Script::of_style(pika, name)
}
