//! A connection that consumes.

use super::client::{Client, put_ack};
use super::{Load, Shared};
use bytes::BytesMut;
use leveret_protocol::frame::FrameKind;
use leveret_protocol::method::{self, BASIC_DELIVER};
use std::io::{self, Write};
use std::sync::atomic::Ordering;

pub(super) struct Consumer {
    client: Client,
    ack: bool,
}

/// Starts consuming.
pub(super) fn start(load: &Load, n: u32) -> io::Result<Consumer> {
    let mut client = Client::connect(load)?;
    client.consume(&load.queue(n), load.ack, load.prefetch)?;
    Ok(Consumer {
        client,
        ack: load.ack,
    })
}

impl Consumer {
    /// Takes deliveries until told to stop.
    pub(super) fn run(mut self, shared: &Shared) -> io::Result<()> {
        let mut out = BytesMut::new();
        while !shared.stop.load(Ordering::Relaxed) {
            let mut count = 0;
            let ack = self.ack;
            while self.client.take_frame(|frame, payload| {
                if frame.kind == FrameKind::Method
                    && method::peek_id(payload) == Some(BASIC_DELIVER)
                {
                    count += 1;
                    if ack {
                        put_ack(&mut out, delivery_tag(payload), false);
                    }
                }
                Ok(())
            })? {}
            shared.consumed.fetch_add(count, Ordering::Relaxed);
            if !out.is_empty() {
                self.client.socket.write_all(&out)?;
                out.clear();
            }
            self.client.read()?;
        }
        Ok(())
    }
}

/// The delivery tag of basic.deliver, behind the consumer tag.
fn delivery_tag(payload: &[u8]) -> u64 {
    let at = 5 + usize::from(payload.get(4).copied().unwrap_or(0));
    let octets = payload
        .get(at..at + 8)
        .and_then(|octets| octets.try_into().ok());
    octets.map_or(0, u64::from_be_bytes)
}
