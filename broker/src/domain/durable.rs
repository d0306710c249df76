//! Durable declarations as they are stored: a key that identifies the object, and a versioned value.

use crate::domain::auth::{Permission, TopicPermission, User};
use crate::domain::limits::VhostLimits;
use crate::domain::parameters::GlobalParameter;
use crate::domain::policy::{PolicyKind, PolicySpec};
use crate::domain::vhost::spec::VhostMetadata;
use crate::engine::exchange::{Binding, Destination, Exchange};
use crate::engine::queue::{DeliveryCount, Queue};
use crate::engine::record::{self, VERSION, key};
use bytes::Bytes;
use leveret_protocol::values::FieldTable;
use leveret_protocol::{ExchangeName, VhostName};
use leveret_storage::{Op, Position, QueueId};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Whether the destination of a binding is a queue or an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DestinationKind {
    /// A queue.
    Queue,
    /// An exchange.
    Exchange,
}

/// One durable object.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Definition {
    /// A virtual host.
    Vhost {
        /// Its name.
        name: String,
        /// What operators say about it.
        #[serde(flatten)]
        metadata: VhostMetadata,
        /// Its limits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        limits: Option<VhostLimits>,
    },
    /// A user.
    User(User),
    /// The permissions of a user in a virtual host.
    Permission(Permission),
    /// What a user may publish to and bind to a topic exchange.
    TopicPermission(TopicPermission),
    /// A parameter of the whole broker.
    GlobalParameter(GlobalParameter),
    /// An exchange.
    Exchange {
        /// Its virtual host.
        vhost: String,
        /// Its name.
        name: String,
        /// Its type.
        kind: String,
        /// exchange.declare's flag.
        auto_delete: bool,
        /// exchange.declare's flag.
        internal: bool,
        /// exchange.declare's arguments.
        #[serde(with = "wire_table")]
        arguments: FieldTable,
        /// The id under which the messages of a delayed exchange are stored.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        delays: Option<u64>,
    },
    /// A queue.
    Queue {
        /// Its virtual host.
        vhost: String,
        /// Its name.
        name: String,
        /// The id under which its messages are stored.
        id: u64,
        /// queue.declare's flag.
        auto_delete: bool,
        /// queue.declare's arguments.
        #[serde(with = "wire_table")]
        arguments: FieldTable,
    },
    /// How often a message came back to its queue, if that is counted.
    DeliveryCount(DeliveryCount),
    /// A policy.
    Policy {
        /// Its virtual host.
        vhost: String,
        /// Whether it is a user or an operator policy.
        kind: PolicyKind,
        /// The policy.
        spec: PolicySpec,
    },
    /// A binding between durable objects.
    Binding {
        /// Its virtual host.
        vhost: String,
        /// The source exchange.
        source: String,
        /// The type of its destination.
        destination_kind: DestinationKind,
        /// The name of its destination.
        destination: String,
        /// Its routing key.
        key: String,
        /// Its arguments.
        #[serde(with = "wire_table")]
        arguments: FieldTable,
    },
}

/// A stored definition that this version cannot read.
#[derive(Debug, Error)]
pub enum DefinitionError {
    /// Written by a newer broker.
    #[error(
        "a stored definition has version {0}, but this broker reads version {VERSION}: start the version of Leveret that wrote it"
    )]
    Version(u8),
    /// It cannot be decoded.
    #[error("cannot decode stored {key}: {reason}")]
    Malformed {
        /// The kind and the names in the key, printable.
        key: String,
        /// The decoder's message.
        reason: String,
    },
}

impl Definition {
    /// Returns the definition of a virtual host.
    pub fn virtual_host(
        name: &VhostName,
        metadata: &VhostMetadata,
        limits: Option<VhostLimits>,
    ) -> Self {
        Definition::Vhost {
            name: name.to_string(),
            metadata: metadata.clone(),
            limits,
        }
    }

    /// Returns the definition of a durable exchange.
    pub fn exchange(vhost: &VhostName, exchange: &Exchange) -> Self {
        let spec = &exchange.spec;
        Definition::Exchange {
            vhost: vhost.to_string(),
            name: spec.name.to_string(),
            kind: spec.kind.to_string(),
            auto_delete: spec.auto_delete,
            internal: spec.internal,
            arguments: spec.arguments.clone(),
            delays: exchange.delays().map(|delays| delays.id.0),
        }
    }

    /// Returns the definition of a durable queue.
    pub fn queue(queue: &Queue) -> Self {
        Definition::Queue {
            vhost: queue.vhost.to_string(),
            name: queue.name().to_string(),
            id: queue.id.0,
            auto_delete: queue.spec.auto_delete,
            arguments: queue.spec.arguments.clone(),
        }
    }

    /// Returns the definition of a policy.
    pub fn policy(vhost: &VhostName, kind: PolicyKind, spec: &PolicySpec) -> Self {
        Definition::Policy {
            vhost: vhost.to_string(),
            kind,
            spec: spec.clone(),
        }
    }

