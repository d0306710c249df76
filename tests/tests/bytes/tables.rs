//! Field tables that are truncated, nested too deeply or of unknown types.

use amq_protocol::frame::AMQPFrame;
use amq_protocol::protocol::{AMQPClass, basic, connection, queue};
use leveret_tests::raw::{Raw, method, short_string, table};
use leveret_tests::run;

use super::unharmed::{dropped, frame_error, unharmed};

/// Returns a queue.declare with an empty name and these raw arguments.
fn declare_with(arguments: &[u8]) -> Vec<u8> {
    let mut declare = vec![0, 0];
    declare.extend(short_string(""));
    declare.push(0);
    declare.extend(arguments);
    method(1, 50, 10, &declare)
}

/// Tables in tables, this many.
fn nested(depth: usize) -> Vec<u8> {
    let mut inner = table(&[]);
    for _ in 0..depth {
        let mut field = short_string("t");
        field.push(b'F');
        field.extend(&inner);
        inner = table(&field);
    }
    inner
}

#[test]
fn a_table_longer_than_its_frame() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&declare_with(&[0, 0, 1, 0, 1, b'k'])).await;
        frame_error(&mut raw).await;
    }));
}

#[test]
fn a_field_cut_off() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        // A long string of ten octets of which there are two.
        let mut field = short_string("k");
        field.extend(b"S\x00\x00\x00\x0aab");
        raw.bytes(&declare_with(&table(&field))).await;
        dropped(&mut raw).await;
    }));
}

#[test]
fn a_field_of_a_type_nobody_knows() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        let mut field = short_string("k");
        field.extend(b"Z\x00\x00");
        raw.bytes(&declare_with(&table(&field))).await;
        dropped(&mut raw).await;
    }));
}

/// RabbitMQ accepts tables of any depth; rejecting them as malformed is also accepted.
fn accepted_or_refused(answer: Option<AMQPFrame>) {
    match answer {
        Some(AMQPFrame::Method(1, AMQPClass::Queue(queue::AMQPMethod::DeclareOk(_)))) => {}
        Some(AMQPFrame::Method(1, AMQPClass::Basic(basic::AMQPMethod::QosOk(_)))) => {}
        Some(AMQPFrame::Method(0, AMQPClass::Connection(connection::AMQPMethod::Close(close)))) => {
            assert!([501, 502].contains(&close.reply_code), "{close:?}");
        }
        other => panic!("expected an acceptance or a syntax error, got {other:?}"),
    }
}

#[test]
fn tables_ten_thousand_deep() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        let deep = nested(10_000);
        assert!(deep.len() < 100_000, "fits a frame");
        for _ in 0..5 {
            raw.bytes(&declare_with(&deep)).await;
        }
        accepted_or_refused(raw.frame().await);
    }));
}

#[test]
fn tables_ten_thousand_deep_in_the_headers_of_a_message() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        raw.publish_method(1, &queue).await;
        // Class 60, weight 0, size 0, flags: headers only.
        let mut header = vec![0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x20, 0];
        header.extend(nested(10_000));
        raw.bytes(&leveret_tests::raw::frame(2, 1, &header)).await;
        raw.send_qos(1).await;
        accepted_or_refused(raw.frame().await);
    }));
}

#[test]
fn tables_a_few_deep_are_fine() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&declare_with(&nested(20))).await;
        raw.method_on(1).await;
        assert!(raw.declare(1, "").await.starts_with("amq.gen-"));
    }));
}
