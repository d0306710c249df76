//! Hello world, taking turns, fair dispatch, and workers that die or forget.

use leveret_tests::TestBroker;
use leveret_tests::python::Pika;

use super::programs::{FIVE, for_each_version, printed, received, script, send, start_worker};

for_each_version!(
    hello_world,
    workers_take_turns,
    workers_that_acknowledge_take_turns,
    a_task_of_a_killed_worker_is_finished_by_another,
    the_next_task_goes_to_the_free_worker,
    forgotten_acknowledgements_show_and_come_back,
);

async fn hello_world(pika: Pika) {
    let broker = TestBroker::start().await;
    // The message waits for its receiver.
    let sent = script(pika, "send.py").run(&broker, &[]).await;
    assert_eq!(sent, ["sent Hello World!"]);
    let mut receiver = script(pika, "receive.py").start(&broker, &[]);
    printed(&mut receiver, "received Hello World!").await;
    // And the receiver for its message.
    script(pika, "send.py")
        .run(&broker, &["again,", "ünï"])
        .await;
    printed(&mut receiver, "received again, ünï").await;
}

async fn workers_take_turns(pika: Pika) {
    let broker = TestBroker::start().await;
    let (worker, sender) = (script(pika, "receive.py"), script(pika, "send.py"));
    let mut one = start_worker(&broker, &worker, "hello").await;
    let mut two = start_worker(&broker, &worker, "hello").await;
    send(&broker, &sender, &FIVE).await;
    printed(&mut one, "done Fifth message.....").await;
    printed(&mut two, "done Fourth message....").await;
    assert_eq!(received(&one), [FIVE[0], FIVE[2], FIVE[4]]);
    assert_eq!(received(&two), [FIVE[1], FIVE[3]]);
}

async fn workers_that_acknowledge_take_turns(pika: Pika) {
    let broker = TestBroker::start().await;
    let (worker, sender) = (script(pika, "eager_worker.py"), script(pika, "new_task.py"));
    let mut one = start_worker(&broker, &worker, "task_queue").await;
    let mut two = start_worker(&broker, &worker, "task_queue").await;
    send(&broker, &sender, &FIVE).await;
    printed(&mut one, "done Fifth message.....").await;
    printed(&mut two, "done Fourth message....").await;
    assert_eq!(received(&one), [FIVE[0], FIVE[2], FIVE[4]]);
    assert_eq!(received(&two), [FIVE[1], FIVE[3]]);
}

async fn a_task_of_a_killed_worker_is_finished_by_another(pika: Pika) {
    let broker = TestBroker::start().await;
    let (worker, sender) = (script(pika, "worker.py"), script(pika, "new_task.py"));
    let mut doomed = start_worker(&broker, &worker, "task_queue").await;
    let task = format!("a task that takes long{}", ".".repeat(200));
    send(&broker, &sender, &[&task]).await;
    printed(&mut doomed, &format!("received {task} redelivered=False")).await;
    let mut heir = start_worker(&broker, &worker, "task_queue").await;
    send(&broker, &sender, &["a short one"]).await;
    printed(&mut heir, "done a short one").await;
    assert_eq!(received(&heir), ["a short one"]);
    doomed.kill();
    printed(&mut heir, &format!("received {task} redelivered=True")).await;
    assert!(!doomed.lines().iter().any(|line| line.starts_with("done")));
}

async fn the_next_task_goes_to_the_free_worker(pika: Pika) {
    let broker = TestBroker::start().await;
    let (worker, sender) = (script(pika, "worker.py"), script(pika, "new_task.py"));
    let mut one = start_worker(&broker, &worker, "task_queue").await;
    let mut two = start_worker(&broker, &worker, "task_queue").await;
    let long = format!("long{}", ".".repeat(200));
    send(&broker, &sender, &[&long]).await;
    printed(&mut one, &format!("received {long} redelivered=False")).await;
    let short = ["a", "b", "c", "d"];
    send(&broker, &sender, &short).await;
    printed(&mut two, "done d").await;
    assert_eq!(received(&one), [long]);
    assert_eq!(received(&two), short);
}

async fn forgotten_acknowledgements_show_and_come_back(pika: Pika) {
    let Some(broker) = TestBroker::start_with_ctl().await else {
        return;
    };
    let sender = script(pika, "new_task.py");
    let forgetful = script(pika, "forgetful_worker.py");
    let mut worker = start_worker(&broker, &forgetful, "task_queue").await;
    send(&broker, &sender, &["one", "two", "three"]).await;
    printed(&mut worker, "received three redelivered=False").await;
    let columns = ["messages_ready", "messages_unacknowledged"];
    let becomes = async |ready: &str, unacknowledged: &str| {
        let what = format!("task_queue {ready} {unacknowledged}");
        leveret_tests::eventually(&what, async || {
            let queues = broker.list_queues(&columns).await;
            (queues == [["task_queue", ready, unacknowledged]]).then_some(())
        })
        .await;
    };
    becomes("0", "3").await;
    worker.kill();
    becomes("3", "0").await;
    let mut worker = start_worker(&broker, &forgetful, "task_queue").await;
    printed(&mut worker, "received three redelivered=True").await;
    assert_eq!(received(&worker), ["one", "two", "three"]);
    becomes("0", "3").await;
}
