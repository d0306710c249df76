//! The broker stops, or is killed, between producer and consumer.

use leveret_tests::TestBroker;
use leveret_tests::python::{Pika, Script};

use super::programs::{for_each_version, printed, received, script, send, start_worker};

for_each_version!(tasks_outlive_a_clean_stop, tasks_outlive_a_crash,);

async fn tasks_outlive_a_clean_stop(pika: Pika) {
    tasks_outlive(pika, false).await;
}

async fn tasks_outlive_a_crash(pika: Pika) {
    tasks_outlive(pika, true).await;
}

async fn tasks_outlive(pika: Pika, crash: bool) {
    let Some(mut broker) = TestBroker::start_own().await else {
        return;
    };
    send(
        &broker,
        &script(pika, "new_task.py"),
        &["one", "two", "three"],
    )
    .await;
    // A transient message on the durable queue, and one on a queue that is not durable.
    let client = broker.client().await;
    client.put("task_queue", "transient").await;
    // A round trip on the connection of the last publish: the broker has them all.
    client.counts_become("task_queue", 4, 0).await;
    script(pika, "send.py")
        .run(&broker, &["to a transient queue"])
        .await;
    // pika's publishers do not wait for confirms; a confirmed message behind theirs does.
    client
        .open_confirming()
        .await
        .put_persistent("task_queue", "four")
        .await;
    drop(client);
    if crash {
        broker.kill();
        broker.start_again().await;
    } else {
        broker.restart().await;
    }
    let mut worker = start_worker(&broker, &script(pika, "worker.py"), "task_queue").await;
    printed(&mut worker, "done four").await;
    assert_eq!(received(&worker), ["one", "two", "three", "four"]);
    let client = broker.client().await;
    let passive = lapin::options::QueueDeclareOptions::default().passive();
    let gone = client
        .queue_declare("hello".into(), passive, Default::default())
        .await;
    leveret_tests::expect_reply(gone, 404, "NOT_FOUND - no queue 'hello' in vhost '/'");
}

/// The calls of programs written for Python 2, with pika 0.10.0.
mod python_2 {
    use super::*;

    #[test]
    fn tasks_survive_a_clean_stop_and_a_crash() {
        Pika::V0_10_0.prepare();
        leveret_tests::run(async {
            let Some(mut broker) = TestBroker::start_own().await else {
                return;
            };
            let sender = Script::own(Pika::V0_10_0, "py2", "new_task.py");
            let worker = Script::own(Pika::V0_10_0, "py2", "receive.py");
            sender.run(&broker, &["abc"]).await;
            broker.restart().await;
            sender.run(&broker, &[]).await;
            // Confirmed behind them, so they are on disk as well.
            let client = broker.client().await;
            client.counts_become("hello", 2, 0).await;
            client
                .open_confirming()
                .await
                .put_persistent("hello", "last")
                .await;
            broker.kill();
            broker.start_again().await;
            let mut worker = start_worker(&broker, &worker, "hello").await;
            printed(&mut worker, "done last").await;
            assert_eq!(received(&worker), ["a.b.c", "Hello World!", "last"]);
        });
    }

    #[test]
    fn a_worker_killed_in_mid_task_is_replaced() {
        Pika::V0_10_0.prepare();
        leveret_tests::run(async {
            let broker = TestBroker::start().await;
            let sender = Script::own(Pika::V0_10_0, "py2", "new_task.py");
            let worker = Script::own(Pika::V0_10_0, "py2", "receive.py");
            let mut doomed = start_worker(&broker, &worker, "hello").await;
            sender.run(&broker, &["abcdefghijklmnopqrstuvwxyz"]).await;
            let task = "a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q.r.s.t.u.v.w.x.y.z";
            printed(&mut doomed, &format!("received {task} redelivered=False")).await;
            let mut heir = start_worker(&broker, &worker, "hello").await;
            doomed.kill();
            printed(&mut heir, &format!("received {task} redelivered=True")).await;
        });
    }
}
