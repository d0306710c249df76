//! The queue class: declare, purge, delete.

use lapin::options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::FieldTable;
use leveret_tests::{TestBroker, expect_reply, run};

#[test]
fn a_passive_declare_tells_messages_and_consumers() {
    run(async {
        let broker = TestBroker::start().await;
        let client = broker.client().await;
        client.queue("q").await;
        client.put("q", "one").await;
        client.put("q", "two").await;
        assert_eq!(client.counts("q").await, (2, 0));
        let _consumer = client.consume_auto("q", "c").await;
        client.counts_become("q", 0, 1).await;
    });
}
