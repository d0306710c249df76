//! Where a consumer starts: `x-stream-offset` (RabbitMQ: "Streams", "Consuming").

use crate::engine::queue::age;
use leveret_protocol::table;
use leveret_protocol::values::{AMQPValue, FieldTable};

/// The argument of basic.consume.
pub const ARGUMENT: &str = "x-stream-offset";

/// A starting point in a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartAt {
    /// The oldest message.
    First,
    /// The newest message.
    Last,
    /// Messages that arrive after now.
    Next,
    /// This offset, or the first one after it.
    Offset(u64),
    /// The first message that arrived at this time or later: milliseconds since the epoch.
    Time(u64),
}

impl StartAt {
    /// Parses basic.consume's arguments; the default is [`StartAt::Next`]. `now` is in milliseconds
    /// since the epoch.
    ///
    /// # Errors
    /// The argument, if it is invalid.
    pub fn of(arguments: &FieldTable, now: u64) -> Result<StartAt, &AMQPValue> {
        let Some(value) = arguments.inner().get(ARGUMENT) else {
            return Ok(StartAt::Next);
        };
        match value {
            AMQPValue::LongString(text) => match text.as_bytes() {
                b"first" => Ok(StartAt::First),
                b"last" => Ok(StartAt::Last),
                b"next" => Ok(StartAt::Next),
                interval => std::str::from_utf8(interval)
                    .ok()
                    .and_then(age)
                    .map(|age| {
                        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
                        StartAt::Time(now.saturating_sub(age))
                    })
                    .ok_or(value),
            },
            AMQPValue::Timestamp(seconds) => Ok(StartAt::Time(seconds.saturating_mul(1000))),
            // A negative offset is before everything.
            number => match table::as_integer(number) {
                Some(number) => Ok(u64::try_from(number).map_or(StartAt::First, StartAt::Offset)),
                None => Err(value),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(value: AMQPValue) -> Option<StartAt> {
        let mut arguments = FieldTable::default();
        arguments.insert(ARGUMENT.into(), value);
        StartAt::of(&arguments, 10_000_000).ok()
    }

    fn text(text: &str) -> Option<StartAt> {
        start(AMQPValue::LongString(text.into()))
    }

    #[test]
    fn places_are_words_numbers_times_and_intervals() {
        assert_eq!(StartAt::of(&FieldTable::default(), 0), Ok(StartAt::Next));
        assert_eq!(text("first"), Some(StartAt::First));
        assert_eq!(text("last"), Some(StartAt::Last));
        assert_eq!(text("next"), Some(StartAt::Next));
        assert_eq!(text("1h"), Some(StartAt::Time(6_400_000)));
        assert_eq!(text("9Y"), Some(StartAt::Time(0)));
        assert_eq!(start(AMQPValue::LongInt(5)), Some(StartAt::Offset(5)));
        assert_eq!(start(AMQPValue::LongLongInt(-5)), Some(StartAt::First));
        assert_eq!(start(AMQPValue::Timestamp(7)), Some(StartAt::Time(7000)));
    }

    #[test]
    fn anything_else_is_none() {
        for wrong in ["", "5", "h", "-1h", "First", "1 h"] {
            assert_eq!(text(wrong), None, "{wrong}");
        }
        assert_eq!(start(AMQPValue::Boolean(true)), None);
        assert_eq!(start(AMQPValue::Void), None);
        assert_eq!(start(AMQPValue::Double(1.0)), None);
    }
}
