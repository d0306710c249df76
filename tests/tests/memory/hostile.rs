//! Clients that make the broker use as much memory as they can, each in one way for a while, and then vanish.

use leveret_tests::TestBroker;
use leveret_tests::raw::{self, Raw, frame, short_string};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The largest body frame.
const FRAME: usize = 131_072 - 8;

/// The ways to use memory.
#[derive(Clone, Copy, Debug)]
enum Way {
    /// Messages on many channels that are never finished.
    Unfinished,
    /// A transaction that is never committed.
    Uncommitted,
    /// Deliveries with large headers that are never acknowledged.
    Unacknowledged,
    /// Consumers that read nothing.
    Deaf,
    /// Many consumers of a stream of large messages that acknowledge nothing.
    Stream,
    /// Messages in a delayed exchange.
    Delayed,
    /// A worker that takes many messages and dies.
    Dying,
    /// Many small queues.
    Queues,
    /// Frames that are never finished, on many connections.
    Frames,
    /// Channels and consumers without end.
    Consumers,
}

const WAYS: [Way; 10] = [
    Way::Unfinished,
    Way::Uncommitted,
    Way::Unacknowledged,
    Way::Deaf,
    Way::Stream,
    Way::Delayed,
    Way::Dying,
    Way::Queues,
    Way::Frames,
    Way::Consumers,
];

/// One after the other.
pub(super) struct Hostile {
    broker: Arc<TestBroker>,
    ways: Vec<Way>,
    random: StdRng,
}

impl Hostile {
    pub(super) fn new(broker: &Arc<TestBroker>, seed: u64) -> Self {
        Hostile {
            broker: broker.clone(),
            ways: ways(),
            random: StdRng::seed_from_u64(seed),
        }
    }

    /// Runs until this time.
    pub(super) async fn until(mut self, end: Instant) {
        while Instant::now() < end {
            let way = self.ways[self.random.random_range(0..self.ways.len())];
            let stays = Duration::from_millis(self.random.random_range(500..5000));
            let number = self.random.random_range(0..1_000_000);
            let left = end.saturating_duration_since(Instant::now());
            let act = act(&self.broker, way, number);
            // Whatever it is doing, it is dropped then; the broker may close it earlier.
            let _ = tokio::time::timeout(stays.min(left), act).await;
        }
    }
}

/// All of them, or those that `LEVERET_MEMORY_WAYS` names.
fn ways() -> Vec<Way> {
    let wanted = std::env::var("LEVERET_MEMORY_WAYS");
    let is_wanted = |way: &Way| match &wanted {
        Ok(names) => names.split(',').any(|name| name == format!("{way:?}")),
        Err(_) => true,
    };
    WAYS.into_iter().filter(is_wanted).collect()
}

async fn act(broker: &TestBroker, way: Way, number: u32) {
    let name = format!("h{number}");
    let _held = match way {
        Way::Frames => unfinished_frames(broker, &name).await,
        _ => {
            let mut raw = Raw::connect(broker).await;
            raw.bytes(&raw::method(1, 20, 10, &short_string(""))).await;
            one(broker, &mut raw, way, &name).await;
            vec![raw]
        }
    };
    // It stays connected and sends nothing.
    std::future::pending::<()>().await;
}

async fn one(broker: &TestBroker, raw: &mut Raw, way: Way, name: &str) {
    match way {
        Way::Unfinished => unfinished(raw, name).await,
        Way::Uncommitted => {
            raw.bytes(&raw::method(1, 90, 10, &[])).await;
            raw.bytes(&publish("", name, &[0, 0], 100_000).repeat(400))
                .await;
        }
        Way::Unacknowledged | Way::Dying => {
            declare(raw, name, &[]).await;
            raw.bytes(&publish("", name, &large_headers(), 10).repeat(300))
                .await;
            consume(raw, name, 0, false).await;
            let takes = if matches!(way, Way::Dying) {
                250
            } else {
                usize::MAX
            };
            read(raw, takes).await;
        }
        Way::Deaf => deaf(broker, raw, name).await,
        Way::Stream => stream(raw, name).await,
        Way::Delayed => delayed(raw, name).await,
        Way::Queues => queues(raw, name).await,
        Way::Consumers => {
            declare(raw, name, &[]).await;
            for number in 0..20_000 {
                consume(raw, name, number, true).await;
            }
        }
        Way::Frames => {}
    }
}

async fn unfinished(raw: &mut Raw, name: &str) {
    for channel in 1..200 {
        if channel > 1 {
            raw.bytes(&raw::method(channel, 20, 10, &short_string("")))
                .await;
        }
        raw.bytes(&publish_method(channel, "", name)).await;
        raw.bytes(&header(channel, &[0, 0], 8 << 20)).await;
        for _ in 0..20 {
            raw.bytes(&frame(3, channel, &[b'u'; FRAME])).await;
        }
    }
}

async fn unfinished_frames(broker: &TestBroker, name: &str) -> Vec<Raw> {
    let mut all = Vec::new();
    for _ in 0..100 {
        let mut raw = Raw::connect(broker).await;
        raw.bytes(&raw::method(1, 20, 10, &short_string(""))).await;
        raw.bytes(&publish_method(1, "", name)).await;
        raw.bytes(&header(1, &[0, 0], FRAME)).await;
        raw.bytes(&frame(3, 1, &[b'f'; FRAME])[..FRAME - 10]).await;
        all.push(raw);
    }
    all
}

