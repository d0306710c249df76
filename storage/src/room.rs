//! Whether the disk has room for what the checkpoint is about to copy.
//!
//! Folding a segment writes what lives of it once more before the segment can go, and emptying a volume does likewise. On
//! a disk that is nearly full this would take the last of it, without which no acknowledgement can be written; and no room
//! would ever come back. So a copy waits until there is room for it: that comes with consumers, as what they acknowledge
//! need not be copied.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};

use crate::{catalogue::Catalogue, contents::Contents};

/// Bytes free on the disk that holds a path; `None` when the system does not tell.
pub type FreeSpace = fn(&Path) -> Option<u64>;

/// Bytes that a copy leaves free, for the log to go on with acknowledgements.
const SPARE: u64 = 16 << 20;

/// What a sled takes for each byte that is copied to it at most, about.
const FACTOR: u64 = 2;

/// The disk of a store.
#[derive(Debug)]
pub(crate) struct Room {
    pub(crate) path: PathBuf,
    pub(crate) free: FreeSpace,
}

impl Room {
    /// Whether so many bytes can be copied. Nothing always can.
    pub(crate) fn is_there_for(&self, bytes: u64) -> bool {
        let taken = bytes.saturating_mul(FACTOR).saturating_add(SPARE);
        bytes == 0 || (self.free)(&self.path).is_none_or(|free| free >= taken)
    }
}

/// Bytes that may still be written below `path`; `None` when the system does not tell.
pub fn free_space(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Bytes of a segment's messages that live on and would be copied: of one that is in several queues, once.
pub(crate) fn live_bytes(contents: &Contents, seq: u64, catalogue: &Catalogue) -> u64 {
    let (mut bytes, mut counted) = (0, HashSet::new());
    for (&queue, of_queue) in &contents.queues {
        if catalogue.deleted_after(queue, seq) {
            continue;
        }
        let dead = catalogue.dead(queue);
        let live = of_queue
            .published
            .iter()
            .filter(|message| !dead.contains(message.position))
            .filter(|message| {
                !contents.shared.contains(&message.offset) || counted.insert(message.offset)
            });
        bytes += live.map(|message| message.record_len() as u64).sum::<u64>();
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        contents::{Published, QueueContents},
        types::QueueId,
    };

    #[test]
    fn a_message_of_several_queues_is_copied_once() {
        let published = |offset| Published {
            position: 1,
            offset,
            len: 20_000,
            is_reference: false,
        };
        let mut contents = Contents::default();
        for queue in 0..3 {
            let queue = contents.queues.entry(QueueId(queue)).or_default();
            *queue = QueueContents {
                published: vec![published(48), published(90_000)],
                ..QueueContents::default()
            };
        }
        contents.shared.insert(48);
        let one = published(48).record_len() as u64;
        let catalogue = Catalogue::default();
        assert_eq!(live_bytes(&contents, 7, &catalogue), 4 * one);
        contents.shared.clear();
        assert_eq!(live_bytes(&contents, 7, &catalogue), 6 * one);
    }
}
