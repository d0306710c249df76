//! Visits the intact messages of a store, one by one.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;

use super::{
    CheckedQueue, Findings,
    gather::{Gathered, ValueLocation},
    sled_file::Entries,
};
use crate::{
    error::StorageError,
    messages,
    ranges::RangeSet,
    record::Record,
    schema::{self, BodyKey, Chunk},
    types::{Position, QueueId},
};

impl Gathered {
    /// Calls `visit` with every intact live message: for each queue those in sled in order, then those in the log as
    /// they come. Returns how many messages are known to be lost, by queue, and adds to the damage.
    pub(super) fn messages(
        &self,
        damage: &mut Vec<String>,
        mut visit: impl FnMut(QueueId, u64, &[u8]) -> Result<(), StorageError>,
    ) -> Result<BTreeMap<QueueId, u64>, StorageError> {
        let mut lost = BTreeMap::new();
        let mut seen: HashMap<QueueId, RangeSet> = HashMap::new();
        let mut page = (None, Entries::new());
        for (&queue, found) in &self.queues {
            // What the catalogue does not mention was acknowledged long ago or never finished, unless the catalogue
            // itself is damaged.
            let unknown = self.main_is_damaged && found.deleted.is_none();
            let of_queue = (queue, 0, 0)..=(queue, u64::MAX, u32::MAX);
            let unknown = unknown.then(|| self.bodies.range(of_queue));
            let unknown = unknown.into_iter().flatten();
            let firsts: BTreeSet<u64> = found
                .chunks
                .keys()
                .copied()
                .chain(unknown.map(|((_, first, _), _)| *first))
                .collect();
            for first in firsts {
                let chunk = found.chunks.get(&first).map(|(chunk, _)| chunk);
                let messages = self.chunk(queue, first, chunk, &mut page);
                let Some(messages) = messages else {
                    if chunk.is_none() {
                        continue;
                    }
                    let live = chunk.map_or(0, |chunk| found.live_of(chunk));
                    if live == 0 {
                        // Removed by a fold that did not finish.
                        continue;
                    }
                    *lost.entry(queue).or_insert(0) += live;
                    let last = chunk.map_or(first, |chunk| chunk.last);
                    damage.push(format!(
                        "messages {first} to {last} of the queue with id {} are damaged or missing, {live} of them not yet acknowledged",
                        queue.0
                    ));
                    continue;
                };
                let seen = seen.entry(queue).or_default();
                let mut missing = chunk.map_or(0, |chunk| chunk.live);
                for (position, message) in messages {
                    let done = chunk.is_some_and(|chunk| chunk.acked.contains(position));
                    missing = missing.saturating_sub(u64::from(!done));
                    if !done && !found.acked.contains(position) && !seen.contains(position) {
                        seen.insert(position, position);
                        visit(queue, position, &message)?;
                    }
                }
                if missing > 0 {
                    *lost.entry(queue).or_insert(0) += missing;
                    damage.push(format!(
                        "{missing} messages, from message {first} on, of the queue with id {} are missing",
                        queue.0
                    ));
                }
            }
        }
        self.logged(&mut seen, &mut visit)?;
        Ok(lost)
    }

    /// Returns the messages of a chunk, or `None` if some are missing.
    fn chunk(
        &self,
        queue: QueueId,
        first: u64,
        chunk: Option<&Chunk>,
        page: &mut (Option<(usize, u64)>, Entries),
    ) -> Option<Vec<(u64, Bytes)>> {
        let first_position = Position(first);
        let values = chunk.map_or(
            BodyKey {
                queue,
                first: first_position,
            },
            |chunk| chunk.body(queue, first_position),
        );
        let mut body = |part: u32| {
            let key = (values.queue, values.first.0, part);
            let (source, spot) = *self.bodies.get(&key)?;
            let sled = self.sleds.get(source)?;
            let key = values.part(part);
            let value = match spot {
                ValueLocation::Value => sled.value(&key).ok()??,
                ValueLocation::Page(number) => {
                    if page.0 != Some((source, number)) {
                        *page = (Some((source, number)), sled.page(number).ok()?);
                    }
                    page.1.get(&key[..])?.0.clone()
                }
            };
            schema::unsealed(&key, &value).map(Bytes::copy_from_slice)
        };
        let mut messages = Vec::new();
        match chunk {
            Some(chunk) if chunk.large => {
                let mut message = Vec::new();
                for part in 0..chunk.parts {
                    message.extend_from_slice(&body(part)?);
                }
                messages.push((first, message.into()));
            }
            Some(chunk) => {
                for part in 0..chunk.parts {
                    messages::unpack(&body(part)?, &mut messages)?;
                }
            }
            None => {
                // Without an entry, a part of a large message may look like anything.
                messages::unpack(&body(0)?, &mut messages)?;
                messages.first().filter(|(at, _)| *at == first)?;
                let mut part = 1;
                while let Some(value) = body(part) {
                    messages::unpack(&value, &mut messages)?;
                    part += 1;
                }
            }
        }
        Some(messages)
    }

    fn logged(
        &self,
        seen: &mut HashMap<QueueId, RangeSet>,
        visit: &mut impl FnMut(QueueId, u64, &[u8]) -> Result<(), StorageError>,
    ) -> Result<(), StorageError> {
        for (segment, end) in &self.segments {
            let seq = segment.header.seq;
            segment.scan(*end, true, |offset, record| {
                let Record::Publish {
                    queue,
                    position,
                    message,
                    ..
                } = record
                else {
                    return Ok(());
                };
                let found = self.queues.get(&queue);
                let gone = found.is_none_or(|found| {
                    found.deleted.is_some_and(|deleted| (seq, offset) < deleted)
                        || found.acked.contains(position.0)
                });
                let seen = seen.entry(queue).or_default();
                if gone || seen.contains(position.0) {
                    return Ok(());
                }
                seen.insert(position.0, position.0);
                visit(queue, position.0, message)
            })?;
        }
        Ok(())
    }

    /// Calls `visit` with each message and counts them.
    pub(super) fn visit(
        &self,
        mut visit: impl FnMut(QueueId, u64, &[u8]) -> Result<(), StorageError>,
    ) -> Result<Findings, StorageError> {
        let mut counts: BTreeMap<QueueId, (u64, u64)> = BTreeMap::new();
        let mut damage = self.damage.clone();
        let lost = self.messages(&mut damage, |queue, position, message| {
            let count = counts.entry(queue).or_default();
            count.0 += 1;
            count.1 += message.len() as u64;
            visit(queue, position, message)
        })?;
        let queues = self.queues.keys().map(|&queue| {
            let (intact, bytes) = counts.get(&queue).copied().unwrap_or_default();
            CheckedQueue {
                queue,
                intact,
                bytes,
                lost: lost.get(&queue).copied().unwrap_or(0),
            }
        });
        let definition =
            |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone().into(), value.clone().into());
        Ok(Findings {
            queues: queues.collect(),
            definitions: self.definitions.iter().map(definition).collect(),
            damage,
            torn_bytes: self.torn_bytes,
        })
    }
}
