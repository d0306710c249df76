//! Tokens of OAuth 2 in place of passwords.

mod hostile;
mod keys;
mod renewal;
mod sessions;

use lapin::ExchangeKind;
use lapin::options::QueueDeclareOptions;
use leveret_tests::issuer::Issuer;
use leveret_tests::{Client, TestBroker, expect_reply, run, try_publish};
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;
use ureq::http::StatusCode;

const EVERYTHING: &str = "rabbitmq.configure:*/* rabbitmq.write:*/*/* rabbitmq.read:*/*/*";

/// A broker that takes tokens of an issuer, whose key it has in a file.
struct World {
    broker: TestBroker,
    issuer: Issuer,
    _folder: TempDir,
}

impl World {
    async fn with(backends: &str) -> Option<Self> {
        let issuer = Issuer::new("key-1");
        let folder = TempDir::new().expect("a folder");
        let file = folder.path().join("key.pem");
        std::fs::write(&file, issuer.public_pem()).expect("a file");
        let options = [
            format!("--auth-backends={backends}"),
            "--auth-oauth2-resource-server-id=rabbitmq".to_owned(),
            format!("--auth-oauth2-signing-keys=key-1={}", file.display()),
        ];
        let options = options.each_ref().map(String::as_str);
        Some(World {
            broker: TestBroker::start_own_with(&options).await?,
            issuer,
            _folder: folder,
        })
    }

    async fn start() -> Option<Self> {
        Self::with("oauth2,internal").await
    }

    async fn log_in(&self, token: &str) -> lapin::Result<Client> {
        Client::login(&self.broker, "ignored", token, "%2f").await
    }

    /// Asks the API; returns the status and the body.
    fn ask(&self, method: &str, path: &str, authorization: &str) -> (StatusCode, Value) {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(20)))
            .proxy(None)
            .build()
            .into();
        let request = ureq::http::Request::builder()
            .method(method)
            .uri(format!("http://{}/api/{path}", self.broker.management()))
            .header("authorization", authorization)
            .body(())
            .expect("a request");
        let mut response = agent.run(request).expect("an answer");
        let body = response.body_mut().read_to_string().expect("a body");
        (
            response.status(),
            serde_json::from_str(&body).unwrap_or_default(),
        )
    }

    fn log(&mut self) -> String {
        self.broker.process().lines().join("\n")
    }

    /// Waits for a line of the log with these words.
    async fn logged(&mut self, words: &str) {
        let found = |line: &str| line.contains(words).then_some(());
        self.broker.process().line(words, found).await;
    }
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine;
    let both = format!("{user}:{password}");
    format!(
        "Basic {}",
        base64::engine::general_purpose::STANDARD.encode(both)
    )
}

#[test]
fn a_token_permits_what_its_scopes_say_and_names_its_user() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let scopes = "openid rabbitmq.configure:%2F/q-* rabbitmq.write:*/q-* rabbitmq.write:*/amq.topic/a.* \
                      rabbitmq.write:*/amq.default rabbitmq.read:*/q-{sub}";
        let token = world.issuer.token("walker", scopes, 600);
        let client = world.log_in(&token).await.expect("the token is right");
        let channel = client.open().await;
        channel
            .declare("q-walker", QueueDeclareOptions::default())
            .await;
        channel.put("q-walker", "message").await;
        assert!(channel.take("q-walker").await.is_some());
        channel
            .declare("q-hare", QueueDeclareOptions::default())
            .await;
        let users = world.broker.ctl(&["list_connections", "-q", "user"]).await;
        assert!(users.lines().any(|user| user == "walker"), "{users}");

        let declared = client.open().await;
        let other = declared.queue_declare(
            "other".into(),
            QueueDeclareOptions::default(),
            Default::default(),
        );
        let refused = "ACCESS_REFUSED - configure access to queue 'other' in vhost '/' refused for user 'walker'";
        expect_reply(other.await, 403, refused);
        let read = client.open().await;
        let got = read.basic_get("q-hare".into(), Default::default()).await;
        let refused =
            "ACCESS_REFUSED - read access to queue 'q-hare' in vhost '/' refused for user 'walker'";
        expect_reply(got, 403, refused);
        let topics = client.open_confirming().await;
        try_publish(&topics, "amq.topic", "a.b")
            .await
            .expect("a.b is permitted");
        let sent = try_publish(&topics, "amq.topic", "b.a").await;
        let refused = "ACCESS_REFUSED - write access to topic 'b.a' in exchange 'amq.topic' in vhost '/' refused \
                       for user 'walker'";
        expect_reply(sent, 403, refused);
        client.close().await;
    });
}

#[test]
fn a_virtual_host_needs_a_scope() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let token = world.issuer.token(
            "walker",
            "rabbitmq.read:other/* rabbitmq.tag:administrator",
            600,
        );
        let refused = "NOT_ALLOWED - access to vhost '/' refused for user 'walker'";
        expect_reply(world.log_in(&token).await.map(|_| ()), 530, refused);
    });
}

#[test]
fn passwords_still_log_in_if_the_broker_is_asked_too() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let guest = Client::login(&world.broker, "guest", "guest", "%2f").await;
        guest.expect("guest").close().await;
        let Some(only) = World::with("oauth2").await else {
            return;
        };
        let guest = Client::login(&only.broker, "guest", "guest", "%2f").await;
        assert!(guest.is_err());
        let client = only
            .log_in(&only.issuer.token("walker", EVERYTHING, 600))
            .await;
        let client = client.expect("a token");
        let channel = client.open().await;
        channel.exchange("x", ExchangeKind::Direct).await;
        client.close().await;
    });
}

#[test]
fn the_api_takes_bearer_tokens_and_tokens_as_passwords() {
    run(async {
        let Some(world) = World::start().await else {
            return;
        };
        let token = |scopes: &str| world.issuer.token("walker", scopes, 600);
        let boss = token(&format!("{EVERYTHING} rabbitmq.tag:administrator"));
        for authorization in [
            format!("Bearer {boss}"),
            basic("anybody", &boss),
            basic("", &boss),
        ] {
            let (status, body) = world.ask("GET", "whoami", &authorization);
            assert_eq!(status, 200);
            assert_eq!(
                (&body["name"], &body["tags"][0]),
                (&"walker".into(), &"administrator".into())
            );
        }
        let (status, _) = world.ask("GET", "users", &format!("Bearer {boss}"));
        assert_eq!(status, 200);
        let manager = format!(
            "Bearer {}",
            token("rabbitmq.read:%2F/* rabbitmq.tag:management")
        );
        assert_eq!(world.ask("GET", "users", &manager).0, 401);
        let (_, vhosts) = world.ask("GET", "vhosts", &manager);
        assert_eq!(vhosts.as_array().map(Vec::len), Some(1));
        let nobody = format!("Bearer {}", token(EVERYTHING));
        let (status, body) = world.ask("GET", "whoami", &nobody);
        assert_eq!(
            (status.as_u16(), &body["reason"]),
            (401, &"Not management user".into())
        );
        let wrong = format!("Bearer {boss}x");
        assert_eq!(world.ask("GET", "whoami", &wrong).0, 401);
        assert_eq!(world.ask("GET", "whoami", "Bearer").0, 400);
    });
}
