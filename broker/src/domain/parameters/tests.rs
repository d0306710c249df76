use super::*;
use crate::config::{Config, Limits};
use crate::domain::broker::{Broker, DEFAULT_VHOST};
use crate::domain::policy::PolicyKind;
use crate::domain::recovery::recover;
use crate::domain::vhost::spec::VhostSpec;
use leveret_storage::{Options, Store};
use proptest::prelude::*;
use serde_json::json;

fn broker() -> Broker {
    let broker = Broker::new(Limits::default(), Vec::new(), None);
    let mut fx = broker.effects(None);
    broker.add_vhost(VhostSpec::named(DEFAULT_VHOST), &mut fx);
    broker
}

fn parameter(component: &str, name: &str, value: Value) -> Parameter {
    Parameter {
        vhost: DEFAULT_VHOST.to_owned(),
        component: component.to_owned(),
        name: name.to_owned(),
        value,
    }
}

fn set(broker: &Broker, component: &str, name: &str, value: Value) -> Result<(), String> {
    let mut fx = broker.effects(None);
    let set = broker.set_parameter(parameter(component, name, value), &mut fx);
    set.map_err(|error| error.to_string())
}

fn clear(broker: &Broker, component: &str, name: &str) -> Result<(), String> {
    let mut fx = broker.effects(None);
    let cleared = broker.clear_parameter(DEFAULT_VHOST, component, name, &mut fx);
    cleared.map_err(|error| error.to_string())
}

#[test]
fn limits_and_operator_policies_are_parameters() {
    let broker = broker();
    let limits = json!({"max-queues": 1});
    let policy = json!({
        "pattern": "^a", "apply-to": "queues", "priority": 3, "definition": {"max-length": 5},
    });
    set(&broker, "vhost-limits", "limits", limits.clone()).unwrap();
    set(&broker, "operator_policy", "op", policy.clone()).unwrap();
    let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
    assert_eq!(vhost.limits().unwrap().max_queues, Some(1));
    assert_eq!(vhost.policies(PolicyKind::Operator)[0].spec.priority, 3);
    let all = [
        parameter("operator_policy", "op", policy),
        parameter("vhost-limits", "limits", limits),
    ];
    assert_eq!(broker.parameters(None, None), all);
    assert_eq!(broker.parameters(Some("/"), Some("vhost-limits")), all[1..]);
    assert!(broker.parameters(Some("nowhere"), None).is_empty());
    // What is listed can be set again.
    for one in all {
        set(&broker, &one.component, &one.name, one.value).unwrap();
    }
    clear(&broker, "vhost-limits", "limits").unwrap();
    clear(&broker, "operator_policy", "op").unwrap();
    assert!(broker.parameters(None, None).is_empty());
}

#[test]
fn what_cannot_be_set_or_cleared_is_refused_in_rabbitmqs_words() {
    let broker = broker();
    let invalid = |component: &str, name: &str, value: Value| {
        let text = set(&broker, component, name, value).unwrap_err();
        let reason = text.strip_prefix("Validation failed\n\n").unwrap_or(&text);
        reason.trim_end_matches('\n').to_owned()
    };
    assert_eq!(
        set(&broker, "shovel", "x", json!({})).unwrap_err(),
        "Validation failed\n\ncomponent shovel not found\n"
    );
    assert_eq!(
        invalid("policy", "x", json!({})),
        "policies may not be set using this method"
    );
    assert_eq!(
        invalid("vhost-limits", "limits", json!({"max-queues": "x"})),
        "max-queues should be a number, actually was \"x\""
    );
    assert_eq!(
        invalid("vhost-limits", "foo", json!({"max-queues": 1})),
        "name should be limits, actually was foo"
    );
    for (value, reason) in [
        (
            json!({"pattern": "a", "definition": {}}),
            "Key \"priority\" not found in op",
        ),
        (
            json!({"priority": 0, "definition": {}}),
            "Key \"pattern\" not found in op",
        ),
        (
            json!({"priority": 0, "pattern": "a"}),
            "Key \"definition\" not found in op",
        ),
        (
            json!({"priority": "0", "pattern": "a", "definition": {}}),
            "priority should be a number, actually was \"0\"",
        ),
        (json!([]), "op should be a JSON object, actually was []"),
        (
            json!({"priority": 0, "pattern": "a", "definition": {"max-length": 1}, "x": 1}),
            "Unrecognised terms {\"x\":1} in op",
        ),
    ] {
        assert_eq!(invalid("operator_policy", "op", value), reason);
    }
    let error = invalid(
        "operator_policy",
        "op",
        json!({"priority": 0, "pattern": "(", "definition": {"max-length": -1}}),
    );
    assert!(
        error.contains("pattern should be regular expression"),
        "{error}"
    );
    assert_eq!(
        clear(&broker, "policy", "x").unwrap_err(),
        "policies may not be cleared using this method"
    );
    for (component, name) in [
        ("shovel", "x"),
        ("vhost-limits", "limits"),
        ("operator_policy", "x"),
    ] {
        let error = clear(&broker, component, name).unwrap_err();
        assert_eq!(error, "Parameter does not exist");
    }
    let mut elsewhere = parameter("vhost-limits", "limits", json!({}));
    elsewhere.vhost = "nowhere".to_owned();
    let set = broker.set_parameter(elsewhere, &mut broker.effects(None));
    assert_eq!(set, Err(ParameterError::NoSuchVhost("nowhere".to_owned())));
}

