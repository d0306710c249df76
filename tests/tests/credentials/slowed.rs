//! Failed logins slow the next ones from there, and nobody else.

use super::can_log_in;
use leveret_tests::{TestBroker, run};
use serde_json::json;
use std::time::{Duration, Instant};

#[test]
fn guessing_gets_slower_and_neither_the_owner_nor_others_notice() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        for user in ["hare", "rabbit"] {
            broker.ctl(&["add_user", user, "secret"]).await;
            broker
                .ctl(&["set_permissions", user, ".*", ".*", ".*"])
                .await;
        }
        assert!(can_log_in(&broker, "hare", "secret").await);
        for _ in 0..5 {
            assert!(!can_log_in(&broker, "hare", "wrong").await);
        }
        let started = Instant::now();
        assert!(!can_log_in(&broker, "hare", "wrong").await);
        let waited = started.elapsed();
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        let started = Instant::now();
        // The password was right a moment ago.
        assert!(can_log_in(&broker, "hare", "secret").await);
        assert!(can_log_in(&broker, "rabbit", "secret").await);
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(1), "{waited:?}");
    });
}

#[test]
fn a_right_password_is_slowed_after_many_wrong_ones_but_not_refused_and_a_new_one_is_not_slowed() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        broker.ctl(&["add_user", "hare", "secret"]).await;
        broker
            .ctl(&["set_permissions", "hare", ".*", ".*", ".*"])
            .await;
        for _ in 0..5 {
            assert!(!can_log_in(&broker, "hare", "wrong").await);
        }
        let started = Instant::now();
        assert!(can_log_in(&broker, "hare", "secret").await);
        let waited = started.elapsed();
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        for _ in 0..5 {
            assert!(!can_log_in(&broker, "hare", "wrong").await);
        }
        broker.ctl(&["change_password", "hare", "field"]).await;
        let started = Instant::now();
        assert!(can_log_in(&broker, "hare", "field").await);
        let waited = started.elapsed();
        assert!(waited < Duration::from_secs(1), "{waited:?}");
    });
}

#[test]
fn the_http_api_slows_guesses_too_and_says_401() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let guess = async || {
            let form = "username=guest&password=wrong";
            let started = Instant::now();
            let answer = broker.ask_text("POST", "/api/login", form).await;
            assert_eq!(answer.status, 401, "{answer:?}");
            started.elapsed()
        };
        for _ in 0..5 {
            guess().await;
        }
        let waited = guess().await;
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        let attempts = broker
            .ask("GET", "/api/auth/attempts/leveret@localhost", json!(null))
            .await;
        let http = attempts.body.as_array().into_iter().flatten();
        let http = http.clone().find(|row| row["protocol"] == "http");
        let failed = http.and_then(|row| row["auth_attempts_failed"].as_u64());
        assert!(failed >= Some(6), "{attempts:?}");
    });
}
