//! What survives a restart, and what does not.

use lapin::options::{
    BasicAckOptions, ExchangeDeclareOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::FieldTable;
use lapin::{BasicProperties, ExchangeKind};
use leveret_tests::{Client, TestBroker, expect_reply, next, run, text};

/// How the broker goes down.
#[derive(Debug, Clone, Copy)]
enum End {
    Stop,
    Crash,
}

const ENDS: [End; 2] = [End::Stop, End::Crash];

async fn again(broker: &mut TestBroker, end: End) -> Client {
    match end {
        End::Stop => broker.restart().await,
        End::Crash => {
            broker.kill();
            broker.start_again().await;
        }
    }
    broker.client().await
}

fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

#[test]
fn only_persistent_messages_on_durable_queues_stay() {
    run(async {
        for end in ENDS {
            let Some(mut broker) = TestBroker::start_own().await else {
                return;
            };
            let client = broker.client().await;
            client.durable_queue("durable").await;
            client.queue("transient").await;
            let channel = client.open_confirming().await;
            for queue in ["durable", "transient"] {
                channel.put(queue, "light").await;
                channel.put_persistent(queue, "heavy").await;
            }
            let client = again(&mut broker, end).await;
            assert_eq!(client.drain("durable").await, ["heavy"], "{end:?}");
            let passive = QueueDeclareOptions::default().passive();
            let gone = client
                .queue_declare("transient".into(), passive, FieldTable::default())
                .await;
            expect_reply(gone, 404, "NOT_FOUND - no queue 'transient' in vhost '/'");
        }
    });
}

#[test]
fn durable_exchanges_and_bindings_stay() {
    run(async {
        for end in ENDS {
            let Some(mut broker) = TestBroker::start_own().await else {
                return;
            };
            let client = broker.client().await;
            let durable = ExchangeDeclareOptions {
                durable: true,
                ..Default::default()
            };
            let declare = async |client: &Client, name: &str, options| {
                let kind = ExchangeKind::Direct;
                client
                    .exchange_declare(name.into(), kind, options, FieldTable::default())
                    .await
            };
            declare(&client, "stays", durable).await.unwrap();
            declare(&client, "goes", Default::default()).await.unwrap();
            client.durable_queue("q").await;
            client.bind("q", "stays", "k").await;
            client.bind("q", "stays", "unbound").await;
            let key = "unbound".into();
            client
                .queue_unbind("q".into(), "stays".into(), key, FieldTable::default())
                .await
                .unwrap();

            let client = again(&mut broker, end).await;
            client.publish("stays", "k", "routed", persistent()).await;
            client
                .publish("stays", "unbound", "not routed", persistent())
                .await;
            assert_eq!(client.drain("q").await, ["routed"], "{end:?}");
            let passive = ExchangeDeclareOptions {
                passive: true,
                ..Default::default()
            };
            let gone = declare(&client, "goes", passive).await;
            expect_reply(gone, 404, "NOT_FOUND - no exchange 'goes' in vhost '/'");
        }
    });
}

#[test]
fn order_and_contents_stay() {
    run(async {
        for end in ENDS {
            let Some(mut broker) = TestBroker::start_own().await else {
                return;
            };
            let client = broker.client().await;
            client.durable_queue("q").await;
            let channel = client.open_confirming().await;
            let sizes = [0, 1, 100, 70_000, 131_064, 131_065, 1 << 20];
            for size in sizes {
                let body = vec![b'a' + (size % 26) as u8; size];
                let properties = persistent().with_message_id(size.to_string().into());
                channel.publish("", "q", body, properties).await;
            }
            let client = again(&mut broker, end).await;
            for size in sizes {
                let message = client.take("q").await.expect("a message");
                let body = vec![b'a' + (size % 26) as u8; size];
                assert!(message.data == body, "{end:?}: {size} octets");
                let id = message.properties.message_id().clone().expect("its id");
                assert_eq!(id.as_str(), size.to_string());
            }
            assert!(client.take("q").await.is_none());
        }
    });
}

#[test]
fn what_was_unacknowledged_is_there_again_and_what_was_acknowledged_is_not() {
    run(async {
        for end in ENDS {
            let Some(mut broker) = TestBroker::start_own().await else {
                return;
            };
            let client = broker.client().await;
            client.durable_queue("q").await;
            let channel = client.open_confirming().await;
            for n in 0..10 {
                channel.put_persistent("q", n.to_string()).await;
            }
            let mut consumer = channel.consume("q", "c").await;
            for n in 0..10 {
                let delivery = next(&mut consumer).await;
                if n % 2 == 0 {
                    delivery.ack(BasicAckOptions::default()).await.unwrap();
                }
            }
            // Confirmed after the acks on their channel, so they are on disk.
            channel.durable_queue("barrier").await;
            channel.put_persistent("barrier", "x").await;
            let client = again(&mut broker, end).await;
            assert_eq!(
                client.drain("q").await,
                ["1", "3", "5", "7", "9"],
                "{end:?}"
            );
        }
    });
}

#[test]
fn purged_and_deleted_stays_purged_and_deleted() {
    run(async {
        for end in ENDS {
            let Some(mut broker) = TestBroker::start_own().await else {
                return;
            };
            let client = broker.client().await;
            let channel = client.open_confirming().await;
            for queue in ["purged", "deleted"] {
                client.durable_queue(queue).await;
                channel.put_persistent(queue, "old").await;
            }
            channel
                .queue_purge("purged".into(), QueuePurgeOptions::default())
                .await
                .unwrap();
            channel
                .queue_delete("deleted".into(), QueueDeleteOptions::default())
                .await
                .unwrap();
            // A new queue with the same name is a different queue.
            channel.durable_queue("deleted").await;
            channel.put_persistent("deleted", "new").await;
            let client = again(&mut broker, end).await;
            assert_eq!(client.drain("purged").await, [""; 0], "{end:?}");
            assert_eq!(client.drain("deleted").await, ["new"], "{end:?}");
        }
    });
}

#[test]
fn a_message_in_several_queues_stays_in_each() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        let queues = ["a", "b", "c"];
        for queue in queues {
            client.durable_queue(queue).await;
            client.bind(queue, "amq.fanout", "").await;
        }
        let channel = client.open_confirming().await;
        let body = vec![b'x'; 200_000];
        channel.publish("amq.fanout", "", &body, persistent()).await;
        assert!(channel.take("a").await.is_some());
        channel
            .publish("amq.fanout", "", "small", persistent())
            .await;
        let client = again(&mut broker, End::Crash).await;
        assert_eq!(client.drain("a").await, ["small"]);
        for queue in ["b", "c"] {
            assert!(client.take(queue).await.expect("the large one").data == body);
            assert_eq!(client.drain(queue).await, ["small"]);
        }
    });
}

#[test]
fn a_backlog_stays_over_several_restarts() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("q").await;
        let channel = client.open_confirming().await;
        let mut confirms = Vec::new();
        for n in 0..20_000u32 {
            let options = Default::default();
            let body = n.to_string();
            let publish = channel.basic_publish(
                "".into(),
                "q".into(),
                options,
                body.as_bytes(),
                persistent(),
            );
            confirms.push(publish.await.unwrap());
        }
        for confirm in confirms {
            confirm.await.unwrap();
        }
        let mut taken = 0..20_000u32;
        for end in [End::Stop, End::Crash, End::Stop, End::Crash] {
            let client = again(&mut broker, end).await;
            let rest = u32::try_from(taken.len()).unwrap();
            client.counts_become("q", rest, 0).await;
            for n in taken.by_ref().take(100) {
                let message = client.take("q").await.expect("a message");
                assert_eq!(text(&message), n.to_string());
            }
            // Confirmed after the acks on their connection, so they are on disk.
            client.durable_queue("barrier").await;
            client.confirm_select(Default::default()).await.unwrap();
            client.put_persistent("barrier", "x").await;
        }
    });
}
