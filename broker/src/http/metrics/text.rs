//! The two text formats: Prometheus' classic one, and OpenMetrics.

use crate::manage::metrics::{Kind, Labels, Sink};
use std::fmt::Write;

/// A text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Prometheus' text format 0.0.4.
    Classic,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Format::Classic => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes metrics as text.
#[derive(Debug)]
pub(super) struct Encoder {
    format: Format,
    text: String,
}

impl Encoder {
    pub(super) fn new(format: Format) -> Self {
        Encoder {
            format,
            text: String::new(),
        }
    }

    /// Returns the number of bytes that were written and not taken.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Takes what was written.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.text)
    }

    /// Ends the text.
    pub(super) fn finish(&mut self) {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
    }

    fn kind(&self, kind: Kind) -> &'static str {
        match (kind, self.format) {
            (Kind::Counter, _) => "counter",
            (Kind::Gauge, _) => "gauge",
            (Kind::Histogram, _) => "histogram",
            (Kind::Untyped, Format::Classic) => "untyped",
            (Kind::Untyped, Format::OpenMetrics) => "unknown",
        }
    }
}

impl Sink for Encoder {
    fn begin(&mut self, name: &str, kind: Kind, help: &str) {
        // OpenMetrics describes a counter without the suffix that its value has.
        let name = match (kind, self.format) {
            (Kind::Counter, Format::OpenMetrics) => name.strip_suffix("_total").unwrap_or(name),
            _ => name,
        };
        for part in [
            "# TYPE ",
            name,
            " ",
            self.kind(kind),
            "\n# HELP ",
            name,
            " ",
        ] {
            self.text.push_str(part);
        }
        escape(&mut self.text, help, self.format == Format::OpenMetrics);
        self.text.push('\n');
    }

    fn value(&mut self, name: &str, suffix: &str, labels: Labels<'_>, value: f64) {
        self.text.push_str(name);
        self.text.push_str(suffix);
        let mut before = '{';
        for (name, value) in labels {
            self.text.push(before);
            before = ',';
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(&mut self.text, value, true);
            self.text.push('"');
        }
        if before == ',' {
            self.text.push('}');
        }
        self.text.push(' ');
        write_value(&mut self.text, value);
        self.text.push('\n');
    }
}

/// Writes text as both formats write label values; a help text of the classic format keeps its quotes.
fn escape(out: &mut String, text: &str, quotes: bool) {
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            other => out.push(other),
        }
    }
}

fn write_value(out: &mut String, value: f64) {
    if value.is_finite() {
        // Writing to a string cannot fail.
        let _ = write!(out, "{value}");
    } else if value.is_nan() {
        out.push_str("NaN");
    } else {
        out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, write: impl Fn(&mut Encoder)) -> String {
        let mut encoder = Encoder::new(format);
        write(&mut encoder);
        encoder.finish();
        assert_eq!(encoder.len(), encoder.take().len());
        write(&mut encoder);
        encoder.finish();
        encoder.take()
    }

    #[test]
    fn a_counter_is_described_as_each_format_wants_it() {
        let write = |encoder: &mut Encoder| {
            encoder.begin("a_total", Kind::Counter, "Say \"a\\b\"\nc");
            encoder.value("a_total", "", &[], 3.0);
        };
        assert_eq!(
            written(Format::Classic, write),
            "# TYPE a_total counter\n# HELP a_total Say \"a\\\\b\"\\nc\na_total 3\n"
        );
        assert_eq!(
            written(Format::OpenMetrics, write),
            "# TYPE a counter\n# HELP a Say \\\"a\\\\b\\\"\\nc\na_total 3\n# EOF\n"
        );
    }

    #[test]
    fn label_values_are_escaped() {
        let write = |encoder: &mut Encoder| {
            encoder.begin("a", Kind::Untyped, "");
            let labels = [("queue", "q\"\\\n{}=,\u{202e}ü"), ("le", "+Inf")];
            encoder.value("a", "_bucket", &labels, 0.25);
        };
        let line = "a_bucket{queue=\"q\\\"\\\\\\n{}=,\u{202e}ü\",le=\"+Inf\"} 0.25\n";
        assert_eq!(
            written(Format::Classic, write),
            format!("# TYPE a untyped\n# HELP a \n{line}")
        );
        assert_eq!(
            written(Format::OpenMetrics, write),
            format!("# TYPE a unknown\n# HELP a \n{line}# EOF\n")
        );
    }

    #[test]
    fn every_value_has_a_form() {
        for (value, form) in [
            (0.0, "0"),
            (1e21, "1000000000000000000000"),
            (0.001, "0.001"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut text = String::new();
            write_value(&mut text, value);
            assert_eq!(text, form);
        }
    }
}
