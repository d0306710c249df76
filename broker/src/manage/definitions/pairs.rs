//! Definitions of policies that are lists of pairs: RabbitMQ 3 exports those of operator policies so.

use serde_json::{Map, Value};
use std::collections::HashSet;

/// Turns a list of pairs of a name and a value, such as `[["max-length", 7]]`, into the object that it stands for. What is
/// no such list, or names something twice, stays as it is: whoever uses it says what is wrong.
pub(super) fn to_object(definition: &mut Value) {
    let Some(pairs) = definition.as_array() else {
        return;
    };
    let mut names = HashSet::new();
    let is_pair = |pair: &Value| match pair.as_array().map(Vec::as_slice) {
        Some([Value::String(name), _]) => names.insert(name.clone()),
        _ => false,
    };
    if !pairs.iter().all(is_pair) {
        return;
    }
    let pairs = pairs
        .iter()
        .filter_map(|pair| match pair.as_array()?.as_slice() {
            [Value::String(name), value] => Some((name.clone(), value.clone())),
            _ => None,
        });
    *definition = Value::Object(pairs.collect::<Map<_, _>>());
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_lists_of_pairs_become_objects() {
        let read = |mut definition: Value| {
            to_object(&mut definition);
            definition
        };
        let pairs = json!([["max-length", 7], ["overflow", "reject-publish"]]);
        assert_eq!(
            read(pairs),
            json!({"max-length": 7, "overflow": "reject-publish"})
        );
        assert_eq!(read(json!([])), json!({}));
        for other in [
            json!({"max-length": 7}),
            json!([["max-length"]]),
            json!([["max-length", 7, 8]]),
            json!([[7, 7]]),
            json!([["max-length", 7], ["max-length", 8]]),
            json!("max-length"),
            json!([["max-length", 7], 8]),
        ] {
            assert_eq!(read(other.clone()), other);
        }
    }
}