    /// Returns the definition of a binding.
    pub fn binding(vhost: &VhostName, source: &ExchangeName, binding: &Binding) -> Self {
        let (destination_kind, destination) = match &binding.destination {
            Destination::Queue(queue) => (DestinationKind::Queue, queue.name().to_string()),
            Destination::Exchange(exchange) => {
                (DestinationKind::Exchange, exchange.name().to_string())
            }
        };
        Definition::Binding {
            vhost: vhost.to_string(),
            source: source.to_string(),
            destination_kind,
            destination,
            key: binding.key.to_string(),
            arguments: binding.arguments.clone(),
        }
    }

    /// Returns the virtual host, for objects that are in one.
    pub fn vhost(&self) -> Option<&str> {
        match self {
            Definition::Exchange { vhost, .. }
            | Definition::Queue { vhost, .. }
            | Definition::Policy { vhost, .. }
            | Definition::Binding { vhost, .. } => Some(vhost),
            Definition::Vhost { .. }
            | Definition::User(_)
            | Definition::Permission(_)
            | Definition::TopicPermission(_)
            | Definition::GlobalParameter(_)
            | Definition::DeliveryCount(_) => None,
        }
    }

    /// Returns the key under which the definition is stored: parts with their lengths, so that no name can
    /// imitate another object's key.
    pub fn key(&self) -> Bytes {
        match self {
            Definition::Vhost { name, .. } => vhost_key(name),
            Definition::User(user) => user_key(&user.name),
            Definition::Permission(p) => permission_key(&p.vhost, &p.user),
            Definition::TopicPermission(p) => key(
                b't',
                &[p.vhost.as_bytes(), p.user.as_bytes(), p.exchange.as_bytes()],
            ),
            Definition::GlobalParameter(parameter) => key(b'g', &[parameter.name.as_bytes()]),
            Definition::Exchange { vhost, name, .. } => {
                key(b'x', &[vhost.as_bytes(), name.as_bytes()])
            }
            Definition::Queue { vhost, name, .. } => {
                key(b'q', &[vhost.as_bytes(), name.as_bytes()])
            }
            Definition::DeliveryCount(count) => {
                DeliveryCount::key(QueueId(count.queue), Position(count.position))
            }
            Definition::Policy { vhost, kind, spec } => key(
                b'o',
                &[vhost.as_bytes(), &[*kind as u8], spec.name.as_bytes()],
            ),
            Definition::Binding {
                vhost,
                source,
                destination_kind,
                destination,
                key: binding_key,
                arguments,
            } => key(
                b'b',
                &[
                    vhost.as_bytes(),
                    source.as_bytes(),
                    &[*destination_kind as u8],
                    destination.as_bytes(),
                    binding_key.as_bytes(),
                    &wire_table::encode(arguments),
                ],
            ),
        }
    }

    /// Returns the record that stores it.
    pub fn put(&self) -> Op {
        match self {
            Definition::DeliveryCount(count) => count.put(),
            _ => record::put(self.key(), self),
        }
    }

    /// Returns the record that removes it.
    pub fn delete(&self) -> Op {
        Op::DeleteDefinition { key: self.key() }
    }

    /// Decodes a stored definition.
    ///
    /// # Errors
    /// See [`DefinitionError`].
    pub fn decode(key: &[u8], value: &[u8]) -> Result<Self, DefinitionError> {
        match value.split_first() {
            Some((&VERSION, json)) => {
                serde_json::from_slice(json).map_err(|e| DefinitionError::Malformed {
                    key: readable(key),
                    reason: e.to_string(),
                })
            }
            Some((&version, _)) => Err(DefinitionError::Version(version)),
            None => Err(DefinitionError::Malformed {
                key: readable(key),
                reason: "empty".to_owned(),
            }),
        }
    }
}

/// Returns the key of a virtual host.
pub fn vhost_key(name: &str) -> Bytes {
    key(b'v', &[name.as_bytes()])
}

/// Returns the key of a user.
pub fn user_key(name: &str) -> Bytes {
    key(b'u', &[name.as_bytes()])
}

/// Returns the key of a user's permissions in a virtual host.
pub fn permission_key(vhost: &str, user: &str) -> Bytes {
    key(b'p', &[vhost.as_bytes(), user.as_bytes()])
}

/// Returns the kind and the names in a key, for a message.
fn readable(key: &[u8]) -> String {
    let Some((kind, mut rest)) = key.split_first() else {
        return "definition without a key".to_owned();
    };
    let mut text = match kind {
        b'v' => "virtual host".to_owned(),
        b'u' => "user".to_owned(),
        b'p' => "permission".to_owned(),
        b't' => "topic permission".to_owned(),
        b'g' => "global parameter".to_owned(),
        b'x' => "exchange".to_owned(),
        b'q' => "queue".to_owned(),
        b'c' => "delivery count".to_owned(),
        b'o' => "policy".to_owned(),
        b'b' => "binding".to_owned(),
        _ => return format!("definition {}", key.escape_ascii()),
    };
    while let Some((length, more)) = rest.split_first_chunk() {
        let length = u32::from_be_bytes(*length) as usize;
        let (part, more) = more.split_at(length.min(more.len()));
        let part = String::from_utf8_lossy(part);
        text.push_str(&format!(" '{}'", part.escape_debug()));
        rest = more;
    }
    text
}

