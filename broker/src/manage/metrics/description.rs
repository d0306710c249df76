//! What a metric is, and who takes its values.

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It goes up and down.
    Gauge,
    /// The numbers of observations up to each of some bounds.
    Histogram,
    /// RabbitMQ gives it no type.
    Untyped,
}

/// The labels of a value, in their order.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

/// A metric: its value is read from an `R`.
#[derive(Debug)]
pub struct Metric<R> {
    /// Its name, without the prefix.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it means.
    pub help: &'static str,
    /// Returns its value; `None` if this `R` has none.
    pub value: fn(&R) -> Option<f64>,
}

/// Takes metrics. All values of a metric come one after the other.
pub trait Sink {
    /// Begins a metric with this full name.
    fn begin(&mut self, name: &str, kind: Kind, help: &str);

    /// Adds a value to the metric; `suffix` is empty but for the parts of a histogram.
    fn value(&mut self, name: &str, suffix: &str, labels: Labels<'_>, value: f64);
}

/// A number that becomes the value of a metric.
pub(super) trait Number {
    fn number(self) -> Option<f64>;
}

impl Number for u64 {
    // Prometheus has no other numbers; beyond 2^53 they are not exact.
    fn number(self) -> Option<f64> {
        Some(self as f64)
    }
}

impl Number for f64 {
    fn number(self) -> Option<f64> {
        Some(self)
    }
}

impl Number for bool {
    fn number(self) -> Option<f64> {
        Some(f64::from(u8::from(self)))
    }
}

impl<N: Number> Number for Option<N> {
    fn number(self) -> Option<f64> {
        self.and_then(Number::number)
    }
}

/// A table of metrics whose values are read from the given type.
macro_rules! metrics {
    ($row:ty; $($kind:ident $name:ident $help:literal $value:expr;)*) => {
        &[$($crate::manage::metrics::Metric {
            name: stringify!($name),
            kind: $crate::manage::metrics::Kind::$kind,
            help: $help,
            value: |row: &$row| {
                let value: fn(&$row) -> _ = $value;
                $crate::manage::metrics::description::Number::number(value(row))
            },
        }),*]
    };
}

pub(super) use metrics;

/// Writes the parts of a histogram. `classes` has one element more than `bounds`, which are texts as they are
/// written; what is above every bound is in the last class.
pub(super) fn histogram(
    sink: &mut dyn Sink,
    (name, help): (&str, &str),
    labels: Labels<'_>,
    (bounds, classes): (&[String], &[u64]),
    sum: f64,
) {
    sink.begin(name, Kind::Histogram, help);
    let mut count = 0;
    let bounds = bounds.iter().map(String::as_str).chain(["+Inf"]);
    for (bound, class) in bounds.zip(classes) {
        count += class;
        let mut labels = labels.to_vec();
        labels.push(("le", bound));
        sink.value(name, "_bucket", &labels, count as f64);
    }
    sink.value(name, "_sum", labels, sum);
    sink.value(name, "_count", labels, count as f64);
}
