//! basic.get.

use lapin::options::{BasicAckOptions, BasicGetOptions, BasicRejectOptions};
use leveret_tests::{TestBroker, expect_reply, run, text};

#[test]
fn an_empty_queue_answers_get_empty() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        assert!(client.take("q").await.is_none());
    });
}

#[test]
fn get_ok_tells_how_many_messages_remain() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        for body in ["one", "two", "three"] {
            client.put("q", body).await;
        }
        for (body, remaining) in [("one", 2), ("two", 1), ("three", 0)] {
            let options = BasicGetOptions { no_ack: true };
            let message = client
                .basic_get("q".into(), options)
                .await
                .unwrap()
                .expect(body);
            assert_eq!(
                (text(&message).as_str(), message.message_count),
                (body, remaining)
            );
        }
    });
}

#[test]
fn a_message_got_and_not_acknowledged_is_nobody_elses() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client.put("q", "x").await;
        let message = client.get("q").await.expect("the message");
        assert!(!message.redelivered);
        let other = broker.client().await;
        assert!(other.take("q").await.is_none());
        message
            .reject(BasicRejectOptions { requeue: true })
            .await
            .unwrap();
        let message = client.get("q").await.expect("the message again");
        assert!(message.redelivered);
        message.ack(BasicAckOptions::default()).await.unwrap();
        client.close().await;
        assert!(other.take("q").await.is_none());
    });
}

#[test]
fn a_missing_queue_is_not_found() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let got = client
            .basic_get("nope".into(), BasicGetOptions::default())
            .await;
        expect_reply(got, 404, "NOT_FOUND - no queue 'nope' in vhost '/'");
    });
}
