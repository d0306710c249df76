//! The fraction of time in which a queue could deliver at once (RabbitMQ: `consumer_utilisation`, and
//! `consumer_capacity`, which is the same).

use crate::engine::clock::Time;

/// After this many microseconds a past value has half its weight (`rabbit_queue_consumers`).
const HALF_LIFE: f64 = 1_000_000.0;

/// A moving average over the times in which consumers took what was ready, and in which none of them could.
///
/// It is touched when that changes only.
#[derive(Clone, Copy, Debug)]
pub struct Utilisation {
    average: f64,
    /// When the present state began; `None` at first.
    since: Option<Time>,
    /// How long the state before it took, in microseconds, if that is not in the average yet.
    active_for: u64,
    is_active: bool,
}

impl Default for Utilisation {
    fn default() -> Self {
        Utilisation {
            average: 1.0,
            since: None,
            active_for: 0,
            is_active: true,
        }
    }
}

impl Utilisation {
    /// Returns whether consumers currently take what is ready.
    #[inline]
    pub fn is_active(&self) -> bool {
        self.is_active
    }

    /// Records when the queue began to exist or to be watched, unless that is known.
    pub fn begin(&mut self, now: Time) {
        self.since.get_or_insert(now);
    }

    /// Records that a message is ready and no consumer can take it.
    pub fn record_stall(&mut self, now: Time) {
        if self.is_active {
            self.active_for = self.elapsed(now);
            self.since = Some(now);
            self.is_active = false;
        }
    }

    /// Records that there is a consumer that can take messages.
    pub fn record_resumption(&mut self, now: Time) {
        if !self.is_active {
            self.average = self.weighed(self.active_for, self.elapsed(now));
            self.since = Some(now);
            self.is_active = true;
        }
    }

    /// Returns the average, from 0 to 1.
    pub fn get(&self, now: Time) -> f64 {
        match self.is_active {
            true => self.weighed(self.elapsed(now), 0),
            false => self.weighed(self.active_for, self.elapsed(now)),
        }
    }

    fn elapsed(&self, now: Time) -> u64 {
        let since = self.since.unwrap_or(now);
        now.micros().saturating_sub(since.micros())
    }

    /// Returns the average after these microseconds.
    fn weighed(&self, active: u64, inactive: u64) -> f64 {
        let time = active.saturating_add(inactive) as f64;
        if time == 0.0 {
            return self.average;
        }
        let old = (-std::f64::consts::LN_2 * time / HALF_LIFE).exp();
        (active as f64 / time) * (1.0 - old) + self.average * old
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(micros: u64) -> Time {
        Time::from_micros(1_000_000 + micros)
    }

    fn begun() -> Utilisation {
        let mut utilisation = Utilisation::default();
        utilisation.begin(at(0));
        utilisation
    }

    #[test]
    fn it_is_one_while_consumers_keep_up_and_halves_every_second_they_do_not() {
        let mut utilisation = begun();
        assert!((utilisation.get(at(5_000_000)) - 1.0).abs() < 1e-9);
        utilisation.record_stall(at(0));
        for seconds in 1..10u32 {
            let expected = 0.5f64.powi(seconds as i32);
            let found = utilisation.get(at(u64::from(seconds) * 1_000_000));
            assert!((found - expected).abs() < 1e-9, "{seconds}: {found}");
        }
    }

    #[test]
    fn consumers_that_take_messages_half_of_the_time_have_a_half() {
        let mut utilisation = begun();
        let mut now = 0;
        for _ in 0..20_000 {
            utilisation.record_stall(at(now + 500));
            utilisation.record_resumption(at(now + 1000));
            now += 1000;
        }
        assert!((utilisation.get(at(now)) - 0.5).abs() < 0.01);
    }

    proptest! {
        #[test]
        fn it_stays_between_zero_and_one(
            steps in prop::collection::vec((any::<bool>(), 0u64..1 << 40), 0..100),
        ) {
            let (mut utilisation, mut now) = (Utilisation::default(), 0);
            for (able, pause) in steps {
                now += pause;
                match able {
                    true => utilisation.record_resumption(at(now)),
                    false => utilisation.record_stall(at(now)),
                }
                let value = utilisation.get(at(now));
                prop_assert!((0.0..=1.0).contains(&value), "{}", value);
                prop_assert_eq!(utilisation.is_active(), able);
            }
        }
    }
}
