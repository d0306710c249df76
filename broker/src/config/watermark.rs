//! The thresholds of the memory and disk alarms, as operators write them.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::ByteSize;

/// RabbitMQ 3's default; RabbitMQ 4's is 0.6.
const DEFAULT_MEMORY_FRACTION: f64 = 0.4;
/// RabbitMQ's default, in bytes.
const DEFAULT_DISK_FREE: u64 = 50_000_000;

/// Memory above which publishers are blocked (RabbitMQ: "Memory Threshold").
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MemoryWatermark {
    /// A fraction of the machine's memory, from 0 to 1.
    Relative(f64),
    /// A size in bytes.
    Absolute(u64),
}

impl Default for MemoryWatermark {
    fn default() -> Self {
        MemoryWatermark::Relative(DEFAULT_MEMORY_FRACTION)
    }
}

impl MemoryWatermark {
    /// Returns the watermark in bytes on a machine with `total` bytes of memory. As in RabbitMQ, it
    /// never exceeds `total`.
    pub fn bytes(self, total: u64) -> u64 {
        match self {
            MemoryWatermark::Relative(fraction) => scale(fraction, total),
            MemoryWatermark::Absolute(bytes) => bytes.min(total),
        }
    }
}

impl FromStr for MemoryWatermark {
    type Err = String;

    /// Parses a fraction from 0 to 1, or a size.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(fraction) = text.trim().parse::<f64>()
            && (0.0..=1.0).contains(&fraction)
        {
            return Ok(MemoryWatermark::Relative(fraction));
        }
        let refused = |advice: String| Err(format!("'{text}' is not a memory watermark: {advice}"));
        if let Some(number) = without_unit(text) {
            return refused(match number {
                0..=100 => {
                    let fraction = scale_down(number);
                    let size = likely_size(number);
                    format!("did you mean {fraction} ({number} % of the memory) or {size}?")
                }
                _ => format!("did you mean {}?", likely_size(number)),
            });
        }
        let percent = text
            .trim()
            .strip_suffix('%')
            .map(|number| number.trim().parse());
        match (text.parse(), percent) {
            (Ok(ByteSize(bytes)), _) => Ok(MemoryWatermark::Absolute(bytes)),
            (Err(_), Some(Ok(number @ 0..=100))) => {
                refused(format!("did you mean {}?", scale_down(number)))
            }
            (Err(_), _) => {
                refused("use a fraction from 0.0 to 1.0, or a size such as 2GB".to_owned())
            }
        }
    }
}

/// The smallest number that is taken for bytes where none of its units is written: 1 MiB.
const LEAST_BYTES: u64 = 1 << 20;

/// Returns a number without a unit that is too small to be meant as bytes.
fn without_unit(text: &str) -> Option<u64> {
    let number = text.trim().parse().ok()?;
    (number < LEAST_BYTES).then_some(number)
}

/// Returns so many hundredths, as a fraction is written.
fn scale_down(percent: u64) -> String {
    match percent {
        100 => "1.0".to_owned(),
        percent => format!("0.{percent:02}").trim_end_matches('0').to_owned(),
    }
}

/// Returns the size that a number without a unit most likely stands for.
fn likely_size(number: u64) -> String {
    match number {
        0..10 => format!("{number}GB"),
        10..100_000 => format!("{number}MB"),
        _ => format!("{number}kB"),
    }
}

/// Free disk space below which publishers are blocked (RabbitMQ: "Free Disk Space Alarms").
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DiskFreeLimit {
    /// A size in bytes.
    Absolute(u64),
    /// A multiple of the machine's memory.
    MemRelative(f64),
}

impl Default for DiskFreeLimit {
    fn default() -> Self {
        DiskFreeLimit::Absolute(DEFAULT_DISK_FREE)
    }
}

impl DiskFreeLimit {
    /// Returns the limit in bytes on a machine with `total` bytes of memory.
    pub fn bytes(self, total: u64) -> u64 {
        match self {
            DiskFreeLimit::Absolute(bytes) => bytes,
            DiskFreeLimit::MemRelative(times) => scale(times, total),
        }
    }
}

impl FromStr for DiskFreeLimit {
    type Err = String;

    /// Parses a size, or `mem_relative` and a number, as `set_disk_free_limit` accepts them.
    fn from_str(text: &str) -> Result<Self, String> {
        let wanted = || {
            format!(
                "'{text}' is not a disk free limit: use a size such as 50MB, or \
                 \"mem_relative 1.5\" for 1.5 times the machine's memory"
            )
        };
        match text.trim().strip_prefix("mem_relative ") {
            Some(times) => match times.trim().parse::<f64>() {
                Ok(times) if times.is_finite() && times >= 0.0 => {
                    Ok(DiskFreeLimit::MemRelative(times))
                }
                _ => Err(wanted()),
            },
            None => match (text.parse(), text.trim().parse::<f64>()) {
                // RabbitMQ's way to be never alarmed.
                (Ok(ByteSize(0)), _) => Ok(DiskFreeLimit::Absolute(0)),
                (Ok(ByteSize(bytes)), _) => match without_unit(text) {
                    None => Ok(DiskFreeLimit::Absolute(bytes)),
                    Some(number) => Err(format!(
                        "'{text}' is not a disk free limit: did you mean {}?",
                        likely_size(number)
                    )),
                },
                (Err(_), Ok(times)) if times.is_finite() && times > 0.0 => Err(format!(
                    "'{text}' is not a disk free limit: did you mean \"mem_relative {times:?}\", {times:?} times the \
                     machine's memory? Otherwise use a size such as 50MB"
                )),
                (Err(_), _) => Err(wanted()),
            },
        }
    }
}

