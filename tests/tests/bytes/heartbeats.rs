//! Heartbeats in both directions (spec 4.2.7).

use std::time::{Duration, Instant};

use amq_protocol::frame::AMQPFrame;
use leveret_tests::raw::{Raw, Tune};
use leveret_tests::run;

use super::unharmed::{closed_with, unharmed};

const EVERY_SECOND: Tune = Tune {
    channel_max: 2047,
    frame_max: 131_072,
    heartbeat: 1,
};

#[test]
fn the_broker_sends_heartbeats() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect_with(broker, EVERY_SECOND).await;
        let started = Instant::now();
        for _ in 0..3 {
            assert!(matches!(raw.frame().await, Some(AMQPFrame::Heartbeat)));
            raw.send_frame(&AMQPFrame::Heartbeat).await;
        }
        // At least one per interval; half of it is RabbitMQ's habit.
        assert!(
            started.elapsed() < Duration::from_secs(4),
            "{:?}",
            started.elapsed()
        );
    }));
}

#[test]
fn a_silent_client_is_closed() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect_with(broker, EVERY_SECOND).await;
        let started = Instant::now();
        while raw.frame().await.is_some() {}
        let silent = started.elapsed();
        // Two intervals missed (spec 4.2.7), and some room for a busy machine.
        assert!(
            silent > Duration::from_millis(1500),
            "closed after {silent:?}"
        );
        assert!(silent < Duration::from_secs(8), "closed after {silent:?}");
    }));
}

#[test]
fn any_traffic_counts_as_a_heartbeat() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect_with(broker, EVERY_SECOND).await;
        raw.open_channel(1).await;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(4) {
            // Paced by the broker's own heartbeats, which come in between.
            raw.declare(1, "").await;
            while !matches!(raw.frame().await.expect("still open"), AMQPFrame::Heartbeat) {}
        }
    }));
}

#[test]
fn without_heartbeats_silence_is_fine() {
    run(unharmed(async |broker| {
        let mut silent = Raw::connect(broker).await;
        let mut clock = Raw::connect_with(broker, EVERY_SECOND).await;
        // The other connection's heartbeats tell the time: some seconds pass.
        for _ in 0..4 {
            assert!(matches!(clock.frame().await, Some(AMQPFrame::Heartbeat)));
            clock.send_frame(&AMQPFrame::Heartbeat).await;
        }
        silent.open_channel(1).await;
    }));
}

#[test]
fn a_heartbeat_on_a_channel_is_wrong() {
    run(unharmed(async |broker| {
        let mut raw = Raw::connect(broker).await;
        raw.open_channel(1).await;
        raw.bytes(&leveret_tests::raw::frame(8, 1, &[])).await;
        closed_with(
            &mut raw,
            505,
            "UNEXPECTED_FRAME - type 8, all octets = <<>>",
        )
        .await;
    }));
}
