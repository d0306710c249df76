//! Where sled ends when it opens a file that a crash has left.
//!
//! Each segment's header says up to where everything was synced when the segment was begun. From the segment of the
//! furthest such place on, sled goes on without a gap, segment by segment and message by message, up to the first that is
//! missing or unreadable. What stands behind that is as if it had never been written; so is a batch that does not end
//! before it, with all that follows.

use std::{collections::BTreeMap, io};

use crate::{
    sled_format::{BATCH, SegmentHeader, Stretch, parse_batch, read_segment},
    sled_store::SEGMENT_SIZE,
};

/// What the headers of the segments say.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// By lsn, where in the file a segment stands.
    segments: BTreeMap<i64, u64>,
    /// Up to here everything was synced.
    stable: i64,
}

impl Tail {
    /// Notes the header of the segment that begins at byte `at` of the file.
    pub(super) fn take(&mut self, header: &SegmentHeader, at: u64) {
        self.segments.insert(header.lsn, at);
        self.stable = self.stable.max(header.stable);
    }

    /// The lsn behind the last message that sled takes; `load` reads the segment that begins at a byte of the file.
    ///
    /// # Errors
    /// `load` failed.
    pub(super) fn end(
        &self,
        mut load: impl FnMut(u64, &mut Vec<u8>) -> io::Result<()>,
    ) -> io::Result<i64> {
        let size = i64::try_from(SEGMENT_SIZE).unwrap_or(i64::MAX);
        let mut segment = self.stable / size * size;
        let mut end = segment;
        let mut batches = Vec::new();
        let mut bytes = Vec::new();
        let mut torn = false;
        while let Some(&at) = self.segments.get(&segment).filter(|_| !torn) {
            load(at, &mut bytes)?;
            // Where the file ends within a segment, so do its messages.
            bytes.resize(SEGMENT_SIZE, 0);
            read_segment(segment, at, &bytes, |stretch| match stretch {
                Stretch::Tear { lsn, .. } if !torn => {
                    torn = true;
                    end = lsn;
                }
                Stretch::Message {
                    kind,
                    lsn,
                    offset,
                    body,
                    ..
                } if !torn => {
                    let within = offset - at + body.len() as u64;
                    end = segment + i64::try_from(within).unwrap_or(size);
                    if kind == BATCH {
                        batches.extend(parse_batch(body).map(|last| (lsn, last)));
                    }
                }
                Stretch::Tear { .. } | Stretch::Message { .. } => {}
            });
            segment += size;
        }
        let cut = batches.into_iter().find(|(_, last)| *last >= end);
        Ok(cut.map_or(end, |(lsn, _)| lsn))
    }
}
