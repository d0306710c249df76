//! Content: header and body frames in and out of place.

use amq_protocol::frame::AMQPFrame;
use leveret_tests::raw::{Raw, Tune, frame};
use leveret_tests::run;

use super::unharmed::{closed_with, dropped, unharmed};

#[test]
fn a_content_header_when_none_is_expected() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.content_header(1, 5).await;
        closed_with(
            &mut raw,
            505,
            "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
        )
        .await;
    }));
}

#[test]
fn a_body_when_none_is_expected() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&frame(3, 1, b"hello")).await;
        closed_with(
            &mut raw,
            505,
            "UNEXPECTED_FRAME - expected method frame, got non method frame instead",
        )
        .await;
    }));
}

#[test]
fn a_method_when_a_content_header_is_expected() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.publish_method(1, "nobody").await;
        raw.publish_method(1, "nobody").await;
        closed_with(&mut raw, 505, "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead").await;
    }));
}

#[test]
fn a_method_when_a_body_is_expected() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.publish_method(1, "nobody").await;
        raw.content_header(1, 5).await;
        raw.publish_method(1, "nobody").await;
        closed_with(
            &mut raw,
            505,
            "UNEXPECTED_FRAME - expected content body, got non content body frame instead",
        )
        .await;
    }));
}

#[test]
fn a_header_of_another_class() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.publish_method(1, "nobody").await;
        raw.bytes(&frame(2, 1, &[0, 50, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0]))
            .await;
        closed_with(
            &mut raw,
            505,
            "UNEXPECTED_FRAME - expected content header for class 60, got one for class 50 instead",
        )
        .await;
    }));
}

#[test]
fn more_body_than_the_header_said() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.publish_method(1, "nobody").await;
        raw.content_header(1, 3).await;
        raw.bytes(&frame(3, 1, b"abcdef")).await;
        // RabbitMQ 3.10.8 waits for ever, so this is of Leveret's making.
        if broker.pid().is_some() {
            dropped(&mut raw).await;
        }
    }));
}

#[test]
fn properties_cut_off() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        raw.publish_method(1, &queue).await;
        // All flags set, and no properties.
        let header = [0, 60, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFC];
        raw.bytes(&frame(2, 1, &header)).await;
        // RabbitMQ calls it its own fault: 541 INTERNAL_ERROR.
        let (code, text) = raw.closed().await;
        assert!([501, 502, 541].contains(&code), "{code} {text}");
    }));
}

#[test]
fn a_body_may_come_in_frames_of_any_size() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        let body: Vec<u8> = (0..10_000u32).map(|n| (n % 251) as u8).collect();
        for size in [1, 2, 7, 999, 9999, 10_000] {
            raw.publish_method(1, &queue).await;
            raw.content_header(1, 10_000).await;
            let mut bytes = Vec::new();
            for (n, part) in body.chunks(size).enumerate() {
                // An empty body frame is legal too.
                if n == 3 {
                    bytes.extend(frame(3, 1, &[]));
                }
                bytes.extend(frame(3, 1, part));
            }
            raw.bytes(&bytes).await;
            assert!(
                raw.take(1, &queue).await.as_ref() == Some(&body),
                "parts of {size}"
            );
        }
    }));
}

#[test]
fn contents_of_several_channels_may_interleave() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        for channel in 1..=3 {
            raw.open_channel(channel).await;
            raw.declare(channel, &format!("interleave-{channel}")).await;
        }
        for channel in 1..=3 {
            raw.publish_method(channel, &format!("interleave-{channel}"))
                .await;
        }
        for channel in 1..=3 {
            raw.content_header(channel, 4).await;
        }
        for half in [b"ab", b"cd"] {
            for channel in 1..=3 {
                raw.bytes(&frame(3, channel, half)).await;
            }
        }
        for channel in 1..=3 {
            let body = raw.take(channel, &format!("interleave-{channel}")).await;
            assert_eq!(body.as_deref(), Some(&b"abcd"[..]));
        }
    }));
}

#[test]
fn no_frame_the_broker_sends_is_larger_than_negotiated() {
    run(unharmed(async |broker| {
        let tune = Tune {
            frame_max: 4096,
            ..Tune::default()
        };
        let mut raw = Raw::connect_with(broker, tune).await;
        raw.open_channel(1).await;
        let queue = raw.declare(1, "").await;
        let body = vec![b'x'; 20_000];
        raw.publish_method(1, &queue).await;
        raw.content_header(1, 20_000).await;
        for part in body.chunks(4088) {
            raw.bytes(&frame(3, 1, part)).await;
        }
        raw.consume(1, &queue, "t").await;
        raw.method_on(1).await;
        let Some(AMQPFrame::Header(1, header)) = raw.frame().await else {
            panic!("expected a content header");
        };
        assert_eq!(header.body_size, 20_000);
        let mut received = 0;
        while received < 20_000 {
            let Some(AMQPFrame::Body(1, part)) = raw.frame().await else {
                panic!("expected a body frame");
            };
            assert!(
                part.len() <= 4088,
                "a frame with {} octets of payload",
                part.len()
            );
            received += part.len();
        }
    }));
}

#[test]
fn a_client_that_leaves_in_mid_content_leaves_nothing() {
    run(unharmed(async |broker| {
        let client = broker.client().await;
        client.queue("half").await;
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.publish_method(1, "half").await;
        raw.content_header(1, 1_000_000).await;
        raw.bytes(&frame(3, 1, &[b'x'; 100_000])).await;
        drop(raw);
        let channel = client.open_confirming().await;
        channel.put("half", "whole").await;
        assert_eq!(client.drain("half").await, ["whole"]);
    }));
}
