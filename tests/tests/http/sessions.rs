//! Signing in to the management page: what a session needs, what it may do, and what ends it.

use std::time::{Duration, Instant};

use leveret_tests::tls::Ca;
use leveret_tests::{TestBroker, WebReply, run};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What the page has after signing in.
#[derive(Clone)]
struct Session {
    cookie: String,
    csrf_token: String,
}

impl Session {
    fn of(reply: &WebReply) -> Self {
        assert_eq!(reply.status, 200, "{reply:?}");
        let cookie = reply.header("set-cookie").expect("a cookie");
        let csrf_token = reply.body["csrf_token"].as_str().expect("a token");
        Session {
            cookie: cookie.split(';').next().expect("a value").to_owned(),
            csrf_token: csrf_token.to_owned(),
        }
    }

    async fn begin(broker: &TestBroker, user: &str) -> Self {
        Session::of(&sign_in(broker, user, user).await)
    }

    /// Sends a request as the page does.
    async fn ask(&self, broker: &TestBroker, request: &str) -> WebReply {
        let headers = [
            ("cookie", &*self.cookie),
            ("x-csrf-token", &*self.csrf_token),
        ];
        ask(broker, request, &headers).await
    }

    async fn status(&self, broker: &TestBroker) -> u16 {
        self.ask(broker, "GET /api/whoami").await.status
    }
}

async fn ask(broker: &TestBroker, request: &str, headers: &[(&str, &str)]) -> WebReply {
    let (method, path) = request.split_once(' ').expect("a method and a path");
    broker.ask_with(method, path, headers, "").await
}

async fn sign_in(broker: &TestBroker, user: &str, password: &str) -> WebReply {
    let form = format!("username={user}&password={password}");
    let any = [("x-csrf-token", "any")];
    broker.ask_with("POST", "/api/session", &any, &form).await
}

/// Makes a user, whose password is its name.
async fn add_user(broker: &TestBroker, user: &str, tags: &str) {
    let body = json!({"password": user, "tags": tags});
    let made = broker.ask("PUT", &format!("/api/users/{user}"), body).await;
    assert!(matches!(made.status, 201 | 204), "{made:?}");
}

/// Panics unless it is a 401 that opens no dialog of the browser's.
fn is_quiet_refusal(reply: &WebReply) {
    assert_eq!(reply.status, 401, "{reply:?}");
    assert_eq!(reply.header("www-authenticate"), None);
}

#[test]
fn a_session_is_a_cookie_for_the_browser_and_a_token_for_the_page() {
    run(async {
        let options = ["--management-login-session-timeout", "7"];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let begun = sign_in(&broker, "guest", "guest").await;
        let (_, port) = broker.management().rsplit_once(':').expect("a port");
        let cookie = begun.header("set-cookie").expect("a cookie");
        let (value, flags) = cookie.split_once("; ").expect("flags");
        assert_eq!(flags, "Path=/api; HttpOnly; SameSite=Strict");
        let (name, value) = value.split_once('=').expect("a value");
        assert_eq!(name, format!("leveret_session_{port}"));
        assert!(value.len() >= 32, "{value}");
        assert_eq!(begun.body["name"], "guest");
        assert_eq!(begun.body["tags"], json!(["administrator"]));
        let seconds = begun.body["expires_in"].as_u64().expect("a number");
        assert!((415..=420).contains(&seconds), "{seconds}");
        let session = Session::of(&begun);
        assert_ne!(session.csrf_token, value);
        let me = session.ask(&broker, "GET /api/whoami").await;
        assert_eq!((me.status, &me.body["name"]), (200, &json!("guest")));
        let made = session.ask(&broker, "PUT /api/queues/%2F/q").await;
        assert_eq!(made.status, 201);
        // The page was loaded again, and has lost the token.
        let headers = [("cookie", &*session.cookie), ("x-csrf-token", "")];
        let again = ask(&broker, "GET /api/session", &headers).await;
        assert_eq!(again.body["csrf_token"], session.csrf_token);
        let mut same = begun.body.clone();
        // Both are as of the answer.
        for key in ["expires_in", "started_at"] {
            assert!(again.body[key].as_u64() > Some(0), "{key}");
            same[key] = again.body[key].clone();
        }
        assert_eq!(again.body, same);
        let other = Session::begin(&broker, "guest").await;
        assert!(other.cookie != session.cookie && other.csrf_token != session.csrf_token);
    });
}

