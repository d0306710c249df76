//! A second client library, written by others: amqprs.

use std::time::Duration;

use amqprs::channel::{
    BasicAckArguments, BasicConsumeArguments, BasicGetArguments, BasicPublishArguments,
    BasicQosArguments, Channel, ConfirmSelectArguments, QueueBindArguments, QueueDeclareArguments,
};
use amqprs::connection::{Connection, OpenConnectionArguments};
use amqprs::{BasicProperties, DELIVERY_MODE_PERSISTENT};
use leveret_tests::{TestBroker, run};

async fn connect(broker: &TestBroker) -> (Connection, Channel) {
    let arguments = OpenConnectionArguments::new("127.0.0.1", broker.port(), "guest", "guest");
    let connection = Connection::open(&arguments).await.expect("a connection");
    let channel = connection.open_channel(None).await.expect("a channel");
    (connection, channel)
}

#[test]
fn amqprs_publishes_consumes_and_acknowledges() {
    run(async {
        let broker = TestBroker::start().await;
        let (connection, channel) = connect(&broker).await;
        let declare = QueueDeclareArguments::durable_client_named("amqprs");
        channel.queue_declare(declare).await.expect("declare-ok");
        channel
            .queue_bind(QueueBindArguments::new("amqprs", "amq.topic", "a.#"))
            .await
            .expect("bind-ok");
        channel
            .confirm_select(ConfirmSelectArguments::default())
            .await
            .expect("select-ok");
        channel
            .basic_qos(BasicQosArguments::new(0, 10, false))
            .await
            .expect("qos-ok");
        let consume = BasicConsumeArguments::new("amqprs", "consumer");
        let (_, mut deliveries) = channel.basic_consume_rx(consume).await.expect("consume-ok");
        for n in 0..50 {
            let properties = BasicProperties::default()
                .with_delivery_mode(DELIVERY_MODE_PERSISTENT)
                .finish();
            let body = format!("message {n}").into_bytes();
            let publish = BasicPublishArguments::new("amq.topic", "a.b");
            channel
                .basic_publish(properties, body, publish)
                .await
                .expect("published");
        }
        for n in 0..50 {
            let message = tokio::time::timeout(Duration::from_secs(20), deliveries.recv())
                .await
                .expect("a delivery in time")
                .expect("a consumer that goes on");
            let body = message.content.expect("a body");
            assert_eq!(String::from_utf8_lossy(&body), format!("message {n}"));
            let tag = message.deliver.expect("its deliver method").delivery_tag();
            channel
                .basic_ack(BasicAckArguments::new(tag, false))
                .await
                .expect("acked");
        }
        channel.close().await.expect("close-ok");
        connection.close().await.expect("close-ok");
        let client = broker.client().await;
        client.counts_become("amqprs", 0, 0).await;
    });
}

#[test]
fn amqprs_gets() {
    run(async {
        let broker = TestBroker::start().await;
        let (connection, channel) = connect(&broker).await;
        let declared = channel
            .queue_declare(QueueDeclareArguments::default())
            .await;
        let (queue, _, _) = declared.expect("declare-ok").expect("an answer");
        let empty = channel
            .basic_get(BasicGetArguments::new(&queue))
            .await
            .expect("get-empty");
        assert!(empty.is_none());
        let publish = BasicPublishArguments::new("", &queue);
        let body = b"got".to_vec();
        channel
            .basic_publish(BasicProperties::default(), body, publish)
            .await
            .expect("published");
        let got = channel
            .basic_get(BasicGetArguments::new(&queue))
            .await
            .expect("get-ok");
        let (get_ok, _, body) = got.expect("a message");
        assert_eq!(body, b"got");
        let ack = BasicAckArguments::new(get_ok.delivery_tag(), false);
        channel.basic_ack(ack).await.expect("acked");
        connection.close().await.expect("close-ok");
    });
}
