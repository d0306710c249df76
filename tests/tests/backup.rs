//! `leveretctl backup`, and brokers that start on a backup.

use leveret_tests::{TestBroker, broker_command, run};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

#[test]
fn a_broker_starts_on_a_backup_that_was_made_while_messages_were_published() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let client = broker.client().await;
        client.durable_queue("q").await;
        let channel = client.open_confirming().await;
        let confirmed = Arc::new(AtomicU64::new(0));
        let counter = confirmed.clone();
        let publishing = tokio::spawn(async move {
            for n in 0u64.. {
                channel.put_persistent("q", n.to_string()).await;
                counter.store(n + 1, Ordering::SeqCst);
            }
        });
        while confirmed.load(Ordering::SeqCst) < 200 {
            tokio::task::yield_now().await;
        }
        let copy = tempfile::TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let path = copy.path().to_str().expect("text").to_owned();
        let before = confirmed.load(Ordering::SeqCst);
        broker.ctl(&["backup", &path]).await;
        let after = confirmed.load(Ordering::SeqCst);
        publishing.abort();
        let again = broker.try_ctl(&["backup", &path]).await;
        assert!(again.status != Some(0), "{again:?}");
        assert!(again.stderr.contains("is not empty"), "{again:?}");
        let mut other_words = broker_command();
        other_words.arg("--data-dir").arg(broker.data_dir());
        let elsewhere =
            tempfile::TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let other = elsewhere.path().join("copy");
        let output = other_words.arg("backup").arg(&other).output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{output:?}");
        assert!(other.join("store").exists(), "{output:?}");

        let restored = TestBroker::start_in(copy, &[], Vec::new()).await;
        let found = restored.client().await.drain("q").await;
        let numbers: Vec<String> = (0..found.len()).map(|n| n.to_string()).collect();
        assert_eq!(found, numbers, "in order, without a gap");
        let count = found.len() as u64;
        // The last one may be stored while its confirm is still on the way.
        assert!(
            count >= before && count <= after + 1,
            "{before} {count} {after}"
        );
    });
}
