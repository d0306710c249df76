//! Channels that wait for the store: their frames wait with them, in order.

use super::Connection;
use super::input::Payload;
use bytes::Bytes;
use leveret_protocol::ChannelId;
use leveret_protocol::frame::Frame;
use std::collections::VecDeque;
use std::time::Instant;

impl Connection {
    /// Processes what a channel was sent while it waited. When that makes it wait again, the rest
    /// waits again, as it is.
    pub(super) fn replay(
        &mut self,
        id: ChannelId,
        mut frames: VecDeque<(Frame, Bytes)>,
        now: Instant,
    ) {
        while let Some((frame, payload)) = frames.pop_front() {
            self.held_octets = self.held_octets.saturating_sub(frame.total());
            self.frame(frame, Payload::Owned(payload), now);
            if let Some(held) = self.channel_mut(id).and_then(|c| c.held.as_mut()) {
                held.frames = frames;
                return;
            }
        }
    }

    /// The peer closes the connection: what it sent before takes effect, though it will not see
    /// the answers that the store keeps waiting.
    pub(super) fn replay_all_held(&mut self, now: Instant) {
        for index in 0..self.channels.len() {
            let id = ChannelId(index as u16);
            while let Some(held) = self.channel_mut(id).and_then(|c| c.held.take()) {
                self.replay(id, held.frames, now);
            }
        }
    }
}
