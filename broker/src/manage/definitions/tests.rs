use super::files::ImportOptions;
use super::{Definitions, Imported, Scope, load};
use crate::config::Limits;
use crate::domain::broker::Broker;
use crate::domain::vhost::spec::VhostSpec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use std::sync::Arc;

const RABBITMQ_3_10: &str = include_str!("../../../../tests/definitions/rabbitmq-3.10.json");
const VHOST_OF_3_10: &str = include_str!("../../../../tests/definitions/rabbitmq-3.10-vhost.json");
const RABBITMQ_4: &str = include_str!("../../../../tests/definitions/rabbitmq-4.json");

/// The lists of a file.
const LISTS: [&str; 10] = [
    "users",
    "vhosts",
    "permissions",
    "topic_permissions",
    "parameters",
    "global_parameters",
    "policies",
    "queues",
    "exchanges",
    "bindings",
];

fn broker() -> Arc<Broker> {
    Arc::new(Broker::new(Limits::default(), Vec::new(), None))
}

fn import(broker: &Arc<Broker>, text: &str) -> Imported {
    broker
        .import_definitions(text.as_bytes(), &ImportOptions::default())
        .expect("a definition file")
}

fn export(broker: &Broker) -> Value {
    serde_json::to_value(Definitions::new(broker, Scope::Broker)).expect("JSON")
}

/// Returns a list of a file in an order that does not depend on the broker, without the entries and keys that `differs`
/// takes away.
fn sorted(
    file: &Value,
    list: &str,
    differs: impl Fn(&str, &mut Map<String, Value>) -> bool,
) -> Vec<Value> {
    let entries = file[list].as_array().cloned().unwrap_or_default();
    let mut entries: Vec<Value> = entries
        .into_iter()
        .filter_map(|mut entry| {
            let object = entry.as_object_mut().expect("an object");
            (!differs(list, object)).then_some(entry)
        })
        .collect();
    entries.sort_by_key(Value::to_string);
    entries
}

/// Takes away what is documented not to come back (docs/operate/definitions.md).
fn documented(list: &str, entry: &mut Map<String, Value>) -> bool {
    let text =
        |entry: &Map<String, Value>, key: &str| entry[key].as_str().unwrap_or_default().to_owned();
    match list {
        // RabbitMQ 3.10 writes only the name, and 4 not the type of exchanges.
        "vhosts" => entry.retain(|key, _| key == "name"),
        "queues" => entry.retain(|key, _| key != "type"),
        "exchanges" => {
            entry.entry("internal").or_insert(json!(false));
        }
        _ => {}
    }
    match list {
        "parameters" => {
            ["shovel", "federation-upstream"].contains(&text(entry, "component").as_str())
        }
        "global_parameters" => text(entry, "name").starts_with("internal"),
        _ => false,
    }
}

