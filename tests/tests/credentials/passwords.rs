//! argon2id beside RabbitMQ's hashes: at rest, in exports, and after an upgrade.

use super::can_log_in;
use leveret_tests::{TestBroker, eventually, run};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// Of test12, from RabbitMQ's guide.
const IMPORTED: &str = "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR";
const ARGON2ID: &str = "leveret_password_hashing_argon2id";
const SHA256: &str = "rabbit_password_hashing_sha256";

async fn import(broker: &TestBroker) {
    let definitions = json!({
        "rabbitmq_version": "3.10.8",
        "vhosts": [{"name": "/"}],
        "users": [{"name": "imported", "password_hash": IMPORTED, "hashing_algorithm": SHA256, "tags": []}],
        "permissions": [{"user": "imported", "vhost": "/", "configure": ".*", "write": ".*", "read": ".*"}],
    });
    let answer = broker.ask("POST", "/api/definitions", definitions).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

async fn add_hare(broker: &TestBroker) {
    broker.ctl(&["add_user", "hare", "secret"]).await;
    let everything = ["set_permissions", "-p", "/", "hare", ".*", ".*", ".*"];
    broker.ctl(&everything).await;
}

async fn algorithm(broker: &TestBroker, user: &str) -> String {
    let path = format!("/api/users/{user}");
    let shown = broker.ask("GET", &path, Value::Null).await.body;
    shown["hashing_algorithm"]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn passwords_set_here_get_argon2id_and_survive_a_restart_and_a_round_trip() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        add_hare(&broker).await;
        import(&broker).await;
        for (user, wanted) in [
            ("hare", ARGON2ID),
            ("guest", ARGON2ID),
            ("imported", SHA256),
        ] {
            assert_eq!(algorithm(&broker, user).await, wanted, "{user}");
        }
        let written = json!({"password": "field", "tags": ""});
        assert_eq!(
            broker.ask("PUT", "/api/users/put", written).await.status,
            201
        );
        assert_eq!(algorithm(&broker, "put").await, ARGON2ID);
        for _ in 0..2 {
            assert!(can_log_in(&broker, "hare", "secret").await);
            assert!(can_log_in(&broker, "imported", "test12").await);
            assert!(!can_log_in(&broker, "hare", "Secret").await);
            broker.ctl(&["authenticate_user", "put", "field"]).await;
            broker.restart().await;
        }
        let shown = broker.ask("GET", "/api/users/hare", Value::Null).await.body;
        let hash = shown["password_hash"].as_str().expect("a hash");
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        // What was exported comes back, also as a single user.
        let copy = json!({"password_hash": hash, "hashing_algorithm": ARGON2ID, "tags": ""});
        assert_eq!(broker.ask("PUT", "/api/users/copy", copy).await.status, 201);
        broker.ctl(&["authenticate_user", "copy", "secret"]).await;
        let nonsense = json!({"password_hash": "x", "hashing_algorithm": ARGON2ID, "tags": ""});
        assert_eq!(
            broker.ask("PUT", "/api/users/copy", nonsense).await.status,
            400
        );
        let exported = broker
            .ask("GET", "/api/definitions", Value::Null)
            .await
            .body;
        let other = TestBroker::start().await;
        let answer = other.ask("POST", "/api/definitions", exported).await;
        assert_eq!(answer.status, 204, "{answer:?}");
        assert!(can_log_in(&other, "hare", "secret").await);
    });
}

#[test]
fn a_changed_or_cleared_password_is_forgotten_at_once() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        add_hare(&broker).await;
        assert!(can_log_in(&broker, "hare", "secret").await);
        broker.ctl(&["change_password", "hare", "other"]).await;
        assert!(!can_log_in(&broker, "hare", "secret").await);
        assert!(can_log_in(&broker, "hare", "other").await);
        broker.ctl(&["clear_password", "hare"]).await;
        assert!(!can_log_in(&broker, "hare", "other").await);
        assert!(!can_log_in(&broker, "hare", "").await);
        broker.ctl(&["delete_user", "hare"]).await;
        assert!(!can_log_in(&broker, "hare", "other").await);
    });
}

#[test]
fn an_export_with_compatible_hashes_leaves_users_out_by_name() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        add_hare(&broker).await;
        import(&broker).await;
        let topics = ["set_topic_permissions", "hare", "amq.topic", ".*", ".*"];
        broker.ctl(&topics).await;
        let folder = TempDir::with_prefix("leveret-test-").expect("a temporary directory");
        let path = folder.path().join("out.json");
        let arguments = [
            "export_definitions",
            path.to_str().expect("text"),
            "--compatible-hashes",
        ];
        let output = broker.try_ctl(&arguments).await;
        assert_eq!(output.status, Some(0), "{output:?}");
        let told = "Left out with their permissions, because RabbitMQ cannot read their password hashes (argon2id): \
                    guest, hare\n";
        assert_eq!(output.stderr, told);
        let file = read(&path);
        check_left_out(&file);
        let answer = broker
            .ask(
                "GET",
                "/api/definitions?compatible_hashes=true",
                Value::Null,
            )
            .await;
        assert_eq!(answer.header("leveret-left-out-users"), Some("guest,hare"));
        check_left_out(&answer.body);
        let answer = broker.ask("GET", "/api/definitions", Value::Null).await;
        assert_eq!(answer.header("leveret-left-out-users"), None);
        assert_eq!(answer.body["users"].as_array().map(Vec::len), Some(3));
        // RabbitMQ checks that hashes are base64, and no text of this form is.
        let hash = answer.body["users"][0]["password_hash"]
            .as_str()
            .expect("a hash");
        assert!(hash.starts_with('$'), "{hash}");
    });
}

fn read(path: &Path) -> Value {
    let text = std::fs::read(path).expect("a file");
    serde_json::from_slice(&text).expect("JSON")
}

fn check_left_out(file: &Value) {
    let names = |list: &str, key: &str| -> Vec<String> {
        let list = file[list].as_array().expect("a list").iter();
        list.map(|one| one[key].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    assert_eq!(names("users", "name"), ["imported"]);
    assert_eq!(names("permissions", "user"), ["imported"]);
    assert!(names("topic_permissions", "user").is_empty());
}

#[test]
fn an_imported_hash_is_upgraded_at_the_next_login_if_that_is_wanted() {
    run(async {
        let options = ["--upgrade-password-hashes=true"];
        let Some(mut broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        import(&broker).await;
        assert!(!can_log_in(&broker, "imported", "wrong").await);
        assert_eq!(algorithm(&broker, "imported").await, SHA256);
        assert!(can_log_in(&broker, "imported", "test12").await);
        eventually("the hash is replaced", async || {
            (algorithm(&broker, "imported").await == ARGON2ID).then_some(())
        })
        .await;
        broker.restart().await;
        assert_eq!(algorithm(&broker, "imported").await, ARGON2ID);
        assert!(can_log_in(&broker, "imported", "test12").await);
        assert!(!can_log_in(&broker, "imported", "wrong").await);
    });
}

#[test]
fn whoever_moves_definitions_back_keeps_rabbitmqs_hashes() {
    run(async {
        let options = ["--password-hashing-module=rabbit_password_hashing_sha512"];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        add_hare(&broker).await;
        let sha512 = "rabbit_password_hashing_sha512";
        for user in ["hare", "guest"] {
            assert_eq!(algorithm(&broker, user).await, sha512);
        }
        assert!(can_log_in(&broker, "hare", "secret").await);
        let left_out = broker
            .try_ctl(&["export_definitions", "-", "--compatible-hashes"])
            .await;
        assert_eq!(left_out.stderr, "");
    });
}
