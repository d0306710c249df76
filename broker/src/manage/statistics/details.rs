//! Rates and samples in the form in which RabbitMQ shows them: `publish_details` and the like.

use super::columns::Columns;
use super::range::Range;
use crate::engine::statistics::{Row, Statistics, Tracked};
use serde::Serialize;

/// How a counter moves (RabbitMQ: `rabbit_mgmt_stats`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Details {
    /// Its change per second between the last two samples.
    pub rate: f64,
    /// Its values, newest first, if a range was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<Vec<Sample>>,
    /// Its change per second from the first of these samples to the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg_rate: Option<f64>,
    /// The average of these samples.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub avg: Option<f64>,
}

/// The value of a counter at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// The value.
    pub sample: u64,
    /// The time in milliseconds since the epoch.
    pub timestamp: i64,
}

/// All counters of one object at some times.
#[derive(Clone, Debug)]
pub struct Series {
    columns: &'static Columns,
    /// Oldest first.
    rows: Vec<(i64, Row)>,
    /// Whether the samples were asked for, and not only the rate.
    shows_samples: bool,
}

impl Series {
    /// Returns what was sampled of an object: at the points of a range, or, without one, the last two times.
    pub fn of(
        statistics: &Statistics,
        tracked: &Tracked,
        columns: &'static Columns,
        range: Option<Range>,
    ) -> Series {
        let rows = match range {
            Some(range) => rows(tracked, columns, range.age(), || range.times()),
            None => match statistics.last_ticks() {
                Some((last, before)) => rows(tracked, columns, 0, || [before, last].into_iter()),
                None => Vec::new(),
            },
        };
        Series {
            columns,
            rows,
            shows_samples: range.is_some(),
        }
    }

    /// Returns the details of a counter; `None` if these objects have no such counter.
    pub fn details(&self, name: &str) -> Option<Details> {
        let value = |(time, row): &(i64, Row)| Some((*time, self.columns.value(row, name)?));
        if !self.columns.has(name) && name != "deliver_get" {
            return None;
        }
        let values: Vec<(i64, u64)> = self.rows.iter().map(value).collect::<Option<_>>()?;
        let rate = match values[..] {
            [.., before, last] => rate(before, last),
            _ => 0.0,
        };
        if !self.shows_samples {
            return Some(Details {
                rate,
                ..Details::default()
            });
        }
        let samples = values.iter().rev();
        let samples = samples.map(|&(timestamp, sample)| Sample { sample, timestamp });
        let several = values.len() > 1;
        let sum: f64 = values.iter().map(|(_, value)| *value as f64).sum();
        let ends = values.first().zip(values.last()).filter(|_| several);
        Some(Details {
            rate,
            samples: Some(samples.collect()),
            avg_rate: ends.map(|(first, last)| self::rate(*first, *last)),
            avg: several.then(|| sum / values.len() as f64),
        })
    }
}

/// Returns the rates of some counters of an object, or of `deliver_get`, as their [`Details`] have them, without the rest;
/// 0 for those that it has not.
pub fn rates<const N: usize>(
    statistics: &Statistics,
    tracked: &Tracked,
    columns: &Columns,
    range: Option<Range>,
    names: [&str; N],
) -> [f64; N] {
    let rows = match (range, statistics.last_ticks()) {
        (Some(range), _) => tracked.rows(range.age(), range.last_points()),
        (None, Some((last, before))) => tracked.rows(0, [before, last].into_iter()),
        (None, None) => None,
    };
    let Some([(before_at, before), (at, last)]) = rows.as_deref() else {
        return [0.0; N];
    };
    names.map(|name| {
        let value = |row: &Row| columns.value(row, name).unwrap_or_default();
        rate((*before_at, value(before)), (*at, value(last)))
    })
}

fn rows<I: Iterator<Item = i64>>(
    tracked: &Tracked,
    columns: &Columns,
    age: i64,
    times: impl Fn() -> I,
) -> Vec<(i64, Row)> {
    tracked.rows(age, times()).unwrap_or_else(|| {
        let nothing = |time| (time, Row::from_elem(0, columns.width()));
        times().map(nothing).collect()
    })
}