/// Field tables in their wire format, in base64, because JSON cannot represent all their types.
mod wire_table {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use leveret_protocol::table;
    use leveret_protocol::values::FieldTable;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn encode(arguments: &FieldTable) -> Vec<u8> {
        table::encode(arguments)
    }

    pub(super) fn serialize<S: Serializer>(t: &FieldTable, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&STANDARD.encode(encode(t)))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<FieldTable, D::Error> {
        let text = String::deserialize(d)?;
        let bytes = STANDARD.decode(text).map_err(D::Error::custom)?;
        table::decode(&bytes).ok_or_else(|| D::Error::custom("malformed field table"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::values::AMQPValue;

    #[test]
    fn a_definition_reads_back_with_all_its_argument_types() {
        let mut arguments = FieldTable::default();
        arguments.insert("d".into(), AMQPValue::Double(f64::INFINITY));
        arguments.insert("s".into(), AMQPValue::LongString(vec![0xff, 0].into()));
        arguments.insert("n".into(), AMQPValue::LongLongInt(i64::MIN));
        let definition = Definition::Queue {
            vhost: "/".into(),
            name: "a.b".into(),
            id: 7,
            auto_delete: true,
            arguments: arguments.clone(),
        };
        let Op::PutDefinition { key, value } = definition.put() else {
            panic!("not a put")
        };
        let Definition::Queue {
            name,
            arguments: back,
            ..
        } = Definition::decode(&key, &value).unwrap()
        else {
            panic!("not a queue")
        };
        assert_eq!((name.as_str(), back), ("a.b", arguments));
    }

    #[test]
    fn keys_of_different_objects_differ() {
        let exchange = |vhost: &str, name: &str| Definition::Exchange {
            vhost: vhost.into(),
            name: name.into(),
            kind: "direct".into(),
            auto_delete: false,
            internal: false,
            arguments: FieldTable::default(),
            delays: None,
        };
        assert_ne!(exchange("a", "bc").key(), exchange("ab", "c").key());
    }

    #[test]
    fn an_exchange_stored_before_there_were_delays_reads_back() {
        let json = br#"{"exchange":{"vhost":"/","name":"x","kind":"direct","auto_delete":false,
            "internal":false,"arguments":"AAAAAA=="}}"#;
        let value = [&[VERSION], &json[..]].concat();
        let definition = Definition::decode(b"x", &value).unwrap();
        assert!(matches!(
            definition,
            Definition::Exchange { delays: None, .. }
        ));
    }

    #[test]
    fn a_count_stored_before_anything_waited_reads_back() {
        let json = br#"{"delivery_count":{"queue":1,"position":2,"count":3}}"#;
        let value = [&[VERSION], &json[..]].concat();
        let definition = Definition::decode(b"c", &value).unwrap();
        assert!(matches!(
            definition,
            Definition::DeliveryCount(DeliveryCount {
                count: 3,
                released: 0,
                due: None,
                ..
            })
        ));
        let Op::PutDefinition { value: again, .. } = definition.put() else {
            panic!("not a put")
        };
        assert_eq!(again, value, "and is written as before");
    }

    #[test]
    fn what_cannot_be_decoded_is_named() {
        let name = |key: &[u8]| {
            let error = Definition::decode(key, &[VERSION, b'{']).unwrap_err();
            let text = error.to_string();
            text.split(':').next().unwrap_or_default().to_owned()
        };
        let key = permission_key("/", "hare\n");
        assert_eq!(name(&key), r"cannot decode stored permission '/' 'hare\n'");
        assert_eq!(
            name(&key[..key.len() - 3]),
            "cannot decode stored permission '/' 'ha'"
        );
        assert_eq!(name(b"?\x01"), r"cannot decode stored definition ?\x01");
        assert_eq!(name(b""), "cannot decode stored definition without a key");
    }

    #[test]
    fn a_virtual_host_stored_before_it_had_a_default_type_reads_back() {
        let json =
            br#"{"vhost":{"name":"v","description":"d","tags":["t"],"limits":{"max-queues":1}}}"#;
        let value = [&[VERSION], &json[..]].concat();
        let definition = Definition::decode(b"v", &value).unwrap();
        let Definition::Vhost {
            metadata, limits, ..
        } = &definition
        else {
            panic!("not a virtual host")
        };
        assert_eq!(
            (&*metadata.description, &*metadata.tags),
            ("d", &["t".to_owned()][..])
        );
        assert_eq!(
            (metadata.default_queue_type, limits.is_some()),
            (None, true)
        );
        let Op::PutDefinition { value: again, .. } = definition.put() else {
            panic!("not a put")
        };
        assert_eq!(again, value, "and is written as before");
    }

    #[test]
    fn a_newer_version_is_named() {
        assert!(matches!(
            Definition::decode(b"q", &[9]),
            Err(DefinitionError::Version(9))
        ));
    }
}
