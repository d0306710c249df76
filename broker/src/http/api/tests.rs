use super::*;
use crate::config::Limits;
use crate::domain::auth::PasswordHash;
use crate::domain::broker::Broker;
use crate::domain::vhost::spec::VhostSpec;
use crate::http::login::Client;
use crate::manage::AdminContext;
use crate::net::Ends;
use crate::net::tls::Tls;
use crate::plumbing::log::Log;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::watch;
use tower::ServiceExt;

const LOCAL: &str = "127.0.0.1:40000";
const REMOTE: &str = "192.0.2.7:40000";
/// guest:guest
const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// Returns the API of a broker with the user guest, who may log in from loopback only.
fn service(config: &Config) -> Router {
    let broker = Broker::new(Limits::default(), vec!["guest".to_owned()], None);
    broker.add_vhost(VhostSpec::named("/"), &mut broker.effects(None));
    let tags = ["administrator".to_owned()];
    let added = broker
        .users
        .add_user("guest", PasswordHash::of("guest"), &tags);
    added.unwrap();
    let context = AdminContext {
        broker: Arc::new(broker),
        data_dir: std::env::temp_dir(),
        settings: Arc::default(),
        config: Arc::new(Config::with_data_dir(std::env::temp_dir())),
        listeners: Arc::default(),
        tls: Tls::default(),
        log: Log::default(),
        stop: Arc::new(watch::channel(false).0),
    };
    router(Api::new(context), config, None)
}

fn config() -> Config {
    Config::with_data_dir(PathBuf::from("nowhere"))
}

/// Asks from an address; returns the status, the headers and the body.
async fn ask(
    service: &Router,
    peer: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (StatusCode, HeaderMap, Bytes) {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    let peer: SocketAddr = peer.parse().unwrap();
    request
        .extensions_mut()
        .insert(Client(Arc::new(Ends::new(peer, peer))));
    let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, body)
}

#[tokio::test]
async fn guest_may_not_ask_from_elsewhere() {
    let service = service(&config());
    for (peer, expected) in [
        (LOCAL, StatusCode::OK),
        ("[::1]:40000", StatusCode::OK),
        (REMOTE, StatusCode::UNAUTHORIZED),
        ("[2001:db8::1]:40000", StatusCode::UNAUTHORIZED),
    ] {
        let login = [("authorization", GUEST)];
        let (status, _, body) = ask(&service, peer, "GET", "/api/whoami", &login).await;
        assert_eq!(status, expected, "{peer}");
        if expected != StatusCode::OK {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["reason"], "User can only log in via localhost");
        }
    }
}

/// Signs in as guest from this machine; returns what the page sends with every request then.
async fn sign_in(service: &Router) -> [(String, String); 2] {
    let form = Body::from("username=guest&password=guest");
    let request = Request::post("/api/session").header("x-csrf-token", "any");
    let mut request = request.body(form).unwrap();
    let peer: SocketAddr = LOCAL.parse().unwrap();
    request
        .extensions_mut()
        .insert(Client(Arc::new(Ends::new(peer, peer))));
    let response = service.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let cookie = response.headers()["set-cookie"].to_str().unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20);
    let body: Value = serde_json::from_slice(&body.await.unwrap()).unwrap();
    let token = body["csrf_token"].as_str().unwrap().to_owned();
    [("cookie".into(), cookie), ("x-csrf-token".into(), token)]
}

#[tokio::test]
async fn a_session_of_guest_is_good_from_this_machine_only() {
    let service = service(&config());
    let headers = sign_in(&service).await;
    let headers = headers.each_ref().map(|(name, value)| (&**name, &**value));
    for (peer, expected) in [(LOCAL, 200), (REMOTE, 401), ("[::1]:40000", 200)] {
        // They have dialled the same port, which is in the name of the cookie.
        let (status, answer, body) = ask(&service, peer, "GET", "/api/whoami", &headers).await;
        assert_eq!(status, expected, "{peer}");
        assert!(!answer.contains_key("www-authenticate"));
        if expected == 401 {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["reason"], "User can only log in via localhost");
        }
        let (status, _, _) = ask(&service, peer, "GET", "/api/session", &headers).await;
        assert_eq!(status == StatusCode::OK, expected == 200, "{peer}");
    }
}

/// Asks the way browsers do before a request of another origin; returns the origin that is allowed, and the methods.
async fn preflight(service: &Router, origin: &str) -> (Option<String>, Option<String>) {
    let headers = [
        ("origin", origin),
        ("access-control-request-method", "PUT"),
        ("access-control-request-headers", "authorization"),
    ];
    let (status, headers, _) = ask(service, LOCAL, "OPTIONS", "/api/whoami", &headers).await;
    assert_eq!(status, StatusCode::OK);
    let header = |name: &str| {
        let value = headers.get(name)?;
        Some(value.to_str().unwrap().to_owned())
    };
    (
        header("access-control-allow-origin"),
        header("access-control-allow-methods"),
    )
}

