//! Filters: which messages of a stream a consumer wants (RabbitMQ: "Stream Filtering"):
//! `x-stream-filter` and `x-stream-match-unfiltered`.
//!
//! RabbitMQ filters whole chunks of messages and leaves the rest to the client; here each message
//! is filtered, so a client that filters as documented sees no difference.

use super::header;
use leveret_protocol::values::{AMQPValue, FieldTable};

/// A filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Option<Wanted>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    values: Vec<Box<[u8]>>,
    unfiltered: bool,
}

impl Filter {
    /// Returns the filter in basic.consume's arguments; values that are neither strings nor arrays
    /// of strings mean none (`rabbit_stream_queue:filter_spec`).
    pub fn of(arguments: &FieldTable) -> Filter {
        let text = |value: &AMQPValue| match value {
            AMQPValue::LongString(text) => Some(text.as_bytes().into()),
            _ => None,
        };
        let values = match arguments.inner().get("x-stream-filter") {
            Some(AMQPValue::FieldArray(values)) => {
                values.as_slice().iter().filter_map(text).collect()
            }
            Some(value @ AMQPValue::LongString(_)) => text(value).into_iter().collect(),
            _ => return Filter(None),
        };
        let unfiltered = matches!(
            arguments.inner().get("x-stream-match-unfiltered"),
            Some(AMQPValue::Boolean(true))
        );
        Filter(Some(Wanted { values, unfiltered }))
    }

    /// Returns whether a message with these properties passes.
    pub fn passes(&self, properties: &[u8]) -> bool {
        let Some(wanted) = &self.0 else {
            return true;
        };
        match header::filter_value(properties) {
            Some(value) => wanted.values.iter().any(|wanted| **wanted == *value),
            None => wanted.unfiltered,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::test_tables::{table, text};
    use leveret_protocol::classes::BasicProperties;
    use leveret_protocol::method::properties_to_vec;

    fn with_value(value: &str) -> Vec<u8> {
        let headers = table(&[("x-stream-filter-value", text(value))]);
        properties_to_vec(&BasicProperties::default().with_headers(headers))
    }

    #[test]
    fn without_a_filter_everything_passes() {
        for arguments in [
            table(&[]),
            table(&[("x-stream-filter", AMQPValue::LongInt(1))]),
            table(&[("x-stream-match-unfiltered", AMQPValue::Boolean(true))]),
        ] {
            let filter = Filter::of(&arguments);
            assert!(filter.passes(&with_value("a")) && filter.passes(&[0, 0]));
        }
    }

    #[test]
    fn one_of_the_values_has_to_be_there() {
        let values = vec![text("a"), AMQPValue::LongInt(1), text("b")];
        let arguments = table(&[("x-stream-filter", AMQPValue::FieldArray(values.into()))]);
        let filter = Filter::of(&arguments);
        assert!(filter.passes(&with_value("a")) && filter.passes(&with_value("b")));
        assert!(!filter.passes(&with_value("c")) && !filter.passes(&[0, 0]));
    }

    #[test]
    fn what_has_no_value_passes_on_request() {
        let arguments = table(&[
            ("x-stream-filter", text("a")),
            ("x-stream-match-unfiltered", AMQPValue::Boolean(true)),
        ]);
        let filter = Filter::of(&arguments);
        assert!(filter.passes(&with_value("a")) && filter.passes(&[0, 0]));
        assert!(!filter.passes(&with_value("b")));
    }
}