/// Writes what `from_str` reads.
impl fmt::Display for MemoryWatermark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MemoryWatermark::Relative(fraction) => write!(f, "{fraction:?}"),
            MemoryWatermark::Absolute(bytes) => write!(f, "{bytes}B"),
        }
    }
}

/// Writes what `from_str` reads.
impl fmt::Display for DiskFreeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DiskFreeLimit::Absolute(bytes) => write!(f, "{bytes}B"),
            DiskFreeLimit::MemRelative(times) => write!(f, "mem_relative {times:?}"),
        }
    }
}

impl Serialize for MemoryWatermark {
    fn serialize<S: Serializer>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.collect_str(self)
    }
}

impl Serialize for DiskFreeLimit {
    fn serialize<S: Serializer>(&self, sink: S) -> Result<S::Ok, S::Error> {
        sink.collect_str(self)
    }
}

#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a threshold need not be exact; it is not negative, and `as` saturates"
)]
fn scale(factor: f64, total: u64) -> u64 {
    (factor * total as f64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_memory_watermark_is_a_fraction_or_a_size() {
        let read = |text: &str| text.parse::<MemoryWatermark>();
        assert_eq!(read("0.4"), Ok(MemoryWatermark::Relative(0.4)));
        assert_eq!(read("1"), Ok(MemoryWatermark::Relative(1.0)));
        assert_eq!(read("0"), Ok(MemoryWatermark::Relative(0.0)));
        assert_eq!(read("2GB"), Ok(MemoryWatermark::Absolute(2_000_000_000)));
        assert_eq!(read("1048576"), Ok(MemoryWatermark::Absolute(1_048_576)));
        for (wrong, advice) in [
            ("40", "did you mean 0.4 (40 % of the memory) or 40MB?"),
            ("2", "did you mean 0.02 (2 % of the memory) or 2GB?"),
            ("100", "did you mean 1.0 (100 % of the memory) or 100MB?"),
            ("512", "did you mean 512MB?"),
            ("1048575", "did you mean 1048575kB?"),
            ("40%", "did you mean 0.4?"),
            (
                "1.5",
                "use a fraction from 0.0 to 1.0, or a size such as 2GB",
            ),
        ] {
            let told = format!("'{wrong}' is not a memory watermark: {advice}");
            assert_eq!(read(wrong), Err(told));
        }
        for wrong in ["", "-0.5", "1.5", "NaN", "much", "1.5GB"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(MemoryWatermark::Relative(0.25).bytes(1000), 250);
        assert_eq!(MemoryWatermark::Absolute(300).bytes(1000), 300);
        assert_eq!(MemoryWatermark::Absolute(3000).bytes(1000), 1000);
    }

    #[test]
    fn a_disk_free_limit_is_a_size_or_so_many_times_the_memory() {
        let read = |text: &str| text.parse::<DiskFreeLimit>();
        assert_eq!(read("50MB"), Ok(DiskFreeLimit::Absolute(50_000_000)));
        assert_eq!(
            read("mem_relative 1.5"),
            Ok(DiskFreeLimit::MemRelative(1.5))
        );
        assert_eq!(read("1TB"), Ok(DiskFreeLimit::Absolute(1_000_000_000_000)));
        assert_eq!(read("0"), Ok(DiskFreeLimit::Absolute(0)));
        assert_eq!(read("1048576"), Ok(DiskFreeLimit::Absolute(1_048_576)));
        for (wrong, advice) in [
            ("50", "did you mean 50MB?"),
            ("2", "did you mean 2GB?"),
            (
                "0.5",
                "did you mean \"mem_relative 0.5\", 0.5 times the machine's memory? Otherwise use a size such as 50MB",
            ),
            (
                "much",
                "use a size such as 50MB, or \"mem_relative 1.5\" for 1.5 times the machine's memory",
            ),
        ] {
            let told = format!("'{wrong}' is not a disk free limit: {advice}");
            assert_eq!(read(wrong), Err(told));
        }
        for wrong in [
            "",
            "0.5",
            "mem_relative",
            "mem_relative -1",
            "mem_relative NaN",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(DiskFreeLimit::MemRelative(1.5).bytes(1000), 1500);
    }

    #[test]
    fn what_is_shown_is_read_back() {
        for mark in [
            MemoryWatermark::Relative(1.0),
            MemoryWatermark::Relative(0.4),
            MemoryWatermark::Absolute(1),
            MemoryWatermark::Absolute(2_000_000_000),
        ] {
            assert_eq!(mark.to_string().parse(), Ok(mark));
        }
        for limit in [
            DiskFreeLimit::Absolute(1),
            DiskFreeLimit::MemRelative(2.0),
            DiskFreeLimit::MemRelative(0.5),
        ] {
            assert_eq!(limit.to_string().parse(), Ok(limit));
        }
    }
}
