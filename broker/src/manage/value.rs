//! The cells of listings.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::pid::Pid;

/// The value of a column in a row. On the wire it is plain JSON where JSON has such a type.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// No value, because the column does not apply. Shown as the empty string.
    Absent,
    /// `true` or `false`.
    Bool(bool),
    /// A count, a size, a port.
    Integer(i64),
    /// A ratio.
    Float(f64),
    /// A name, a state, a pid.
    Text(String),
    /// A field table: arguments, client properties.
    Table {
        /// The entries, in their order.
        table: Vec<Field>,
    },
    /// A field array inside a table.
    Array {
        /// The items, in their order.
        array: Vec<Value>,
    },
    /// Words, shown unquoted in brackets: the tags of a user.
    Words {
        /// The items, in their order.
        words: Vec<String>,
    },
    /// Names with values: the settings of a policy.
    Map {
        /// The items, in their order.
        map: Vec<(String, Value)>,
    },
    /// Numbers, shown in braces: a protocol version.
    Tuple {
        /// The items, in their order.
        tuple: Vec<i64>,
    },
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl From<u64> for Value {
    fn from(count: u64) -> Self {
        // Counts beyond 2^63 do not occur, but a saturated one would be clearer than a wrapped one.
        Value::Integer(i64::try_from(count).unwrap_or(i64::MAX))
    }
}

impl From<usize> for Value {
    fn from(count: usize) -> Self {
        Value::from(count as u64)
    }
}

impl From<u16> for Value {
    fn from(number: u16) -> Self {
        Value::Integer(number.into())
    }
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Value::Integer(number.into())
    }
}

impl From<f64> for Value {
    fn from(ratio: f64) -> Self {
        Value::Float(ratio)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text)
    }
}

impl From<Pid> for Value {
    fn from(pid: Pid) -> Self {
        Value::Text(pid.to_string())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Absent, Into::into)
    }
}

/// One entry of a field table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Field {
    /// Its key.
    pub name: String,
    /// Its type on the AMQP wire.
    pub kind: FieldKind,
    /// Its value.
    pub value: Value,
}

macro_rules! field_kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal),* $(,)?) => {
        /// The types of field values, under RabbitMQ's names (`rabbit_binary_parser.erl`).
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub enum FieldKind { $($(#[$doc])* #[serde(rename = $name)] $kind),* }

        impl FieldKind {
            /// Returns RabbitMQ's name.
            pub fn as_str(self) -> &'static str {
                match self { $(FieldKind::$kind => $name),* }
            }
        }
    };
}

field_kinds! {
    /// `t`
    Bool = "bool",
    /// `b`
    Byte = "byte",
    /// `B`
    UnsignedByte = "unsignedbyte",
    /// `s`
    Short = "short",
    /// `u`
    UnsignedShort = "unsignedshort",
    /// `I`
    SignedInt = "signedint",
    /// `i`
    UnsignedInt = "unsignedint",
    /// `l` and `L`
    Long = "long",
    /// `f`
    Float = "float",
    /// `d`
    Double = "double",
    /// `D`
    Decimal = "decimal",
    /// `S`
    LongStr = "longstr",
    /// `x`
    Binary = "binary",
    /// `T`
    Timestamp = "timestamp",
    /// `F`
    Table = "table",
    /// `A`
    Array = "array",
    /// `V`
    Void = "void",
}

impl fmt::Display for FieldKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One row of a listing.
pub(crate) type Row = Vec<Value>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_comes_back_as_it_was_sent() {
        let field = Field {
            name: "x-match".to_owned(),
            kind: FieldKind::LongStr,
            value: Value::from("all"),
        };
        let values = [
            Value::Absent,
            Value::from(true),
            Value::from(7u64),
            Value::Float(1.0),
            Value::from("we\tird \"q\" \u{e9}\\"),
            Value::from(Pid {
                connection: 3,
                channel: 1,
            }),
            Value::Table { table: vec![field] },
            Value::Table { table: vec![] },
            Value::Array {
                array: vec![Value::Integer(-1), Value::Absent],
            },
            Value::Words {
                words: vec!["administrator".to_owned()],
            },
            Value::Tuple {
                tuple: vec![0, 9, 1],
            },
        ];
        for value in values {
            let text = serde_json::to_string(&value).unwrap();
            assert_eq!(
                serde_json::from_str::<Value>(&text).unwrap(),
                value,
                "{text}"
            );
        }
    }
}
