//! A connection that consumes.

use super::meter::{Shared, now};
use super::options::{Load, STAMP};
use super::pace::Pace;
use crate::client::Dialer;
use crate::client::Patience;
use crate::client::{Client, check_frame};
use bytes::BytesMut;
use leveret_protocol::frame::{Frame, FrameKind};
use leveret_protocol::method::{self, BASIC_DELIVER};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{ChannelId, DeliveryTag, MethodId};
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

const CONSUME_OK: MethodId = MethodId::new(60, 21);
/// The longest sleep of a rate-limited consumer.
const MAX_SLEEP: Duration = Duration::from_millis(50);

pub(super) struct Consumer<'a> {
    client: Client,
    shared: &'a Shared,
    pace: Pace,
    /// The number of deliveries still to consume.
    remaining: u64,
    received: Received,
    out: BytesMut,
}

/// What has been received.
struct Received {
    ack_every: Option<u32>,
    stamped: bool,
    answers: usize,
    /// By number, so that the first is that of the connection.
    channels: Vec<OnChannel>,
    times: Vec<(u64, u64)>,
}

/// What has been received on a channel.
#[derive(Clone, Default)]
struct OnChannel {
    /// The number of deliveries since the last acknowledgement, and the tag of the last one.
    not_acked: u32,
    last_tag: u64,
    /// The next body frame is the first of its message.
    body_begins: bool,
}

impl<'a> Consumer<'a> {
    /// Creates the n-th consumer, on a connection that already receives deliveries.
    pub(super) fn new(load: &Load, n: u32, client: Client, shared: &'a Shared) -> Self {
        Consumer {
            client,
            shared,
            pace: Pace::new(load.consumer_rate, now(), (n, load.consumers)),
            remaining: load.cmessages.unwrap_or(u64::MAX),
            received: Received {
                ack_every: load.ack_every(),
                stamped: load.measure_latency,
                answers: 0,
                channels: vec![OnChannel::default(); usize::from(load.consumer_channels()) + 1],
                times: Vec::new(),
            },
            out: BytesMut::new(),
        }
    }

    /// Connects and starts to consume from the queues of the n-th consumer, on each channel.
    pub(super) fn start(
        load: &Load,
        dialer: &Dialer,
        n: u32,
        shared: &'a Shared,
    ) -> io::Result<Self> {
        let mut client = dialer.connect()?;
        let channels = load.consumer_channels();
        client.open_channels(channels)?;
        for channel in 1..=channels {
            client.qos(channel, load.prefetch)?;
        }
        let queues = load.queues_of(n, load.consumers);
        for channel in 1..=channels {
            for (at, queue) in queues.iter().enumerate() {
                let tag = format!("c{at}");
                let ack = load.ack_every().is_some();
                client.consume(channel, queue, &tag, ack, FieldTable::default())?;
            }
        }
        let consumers = queues.len() * usize::from(channels);
        let mut consumer = Consumer::new(load, n, client, shared);
        let mut patience = Patience::new(load.patience());
        while consumer.received.answers < consumers {
            if !patience.lasts("has not answered basic.consume")? {
                return Err(io::ErrorKind::Interrupted.into());
            }
            consumer.turn()?;
        }
        Ok(consumer)
    }

    /// Consumes until told to stop.
    pub(super) fn run(mut self) -> io::Result<()> {
        self.consume_all()?;
        self.client.close()
    }

    /// Does the same without a broker, so without closing the connection.
    pub(super) fn run_without_close(mut self) -> io::Result<()> {
        match self.consume_all() {
            // The relay ends when the publisher does.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            ended => ended,
        }
    }

    fn consume_all(&mut self) -> io::Result<()> {
        while !self.shared.is_over() && self.remaining > 0 {
            self.turn()?;
        }
        Ok(())
    }

