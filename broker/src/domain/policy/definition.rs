//! Definitions of policies: JSON objects of settings, validated key by key with RabbitMQ's error texts, and
//! merged.

use super::keys::{self, Key, Merge};
use super::{PolicyKind, Target};
use leveret_protocol::content::MAX_EXPIRY_MS;
use leveret_protocol::erlang::erlang_binary;
use leveret_protocol::values::{AMQPValue, FieldTable};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The settings of a policy, in the order of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyDefinition(Map<String, Value>);

impl PolicyDefinition {
    /// Validates a definition.
    ///
    /// # Errors
    /// In RabbitMQ's words: the first setting with an invalid value, or else all unknown settings.
    pub fn check(document: Value, kind: PolicyKind) -> Result<Self, String> {
        let settings = match document {
            Value::Object(settings) => settings,
            // RabbitMQ fails here.
            other => return Err(format!("definition must be a dictionary: {}", term(&other))),
        };
        if settings.is_empty() {
            return Err("no policy provided".to_owned());
        }
        let known = |name: &str| {
            let key = Key::find(name);
            key.filter(|key| kind == PolicyKind::User || key.merge.is_some())
        };
        let mut unknown = Vec::new();
        for (name, value) in &settings {
            match known(name) {
                Some(key) => {
                    if let Some(reason) = key.error_in(value) {
                        return Err(format!("{} {reason}", term(value)));
                    }
                }
                None => unknown.push(format!("{{{},{}}}", binary(name), term(value))),
            }
        }
        check_delays(&settings)?;
        if unknown.is_empty() {
            Ok(PolicyDefinition(settings))
        } else {
            let unknown = unknown.join(",");
            Err(format!("[{unknown}] are not recognised policy settings"))
        }
    }

    /// Returns whether the target can have every setting: a policy applies as a whole or not at all
    /// (`rabbit_queue_type:is_policy_applicable`).
    pub fn applies_to(&self, target: Target) -> bool {
        self.0.keys().all(|name| keys::applies_to(name, target))
    }

    /// Merges this definition with an operator's.
    pub fn merged(&self, operator: &PolicyDefinition) -> PolicyDefinition {
        let mut settings = self.0.clone();
        for (name, operators) in &operator.0 {
            let value = match settings.get(name) {
                Some(users) => merged(name, users, operators),
                None => operators,
            };
            let value = value.clone();
            settings.insert(name.clone(), value);
        }
        PolicyDefinition(settings)
    }

    /// Returns a setting that is a string.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.as_str()
    }

    /// Returns the settings, in the order of their names.
    pub fn settings(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// Returns the definition as JSON, without spaces.
    pub fn to_json(&self) -> String {
        // A map of strings always has a JSON form.
        serde_json::to_string(&self.0).unwrap_or_default()
    }

    /// Returns the definition as a table like queue.declare's arguments, without `x-`. Times are clamped to the
    /// bounds of those arguments, which RabbitMQ does not enforce for policies.
    pub fn to_table(&self) -> FieldTable {
        let mut table = FieldTable::default();
        for (name, value) in &self.0 {
            let longest = MAX_EXPIRY_MS as i64;
            let value = match (value, keys::integer(value)) {
                (Value::String(text), _) => AMQPValue::LongString(text.as_str().into()),
                (_, Some(v)) if matches!(name.as_str(), "message-ttl" | "expires") => {
                    AMQPValue::LongLongInt(v.min(longest))
                }
                (_, Some(v)) => AMQPValue::LongLongInt(v),
                // No rule accepts anything else.
                _ => continue,
            };
            table.insert(name.as_str().into(), value);
        }
        table
    }
}

/// Validates the delays of returned messages
/// (`rabbit_quorum_queue:validate_delayed_retry_constraints`).
fn check_delays(settings: &Map<String, Value>) -> Result<(), String> {
    let kind = settings.get("delayed-retry-type").and_then(Value::as_str);
    let delay = |name: &str| settings.get(name).and_then(keys::integer);
    let (min, max) = (delay("delayed-retry-min"), delay("delayed-retry-max"));
    match (kind, min, max) {
        (Some(kind), None, _) if kind != "disabled" => Err(format!(
            "delayed-retry-min is required when delayed-retry-type is {kind}"
        )),
        (_, Some(min), Some(max)) if max < min => Err(format!(
            "delayed-retry-max ({max}) must not be smaller than delayed-retry-min ({min})"
        )),
        _ => Ok(()),
    }
}

/// Returns which of two values of a setting is in force.
fn merged<'a>(name: &str, users: &'a Value, operators: &'a Value) -> &'a Value {
    let merge = Key::find(name).and_then(|key| key.merge);
    let (Some(user), Some(operator)) = (keys::integer(users), keys::integer(operators)) else {
        return operators;
    };
    let user_wins = match merge {
        Some(Merge::Operator) | None => false,
        Some(Merge::Smaller) => user < operator,
        Some(Merge::Larger) => user > operator,
        // `rabbit_policies:merge_policy_value`: any limit wins over no limit.
        Some(Merge::StricterLimit) if user < 0 || operator < 0 => user > operator,
        Some(Merge::StricterLimit) => user < operator,
    };
    if user_wins { users } else { operators }
}

/// Formats a string as Erlang prints a binary (`~tp`).
fn binary(text: &str) -> String {
    if !text.is_ascii() && !text.chars().any(char::is_control) {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("<<\"{text}\"/utf8>>");
    }
    erlang_binary(text.as_bytes())
}