/// Returns the change per second.
fn rate((before_at, before): (i64, u64), (at, value): (i64, u64)) -> f64 {
    match at.saturating_sub(before_at) {
        ..=0 => 0.0,
        // Lengths fall, too.
        milliseconds => (value as f64 - before as f64) * 1000.0 / milliseconds as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::statistics::Retention;
    use crate::manage::statistics::Rounding;

    fn record(statistics: &Statistics, tracked: &Tracked, time: i64, values: [u64; 2]) {
        let new = || statistics.new_history(Retention::Basic, 2);
        tracked.record(time, &values, new, |_| {});
        statistics.sampled(time);
    }

    fn series(statistics: &Statistics, tracked: &Tracked, range: Option<Range>) -> Series {
        Series::of(statistics, tracked, &Columns::EXCHANGE, range)
    }

    #[test]
    fn the_rate_is_that_of_the_last_interval_and_0_when_nothing_moves() {
        let (statistics, tracked) = (Statistics::default(), Tracked::default());
        let rate = || {
            let series = series(&statistics, &tracked, None);
            let details = series.details("publish_in").unwrap();
            assert_eq!(
                (details.samples, details.avg_rate, details.avg),
                (None, None, None)
            );
            details.rate
        };
        assert_eq!(rate(), 0.0);
        record(&statistics, &tracked, 5000, [100, 0]);
        record(&statistics, &tracked, 10_000, [600, 0]);
        assert_eq!(rate(), 100.0);
        // Nothing moves: no sample is taken of it.
        statistics.sampled(15_000);
        assert_eq!(rate(), 0.0);
        record(&statistics, &tracked, 20_000, [605, 0]);
        assert_eq!(rate(), 1.0);
        assert_eq!(series(&statistics, &tracked, None).details("publish"), None);
    }

    #[test]
    fn rates_alone_are_those_of_the_details() {
        let (statistics, tracked) = (Statistics::default(), Tracked::default());
        let both = || {
            let names = ["publish_in", "publish_out"];
            let columns = &Columns::EXCHANGE;
            let alone = rates(&statistics, &tracked, columns, None, names);
            let series = series(&statistics, &tracked, None);
            let detailed = names.map(|name| series.details(name).unwrap().rate);
            assert_eq!(alone, detailed);
            let range = Range::of(Some("20"), Some("5"), 11_000, Rounding::Up).unwrap();
            let ranged = rates(&statistics, &tracked, columns, range, names);
            let series = self::series(&statistics, &tracked, range);
            let detailed = names.map(|name| series.details(name).unwrap().rate);
            assert_eq!(ranged, detailed);
            alone
        };
        assert_eq!(both(), [0.0, 0.0]);
        record(&statistics, &tracked, 5000, [100, 5]);
        record(&statistics, &tracked, 10_000, [600, 5]);
        assert_eq!(both(), [100.0, 0.0]);
    }

    #[test]
    fn samples_come_newest_first_with_their_averages() {
        let (statistics, tracked) = (Statistics::default(), Tracked::default());
        for (tick, value) in [(1, 10), (2, 30), (4, 20)] {
            record(&statistics, &tracked, tick * 5000, [0, value]);
        }
        let range = Range::of(Some("20"), Some("5"), 21_000, Rounding::Down).unwrap();
        let details = series(&statistics, &tracked, range)
            .details("publish_out")
            .unwrap();
        let samples = details.samples.unwrap();
        let values: Vec<(u64, i64)> = samples.iter().map(|s| (s.sample, s.timestamp)).collect();
        let expected = [(20, 20_000), (30, 15_000), (30, 10_000), (10, 5000), (0, 0)];
        assert_eq!(values, expected);
        let rest = (details.rate, details.avg_rate, details.avg);
        assert_eq!(rest, (-2.0, Some(1.0), Some(18.0)));
    }

    #[test]
    fn a_single_sample_has_no_average_and_json_leaves_out_what_is_absent() {
        let (statistics, tracked) = (Statistics::default(), Tracked::default());
        let range = Range::of(Some("1"), Some("5"), 5000, Rounding::Down).unwrap();
        let details = series(&statistics, &tracked, range).details("publish_in");
        let json = serde_json::to_string(&details).unwrap();
        assert_eq!(
            json,
            r#"{"rate":0.0,"samples":[{"sample":0,"timestamp":5000}]}"#
        );
        let details = series(&statistics, &tracked, None).details("publish_in");
        assert_eq!(serde_json::to_string(&details).unwrap(), r#"{"rate":0.0}"#);
    }
}
