//! Streams: where they begin and end, and how far their readers are.

use super::Arguments;
use super::consumer::{ChannelDetails, Consumer};
use crate::domain::broker::Broker;
use crate::engine::queue as engine;
use crate::engine::stream as streams;
use crate::manage::policies;
use serde::Serialize;
use utoipa::ToSchema;

/// A stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Stream {
    /// Its name.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
    /// Whether it survives a restart.
    pub durable: bool,
    /// The arguments of its declaration.
    #[schema(value_type = Object)]
    pub arguments: Arguments,
    /// The policy that applies to it.
    pub policy: Option<String>,
    /// How many messages it has.
    pub messages: u64,
    /// Their size in bytes.
    pub message_bytes: u64,
    /// The offset of the first message; that of the next one if there is none.
    pub first_offset: u64,
    /// The offset after the last message.
    pub next_offset: u64,
    /// How many parts it has that are dropped as a whole.
    pub segments: usize,
    /// Bytes of the messages as they are stored; absent if they are only in memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_bytes: Option<u64>,
    /// Who reads it.
    pub readers: Readers,
}

/// Who reads a stream: how many in lists, and all of them for one stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Readers {
    /// Their number.
    Count(usize),
    /// Each.
    All(Vec<Reader>),
}

/// A consumer of a stream.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Reader {
    /// Its name on its channel.
    pub consumer_tag: String,
    /// The number of its channel; `null` if its connection is about to end, like the next two.
    pub channel: Option<u16>,
    /// The name of its connection.
    pub connection: Option<String>,
    /// The user who opened the connection.
    pub user: Option<String>,
    /// The offset of the next message that it is sent.
    pub offset: u64,
    /// How many messages it has still to be sent.
    pub lag: u64,
    /// How many it may have unacknowledged.
    pub prefetch_count: u64,
}

impl Stream {
    /// Describes a stream with the number of its readers; `None` if the queue is none.
    pub fn of(broker: &Broker, queue: &engine::Queue) -> Option<Self> {
        let (stream, spec) = (queue.stream()?, &queue.spec);
        let (counts, extent) = (queue.counts(), stream.extent());
        Some(Stream {
            name: queue.name().to_string(),
            vhost: queue.vhost.to_string(),
            durable: spec.durable,
            arguments: Arguments::from(&spec.arguments),
            policy: policies::name(queue.policy()),
            messages: counts.ready,
            message_bytes: counts.ready_bytes,
            first_offset: extent.first,
            next_offset: extent.next,
            segments: extent.units,
            disk_bytes: broker.store.is_some().then_some(extent.bytes),
            readers: Readers::Count(usize::try_from(counts.consumers).unwrap_or(usize::MAX)),
        })
    }

    /// Describes a stream and its readers; `None` if the queue is none.
    pub fn in_full(broker: &Broker, queue: &engine::Queue) -> Option<Self> {
        let described = Stream::of(broker, queue)?;
        let cursors = queue.stream()?.cursors();
        let readers = cursors
            .iter()
            .map(|cursor| Reader::of(broker, cursor, &described));
        Some(Stream {
            readers: Readers::All(readers.collect()),
            ..described
        })
    }
}

impl Reader {
    fn of(broker: &Broker, cursor: &streams::Cursor, stream: &Stream) -> Self {
        let consumer = Consumer::of(broker, &cursor.consumer);
        let channel = match consumer.channel_details {
            ChannelDetails::Open(channel) => Some(channel),
            ChannelDetails::Gone {} => None,
        };
        // What was dropped before it was read is passed over.
        let offset = cursor.offset().max(stream.first_offset);
        Reader {
            consumer_tag: consumer.consumer_tag,
            channel: channel.as_ref().map(|channel| channel.number),
            connection: channel.as_ref().map(|it| it.connection_name.clone()),
            user: channel.map(|channel| channel.user),
            offset,
            lag: stream.next_offset.saturating_sub(offset),
            prefetch_count: consumer.prefetch_count,
        }
    }
}
