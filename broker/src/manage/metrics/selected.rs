//! The objects of a scrape, and their labels.

use super::description::Labels;
use super::families::Selection;
use super::global;
use crate::domain::auth::{AttemptCounts, AttemptSource};
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::domain::vhost::Vhost;
use crate::engine::exchange::Exchange;
use crate::engine::queue::Queue;
use crate::manage::pid::Pid;
use crate::plumbing::report::ChannelReport;
use std::sync::Arc;
use std::time::Duration;

/// How long connections may take to report their channels, all together.
const PATIENCE: Duration = Duration::from_secs(1);

/// The objects of a scrape.
pub(super) struct Selected<'a> {
    selection: Option<&'a Selection>,
    pub(super) vhosts: Vec<Arc<Vhost>>,
}

impl<'a> Selected<'a> {
    pub(super) fn of(broker: &Broker, selection: Option<&'a Selection>) -> Self {
        let mut vhosts = broker.vhosts();
        if let Some(selection) = selection {
            vhosts.retain(|vhost| selection.has_vhost(vhost.name().as_str()));
        }
        Selected { selection, vhosts }
    }

    pub(super) fn wants(&self, families: &[&str]) -> bool {
        self.selection.is_none_or(|selection| {
            families
                .iter()
                .any(|each| selection.families.contains(*each))
        })
    }

    pub(super) fn queues(&self) -> Vec<Arc<Queue>> {
        let mut queues: Vec<_> = self
            .vhosts
            .iter()
            .flat_map(|vhost| vhost.queues())
            .collect();
        if let Some(selection) = self.selection {
            queues.retain(|queue| selection.has_queue(queue.name().as_str()));
        }
        queues
    }

    /// Returns the exchanges, `None` for the default one of each virtual host.
    pub(super) fn exchanges(&self) -> Vec<ExchangeOf> {
        let in_vhost = |vhost: &Arc<Vhost>| {
            let named = vhost.exchanges().into_iter().map(Some);
            let all = std::iter::once(None).chain(named);
            all.map(|exchange| (vhost.clone(), exchange))
                .collect::<Vec<_>>()
        };
        self.vhosts.iter().flat_map(in_vhost).collect()
    }
}

pub(super) type ExchangeOf = (Arc<Vhost>, Option<Arc<Exchange>>);
pub(super) type ChannelOf = (String, ChannelReport);
pub(super) type WithLabels<'a> = &'a mut dyn FnMut(Labels<'_>);

pub(super) fn queue_labels(queue: &Arc<Queue>, then: WithLabels<'_>) {
    let vhost = ("vhost", queue.vhost.as_str());
    then(&[vhost, ("queue", queue.name().as_str())]);
}

/// The labels of a publish counter, which in RabbitMQ has those of the channel and the exchange, too.
pub(super) fn target_labels(queue: &Arc<Queue>, then: WithLabels<'_>) {
    let vhost = ("queue_vhost", queue.vhost.as_str());
    then(&[vhost, ("queue", queue.name().as_str())]);
}

pub(super) fn info_labels(queue: &Arc<Queue>, then: WithLabels<'_>) {
    then(&[
        ("vhost", queue.vhost.as_str()),
        ("queue", queue.name().as_str()),
        ("queue_type", global::kind_label(queue.kind)),
        ("membership", "leader"),
    ]);
}

fn exchange_name(exchange: &ExchangeOf) -> &str {
    exchange
        .1
        .as_ref()
        .map_or("", |exchange| exchange.name().as_str())
}

pub(super) fn exchange_labels(exchange: &ExchangeOf, then: WithLabels<'_>) {
    let vhost = ("vhost", exchange.0.name().as_str());
    then(&[vhost, ("exchange", exchange_name(exchange))]);
}

pub(super) fn typed_exchange_labels(exchange: &ExchangeOf, then: WithLabels<'_>) {
    let kind = exchange
        .1
        .as_ref()
        .map_or("direct", |exchange| exchange.spec.kind.name());
    then(&[
        ("vhost", exchange.0.name().as_str()),
        ("exchange", exchange_name(exchange)),
        ("type", kind),
    ]);
}

/// RabbitMQ leaves out the name if there is none.
pub(super) fn source_labels((from, _): &(AttemptSource, AttemptCounts), then: WithLabels<'_>) {
    let address = from.address.to_string();
    let labels = [
        ("remote_address", address.as_str()),
        ("username", from.username.as_str()),
        ("protocol", from.protocol.as_str()),
    ];
    match from.username.is_empty() {
        true => then(&[labels[0], labels[2]]),
        false => then(&labels),
    }
}

pub(super) fn channel_labels((pid, _): &ChannelOf, then: WithLabels<'_>) {
    then(&[("channel", pid)]);
}

/// RabbitMQ labels connections with their process, too, and calls it channel.
pub(super) fn connection_labels(info: &Arc<ConnectionInfo>, then: WithLabels<'_>) {
    let pid = Pid {
        connection: info.id.0,
        channel: 0,
    };
    then(&[("channel", &pid.to_string())]);
}

/// Asks all connections for their channels.
pub(super) async fn channels(broker: &Broker) -> Vec<ChannelOf> {
    let mut channels = Vec::new();
    for (info, report) in broker.connections.reports_where(|_| true, PATIENCE).await {
        channels.extend(report.channels.into_iter().map(|channel| {
            let pid = Pid {
                connection: info.id.0,
                channel: channel.number.0,
            };
            (pid.to_string(), channel)
        }));
    }
    channels
}