#[test]
fn an_entry_that_is_too_large_is_named_and_not_decoded() {
    let broker = broker();
    let ones = format!("[{}]", vec!["1"; 100_000].join(","));
    let refused = |list: &str, entry: String| {
        let imported = import(&broker, &format!(r#"{{"{list}":[{entry}]}}"#));
        assert_eq!(
            (imported.invalid, imported.applied),
            (1, 0),
            "{imported:#?}"
        );
        imported.problems[0].to_string()
    };
    for (list, entry) in [
        (
            "queues",
            format!(r#"{{"name":"q","vhost":"v","arguments":{{"x":{ones}}}}}"#),
        ),
        (
            "policies",
            format!(r#"{{"name":"q","vhost":"v","pattern":"","definition":{ones}}}"#),
        ),
        ("users", format!(r#"{{"name":"q","tags":{ones}}}"#)),
        (
            "global_parameters",
            format!(r#"{{"name":"q","value":{ones}}}"#),
        ),
        ("vhosts", format!(r#"{{"name":{ones}}}"#)),
    ] {
        let problem = refused(list, entry);
        assert!(problem.contains("values, more than 65536"), "{problem}");
    }
    let pattern = "a".repeat(5 << 20);
    let entry = format!(r#"{{"user":"u","vhost":"v","configure":"{pattern}"}}"#);
    let problem = refused("permissions", entry);
    assert!(
        problem.starts_with("permission of user 'u' in vhost 'v': it has 5"),
        "{problem}"
    );
}

#[test]
fn files_of_rabbitmq_come_back_except_for_what_is_documented() {
    for text in [RABBITMQ_3_10, RABBITMQ_4] {
        let (broker, file) = (broker(), serde_json::from_str::<Value>(text).unwrap());
        let imported = import(&broker, text);
        let invalid = imported.problems.iter().filter(|problem| problem.invalid);
        assert_eq!(invalid.count(), 0, "{:#?}", imported.problems);
        let exported = export(&broker);
        for list in LISTS {
            let left_out = |list: &str, entry: &mut Map<String, Value>| {
                let is_mirroring = list == "policies" && entry["name"] == "ha";
                is_mirroring || documented(list, entry)
            };
            let (before, after) = (
                sorted(&file, list, left_out),
                sorted(&exported, list, left_out),
            );
            assert_eq!(before, after, "{list}");
        }
        let again = import(&broker, &exported.to_string());
        assert_eq!((again.invalid, again.unsupported), (0, 0), "{again:#?}");
        assert_eq!(export(&broker), exported, "importing again changes nothing");
    }
}

#[test]
fn policies_are_imported_without_what_needs_a_cluster() {
    let broker = broker();
    let policy = |name: &str, definition: Value| json!({"vhost": "/", "name": name, "pattern": "^q", "definition": definition});
    let file = json!({"vhosts": [{"name": "/"}], "policies": [
        policy("both", json!({"ha-mode": "all", "ha-sync-mode": "automatic", "max-length": 7})),
        policy("mirrors", json!({"ha-mode": "all"})),
        policy("wrong", json!({"ha-mode": "all", "max-length": -1})),
    ]});
    let imported = import(&broker, &file.to_string());
    let problems: Vec<String> = imported.problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "policy 'both' in vhost '/': ha-mode, ha-sync-mode left out, as there is only one node and no federation; \
             the rest of it is imported",
            "policy 'mirrors' in vhost '/': it has only ha-mode, and there is only one node and no federation; policies \
             of lower priority apply in its place",
            "policy 'wrong' in vhost '/': Validation failed -1 is not a valid maximum length",
        ]
    );
    assert_eq!(
        (imported.applied, imported.unsupported, imported.invalid),
        (2, 2, 1)
    );
    let exported = &export(&broker)["policies"];
    assert_eq!(exported[0]["definition"], json!({"max-length": 7}));
    assert_eq!(exported.as_array().map(Vec::len), Some(1));
}

#[test]
fn definitions_of_policies_may_be_lists_of_pairs() {
    let broker = broker();
    let pairs = json!([["max-length", 100_000]]);
    let file = json!({"vhosts": [{"name": "/"}],
        "policies": [{"vhost": "/", "name": "p", "pattern": "^q", "definition": pairs}],
        "parameters": [{"vhost": "/", "component": "operator_policy", "name": "o", "value":
            {"pattern": "^q", "definition": pairs, "priority": 0, "apply-to": "queues"}}]});
    let imported = import(&broker, &file.to_string());
    assert!(imported.problems.is_empty(), "{:?}", imported.problems);
    let exported = export(&broker);
    let object = json!({"max-length": 100_000});
    assert_eq!(exported["policies"][0]["definition"], object);
    assert_eq!(exported["parameters"][0]["value"]["definition"], object);
}

#[test]
fn metadata_of_virtual_hosts_come_back() {
    let broker = broker();
    import(&broker, RABBITMQ_4);
    let file: Value = serde_json::from_str(RABBITMQ_4).unwrap();
    assert_eq!(export(&broker)["vhosts"], file["vhosts"]);
}

#[test]
fn a_file_of_one_virtual_host_is_imported_into_any() {
    let broker = broker();
    broker.add_vhost(VhostSpec::named("other"), &mut broker.effects(None));
    let options = ImportOptions {
        vhost: Some("other".to_owned()),
        skip_if_unchanged: false,
    };
    let refused = broker.import_definitions(VHOST_OF_3_10.as_bytes(), &ImportOptions::default());
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("one virtual host")
    );
    let imported = broker
        .import_definitions(VHOST_OF_3_10.as_bytes(), &options)
        .unwrap();
    assert_eq!(imported.invalid, 0, "{:#?}", imported.problems);
    let scope = Scope::Vhost(broker.vhost("other").unwrap());
    let exported = serde_json::to_value(Definitions::new(&broker, scope)).unwrap();
    let file: Value = serde_json::from_str(VHOST_OF_3_10).unwrap();
    for list in ["policies", "queues", "exchanges", "bindings"] {
        let nameless = |list: &str, entry: &mut Map<String, Value>| {
            entry.remove("vhost");
            documented(list, entry)
        };
        assert_eq!(
            sorted(&file, list, nameless),
            sorted(&exported, list, nameless),
            "{list}"
        );
    }
}

#[test]
fn what_depends_on_something_unsupported_is_unsupported() {
    let imported = import(
        &broker(),
        r#"{
        "users": [{"name": "u", "password_hash": "", "hashing_algorithm": "own", "tags": []}],
        "vhosts": [{"name": "v"}],
        "permissions": [{"user": "u", "vhost": "v", "configure": "", "write": "", "read": ""}],
        "exchanges": [{"vhost": "v", "name": "e", "type": "x-own"}, {"vhost": "v", "name": "amq.topic", "type": "topic"}],
        "queues": [{"vhost": "v", "name": "q"}, {"vhost": "v", "name": "amq.gen-1"}],
        "bindings": [
            {"vhost": "v", "source": "e", "destination": "q", "destination_type": "queue"},
            {"vhost": "v", "source": "amq.topic", "destination": "amq.gen-1", "destination_type": "queue"},
            {"vhost": "v", "source": "amq.topic", "destination": "q", "destination_type": "queue"}
        ]}"#,
    );
    assert_eq!(
        (imported.invalid, imported.unsupported),
        (0, 6),
        "{:#?}",
        imported.problems
    );
    assert_eq!(imported.applied, 4);
}

#[test]
fn virtual_hosts_of_other_versions_and_services_are_read() {
    let broker = broker();
    let imported = import(
        &broker,
        r#"{"vhosts": [
            {"name": "a", "default_queue_type": "undefined", "metadata": {"description": "d", "tags": []}},
            {"name": "b", "default_queue_type": "quorum", "tags": "x, y"},
            {"name": "c", "default_queue_type": null, "tags": null, "metadata": {"default_queue_type": "undefined", "tags": "z"}}
        ]}"#,
    );
    assert_eq!((imported.applied, imported.invalid), (3, 0), "{imported:?}");
    let file = export(&broker);
    let metadata = |n: usize, key: &str| file["vhosts"][n]["metadata"][key].clone();
    let none = metadata(0, "default_queue_type");
    assert_eq!(metadata(1, "default_queue_type"), "quorum");
    assert_eq!(metadata(2, "default_queue_type"), none);
    assert_eq!(metadata(1, "tags"), json!(["x", "y"]));
    assert_eq!(metadata(2, "tags"), json!(["z"]));
}

#[test]
fn what_identifies_another_broker_is_passed_over_in_silence() {
    let broker = broker();
    let imported = import(
        &broker,
        r#"{"global_parameters": [{"name": "internal_cluster_id", "value": "x"}, {"name": "a", "value": 1}]}"#,
    );
    assert_eq!((imported.applied, imported.unsupported), (1, 0));
    assert_eq!(broker.global_parameters.get("internal_cluster_id"), None);
}

#[test]
fn a_new_broker_loads_all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let user = r#"{"name": "u", "password_hash": "", "tags": []}"#;
    write(
        "1.json",
        &format!(r#"{{"vhosts": [{{"name": "v"}}], "users": [{user}]}}"#),
    );
    write(
        "2.json",
        r#"{"users": [{"name": "w"}], "vhosts": [{"name": "w"}]}"#,
    );
    let broker = broker();
    let before = export(&broker);
    let load = || load(&broker, folder.path(), false).map_err(|error| error.to_string());
    let refused = load().unwrap_err();
    assert!(
        refused.contains("2.json: 1 invalid definition, nothing was imported: user 'w'"),
        "{refused}"
    );
    assert!(
        refused.contains("leveretctl import_definitions"),
        "{refused}"
    );
    assert_eq!(export(&broker), before);
    write("2.json", r#"{"vhosts": [{"name": "w"}]}"#);
    load().unwrap();
    assert_eq!(broker.vhosts().len(), 2);
    // A broker that is in use keeps what is valid, as in RabbitMQ.
    write(
        "2.json",
        r#"{"users": [{"name": "w"}], "vhosts": [{"name": "x"}]}"#,
    );
    let refused = load().unwrap_err();
    assert!(
        refused.contains("left out, the others were imported"),
        "{refused}"
    );
    assert_eq!(broker.vhosts().len(), 3);
}

#[test]
fn a_wrong_entry_is_named_and_leaves_no_trace() {
    let long = "x".repeat(300);
    let deep = format!("{}1{}", "[".repeat(70), "]".repeat(70));
    let deeper = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let queue = |name: &str, arguments: &str| {
        format!(r#"{{"queues":[{{"vhost":"v","name":"{name}","arguments":{arguments}}}]}}"#)
    };
    let of_users = |entry: &str| format!(r#"{{"users":[{entry}]}}"#);
    for (file, reason) in [
        (queue(&long, "{}"), "300 bytes"),
        (queue("", "{}"), "empty"),
        (queue("q", "[1]"), "must be an object"),
        (queue("q", &format!(r#"{{"{long}":1}}"#)), "actually was 300"),
        (queue("q", r#"{"n":9223372036854775808}"#), "does not fit"),
        (queue("q", r#"{"n":null}"#), "null_not_allowed"),
        (queue("q", r#"{"n":1e999}"#), "out of range"),
        (queue("q", &format!(r#"{{"n":{deep}}}"#)), "nested too deeply"),
        (queue("q", &format!(r#"{{"n":{deeper}}}"#)), "recursion"),
        (queue("q", r#"{"x-max-length":-1}"#), "x-max-length"),
        (queue("q", &format!(r#"{{"n":"{}"}}"#, "y".repeat(40_000))), "32768"),
        (r#"{"queues":[{"vhost":"v","name":5}]}"#.to_owned(), "string"),
        (r#"{"queues":[{"vhost":"nowhere","name":"q"}]}"#.to_owned(), "nowhere"),
        (of_users(r#"{"name":"u"}"#), "tags_not_present"),
        (of_users(r#"{"name":"u","tags":[],"password_hash":"?"}"#), "hash"),
        (of_users(r#"{"name":"","tags":[],"password_hash":""}"#), "empty"),
        (of_users(r#"{"name":"u","tags":[],"password_hash":"","limits":{"x":1}}"#), "x"),
        (r#"{"vhosts":[{"name":"w","metadata":{"default_queue_type":"own"}}]}"#.to_owned(), "own is not a valid queue type"),
        (r#"{"vhosts":[{"name":"w","default_queue_type":5}]}"#.to_owned(), "5 is not a valid queue type"),
        (r#"{"vhosts":[{"name":"w","tags":[5]}]}"#.to_owned(), "tags must be a list"),
        (r#"{"vhosts":[{"name":"w","metadata":{"tags":5}}]}"#.to_owned(), "tags"),
        (r#"{"policies":[{"vhost":"v","name":"p","pattern":"[","definition":{"max-length":1}}]}"#.to_owned(), "pattern"),
    ] {
        let broker = broker();
        import(&broker, r#"{"vhosts":[{"name":"v"}]}"#);
        let before = export(&broker);
        let imported = import(&broker, &file);
        assert_eq!((imported.applied, imported.invalid), (0, 1), "{file}");
        let complaint = imported.complaint().unwrap();
        assert!(complaint.contains(reason) && complaint.len() < 2000, "{complaint}");
        assert_eq!(export(&broker), before, "{file}");
    }
}

#[test]
fn a_flood_of_problems_is_counted_and_the_first_are_named() {
    let entries = vec![json!({"vhost": "n".repeat(10_000), "name": "q".repeat(10_000)}); 3000];
    let imported = import(&broker(), &json!({ "queues": entries }).to_string());
    assert_eq!((imported.invalid, imported.problems.len()), (3000, 1000));
    assert_eq!(imported.unreported(), 2000);
    let response = serde_json::to_string(&imported).unwrap();
    assert!(response.len() < 2 << 20, "{}", response.len());
    assert!(imported.complaint().unwrap().len() < 20_000);
}

#[test]
fn the_same_definitions_can_be_skipped() {
    let broker = broker();
    let skipping = ImportOptions {
        vhost: None,
        skip_if_unchanged: true,
    };
    let import = |text: &str| {
        broker
            .import_definitions(text.as_bytes(), &skipping)
            .unwrap()
    };
    assert!(!import(RABBITMQ_4).unchanged);
    assert!(import(RABBITMQ_4).unchanged);
    assert!(!import(r#"{"vhosts":[{"name":"v"}]}"#).unchanged);
    assert!(!import(r#"{"queues":[{"vhost":"nowhere","name":"q"}]}"#).unchanged);
    assert!(
        !import(r#"{"queues":[{"vhost":"nowhere","name":"q"}]}"#).unchanged,
        "it was wrong"
    );
    let text = export(&broker).to_string();
    assert!(
        !text.contains("hash\":\"") || !text.contains("internal_"),
        "{text}"
    );
}

fn value() -> impl Strategy<Value = Value> {
    let names = select(
        &[
            "",
            "a",
            "v",
            "q",
            "amq.topic",
            "amq.x",
            "queue",
            "exchange",
            ".*",
            "(",
            "topic",
            "all",
        ][..],
    );
    let leaf = prop_oneof![
        4 => names.prop_map(Value::from),
        1 => any::<String>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<u64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
        1 => (200usize..400).prop_map(|length| "x".repeat(length).into()),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        let keys = select(&["x-max-length", "x-queue-type", "max-length", "pattern", "a"][..]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(keys.prop_map(str::to_owned), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// An entry of some kind, often nearly right.
fn entry() -> impl Strategy<Value = Value> {
    let keys = select(
        &[
            "name",
            "vhost",
            "type",
            "durable",
            "auto_delete",
            "arguments",
            "source",
            "destination",
            "destination_type",
            "routing_key",
            "user",
            "configure",
            "write",
            "read",
            "exchange",
            "tags",
            "password_hash",
            "limits",
            "component",
            "value",
            "pattern",
            "definition",
            "metadata",
        ][..],
    );
    let given = prop::collection::btree_map(keys, value(), 0..8);
    (given, any::<bool>(), any::<bool>()).prop_map(|(given, named, in_vhost)| {
        let mut entry: Map<String, Value> = given
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect();
        if named {
            entry.insert("name".to_owned(), "a".into());
        }
        if in_vhost {
            entry.insert("vhost".to_owned(), "v".into());
        }
        entry.into()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_entry_panics_or_is_half_applied(kind in select(&LISTS[..]), entry in entry()) {
        let broker = broker();
        import(&broker, r#"{"vhosts":[{"name":"v"}],"queues":[{"vhost":"v","name":"q"}]}"#);
        let before = export(&broker);
        let file = json!({ kind: [entry] }).to_string();
        let Ok(imported) = broker.import_definitions(file.as_bytes(), &ImportOptions::default()) else {
            prop_assert_eq!(export(&broker), before);
            return Ok(());
        };
        prop_assert_eq!(imported.applied + imported.invalid + imported.unsupported, 1);
        let after = export(&broker);
        if imported.applied == 0 {
            prop_assert_eq!(&after, &before);
        }
        // Whatever was applied can be exported and imported elsewhere.
        let elsewhere = super::tests::broker();
        let again = import(&elsewhere, &after.to_string());
        prop_assert_eq!(again.invalid, 0, "{:?}", again.problems);
    }

    #[test]
    fn no_file_panics(text in ".{0,200}", bytes: Vec<u8>) {
        for text in [text.as_bytes(), &bytes[..]] {
            let _ = broker().import_definitions(text, &ImportOptions::default());
        }
    }
}
