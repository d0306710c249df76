//! A connection that publishes.

use super::client::{Client, put_publish};
use super::{Load, Shared};
use bytes::BytesMut;
use leveret_protocol::frame::FrameKind;
use leveret_protocol::method::{self, Method};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Octets written at a time.
const BURST: usize = 64 * 1024;

/// Publishes until told to stop; returns the times from publish to confirm.
pub(super) fn run(load: &Load, n: u32, shared: &Shared) -> io::Result<Vec<Duration>> {
    let mut client = Client::connect(load)?;
    if load.confirm > 0 {
        client.confirm_select()?;
    }
    // delivery-mode only, or none at all
    let properties: &[u8] = if load.persistent {
        &[0x10, 0, 2]
    } else {
        &[0, 0]
    };
    let body: Vec<u8> = (0..load.size).map(|i| (i * 31 + 7) as u8).collect();
    let mut one = BytesMut::new();
    put_publish(
        &mut one,
        &load.queue(n),
        properties,
        &body,
        client.frame_max,
    );
    let per_burst = (BURST / one.len()).max(1);
    let burst = one.repeat(per_burst);
    if load.confirm == 0 {
        while !shared.stop_publishing.load(Ordering::Relaxed) {
            client.socket.write_all(&burst)?;
            shared
                .published
                .fetch_add(per_burst as u64, Ordering::Relaxed);
        }
        return Ok(Vec::new());
    }
    let mut window = Window::default();
    while !shared.stop_publishing.load(Ordering::Relaxed) {
        // The window is filled before anything is waited for.
        let room = load.confirm as usize - window.sent.len();
        for first in (0..room).step_by(per_burst) {
            let count = per_burst.min(room - first);
            client.socket.write_all(&burst[..count * one.len()])?;
            let now = Instant::now();
            window.sent.extend(std::iter::repeat_n(Some(now), count));
            shared.published.fetch_add(count as u64, Ordering::Relaxed);
        }
        let confirmed = window.read(&mut client)?;
        shared.confirmed.fetch_add(confirmed, Ordering::Relaxed);
    }
    Ok(window.latencies)
}

/// Publishes that are not confirmed yet.
#[derive(Default)]
struct Window {
    confirmed_through: u64,
    sent: VecDeque<Option<Instant>>,
    latencies: Vec<Duration>,
}

impl Window {
    /// Reads once and takes the confirms that came.
    fn read(&mut self, client: &mut Client) -> io::Result<u64> {
        client.read()?;
        let now = Instant::now();
        let mut confirmed = 0;
        while client.take_frame(|frame, payload| {
            if frame.kind == FrameKind::Method
                && let Method::Ack { tag, multiple } =
                    method::decode(payload).map_err(io::Error::other)?
            {
                confirmed += self.confirm(tag.0, multiple, now);
            }
            Ok(())
        })? {}
        Ok(confirmed)
    }

    fn confirm(&mut self, tag: u64, multiple: bool, now: Instant) -> u64 {
        let last = (tag - self.confirmed_through) as usize;
        let first = if multiple { 0 } else { last - 1 };
        let mut confirmed = 0;
        for slot in self.sent.range_mut(first..last) {
            if let Some(sent) = slot.take() {
                self.latencies.push(now - sent);
                confirmed += 1;
            }
        }
        while let Some(None) = self.sent.front() {
            self.sent.pop_front();
            self.confirmed_through += 1;
        }
        confirmed
    }
}
