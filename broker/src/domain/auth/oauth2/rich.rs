//! Scopes from the details of a rich authorization request (RFC 9396; RabbitMQ: `rabbit_oauth2_rar`).

use super::rules::Rules;
use super::wildcard::Wildcard;
use serde_json::Value;

const TAGS: [&str; 4] = ["monitoring", "administrator", "management", "policymaker"];
const ACCESSES: [&str; 3] = ["read", "write", "configure"];

/// Adds the scopes that the claim `authorization_details` grants on resources of the configured type in this cluster.
pub(super) fn add_scopes(details: &Value, rules: &Rules, all: &mut Vec<String>) {
    let Some(kind) = &rules.resource_server_type else {
        return;
    };
    let id = rules.resource_server_id.as_str();
    let prefix = rules.scope_prefix.as_str();
    for detail in details.as_array().into_iter().flatten() {
        if detail.get("type").and_then(Value::as_str) != Some(kind) {
            continue;
        }
        let locations = texts(detail.get("locations"));
        let places: Vec<String> = locations
            .filter_map(|location| place(location, id))
            .collect();
        if places.is_empty() {
            continue;
        }
        for action in texts(detail.get("actions")) {
            if TAGS.contains(&action) {
                all.push(format!("{prefix}tag:{action}"));
            } else if ACCESSES.contains(&action) {
                all.extend(
                    places
                        .iter()
                        .map(|place| format!("{prefix}{action}:{place}")),
                );
            }
        }
    }
}

/// Returns a text, or those of a list.
fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let one = value.and_then(Value::as_str);
    let list = value.and_then(Value::as_array).into_iter().flatten();
    one.into_iter().chain(list.filter_map(Value::as_str))
}

/// Turns `cluster:PATTERN/vhost:PATTERN/queue:PATTERN/routing-key:PATTERN` into the place of a scope, if it is in this
/// cluster. What is not named is `*`.
fn place(location: &str, id: &str) -> Option<String> {
    let named = |wanted: &str| {
        let pairs = location.split('/').filter_map(|part| part.split_once(':'));
        let mut found = pairs.filter(|(key, value)| *key == wanted && !value.is_empty());
        // A value goes on until the next colon, as in RabbitMQ; the last one counts.
        found
            .next_back()
            .map(|(_, value)| value.split(':').next().unwrap_or(value))
    };
    if !Wildcard::parse(named("cluster")?)?.matches(id.as_bytes()) {
        return None;
    }
    let (queue, exchange) = (named("queue"), named("exchange"));
    if let (Some(queue), Some(exchange)) = (queue, exchange)
        && queue != exchange
    {
        return None;
    }
    let vhost = named("vhost").unwrap_or("*");
    let name = queue.or(exchange).unwrap_or("*");
    let key = named("routing-key").unwrap_or("*");
    Some(format!("{vhost}/{name}/{key}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn scopes(details: &Value) -> Vec<String> {
        let kind = Some("rabbitmq".to_owned());
        let rules = Rules {
            resource_server_type: kind,
            ..Rules::for_tests()
        };
        let mut all = Vec::new();
        add_scopes(details, &rules, &mut all);
        all
    }

    #[test]
    fn details_of_the_type_in_this_cluster_become_scopes() {
        let details = json!([{
            "type": "rabbitmq",
            "locations": ["cluster:rabbit*/vhost:v/queue:q-*", "cluster:other"],
            "actions": ["read", "administrator", "dance"],
        }]);
        assert_eq!(
            scopes(&details),
            ["rabbitmq.read:v/q-*/*", "rabbitmq.tag:administrator"]
        );
        let one = json!([{"type": "rabbitmq", "locations": "cluster:*/exchange:x/routing-key:k", "actions": "write"}]);
        assert_eq!(scopes(&one), ["rabbitmq.write:*/x/k"]);
    }

    #[test]
    fn anything_else_grants_nothing() {
        for details in [
            json!(null),
            json!({}),
            json!([7, [], {"type": "rabbitmq"}]),
            json!([{"type": "finance", "locations": "cluster:*", "actions": "read"}]),
            json!([{"type": "rabbitmq", "locations": "vhost:v", "actions": "read"}]),
            json!([{"type": "rabbitmq", "locations": "cluster:*/queue:a/exchange:b", "actions": "read"}]),
            json!([{"type": "rabbitmq", "locations": [{"cluster": "*"}], "actions": "read"}]),
            json!([{"type": "rabbitmq", "locations": "cluster:%", "actions": "read"}]),
        ] {
            assert!(scopes(&details).is_empty(), "{details}");
        }
        let mut all = Vec::new();
        let untyped = json!([{"type": "rabbitmq", "locations": "cluster:*", "actions": "read"}]);
        add_scopes(&untyped, &Rules::for_tests(), &mut all);
        assert!(all.is_empty(), "without a configured type");
    }
}
