//! Arguments and headers.

use crate::manage::table;
use leveret_protocol::values::FieldTable;
use serde::{Serialize, Serializer};

/// A field table; in JSON an object with plain values.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Arguments(pub FieldTable);

impl From<&FieldTable> for Arguments {
    fn from(table: &FieldTable) -> Self {
        Arguments(table.clone())
    }
}

impl Serialize for Arguments {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        table::json(&self.0).serialize(serializer)
    }
}
