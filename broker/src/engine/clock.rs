//! The broker's time: it runs evenly whatever happens to the wall clock, and knows what the wall
//! clock will show, for what is stored across restarts.

use std::ops::Add;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A point in the broker's time: microseconds since the epoch by the wall clock as it was when the
/// broker started. Unlike an [`Instant`] it can be before the machine booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(u64);

impl Time {
    /// Returns the full milliseconds since the epoch.
    pub fn millis(self) -> u64 {
        self.0 / 1000
    }

    /// Returns the microseconds since the epoch: a number that orders times.
    pub fn micros(self) -> u64 {
        self.0
    }

    /// Returns the time this many microseconds since the epoch.
    pub fn from_micros(micros: u64) -> Time {
        Time(micros)
    }

    /// Returns the start of a millisecond since the epoch.
    pub fn from_millis(millis: u64) -> Time {
        Time(millis.saturating_mul(1000))
    }
}

impl Add<Duration> for Time {
    type Output = Time;

    fn add(self, duration: Duration) -> Time {
        Time(self.0.saturating_add(micros(duration)))
    }
}

/// Relates instants, broker time and the wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: Time,
}

impl Default for Clock {
    fn default() -> Self {
        Clock::start()
    }
}

/// A difference of this many microseconds or more means that the wall clock was set. Smaller ones
/// are ignored, so that records keep the order of their times.
const STEP: i64 = 1_000_000;

impl Clock {
    /// Creates a clock that agrees with the wall clock now.
    pub fn start() -> Self {
        Clock::at(Instant::now(), SystemTime::now())
    }

    fn at(started: Instant, wall: SystemTime) -> Self {
        Clock {
            started,
            started_at: Time(since_epoch(wall)),
        }
    }

    /// Returns when the clock was started, since the epoch: always the same, although the wall clock may be set.
    pub fn start_since_epoch(&self) -> Duration {
        Duration::from_micros(self.started_at.0)
    }

    /// Returns the broker time at an instant.
    pub fn time(&self, instant: Instant) -> Time {
        match instant.checked_duration_since(self.started) {
            Some(later) => self.started_at + later,
            None => {
                let earlier = micros(self.started.duration_since(instant));
                Time(self.started_at.0.saturating_sub(earlier))
            }
        }
    }

    /// Returns the instant of a time; the start of the broker for all earlier times.
    pub fn instant(&self, time: Time) -> Instant {
        self.started + Duration::from_micros(time.0.saturating_sub(self.started_at.0))
    }

    /// Returns what the wall clock will show at `time`, as far as is known now, in milliseconds
    /// since the epoch. Reads both clocks: for writing records, not for the machines.
    pub fn wall_millis(&self, time: Time) -> u64 {
        self.wall_millis_seen(time, Instant::now(), SystemTime::now())
    }

    fn wall_millis_seen(&self, time: Time, now: Instant, wall: SystemTime) -> u64 {
        let set = self.wall_clock_shift(now, wall);
        time.0.saturating_add_signed(set).div_ceil(1000)
    }

    /// Returns the time at which the wall clock showed, or will show, this many milliseconds since
    /// the epoch, as far as is known now. Reads both clocks.
    pub fn time_of_wall_millis(&self, millis: u64) -> Time {
        self.time_of_wall_millis_seen(millis, Instant::now(), SystemTime::now())
    }

    fn time_of_wall_millis_seen(&self, millis: u64, now: Instant, wall: SystemTime) -> Time {
        let set = self.wall_clock_shift(now, wall);
        Time(Time::from_millis(millis).0.saturating_add_signed(-set))
    }

    /// Returns by how many microseconds the wall clock was set forward since the broker started.
    fn wall_clock_shift(&self, now: Instant, wall: SystemTime) -> i64 {
        let off = since_epoch(wall).cast_signed() - self.time(now).0.cast_signed();
        (off + off.signum() * STEP / 2) / STEP * STEP
    }
}

fn since_epoch(wall: SystemTime) -> u64 {
    // A wall clock before 1970 is treated as 1970.
    micros(wall.duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX >> 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn clock() -> (Clock, Instant, SystemTime) {
        let (now, wall) = (Instant::now(), UNIX_EPOCH + 1_800_000_000 * SECOND);
        (Clock::at(now, wall), now, wall)
    }

    #[test]
    fn the_start_is_the_wall_clocks_time_then() {
        let (clock, ..) = clock();
        assert_eq!(clock.start_since_epoch(), 1_800_000_000 * SECOND);
    }

    #[test]
    fn what_is_remembered_comes_due_at_the_same_wall_time_after_a_restart() {
        let (clock, now, wall) = clock();
        let due = clock.time(now + 10 * SECOND) + Duration::from_millis(1500);
        let stored = clock.wall_millis_seen(due, now + 10 * SECOND, wall + 10 * SECOND);
        assert_eq!(stored, 1_800_000_011_500);
        // Five seconds later by the wall clock, and after a reboot.
        let again = Clock::at(now, wall + 15 * SECOND);
        assert!(again.time_of_wall_millis_seen(stored, now, wall + 15 * SECOND) < again.time(now));
        let wall = wall + 11 * SECOND;
        let earlier = Clock::at(now, wall);
        let due = earlier.instant(earlier.time_of_wall_millis_seen(stored, now, wall));
        assert_eq!(due, now + Duration::from_millis(500));
    }

    #[test]
    fn a_wall_clock_that_is_set_changes_what_is_stored_and_nothing_else() {
        let (clock, now, wall) = clock();
        let due = clock.time(now) + 10 * SECOND;
        for (step, expected) in [(3600, 1_800_003_610_000), (-3600, 1_799_996_410_000)] {
            let set = if step > 0 {
                wall + 3600 * SECOND
            } else {
                wall - 3600 * SECOND
            };
            assert_eq!(clock.wall_millis_seen(due, now, set), expected);
            assert_eq!(clock.time_of_wall_millis_seen(expected, now, set), due);
        }
        assert_eq!(clock.instant(due), now + 10 * SECOND);
    }

    #[test]
    fn records_keep_the_order_of_their_times_though_the_clocks_are_read_apart() {
        let (clock, now, wall) = clock();
        let (first, second) = (clock.time(now), clock.time(now) + Duration::from_micros(1));
        let late = clock.wall_millis_seen(first, now, wall + Duration::from_millis(400));
        let early = clock.wall_millis_seen(second, now, wall - Duration::from_millis(400));
        assert!(late <= early);
    }

    #[test]
    fn times_before_the_start_keep_their_order() {
        let (clock, now, wall) = clock();
        let time = |millis| clock.time_of_wall_millis_seen(millis, now, wall);
        let (a, b) = (time(1), time(2));
        assert!(a < b && b < clock.time(now));
        assert_eq!(clock.instant(a), now);
    }
}
