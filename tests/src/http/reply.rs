//! A reply: status, the headers that are compared, and the body; as text and back.

use std::collections::BTreeMap;

use serde_json::Value;

/// The headers that a recording keeps: those that a client may act upon.
const COMPARED: [&str; 12] = [
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "content-disposition",
    "content-type",
    "location",
    "vary",
    "www-authenticate",
];

/// What was answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: BTreeMap<String, String>,
    pub(super) body: Body,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Empty,
    Json(Value),
    Text(String),
}

impl Body {
    pub(super) fn read(text: &str) -> Self {
        match serde_json::from_str(text) {
            _ if text.is_empty() => Body::Empty,
            Ok(value) => Body::Json(value),
            Err(_) => Body::Text(text.to_owned()),
        }
    }

    /// Returns the JSON, or null.
    pub(super) fn json(&self) -> &Value {
        match self {
            Body::Json(value) => value,
            _ => &Value::Null,
        }
    }
}

/// Returns whether recordings keep this header.
pub(super) fn is_compared(header: &str) -> bool {
    COMPARED.contains(&header)
}

impl Reply {
    /// Returns the lines of a recording.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.status.to_string()];
        let headers = self.headers.iter();
        lines.extend(headers.map(|(name, value)| format!("{name}: {value}")));
        match &self.body {
            Body::Empty => {}
            Body::Json(value) => {
                let text = serde_json::to_string_pretty(value).expect("JSON has a text");
                lines.extend(text.lines().map(str::to_owned));
            }
            Body::Text(text) => lines.push(format!("text {}", Value::from(text.as_str()))),
        }
        lines
    }

    /// Reads what [`Reply::lines`] wrote.
    pub(super) fn parse(lines: &[&str]) -> Result<Self, String> {
        let (status, rest) = lines.split_first().ok_or("no status")?;
        let status = status
            .parse()
            .map_err(|_| format!("no status: `{status}`"))?;
        let is_header = |line: &&&str| {
            let name = line.split_once(": ").map_or("", |(name, _)| name);
            is_compared(name)
        };
        let headers: BTreeMap<String, String> = rest
            .iter()
            .take_while(is_header)
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let body = rest[headers.len()..].join("\n");
        let json = |text: &str| serde_json::from_str(text).map_err(|e| format!("the body: {e}"));
        let body = match body.strip_prefix("text ") {
            Some(text) => match json(text)? {
                Value::String(text) => Body::Text(text),
                other => return Err(format!("no text: {other}")),
            },
            None if body.is_empty() => Body::Empty,
            None => Body::Json(json(&body)?),
        };
        Ok(Reply {
            status,
            headers,
            body,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_reply_reads_back() {
        let bodies = [
            Body::Empty,
            Body::Text("two\n\"lines\"".to_owned()),
            Body::Json(json!({"content-type: x": [1, {"b": null}], "a": 1.5})),
            Body::Json(json!([])),
            Body::Json(json!("ok")),
        ];
        for body in bodies {
            for headers in [
                BTreeMap::new(),
                BTreeMap::from([("allow".to_owned(), "GET, PUT".to_owned())]),
            ] {
                let reply = Reply {
                    status: 200,
                    headers,
                    body: body.clone(),
                };
                let lines = reply.lines();
                let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
                assert_eq!(Reply::parse(&lines), Ok(reply));
            }
        }
    }
}