/// Formats a document as Erlang prints the term that RabbitMQ decodes it to (`~tp`), on one line.
fn term(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => binary(text),
        Value::Array(values) => {
            let terms: Vec<String> = values.iter().map(term).collect();
            format!("[{}]", terms.join(","))
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                let name = binary(name);
                format!("{name} => {}", term(value))
            };
            let terms: Vec<String> = members.iter().map(member).collect();
            format!("#{{{}}}", terms.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn user(document: Value) -> Result<PolicyDefinition, String> {
        PolicyDefinition::check(document, PolicyKind::User)
    }

    fn operator(document: Value) -> Result<PolicyDefinition, String> {
        PolicyDefinition::check(document, PolicyKind::Operator)
    }

    #[test]
    fn errors_have_rabbitmqs_texts() {
        let refused = |document| user(document).unwrap_err();
        assert_eq!(refused(json!({})), "no policy provided");
        assert_eq!(
            refused(json!({"max-length": "x"})),
            "<<\"x\">> is not a valid maximum length"
        );
        assert_eq!(
            refused(json!({"max-length": 5, "queue-mode": "x", "nope": 1})),
            "<<\"x\">> is not a valid queue-mode value"
        );
        assert_eq!(
            refused(json!({"nope": 1, "max-length": 5, "no2": "y"})),
            "[{<<\"no2\">>,<<\"y\">>},{<<\"nope\">>,1}] are not recognised policy settings"
        );
        assert_eq!(
            refused(json!({"message-ttl": {"a": [1, "x", true]}})),
            "#{<<\"a\">> => [1,<<\"x\">>,true]} is not a valid message TTL"
        );
        assert_eq!(
            refused(json!({"message-ttl": null})),
            "null is not a valid message TTL"
        );
        assert_eq!(
            refused(json!({"ha-mode": "all"})),
            "[{<<\"ha-mode\">>,<<\"all\">>}] are not recognised policy settings"
        );
        assert_eq!(refused(json!([1])), "definition must be a dictionary: [1]");
    }

    #[test]
    fn delays_must_be_consistent() {
        let refused = |document| user(document).unwrap_err();
        assert_eq!(
            refused(json!({"delayed-retry-type": "some"})),
            "<<\"some\">> is not a valid delayed retry type. Must be one of: all, failed, returned, \
             disabled"
        );
        assert_eq!(
            refused(json!({"delayed-retry-min": 0})),
            "0 is not a valid delayed retry minimum delay. Must be a positive integer"
        );
        assert_eq!(
            refused(json!({"delayed-retry-max": "x"})),
            "<<\"x\">> is not a valid delayed retry maximum delay. Must be a positive integer"
        );
        assert_eq!(
            refused(json!({"delayed-retry-type": "all", "nope": 1})),
            "delayed-retry-min is required when delayed-retry-type is all"
        );
        assert_eq!(
            refused(json!({"delayed-retry-min": 5, "delayed-retry-max": 4})),
            "delayed-retry-max (4) must not be smaller than delayed-retry-min (5)"
        );
        for right in [
            json!({"delayed-retry-type": "disabled"}),
            json!({"delayed-retry-min": 5, "delayed-retry-max": 5}),
            json!({"delayed-retry-max": 5}),
        ] {
            assert!(user(right.clone()).is_ok() && operator(right).is_ok());
        }
        let users = user(json!({"delayed-retry-type": "all", "delayed-retry-min": 5,
            "delayed-retry-max": 50}));
        let operators = operator(
            json!({"delayed-retry-type": "failed", "delayed-retry-min": 7,
            "delayed-retry-max": 40}),
        );
        assert_eq!(
            users.unwrap().merged(&operators.unwrap()).to_json(),
            r#"{"delayed-retry-max":40,"delayed-retry-min":7,"delayed-retry-type":"failed"}"#
        );
    }

    #[test]
    fn operator_policies_have_fewer_keys() {
        let definition = json!({"max-length": 3, "dead-letter-exchange": "x"});
        assert_eq!(
            operator(definition.clone()).unwrap_err(),
            "[{<<\"dead-letter-exchange\">>,<<\"x\">>}] are not recognised policy settings"
        );
        assert!(user(definition).is_ok());
    }

    #[test]
    fn the_smaller_number_wins_and_the_operators_word() {
        let users = json!({"max-length": 5, "expires": 10, "overflow": "reject-publish",
            "delivery-limit": -1, "dead-letter-exchange": "x"});
        let operators = json!({"max-length": 7, "expires": 3, "overflow": "drop-head",
            "delivery-limit": 9, "message-ttl": 2});
        let merged = user(users).unwrap().merged(&operator(operators).unwrap());
        assert_eq!(
            merged.to_json(),
            r#"{"dead-letter-exchange":"x","delivery-limit":9,"expires":3,"max-length":5,"message-ttl":2,"overflow":"drop-head"}"#
        );
        let limit = |a: i64, b: i64| {
            let (a, b) = (json!({"delivery-limit": a}), json!({"delivery-limit": b}));
            let merged = user(a).unwrap().merged(&operator(b).unwrap());
            merged.to_table().inner().get("delivery-limit").cloned()
        };
        assert_eq!(limit(4, -1), Some(AMQPValue::LongLongInt(4)));
        assert_eq!(limit(4, 3), Some(AMQPValue::LongLongInt(3)));
        assert_eq!(limit(-5, -2), Some(AMQPValue::LongLongInt(-2)));
    }

    #[test]
    fn times_out_of_bounds_are_clamped() {
        let definition = user(json!({"message-ttl": u64::MAX, "max-length": u64::MAX})).unwrap();
        let table = definition.to_table();
        let longest = AMQPValue::LongLongInt(MAX_EXPIRY_MS as i64);
        assert_eq!(table.inner().get("message-ttl"), Some(&longest));
        let most = AMQPValue::LongLongInt(i64::MAX);
        assert_eq!(table.inner().get("max-length"), Some(&most));
    }
}