#[test]
fn without_the_token_of_the_session_its_cookie_is_nothing() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let session = Session::begin(&broker, "guest").await;
        let other = Session::begin(&broker, "guest").await;
        let cookie = ("cookie", &*session.cookie);
        for request in ["GET /api/whoami", "PUT /api/queues/%2F/q", "GET /metrics"] {
            let missing = ask(&broker, request, &[cookie]).await;
            // As if the cookie were not there: who opens a path in a browser is asked for a password.
            assert_eq!(missing.status, 401);
            assert!(missing.header("www-authenticate").is_some());
            for wrong in ["", "any", &session.csrf_token[1..], &other.csrf_token] {
                let headers = [cookie, ("x-csrf-token", wrong)];
                is_quiet_refusal(&ask(&broker, request, &headers).await);
            }
        }
        let headers = [cookie, ("x-csrf-token", "wrong")];
        is_quiet_refusal(&ask(&broker, "DELETE /api/session", &headers).await);
        let missing = ask(&broker, "DELETE /api/session", &[cookie]).await;
        assert_eq!(missing.status, 401);
        assert_eq!(session.status(&broker).await, 200);
        let token = ("x-csrf-token", &*session.csrf_token);
        is_quiet_refusal(&ask(&broker, "GET /api/whoami", &[token]).await);
    });
}

/// A page on another port of the host may set a cookie of the same name, on a narrower path: browsers send that one first.
#[test]
fn a_cookie_that_somebody_else_has_set_keeps_nobody_out() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let session = Session::begin(&broker, "guest").await;
        let other = Session::begin(&broker, "guest").await;
        let (name, _) = session.cookie.split_once('=').expect("a name");
        for first in [format!("{name}=evil"), other.cookie.clone()] {
            let cookies = format!("{first}; {}", session.cookie);
            let token = ("x-csrf-token", &*session.csrf_token);
            let both = [("cookie", &*cookies), token];
            let me = ask(&broker, "GET /api/whoami", &both).await;
            assert_eq!(me.status, 200, "{first}");
            // Without a token nobody knows whose session the page would have.
            let current = ask(&broker, "GET /api/session", &both).await;
            assert_eq!(current.status, 204, "{first}");
        }
    });
}

#[test]
fn no_form_and_no_page_of_another_origin_can_sign_in_or_use_a_session() {
    run(async {
        let options = ["--management-cors-allow-origins", "*"];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let form = "username=guest&password=guest";
        let refused = broker.ask_with("POST", "/api/session", &[], form).await;
        let reason = "the header X-CSRF-Token is missing";
        assert_eq!(refused.outcome(), (400, reason.into()));
        assert_eq!(refused.header("set-cookie"), None);
        let refused = ask(&broker, "GET /api/session", &[]).await;
        assert_eq!(refused.outcome(), (400, reason.into()));
        // Pages of other origins have to ask first, and are not allowed the header.
        let preflight = [
            ("origin", "http://localhost:1"),
            ("access-control-request-method", "GET"),
            ("access-control-request-headers", "x-csrf-token"),
        ];
        let asked = ask(&broker, "OPTIONS /api/session", &preflight).await;
        let allowed = asked.header("access-control-allow-headers").expect("some");
        assert!(!allowed.to_lowercase().contains("csrf"), "{allowed}");
        let session = Session::begin(&broker, "guest").await;
        for (site, status) in [
            ("cross-site", 401),
            ("same-site", 401),
            ("same-origin", 200),
            ("none", 200),
        ] {
            let headers = [
                ("cookie", &*session.cookie),
                ("x-csrf-token", &*session.csrf_token),
                ("sec-fetch-site", site),
            ];
            let reply = ask(&broker, "GET /api/whoami", &headers).await;
            assert_eq!(reply.status, status, "{site}");
            let reply = ask(&broker, "GET /api/session", &headers).await;
            let wanted = if status == 200 { 200 } else { 204 };
            assert_eq!(reply.status, wanted, "{site}");
        }
    });
}

