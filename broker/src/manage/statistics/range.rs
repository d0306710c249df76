//! Which samples a query asks for: `lengths_age=60&lengths_incr=5` and the like (RabbitMQ: `rabbit_mgmt_util:range/1`).

use std::fmt;

/// The maximum number of steps that may be asked for.
const STEPS_MAX: i128 = 500;

/// Some points in time, equally far from each other, in milliseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    last: i64,
    incr: i64,
    age: i64,
    points: i64,
}

/// A range that nobody can be shown.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Invalid range parameters: age {age}, incr {incr}")]
pub struct InvalidRange {
    age: String,
    incr: String,
}

/// Where the last point is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// Before now.
    Down,
    /// After now, so that lengths are as fresh as what is not sampled.
    Up,
}

/// A whole number of any size, as far as it matters here.
fn whole(text: &str) -> Option<i128> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let largest = if text.starts_with('-') {
        i128::MIN
    } else {
        i128::MAX
    };
    Some(text.parse().unwrap_or(largest))
}

impl Range {
    /// Returns the range of these parameters, in seconds, at `now`, in milliseconds since the epoch. `None` if one is
    /// missing, or no whole number.
    ///
    /// # Errors
    /// When one of them is not above 0, or more than 500 steps are asked for.
    pub fn of(
        age: Option<&str>,
        incr: Option<&str>,
        now: i64,
        rounding: Rounding,
    ) -> Result<Option<Range>, InvalidRange> {
        let (Some(age_text), Some(incr_text)) = (age, incr) else {
            return Ok(None);
        };
        let (Some(age), Some(incr)) = (whole(age_text), whole(incr_text)) else {
            return Ok(None);
        };
        if age <= 0 || incr <= 0 || age / incr > STEPS_MAX {
            return Err(InvalidRange {
                age: age_text.to_owned(),
                incr: incr_text.to_owned(),
            });
        }
        let points = (age / incr + 1) as i64;
        let milliseconds = |seconds: i128| {
            let milliseconds = seconds.saturating_mul(1000);
            i64::try_from(milliseconds).unwrap_or(i64::MAX)
        };
        let incr = milliseconds(incr);
        let floor = now.div_euclid(incr).saturating_mul(incr);
        let last = match rounding {
            Rounding::Up if floor < now => floor.saturating_add(incr),
            _ => floor,
        };
        Ok(Some(Range {
            last,
            incr,
            age: milliseconds(age),
            points,
        }))
    }

    /// Iterates over the points, oldest first.
    pub fn times(&self) -> impl Iterator<Item = i64> + use<> {
        let Range {
            last, incr, points, ..
        } = *self;
        (0..points).rev().map(move |back| {
            let before = back.saturating_mul(incr);
            last.saturating_sub(before)
        })
    }

    /// Returns the last point and the one before it, oldest first; one if there is no other.
    pub fn last_points(&self) -> impl Iterator<Item = i64> + use<> {
        let two = Range {
            points: self.points.min(2),
            ..*self
        };
        two.times()
    }

    /// Returns how many milliseconds it covers.
    pub fn age(&self) -> i64 {
        self.age
    }
}

/// The ranges of a query, by what is asked for. `None`: only the present rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ranges {
    /// `lengths_age` and `lengths_incr`: of queues.
    pub lengths: Option<Range>,
    /// `msg_rates_age` and `msg_rates_incr`: what happens to messages.
    pub msg_rates: Option<Range>,
    /// `data_rates_age` and `data_rates_incr`: bytes of connections.
    pub data_rates: Option<Range>,
    /// `node_stats_age` and `node_stats_incr`: what the process uses.
    pub node_stats: Option<Range>,
}

