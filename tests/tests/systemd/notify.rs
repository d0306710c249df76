//! Readiness, reloads, the watchdog and more time, told through a socket.

use std::time::Duration;

use leveret_tests::{TestBroker, eventually, run};
use tempfile::TempDir;

use super::manager::{Manager, has};

async fn start(manager: &Manager, more: &[(&'static str, &str)]) -> Option<TestBroker> {
    // Skipped like other tests that need a broker of their own.
    TestBroker::start_own().await?;
    let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
    Some(TestBroker::start_in(data, &[], manager.environment(more)).await)
}

#[test]
fn systemd_is_told_of_readiness_reloads_and_the_stop() {
    run(async {
        let manager = Manager::start();
        let Some(mut broker) = start(&manager, &[]).await else {
            return;
        };
        let (ready, message) = manager.hears("READY=1\n", 0).await;
        let address = broker.address();
        let status = format!("STATUS=ready: AMQP on {address}; HTTP API on ");
        assert!(message.contains(&status), "{message}");
        let before = manager.told()[..ready].join("");
        assert!(has(&before, "EXTEND_TIMEOUT_USEC=60000000"), "{before}");
        assert!(before.contains("STATUS=starting: "), "{before}");

        broker.process().signal("HUP");
        let (reloading, message) = manager.hears("RELOADING=1\n", ready).await;
        let time = message
            .lines()
            .find_map(|line| line.strip_prefix("MONOTONIC_USEC="));
        let time = time.and_then(|time| time.parse::<u64>().ok());
        assert!(time.is_some_and(|time| time > 0), "{message}");
        manager.hears("READY=1\n", reloading).await;

        broker.process().signal("TERM");
        assert_eq!(broker.process().ended().await.code(), Some(0));
        let (stopping, _) = manager.hears("STOPPING=1\n", reloading).await;
        manager
            .hears("STATUS=stopping: closing the store", stopping)
            .await;
        let told = manager.told().join("");
        assert!(!told.contains("WATCHDOG"), "nobody asked for it: {told}");
    });
}

#[test]
fn a_manager_may_have_an_abstract_address() {
    run(async {
        let manager = Manager::start_abstract();
        let Some(_broker) = start(&manager, &[]).await else {
            return;
        };
        manager.hears("READY=1\n", 0).await;
    });
}

#[test]
fn a_manager_that_is_gone_changes_nothing() {
    run(async {
        let manager = Manager::start();
        let environment = manager.environment(&[("WATCHDOG_USEC", "400000")]);
        drop(manager);
        if TestBroker::start_own().await.is_none() {
            return;
        }
        let data = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let mut broker = TestBroker::start_in(data, &[], environment).await;
        broker.client().await.close().await;
        broker.stop().await;
    });
}

#[test]
fn the_watchdog_is_fed_twice_per_period_while_the_broker_lives() {
    run(async {
        let manager = Manager::start();
        let Some(mut broker) = start(&manager, &[("WATCHDOG_USEC", "400000")]).await else {
            return;
        };
        let fed = || manager.times("WATCHDOG=1");
        eventually("five messages", async || (fed().len() >= 5).then_some(())).await;
        let times = fed();
        let average = (times[4] - times[0]) / 4;
        let due = Duration::from_millis(200);
        assert!(average > due / 2, "{average:?}");
        // Idle machines keep to it; others have the rest of the period.
        assert!(average < due * 5, "{average:?}");
        broker.process().signal("STOP");
        tokio::time::sleep(due * 3).await;
        let count = fed().len();
        tokio::time::sleep(due * 3).await;
        assert_eq!(fed().len(), count, "it does not live");
        broker.process().signal("CONT");
        eventually("it lives again", async || {
            (fed().len() > count).then_some(())
        })
        .await;
    });
}

#[test]
fn a_watchdog_of_another_process_is_not_fed() {
    run(async {
        let manager = Manager::start();
        let variables = [("WATCHDOG_USEC", "20000"), ("WATCHDOG_PID", "1")];
        let Some(mut broker) = start(&manager, &variables).await else {
            return;
        };
        broker.client().await.close().await;
        broker.stop().await;
        manager.hears("STOPPING=1\n", 0).await;
        assert!(manager.times("WATCHDOG=1").is_empty());
    });
}
