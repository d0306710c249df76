//! Clients that are slow to log in.

use leveret_tests::raw::{HEADER, Raw};
use leveret_tests::{TestBroker, run_within};
use std::time::Duration;

/// The number of clients of each of three kinds.
const COUNT: usize = 30;

#[test]
fn who_does_not_finish_its_login_is_let_go_and_others_come_in() {
    run_within(Duration::from_secs(120), async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let mut slow = Vec::new();
        for number in 0..3 * COUNT {
            let mut raw = Raw::dial(&broker).await;
            slow.push(tokio::spawn(async move {
                match number % 3 {
                    0 => {}
                    1 => raw.bytes(HEADER).await,
                    // Sends a byte now and then of a login that never ends.
                    _ => {
                        raw.start().await;
                        let mut login = vec![1, 0, 0, 0, 0, 4, 0];
                        login.extend([0; 1000]);
                        for octet in login {
                            raw.bytes(&[octet]).await;
                            let end = tokio::time::timeout(Duration::from_millis(200), raw.ended());
                            if end.await.is_ok() {
                                return;
                            }
                        }
                        panic!("never let go");
                    }
                }
                // The broker closes, whatever it sends before.
                raw.ended().await;
            }));
        }
        let client = broker.client().await;
        client.queue("q").await;
        client.put("q", "x").await;
        assert!(client.take("q").await.is_some());
        for raw in slow {
            raw.await.expect("let go");
        }
        assert!(broker.client().await.take("q").await.is_none());
    });
}
