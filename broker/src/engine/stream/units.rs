//! Units: the parts that a stream drops as a whole, as RabbitMQ's streams drop segments: by size
//! (`x-max-length-bytes`) and by age (`x-max-age`), checked when a unit is full. They also serve as
//! an index by time.

use crate::engine::queue::Settings;
use std::collections::VecDeque;
use std::time::Duration;

/// Bytes of a unit, unless `x-stream-max-segment-size-bytes` is less: RabbitMQ's segments are 500
/// MB, but a unit needs no file and only a few bytes of memory.
const BYTES_MAX: u64 = 4 << 20;
/// The minimum of that: the store keeps messages in chunks of this size.
const BYTES_MIN: u64 = 16 << 10;

/// The rules by which units are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// The maximum bytes of all units.
    max_bytes: Option<u64>,
    max_age: Option<Duration>,
    /// Bytes of one unit.
    pub unit_bytes: u64,
}

impl Retention {
    /// Returns the retention in a stream's settings.
    pub fn of(settings: &Settings) -> Self {
        let unit = settings.max_segment_size.unwrap_or(BYTES_MAX);
        Retention {
            max_bytes: settings.max_length_bytes,
            max_age: settings.max_age,
            unit_bytes: unit.clamp(BYTES_MIN, BYTES_MAX),
        }
    }
}

/// A run of messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unit {
    /// The offset of its first message; it ends where the next unit begins.
    pub first: u64,
    /// When its first message arrived: milliseconds since the epoch.
    pub first_time: u64,
    /// When its last message arrived.
    pub last_time: u64,
    /// Bytes of its messages as they are stored.
    pub bytes: u64,
}

/// The units of a stream, oldest first.
#[derive(Debug, Default)]
pub struct Units {
    units: VecDeque<Unit>,
    bytes: u64,
}

impl Units {
    /// Restores units; `unit_bytes` may have been different when they were made.
    pub fn restore(units: Vec<Unit>) -> Self {
        Units {
            bytes: units.iter().map(|unit| unit.bytes).sum(),
            units: units.into(),
        }
    }

    /// Adds a message; returns whether a unit ended before it.
    pub fn add(&mut self, offset: u64, time: u64, bytes: u64, unit_bytes: u64) -> bool {
        self.bytes += bytes;
        if let Some(unit) = self.units.back_mut()
            && unit.bytes + bytes <= unit_bytes
        {
            unit.bytes += bytes;
            unit.last_time = time;
            return false;
        }
        self.units.push_back(Unit {
            first: offset,
            first_time: time,
            last_time: time,
            bytes,
        });
        self.units.len() > 1
    }

    /// Drops what may be dropped: committed whole units from the front, and never the last one.
    /// Returns the dropped offsets: the first, and the one after the last.
    pub fn retain(
        &mut self,
        retention: &Retention,
        now: u64,
        committed: u64,
    ) -> Option<(u64, u64)> {
        let age = |age: Duration| u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let cutoff = retention.max_age.and_then(|max| now.checked_sub(age(max)));
        let first = self.first()?;
        let mut end = None;
        while let (Some(unit), Some(next)) = (self.units.front(), self.units.get(1)) {
            let large = retention.max_bytes.is_some_and(|max| self.bytes > max);
            let old = cutoff.is_some_and(|cutoff| unit.last_time < cutoff);
            if !(large || old) || next.first > committed {
                break;
            }
            end = Some(next.first);
            self.bytes -= unit.bytes;
            self.units.pop_front();
        }
        end.map(|end| (first, end))
    }

    /// Returns the first offset that is kept; `None` if there never was a message, or all are gone.
    pub fn first(&self) -> Option<u64> {
        self.units.front().map(|unit| unit.first)
    }

    /// Returns the number of units.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    /// Returns the bytes of all units.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns an offset after which all messages that arrived at `time` or later are found, with
    /// few others before them; `None` if all arrived earlier.
    pub fn at_time(&self, time: u64) -> Option<u64> {
        let at = self.units.partition_point(|unit| unit.last_time < time);
        self.units.get(at).map(|unit| unit.first)
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = Units::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retention(max_bytes: Option<u64>, max_age: Option<u64>) -> Retention {
        Retention {
            max_bytes,
            max_age: max_age.map(Duration::from_millis),
            unit_bytes: 100,
        }
    }

    /// Messages of 50 bytes, one every 10 milliseconds: two in a unit.
    fn units(messages: u64) -> Units {
        let mut units = Units::default();
        for offset in 0..messages {
            let ended = units.add(offset, offset * 10, 50, 100);
            assert_eq!(ended, offset > 0 && offset % 2 == 0);
        }
        units
    }

    #[test]
    fn a_unit_is_as_large_as_was_asked_for_within_bounds() {
        let of = |max_segment_size| {
            Retention::of(&Settings {
                max_segment_size,
                ..Settings::default()
            })
            .unit_bytes
        };
        assert_eq!(of(None), BYTES_MAX);
        assert_eq!(of(Some(0)), BYTES_MIN);
        assert_eq!(of(Some(100_000)), 100_000);
        assert_eq!(of(Some(500_000_000)), BYTES_MAX);
    }

    #[test]
    fn by_size_whole_units_go_until_it_fits() {
        let mut units = units(7);
        assert_eq!(units.bytes(), 350);
        assert_eq!(units.retain(&retention(Some(350), None), 0, 7), None);
        assert_eq!(
            units.retain(&retention(Some(349), None), 0, 7),
            Some((0, 2))
        );
        assert_eq!(units.bytes(), 250);
        assert_eq!(units.retain(&retention(Some(0), None), 0, 7), Some((2, 6)));
        assert_eq!((units.first(), units.bytes()), (Some(6), 50));
    }

    #[test]
    fn by_age_a_unit_goes_with_its_last_message() {
        let mut units = units(7);
        let old = retention(None, Some(100));
        assert_eq!(units.retain(&old, 110, 7), None);
        assert_eq!(units.retain(&old, 131, 7), Some((0, 4)));
        assert_eq!(units.retain(&old, 5000, 7), Some((4, 6)));
        assert_eq!(units.first(), Some(6));
        assert_eq!(units.retain(&retention(None, Some(u64::MAX)), 9, 7), None);
    }

    #[test]
    fn what_is_not_committed_stays() {
        let mut units = units(7);
        assert_eq!(units.retain(&retention(Some(0), None), 0, 3), Some((0, 2)));
        assert_eq!(units.first(), Some(2));
    }

    #[test]
    fn times_are_found() {
        let units = units(7);
        assert_eq!(units.at_time(0), Some(0));
        assert_eq!(units.at_time(10), Some(0));
        assert_eq!(units.at_time(11), Some(2));
        assert_eq!(units.at_time(60), Some(6));
        assert_eq!(units.at_time(61), None);
    }
}
