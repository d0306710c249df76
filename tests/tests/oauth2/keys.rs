//! Where the keys of tokens come from.

use super::EVERYTHING;
use leveret_tests::issuer::{Issuer, in_seconds};
use leveret_tests::web_service::WebService;
use leveret_tests::{Client, TestBroker, broker_command, eventually_within, run};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(30);

async fn broker(option: &str) -> Option<TestBroker> {
    let options = [
        "--auth-backends=oauth2,internal",
        "--auth-oauth2-resource-server-id=rabbitmq",
        option,
    ];
    TestBroker::start_own_with(&options).await
}

async fn logs_in(broker: &TestBroker, token: &str) -> bool {
    match Client::login(broker, "", token, "%2f").await {
        Ok(client) => {
            client.close().await;
            true
        }
        Err(_) => false,
    }
}

#[test]
fn keys_are_fetched_again_when_a_token_names_another() {
    run(async {
        let keys: Arc<Mutex<Value>> = Arc::default();
        let [old, new] = ["old", "new"].map(Issuer::new);
        *keys.lock() = json!({"keys": [old.jwk()]});
        let served = keys.clone();
        let service = WebService::start(move |_| (200, served.lock().to_string()));
        let option = format!("--auth-oauth2-jwks-url={}", service.url("/keys"));
        let Some(broker) = broker(&option).await else {
            return;
        };
        assert!(logs_in(&broker, &old.token("walker", EVERYTHING, 600)).await);
        *keys.lock() = json!({"keys": [new.jwk()]});
        let token = new.token("walker", EVERYTHING, 600);
        eventually_within(PATIENCE, "the new key is known", async || {
            logs_in(&broker, &token).await.then_some(())
        })
        .await;
        let withdrawn = old.token("walker", EVERYTHING, 600);
        assert!(!logs_in(&broker, &withdrawn).await, "the old key is gone");
        // Unknown keys do not make the broker ask for each of them.
        let asked = service.requests().len();
        for number in 0..10 {
            let token = Issuer::new(&number.to_string()).token("walker", EVERYTHING, 600);
            assert!(!logs_in(&broker, &token).await);
        }
        assert!(
            service.requests().len() <= asked + 8,
            "{}",
            service.requests().len() - asked
        );
    });
}

#[test]
fn the_broker_starts_without_its_authorization_server() {
    run(async {
        let issuer = Issuer::new("key");
        let reserved = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = reserved.local_addr().expect("an address");
        drop(reserved);
        let option = format!("--auth-oauth2-jwks-url=http://{address}/keys");
        let Some(mut broker) = broker(&option).await else {
            return;
        };
        let token = issuer.token("walker", EVERYTHING, 600);
        let begun = Instant::now();
        assert!(!logs_in(&broker, &token).await);
        assert!(begun.elapsed() < Duration::from_secs(9), "refused in time");
        let guest = Client::login(&broker, "guest", "guest", "%2f").await;
        guest.expect("others are not concerned").close().await;
        let lines = broker.process().lines().join("\n");
        assert!(
            lines.contains("cannot fetch the keys of OAuth 2 tokens"),
            "{lines}"
        );
        assert!(lines.contains("there are no keys from"), "{lines}");
        let jwks = json!({"keys": [issuer.jwk()]}).to_string();
        let _service = WebService::start_at(address, move |_| (200, jwks.clone()));
        eventually_within(PATIENCE, "the keys are there", async || {
            logs_in(&broker, &token).await.then_some(())
        })
        .await;
    });
}

#[test]
fn an_issuer_says_where_its_keys_are_and_only_its_tokens_count() {
    run(async {
        let issuer = Issuer::new("key");
        let jwks = json!({"keys": [issuer.jwk()]}).to_string();
        let reserved = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = reserved.local_addr().expect("an address");
        drop(reserved);
        let service = WebService::start_at(address, move |request| match request.path.as_str() {
            "/realm/.well-known/openid-configuration" => {
                let uri = format!("http://{address}/keys");
                (200, json!({ "jwks_uri": uri }).to_string())
            }
            "/keys" => (200, jwks.clone()),
            _ => (404, String::new()),
        });
        let url = service.url("/realm/");
        let Some(broker) = broker(&format!("--auth-oauth2-issuer={url}")).await else {
            return;
        };
        let token = |issuer_claim: &str| {
            issuer.sign(&json!({
                "sub": "walker", "aud": "rabbitmq", "scope": EVERYTHING, "exp": in_seconds(600), "iss": issuer_claim,
            }))
        };
        assert!(logs_in(&broker, &token(url.trim_end_matches('/'))).await);
        assert!(!logs_in(&broker, &token("http://other.example")).await);
        assert!(!logs_in(&broker, &issuer.token("walker", EVERYTHING, 600)).await);
    });
}

#[test]
fn a_changed_key_file_counts_without_a_restart() {
    run(async {
        let [old, new] = ["key", "key"].map(Issuer::new);
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("keys.json");
        let write = |issuer: &Issuer| {
            std::fs::write(&file, json!({"keys": [issuer.jwk()]}).to_string()).expect("a file");
        };
        write(&old);
        let Some(broker) = broker(&format!("--auth-oauth2-signing-keys={}", file.display())).await
        else {
            return;
        };
        assert!(logs_in(&broker, &old.token("walker", EVERYTHING, 600)).await);
        write(&new);
        let token = new.token("walker", EVERYTHING, 600);
        eventually_within(PATIENCE, "the new key counts", async || {
            logs_in(&broker, &token).await.then_some(())
        })
        .await;
        assert!(!logs_in(&broker, &old.token("walker", EVERYTHING, 600)).await);
    });
}

#[test]
fn what_cannot_be_used_is_said_at_the_start() {
    let folder = TempDir::new().expect("a folder");
    let private = folder.path().join("private.pem");
    std::fs::write(
        &private,
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
    )
    .expect("a file");
    let id = "--auth-oauth2-resource-server-id=rabbitmq";
    let key = format!("--auth-oauth2-signing-keys=a={}", private.display());
    for (options, reason) in [
        (
            vec!["--auth-backends=oauth2"],
            "auth_oauth2_resource_server_id: the backend oauth2 needs",
        ),
        (
            vec!["--auth-backends=oauth2", id],
            "needs keys to verify tokens with",
        ),
        (
            vec![
                "--auth-backends=oauth2",
                id,
                "--auth-oauth2-signing-keys=a=/nowhere",
            ],
            "/nowhere: No such file",
        ),
        (
            vec!["--auth-backends=oauth2", id, &key],
            "it holds a private key",
        ),
        (
            vec![
                "--auth-backends=oauth2",
                id,
                "--auth-oauth2-jwks-url=http://id.example/keys",
            ],
            "use https",
        ),
        (
            vec![
                "--auth-backends=oauth2",
                id,
                "--auth-oauth2-jwks-url=id.example",
            ],
            "auth_oauth2_jwks_url: 'id.example'",
        ),
        (
            vec!["--auth-backends=http", "--auth-http-user-path=ftp://x/"],
            "auth_http_user_path: 'ftp://x/' is neither",
        ),
        (
            vec![
                "--auth-backends=http",
                "--auth-http-ssl-options-cacertfile=/nowhere",
            ],
            "/nowhere: No such file",
        ),
        (vec!["--auth-backends=ldap"], "'ldap' is not a backend"),
    ] {
        let data = TempDir::new().expect("a folder");
        let mut command = broker_command();
        command
            .args(["--port=0", "--management=false", "--data-dir"])
            .arg(data.path())
            .args(&options);
        let output = command.output().expect("the broker runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains(reason),
            "{options:?}: {said}"
        );
    }
}
