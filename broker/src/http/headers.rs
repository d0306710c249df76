//! The headers that all answers carry, and what is answered to methods and media types that a path does not have; as
//! cowboy, RabbitMQ's web server, does.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// Every method, in the order in which `Allow` lists them.
const METHODS: [&str; 6] = ["HEAD", "GET", "PUT", "POST", "DELETE", "OPTIONS"];

/// Answers a method that a path does not have. `OPTIONS` belongs to every path and says which ones it has.
pub(super) async fn other_method(method: Method) -> Response {
    match method {
        Method::OPTIONS => StatusCode::OK.into_response(),
        _ => StatusCode::METHOD_NOT_ALLOWED.into_response(),
    }
}

/// Refuses readers who do not accept JSON, and adds the headers.
pub(super) async fn complete(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path();
    let is_json = path.starts_with("/api/") && path != "/api/" && !path.ends_with(".html");
    let acceptable = !reads || !is_json || accepts_json(request.headers());
    let mut response = match acceptable {
        true => next.run(request).await,
        false => StatusCode::NOT_ACCEPTABLE.into_response(),
    };
    let status = response.status();
    let early = matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_ACCEPTABLE
    );
    let headers = response.headers_mut();
    let options = headers.get(header::ALLOW).and_then(list_methods);
    let varies = match (early || options.is_some(), reads) {
        (true, _) => "origin",
        (false, true) => "accept, accept-encoding, origin",
        (false, false) => "accept-encoding, origin",
    };
    if let Some(options) = options {
        headers.insert(header::ALLOW, options);
    }
    for (name, value) in [
        (header::CACHE_CONTROL, "no-cache"),
        (header::VARY, varies),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "deny"),
    ] {
        headers
            .entry(name)
            .or_insert(HeaderValue::from_static(value));
    }
    response
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
    fn methods_are_listed_in_rabbitmqs_order() {
        let listed = list_methods(&HeaderValue::from_static("GET,HEAD,DELETE,PUT"));
        assert_eq!(listed.unwrap(), "HEAD, GET, PUT, DELETE, OPTIONS");
    }
}
