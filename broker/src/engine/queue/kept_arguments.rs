//! Arguments in their wire encoding: decoded, a table of many small entries takes twenty times as much memory, and
//! those of consumers are rarely read again.

use leveret_protocol::table;
use leveret_protocol::values::FieldTable;

/// An encoded table of arguments.
#[derive(Clone, Debug, Default)]
pub struct KeptArguments(Box<[u8]>);

impl KeptArguments {
    /// Encodes a table; an empty one takes no memory.
    pub fn new(arguments: &FieldTable) -> Self {
        if arguments.inner().is_empty() {
            return KeptArguments::default();
        }
        KeptArguments(table::encode(arguments).into_boxed_slice())
    }

    /// Decodes the table.
    pub fn table(&self) -> FieldTable {
        table::decode(&self.0).unwrap_or_default()
    }

    /// Returns its size in bytes.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leveret_protocol::values::AMQPValue;

    #[test]
    fn a_kept_table_is_the_one_that_came() {
        let mut table = FieldTable::default();
        assert_eq!(KeptArguments::new(&table).table(), table);
        assert_eq!(KeptArguments::new(&table).bytes(), 0);
        table.insert("x-priority".into(), AMQPValue::LongInt(7));
        table.insert("x".into(), AMQPValue::FieldTable(table.clone()));
        assert_eq!(KeptArguments::new(&table).table(), table);
    }
}
