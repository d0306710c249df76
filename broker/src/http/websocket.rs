//! AMQP over WebSocket at `/ws/amqp`, for browsers, as LavinMQ has it: the frames carry the bytes of an AMQP connection.

use super::error::ApiError;
use super::login::Client;
use crate::net::websocket::{WebSocket, accept_key};
use crate::net::{Ends, Stream, StreamService};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::net::IpAddr;
use std::sync::Arc;

/// The subprotocol: whoever names any has to name this one.
const SUBPROTOCOL: &str = "amqp";
/// The version of RFC 6455.
const VERSION: &str = "13";
/// Bytes of a client's key.
const KEY_LENGTH: usize = 16;

/// What the path works on.
#[derive(Clone)]
pub(super) struct Door {
    streams: Arc<dyn StreamService>,
    origins: Arc<[String]>,
}

impl Door {
    /// Returns one for pages of these origins, and for clients that are no browsers.
    pub(super) fn new(streams: Arc<dyn StreamService>, origins: &[String]) -> Self {
        let origins = origins.into();
        Door { streams, origins }
    }
}

/// Turns an HTTP connection into one of AMQP.
pub(super) async fn open(State(door): State<Door>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let key = match checked(&parts.headers) {
        Ok(key) => accept_key(key),
        Err(refusal) => return refusal,
    };
    let (Some(upgrade), Some(Client(ends))) = (
        parts.extensions.remove::<OnUpgrade>(),
        parts.extensions.remove::<Client>(),
    ) else {
        return ApiError::bad_request("not a request for WebSocket").into_response();
    };
    let headers = &parts.headers;
    let host = headers.get(header::HOST);
    if let Some(origin) = headers.get(header::ORIGIN)
        && !is_welcome(origin, host, &door.origins, ends.encryption.is_some())
    {
        let reason = "pages of this origin may not connect: see management_cors_allow_origins";
        return ApiError::new(StatusCode::FORBIDDEN, "not_authorised", reason).into_response();
    }
    let Some(serve) = door.streams.reserve() else {
        return ApiError::busy("there are too many connections").into_response();
    };
    let named = headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    tokio::spawn(async move {
        let Ok(upgraded) = upgrade.await else {
            return;
        };
        if let Ok(parts) = upgraded.downcast::<TokioIo<Stream>>() {
            let socket = WebSocket::new(parts.io.into_inner(), &parts.read_buf);
            let ends = Ends {
                is_websocket: true,
                ..(*ends).clone()
            };
            serve(Box::new(socket), ends);
        }
    });
    accepted(&key, named)
}

/// The answer to a handshake (RFC 6455, 4.2.2).
fn accepted(key: &str, names_protocol: bool) -> Response {
    let mut response = StatusCode::SWITCHING_PROTOCOLS.into_response();
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(header::CONNECTION, "Upgrade");
    set(header::UPGRADE, "websocket");
    set(header::SEC_WEBSOCKET_ACCEPT, key);
    if names_protocol {
        set(header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
    }
    response
}

/// Returns whether a header lists this word.
fn lists(headers: &HeaderMap, name: HeaderName, wanted: &str) -> bool {
    let values = headers.get_all(name).iter();
    let words = values.filter_map(|value| value.to_str().ok());
    let mut words = words.flat_map(|value| value.split(','));
    words.any(|word| word.trim().eq_ignore_ascii_case(wanted))
}

/// Checks the handshake, and returns the client's key.
#[allow(clippy::result_large_err, reason = "it is the answer")]
fn checked(headers: &HeaderMap) -> Result<&[u8], Response> {
    let is_upgrade = lists(headers, header::CONNECTION, "upgrade")
        && lists(headers, header::UPGRADE, "websocket");
    if !is_upgrade || !lists(headers, header::SEC_WEBSOCKET_VERSION, VERSION) {
        let reason = "this path is for WebSocket, version 13";
        let refusal = ApiError::new(StatusCode::UPGRADE_REQUIRED, "upgrade_required", reason);
        let wanted = [
            (header::UPGRADE, "websocket"),
            (header::CONNECTION, "Upgrade"),
            (header::SEC_WEBSOCKET_VERSION, VERSION),
        ];
        return Err((wanted, refusal).into_response());
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY);
    let key = key.map(HeaderValue::as_bytes).unwrap_or_default();
    if !STANDARD
        .decode(key)
        .is_ok_and(|key| key.len() == KEY_LENGTH)
    {
        return Err(ApiError::bad_request("Sec-WebSocket-Key is wrong").into_response());
    }
    let names = headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL);
    if names && !lists(headers, header::SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL) {
        let reason = "the only WebSocket subprotocol here is amqp";
        return Err(ApiError::bad_request(reason).into_response());
    }
    Ok(key)
}

/// Returns whether pages of this origin may connect: those that the operator allows, and the broker's own.
///
/// A browser connects from within the network that it is in, whatever page asks it to. The page that was loaded from here
/// says so with the same host. Any name can be made to point here once its page is loaded (DNS rebinding), so without TLS,
/// which checks names, only an address or `localhost` is believed.
fn is_welcome(
    origin: &HeaderValue,
    host: Option<&HeaderValue>,
    allowed: &[String],
    is_encrypted: bool,
) -> bool {
    let Ok(origin) = origin.to_str() else {
        return false;
    };
    if allowed
        .iter()
        .any(|one| one == "*" || one.eq_ignore_ascii_case(origin))
    {
        return true;
    }
    let host = host.and_then(|host| host.to_str().ok());
    let (Some((_, of_page)), Some(host)) = (origin.split_once("://"), host) else {
        return false;
    };
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = name.trim_start_matches('[').trim_end_matches(']');
    let cannot_move = bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok();
    of_page.eq_ignore_ascii_case(host) && (is_encrypted || cannot_move)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_from_elsewhere_are_refused() {
        let welcome = |origin: &'static str, host: &'static str, allowed: &[&str], tls: bool| {
            let allowed: Vec<String> = allowed.iter().map(|&one| one.to_owned()).collect();
            let (origin, host) = (
                HeaderValue::from_static(origin),
                HeaderValue::from_static(host),
            );
            is_welcome(&origin, Some(&host), &allowed, tls)
        };
        for (origin, host) in [
            ("http://127.0.0.1:15672", "127.0.0.1:15672"),
            ("http://[::1]:15672", "[::1]:15672"),
            ("http://localhost:15672", "localhost:15672"),
        ] {
            assert!(welcome(origin, host, &[], false), "{origin}");
        }
        // The name of the page has been pointed here.
        assert!(!welcome(
            "http://evil.test:15672",
            "evil.test:15672",
            &[],
            false
        ));
        assert!(welcome("https://mq.test:15671", "mq.test:15671", &[], true));
        for origin in [
            "http://evil.test",
            "null",
            "http://localhost:8080",
            "nonsense",
        ] {
            assert!(!welcome(origin, "localhost:15672", &[], false), "{origin}");
            assert!(!welcome(origin, "localhost:15671", &[], true), "{origin}");
            assert!(welcome(origin, "localhost:15672", &["*"], false));
        }
        let allowed = ["https://app.test"];
        assert!(welcome("https://app.test", "mq.test", &allowed, false));
        assert!(!welcome(
            "https://app.test.evil",
            "mq.test",
            &allowed,
            false
        ));
    }

    #[test]
    fn the_key_is_answered_as_in_the_rfc() {
        let answer = accept_key(b"dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(answer, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
