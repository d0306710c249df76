//! Keys of policies that mean something only in a cluster or with a plugin: a file may have them, and an import leaves
//! them out.

use serde_json::Value;

/// Such keys, which RabbitMQ 3 or 4 or one of their plugins has.
const KEYS: &[&str] = &[
    "federation-upstream",
    "federation-upstream-pattern",
    "federation-upstream-set",
    "ha-mode",
    "ha-params",
    "ha-promote-on-failure",
    "ha-promote-on-shutdown",
    "ha-sync-batch-size",
    "ha-sync-mode",
    "queue-master-locator",
    "target-group-size",
];

/// Removes such keys from a definition and returns their names, in the order of the names.
pub(super) fn take(definition: &mut Value) -> Vec<&'static str> {
    let Some(settings) = definition.as_object_mut() else {
        return Vec::new();
    };
    let taken = KEYS.iter().copied();
    taken
        .filter(|key| settings.remove(*key).is_some())
        .collect()
}

/// Returns why a policy is imported without these keys, or not at all if it had nothing else.
pub(super) fn reason(taken: &[&str], policy_remains: bool) -> String {
    let keys = taken.join(", ");
    match policy_remains {
        true => format!(
            "{keys} left out, as there is only one node and no federation; the rest of it is imported"
        ),
        false => format!(
            "it has only {keys}, and there is only one node and no federation; policies of lower priority apply in its place"
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_of_clusters_are_taken_and_all_others_stay() {
        let mut definition =
            json!({"ha-mode": "all", "max-length": 7, "ha-params": 2, "hamode": 1});
        assert_eq!(take(&mut definition), ["ha-mode", "ha-params"]);
        assert_eq!(definition, json!({"max-length": 7, "hamode": 1}));
        assert!(take(&mut definition).is_empty());
        assert!(take(&mut json!("ha-mode")).is_empty());
    }
}
