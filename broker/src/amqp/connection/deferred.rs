//! Channels that wait for the store, or for the peer to read: their frames wait with them, in
//! order.

use super::channel::Deferred;
use super::input::Payload;
use super::{Connection, OUTPUT_MAX, Output};
use bytes::Bytes;
use leveret_protocol::ChannelId;
use leveret_protocol::frame::Frame;
use std::collections::VecDeque;
use std::time::Instant;

impl Connection {
    /// Processes what a channel was sent while it waited. When that makes it wait again, or the
    /// peer does not read the answers, the rest waits on, as it is.
    pub(super) fn replay(
        &mut self,
        id: ChannelId,
        mut frames: VecDeque<(Frame, Bytes)>,
        now: Instant,
    ) {
        // A channel that is closed and not opened again has nothing that could wait.
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

    /// Goes on with the channels that waited for the peer to read; `false` when there are none.
    pub(super) fn replay_unread(&mut self, now: Instant) -> bool {
        if self.unread.is_empty() || self.out.len() >= OUTPUT_MAX {
            return false;
        }
        for id in std::mem::take(&mut self.unread) {
            // The number may be another channel's by now, or none's.
            let channel = self.channel_mut(id);
            let deferred =
                channel.and_then(|c| c.deferred.take_if(|deferred| deferred.wait.is_none()));
            if let Some(deferred) = deferred {
                self.replay(id, deferred.frames, now);
            }
        }
        true
    }

    /// The peer closes the connection: what it sent before takes effect, but nobody gets the
    /// answers, some of which the store still keeps waiting.
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