async fn deaf(broker: &TestBroker, raw: &mut Raw, name: &str) {
    declare(raw, name, &[]).await;
    let mut others = Vec::new();
    for _ in 0..20 {
        let mut other = Raw::connect(broker).await;
        other
            .bytes(&raw::method(1, 20, 10, &short_string("")))
            .await;
        consume(&mut other, name, 0, true).await;
        others.push(other);
    }
    raw.bytes(&publish("", name, &[0, 0], 50_000).repeat(2000))
        .await;
    std::future::pending::<()>().await;
}

async fn stream(raw: &mut Raw, name: &str) {
    let mut arguments = short_string("x-queue-type");
    arguments.extend(long_text("stream"));
    declare(raw, name, &arguments).await;
    raw.bytes(&publish("", name, &[0, 0], 2_000_000).repeat(20))
        .await;
    raw.send_qos(1).await;
    let mut from = short_string("x-stream-offset");
    from.extend(long_text("first"));
    for number in 0..60 {
        consume_with(raw, name, number, false, &from).await;
    }
    read(raw, usize::MAX).await;
}

async fn delayed(raw: &mut Raw, name: &str) {
    let mut kind = short_string("x-delayed-type");
    kind.extend(long_text("direct"));
    let mut arguments = vec![0, 0];
    arguments.extend(short_string(name));
    arguments.extend(short_string("x-delayed-message"));
    arguments.push(0b1_0000);
    arguments.extend(raw::table(&kind));
    raw.bytes(&raw::method(1, 40, 10, &arguments)).await;
    declare(raw, name, &[]).await;
    let mut arguments = vec![0, 0];
    for text in [name, name, "k"] {
        arguments.extend(short_string(text));
    }
    arguments.push(1);
    arguments.extend(raw::table(&[]));
    raw.bytes(&raw::method(1, 50, 20, &arguments)).await;
    let mut delay = short_string("x-delay");
    delay.push(b'I');
    delay.extend(600_000_u32.to_be_bytes());
    let mut properties = vec![0x20, 0];
    properties.extend(raw::table(&delay));
    let one = publish(name, "k", &properties, 500);
    raw.bytes(&one.repeat(30_000)).await;
}

async fn queues(raw: &mut Raw, name: &str) {
    for number in 0..400 {
        let name = format!("{name}.{number}");
        declare(raw, &name, &[]).await;
        raw.bytes(&publish("", &name, &[0, 0], 10_000).repeat(5))
            .await;
    }
}

/// Reads this many frames.
async fn read(raw: &mut Raw, frames: usize) {
    for _ in 0..frames {
        if raw.frame().await.is_none() {
            return;
        }
    }
}

fn long_text(text: &str) -> Vec<u8> {
    let mut bytes = vec![b'S'];
    bytes.extend((text.len() as u32).to_be_bytes());
    bytes.extend(text.as_bytes());
    bytes
}

/// Raw properties with 100 kB of headers.
fn large_headers() -> Vec<u8> {
    let mut fields = Vec::new();
    for number in 0..100 {
        fields.extend(short_string(&format!("h{number}")));
        fields.extend(long_text(&"v".repeat(1000)));
    }
    let mut properties = vec![0x20, 0];
    properties.extend(raw::table(&fields));
    properties
}

fn publish_method(channel: u16, exchange: &str, key: &str) -> Vec<u8> {
    let mut arguments = vec![0, 0];
    arguments.extend(short_string(exchange));
    arguments.extend(short_string(key));
    arguments.push(0);
    raw::method(channel, 60, 40, &arguments)
}

fn header(channel: u16, properties: &[u8], size: usize) -> Vec<u8> {
    let mut header = vec![0, 60, 0, 0];
    header.extend((size as u64).to_be_bytes());
    header.extend(properties);
    frame(2, channel, &header)
}

/// A complete message on channel 1.
fn publish(exchange: &str, key: &str, properties: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = publish_method(1, exchange, key);
    bytes.extend(header(1, properties, size));
    for piece in vec![b'm'; size].chunks(FRAME) {
        bytes.extend(frame(3, 1, piece));
    }
    bytes
}

/// queue.declare, durable, without an answer.
async fn declare(raw: &mut Raw, name: &str, arguments: &[u8]) {
    let mut bytes = vec![0, 0];
    bytes.extend(short_string(name));
    bytes.push(0b1_0010);
    bytes.extend(raw::table(arguments));
    raw.bytes(&raw::method(1, 50, 10, &bytes)).await;
}

async fn consume(raw: &mut Raw, queue: &str, number: u32, no_ack: bool) {
    consume_with(raw, queue, number, no_ack, &[]).await;
}

/// basic.consume without an answer.
async fn consume_with(raw: &mut Raw, queue: &str, number: u32, no_ack: bool, arguments: &[u8]) {
    let mut bytes = vec![0, 0];
    bytes.extend(short_string(queue));
    bytes.extend(short_string(&number.to_string()));
    bytes.push(0b1000 | if no_ack { 0b10 } else { 0 });
    bytes.extend(raw::table(arguments));
    raw.bytes(&raw::method(1, 60, 20, &bytes)).await;
}