    /// Processes what has arrived, acknowledges it, and waits for more.
    fn turn(&mut self) -> io::Result<()> {
        let at = now();
        let max = self.pace.due(at).min(self.remaining);
        if max == 0 {
            std::thread::sleep(self.pace.wait(at).min(MAX_SLEEP));
            return Ok(());
        }
        let (received, out) = (&mut self.received, &mut self.out);
        let mut count = 0;
        self.client.frames(|frame, payload| {
            count += u64::from(received.take(frame, payload, at, out)?);
            Ok(count < max)
        })?;
        if count > 0 {
            self.pace.advance(count);
            self.remaining -= count;
            self.shared.consumed.fetch_add(count, Ordering::Relaxed);
            self.shared.latency.record(&self.received.times);
            self.received.times.clear();
        }
        if self.remaining == 0 {
            self.received.ack_the_rest(&mut self.out);
        }
        self.acknowledge()?;
        if count < max && !self.client.read()? {
            // Nothing more has arrived: pending acknowledgements are due.
            self.received.ack_the_rest(&mut self.out);
            self.acknowledge()?;
        }
        Ok(())
    }

    fn acknowledge(&mut self) -> io::Result<()> {
        if !self.out.is_empty() {
            let shared = self.shared;
            self.client.write(&self.out, |_, _| Ok(!shared.is_over()))?;
            self.out.clear();
        }
        Ok(())
    }
}

impl Received {
    /// Processes a frame and returns whether it completes a counted message.
    fn take(
        &mut self,
        frame: Frame,
        payload: &[u8],
        at: u64,
        out: &mut BytesMut,
    ) -> io::Result<bool> {
        let Some(on) = self.channels.get_mut(usize::from(frame.channel.0)) else {
            let text = format!(
                "the broker uses channel {}, which is not open",
                frame.channel.0
            );
            return Err(io::Error::other(text));
        };
        match frame.kind {
            FrameKind::Method => match method::peek_id(payload) {
                Some(BASIC_DELIVER) => {
                    on.body_begins = true;
                    if self.ack_every.is_some() {
                        on.last_tag = delivery_tag(payload);
                    }
                    Ok(false)
                }
                Some(CONSUME_OK) => {
                    self.answers += 1;
                    Ok(false)
                }
                _ => check_frame(frame, payload).map(|_| false),
            },
            FrameKind::Body if on.body_begins => {
                on.completed(frame.channel, self.ack_every, out);
                if self.stamped
                    && let Some(stamp) = payload.first_chunk::<STAMP>()
                {
                    self.record_latency(at.saturating_sub(u64::from_be_bytes(*stamp)));
                }
                Ok(true)
            }
            // A message without a body ends with its header, which says so.
            FrameKind::Header if payload.get(4..12) == Some(&[0; 8]) => {
                on.completed(frame.channel, self.ack_every, out);
                Ok(true)
            }
            FrameKind::Body | FrameKind::Header | FrameKind::Heartbeat => Ok(false),
        }
    }

    fn record_latency(&mut self, nanoseconds: u64) {
        match self.times.last_mut() {
            Some((same, messages)) if *same == nanoseconds => *messages += 1,
            _ => self.times.push((nanoseconds, 1)),
        }
    }

    fn ack_the_rest(&mut self, out: &mut BytesMut) {
        for (on, channel) in self.channels.iter_mut().zip(0..) {
            if on.not_acked > 0 {
                method::encode_ack(out, ChannelId(channel), DeliveryTag(on.last_tag), true);
                on.not_acked = 0;
            }
        }
    }
}

impl OnChannel {
    /// Counts a message and acknowledges it if an acknowledgement is due.
    fn completed(&mut self, channel: ChannelId, ack_every: Option<u32>, out: &mut BytesMut) {
        self.body_begins = false;
        let Some(every) = ack_every else {
            return;
        };
        self.not_acked += 1;
        if self.not_acked >= every {
            method::encode_ack(out, channel, DeliveryTag(self.last_tag), every > 1);
            self.not_acked = 0;
        }
    }
}

/// Returns the delivery tag of basic.deliver, which follows the consumer tag.
fn delivery_tag(payload: &[u8]) -> u64 {
    let at = 5 + usize::from(payload.get(4).copied().unwrap_or(0));
    let bytes = payload
        .get(at..at + 8)
        .and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, u64::from_be_bytes)
}
