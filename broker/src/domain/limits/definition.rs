//! Limits as operators write them: JSON objects with RabbitMQ's names. A negative number means no
//! limit; it is stored and shown as it is.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Why a JSON document is not a valid definition of limits. The texts are rabbitmqctl's, except for
/// values that it prints as Erlang terms.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// It is not JSON.
    #[error("JSON decoding error. Reason: {0}")]
    NotJson(String),
    /// It is not a JSON object.
    #[error("{0} is not a JSON object of limits")]
    NotAnObject(String),
    /// A limit is not a whole number.
    #[error("{name} should be a number, actually was {value}")]
    NotANumber {
        /// The name of the limit.
        name: String,
        /// The value as it was written.
        value: String,
    },
    /// Some names are not those of limits.
    #[error("Unrecognised terms {terms} in {of}")]
    Unrecognised {
        /// These names and their values as they were written.
        terms: String,
        /// The kind of limits.
        of: &'static str,
    },
}

/// The limits of a virtual host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct VhostLimits {
    /// The maximum number of connections to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
    /// The maximum number of queues in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_queues: Option<i64>,
}

impl VhostLimits {
    /// Parses a definition.
    ///
    /// # Errors
    /// See [`LimitError`].
    pub fn parse(definition: &str) -> Result<Self, LimitError> {
        let [max_connections, max_queues] =
            read(definition, ["max-connections", "max-queues"], "limits")?;
        Ok(VhostLimits {
            max_connections,
            max_queues,
        })
    }

    /// Returns the limits as a JSON object.
    pub fn to_json(self) -> String {
        to_json(&self)
    }

    /// Returns the maximum number of connections; `None` for no limit.
    pub fn connections(self) -> Option<u64> {
        in_force(self.max_connections)
    }

    /// Returns the maximum number of queues; `None` for no limit.
    pub fn queues(self) -> Option<u64> {
        in_force(self.max_queues)
    }
}

/// The limits of a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct UserLimits {
    /// The maximum number of channels on all connections of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_channels: Option<i64>,
    /// The maximum number of connections of the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_connections: Option<i64>,
}

impl UserLimits {
    /// Parses a definition.
    ///
    /// # Errors
    /// See [`LimitError`].
    pub fn parse(definition: &str) -> Result<Self, LimitError> {
        let [max_channels, max_connections] = read(
            definition,
            ["max-channels", "max-connections"],
            "user-limits",
        )?;
        Ok(UserLimits {
            max_channels,
            max_connections,
        })
    }

    /// Returns the limits as a JSON object.
    pub fn to_json(self) -> String {
        to_json(&self)
    }

    /// Returns whether no limit is set.
    pub fn is_empty(&self) -> bool {
        *self == UserLimits::default()
    }

    /// Returns these limits, completed with those in `below`.
    pub fn or(self, below: UserLimits) -> UserLimits {
        UserLimits {
            max_channels: self.max_channels.or(below.max_channels),
            max_connections: self.max_connections.or(below.max_connections),
        }
    }

    /// Returns these limits without the one with this name, or without any for `all`. As in RabbitMQ, an
    /// unknown name changes nothing.
    pub fn without(mut self, name: &str) -> UserLimits {
        if matches!(name, "max-channels" | "all") {
            self.max_channels = None;
        }
        if matches!(name, "max-connections" | "all") {
            self.max_connections = None;
        }
        self
    }

    /// Returns the maximum number of channels; `None` for no limit.
    pub fn channels(self) -> Option<u64> {
        in_force(self.max_channels)
    }

    /// Returns the maximum number of connections; `None` for no limit.
    pub fn connections(self) -> Option<u64> {
        in_force(self.max_connections)
    }
}

fn in_force(limit: Option<i64>) -> Option<u64> {
    limit.and_then(|limit| u64::try_from(limit).ok())
}

fn to_json(limits: &impl Serialize) -> String {
    // A struct of numbers always has a JSON form.
    serde_json::to_string(limits).unwrap_or_default()
}

/// Reads the limits with these names; refuses any other name.
fn read<const N: usize>(
    definition: &str,
    names: [&str; N],
    of: &'static str,
) -> Result<[Option<i64>; N], LimitError> {
    let document: Value =
        serde_json::from_str(definition).map_err(|e| LimitError::NotJson(e.to_string()))?;
    let Value::Object(mut terms) = document else {
        return Err(LimitError::NotAnObject(document.to_string()));
    };
    let mut limits = [None; N];
    for (limit, name) in limits.iter_mut().zip(names) {
        *limit = number(&mut terms, name)?;
    }
    if terms.is_empty() {
        return Ok(limits);
    }
    Err(LimitError::Unrecognised {
        terms: Value::Object(terms).to_string(),
        of,
    })
}

fn number(terms: &mut Map<String, Value>, name: &str) -> Result<Option<i64>, LimitError> {
    let Some(value) = terms.remove(name) else {
        return Ok(None);
    };
    match value.as_i64() {
        Some(number) => Ok(Some(number)),
        None => Err(LimitError::NotANumber {
            name: name.to_owned(),
            value: value.to_string(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_and_shown_as_json() {
        let text = r#"{"max-queues": 3, "max-connections": -1}"#;
        let limits = VhostLimits::parse(text).unwrap();
        assert_eq!(limits.to_json(), r#"{"max-connections":-1,"max-queues":3}"#);
        assert_eq!((limits.connections(), limits.queues()), (None, Some(3)));
        assert_eq!(VhostLimits::parse("{}").unwrap().to_json(), "{}");
        let limits = UserLimits::parse(r#"{"max-connections": 0, "max-channels": 9}"#).unwrap();
        assert_eq!(
            limits.to_json(),
            r#"{"max-channels":9,"max-connections":0}"#
        );
        assert_eq!(
            (limits.connections(), limits.channels()),
            (Some(0), Some(9))
        );
    }

    #[test]
    fn invalid_definitions_are_refused_with_rabbitmqs_texts() {
        let refused = |text: &str| VhostLimits::parse(text).unwrap_err().to_string();
        assert_eq!(
            refused(r#"{"max-connections": "x"}"#),
            r#"max-connections should be a number, actually was "x""#
        );
        assert_eq!(
            refused(r#"{"max-queues": 1.5}"#),
            "max-queues should be a number, actually was 1.5"
        );
        assert_eq!(
            refused(r#"{"nope": 1}"#),
            r#"Unrecognised terms {"nope":1} in limits"#
        );
        assert!(refused("junk").starts_with("JSON decoding error. Reason: "));
        assert_eq!(refused("[1]"), "[1] is not a JSON object of limits");
        let refused = UserLimits::parse(r#"{"max-queues": 1}"#).unwrap_err();
        assert!(refused.to_string().ends_with("in user-limits"));
    }

    #[test]
    fn a_users_limits_are_set_and_cleared_one_by_one() {
        let limits = UserLimits::parse(r#"{"max-channels": 2, "max-connections": 3}"#).unwrap();
        let changed = UserLimits::parse(r#"{"max-channels": 5}"#)
            .unwrap()
            .or(limits);
        assert_eq!(
            (changed.max_channels, changed.max_connections),
            (Some(5), Some(3))
        );
        assert_eq!(changed.without("max-channels").max_channels, None);
        assert_eq!(changed.without("nope"), changed);
        assert!(changed.without("all").is_empty());
    }
}