#[test]
fn a_wrong_password_is_counted_slowed_and_logged_as_everywhere() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let guess = async |broker: &TestBroker| {
            let started = Instant::now();
            let refused = sign_in(broker, "guest", "wrong").await;
            is_quiet_refusal(&refused);
            assert_eq!(refused.body["reason"], "Login failed");
            assert_eq!(refused.header("set-cookie"), None);
            started.elapsed()
        };
        for _ in 0..5 {
            guess(&broker).await;
        }
        let waited = guess(&broker).await;
        assert!(waited >= Duration::from_secs(1), "{waited:?}");
        let nodes = broker.ask("GET", "/api/nodes", Value::Null).await;
        let node = nodes.body[0]["name"].as_str().expect("a name").to_owned();
        let path = format!("/api/auth/attempts/{node}");
        let attempts = broker.ask("GET", &path, Value::Null).await;
        assert_eq!(attempts.body[0]["auth_attempts_failed"], 6);
        let denied = |line: &str| {
            let wanted = ["HTTP access denied", "/api/session", "invalid credentials"];
            wanted.iter().all(|part| line.contains(part)).then_some(())
        };
        broker.process().line("a denied login", denied).await;
        let nobody = sign_in(&broker, "", "").await;
        is_quiet_refusal(&nobody);
        let any = [("x-csrf-token", "any")];
        is_quiet_refusal(&broker.ask_with("POST", "/api/session", &any, "x").await);
    });
}

#[test]
fn a_session_ends_with_its_user_and_with_the_password() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        add_user(&broker, "hare", "management").await;
        let session = Session::begin(&broker, "hare").await;
        assert_eq!(session.status(&broker).await, 200);
        // The same one, set again.
        broker.ctl(&["change_password", "hare", "hare"]).await;
        let refused = session.ask(&broker, "GET /api/whoami").await;
        is_quiet_refusal(&refused);
        assert_eq!(refused.body["reason"], "The session has ended");
        let gone = session.ask(&broker, "GET /api/session").await;
        assert_eq!((gone.status, gone.body), (204, Value::Null));
        let session = Session::begin(&broker, "hare").await;
        broker.ctl(&["delete_user", "hare"]).await;
        is_quiet_refusal(&session.ask(&broker, "GET /api/whoami").await);
        add_user(&broker, "hare", "management").await;
        is_quiet_refusal(&session.ask(&broker, "GET /api/whoami").await);
    });
}

#[test]
fn tags_and_permissions_of_a_session_are_those_of_now() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        add_user(&broker, "hare", "management").await;
        let session = Session::begin(&broker, "hare").await;
        let status = async |broker: &TestBroker, request: &str| {
            let reply = session.ask(broker, request).await;
            if reply.status == 401 {
                is_quiet_refusal(&reply);
            }
            reply.status
        };
        assert_eq!(status(&broker, "GET /api/users").await, 401);
        let denied = |line: &str| {
            let wanted = ["HTTP access denied", "/api/users", "\"user\":\"hare\""];
            wanted.iter().all(|part| line.contains(part)).then_some(())
        };
        broker.process().line("a denied request", denied).await;
        assert_eq!(status(&broker, "GET /api/queues/%2F").await, 404);
        broker.ctl(&["set_permissions", "hare", "", "", ""]).await;
        assert_eq!(status(&broker, "GET /api/queues/%2F").await, 200);
        assert_eq!(status(&broker, "PUT /api/queues/%2F/q").await, 401);
        broker
            .ctl(&["set_user_tags", "hare", "administrator"])
            .await;
        assert_eq!(status(&broker, "GET /api/users").await, 200);
        let shown = session.ask(&broker, "GET /api/session").await;
        assert_eq!(shown.body["tags"], json!(["administrator"]));
        broker.ctl(&["set_user_tags", "hare"]).await;
        assert_eq!(status(&broker, "GET /api/whoami").await, 401);
        assert_eq!(status(&broker, "GET /api/session").await, 204);
        is_quiet_refusal(&sign_in(&broker, "hare", "hare").await);
        assert_eq!(status(&broker, "DELETE /api/session").await, 204);
    });
}

#[test]
fn who_signs_out_or_in_again_leaves_no_session_behind() {
    run(async {
        let Some(mut broker) = TestBroker::start_own().await else {
            return;
        };
        let session = Session::begin(&broker, "guest").await;
        let out = session.ask(&broker, "DELETE /api/session").await;
        let cleared = out.header("set-cookie").expect("a cookie").to_owned();
        assert_eq!(out.status, 204);
        let (name, _) = session.cookie.split_once('=').expect("a value");
        let wanted = format!("{name}=; Path=/api; HttpOnly; SameSite=Strict; Max-Age=0");
        assert_eq!(cleared, wanted);
        is_quiet_refusal(&session.ask(&broker, "GET /api/whoami").await);
        let again = session.ask(&broker, "DELETE /api/session").await;
        assert_eq!(again.status, 204);
        let first = Session::begin(&broker, "guest").await;
        let headers = [("cookie", &*first.cookie), ("x-csrf-token", "any")];
        let form = "username=guest&password=guest";
        let begun = broker
            .ask_with("POST", "/api/session", &headers, form)
            .await;
        let second = Session::of(&begun);
        assert_eq!(first.status(&broker).await, 401);
        assert_eq!(second.status(&broker).await, 200);
        // They are in memory only.
        broker.restart().await;
        assert_eq!(second.status(&broker).await, 401);
    });
}

