//! Builds one commit: turns batches into a block of records and collects the confirms that it completes.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use crate::{
    block::Block,
    catalogue::Effect,
    ranges::RangeSet,
    record::{self, Appended},
    stats::Counters,
    types::{Batch, CommitSink, Op, Position, QueueId, Storable, Token},
};

/// A buffer larger than this many times the usual commit is freed after use.
pub(crate) const KEEP_FACTOR: usize = 2;

/// A commit being built; its buffers are reused for the next one.
#[derive(Default)]
pub(crate) struct Commit {
    /// The block. Its header is not filled in yet.
    pub(crate) block: Block,
    pub(crate) records: u32,
    effects: Vec<Effect>,
    /// What this commit acknowledges, by queue. Written at its end, so that many acks become few ranges.
    acks: HashMap<QueueId, Acks>,
    confirms: Confirms,
}

#[derive(Default)]
struct Acks {
    /// Acknowledged positions that must be written.
    acked: RangeSet,
    /// Those, and acknowledged positions whose publish was never written. Ranges span the holes that cancelled writes
    /// leave, so they stay few.
    dead: RangeSet,
}

impl Commit {
    /// Empties the commit. `size` is the usual maximum size of a commit.
    pub(crate) fn clear(&mut self, size: usize) {
        self.block.clear(size.saturating_mul(KEEP_FACTOR));
        self.records = 0;
        self.effects.clear();
        self.acks.clear();
    }

    /// Adds a batch.
    ///
    /// Acks and deliveries of a batch are collected and written after its publishes. That is sound: an ack is submitted
    /// only after its message was claimed in an earlier commit, so it never precedes its publish; and what is settled
    /// was claimed in an earlier commit or earlier in this one, or its write is cancelled now.
    pub(crate) fn add(
        &mut self,
        batch: Batch,
        marks: &mut HashMap<QueueId, Position>,
        counters: &Counters,
    ) {
        self.block.begin();
        let Batch { ops, sink } = batch;
        let mut tokens = Vec::new();
        for op in ops {
            match op {
                Op::Publish {
                    queue,
                    position,
                    message,
                    token,
                } => {
                    self.publish(queue, position, message.as_ref(), counters);
                    tokens.extend(token);
                }
                Op::Ack { queue, first, last } => {
                    let acks = self.acks.entry(queue).or_default();
                    acks.acked.insert(first.0, last.0);
                    acks.dead.insert(first.0, last.0);
                }
                Op::Settle {
                    queue,
                    position,
                    message,
                } => {
                    let acks = self.acks.entry(queue).or_default();
                    acks.dead.insert(position.0, position.0);
                    if !message.cancel_write() {
                        acks.acked.insert(position.0, position.0);
                    }
                }
                Op::DeleteQueue { queue } => {
                    self.acks.remove(&queue);
                    marks.remove(&queue);
                    record::append_delete_queue(self.block.encoded(), queue);
                    self.records += 1;
                    self.effects.push(Effect::Deleted { queue });
                }
                Op::Delivered { queue, through } => {
                    let mark = marks.entry(queue).or_insert(through);
                    *mark = through.max(*mark);
                }
                Op::PutDefinition { key, value } => {
                    record::append_put_definition(self.block.encoded(), &key, &value);
                    self.records += 1;
                }
                Op::DeleteDefinition { key } => {
                    record::append_delete_definition(self.block.encoded(), &key);
                    self.records += 1;
                }
                Op::NotifySink { sink, token } => self.confirms.first.push((sink, token)),
                Op::Notify { token } => tokens.push(token),
            }
        }
        if let Some(sink) = sink {
            self.confirms.add(sink, tokens);
        }
    }

    fn publish(
        &mut self,
        queue: QueueId,
        position: Position,
        message: &dyn Storable,
        counters: &Counters,
    ) {
        if !message.begin_write(queue) {
            self.acks
                .entry(queue)
                .or_default()
                .dead
                .insert(position.0, position.0);
            counters.cancelled_writes.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let start = self.block.len() as u64;
        let appended = record::append_publish(&mut self.block, queue, position, |out| {
            message.encode_or_share(out)
        });
        self.records += 1;
        let end = match appended {
            Appended::Message => self.block.len() as u64,
            Appended::Reference => start,
        };
        // Joining publishes into runs keeps the list of effects short.
        if let Some(Effect::Published {
            queue: of,
            first,
            last,
            end: run_end,
            start: run_start,
        }) = self.effects.last_mut()
            && *of == queue
            && *run_end > *run_start
            && end > start
            && end - *run_start <= RUN_BYTES
        {
            *first = position.0.min(*first);
            *last = position.0.max(*last);
            *run_end = end;
            return;
        }
        self.effects.push(Effect::Published {
            queue,
            first: position.0,
            last: position.0,
            start,
            end,
        });
    }

    /// Completes the commit. Returns false if there is nothing to write.
    pub(crate) fn finish(&mut self, marks: &mut HashMap<QueueId, Position>) -> bool {
        self.block.begin();
        for (&queue, acks) in &self.acks {
            let mut written = None;
            for (first, _) in acks.acked.iter() {
                let range = acks.dead.covering(first);
                if let Some((first, last)) = range.filter(|_| range != written) {
                    record::append_ack(
                        self.block.encoded(),
                        queue,
                        Position(first),
                        Position(last),
                    );
                    self.records += 1;
                    written = range;
                }
            }
        }
        if self.records > 0 {
            self.write_marks(marks);
        }
        self.records > 0
    }

    /// Appends the pending delivery marks.
    pub(crate) fn write_marks(&mut self, marks: &mut HashMap<QueueId, Position>) {
        for (queue, through) in marks.drain() {
            record::append_delivered(self.block.encoded(), queue, through);
            self.records += 1;
        }
    }

    /// Returns the changes that the commit makes.
    pub(crate) fn take_effects(&mut self) -> impl Iterator<Item = Effect> {
        let dead = self.acks.drain().map(|(queue, acks)| Effect::Dead {
            queue,
            ranges: acks.dead,
        });
        self.effects.drain(..).chain(dead)
    }

    /// Notifies every sink once.
    pub(crate) fn confirm(&mut self) {
        self.confirms.send();
    }
}

/// The most bytes of a block that one run of publishes covers, as for a span.
const RUN_BYTES: u64 = 64 * 1024;

/// The tokens to give back, by sink.
#[derive(Default)]
struct Confirms {
    /// Notified before all others.
    first: Vec<(Arc<dyn CommitSink>, Token)>,
    sinks: Vec<(Arc<dyn CommitSink>, Vec<Token>)>,
    /// Indexes into `sinks`, by the sink's address.
    index: HashMap<usize, usize>,
}

impl Confirms {
    fn add(&mut self, sink: Arc<dyn CommitSink>, tokens: Vec<Token>) {
        if tokens.is_empty() {
            return;
        }
        let address = Arc::as_ptr(&sink).cast::<()>() as usize;
        match self.index.get(&address) {
            Some(&at) => self.sinks[at].1.extend(tokens),
            None => {
                self.index.insert(address, self.sinks.len());
                self.sinks.push((sink, tokens));
            }
        }
    }

    fn send(&mut self) {
        self.index.clear();
        for (sink, token) in self.first.drain(..) {
            sink.committed(&[token]);
        }
        for (sink, tokens) in self.sinks.drain(..) {
            sink.committed(&tokens);
        }
    }
}
