//! The types of setting values. Each parses the same from a flag, a variable and the file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

use super::Mechanism;
use super::{DiskFreeLimit, MemoryWatermark, TlsPort};

/// A number of bytes: `16777216`, `16MiB`, `64kB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wanted =
            || format!("'{text}' is not a size: use bytes or a unit, such as 16MiB or 64kB");
        let text = text.trim();
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let number: u64 = text[..digits].parse().map_err(|_| wanted())?;
        let unit: u64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
            "" | "b" => 1,
            "kb" => 1_000,
            "mb" => 1_000_000,
            "gb" => 1_000_000_000,
            "tb" => 1_000_000_000_000,
            "k" | "kib" => 1 << 10,
            "m" | "mib" => 1 << 20,
            "g" | "gib" => 1 << 30,
            "t" | "tib" => 1 << 40,
            _ => return Err(wanted()),
        };
        number.checked_mul(unit).map(ByteSize).ok_or_else(wanted)
    }
}

/// An upper limit on a count: a number above 0, or `infinity` (RabbitMQ's word) for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maximum(pub Option<u64>);

impl FromStr for Maximum {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.trim(), text.trim().parse()) {
            ("infinity", _) => Ok(Maximum(None)),
            (_, Ok(number)) if number > 0 => Ok(Maximum(Some(number))),
            _ => Err(format!(
                "'{text}' is not a maximum: use a number above 0, or infinity"
            )),
        }
    }
}

/// A time limit in whole milliseconds; `undefined` (RabbitMQ's word) or 0 for no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimit(pub Option<Duration>);

impl FromStr for TimeLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.trim(), text.trim().parse()) {
            ("undefined", _) | (_, Ok(0)) => Ok(TimeLimit(None)),
            (_, Ok(milliseconds)) => Ok(TimeLimit(Some(Duration::from_millis(milliseconds)))),
            _ => Err(format!(
                "'{text}' is not a time limit: use milliseconds, or undefined for no limit"
            )),
        }
    }
}

/// How often something is done, in whole milliseconds: from [`Interval::MIN`] to a day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval(pub Duration);

impl Interval {
    /// The shortest interval, in milliseconds: a hundred times a second.
    pub const MIN: u64 = 10;
    const MAX: u64 = 86_400_000;
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let milliseconds = text.trim().parse().ok();
        let valid = milliseconds.filter(|number| (Self::MIN..=Self::MAX).contains(number));
        let wanted = || {
            let (min, max) = (Self::MIN, Self::MAX);
            format!("'{text}' is not an interval: use milliseconds, from {min} to {max}")
        };
        valid
            .map(|number| Interval(Duration::from_millis(number)))
            .ok_or_else(wanted)
    }
}

/// A TCP port, or `none` for no listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionalPort(pub Option<u16>);

impl FromStr for OptionalPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.trim(), text.trim().parse()) {
            (super::NONE, _) => Ok(OptionalPort(None)),
            (_, Ok(port)) => Ok(OptionalPort(Some(port))),
            _ => Err(format!(
                "'{text}' is not a port: use a whole number from 0 to 65535, or none"
            )),
        }
    }
}

/// User names separated by commas, or `none` (RabbitMQ's `loopback_users = none`). The file may
/// also hold a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopbackUsers(pub Vec<String>);

impl FromStr for LoopbackUsers {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim() == "none" {
            return Ok(LoopbackUsers(Vec::new()));
        }
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(String::is_empty) {
            return Err(format!(
                "'{text}' is not a list of users: use names separated by commas, or none"
            ));
        }
        Ok(LoopbackUsers(names))
    }
}

/// Web origins separated by commas, `*` for all, or `none`. The file may also hold a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origins(pub Vec<String>);

impl Origins {
    fn listed<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let check = |origin: &'a str| {
            let origin = origin.trim();
            let host = origin.split_once("://").map_or("", |(_, host)| host);
            let is_origin = !host.is_empty()
                && !host.contains('/')
                && origin.bytes().all(|byte| byte.is_ascii_graphic());
            if origin == "*" || is_origin {
                return Ok(origin.to_owned());
            }
            Err(format!(
                "'{origin}' is not a web origin: use one such as https://example.com:8080, * or none"
            ))
        };
        origins
            .into_iter()
            .map(check)
            .collect::<Result<_, _>>()
            .map(Origins)
    }
}

impl FromStr for Origins {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            "none" => Ok(Origins(Vec::new())),
            text => Origins::listed(text.split(',')),
        }
    }
}

