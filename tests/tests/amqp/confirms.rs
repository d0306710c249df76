//! Publisher confirms.

use amq_protocol::protocol::{AMQPClass, basic, confirm};
use lapin::Confirmation;
use leveret_tests::raw::Raw;
use leveret_tests::{TestBroker, run};

#[test]
fn every_message_is_confirmed_once_under_its_number() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.durable_queue("q").await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        // Numbers count from confirm.select on.
        raw.publish_method(1, "q").await;
        raw.empty_content(1).await;
        raw.confirm_select(1).await;
        let messages = 500;
        for _ in 0..messages {
            raw.publish_method(1, "q").await;
            raw.empty_content(1).await;
        }
        let mut open: Vec<u64> = (1..=messages).collect();
        while !open.is_empty() {
            let method = raw.method_on(1).await;
            let AMQPClass::Basic(basic::AMQPMethod::Ack(ack)) = method else {
                panic!("expected basic.ack, got {method:?}");
            };
            let before = open.len();
            if ack.multiple {
                open.retain(|&tag| tag > ack.delivery_tag);
            } else {
                open.retain(|&tag| tag != ack.delivery_tag);
            }
            assert!(
                open.len() < before,
                "confirmed twice or never sent: {ack:?}"
            );
        }
        client.counts_become("q", 501, 0).await;
    });
}

#[test]
fn a_message_for_no_queue_is_confirmed() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let channel = client.open_confirming().await;
        assert_eq!(channel.put("nowhere", "x").await, Confirmation::Ack(None));
    });
}

#[test]
fn transient_and_persistent_messages_on_transient_and_durable_queues_are_confirmed() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("transient").await;
        client.durable_queue("durable").await;
        let channel = client.open_confirming().await;
        for queue in ["transient", "durable"] {
            assert_eq!(channel.put(queue, "x").await, Confirmation::Ack(None));
            assert_eq!(
                channel.put_persistent(queue, "x").await,
                Confirmation::Ack(None)
            );
            assert_eq!(client.drain(queue).await.len(), 2);
        }
    });
}

#[test]
fn a_message_in_several_queues_is_confirmed_once() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        let queues = ["a", "b", "c"];
        for queue in queues {
            client.durable_queue(queue).await;
            client.bind(queue, "amq.fanout", "").await;
        }
        let channel = client.open_confirming().await;
        let properties = lapin::BasicProperties::default().with_delivery_mode(2);
        for n in 0..20 {
            let body = n.to_string();
            let confirmed = channel
                .publish("amq.fanout", "", body, properties.clone())
                .await;
            assert_eq!(confirmed, Confirmation::Ack(None));
        }
        for queue in queues {
            assert_eq!(client.drain(queue).await.len(), 20);
        }
    });
}

#[test]
fn confirms_may_be_selected_twice_and_without_an_answer() {
    run(async {
        let broker = TestBroker::start().await;
        let mut raw = Raw::connect(&broker).await;
        raw.open_channel(1).await;
        raw.confirm_select(1).await;
        raw.confirm_select(1).await;
        raw.open_channel(2).await;
        let select = confirm::Select { nowait: true };
        raw.send(2, AMQPClass::Confirm(confirm::AMQPMethod::Select(select)))
            .await;
        for channel in [1, 2] {
            raw.publish_method(channel, "nowhere").await;
            raw.empty_content(channel).await;
            let method = raw.method_on(channel).await;
            assert!(
                matches!(method, AMQPClass::Basic(basic::AMQPMethod::Ack(_))),
                "{method:?}"
            );
        }
    });
}
