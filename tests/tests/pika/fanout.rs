//! The exchange `logs`: every listener receives everything, through its own queue.

use leveret_tests::TestBroker;
use leveret_tests::python::{Pika, Script};

use super::programs::{for_each_version, printed, script};

// pika 0.10.0 knows both spellings of the type's argument; `users` tests the other.
for_each_version!(every_listener_hears_every_line,);

async fn every_listener_hears_every_line(pika: Pika) {
    let broker = TestBroker::start().await;
    listen(
        &broker,
        &script(pika, "emit_logs.py"),
        &script(pika, "receive_logs.py"),
    )
    .await;
}

/// Two listeners, one of whom leaves; the queue is the broker's to name and goes with its owner.
pub(super) async fn listen(broker: &TestBroker, emitter: &Script, listener: &Script) {
    // Nobody listens: the line goes nowhere.
    emitter.run(broker, &["too", "early"]).await;
    let mut one = listener.start(broker, &[]);
    let mut two = listener.start(broker, &[]);
    let waiting = |line: &str| line.strip_prefix("waiting on ").map(str::to_owned);
    let queue_one = one.line("its queue", waiting).await;
    let queue_two = two.line("its queue", waiting).await;
    assert_ne!(queue_one, queue_two);
    assert!(queue_one.starts_with("amq.gen-"), "{queue_one}");
    emitter.run(broker, &[]).await;
    printed(&mut one, "received info: Hello World!").await;
    printed(&mut two, "received info: Hello World!").await;
    assert!(!one.lines().iter().any(|line| line.contains("too early")));

    two.kill();
    broker.client().await.queue_goes(&queue_two).await;
    emitter.run(broker, &["error:", "one", "left"]).await;
    printed(&mut one, "received error: one left").await;
}
