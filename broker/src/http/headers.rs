//! The headers that all answers carry, and what is answered to methods and media types that a path does not have; as
//! cowboy, RabbitMQ's web server, does.

use super::error::ApiError;
use super::session;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use std::collections::HashSet;

/// Every method, in the order in which `Allow` lists them.
const METHODS: [&str; 6] = ["HEAD", "GET", "PUT", "POST", "DELETE", "OPTIONS"];

/// What a browser may load for a page, and do for it: everything comes from here, no script or style is within the page,
/// and no other page shows it in a frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Answers a method that a path does not have. `OPTIONS` belongs to every path and says which ones it has.
pub(super) async fn other_method(method: Method) -> Response {
    match method {
        Method::OPTIONS => StatusCode::OK.into_response(),
        Method::PATCH | Method::CONNECT | Method::TRACE => not_allowed(),
        method if METHODS.contains(&method.as_str()) => not_allowed(),
        _ => StatusCode::NOT_IMPLEMENTED.into_response(),
    }
}

fn not_allowed() -> Response {
    StatusCode::METHOD_NOT_ALLOWED.into_response()
}

/// Answers a path that leads nowhere: as in RabbitMQ, where it might be a file, it can only be read.
pub(super) async fn nowhere(method: Method) -> Response {
    let mut response = match method {
        Method::GET | Method::HEAD => ApiError::not_found().into_response(),
        other => {
            let mut response = other_method(other).await;
            let readable = HeaderValue::from_static("GET,HEAD");
            response.headers_mut().insert(header::ALLOW, readable);
            response
        }
    };
    let vary = HeaderValue::from_static("origin");
    response.headers_mut().insert(header::VARY, vary);
    response
}

/// Sends readers to another path. RabbitMQ's redirections have no other headers.
pub(super) fn moved(to: &'static str) -> Response {
    (StatusCode::MOVED_PERMANENTLY, [(header::LOCATION, to)]).into_response()
}

/// Returns whether every `%` in a path begins an encoded byte.
fn is_well_encoded(path: &str) -> bool {
    let hex = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_hexdigit);
    let mut parts = path.as_bytes().split(|&byte| byte == b'%');
    parts.next();
    parts.all(|part| hex(part.first()) && hex(part.get(1)))
}

/// Returns whether the bytes that a path encodes are UTF-8, as all names are.
fn is_text(path: &str) -> bool {
    percent_decode_str(path).decode_utf8().is_ok()
}

/// Drops all but the first of query parameters that are given twice, as RabbitMQ does (`rabbit_mgmt_util:qs_val`).
pub(super) async fn first_parameters(mut request: Request) -> Request {
    if let Some(uri) = with_first_parameters(request.uri()) {
        *request.uri_mut() = uri;
    }
    request
}

