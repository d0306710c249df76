//! Wraps lapin, leaving out options that tests seldom vary.

use std::ops::Deref;
use std::time::Duration;

use futures_lite::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions,
    ConfirmSelectOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer, ErrorKind,
    ExchangeKind,
};

use crate::broker::TestBroker;
use crate::wait::eventually;

/// How long [`next`] waits for a delivery.
const DELIVERY_LIMIT: Duration = Duration::from_secs(20);
/// How long silence must last to count as silence. This is the only wait for nothing to happen;
/// tests use a round trip instead where they can.
const SILENCE: Duration = Duration::from_millis(200);

/// A connection with one channel.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub connection: Connection,
    /// Its first channel.
    pub channel: TestChannel,
}

/// A channel with shorthands.
#[derive(Debug, Clone)]
pub struct TestChannel(Channel);

/// A reply code and text with which the broker closes channels and connections.
pub type Reply = (u16, String);

impl Client {
    /// Connects as guest and opens a channel.
    pub async fn connect(broker: &TestBroker) -> Self {
        Self::login(broker, "guest", "guest", "%2f")
            .await
            .expect("guest logs in")
    }

    /// Connects as a user to a virtual host (percent-encoded) and opens a channel.
    pub async fn login(
        broker: &TestBroker,
        user: &str,
        password: &str,
        vhost: &str,
    ) -> lapin::Result<Self> {
        let uri = format!("amqp://{user}:{password}@{}/{vhost}", broker.address());
        Self::over(Connection::connect(&uri, ConnectionProperties::default()).await?).await
    }

    /// Opens a channel on a connection.
    pub async fn over(connection: Connection) -> lapin::Result<Self> {
        let channel = TestChannel(connection.create_channel().await?);
        Ok(Self {
            connection,
            channel,
        })
    }

    /// Opens another channel.
    pub async fn open(&self) -> TestChannel {
        // lapin occasionally fails to open a channel with the error that closed another one; a
        // retry succeeds.
        for _ in 0..3 {
            match self.connection.create_channel().await {
                Err(error) if error.is_amqp_soft_error() => {}
                opened => return TestChannel(opened.expect("a channel")),
            }
        }
        panic!("no channel opens");
    }

    /// Opens another channel, with publisher confirms.
    pub async fn open_confirming(&self) -> TestChannel {
        let channel = self.open().await;
        channel
            .confirm_select(ConfirmSelectOptions::default())
            .await
            .expect("confirm mode");
        channel
    }

    /// Returns the number of ready messages and consumers of a queue that may not exist, using a
    /// channel of its own.
    pub async fn look_at(&self, queue: &str) -> lapin::Result<(u32, u32)> {
        let channel = self.open().await;
        let options = QueueDeclareOptions::default().passive();
        let queue = channel
            .queue_declare(queue.into(), options, FieldTable::default())
            .await?;
        channel.close(200, "done".into()).await?;
        Ok((queue.message_count(), queue.consumer_count()))
    }

    /// Waits until no queue has this name.
    pub async fn queue_goes(&self, queue: &str) {
        let what = format!("{queue} is gone");
        eventually(&what, async || {
            let error = self.look_at(queue).await.err()?;
            matches!(reply_of(&error), Some((404, _))).then_some(())
        })
        .await;
    }

    /// Closes the connection and waits for the broker's close-ok.
    pub async fn close(self) {
        self.connection
            .close(200, "bye".into())
            .await
            .expect("close-ok");
    }
}

impl Deref for Client {
    type Target = TestChannel;

    fn deref(&self) -> &TestChannel {
        &self.channel
    }
}

impl Deref for TestChannel {
    type Target = Channel;

    fn deref(&self) -> &Channel {
        &self.0
    }
}

impl TestChannel {
    /// Declares a queue and returns its name, which the broker generates if `queue` is empty.
    pub async fn declare(&self, queue: &str, options: QueueDeclareOptions) -> String {
        let queue = self
            .queue_declare(queue.into(), options, FieldTable::default())
            .await
            .expect("declare-ok");
        queue.name().as_str().to_owned()
    }

    /// Declares a transient queue that is not exclusive.
    pub async fn queue(&self, queue: &str) -> String {
        self.declare(queue, QueueDeclareOptions::default()).await
    }

    /// Declares a durable queue.
    pub async fn durable_queue(&self, queue: &str) -> String {
        self.declare(queue, QueueDeclareOptions::durable()).await
    }

    /// Declares an exchange.
    pub async fn exchange(&self, exchange: &str, kind: ExchangeKind) {
        let options = ExchangeDeclareOptions::default();
        self.exchange_declare(exchange.into(), kind, options, FieldTable::default())
            .await
            .expect("declare-ok");
    }