/// Reads a list of the file, or text that separates the same with commas; `expected` is what is said of anything else.
pub(super) fn text_or_list<'de, D, T>(
    source: D,
    expected: &str,
    listed: impl FnOnce(&[String]) -> Result<T, String>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    match Scalar::deserialize(source) {
        Ok(Scalar::List(list)) => listed(&list),
        Ok(Scalar::Text(text)) => text.parse(),
        _ => Err(expected.to_owned()),
    }
    .map_err(de::Error::custom)
}

impl<'de> Deserialize<'de> for Origins {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let listed = |list: &[String]| Origins::listed(list.iter().map(String::as_str));
        text_or_list(source, "use a list of web origins; [] for none", listed)
    }
}

/// Names of SASL mechanisms separated by commas. The file may also hold a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthMechanisms(pub Vec<Mechanism>);

impl AuthMechanisms {
    fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let one = |name: &str| {
            let mut all = Mechanism::ALL.into_iter();
            all.find(|one| one.name() == name.trim()).ok_or_else(|| {
                format!("'{name}' is not a mechanism: use PLAIN, AMQPLAIN, EXTERNAL or ANONYMOUS, separated by commas")
            })
        };
        let all = names.into_iter().map(one).collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            return Err(
                "nobody could log in: use at least one of PLAIN, AMQPLAIN, EXTERNAL, ANONYMOUS"
                    .to_owned(),
            );
        }
        Ok(AuthMechanisms(all))
    }
}

impl FromStr for AuthMechanisms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        AuthMechanisms::named(text.split(','))
    }
}

/// Text that is never shown in logs or debug output.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Returns the text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Secret(text.to_owned())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The TOML types that the file may use where a flag has text.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Scalar {
    Integer(u64),
    Float(f64),
    Text(String),
    List(Vec<String>),
}

/// Deserializes a value from the file, which may be a number or the text that a flag would have.
fn number_or_text<'de, T, D>(source: D) -> Result<T, D::Error>
where
    T: FromStr<Err = String>,
    D: Deserializer<'de>,
{
    let text = match Scalar::deserialize(source) {
        Ok(Scalar::Integer(number)) => number.to_string(),
        Ok(Scalar::Float(number)) => number.to_string(),
        Ok(Scalar::Text(text)) => text,
        _ => return Err(de::Error::custom("use a number or text in quotes")),
    };
    text.parse().map_err(de::Error::custom)
}

macro_rules! read_as_number_or_text {
    ($($kind:ty),*) => {$(
        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                number_or_text(source)
            }
        }
    )*};
}

read_as_number_or_text!(
    Maximum,
    TimeLimit,
    Interval,
    OptionalPort,
    TlsPort,
    MemoryWatermark,
    DiskFreeLimit
);

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(source) {
            Ok(Scalar::Integer(bytes)) => Ok(ByteSize(bytes)),
            Ok(Scalar::Text(text)) => text.parse().map_err(de::Error::custom),
            _ => Err(de::Error::custom(
                "use a size: bytes, or text such as \"16MiB\"",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for AuthMechanisms {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let names = match Scalar::deserialize(source) {
            Ok(Scalar::List(names)) => names,
            Ok(Scalar::Text(text)) => text.split(',').map(str::to_owned).collect(),
            _ => return Err(de::Error::custom("use a list of SASL mechanisms")),
        };
        AuthMechanisms::named(names.iter().map(String::as_str)).map_err(de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for LoopbackUsers {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        match Scalar::deserialize(source) {
            Ok(Scalar::List(names)) => Ok(LoopbackUsers(names)),
            Ok(Scalar::Text(text)) => text.parse().map_err(de::Error::custom),
            _ => Err(de::Error::custom("use a list of user names; [] for none")),
        }
    }
}

impl From<ByteSize> for u64 {
    fn from(size: ByteSize) -> Self {
        size.0
    }
}

/// For sizes that are checked to be far below 4 GiB.
impl From<ByteSize> for u32 {
    fn from(size: ByteSize) -> Self {
        u32::try_from(size.0).unwrap_or(u32::MAX)
    }
}

impl From<Maximum> for Option<u64> {
    fn from(given: Maximum) -> Self {
        given.0
    }
}

impl From<TimeLimit> for Option<Duration> {
    fn from(given: TimeLimit) -> Self {
        given.0
    }
}

impl From<Interval> for Duration {
    fn from(given: Interval) -> Self {
        given.0
    }
}

impl From<OptionalPort> for Option<u16> {
    fn from(given: OptionalPort) -> Self {
        given.0
    }
}

impl From<LoopbackUsers> for Vec<String> {
    fn from(given: LoopbackUsers) -> Self {
        given.0
    }
}

impl From<Origins> for Vec<String> {
    fn from(given: Origins) -> Self {
        given.0
    }
}

impl From<AuthMechanisms> for Vec<Mechanism> {
    fn from(given: AuthMechanisms) -> Self {
        given.0
    }
}
