//! The user walker, added with leveretctl as one adds a user with rabbitmqctl.

use leveret_tests::python::{Pika, Script};
use leveret_tests::{Client, TestBroker, expect_reply, run};

use super::programs::{printed, received, send, start_worker};

/// Adds walker/123456 with every permission on `/`.
pub(super) async fn add_walker(broker: &TestBroker) {
    // Left over where the broker is shared.
    broker.try_ctl(&["delete_user", "walker"]).await;
    broker.ctl(&["add_user", "walker", "123456"]).await;
    broker
        .ctl(&["set_permissions", "-p", "/", "walker", ".*", ".*", ".*"])
        .await;
}

async fn work_as_walker(pika: Pika, folder: &str) {
    let Some(broker) = TestBroker::start_with_ctl().await else {
        return;
    };
    add_walker(&broker).await;
    let producer = Script::own(pika, folder, "producer.py");
    let consumer = Script::own(pika, folder, "consumer.py");
    let mut worker = start_worker(&broker, &consumer, "task_queue").await;
    send(&broker, &producer, &["first", "second."]).await;
    printed(&mut worker, "done second.").await;
    assert_eq!(received(&worker), ["first", "second."]);
    let emitter = Script::own(pika, folder, "emit_logs.py");
    let listener = Script::own(pika, folder, "receive_logs.py");
    super::fanout::listen(&broker, &emitter, &listener).await;
}

#[test]
fn walker_works_with_pika_0_10_0() {
    run(work_as_walker(Pika::V0_10_0, "walker0"));
}

#[test]
fn walker_works_with_pika_1_0_1() {
    run(work_as_walker(Pika::V1_0_1, "walker1"));
}

#[test]
fn walker_works_with_pika_1_4() {
    run(work_as_walker(Pika::V1_4, "walker1"));
}

#[test]
fn without_being_added_or_permitted_walker_is_refused() {
    run(async {
        let Some(broker) = TestBroker::start_with_ctl().await else {
            return;
        };
        broker.try_ctl(&["delete_user", "walker"]).await;
        let login = async || Client::login(&broker, "walker", "123456", "%2f").await;
        let text = "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For \
                    details see the broker logfile.";
        expect_reply(login().await, 403, text);
        broker.ctl(&["add_user", "walker", "123456"]).await;
        let text = "NOT_ALLOWED - access to vhost '/' refused for user 'walker'";
        expect_reply(login().await, 530, text);
        broker
            .ctl(&["set_permissions", "-p", "/", "walker", ".*", ".*", ".*"])
            .await;
        login().await.unwrap().close().await;
        broker.ctl(&["delete_user", "walker"]).await;
    });
}
