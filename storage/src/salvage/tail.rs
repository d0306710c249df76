//! Determines where sled stops reading when it opens a file after a crash.
//!
//! The header of each segment says up to where everything was synced when the segment was begun. Starting with the
//! segment that contains the highest such lsn, sled reads on without a gap, segment by segment and message by message,
//! up to the first that is missing or unreadable. It ignores everything after that, and also a batch that does not end
//! before it, with everything that follows.

use std::{collections::BTreeMap, io};

use crate::{
    sled_format::{BATCH, SegmentHeader, SegmentItem, parse_batch, read_segment},
    sled_store::SEGMENT_SIZE,
};

/// The information in the headers of the segments.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// The offset of each segment in the file, by lsn.
    segments: BTreeMap<i64, u64>,
    /// The lsn up to which everything was synced.
    stable: i64,
}

impl Tail {
    /// Adds the header of the segment that begins at byte `at` of the file.
    pub(super) fn take(&mut self, header: &SegmentHeader, at: u64) {
        self.segments.insert(header.lsn, at);
        self.stable = self.stable.max(header.stable);
    }

    /// Returns the lsn after the last message that sled accepts. `load` reads the segment that begins at an offset of
    /// the file.
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
            // If the file ends within a segment, its messages end there.
            bytes.resize(SEGMENT_SIZE, 0);
            read_segment(segment, at, &bytes, |item| match item {
                SegmentItem::Tear { lsn, .. } if !torn => {
                    torn = true;
                    end = lsn;
                }
                SegmentItem::Message {
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
                SegmentItem::Tear { .. } | SegmentItem::Message { .. } => {}
            });
            segment += size;
        }
        let cut = batches.into_iter().find(|(_, last)| *last >= end);
        Ok(cut.map_or(end, |(lsn, _)| lsn))
    }
}
