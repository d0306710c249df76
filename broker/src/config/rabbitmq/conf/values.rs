//! The values that keys have, as RabbitMQ reads them: booleans, numbers, sizes.

use super::grammar::{Entry, shortened};
use std::path::Path;
use toml::Value;

/// How the value of a key is written, and what becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `true` or `false`.
    Bool,
    /// A whole number.
    Number,
    /// A whole number, or `infinity`.
    Maximum,
    /// The largest frame, which is 0 for none.
    FrameMax,
    /// A number of bytes, of which MB are 1024 kB.
    Size,
    /// Any text.
    Text,
    /// A password, which may not be encrypted.
    Secret,
    /// A path, which is relative to the file.
    Path,
}

/// Fewer bytes than this are no size of memory or disk: a unit is missing.
const LEAST_BYTES: u64 = 1 << 20;
/// The largest frame that there is here, in bytes.
const LARGEST_FRAME: i64 = 128 << 20;

impl Kind {
    /// Returns the value of an entry as a TOML file has it.
    ///
    /// # Errors
    /// What is wrong with it, and what would be right.
    pub(super) fn read(self, entry: &Entry) -> Result<Value, String> {
        let value = entry.value.as_str();
        Ok(match self {
            Kind::Bool => boolean(value)?.into(),
            Kind::Number => number(value)?.into(),
            Kind::Maximum if value == "infinity" => value.into(),
            Kind::Maximum => {
                let wanted = |_| {
                    format!(
                        "'{}' is not a maximum: use a whole number, or infinity",
                        shortened(value)
                    )
                };
                number(value).map_err(wanted)?.into()
            }
            Kind::FrameMax => match size(value)? {
                0 => LARGEST_FRAME.into(),
                bytes => bytes.into(),
            },
            Kind::Size => size(value)?.into(),
            Kind::Text => value.into(),
            Kind::Secret => secret(value)?.into(),
            Kind::Path => path(entry)?.into(),
        })
    }
}

/// Reads `true` or `false`.
pub(super) fn boolean(value: &str) -> Result<bool, String> {
    match value {
        "true" | "on" => Ok(true),
        "false" | "off" => Ok(false),
        other => Err(format!("'{}' is neither true nor false", shortened(other))),
    }
}

/// Reads a whole number.
pub(super) fn number(value: &str) -> Result<i64, String> {
    let number = value.parse::<i64>().ok().filter(|number| *number >= 0);
    number.ok_or_else(|| format!("'{}' is not a whole number", shortened(value)))
}

/// Reads a number of bytes as cuttlefish does, to whom a megabyte is 1024 times 1024 bytes.
fn size(value: &str) -> Result<i64, String> {
    let (digits, unit) = split(value);
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => Some(1),
        "kb" => Some(1 << 10),
        "mb" => Some(1 << 20),
        "gb" => Some(1 << 30),
        _ => None,
    };
    let bytes = digits.parse::<i64>().ok().zip(factor);
    let bytes = bytes.and_then(|(number, factor): (i64, i64)| number.checked_mul(factor));
    bytes.ok_or_else(|| {
        format!(
            "'{}' is not a size: use bytes, or a unit of KB, MB (1024 KB) or GB",
            shortened(value)
        )
    })
}

/// Reads a size of memory or disk, to which a megabyte is a million bytes, and returns it as our settings have it.
pub(super) fn amount(value: &str) -> Result<String, String> {
    let (digits, unit) = split(value);
    let unit = match unit.to_ascii_lowercase().as_str() {
        "" => "B",
        "k" | "kb" => "kB",
        "m" | "mb" => "MB",
        "g" | "gb" => "GB",
        "t" | "tb" => "TB",
        "ki" | "kib" => "KiB",
        "mi" | "mib" => "MiB",
        "gi" | "gib" => "GiB",
        "ti" | "tib" => "TiB",
        _ => "",
    };
    match digits.parse::<u64>() {
        // Refused as it is in our own file, with what may be meant.
        Ok(number @ 2..LEAST_BYTES) if unit == "B" => Ok(number.to_string()),
        Ok(number) if !unit.is_empty() => Ok(format!("{number}{unit}")),
        _ => Err(format!(
            "'{}' is not a size: use bytes, or a unit such as MB, GB, MiB or GiB",
            shortened(value)
        )),
    }
}

/// Reads a factor such as 0.4.
pub(super) fn factor(value: &str) -> Result<f64, String> {
    let factor = value.parse::<f64>().ok();
    let factor = factor.filter(|factor| factor.is_finite() && *factor >= 0.0);
    factor.ok_or_else(|| format!("'{}' is not a number such as 0.4", shortened(value)))
}

fn split(value: &str) -> (&str, &str) {
    let digits = value.find(|c: char| !c.is_ascii_digit());
    let (digits, unit) = value.split_at(digits.unwrap_or(value.len()));
    (digits, unit.trim())
}

/// Reads a password.
pub(super) fn secret(value: &str) -> Result<&str, String> {
    match value.starts_with("encrypted:") {
        true => Err("the value is encrypted, and only RabbitMQ's key and cipher could decrypt it: write the value itself, or \
                     $(NAME) for an environment variable"
            .to_owned()),
        false => Ok(value),
    }
}

/// Returns a path, which is relative to the file that names it.
pub(super) fn path(entry: &Entry) -> Result<String, String> {
    let wrong = |reason: &str| Err(reason.to_owned());
    if entry.value.is_empty() {
        return wrong("the path is empty");
    }
    if entry.value == crate::config::NONE {
        return wrong("none is no path: leave the key out");
    }
    let folder = entry.at.file.parent().unwrap_or(Path::new(""));
    match folder.join(&entry.value).to_str() {
        Some(path) => Ok(path.to_owned()),
        None => wrong("the path is not UTF-8"),
    }
}
