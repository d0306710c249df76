//! Checks whether the disk has space for what the checkpoint is about to copy.
//!
//! Folding a segment writes its live messages a second time before the segment can be deleted, and emptying a volume
//! does the same. On a nearly full disk this would use up the last of the space, without which no acknowledgement can
//! be written, and then no space would ever be freed. So copies wait until there is space, which consumers create: what
//! they acknowledge need not be copied.

use std::{collections::HashSet, path::PathBuf};

use crate::{catalogue::Catalogue, contents::Contents, options::FreeSpace};

/// How many bytes a copy must leave free for the log to keep accepting acknowledgements.
const SPARE: u64 = 16 << 20;

/// Roughly the most bytes that a sled takes for each byte copied to it.
const FACTOR: u64 = 2;

/// The free space on a store's disk.
#[derive(Debug)]
pub(crate) struct DiskSpace {
    pub(crate) path: PathBuf,
    pub(crate) free: FreeSpace,
}

impl DiskSpace {
    /// Returns whether this many bytes can be copied. Zero bytes always can.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        let needed = bytes.saturating_mul(FACTOR).saturating_add(SPARE);
        bytes == 0 || (self.free)(&self.path).is_none_or(|free| free >= needed)
    }
}

/// Returns the bytes of a segment's live messages, which folding would copy. A message in several queues counts once.
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
