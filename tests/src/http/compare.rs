//! Two replies, key by key.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::mask::identity;
use super::reply::{Body, Reply};

/// How a reply differs at a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// RabbitMQ has it and the broker has not.
    Missing,
    /// The broker has it and RabbitMQ has not.
    Extra,
    /// Both have it with different types.
    Type,
    /// Both have it with different values of one type.
    Value,
}

impl Kind {
    /// Returns its word in deviations.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Missing => "missing",
            Kind::Extra => "extra",
            Kind::Type => "type",
            Kind::Value => "value",
        }
    }
}

/// A difference.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// Where: `status`, `header:NAME`, or a key such as `items[name=q].durable`; empty for the whole body.
    pub key: String,
    /// How.
    pub kind: Kind,
    /// What RabbitMQ said.
    pub expected: String,
    /// What the broker said.
    pub got: String,
}

fn difference(key: &str, kind: Kind, expected: String, got: String) -> Difference {
    Difference {
        key: key.to_owned(),
        kind,
        expected,
        got,
    }
}

/// Returns every difference between what was recorded and what was said.
pub(super) fn compare(expected: &Reply, got: &Reply) -> Vec<Difference> {
    let mut found = Vec::new();
    // Where RabbitMQ crashed, any clear refusal will do.
    if expected.status == 500 && (400..500).contains(&got.status) {
        return found;
    }
    if expected.status != got.status {
        found.push(difference(
            "status",
            Kind::Value,
            expected.status.to_string(),
            got.status.to_string(),
        ));
    }
    headers(&expected.headers, &got.headers, &mut found);
    match (&expected.body, &got.body) {
        (Body::Json(expected), Body::Json(got)) => values("", expected, got, &mut found),
        (expected, got) if expected == got => {}
        (Body::Text(expected), Body::Text(got)) => {
            found.push(difference("", Kind::Value, expected.clone(), got.clone()));
        }
        (expected, got) => found.push(difference(
            "",
            Kind::Type,
            show_body(expected),
            show_body(got),
        )),
    }
    found
}

fn show_body(body: &Body) -> String {
    match body {
        Body::Empty => "no body".to_owned(),
        Body::Json(value) => show(value),
        Body::Text(text) => show(&Value::from(text.as_str())),
    }
}

