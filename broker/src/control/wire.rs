//! The protocol of the admin socket: one JSON object per line. The client sends a request; the broker
//! sends any number of [`Response::Rows`] and then one other response, which is the last.
//!
//! [`Request::ImportDefinitions`] is followed by a file, as many raw bytes as it says.
//!
//! A listing is sent in several `Rows`, so that neither side has all of it in memory.

use crate::manage::request::{ErrorKind, Request, Response};
use serde::{Deserialize, Serialize};

/// The version of the protocol, increased when a request or response changes its meaning. It detects
/// that leveretctl was updated while the broker was not restarted.
pub const VERSION: u32 = 1;

/// The maximum length of a line in bytes, either way. The broker's lines of rows are far shorter.
pub const MAX_LINE: usize = 4 << 20;

/// Encodes a request as a line, without the line feed.
///
/// # Errors
/// None in practice: every request has a JSON form.
pub fn encode_request(request: &Request) -> serde_json::Result<String> {
    #[derive(Serialize)]
    struct Line<'a> {
        version: u32,
        request: &'a Request,
    }
    serde_json::to_string(&Line {
        version: VERSION,
        request,
    })
}

/// Decodes a line into a request.
///
/// # Errors
/// The response to send if the version differs or the line is not a request.
pub fn decode_request(line: &[u8]) -> Result<Request, Box<Response>> {
    // The version first: a request of another version need not be decodable.
    #[derive(Deserialize)]
    struct Version {
        version: u32,
    }
    #[derive(Deserialize)]
    struct Line {
        request: Request,
    }
    let refuse = |kind, message: String| Box::new(Response::Error { kind, message });
    let unreadable = |error: serde_json::Error| refuse(ErrorKind::Refused, error.to_string());
    let Version { version } = serde_json::from_slice(line).map_err(unreadable)?;
    if version != VERSION {
        let ours = env!("CARGO_PKG_VERSION");
        return Err(refuse(
            ErrorKind::VersionMismatch,
            format!("the broker is version {ours}"),
        ));
    }
    let Line { request } = serde_json::from_slice(line).map_err(unreadable)?;
    Ok(request)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manage::columns::QueueColumn;
    use crate::manage::value::Value;

    #[test]
    fn a_request_is_one_line_and_comes_back() {
        let request = Request::ListQueues {
            vhost: "/\n".to_owned(),
            columns: vec![QueueColumn::Name, QueueColumn::MessagesReady],
        };
        let line = encode_request(&request).unwrap();
        assert_eq!(
            line,
            r#"{"version":1,"request":{"verb":"list_queues","vhost":"/\n","columns":["name","messages_ready"]}}"#
        );
        assert_eq!(decode_request(line.as_bytes()), Ok(request));
        let line = encode_request(&Request::Ping).unwrap();
        assert_eq!(decode_request(line.as_bytes()), Ok(Request::Ping));
    }

    #[test]
    fn another_version_is_distinguished_from_nonsense() {
        let kind = |line: &str| match *decode_request(line.as_bytes()).unwrap_err() {
            Response::Error { kind, .. } => kind,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            kind(r#"{"version":2,"ask":"later"}"#),
            ErrorKind::VersionMismatch
        );
        assert_eq!(
            kind(r#"{"version":1,"request":{"verb":"eval"}}"#),
            ErrorKind::Refused
        );
        assert_eq!(kind("GET / HTTP/1.1"), ErrorKind::Refused);
    }

    #[test]
    fn responses_come_back() {
        let rows = vec![vec![Value::from("q"), Value::from(1u64)]];
        for response in [
            Response::Rows(rows),
            Response::Ok,
            Response::Count(3),
            Response::refused(ErrorKind::NoSuchUser),
        ] {
            let line = serde_json::to_string(&response).unwrap();
            assert_eq!(
                serde_json::from_str::<Response>(&line).unwrap(),
                response,
                "{line}"
            );
        }
    }
}
