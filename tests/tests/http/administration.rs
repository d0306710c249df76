//! What administrators do over the HTTP API, and what others may see of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use leveret_tests::raw::Raw;
use leveret_tests::{Client, TestBroker, eventually, run};
use serde_json::{Value, json};
use ureq::http;

const EVERYTHING: &str = r#"{"configure": ".*", "write": ".*", "read": ".*"}"#;

/// Starts a broker of its own; `None` if the tests are for one elsewhere.
async fn world() -> Option<TestBroker> {
    TestBroker::start_own().await
}

/// Asks as a user, whose password is its name, and returns the status and the JSON of the answer, if it is JSON.
pub(super) fn ask(broker: &TestBroker, user: &str, request: &str, body: &str) -> (u16, Value) {
    ask_with(broker, user, request, body, &[])
}

fn ask_with(
    broker: &TestBroker,
    user: &str,
    request: &str,
    body: &str,
    headers: &[(&str, &str)],
) -> (u16, Value) {
    let (method, path) = request.split_once(' ').expect("a method and a path");
    let uri = format!("http://{}/api{path}", broker.management());
    let mut request = http::Request::builder().method(method).uri(uri);
    if !user.is_empty() {
        let login = STANDARD.encode(format!("{user}:{user}"));
        request = request.header("authorization", format!("Basic {login}"));
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .allow_non_standard_methods(true)
        .build();
    let agent = ureq::Agent::new_with_config(config);
    let request = request.body(body.to_owned()).expect("a request");
    let mut response = agent.run(request).expect("an answer");
    let text = response.body_mut().read_to_string().expect("text");
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    (response.status().as_u16(), value)
}

/// Asks as guest for something that has to succeed.
fn get(broker: &TestBroker, path: &str) -> Value {
    let (status, value) = ask(broker, "guest", &format!("GET {path}"), "");
    assert_eq!(status, 200, "{path}: {value}");
    value
}

/// Asks as guest and returns the status.
fn status(broker: &TestBroker, request: &str, body: &str) -> u16 {
    ask(broker, "guest", request, body).0
}

#[test]
fn a_user_is_made_changed_and_deleted() {
    run(async {
        let Some(broker) = world().await else { return };
        let hare = r#"{"password": "hare", "tags": ["management"]}"#;
        assert_eq!(status(&broker, "PUT /users/hare", hare), 201);
        assert_eq!(status(&broker, "PUT /users/hare", hare), 204);
        assert_eq!(get(&broker, "/users/hare")["tags"], json!(["management"]));
        assert_eq!(
            get(&broker, "/users/without-permissions")[0]["name"],
            "hare"
        );
        let (_, myself) = ask(&broker, "hare", "GET /whoami", "");
        assert_eq!(myself, json!({"name": "hare", "tags": ["management"]}));
        let (refused, reason) = ask(&broker, "guest", "PUT /users/x", "{}");
        assert_eq!(
            (refused, &reason["reason"]),
            (400, &json!("tags_not_present"))
        );
        assert_eq!(
            status(&broker, "PUT /permissions/%2F/hare", EVERYTHING),
            201
        );
        assert!(Client::login(&broker, "hare", "hare", "%2f").await.is_ok());
        assert_eq!(status(&broker, "DELETE /users/hare", ""), 204);
        assert_eq!(status(&broker, "DELETE /users/hare", ""), 404);
        assert!(Client::login(&broker, "hare", "hare", "%2f").await.is_err());
    });
}

#[test]
fn everything_survives_a_restart() {
    run(async {
        let Some(mut broker) = world().await else {
            return;
        };
        for (request, body) in [
            (
                "PUT /users/hare",
                r#"{"password": "hare", "tags": "monitoring"}"#,
            ),
            (
                "PUT /vhosts/warren",
                r#"{"description": "below", "tags": "a,b"}"#,
            ),
            ("PUT /permissions/warren/hare", EVERYTHING),
            (
                "PUT /topic-permissions/warren/hare",
                r#"{"exchange": "amq.topic", "write": "^a", "read": "^b"}"#,
            ),
            ("PUT /vhost-limits/warren/max-queues", r#"{"value": 7}"#),
            ("PUT /user-limits/hare/max-channels", r#"{"value": 9}"#),
            (
                "PUT /policies/warren/p",
                r#"{"pattern": "^q", "definition": {"max-length": 5}, "apply-to": "queues"}"#,
            ),
            ("PUT /global-parameters/x", r#"{"value": {"a": [1, null]}}"#),
            ("PUT /cluster-name", r#"{"name": "burrow"}"#),
            ("POST /vhosts/warren/deletion/protection", ""),
        ] {
            let status = status(&broker, request, body);
            assert!((200..300).contains(&status), "{request}: {status}");
        }
        let all = |broker: &TestBroker| {
            [
                "/users",
                "/permissions",
                "/topic-permissions",
                "/vhost-limits",
                "/user-limits",
                "/policies",
                "/global-parameters",
                "/cluster-name",
                "/vhosts?columns=name,description,tags,protected_from_deletion",
            ]
            .map(|path| get(broker, path))
        };
        let before = all(&broker);
        broker.restart().await;
        assert_eq!(all(&broker), before);
        assert_eq!(before[7], json!({"name": "burrow"}));
        let (refused, _) = ask(&broker, "guest", "DELETE /vhosts/warren", "");
        assert_eq!(refused, 412);
        assert_eq!(
            status(&broker, "DELETE /vhosts/warren/deletion/protection", ""),
            204
        );
        assert_eq!(status(&broker, "DELETE /vhosts/warren", ""), 204);
        assert_eq!(status(&broker, "GET /vhosts/warren", ""), 404);
    });
}

#[test]
fn users_see_and_close_their_own_connections_and_no_others() {
    run(async {
        let Some(broker) = world().await else { return };
        let hare = r#"{"password": "hare", "tags": "management"}"#;
        assert_eq!(status(&broker, "PUT /users/hare", hare), 201);
        assert_eq!(
            status(&broker, "PUT /permissions/%2F/hare", EVERYTHING),
            201
        );
        let mut own = Raw::connect_as(&broker, "hare", "hare").await;
        own.open_channel(1).await;
        let _other = Raw::connect_as(&broker, "guest", "guest").await;
        assert_eq!(
            get(&broker, "/connections").as_array().map(Vec::len),
            Some(2)
        );
        let (_, seen) = ask(&broker, "hare", "GET /connections", "");
        assert_eq!(seen.as_array().map(Vec::len), Some(1));
        let name = |connections: &Value, user: &str| {
            let connections = connections.as_array().expect("a list").iter();
            let mut found = connections.filter(|one| one["user"] == user);
            let name = found.next().expect("a connection")["name"].clone();
            let name = name.as_str().expect("a name").to_owned();
            name.replace(' ', "%20").replace('>', "%3E")
        };
        let (others, own_name) = (
            name(&get(&broker, "/connections"), "guest"),
            name(&seen, "hare"),
        );
        let (_, channels) = ask(&broker, "hare", "GET /channels", "");
        assert_eq!(channels.as_array().map(Vec::len), Some(1));
        assert_eq!(channels[0]["number"], 1);
        let (refused, why) = ask(&broker, "hare", &format!("GET /connections/{others}"), "");
        assert_eq!(refused, 401);
        assert_eq!(why["reason"], "User not authorised to access object");
        let (refused, _) = ask(
            &broker,
            "hare",
            &format!("DELETE /connections/{others}"),
            "",
        );
        assert_eq!(refused, 401);
        let request = format!("DELETE /connections/{own_name}");
        let (closed, _) = ask_with(&broker, "hare", &request, "", &[("x-reason", "enough")]);
        assert_eq!(closed, 204);
        assert_eq!(
            own.closed().await,
            (320, "CONNECTION_FORCED - enough".to_owned())
        );
        eventually("one connection is left", async || {
            let left = get(&broker, "/connections");
            (left.as_array().map(Vec::len) == Some(1)).then_some(())
        })
        .await;
    });
}

#[test]
fn only_those_with_the_right_see_and_change_things() {
    run(async {
        let Some(broker) = world().await else { return };
        let users = [
            "management",
            "policymaker",
            "monitoring",
            "administrator",
            "none",
        ];
        for user in users {
            let tags = if user == "none" { "" } else { user };
            let body = json!({"password": user, "tags": tags}).to_string();
            assert_eq!(status(&broker, &format!("PUT /users/{user}"), &body), 201);
        }
        // Which of them get 401.
        for (request, body, refused) in [
            ("GET /whoami", "", &["none"][..]),
            ("GET /overview", "", &["none"]),
            ("GET /nodes", "", &["management", "policymaker", "none"]),
            (
                "GET /users",
                "",
                &["management", "policymaker", "monitoring", "none"],
            ),
            (
                "GET /vhosts/%2F",
                "",
                &["management", "policymaker", "monitoring", "none"],
            ),
            (
                "GET /global-parameters",
                "",
                &["management", "monitoring", "none"],
            ),
            (
                "GET /user-limits",
                "",
                &["management", "policymaker", "monitoring", "none"],
            ),
            ("GET /vhost-limits", "", &["none"]),
            (
                "PUT /global-parameters/x",
                r#"{"value": 1}"#,
                &["management", "monitoring", "none"],
            ),
            (
                "PUT /vhosts/v",
                "{}",
                &["management", "policymaker", "monitoring", "none"],
            ),
            (
                "DELETE /reset",
                "",
                &["management", "policymaker", "monitoring", "none"],
            ),
            ("GET /health/checks/alarms", "", &["none"]),
            ("GET /health/checks/is-in-service", "", &[]),
        ] {
            for user in users {
                let (status, answer) = ask(&broker, user, request, body);
                let expected = refused.contains(&user);
                assert_eq!(status == 401, expected, "{request} as {user}: {answer}");
            }
        }
        let (status, _) = ask(&broker, "", "GET /overview", "");
        assert_eq!(status, 401);
    });
}

#[test]
fn mistakes_are_named_and_change_nothing() {
    run(async {
        let Some(broker) = world().await else { return };
        let paths = [
            "/users",
            "/permissions",
            "/policies",
            "/vhost-limits",
            "/user-limits",
        ];
        let before = paths.map(|path| get(&broker, path));
        for (request, body, expected, reason) in [
            ("PUT /users/x", "not json", 400, "not_json"),
            (
                "PUT /users/x",
                r#"{"password": 5, "tags": ""}"#,
                400,
                "password must be a string",
            ),
            (
                "PUT /permissions/%2F/guest",
                "{}",
                400,
                "[{key_missing,configure},{key_missing,write},{key_missing,read}]",
            ),
            (
                "PUT /permissions/%2F/x",
                EVERYTHING,
                400,
                "vhost_or_user_not_found",
            ),
            (
                "PUT /vhost-limits/%2F/max-queues",
                "{}",
                400,
                "[{key_missing,value}]",
            ),
            (
                "PUT /vhost-limits/nowhere/max-queues",
                r#"{"value": 1}"#,
                404,
                "vhost_not_found",
            ),
            (
                "PUT /user-limits/guest/max-channels",
                r#"{"value": 1.5}"#,
                400,
                "max-channels should be a number, actually was 1.5",
            ),
            (
                "PUT /policies/%2F/p",
                r#"{"pattern": "x"}"#,
                400,
                "[{key_missing,definition}]",
            ),
            (
                "PUT /policies/%2F/p",
                r#"{"pattern": "x", "definition": {}}"#,
                400,
                "Validation failed\n\nno policy provided\n",
            ),
            (
                "PUT /policies/nowhere/p",
                r#"{"pattern": "x", "definition": {"max-length": 1}}"#,
                404,
                "vhost_not_found",
            ),
            (
                "PUT /parameters/shovel/%2F/x",
                r#"{"value": {}}"#,
                400,
                "Validation failed\n\ncomponent shovel not found\n",
            ),
            (
                "PUT /vhosts/v",
                r#"{"default_queue_type": "nonsense"}"#,
                400,
                "nonsense is not a valid queue type",
            ),
            ("GET /nodes/nobody", "", 404, "Not Found"),
            (
                "GET /health/checks/port-listener/x",
                "",
                400,
                "Invalid port",
            ),
        ] {
            let (status, answer) = ask(&broker, "guest", request, body);
            assert_eq!(status, expected, "{request}: {answer}");
            assert_eq!(answer["reason"], reason, "{request}");
        }
        assert_eq!(paths.map(|path| get(&broker, path)), before);
        assert_eq!(status(&broker, "GET /vhosts/v", ""), 404);
    });
}

#[test]
fn names_and_patterns_have_limits_that_are_named() {
    run(async {
        let Some(broker) = world().await else { return };
        let (long, longest) = ("n".repeat(256), "n".repeat(255));
        let user = r#"{"password": "p", "tags": ""}"#;
        let topic =
            |exchange: &str| json!({"exchange": exchange, "write": ".*", "read": ".*"}).to_string();
        let policy = |pattern: &str| {
            json!({"pattern": pattern, "definition": {"max-length": 1}}).to_string()
        };
        let user_path = format!("PUT /users/{long}");
        let vhost_path = format!("PUT /vhosts/{long}");
        let (topics, policies) = ("PUT /topic-permissions/%2F/guest", "PUT /policies/%2F/p");
        for (request, body, reason) in [
            (
                &*user_path,
                user,
                "the name of the user has 256 bytes, more than 255",
            ),
            (
                &vhost_path,
                "{}",
                "the name of the virtual host has 256 bytes, more than 255",
            ),
            (
                topics,
                &topic(&long),
                "the name of the exchange has 256 bytes, more than 255",
            ),
            (
                policies,
                &policy(&"a".repeat(5000)),
                "it has 5000 bytes, more than 4096",
            ),
            (
                policies,
                &policy(&"(?=a)".repeat(800)),
                "a match could take too many steps",
            ),
        ] {
            let (status, answer) = ask(&broker, "guest", request, body);
            assert_eq!(status, 400, "{request}: {answer}");
            let given = answer["reason"].as_str().unwrap_or_default();
            assert!(given.contains(reason), "{request}: {answer}");
        }
        let output = broker.try_ctl(&["add_vhost", &long]).await;
        assert!(output.stderr.contains("256 bytes"), "{output:?}");
        assert_eq!(status(&broker, &format!("PUT /users/{longest}"), user), 201);
        assert_eq!(
            status(&broker, &format!("PUT /vhosts/{longest}"), "{}"),
            201
        );
        assert_eq!(status(&broker, topics, &topic(&longest)), 201);
        let file = get(&broker, "/definitions");
        let (imported, answer) = ask(&broker, "guest", "POST /definitions", &file.to_string());
        assert_eq!(imported, 204, "{answer}");
    });
}

#[test]
fn the_node_says_what_it_is_and_how_it_is() {
    run(async {
        let Some(broker) = TestBroker::start_own_with(&["--prometheus-port", "0"]).await else {
            return;
        };
        let overview = get(&broker, "/overview");
        assert_eq!(overview["product_name"], "Leveret");
        assert!(
            overview["rabbitmq_version"]
                .as_str()
                .is_some_and(|it| it.starts_with("4."))
        );
        assert_eq!(overview["object_totals"]["exchanges"], 7);
        let protocols = overview["listeners"].as_array().expect("a list").iter();
        let protocols: Vec<&Value> = protocols.map(|one| &one["protocol"]).collect();
        assert_eq!(protocols, ["amqp", "http", "http/prometheus"]);
        assert_eq!(
            overview["contexts"][1]["description"],
            "RabbitMQ Prometheus"
        );
        let status = broker.ctl(&["status"]).await;
        assert!(status.contains("protocol: http/prometheus"), "{status}");
        let nodes = get(&broker, "/nodes");
        let node = nodes[0]["name"].as_str().expect("a name").to_owned();
        assert_eq!(
            get(&broker, &format!("/nodes/{node}"))["name"],
            node.as_str()
        );
        let memory = get(&broker, &format!("/nodes/{node}/memory"));
        assert!(memory["memory"]["total"]["rss"].as_u64() > Some(0));
        for check in [
            "alarms",
            "local-alarms",
            "virtual-hosts",
            "ready-to-serve-clients",
        ] {
            let answer = get(&broker, &format!("/health/checks/{check}"));
            assert_eq!(answer["status"], "ok", "{check}");
        }
        let port = broker.port();
        let answer = get(&broker, &format!("/health/checks/port-listener/{port}"));
        assert_eq!(answer, json!({"status": "ok", "port": port}));
        let (_, port) = broker.prometheus().rsplit_once(':').expect("a port");
        get(&broker, &format!("/health/checks/port-listener/{port}"));
        get(
            &broker,
            "/health/checks/protocol-listener/http%2Fprometheus",
        );
        let (failed, _) = ask(&broker, "guest", "GET /health/checks/port-listener/1", "");
        assert_eq!(failed, 503);
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let login = "username=guest&password=guest";
        let (status, answer) = ask_with(&broker, "", "POST /login", login, &form);
        assert_eq!((status, &answer["user"]["name"]), (200, &json!("guest")));
        let attempts = get(&broker, &format!("/auth/attempts/{node}"));
        assert_eq!(attempts[0]["protocol"], "http");
        assert!(attempts[0]["auth_attempts_succeeded"].as_u64() > Some(5));
        let (_, page) = ask(&broker, "", "GET /index.html", "");
        assert!(
            page.as_str()
                .is_some_and(|page| page.contains("/api/whoami"))
        );
        let root = broker.ask("GET", "/", Value::Null).await;
        assert_eq!(
            (root.status, root.header("content-type")),
            (200, Some("text/html; charset=utf-8"))
        );
        let policy = root.header("content-security-policy").expect("a policy");
        assert!(policy.starts_with("default-src 'none'; script-src 'self';"));
        let old = broker.ask("GET", "/stats", Value::Null).await;
        assert_eq!(
            (old.status, old.header("location")),
            (301, Some("/api/index.html"))
        );
    });
}