/// Returns a value's JSON, long ones cut.
fn show(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(160) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

type Headers = BTreeMap<String, String>;

fn headers(expected: &Headers, got: &Headers, found: &mut Vec<Difference>) {
    let names: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
    for name in names {
        let kind = match (expected.get(name), got.get(name)) {
            (Some(expected), Some(got)) if expected == got => continue,
            (Some(_), Some(_)) => Kind::Value,
            (_, None) => Kind::Missing,
            (None, _) => Kind::Extra,
        };
        let text = |headers: &Headers| headers.get(name).cloned().unwrap_or_default();
        let key = format!("header:{name}");
        found.push(difference(&key, kind, text(expected), text(got)));
    }
}

/// Returns whether a value is of the type that a placeholder names; `None` for what is no placeholder.
fn fits(expected: &Value, got: &Value) -> Option<bool> {
    let placeholder = expected.as_str()?;
    let named = |names: &[&str]| got.as_str().is_some_and(|text| names.contains(&text));
    Some(match placeholder {
        "<any>" => true,
        "<int>" => got.is_i64() || got.is_u64() || named(&["<int>"]),
        "<number>" => got.is_number() || named(&["<int>", "<number>"]),
        // A broker without processes of Erlang's names them as it likes.
        "<string>" | "<pid>" => got.is_string() && !named(&["<int>", "<number>"]),
        _ => return None,
    })
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(text) if text == "<int>" => "integer",
        Value::String(text) if text == "<number>" => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn values(key: &str, expected: &Value, got: &Value, found: &mut Vec<Difference>) {
    match fits(expected, got) {
        Some(true) => return,
        Some(false) => return found.push(difference(key, Kind::Type, show(expected), show(got))),
        None => {}
    }
    match (expected, got) {
        (expected, got) if expected == got => {}
        (Value::Object(expected), Value::Object(got)) => {
            let keys: BTreeSet<&String> = expected.keys().chain(got.keys()).collect();
            for name in keys {
                let key = match key {
                    "" => name.clone(),
                    key => format!("{key}.{name}"),
                };
                pair(&key, expected.get(name), got.get(name), found);
            }
        }
        (Value::Array(expected), Value::Array(got)) => elements(key, expected, got, found),
        _ => {
            let kind = match type_name(expected) == type_name(got) {
                true => Kind::Value,
                false => Kind::Type,
            };
            found.push(difference(key, kind, show(expected), show(got)));
        }
    }
}

fn pair(key: &str, expected: Option<&Value>, got: Option<&Value>, found: &mut Vec<Difference>) {
    match (expected, got) {
        (Some(expected), Some(got)) => values(key, expected, got, found),
        (Some(expected), None) => {
            found.push(difference(
                key,
                Kind::Missing,
                show(expected),
                String::new(),
            ));
        }
        (None, Some(got)) => found.push(difference(key, Kind::Extra, String::new(), show(got))),
        (None, None) => {}
    }
}

/// Compares elements by what tells them apart, or by their places if nothing does.
fn elements(key: &str, expected: &[Value], got: &[Value], found: &mut Vec<Difference>) {
    let names = |all: &[Value]| -> Vec<String> {
        let mut seen: BTreeMap<String, usize> = BTreeMap::new();
        let name = |(at, element): (usize, &Value)| {
            let name = identity(element).unwrap_or_else(|| at.to_string());
            let times = seen.entry(name.clone()).or_default();
            *times += 1;
            match *times {
                1 => name,
                times => format!("{name} #{times}"),
            }
        };
        all.iter().enumerate().map(name).collect()
    };
    let (theirs, ours) = (names(expected), names(got));
    let all: BTreeSet<&String> = theirs.iter().chain(&ours).collect();
    for name in all {
        let at = |names: &[String], values: &'_ [Value]| -> Option<Value> {
            let at = names.iter().position(|known| known == name)?;
            values.get(at).cloned()
        };
        let key = format!("{key}[{name}]");
        let (expected, got) = (at(&theirs, expected), at(&ours, got));
        pair(&key, expected.as_ref(), got.as_ref(), found);
    }
    let common = |names: &[String], others: &[String]| -> Vec<String> {
        names
            .iter()
            .filter(|n| others.contains(n))
            .cloned()
            .collect()
    };
    let (theirs, ours) = (common(&theirs, &ours), common(&ours, &theirs));
    if theirs != ours {
        let text = |names: Vec<String>| names.join(", ");
        let key = format!("{key}[order]");
        found.push(difference(&key, Kind::Value, text(theirs), text(ours)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(expected: &Value, got: &Value) -> Vec<(String, Kind)> {
        let mut found = Vec::new();
        values("", expected, got, &mut found);
        found
            .into_iter()
            .map(|found| (found.key, found.kind))
            .collect()
    }

    fn one(key: &str, kind: Kind) -> Vec<(String, Kind)> {
        vec![(key.to_owned(), kind)]
    }

    #[test]
    fn keys_are_compared_wherever_they_are() {
        let same = json!({"a": [{"name": "q", "x": 1}], "n": null});
        assert_eq!(found(&same, &same), []);
        let cases = [
            (json!({"n": null}), one("a", Kind::Missing)),
            (
                json!({"a": [{"name": "q", "x": 1}], "n": null, "b": 1}),
                one("b", Kind::Extra),
            ),
            (
                json!({"a": [{"name": "q", "x": 2}], "n": null}),
                one("a[name=q].x", Kind::Value),
            ),
            (
                json!({"a": [{"name": "q", "x": 1.0}], "n": null}),
                one("a[name=q].x", Kind::Type),
            ),
            (json!({"a": {}, "n": null}), one("a", Kind::Type)),
            (
                json!({"a": [{"name": "q", "x": 1}], "n": ""}),
                one("n", Kind::Type),
            ),
            (json!({"a": [], "n": null}), one("a[name=q]", Kind::Missing)),
        ];
        for (got, expected) in cases {
            assert_eq!(found(&same, &got), expected, "{got}");
        }
    }

    #[test]
    fn placeholders_stand_for_their_types() {
        let good = [
            ("<int>", json!(5)),
            ("<int>", json!("<int>")),
            ("<number>", json!(5)),
            ("<number>", json!(5.5)),
            ("<string>", json!("x")),
            ("<pid>", json!("x")),
            ("<any>", json!([])),
        ];
        for (placeholder, got) in good {
            assert_eq!(found(&json!(placeholder), &got), [], "{placeholder} {got}");
        }
        let bad = [
            ("<int>", json!(5.5)),
            ("<int>", json!("5")),
            ("<number>", json!(null)),
            ("<string>", json!(5)),
            ("<string>", json!("<int>")),
        ];
        for (placeholder, got) in bad {
            let expected = one("", Kind::Type);
            assert_eq!(
                found(&json!(placeholder), &got),
                expected,
                "{placeholder} {got}"
            );
        }
    }

    #[test]
    fn the_order_of_elements_is_a_key_of_its_own() {
        let (a, b) = (json!({"name": "a"}), json!({"name": "b"}));
        assert_eq!(
            found(&json!([a, b]), &json!([b, a])),
            one("[order]", Kind::Value)
        );
        assert_eq!(
            found(&json!([a, a]), &json!([a])),
            one("[name=a #2]", Kind::Missing)
        );
    }

    #[test]
    fn status_and_headers_are_compared() {
        let reply = |status, headers: &[(&str, &str)], body| Reply {
            status,
            headers: headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            body,
        };
        let expected = reply(200, &[("allow", "GET"), ("vary", "origin")], Body::Empty);
        let got = reply(
            404,
            &[("allow", "PUT"), ("location", "x")],
            Body::Text("x".into()),
        );
        let keys: Vec<(String, Kind)> = compare(&expected, &got)
            .into_iter()
            .map(|found| (found.key, found.kind))
            .collect();
        let kinds = [
            ("status", Kind::Value),
            ("header:allow", Kind::Value),
            ("header:location", Kind::Extra),
            ("header:vary", Kind::Missing),
            ("", Kind::Type),
        ];
        assert_eq!(keys, kinds.map(|(key, kind)| (key.to_owned(), kind)));
    }
}
