//! The pids by which operators refer to connections and channels.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The `pid` of a connection (`<leveret.3.0>`) or of one of its channels (`<leveret.3.1>`), where
/// RabbitMQ shows an Erlang process. `close_connection` takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pid {
    /// The number of the connection; the first since the broker started is 1.
    pub connection: u64,
    /// The channel; 0 for the connection itself.
    pub channel: u16,
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<leveret.{}.{}>", self.connection, self.channel)
    }
}

/// The text is not a pid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is not a connection pid such as <leveret.3.0>: see list_connections pid")]
pub struct InvalidPid(pub String);

impl FromStr for Pid {
    type Err = InvalidPid;

    fn from_str(text: &str) -> Result<Self, InvalidPid> {
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
            .ok_or_else(|| InvalidPid(text.to_owned()))
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
