//! The results of a run, as text, JSON or CSV.

use super::meter::{Percentiles, Shared};
use super::options::Mode;
use crate::client::transport::Handshakes;
use clap::ValueEnum;
use serde_json::{Map, Value, json};
use std::fmt;
use std::time::Duration;

/// The results of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    mode: Mode,
    /// How long it took, without setup and cleanup.
    seconds: f64,
    counts: Vec<Count>,
    latencies: Vec<(&'static str, Percentiles)>,
    /// How long the declarations took.
    declaring: Duration,
    /// `None` without TLS.
    handshakes: Option<Handshakes>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    name: &'static str,
    number: u64,
    per_second: f64,
    /// Whether the text omits it if it is 0.
    if_any: bool,
    /// The bytes of the bodies of what was published or consumed.
    bytes: Option<u64>,
}

impl Count {
    /// Returns its bytes in MB (a million bytes) per second.
    fn mb_per_second(&self) -> Option<f64> {
        let bytes_each = self.bytes? as f64 / self.number.max(1) as f64;
        Some(self.per_second * bytes_each / 1e6)
    }
}

/// The number of seconds over which something was counted.
#[derive(Clone, Copy, Debug)]
pub(super) enum Rate {
    Over(f64),
    /// As `Over`, but omitted from the text if the count is 0.
    IfAny(f64),
}

impl Summary {
    pub(super) fn new(mode: Mode, shared: &Shared) -> Self {
        let mut summary = Summary {
            mode,
            seconds: 0.0,
            counts: Vec::new(),
            latencies: Vec::new(),
            declaring: Duration::ZERO,
            handshakes: None,
        };
        summary.add_latency("latency", shared.latency.total());
        summary.add_latency("confirm_latency", shared.confirm_latency.total());
        summary
    }

    fn add_latency(&mut self, name: &'static str, times: Option<Percentiles>) {
        self.latencies.extend(times.map(|times| (name, times)));
    }

    pub(super) fn with(mut self, name: &'static str, number: u64, rate: Rate) -> Self {
        let (seconds, if_any) = match rate {
            Rate::Over(seconds) => (seconds, false),
            Rate::IfAny(seconds) => (seconds, true),
        };
        self.counts.push(Count {
            name,
            number,
            per_second: number as f64 / seconds.max(1e-9),
            if_any,
            bytes: None,
        });
        self
    }

    /// Says how many bytes a message had.
    pub(super) fn of(mut self, size: usize) -> Self {
        for count in &mut self.counts {
            if matches!(count.name, "published" | "consumed") {
                count.bytes = Some(count.number.saturating_mul(size as u64));
            }
        }
        self
    }

    pub(super) fn lasted(mut self, seconds: f64) -> Self {
        self.seconds = seconds;
        self
    }

    pub(super) fn declared_in(mut self, declaring: Duration) -> Self {
        self.declaring = declaring;
        self
    }

    pub(super) fn encrypted(mut self, handshakes: Option<Handshakes>) -> Self {
        self.handshakes = handshakes;
        self
    }