    /// Binds a queue.
    pub async fn bind(&self, queue: &str, exchange: &str, key: &str) {
        let options = QueueBindOptions::default();
        self.queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            options,
            FieldTable::default(),
        )
        .await
        .expect("bind-ok");
    }

    /// Publishes through the default exchange; waits for the confirm on a confirming channel.
    pub async fn put(&self, queue: &str, body: impl AsRef<[u8]>) -> Confirmation {
        self.publish("", queue, body, BasicProperties::default())
            .await
    }

    /// Publishes a persistent message through the default exchange.
    pub async fn put_persistent(&self, queue: &str, body: impl AsRef<[u8]>) -> Confirmation {
        self.publish(
            "",
            queue,
            body,
            BasicProperties::default().with_delivery_mode(2),
        )
        .await
    }

    /// Publishes; waits for the confirm on a confirming channel.
    pub async fn publish(
        &self,
        exchange: &str,
        key: &str,
        body: impl AsRef<[u8]>,
        properties: BasicProperties,
    ) -> Confirmation {
        let options = BasicPublishOptions::default();
        self.basic_publish(
            exchange.into(),
            key.into(),
            options,
            body.as_ref(),
            properties,
        )
        .await
        .expect("published")
        .await
        .expect("confirmed")
    }

    /// Gets and acknowledges one message.
    pub async fn take(&self, queue: &str) -> Option<Delivery> {
        let options = BasicGetOptions { no_ack: true };
        let message = self
            .basic_get(queue.into(), options)
            .await
            .expect("get-ok or get-empty");
        message.map(|message| message.delivery)
    }

    /// Gets one message without acknowledging it.
    pub async fn get(&self, queue: &str) -> Option<Delivery> {
        let options = BasicGetOptions { no_ack: false };
        let message = self
            .basic_get(queue.into(), options)
            .await
            .expect("get-ok or get-empty");
        message.map(|message| message.delivery)
    }

    /// Takes every ready message and returns the bodies as text.
    pub async fn drain(&self, queue: &str) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(message) = self.take(queue).await {
            bodies.push(text(&message));
        }
        bodies
    }

    /// Returns the number of ready messages and consumers of a queue, by passive declare.
    pub async fn counts(&self, queue: &str) -> (u32, u32) {
        let options = QueueDeclareOptions::default().passive();
        let queue = self
            .queue_declare(queue.into(), options, FieldTable::default())
            .await
            .expect("declare-ok");
        (queue.message_count(), queue.consumer_count())
    }

    /// Waits until a queue has these numbers of ready messages and consumers.
    pub async fn counts_become(&self, queue: &str, messages: u32, consumers: u32) {
        let what = format!("{queue}: {messages} messages, {consumers} consumers");
        eventually(&what, async || {
            (self.counts(queue).await == (messages, consumers)).then_some(())
        })
        .await;
    }

    /// Waits until a queue has at least this many ready messages.
    pub async fn counts_become_at_least(&self, queue: &str, messages: u32) {
        let what = format!("{queue}: at least {messages} messages");
        eventually(&what, async || {
            (self.counts(queue).await.0 >= messages).then_some(())
        })
        .await;
    }

    /// Starts a consumer with manual acknowledgement.
    pub async fn consume(&self, queue: &str, tag: &str) -> Consumer {
        self.consume_with(queue, tag, BasicConsumeOptions::default())
            .await
    }

    /// Starts a consumer with automatic acknowledgement.
    pub async fn consume_auto(&self, queue: &str, tag: &str) -> Consumer {
        let options = BasicConsumeOptions {
            no_ack: true,
            ..BasicConsumeOptions::default()
        };
        self.consume_with(queue, tag, options).await
    }

    /// Starts a consumer.
    pub async fn consume_with(
        &self,
        queue: &str,
        tag: &str,
        options: BasicConsumeOptions,
    ) -> Consumer {
        self.basic_consume(queue.into(), tag.into(), options, FieldTable::default())
            .await
            .expect("consume-ok")
    }

    /// Sets the prefetch count.
    pub async fn prefetch(&self, count: u16, global: bool) {
        self.basic_qos(count, BasicQosOptions { global })
            .await
            .expect("qos-ok");
    }
}

/// Returns the next delivery; panics if the consumer ends or after 20 seconds.
pub async fn next(consumer: &mut Consumer) -> Delivery {
    tokio::time::timeout(DELIVERY_LIMIT, consumer.next())
        .await
        .expect("a delivery within 20 seconds")
        .expect("a consumer that goes on")
        .expect("a delivery")
}

/// Asserts that nothing is delivered for a while.
pub async fn nothing_more(consumer: &mut Consumer) {
    if let Ok(delivery) = tokio::time::timeout(SILENCE, consumer.next()).await {
        panic!("expected no delivery, got {delivery:?}");
    }
}

/// Returns the body of a delivery as text.
pub fn text(delivery: &Delivery) -> String {
    String::from_utf8_lossy(&delivery.data).into_owned()
}

/// Returns the reply code and text of an error with which the broker closed a channel or
/// connection.
pub fn reply_of(error: &lapin::Error) -> Option<Reply> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            Some((error.get_id(), error.get_message().as_str().to_owned()))
        }
        _ => None,
    }
}

/// Asserts that a call failed with this reply from the broker.
pub fn expect_reply<T: std::fmt::Debug>(result: lapin::Result<T>, code: u16, text: &str) {
    let error = result.expect_err("the broker refuses");
    assert_eq!(reply_of(&error), Some((code, text.to_owned())), "{error:?}");
}

/// A table of string values.
pub fn headers(pairs: &[(&str, &str)]) -> FieldTable {
    let mut table = FieldTable::default();
    for &(key, value) in pairs {
        table.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    table
}

/// Publishes on a channel in confirm mode, and waits for the confirm.
///
/// # Errors
/// Those of the channel or connection that the publish closes.
pub async fn try_publish(channel: &lapin::Channel, exchange: &str, key: &str) -> lapin::Result<()> {
    let options = lapin::options::BasicPublishOptions::default();
    let properties = lapin::BasicProperties::default();
    let sent = channel.basic_publish(exchange.into(), key.into(), options, b"message", properties);
    sent.await?.await.map(|_| ())
}
