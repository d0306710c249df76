//! The limits that new virtual hosts get, by the pattern that their names fit.

use super::shown::Shown;
use crate::text::pattern::Expression;
use serde::{Deserialize, Deserializer, Serialize, de};
use std::collections::BTreeMap;
use std::str::FromStr;

/// The limits of new virtual hosts whose names fit a pattern (RabbitMQ: `default_limits.vhosts.NAME`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultLimit {
    /// The regular expression, which fits if it matches anywhere in the name.
    #[serde(default = "any_name")]
    pub pattern: String,
    /// The maximum number of connections to the virtual host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<u32>,
    /// The maximum number of queues in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_queues: Option<u32>,
}

fn any_name() -> String {
    ".*".to_owned()
}

/// Limits of new virtual hosts by name; the first, in the order of these names, whose pattern fits counts. As text a JSON
/// object, or `none`; the file has a table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DefaultLimits(pub BTreeMap<String, DefaultLimit>);

impl DefaultLimits {
    fn checked(limits: BTreeMap<String, DefaultLimit>) -> Result<Self, String> {
        for (name, limit) in &limits {
            let failed = |reason: String| format!("{name}: {reason}");
            Expression::compile(&limit.pattern).map_err(|error| failed(error.to_string()))?;
            let values = [limit.max_connections, limit.max_queues];
            if values == [None, None] {
                return Err(failed(
                    "it limits nothing: set max_connections or max_queues".to_owned(),
                ));
            }
            if values.contains(&Some(0)) {
                return Err(failed(
                    "0 is no limit: use a whole number from 1".to_owned(),
                ));
            }
        }
        Ok(DefaultLimits(limits))
    }
}

impl FromStr for DefaultLimits {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == super::NONE {
            return Ok(DefaultLimits::default());
        }
        let limits = serde_json::from_str(text).map_err(|error| {
            let reason = error.to_string();
            // That it is none is said already.
            let why = match reason.starts_with("invalid type") {
                true => String::new(),
                false => format!(": {reason}"),
            };
            format!(
                "'{text}' is not a JSON object such as {{\"small\": {{\"pattern\": \"^dev-\", \"max_queues\": 100}}}}{why}"
            )
        })?;
        DefaultLimits::checked(limits)
    }
}

impl<'de> Deserialize<'de> for DefaultLimits {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(
            untagged,
            expecting = "expected a table of limits by name, each with pattern, and with max_connections or max_queues as whole \
                         numbers from 1"
        )]
        enum Given {
            Text(String),
            Table(BTreeMap<String, DefaultLimit>),
        }
        let limits = match Given::deserialize(source)? {
            Given::Text(text) => text.parse(),
            Given::Table(limits) => DefaultLimits::checked(limits),
        };
        limits.map_err(de::Error::custom)
    }
}

impl From<DefaultLimits> for Vec<DefaultLimit> {
    fn from(given: DefaultLimits) -> Self {
        given.0.into_values().collect()
    }
}

/// Names are of no use any more: numbers keep the order.
impl Shown for Vec<DefaultLimit> {
    fn shown(&self) -> String {
        if self.is_empty() {
            return super::NONE.to_owned();
        }
        let numbered = self.iter().enumerate();
        let numbered = numbered.map(|(index, limit)| (format!("{index:04}"), limit));
        let object: BTreeMap<String, &DefaultLimit> = numbered.collect();
        serde_json::to_string(&object).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::file;

    #[test]
    fn limits_are_a_table_or_a_json_object() {
        let text = r#"{"b": {"max_queues": 7}, "a": {"pattern": "^dev-", "max_connections": 5}}"#;
        let given: DefaultLimits = text.parse().unwrap();
        let file = file::parse(
            "[default_limits]\nb = { max_queues = 7 }\n[default_limits.a]\npattern = \"^dev-\"\nmax_connections = 5\n",
        );
        assert_eq!(file.unwrap().default_limits, Some(given.clone()));
        let limits: Vec<DefaultLimit> = given.into();
        let patterns: Vec<&str> = limits.iter().map(|one| one.pattern.as_str()).collect();
        assert_eq!(patterns, ["^dev-", ".*"]);
        let again: Vec<DefaultLimit> = limits.shown().parse::<DefaultLimits>().unwrap().into();
        assert_eq!(again, limits);
        assert_eq!("none".parse(), Ok(DefaultLimits::default()));
    }

    #[test]
    fn limits_are_checked() {
        for (text, words) in [
            ("[]", "is not a JSON object"),
            (r#"{"a": {}}"#, "it limits nothing"),
            (r#"{"a": {"max_queues": 0}}"#, "0 is no limit"),
            (r#"{"a": {"max_queues": 1, "pattern": "("}}"#, "a: "),
            (r#"{"a": {"max_queue": 1}}"#, "unknown field"),
        ] {
            let error = text.parse::<DefaultLimits>().unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let error = file::parse("[default_limits.a]\nmax_queues = -1\n").unwrap_err();
        assert!(
            error.contains("expected a table of limits by name"),
            "{error}"
        );
    }
}