#[test]
fn global_parameters_are_set_listed_and_cleared() {
    let broker = broker();
    let mut fx = broker.effects(None);
    let parameters = &broker.global_parameters;
    assert_eq!(parameters.cluster_name(), "leveret@localhost");
    let mut set = |name: &str, value: Value| broker.set_global_parameter(name, value, &mut fx);
    set("cluster_name", "burrow".into()).unwrap();
    set("a", json!({"b": [1]})).unwrap();
    set("a", json!({"b": [2]})).unwrap();
    assert_eq!(parameters.cluster_name(), "burrow");
    assert_eq!(parameters.get("a"), Some(json!({"b": [2]})));
    let names: Vec<String> = parameters.list().into_iter().map(|p| p.name).collect();
    assert_eq!(names, ["a", "cluster_name"]);
    assert!(set("cluster_name", json!(5)).is_err());
    assert_eq!(set("", json!(5)), Err(ParameterError::Name(0)));
    assert_eq!(
        set(&"n".repeat(256), json!(5)),
        Err(ParameterError::Name(256))
    );
    let large = "x".repeat(VALUE_MAX);
    assert!(matches!(
        set("b", large.into()),
        Err(ParameterError::TooLarge(_))
    ));
    assert_eq!(parameters.list().len(), 2);
    assert_eq!(broker.clear_global_parameter("a", &mut fx), Ok(()));
    let again = broker.clear_global_parameter("a", &mut fx);
    assert_eq!(again, Err(ParameterError::NoSuchParameter));
}

#[test]
fn global_parameters_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::with_data_dir(dir.path().to_owned());
    let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
    let broker = recover(&config, open()).unwrap();
    let id = broker.global_parameters.get("internal_cluster_id").unwrap();
    let text = id.as_str().unwrap();
    assert!(
        text.starts_with("rabbitmq-cluster-id-") && text.len() == 42,
        "{text}"
    );
    let mut fx = broker.effects(None);
    for (name, value) in [("cluster_name", "burrow"), ("gone", "x")] {
        broker
            .set_global_parameter(name, value.into(), &mut fx)
            .unwrap();
    }
    broker.clear_global_parameter("gone", &mut fx).unwrap();
    fx.perform();
    let before = broker.global_parameters.list();
    broker.store.as_ref().unwrap().close().unwrap();
    drop((fx, broker));
    let broker = recover(&config, open()).unwrap();
    assert_eq!(broker.global_parameters.list(), before);
    assert_eq!(broker.global_parameters.cluster_name(), "burrow");
    assert_eq!(
        broker.global_parameters.get("internal_cluster_id"),
        Some(id)
    );
}

proptest! {
    #[test]
    fn any_text_is_a_value_or_an_error(text in r#"[\[\]{}",:a-z0-9\\.eE+-]{0,40}"#) {
        if let Ok(value) = parse_value(&text) {
            prop_assert_eq!(parse_value(&value.to_string()).unwrap(), value);
        }
    }
}

#[test]
fn large_and_deep_values_are_refused() {
    let large = format!("\"{}\"", "x".repeat(5 * VALUE_MAX));
    assert!(matches!(
        parse_value(&large),
        Err(ParameterError::TooLarge(_))
    ));
    let spaces = format!("{}1", " ".repeat(2 * VALUE_MAX));
    assert_eq!(parse_value(&spaces), Ok(json!(1)));
    let deep = "[".repeat(10_000);
    assert!(matches!(
        parse_value(&deep),
        Err(ParameterError::NotJson(_))
    ));
    assert_eq!(
        parse_value("{").unwrap_err().to_string(),
        "Could not parse JSON document: EOF while parsing an object at line 1 column 1"
    );
}
