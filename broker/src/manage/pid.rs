//! How connections and channels are named to an operator.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The name of a connection (`<leveret.3.0>`) or of one of its channels (`<leveret.3.1>`), in the
/// place where RabbitMQ shows an Erlang process: the `pid` that `close_connection` takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid {
    /// The number of the connection, counted from 1 since the broker started.
    pub connection: u64,
    /// The channel; 0 for the connection itself.
    pub channel: u16,
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<leveret.{}.{}>", self.connection, self.channel)
    }
}

/// The text names no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a connection's pid: list_connections pid shows them, as in <leveret.3.0>")]
pub struct NotAPid(pub String);

impl FromStr for Pid {
    type Err = NotAPid;

    fn from_str(text: &str) -> Result<Self, NotAPid> {
        let inner = text
            .strip_prefix("<leveret.")
            .and_then(|rest| rest.strip_suffix('>'));
        let parse = |(connection, channel): (&str, &str)| {
            Some(Pid {
                connection: connection.parse().ok()?,
                channel: channel.parse().ok()?,
            })
        };
        inner
            .and_then(|inner| inner.split_once('.'))
            .and_then(parse)
            .ok_or_else(|| NotAPid(text.to_owned()))
    }
}

impl Serialize for Pid {
    fn serialize<S: Serializer>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Pid {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pid_is_read_back_as_it_was_shown() {
        let pid = Pid {
            connection: 3,
            channel: 7,
        };
        assert_eq!(pid.to_string(), "<leveret.3.7>");
        assert_eq!("<leveret.3.7>".parse(), Ok(pid));
        for text in [
            "",
            "3",
            "<leveret.3>",
            "<leveret.x.0>",
            "<rabbit@x.1.2.3>",
            "<leveret.3.7",
        ] {
            assert!(text.parse::<Pid>().is_err(), "{text}");
        }
    }
}