    fn mode(&self) -> String {
        let value = self.mode.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Returns one object: `{"mode": .., "seconds": .., "published": {"messages": .., "per_second":
    /// ..}, "latency_us": {"p50": .., ..}, ..}`.
    pub fn json(&self) -> String {
        let mut object = Map::new();
        object.insert("mode".to_owned(), json!(self.mode()));
        object.insert("seconds".to_owned(), json!(self.seconds));
        object.insert(
            "declaring_seconds".to_owned(),
            json!(self.declaring.as_secs_f64()),
        );
        for count in &self.counts {
            let mut value = json!({"messages": count.number, "per_second": count.per_second});
            if let (Some(bytes), Some(rate)) = (count.bytes, count.mb_per_second()) {
                value["bytes"] = json!(bytes);
                value["mb_per_second"] = json!(rate);
            }
            object.insert(count.name.to_owned(), value);
        }
        for (name, times) in &self.latencies {
            let mut value = Map::new();
            value.insert("count".to_owned(), json!(times.count));
            for (percentile, time) in times.named() {
                value.insert(percentile.to_owned(), json!(microseconds(time)));
            }
            object.insert(format!("{name}_us"), Value::Object(value));
        }
        if let Some(tls) = &self.handshakes {
            let value = json!({
                "version": tls.version(),
                "cipher": tls.cipher(),
                "full_handshakes": tls.full,
                "resumed_handshakes": tls.resumed,
                "verified": tls.verified,
            });
            object.insert("tls".to_owned(), value);
        }
        Value::Object(object).to_string()
    }

    /// Returns a line of names and a line of values.
    pub fn csv(&self) -> String {
        let mut names = vec!["mode".to_owned(), "seconds".to_owned()];
        let mut values = vec![self.mode(), format!("{:.3}", self.seconds)];
        for count in &self.counts {
            names.push(count.name.to_owned());
            values.push(count.number.to_string());
            names.push(format!("{}_per_second", count.name));
            values.push(format!("{:.1}", count.per_second));
            if let (Some(bytes), Some(rate)) = (count.bytes, count.mb_per_second()) {
                names.push(format!("{}_bytes", count.name));
                values.push(bytes.to_string());
                names.push(format!("{}_mb_per_second", count.name));
                values.push(format!("{rate:.3}"));
            }
        }
        for (name, times) in &self.latencies {
            for (percentile, time) in times.named() {
                names.push(format!("{name}_{percentile}_us"));
                values.push(microseconds(time).to_string());
            }
        }
        if let Some(tls) = &self.handshakes {
            for (name, value) in [
                ("tls_version", tls.version().to_owned()),
                ("tls_cipher", tls.cipher().to_owned()),
                ("tls_full_handshakes", tls.full.to_string()),
                ("tls_resumed_handshakes", tls.resumed.to_string()),
                ("tls_verified", tls.verified.to_string()),
            ] {
                names.push(name.to_owned());
                values.push(value);
            }
        }
        format!("{}\n{}", names.join(","), values.join(","))
    }
}

fn microseconds(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1000.0
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said = self
            .counts
            .iter()
            .filter(|count| !count.if_any || count.number > 0);
        let rates: Vec<String> = said
            .map(|count| {
                let Count {
                    name,
                    number,
                    per_second,
                    ..
                } = count;
                match count.mb_per_second() {
                    Some(rate) => format!("{name} {number} ({per_second:.0}/s, {rate:.1} MB/s)"),
                    None => format!("{name} {number} ({per_second:.0}/s)"),
                }
            })
            .collect();
        write!(f, "{}", rates.join(", "))?;
        if self.declaring >= Duration::from_millis(100) {
            write!(f, ", declared in {:.2} s", self.declaring.as_secs_f64())?;
        }
        for (name, times) in &self.latencies {
            write!(f, "\n{}:", name.replace('_', " "))?;
            for (percentile, time) in times.named() {
                write!(f, " {percentile} {:.0}", microseconds(time))?;
            }
            write!(f, " us")?;
        }
        if let Some(tls) = &self.handshakes {
            let (version, cipher) = (tls.version(), tls.cipher());
            write!(f, "\n{version}, {cipher}, {} full handshakes", tls.full)?;
            write!(f, ", {} resumed", tls.resumed)?;
            if !tls.verified {
                write!(f, ", certificate not checked")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary() -> Summary {
        let shared = Shared::default();
        shared.latency.record(&[(1_000, 9), (2_000, 1)]);
        Summary::new(Mode::Throughput, &shared)
            .with("published", 30, Rate::Over(2.0))
            .with("refused", 0, Rate::IfAny(2.0))
            .of(1_000_000)
            .lasted(2.0)
    }

    #[test]
    fn the_text_is_short() {
        let text = summary().to_string();
        let (rates, times) = text.split_once('\n').expect("two lines");
        assert_eq!(rates, "published 30 (15/s, 15.0 MB/s)");
        assert!(
            times.starts_with("latency: min 1 p50 1 p75 1 p95 2"),
            "{times}"
        );
    }

    #[test]
    fn json_has_every_count_and_percentile() {
        let json: Value = serde_json::from_str(&summary().json()).expect("JSON");
        assert_eq!(json["mode"], "throughput");
        assert_eq!(json["published"]["messages"], 30);
        assert_eq!(json["published"]["per_second"], 15.0);
        assert_eq!(json["published"]["bytes"], 30_000_000);
        assert_eq!(json["published"]["mb_per_second"], 15.0);
        assert_eq!(json["refused"]["messages"], 0);
        assert_eq!(json["latency_us"]["count"], 10);
        assert_eq!(json["latency_us"]["p50"], 1.0);
    }

    #[test]
    fn csv_has_as_many_values_as_names() {
        let csv = summary().csv();
        let (names, values) = csv.split_once('\n').expect("two lines");
        assert_eq!(names.split(',').count(), values.split(',').count());
        for name in [
            "latency_p99.9_us",
            "published_bytes",
            "published_mb_per_second",
        ] {
            assert!(names.contains(name), "{names}");
        }
    }
}
