//! Clients that do not read.

use super::{connections, grown, send_without_reading};
use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic, channel, queue};
use leveret_tests::raw::{Raw, encode, publish_bytes};
use leveret_tests::{TestBroker, resident_bytes, run};

const COUNT: usize = 20;
/// The limit in docs/develop/architecture.md: 4 MiB of output, a mailbox of 1 MiB, plus some for
/// buffers and the allocator.
const EACH: u64 = 8 << 20;

/// Has clients send this without ever reading. Checks that the broker keeps no more than allowed,
/// and that another client is served meanwhile.
async fn deaf(prepare: impl AsyncFn(&TestBroker, &mut Raw), bytes: &[u8]) {
    let Some(broker) = TestBroker::start_own().await else {
        return;
    };
    let client = broker.client().await;
    client.queue("q").await;
    let others = client.queue("").await;
    let before = resident_bytes(broker.pid().expect("its own"));
    let mut all = connections(&broker, COUNT).await;
    // Limited, in case the broker accepts everything.
    let rounds = ((32 << 20) / bytes.len()).min(2000);
    for raw in &mut all {
        prepare(&broker, raw).await;
        send_without_reading(raw, bytes, rounds).await;
    }
    let kept = grown(&broker, before) / COUNT as u64;
    assert!(kept < EACH, "{kept} octets for each connection");
    client.put(&others, "x").await;
    assert!(client.take(&others).await.is_some());
}

fn method(class: AMQPClass) -> Vec<u8> {
    encode(&AMQPFrame::Method(1, class))
}

#[test]
fn returns_that_nobody_reads() {
    run(deaf(
        async |_, _| (),
        &publish_bytes(1, "nowhere", true, &[b'x'; 1000]).repeat(20),
    ));
}

#[test]
fn confirms_that_nobody_reads() {
    let confirming = async |_: &TestBroker, raw: &mut Raw| raw.confirm_select(1).await;
    run(deaf(
        confirming,
        &publish_bytes(1, "nowhere", false, b"").repeat(1000),
    ));
}

#[test]
fn replies_that_nobody_reads() {
    let declare = queue::Declare {
        queue: "r".into(),
        ..queue::Declare::default()
    };
    let declare = method(AMQPClass::Queue(queue::AMQPMethod::Declare(declare)));
    run(deaf(async |_, _| (), &declare.repeat(500)));
}

#[test]
fn deliveries_that_nobody_reads() {
    run(async {
        let consume = basic::Consume {
            queue: "q".into(),
            no_ack: true,
            nowait: true,
            ..basic::Consume::default()
        };
        let mut bytes = method(AMQPClass::Basic(basic::AMQPMethod::Consume(consume)));
        bytes.extend(publish_bytes(1, "q", false, &vec![b'x'; 100_000]).repeat(40));
        // Once: what is behind it is what the others of them consume.
        deaf(
            async |_, raw| raw.bytes(&bytes).await,
            &encode(&AMQPFrame::Heartbeat),
        )
        .await;
    });
}

#[test]
fn messages_that_are_got_and_not_read() {
    let get = basic::Get {
        queue: "g".into(),
        no_ack: false,
    };
    let mut bytes = method(AMQPClass::Basic(basic::AMQPMethod::Get(get))).repeat(10);
    let recover = basic::Recover { requeue: true };
    bytes.extend(method(AMQPClass::Basic(basic::AMQPMethod::Recover(
        recover,
    ))));
    let filled = async |broker: &TestBroker, _: &mut Raw| {
        let client = broker.client().await;
        client.queue("g").await;
        client.put("g", vec![b'x'; 50_000]).await;
    };
    run(deaf(filled, &bytes.repeat(100)));
}

#[test]
fn channels_that_come_and_go_and_whose_answers_nobody_reads() {
    let open = AMQPClass::Channel(channel::AMQPMethod::Open(channel::Open {}));
    let close = AMQPClass::Channel(channel::AMQPMethod::Close(channel::Close {
        reply_code: 200,
        reply_text: "".into(),
        class_id: 0,
        method_id: 0,
    }));
    let mut bytes = Vec::new();
    for id in 2..1000 {
        for class in [&open, &close] {
            bytes.extend(encode(&AMQPFrame::Method(id, class.clone())));
        }
    }
    run(deaf(async |_, _| (), &bytes));
}
