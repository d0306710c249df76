//! A minimal client of the management HTTP API: one request per connection.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::TestBroker;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// `guest:guest`.
const GUEST: &str = "Basic Z3Vlc3Q6Z3Vlc3Q=";

/// An answer.
#[derive(Debug)]
pub struct WebReply {
    /// The status.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; `null` if it is empty.
    pub body: Value,
}

impl WebReply {
    /// Returns a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let found = headers.find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns the status, and the `reason` of a refusal or `null`.
    pub fn outcome(&self) -> (u16, Value) {
        (self.status, self.body["reason"].clone())
    }
}

impl TestBroker {
    /// Sends a request as guest and returns the answer. `path` begins with `/api/`; a body that is `null` is not sent.
    pub async fn ask(&self, method: &str, path: &str, body: Value) -> WebReply {
        let body = match body {
            Value::Null => String::new(),
            body => body.to_string(),
        };
        self.ask_text(method, path, &body).await
    }

    /// Like [`TestBroker::ask`], with a body that may be anything.
    pub async fn ask_text(&self, method: &str, path: &str, body: &str) -> WebReply {
        let headers = [("authorization", GUEST)];
        self.ask_with(method, path, &headers, body).await
    }

    /// Like [`TestBroker::ask_text`], as somebody else: with these headers.
    pub async fn ask_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> WebReply {
        let address = self.management();
        let mut lines = String::new();
        for (name, value) in headers {
            lines += &format!("{name}: {value}\r\n");
        }
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {address}\r\n{lines}connection: close\r\n\
             content-length: {}\r\n\r\n{body}",
            body.len()
        );
        let exchange = async {
            let mut socket = TcpStream::connect(address).await.expect("a connection");
            socket.write_all(request.as_bytes()).await.expect("sent");
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await.expect("an answer");
            answer
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await;
        let answer = answer.unwrap_or_else(|_| panic!("{method} {path} hangs"));
        parse(&answer).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&answer)))
    }
}

fn parse(answer: &[u8]) -> Option<WebReply> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_lowercase(), value.trim().to_owned()))
    };
    let headers: Vec<_> = lines.map(header).collect::<Option<_>>()?;
    let is_chunked = headers.contains(&("transfer-encoding".into(), "chunked".into()));
    let body = match is_chunked {
        true => unchunked(&answer[end + 4..])?,
        false => answer[end + 4..].to_vec(),
    };
    let is_page = headers
        .iter()
        .any(|(name, value)| name == "content-type" && value.starts_with("text/"));
    let body = match body.is_empty() {
        true => Value::Null,
        false if is_page => Value::String(String::from_utf8(body).ok()?),
        false => serde_json::from_slice(&body).ok()?,
    };
    Some(WebReply {
        status,
        headers,
        body,
    })
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|bytes| bytes == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = usize::from_str_radix(size, 16).ok()?;
        let start = line + 2;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(start..start + size)?);
        rest = rest.get(start + size + 2..)?;
    }
}
