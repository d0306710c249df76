//! Definition files of RabbitMQ's that something has damaged: a new broker takes all of a file at its start, or nothing.

use super::files::ImportOptions;
use super::{Definitions, Scope, load};
use crate::config::Limits;
use crate::domain::broker::Broker;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;
use std::fs;
use std::sync::Arc;

const FILES: [&str; 3] = [
    include_str!("../../../../tests/definitions/rabbitmq-3.10.json"),
    include_str!("../../../../tests/definitions/rabbitmq-3.10-vhost.json"),
    include_str!("../../../../tests/definitions/rabbitmq-4.json"),
];
/// What may be put into a file in place of a value.
const VALUES: [&str; 9] = [
    "null", "true", "-1", "0.5", "1e400", "\"x\"", "[]", "{}", "\"/\"",
];

/// What happens to a file.
#[derive(Clone, Debug)]
enum Damage {
    /// A byte becomes another.
    Byte(Index, u8),
    /// The file ends here.
    End(Index),
    /// What is between two places is missing.
    Missing(Index, Index),
    /// The value of a key or of a list becomes another.
    Value(Index, &'static str),
}

impl Damage {
    fn apply(&self, text: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        match self {
            Damage::Byte(at, byte) => {
                let at = at.index(text.len());
                text[at] = *byte;
            }
            Damage::End(at) => text.truncate(at.index(text.len())),
            Damage::Missing(from, to) => {
                let (from, to) = (from.index(text.len()), to.index(text.len()));
                text.drain(from.min(to)..from.max(to).min(from.min(to) + 200));
            }
            Damage::Value(at, value) => {
                let Ok(mut file) = serde_json::from_slice::<Value>(text) else {
                    return;
                };
                let count = leaves(&mut file).len();
                let value = serde_json::from_str(value).unwrap_or(Value::Null);
                *leaves(&mut file).swap_remove(at.index(count)) = value;
                *text = file.to_string().into_bytes();
            }
        }
    }
}

/// Returns every value of a file that contains no others.
fn leaves(value: &mut Value) -> Vec<&mut Value> {
    let is_leaf = match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => true,
    };
    if is_leaf {
        return vec![value];
    }
    match value {
        Value::Array(list) => list.iter_mut().flat_map(leaves).collect(),
        Value::Object(map) => map.values_mut().flat_map(leaves).collect(),
        _ => Vec::new(),
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = any::<Index>;
    prop_oneof![
        2 => (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Byte(at, byte)),
        1 => place().prop_map(Damage::End),
        1 => (place(), place()).prop_map(|(from, to)| Damage::Missing(from, to)),
        6 => (place(), select(&VALUES[..])).prop_map(|(at, value)| Damage::Value(at, value)),
    ]
}

fn broker() -> Arc<Broker> {
    Arc::new(Broker::new(Limits::default(), Vec::new(), None))
}

fn export(broker: &Broker) -> Value {
    serde_json::to_value(Definitions::new(broker, Scope::Broker)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_damaged_file_is_taken_as_a_whole_or_not_at_all(
        file in select(&FILES[..]),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        let mut text = file.as_bytes().to_vec();
        for damage in &damages {
            damage.apply(&mut text);
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("definitions.json");
        fs::write(&path, &text).unwrap();
        let (broker, new) = (broker(), export(&broker()));
        match load::load(&broker, &path, false) {
            Err(error) => {
                prop_assert_eq!(export(&broker), new, "{}", error);
                prop_assert!(!error.to_string().contains('\n'), "{}", error);
            }
            Ok(()) => {
                let exported = export(&broker).to_string();
                let again = super::mutation_tests::broker()
                    .import_definitions(exported.as_bytes(), &ImportOptions::default())
                    .unwrap();
                prop_assert_eq!(again.invalid, 0, "{:?}", again.problems);
            }
        }
    }
}
