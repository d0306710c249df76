//! Consumers.

use super::{Arguments, Channel};
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::engine::queue as engine;
use crate::manage::pid::Pid;
use crate::text::names::NODE_NAME;
use serde::Serialize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use utoipa::ToSchema;

/// A consumer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Consumer {
    /// Its name on its channel.
    pub consumer_tag: String,
    /// The queue that it consumes from.
    pub queue: QueueRef,
    /// Its channel.
    pub channel_details: ChannelDetails,
    /// Whether its deliveries have to be acknowledged.
    pub ack_required: bool,
    /// Whether it has the queue exclusively.
    pub exclusive: bool,
    /// How many deliveries it may have unacknowledged; 0 for any number.
    pub prefetch_count: u64,
    /// How many milliseconds it may hold a delivery; 0 for any time.
    pub consumer_timeout: u64,
    /// Whether it gets messages.
    pub active: bool,
    /// `up`, `single_active` or `waiting`.
    pub activity_status: &'static str,
    /// The arguments of basic.consume.
    #[schema(value_type = Object)]
    pub arguments: Arguments,
    /// The pid of its channel.
    #[serde(skip)]
    pub channel_pid: Pid,
}

/// A queue's names.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QueueRef {
    /// Its name.
    pub name: String,
    /// Its virtual host.
    pub vhost: String,
}

/// What is shown of the channel of a consumer. Nothing, if its connection is about to end.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ChannelDetails {
    /// An open channel.
    Open(ChannelRef),
    /// A channel whose connection has ended.
    Gone {},
}

/// An open channel.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ChannelRef {
    /// Its name: that of its connection, and its number.
    pub name: String,
    /// Its number.
    pub number: u16,
    /// Its connection.
    pub connection_name: String,
    /// The client's address.
    pub peer_host: String,
    /// The client's port.
    pub peer_port: u16,
    /// The user who opened the connection.
    pub user: String,
    /// The node.
    pub node: &'static str,
}

impl Consumer {
    /// Describes a consumer.
    pub fn of(broker: &Broker, consumer: &engine::Consumer) -> Self {
        let connection = broker.connections.get(consumer.mailbox.connection());
        let connected = connection.is_some() && !consumer.cancelled.load(Ordering::Relaxed);
        let (active, activity_status) = match consumer.queue.single_active_consumer() {
            (Some(holder), true) if holder.id == consumer.id => (true, "single_active"),
            (_, true) => (false, "waiting"),
            (_, false) if connected => (true, "up"),
            (_, false) => (false, "waiting"),
        };
        let number = consumer.channel.0;
        let channel = connection.map(|connection| ChannelRef::of(&connection, number));
        Consumer {
            consumer_tag: consumer.tag.to_string(),
            queue: QueueRef {
                name: consumer.queue.name().to_string(),
                vhost: consumer.queue.vhost.to_string(),
            },
            channel_details: channel.map_or(ChannelDetails::Gone {}, ChannelDetails::Open),
            ack_required: !consumer.no_ack,
            exclusive: consumer.exclusive,
            prefetch_count: consumer.credit.limit().into(),
            consumer_timeout: timeout(broker, consumer),
            active,
            activity_status,
            arguments: Arguments(consumer.arguments.table()),
            channel_pid: channel_pid(consumer),
        }
    }

    /// Describes the consumers of a channel.
    pub fn of_channel(broker: &Broker, channel: &Channel) -> Vec<Consumer> {
        let vhost = channel.vhost.as_deref().and_then(|name| broker.vhost(name));
        let pid = Pid {
            connection: channel.connection.0,
            channel: channel.number,
        };
        let queues = vhost.into_iter().flat_map(|vhost| vhost.queues());
        let consumers = queues.flat_map(|queue| queue.consumers());
        let own = consumers.filter(|consumer| channel_pid(consumer) == pid);
        own.map(|consumer| Consumer::of(broker, &consumer))
            .collect()
    }

    /// Returns the name of the user who consumes, if that is known.
    pub fn user(&self) -> Option<&str> {
        match &self.channel_details {
            ChannelDetails::Open(channel) => Some(&channel.user),
            ChannelDetails::Gone {} => None,
        }
    }
}

/// The acknowledgement timeout of a consumer: its own, its queue's, or the default.
fn timeout(broker: &Broker, consumer: &engine::Consumer) -> u64 {
    let millis = |limit: Option<Duration>| limit.map_or(0, |limit| limit.as_millis() as u64);
    let own = consumer.ack_timeout.map(millis);
    own.or_else(|| consumer.queue.settings().consumer_timeout)
        .unwrap_or_else(|| millis(broker.limits().consumer_timeout))
}

impl ChannelRef {
    fn of(connection: &ConnectionInfo, number: u16) -> Self {
        let label = connection.label();
        ChannelRef {
            name: format!("{label} ({number})"),
            number,
            connection_name: label,
            peer_host: connection.ends.peer.host(),
            peer_port: connection.ends.peer.port(),
            user: connection.details().user_name().to_owned(),
            node: NODE_NAME,
        }
    }
}

/// Returns the pid of a consumer's channel.
pub(super) fn channel_pid(consumer: &engine::Consumer) -> Pid {
    Pid {
        connection: consumer.mailbox.connection().0,
        channel: consumer.channel.0,
    }
}