#[tokio::test]
async fn pages_of_listed_origins_may_ask_and_no_others() {
    let (page, other) = ("https://page.example", "https://other.example");
    let mut config = config();
    for (listed, may_page, may_other) in [(vec![page], true, false), (vec!["*"], true, true)] {
        config.management_cors_allow_origins = listed.into_iter().map(str::to_owned).collect();
        let service = service(&config);
        for (origin, may) in [(page, may_page), (other, may_other)] {
            let expected = may.then(|| origin.to_owned());
            let (allowed, methods) = preflight(&service, origin).await;
            assert_eq!(allowed, expected, "{origin}");
            assert!(!may || methods.unwrap().contains("DELETE"));
            let headers = [("origin", origin), ("authorization", GUEST)];
            let (status, headers, _) = ask(&service, LOCAL, "GET", "/api/whoami", &headers).await;
            let allowed = headers.get("access-control-allow-origin");
            let allowed = allowed.map(|origin| origin.to_str().unwrap().to_owned());
            // Whether the page may read the answer is for the browser to enforce.
            assert_eq!((status, allowed), (StatusCode::OK, expected));
            let credentials = headers.get("access-control-allow-credentials");
            assert_eq!(credentials.unwrap(), "true");
        }
    }
}

#[tokio::test]
async fn the_document_is_valid() {
    let service = service(&config());
    let (status, _, document) = ask(&service, LOCAL, "GET", "/api/openapi.json", &[]).await;
    assert_eq!(status, StatusCode::OK);
    let document: Value = serde_json::from_slice(&document).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert_eq!(
        document["components"]["securitySchemes"]["basic"]["scheme"],
        "basic"
    );
    let mut ids = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let place = format!("{method} {path}");
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{place}: {id} again");
            for (status, response) in operation["responses"].as_object().unwrap() {
                let description = response["description"].as_str().unwrap_or_default();
                assert!(!description.is_empty(), "{place}: {status}");
            }
            let mut declared: Vec<&str> = Vec::new();
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if parameter["in"] == "path" {
                    assert_eq!(parameter["required"], true, "{place}");
                    declared.push(parameter["name"].as_str().unwrap());
                }
            }
            let mut expected: Vec<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
            declared.sort_unstable();
            expected.sort_unstable();
            assert_eq!(declared, expected, "{place}");
        }
    }
    assert!(ids.len() > 150, "{}", ids.len());
    every_reference_leads_somewhere(&document, &document);
}

#[tokio::test]
async fn pages_for_people_come_with_a_policy_and_json_without() {
    let service = service(&config());
    for path in ["/", "/api/index.html"] {
        let (status, headers, _) = ask(&service, LOCAL, "GET", path, &[]).await;
        assert_eq!(status, StatusCode::OK, "{path}");
        let policy = headers["content-security-policy"].to_str().unwrap();
        for part in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
        ] {
            assert!(
                policy.split("; ").any(|one| one == part),
                "{path}: {policy}"
            );
        }
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers["cache-control"], "no-cache");
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
    let (_, headers, _) = ask(&service, LOCAL, "GET", "/api/version", &[]).await;
    assert!(!headers.contains_key("content-security-policy"));
    for (path, to) in [
        ("/mgmt", "/"),
        ("/api", "/api/index.html"),
        ("/stats", "/api/index.html"),
        ("/doc/stats.html", "/api/index.html"),
    ] {
        let (status, headers, _) = ask(&service, LOCAL, "GET", path, &[]).await;
        let moved = (status, headers["location"].to_str().unwrap());
        assert_eq!(moved, (StatusCode::MOVED_PERMANENTLY, to), "{path}");
    }
}

#[tokio::test]
async fn a_page_that_is_known_is_not_sent_again() {
    let service = service(&config());
    let (_, headers, _) = ask(&service, LOCAL, "GET", "/", &[]).await;
    let etag = headers["etag"].to_str().unwrap().to_owned();
    let known = [("if-none-match", &*etag), ("accept-encoding", "gzip")];
    let (status, headers, body) = ask(&service, LOCAL, "GET", "/", &known).await;
    assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(headers["etag"], *etag);
}

fn every_reference_leads_somewhere(document: &Value, part: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference}");
            }
            let parts = fields.values();
            parts.for_each(|part| every_reference_leads_somewhere(document, part));
        }
        Value::Array(parts) => parts
            .iter()
            .for_each(|part| every_reference_leads_somewhere(document, part)),
        _ => {}
    }
}
