//! Whether one definition file has everything that another has.

use std::path::Path;

use serde_json::{Map, Value};

/// Reads a definition file.
pub fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a definition file");
    serde_json::from_str(&text).expect("JSON")
}

/// Asserts that every entry of `before` is in `after` with all that it says, except for what the page names.
pub fn every_entry_came_over(before: &Value, after: &Value) {
    for list in [
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
    ] {
        let after = entries(after, list);
        for entry in entries(before, list) {
            let Some(entry) = expected(list, entry.clone()) else {
                continue;
            };
            let same = after
                .iter()
                .filter(|candidate| says_all(candidate, &entry))
                .count();
            assert_eq!(same, 1, "{list}: {entry:?} in {after:#?}");
        }
    }
}

fn entries(file: &Value, list: &str) -> Vec<Map<String, Value>> {
    let entries = file[list].as_array().expect(list).iter();
    entries
        .map(|entry| entry.as_object().expect("an entry").clone())
        .collect()
}

/// Returns what has to be there of an entry: `None` if nothing.
fn expected(list: &str, mut entry: Map<String, Value>) -> Option<Map<String, Value>> {
    let name = entry
        .get("name")
        .and_then(Value::as_str)
        .unwrap_or_default();
    match list {
        "global_parameters" if name.starts_with("internal") => return None,
        "policies" => {
            let definition = entry.get_mut("definition")?.as_object_mut()?;
            definition.retain(|key, _| !key.starts_with("ha-"));
            if definition.is_empty() {
                return None;
            }
        }
        // RabbitMQ 3.10 knows neither, and does not write internal exchanges.
        "vhosts" => entry.retain(|key, _| key == "name"),
        "queues" => {
            entry.remove("type");
        }
        "exchanges" if entry.get("internal") == Some(&Value::Bool(true)) => return None,
        "exchanges" => {
            entry.remove("internal");
        }
        _ => {}
    }
    Some(entry)
}

fn says_all(candidate: &Map<String, Value>, entry: &Map<String, Value>) -> bool {
    entry
        .iter()
        .all(|(key, value)| candidate.get(key) == Some(value))
}