impl Ranges {
    /// Returns the ranges of a query, whose parameters `parameter` returns, at `now`, in milliseconds since the epoch.
    /// `lengths` says how those of lengths are rounded.
    ///
    /// # Errors
    /// See [`Range::of`].
    pub fn of_query<T: AsRef<str>>(
        parameter: impl Fn(&str) -> Option<T>,
        now: i64,
        lengths: Rounding,
    ) -> Result<Ranges, InvalidRange> {
        let range = |prefix: &dyn fmt::Display, rounding| {
            let age = parameter(&format!("{prefix}_age"));
            let incr = parameter(&format!("{prefix}_incr"));
            let (age, incr) = (age.as_ref().map(T::as_ref), incr.as_ref().map(T::as_ref));
            Range::of(age, incr, now, rounding)
        };
        Ok(Ranges {
            lengths: range(&"lengths", lengths)?,
            msg_rates: range(&"msg_rates", Rounding::Down)?,
            data_rates: range(&"data_rates", Rounding::Down)?,
            node_stats: range(&"node_stats", Rounding::Down)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(age: &str, incr: &str, now: i64) -> Result<Option<Range>, InvalidRange> {
        Range::of(Some(age), Some(incr), now, Rounding::Down)
    }

    #[test]
    fn a_minute_in_steps_of_five_seconds_has_thirteen_points() {
        let range = of("60", "5", 1_000_003_777).unwrap().unwrap();
        let times: Vec<i64> = range.times().collect();
        assert_eq!(
            (times.len(), times[0], times[12]),
            (13, 999_940_000, 1_000_000_000)
        );
        let up = Range::of(Some("60"), Some("5"), 1_000_003_777, Rounding::Up);
        assert_eq!(up.unwrap().unwrap().times().last(), Some(1_000_005_000));
    }

    #[test]
    fn what_is_no_number_asks_for_nothing_and_what_is_no_range_is_refused() {
        for (age, incr) in [
            ("", "5"),
            ("60", "x"),
            ("6e1", "5"),
            (" 60", "5"),
            ("60", "-"),
        ] {
            assert_eq!(of(age, incr, 0), Ok(None), "{age} {incr}");
        }
        for (age, incr) in [
            ("0", "5"),
            ("60", "0"),
            ("-1", "5"),
            ("2505", "5"),
            ("60", "-5"),
        ] {
            let error = of(age, incr, 0).unwrap_err();
            let expected = format!("Invalid range parameters: age {age}, incr {incr}");
            assert_eq!(error.to_string(), expected);
        }
        assert!(
            of("2504", "5", 0).unwrap().is_some(),
            "500 steps, rounded down"
        );
        let far = "1".repeat(60);
        assert!(of(&far, "5", 0).is_err());
        assert_eq!(of(&far, &far, 7).unwrap().unwrap().times().count(), 2);
    }

    #[test]
    fn a_query_has_four_ranges() {
        let query = |name: &str| (name.starts_with("msg_rates")).then_some("5");
        let ranges = Ranges::of_query(query, 12_000, Rounding::Up).unwrap();
        assert_eq!((ranges.lengths, ranges.node_stats), (None, None));
        let times: Vec<i64> = ranges.msg_rates.unwrap().times().collect();
        assert_eq!(times, [5000, 10_000]);
        let wrong = |name: &str| (name.starts_with("node_stats")).then_some("0");
        assert!(Ranges::of_query(wrong, 0, Rounding::Down).is_err());
    }

    proptest! {
        #[test]
        fn no_number_does_any_harm(
            age in prop_oneof![any::<i128>().prop_map(|n| n.to_string()), "[+-]?[0-9e]{0,50}"],
            incr in prop_oneof![any::<i128>().prop_map(|n| n.to_string()), "[+-]?[0-9e]{0,50}"],
            now in any::<i64>(),
        ) {
            for rounding in [Rounding::Up, Rounding::Down] {
                if let Ok(Some(range)) = Range::of(Some(&age), Some(&incr), now, rounding) {
                    let times: Vec<i64> = range.times().collect();
                    prop_assert!(times.len() <= 501 && times.is_sorted());
                }
            }
        }
    }
}