#[test]
fn passwords_in_the_request_count_whatever_cookie_is_there() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        add_user(&broker, "hare", "management").await;
        let session = Session::begin(&broker, "guest").await;
        let cookie = ("cookie", &*session.cookie);
        // hare:hare, hare:wrong
        let (right, wrong) = ("Basic aGFyZTpoYXJl", "Basic aGFyZTp3cm9uZw==");
        let me = ask(
            &broker,
            "GET /api/whoami",
            &[cookie, ("authorization", right)],
        )
        .await;
        assert_eq!(me.body["name"], "hare");
        let made = ask(&broker, "GET /api/queues", &[("authorization", right)]).await;
        assert_eq!((made.status, made.header("set-cookie")), (200, None));
        let headers = [cookie, ("authorization", wrong)];
        let refused = ask(&broker, "GET /api/whoami", &headers).await;
        assert_eq!(refused.status, 401);
        assert!(refused.header("www-authenticate").is_some());
        let headers = [
            cookie,
            ("authorization", wrong),
            ("x-csrf-token", &*session.csrf_token),
        ];
        is_quiet_refusal(&ask(&broker, "GET /api/whoami", &headers).await);
        let headers = [("cookie", "leveret_session_1=x"), ("x-csrf-token", "x")];
        is_quiet_refusal(&ask(&broker, "GET /api/whoami", &headers).await);
        let nothing = ask(&broker, "GET /api/whoami", &[]).await;
        assert!(nothing.header("www-authenticate").is_some());
    });
}

#[test]
fn sessions_are_bounded_and_the_one_that_is_idle_for_longest_ends() {
    run(async {
        let Some(broker) = TestBroker::start_own().await else {
            return;
        };
        let idle = Session::begin(&broker, "guest").await;
        let used = Session::begin(&broker, "guest").await;
        let mut first = None;
        for number in 0..32 {
            let user = format!("hare{number}");
            add_user(&broker, &user, "management").await;
            for _ in 0..32 {
                let session = Session::begin(&broker, &user).await;
                first.get_or_insert(session);
            }
            assert_eq!(used.status(&broker).await, 200);
        }
        // 1024 and two of them are two too many: the idle one, and the first of the others.
        let first = first.expect("a session");
        assert_eq!(idle.status(&broker).await, 401);
        assert_eq!(first.status(&broker).await, 401);
        assert_eq!(used.status(&broker).await, 200);
        // A user with too many loses one of its own.
        let last = Session::begin(&broker, "hare31").await;
        let next = Session::begin(&broker, "hare31").await;
        for session in [&used, &last, &next] {
            assert_eq!(session.status(&broker).await, 200);
        }
    });
}

#[test]
fn with_tls_the_cookie_is_sent_over_tls_only() {
    run(async {
        let ca = Ca::default();
        ca.server("server.pem", 90);
        let certificate = ca.path("server.pem");
        let options = ["--tls-certfile", &*certificate];
        let Some(broker) = TestBroker::start_own_with(&options).await else {
            return;
        };
        let address = broker.listener("management_tls", 0);
        let (_, port) = address.rsplit_once(':').expect("a port");
        let mut https = ca.dial(address, None).await;
        let form = "username=guest&password=guest";
        let request = format!(
            "POST /api/session HTTP/1.1\r\nhost: x\r\nx-csrf-token: x\r\nconnection: close\r\n\
             content-length: {}\r\n\r\n{form}",
            form.len()
        );
        https.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        https.read_to_string(&mut answer).await.expect("an answer");
        let cookie = answer.lines().find(|line| line.starts_with("set-cookie: "));
        let cookie = cookie.unwrap_or_else(|| panic!("{answer}"));
        assert!(
            cookie.contains(&format!("__Host-leveret_session_{port}=")),
            "{cookie}"
        );
        assert!(cookie.ends_with("; SameSite=Strict; Secure"), "{cookie}");
        // Without TLS beside it.
        let plain = sign_in(&broker, "guest", "guest").await;
        let cookie = plain.header("set-cookie").expect("a cookie");
        assert!(cookie.ends_with("; SameSite=Strict"), "{cookie}");
    });
}
