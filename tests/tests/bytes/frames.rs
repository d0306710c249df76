//! Frames that are wrong, and right ones in strange pieces.

use leveret_tests::raw::{Raw, Tune, frame, method, short_string};
use leveret_tests::run;

use super::unharmed::{closed_with, dropped, frame_error, unharmed};

/// basic.qos, prefetch 1: a small method to spoil.
fn qos(channel: u16) -> Vec<u8> {
    method(channel, 60, 10, &[0, 0, 0, 0, 0, 1, 0])
}

#[test]
fn a_frame_that_does_not_end_with_the_end_octet() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        let mut wrong = qos(1);
        *wrong.last_mut().expect("bytes") = 0xCD;
        raw.bytes(&wrong).await;
        frame_error(&mut raw).await;
    }));
}

#[test]
fn a_frame_larger_than_frame_max() {
    run(unharmed(async |broker| {
        let tune = Tune {
            frame_max: 4096,
            ..Tune::default()
        };
        let mut raw = Raw::connect_with(broker, tune).await;
        raw.open_channel(1).await;
        raw.publish_method(1, "nobody").await;
        raw.content_header(1, 10_000).await;
        // RabbitMQ is lenient by the eight octets of an empty frame.
        raw.bytes(&frame(3, 1, &[b'x'; 4097])).await;
        frame_error(&mut raw).await;
    }));
}

#[test]
fn a_frame_that_claims_four_gigabytes() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&[1, 0, 1, 0xFF, 0xFF, 0xFF, 0xFF, 0, 60, 0, 10])
            .await;
        frame_error(&mut raw).await;
    }));
}

#[test]
fn a_frame_of_a_type_nobody_knows() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&frame(42, 1, b"what?")).await;
        frame_error(&mut raw).await;
    }));
}

#[test]
fn a_method_nobody_knows() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&method(1, 60, 999, &[])).await;
        dropped(&mut raw).await;
    }));
}

#[test]
fn a_class_nobody_knows() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&method(1, 999, 10, &[])).await;
        dropped(&mut raw).await;
    }));
}

#[test]
fn a_method_frame_too_short_for_its_method() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&method(1, 60, 10, &[0, 0])).await;
        frame_error(&mut raw).await;
    }));
}

#[test]
fn an_empty_method_frame() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&frame(1, 1, &[])).await;
        frame_error(&mut raw).await;
    }));
}

#[test]
fn a_short_string_longer_than_its_frame() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        // queue.purge: a reserved short, then a name of 200 octets of which there are three.
        raw.bytes(&method(1, 50, 30, &[0, 0, 200, b'a', b'b', b'c']))
            .await;
        frame_error(&mut raw).await;
    }));
}

#[test]
fn octets_left_over_after_a_method() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&method(1, 60, 10, &[0, 0, 0, 0, 0, 1, 0, 9, 9, 9]))
            .await;
        frame_error(&mut raw).await;
    }));
}

#[test]
fn a_name_that_is_not_utf_8() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        let mut declare = vec![0, 0, 4, 0xFF, 0xFE, b'a', b'b', 0];
        declare.extend([0; 4]);
        raw.bytes(&method(1, 50, 10, &declare)).await;
        closed_with(&mut raw, 501, "FRAME_ERROR - Malformed UTF-8 in shortstr").await;
    }));
}

#[test]
fn frames_in_single_bytes() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        let mut bytes = Vec::new();
        let mut publish = vec![0, 0];
        publish.extend(short_string(""));
        publish.extend(short_string(&queue));
        publish.push(0);
        bytes.extend(method(1, 60, 40, &publish));
        bytes.extend(frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0]));
        bytes.extend(frame(3, 1, b"abc"));
        for byte in bytes {
            raw.bytes(&[byte]).await;
            // Lets the byte out on its own; nothing waits for it.
            tokio::task::yield_now().await;
        }
        assert_eq!(raw.take(1, &queue).await.as_deref(), Some(&b"abc"[..]));
    }));
}

#[test]
fn many_frames_in_one_write() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        let mut publish = vec![0, 0];
        publish.extend(short_string(""));
        publish.extend(short_string(&queue));
        publish.push(0);
        let mut bytes = Vec::new();
        for n in 0..1000u32 {
            bytes.extend(method(1, 60, 40, &publish));
            bytes.extend(frame(2, 1, &[0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0]));
            bytes.extend(frame(3, 1, &n.to_be_bytes()));
        }
        raw.bytes(&bytes).await;
        for n in 0..1000u32 {
            assert_eq!(raw.take(1, &queue).await, Some(n.to_be_bytes().to_vec()));
        }
    }));
}
