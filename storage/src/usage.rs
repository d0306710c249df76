//! Tracks how much of each volume is live. A large message that several queues share is counted once, for as long as
//! one of them has it.

use std::collections::{BTreeMap, HashMap};

use crate::schema::{BodyKey, Chunk};

/// The live contents of a volume.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) chunks: u64,
    /// The encoded bytes of its live messages.
    pub(crate) bytes: u64,
}

/// For each volume, how many chunks share each shareable message.
pub(crate) type Shared = HashMap<u32, HashMap<BodyKey, u64>>;

/// A change in the usage of volumes.
#[derive(Debug, Clone, Default)]
pub(crate) struct UsageDelta {
    /// By volume: chunks, and bytes of messages that are not shared.
    volumes: HashMap<u32, (i64, i64)>,
    /// By volume and message: chunks that share it, and its bytes.
    shared: HashMap<(u32, BodyKey), (i64, u64)>,
}

impl UsageDelta {
    pub(crate) fn add(&mut self, chunk: &Chunk) {
        self.change(chunk, 1);
    }

    pub(crate) fn remove(&mut self, chunk: &Chunk) {
        self.change(chunk, -1);
    }

    fn change(&mut self, chunk: &Chunk, by: i64) {
        let (chunks, bytes) = self.volumes.entry(chunk.volume).or_default();
        *chunks += by;
        if let Some(body) = chunk.shared {
            let shared = self.shared.entry((chunk.volume, body));
            shared.or_insert((0, chunk.bytes)).0 += by;
        } else {
            *bytes += by * i64::try_from(chunk.bytes).unwrap_or(i64::MAX);
        }
    }

    /// Returns the volumes whose usage changes.
    pub(crate) fn volumes(&self) -> impl Iterator<Item = u32> {
        self.volumes.keys().copied()
    }

    /// Applies the change.
    pub(crate) fn apply(&self, usage: &mut BTreeMap<u32, Usage>, shared: &mut Shared) {
        for (&volume, &(chunks, bytes)) in &self.volumes {
            let usage = usage.entry(volume).or_default();
            usage.chunks = usage.chunks.saturating_add_signed(chunks);
            usage.bytes = usage.bytes.saturating_add_signed(bytes);
        }
        for (&(volume, body), &(by, bytes)) in &self.shared {
            let bodies = shared.entry(volume).or_default();
            let before = bodies.get(&body).copied().unwrap_or(0);
            let now = before.saturating_add_signed(by);
            let usage = usage.entry(volume).or_default();
            if now == 0 {
                bodies.remove(&body);
            } else {
                bodies.insert(body, now);
            }
            match (before, now) {
                (0, 1..) => usage.bytes = usage.bytes.saturating_add(bytes),
                (1.., 0) => usage.bytes = usage.bytes.saturating_sub(bytes),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ranges::RangeSet,
        types::{Position, QueueId},
    };

    fn chunk(bytes: u64, shared: Option<u64>) -> Chunk {
        Chunk {
            segment: 0,
            last: 0,
            first_live: 0,
            last_live: 0,
            live: 1,
            bytes,
            weight: 0,
            parts: 1,
            large: true,
            volume: 3,
            shared: shared.map(|queue| BodyKey {
                queue: QueueId(queue),
                first: Position(0),
            }),
            acked: RangeSet::default(),
        }
    }

    #[test]
    fn a_shared_message_counts_once_and_until_the_last_of_its_queues_has_done_with_it() {
        let (mut usage, mut shared) = (BTreeMap::new(), Shared::new());
        let mut apply = |added: &[Chunk], removed: &[Chunk]| {
            let mut changed = UsageDelta::default();
            added.iter().for_each(|chunk| changed.add(chunk));
            removed.iter().for_each(|chunk| changed.remove(chunk));
            changed.apply(&mut usage, &mut shared);
            (usage[&3].chunks, usage[&3].bytes, shared[&3].len())
        };
        let (one, two, own) = (chunk(100, Some(1)), chunk(70, Some(2)), chunk(5, None));
        let all = [one.clone(), one.clone(), two.clone(), own.clone()];
        assert_eq!(apply(&all, &[]), (4, 175, 2));
        assert_eq!(apply(std::slice::from_ref(&one), &[two]), (4, 105, 1));
        assert_eq!(apply(&[], &[one.clone(), one.clone()]), (2, 105, 1));
        assert_eq!(
            apply(std::slice::from_ref(&one), &[one.clone(), one.clone()]),
            (1, 5, 0)
        );
        assert_eq!(apply(&[], &[own]), (0, 0, 0));
    }
}
