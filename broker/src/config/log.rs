//! The types of the settings of the log.

use serde::{Deserialize, Deserializer, de};
use std::str::FromStr;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// What is logged: a level, or a filter of the tracing ecosystem such as `info,leveret=debug`. RabbitMQ's names of levels
/// may stand for ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter {
    given: String,
    directives: String,
}

impl LogFilter {
    /// Returns the filter as it was given.
    pub fn as_str(&self) -> &str {
        &self.given
    }

    /// Returns the filter in the syntax of [`EnvFilter`].
    pub fn directives(&self) -> &str {
        &self.directives
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        LogFilter {
            given: "info".to_owned(),
            directives: "info".to_owned(),
        }
    }
}

impl FromStr for LogFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || {
            format!(
                "'{text}' is not a log level: use critical, error, warning, info, debug, trace or none, or a filter such \
                 as info,leveret=debug"
            )
        };
        let mut directives = Vec::new();
        for directive in text.split(',').map(str::trim) {
            directives.push(match directive.rsplit_once('=') {
                // The braces of a span's fields may have an equals sign, too.
                Some((target, written)) => match level(written) {
                    Some(level) => format!("{target}={level}"),
                    None => directive.to_owned(),
                },
                None if directive.contains('[') => directive.to_owned(),
                // EnvFilter reads a misspelt level as a module name and then logs nothing, so a bare
                // word has to be a level.
                None => level(directive).ok_or_else(wanted)?.to_owned(),
            });
        }
        let directives = directives.join(",");
        let parsed = EnvFilter::builder().parse(&directives);
        parsed.map_err(|_| wanted())?;
        Ok(LogFilter {
            given: text.to_owned(),
            directives,
        })
    }
}

/// Returns our name of a level that is ours or RabbitMQ's. The most serious lines that the broker has are errors.
fn level(name: &str) -> Option<&'static str> {
    Some(match name.trim().to_ascii_lowercase().as_str() {
        "off" | "none" => "off",
        "error" | "critical" | "alert" | "emergency" => "error",
        "warn" | "warning" => "warn",
        "info" | "notice" => "info",
        "debug" => "debug",
        "trace" => "trace",
        _ => return None,
    })
}

impl<'de> Deserialize<'de> for LogFilter {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One line of text per event.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// How long a log file is written before it is rotated: `12h`, `1d`; or `none`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RotationAge(pub Option<Duration>);

impl RotationAge {
    const UNITS: [(&'static str, u64); 3] = [("d", 86_400), ("h", 3600), ("m", 60)];
    /// A year, in seconds.
    const MAX: u64 = 366 * 86_400;
}

impl FromStr for RotationAge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let given = text.trim();
        if given == super::NONE {
            return Ok(RotationAge(None));
        }
        let seconds = Self::UNITS.iter().find_map(|(unit, seconds)| {
            let number: u64 = given.strip_suffix(unit)?.parse().ok()?;
            number.checked_mul(*seconds)
        });
        match seconds.filter(|seconds| (1..=Self::MAX).contains(seconds)) {
            Some(seconds) => Ok(RotationAge(Some(Duration::from_secs(seconds)))),
            // RabbitMQ: log.file.rotation.date.
            None if given.starts_with('$') => Err(format!(
                "'{text}' is not an age: use 1d for RabbitMQ's $D0, 1h for an hour, or none"
            )),
            None => Err(format!(
                "'{text}' is not an age: use minutes, hours or days, such as 30m, 12h or 1d, at most 366d, or none"
            )),
        }
    }
}

impl super::shown::Shown for RotationAge {
    fn shown(&self) -> String {
        let Some(seconds) = self.0.map(|age| age.as_secs()) else {
            return super::NONE.to_owned();
        };
        let mut units = Self::UNITS.iter();
        let whole = units.find(|(_, unit)| seconds % unit == 0);
        whole.map_or_else(String::new, |(name, unit)| {
            format!("{}{name}", seconds / unit)
        })
    }
}

impl<'de> Deserialize<'de> for RotationAge {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        String::deserialize(source)?
            .parse()
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::super::shown::Shown;
    use super::*;

    #[test]
    fn levels_have_our_names_and_rabbitmqs() {
        let directives = |text: &str| text.parse::<LogFilter>().map(|filter| filter.directives);
        for (given, means) in [
            ("warning", "warn"),
            ("WARN", "warn"),
            ("critical", "error"),
            ("notice", "info"),
            ("none", "off"),
            ("trace", "trace"),
            ("info, leveret::amqp=warning", "info,leveret::amqp=warn"),
            ("error,leveret::http=none", "error,leveret::http=off"),
        ] {
            assert_eq!(directives(given).as_deref(), Ok(means), "{given}");
        }
        for wrong in ["", "inof", "info,", "leveret=loud", "info,amqp"] {
            let refused = directives(wrong).unwrap_err();
            assert!(refused.contains("is not a log level"), "{refused}");
        }
    }

    #[test]
    fn ages_are_written_as_they_are_read() {
        for (given, seconds, shown) in [
            ("30m", 1800, "30m"),
            ("12h", 43_200, "12h"),
            ("24h", 86_400, "1d"),
            ("7d", 604_800, "7d"),
        ] {
            let age: RotationAge = given.parse().unwrap();
            assert_eq!(age.0, Some(Duration::from_secs(seconds)));
            assert_eq!(age.shown(), shown);
        }
        assert_eq!("none".parse::<RotationAge>().unwrap().shown(), "none");
        for wrong in [
            "",
            "0d",
            "1",
            "d",
            "-1h",
            "1w",
            "367d",
            "99999999999999999999d",
        ] {
            assert!(wrong.parse::<RotationAge>().is_err(), "{wrong}");
        }
        let refused = "$D0".parse::<RotationAge>().unwrap_err();
        assert!(refused.contains("use 1d for RabbitMQ's $D0"), "{refused}");
    }
}
