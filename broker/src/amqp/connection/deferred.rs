//! Channels that wait for the store, or for the peer to read: their later frames are deferred and
//! replayed in order.

use super::channel::Deferred;
use super::input::Payload;
use super::{Connection, OUTPUT_MAX, Output};
use bytes::Bytes;
use leveret_protocol::ChannelId;
use leveret_protocol::frame::Frame;
use std::collections::VecDeque;
use std::time::Instant;

impl Connection {
    /// Processes the frames that a channel was sent while it waited. If one of them makes it wait
    /// again, or the peer does not read the answers, the rest stays deferred.
    pub(super) fn replay(
        &mut self,
        id: ChannelId,
        mut frames: VecDeque<(Frame, Bytes)>,
        now: Instant,
    ) {
        // A channel that was closed and not reopened has nothing that could wait.
        while self.out.len() < OUTPUT_MAX || self.channel_mut(id).is_none() {
            let Some((frame, payload)) = frames.pop_front() else {
                return;
            };
            self.deferred_bytes = self.deferred_bytes.saturating_sub(frame.total());
            self.frame(frame, Payload::Owned(payload), now);
            if let Some(deferred) = self.channel_mut(id).and_then(|c| c.deferred.as_mut()) {
                deferred.frames = frames;
                return;
            }
        }
        if let Some(channel) = self.channel_mut(id) {
            channel.deferred = Some(Deferred { wait: None, frames });
            self.unread.push(id);
        }
    }

    /// Replays the channels that waited for the peer to read. Returns false if there are none.
    pub(super) fn replay_unread(&mut self, now: Instant) -> bool {
        if self.unread.is_empty() || self.out.len() >= OUTPUT_MAX {
            return false;
        }
        for id in std::mem::take(&mut self.unread) {
            // The number may belong to another channel by now, or to none.
            let channel = self.channel_mut(id);
            let deferred =
                channel.and_then(|c| c.deferred.take_if(|deferred| deferred.wait.is_none()));
            if let Some(deferred) = deferred {
                self.replay(id, deferred.frames, now);
            }
        }
        true
    }

    /// Replays all deferred frames because the peer closes the connection: what it sent takes
    /// effect, but the answers, some of which still wait for the store, are dropped.
    pub(super) fn replay_all_deferred(&mut self, now: Instant) {
        let out = std::mem::take(&mut self.out);
        for id in self.channels.ids() {
            while let Some(deferred) = self.channel_mut(id).and_then(|c| c.deferred.take()) {
                self.replay(id, deferred.frames, now);
                self.out = Output::default();
            }
        }
        self.out = out;
    }
}
