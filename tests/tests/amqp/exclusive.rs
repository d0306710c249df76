//! Exclusive queues: for the connection that declared them alone.

use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, QueueBindOptions, QueueDeclareOptions,
    QueueDeleteOptions, QueuePurgeOptions,
};
use lapin::types::FieldTable;
use leveret_tests::{TestBroker, expect_reply, run};

const LOCKED: &str = "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'pl' in \
                      vhost '/'. It could be originally declared on another connection or the \
                      exclusive property value does not match that of the original declaration.";

#[test]
fn other_connections_may_not_touch_an_exclusive_queue() {
    run(async {
        let broker = TestBroker::start().await;
        let owner = broker.client().await;
        owner.declare("pl", QueueDeclareOptions::exclusive()).await;
        let other = broker.client().await;

        let table = FieldTable::default;
        let exclusive = QueueDeclareOptions::exclusive();
        let channel = other.open().await;
        expect_reply(
            channel.queue_declare("pl".into(), exclusive, table()).await,
            405,
            LOCKED,
        );
        let passive = QueueDeclareOptions::default().passive();
        let channel = other.open().await;
        expect_reply(
            channel.queue_declare("pl".into(), passive, table()).await,
            405,
            LOCKED,
        );
        let channel = other.open().await;
        let got = channel
            .basic_get("pl".into(), BasicGetOptions::default())
            .await;
        expect_reply(got, 405, LOCKED);
        let channel = other.open().await;
        let options = BasicConsumeOptions::default();
        let consumed = channel
            .basic_consume("pl".into(), "c".into(), options, table())
            .await;
        expect_reply(consumed, 405, LOCKED);
        let channel = other.open().await;
        let purged = channel
            .queue_purge("pl".into(), QueuePurgeOptions::default())
            .await;
        expect_reply(purged, 405, LOCKED);
        let channel = other.open().await;
        let deleted = channel
            .queue_delete("pl".into(), QueueDeleteOptions::default())
            .await;
        expect_reply(deleted, 405, LOCKED);
        let channel = other.open().await;
        let options = QueueBindOptions::default();
        let bound = channel
            .queue_bind(
                "pl".into(),
                "amq.direct".into(),
                "k".into(),
                options,
                table(),
            )
            .await;
        expect_reply(bound, 405, LOCKED);
    });
}

#[test]
fn others_may_publish_to_it_and_the_owner_may_use_it_on_any_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let owner = broker.client().await;
        owner
            .declare("mine", QueueDeclareOptions::exclusive())
            .await;
        let other = broker.client().await;
        other
            .open_confirming()
            .await
            .put("mine", "from outside")
            .await;
        assert_eq!(owner.open().await.drain("mine").await, ["from outside"]);
    });
}

#[test]
fn it_goes_with_its_connection_and_not_with_its_channel() {
    run(async {
        let broker = TestBroker::start().await;
        let owner = broker.client().await;
        let channel = owner.open().await;
        channel
            .declare("mine", QueueDeclareOptions::exclusive())
            .await;
        channel.close(200, "done".into()).await.unwrap();
        assert_eq!(owner.counts("mine").await, (0, 0));
        owner.close().await;

        let other = broker.client().await;
        other.queue_goes("mine").await;
    });
}

#[test]
fn a_shared_queue_cannot_be_declared_exclusive_later() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("pl").await;
        let options = QueueDeclareOptions::exclusive();
        let again = client
            .queue_declare("pl".into(), options, FieldTable::default())
            .await;
        expect_reply(again, 405, LOCKED);
    });
}
