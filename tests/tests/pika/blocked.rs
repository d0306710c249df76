//! A publisher that is told when the broker is short of memory.

use leveret_tests::python::{Pika, Script};
use leveret_tests::{TestBroker, run};

use super::programs::printed;

async fn a_publisher_hears_that_it_is_blocked(pika: Pika) {
    let Some(broker) = TestBroker::start_with_ctl().await else {
        return;
    };
    let publisher = Script::own(pika, "pika1", "blocked_publisher.py");
    let mut publisher = publisher.start(&broker, &[]);
    printed(&mut publisher, "connected").await;
    broker
        .ctl(&["set_vm_memory_high_watermark", "0.00001"])
        .await;
    printed(&mut publisher, "blocked: low on memory").await;
    broker.ctl(&["set_vm_memory_high_watermark", "0.4"]).await;
    printed(&mut publisher, "unblocked").await;
    publisher.succeeded().await;
}

#[test]
fn a_publisher_hears_that_it_is_blocked_with_pika_0_13_1() {
    run(a_publisher_hears_that_it_is_blocked(Pika::V0_13_1));
}

#[test]
fn a_publisher_hears_that_it_is_blocked_with_pika_1_3_2() {
    run(a_publisher_hears_that_it_is_blocked(Pika::V1_3_2));
}

#[test]
fn a_publisher_hears_that_it_is_blocked_with_pika_1_4() {
    run(a_publisher_hears_that_it_is_blocked(Pika::V1_4));
}
