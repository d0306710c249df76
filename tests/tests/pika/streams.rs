//! A stream as a Python program writes and reads it.

use leveret_tests::python::{Pika, Script};
use leveret_tests::{TestBroker, run};

async fn a_stream_is_read_from_anywhere(pika: Pika) {
    let Some(mut broker) = TestBroker::start_own().await else {
        return;
    };
    let script = Script::own(pika, "pika1", "stream.py");
    script.run(&broker, &["write", "0", "6"]).await;
    broker.kill();
    broker.start_again().await;
    script.run(&broker, &["write", "6", "10"]).await;
    let said = script.run(&broker, &["read"]).await;
    let expected = [
        "read 0 1 2 3 4 5 6 7 8 9 to 9",
        "read 4 5 6 to 6",
        "read 9 to 9",
        "read 0 1 to 1",
        "read 0 1 to 1",
        "read 1 3 5 7 to 7",
    ];
    assert_eq!(said, expected);
}

#[test]
fn a_stream_is_read_from_anywhere_with_pika_1_3_2() {
    run(a_stream_is_read_from_anywhere(Pika::V1_3_2));
}

#[test]
fn a_stream_is_read_from_anywhere_with_pika_1_4() {
    run(a_stream_is_read_from_anywhere(Pika::V1_4));
}