fn with_first_parameters(uri: &Uri) -> Option<Uri> {
    let mut names = HashSet::new();
    let parameters = form_urlencoded::parse(uri.query()?.as_bytes());
    let (first, again): (Vec<_>, Vec<_>) =
        parameters.partition(|(name, _)| names.insert(name.clone()));
    if again.is_empty() {
        return None;
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    let query = query.extend_pairs(first).finish();
    format!("{}?{query}", uri.path()).parse().ok()
}

/// Refuses readers who do not accept JSON, and adds the headers.
pub(super) async fn complete(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    if !is_well_encoded(path) {
        return StatusCode::BAD_REQUEST.into_response();
    }
    if !is_text(path) {
        return ApiError::bad_request("the path is not UTF-8").into_response();
    }
    let is_json = path.starts_with("/api/") && path != "/api/" && !path.ends_with(".html");
    let acceptable = !reads || !is_json || accepts_json(request.headers());
    // A page that sends it asks for the password itself, so that browsers must not.
    let is_of_page = session::csrf_token(request.headers()).is_some();
    let mut response = match acceptable {
        true => next.run(request).await,
        false => StatusCode::NOT_ACCEPTABLE.into_response(),
    };
    let status = response.status();
    if status == StatusCode::MOVED_PERMANENTLY {
        return response;
    }
    let early = matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_ACCEPTABLE
            | StatusCode::NOT_IMPLEMENTED
    );
    let headers = response.headers_mut();
    if is_of_page {
        headers.remove(header::WWW_AUTHENTICATE);
    }
    let options = headers.get(header::ALLOW).and_then(list_methods);
    let leads_nowhere = headers
        .get(header::VARY)
        .is_some_and(|vary| vary == "origin");
    let varies = match early || leads_nowhere || options.is_some() {
        true => "origin",
        false => "accept, accept-encoding, origin",
    };
    match options {
        Some(_) if status == StatusCode::NOT_IMPLEMENTED => {
            headers.remove(header::ALLOW);
        }
        Some(options) => {
            headers.insert(header::ALLOW, options);
        }
        None => {}
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, varies),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "deny"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_page(headers) {
        for (name, value) in [
            (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
            (header::REFERRER_POLICY, "no-referrer"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    response
}

/// Returns whether an answer is a page for people.
fn is_page(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"))
}

/// Returns whether a reader accepts JSON: it says so, or says nothing.
fn accepts_json(headers: &HeaderMap) -> bool {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|range| range.split(';').next().unwrap_or_default().trim())
        .filter(|range| !range.is_empty())
        .peekable();
    ranges.peek().is_none()
        || ranges.any(|range| {
            ["*/*", "application/*", "application/json"]
                .iter()
                .any(|known| range.eq_ignore_ascii_case(known))
        })
}

/// Returns the methods of a path as RabbitMQ lists them, with `OPTIONS`.
fn list_methods(allowed: &HeaderValue) -> Option<HeaderValue> {
    let allowed = allowed.to_str().ok()?;
    let has =
        |method: &str| method == "OPTIONS" || allowed.split(',').any(|one| one.trim() == method);
    let listed: Vec<&str> = METHODS.into_iter().filter(|method| has(method)).collect();
    HeaderValue::from_str(&listed.join(", ")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_or_anything_gets_json() {
        let accepts = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::ACCEPT, value.parse().unwrap());
            }
            accepts_json(&headers)
        };
        for value in [
            None,
            Some(""),
            Some("*/*;q=0.5"),
            Some("text/html, application/json"),
            Some("Application/JSON; charset=utf-8"),
        ] {
            assert!(accepts(value), "{value:?}");
        }
        assert!(!accepts(Some("text/html")) && !accepts(Some("application/bigwig")));
    }

    #[test]
    fn a_percent_sign_encodes_a_byte() {
        for well in ["/", "/%2F/%c3%A4", "/api/queues/a"] {
            assert!(is_well_encoded(well), "{well}");
        }
        for badly in ["/%zz", "/%", "/%2", "/%2/x", "/%%2F"] {
            assert!(!is_well_encoded(badly), "{badly}");
        }
    }

    #[test]
    fn names_in_paths_are_text() {
        assert!(is_text("/api/queues/%2F/%c3%A4"));
        assert!(!is_text("/api/queues/%2F/%c3") && !is_text("/api/users/%FF"));
    }

    #[test]
    fn the_first_of_two_parameters_counts() {
        let first = |uri: &str| {
            let first = with_first_parameters(&uri.parse().unwrap());
            first.map(|uri| uri.to_string())
        };
        let query = first("/api/queues/%2F?columns=a%26,b&page=1&columns=c&page=x");
        let wanted = "/api/queues/%2F?columns=a%26%2Cb&page=1";
        assert_eq!(query.as_deref(), Some(wanted));
        for same in ["/api/queues", "/api/queues?", "/api/queues?name=a+b&page=1"] {
            assert_eq!(first(same), None);
        }
    }

    #[test]
    fn methods_are_listed_in_rabbitmqs_order() {
        let listed = list_methods(&HeaderValue::from_static("GET,HEAD,DELETE,PUT"));
        assert_eq!(listed.unwrap(), "HEAD, GET, PUT, DELETE, OPTIONS");
    }
}
