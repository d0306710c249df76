//! The entries of a definition file (`rabbit_definitions`). In the file of one virtual host no object names it.

use crate::domain::auth::{User, tags};
use crate::domain::parameters::Parameter;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// A user: as it is stored, and with its limits even if there are none.
#[derive(Clone, Debug, Serialize)]
pub struct UserEntry {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// Its limits, where the stored record leaves them out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Map<String, Value>>,
}

/// A virtual host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct VhostEntry {
    /// Its name.
    pub name: String,
    /// Its description, where older files have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Its tags, where older files have them.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "optional_tags"
    )]
    pub tags: Option<Vec<String>>,
    /// Its default queue type, where some tools put it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_queue_type: Option<Value>,
    /// Description, tags, default queue type.
    #[serde(default)]
    pub metadata: Map<String, Value>,
    /// Limits, for information; they are imported as parameters.
    #[serde(default)]
    pub limits: Value,
}

/// Reads tags as RabbitMQ does (`rabbit_vhost:parse_tags`): a list, or words between commas; `null` for none.
fn optional_tags<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Vec<String>>, D::Error> {
    match Value::deserialize(d)? {
        Value::Null => Ok(None),
        tags => tags::deserialize(tags).map(Some).map_err(D::Error::custom),
    }
}

/// A parameter of a virtual host.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ParameterEntry {
    /// The virtual host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<String>,
    /// What it is a parameter of.
    pub component: String,
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl ParameterEntry {
    /// Returns the parameter, in this virtual host unless it names one.
    pub(super) fn in_vhost(self, vhost: String) -> Parameter {
        Parameter {
            vhost,
            component: self.component,
            name: self.name,
            value: self.value,
        }
    }
}

/// A policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PolicyEntry {
    /// The virtual host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<String>,
    /// Its name.
    pub name: String,
    /// The names that it is for.
    pub pattern: String,
    /// The kinds of objects that it is for.
    #[serde(default = "all", rename = "apply-to")]
    pub apply_to: String,
    /// Its settings.
    pub definition: Value,
    /// Which policy wins.
    #[serde(default)]
    pub priority: i64,
}

fn all() -> String {
    "all".to_owned()
}

fn yes() -> bool {
    true
}

/// A queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct QueueEntry {
    /// Its name.
    pub name: String,
    /// The virtual host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<String>,
    /// Its type, which the arguments say, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#type: Option<String>,
    /// Whether it survives a restart.
    #[serde(default = "yes")]
    pub durable: bool,
    /// Whether it ends with its last consumer.
    #[serde(default)]
    pub auto_delete: bool,
    /// Its arguments; RabbitMQ writes none as `[]`.
    #[serde(default)]
    pub arguments: Value,
}

/// An exchange.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ExchangeEntry {
    /// Its name.
    pub name: String,
    /// The virtual host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<String>,
    /// Its type.
    pub r#type: String,
    /// Whether it survives a restart.
    #[serde(default = "yes")]
    pub durable: bool,
    /// Whether it ends with its last binding.
    #[serde(default)]
    pub auto_delete: bool,
    /// Whether clients cannot publish to it.
    #[serde(default)]
    pub internal: bool,
    /// Its arguments.
    #[serde(default)]
    pub arguments: Value,
}

/// A binding.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BindingEntry {
    /// The exchange that messages come from.
    pub source: String,
    /// The virtual host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vhost: Option<String>,
    /// Where they go.
    pub destination: String,
    /// `queue` or `exchange`.
    pub destination_type: String,
    /// The key.
    #[serde(default)]
    pub routing_key: String,
    /// The arguments.
    #[serde(default)]
    pub arguments: Value,
}
