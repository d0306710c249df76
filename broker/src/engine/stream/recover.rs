//! Recovery of a stream after a restart: its messages stay in the store; only the times at which
//! units began and ended are read.

use super::handle::{Stream, now};
use super::record::Stored;
use super::units::Unit;
use crate::engine::queue::Effects;
use leveret_storage::{Extent, Position, StorageError, Store};

impl Stream {
    /// Restores what the store kept, and drops what has become too old meanwhile.
    ///
    /// # Errors
    /// The store failed.
    pub fn recover(&self, store: &Store, fx: &mut Effects) -> Result<(), StorageError> {
        let mut machine = self.machine.lock();
        let extents = store.extents(self.id, machine.unit_bytes())?;
        let mut units = Vec::with_capacity(extents.len());
        let mut latest = 0;
        for extent in extents {
            let unit = self.unit(&extent, latest, store)?;
            latest = unit.last_time;
            units.push(unit);
        }
        machine.restore(units);
        machine.retain(now(), fx);
        Ok(())
    }

    fn unit(&self, extent: &Extent, latest: u64, store: &Store) -> Result<Unit, StorageError> {
        let first_time = self
            .time_at(extent.first, store)?
            .unwrap_or(latest)
            .max(latest);
        let last_time = self.time_at(extent.last, store)?.unwrap_or(first_time);
        Ok(Unit {
            first: extent.first.0,
            first_time,
            last_time: last_time.max(first_time),
            bytes: extent.bytes,
        })
    }

    /// Returns when the message at this position arrived; `None` if it is damaged or gone.
    fn time_at(&self, position: Position, store: &Store) -> Result<Option<u64>, StorageError> {
        let read = match store.read(self.id, position, 1, 1) {
            Err(StorageError::DamagedMessages { .. }) => return Ok(None),
            read => read?,
        };
        let bytes = read.into_iter().next().map(|(_, bytes)| bytes);
        Ok(bytes.and_then(Stored::new).map(|stored| stored.time))
    }
}
