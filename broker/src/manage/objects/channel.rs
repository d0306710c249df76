//! Channels.

use super::connection::Connection;
use super::erlang::ErlangProcess;
use crate::domain::broker::Broker;
use crate::engine::interfaces::ConnectionId;
use crate::engine::statistics::{MessageStats, Tracked};
use crate::plumbing::report::ChannelReport;
use crate::text::names::NODE_NAME;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;

/// A channel.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Channel {
    /// The connection that it is on.
    #[serde(skip)]
    pub connection: ConnectionId,
    /// The same.
    pub connection_details: ConnectionDetails,
    /// The connection's name and the number: `peer -> local (1)`.
    pub name: String,
    /// Its number on the connection.
    pub number: u16,
    /// The node that serves it.
    pub node: &'static str,
    /// `running`.
    pub state: &'static str,
    /// The user.
    pub user: String,
    /// The user once more.
    pub user_who_performed_action: String,
    /// The virtual host.
    pub vhost: Option<String>,
    /// Whether it is in transactional mode.
    pub transactional: bool,
    /// Whether it is in confirm mode.
    pub confirm: bool,
    /// Its consumers.
    pub consumer_count: u64,
    /// Deliveries that wait for an acknowledgement.
    pub messages_unacknowledged: u64,
    /// Publishes that are not confirmed yet.
    pub messages_unconfirmed: u64,
    /// Publishes that wait for the commit.
    pub messages_uncommitted: u64,
    /// Acknowledgements that wait for the commit.
    pub acks_uncommitted: u64,
    /// Commands that wait for a quorum of nodes; 0.
    pub pending_raft_commands: u64,
    /// Prefetch for consumers that are started from now on; 0 for no limit.
    pub prefetch_count: u32,
    /// Prefetch of the channel as a whole; 0 for no limit.
    pub global_prefetch_count: u32,
    /// Zeros.
    #[serde(flatten)]
    pub process: ErlangProcess,
    /// What it has counted.
    #[serde(skip)]
    pub stats: MessageStats,
    /// Its history.
    #[serde(skip)]
    pub tracked: Arc<Tracked>,
}

/// The connection of a channel.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConnectionDetails {
    /// `peer -> local`.
    pub name: String,
    /// The client's address.
    pub peer_host: String,
    /// The client's port.
    pub peer_port: u16,
}

impl Channel {
    /// Returns the channels of connections that have opened a virtual host, in the order of virtual hosts, names and
    /// numbers.
    pub async fn list(broker: &Broker, wanted: impl Fn(&Connection) -> bool) -> Vec<Self> {
        let connections = Connection::list(broker, wanted);
        let connections: BTreeMap<_, _> = connections
            .into_iter()
            .map(|(info, connection)| (info.id, connection))
            .collect();
        let reports = broker
            .connections
            .reports_where(|info| connections.contains_key(&info.id), Duration::MAX);
        let mut channels = Vec::new();
        for (info, report) in reports.await {
            if let Some(connection) = connections.get(&info.id) {
                let reported = report.channels.iter();
                channels.extend(reported.map(|one| Channel::of(connection, one)));
            }
        }
        let key = |channel: &Channel| {
            let connection = channel.connection_details.name.clone();
            (channel.vhost.clone(), connection, channel.number)
        };
        channels.sort_by_cached_key(key);
        channels
    }

    /// Describes a channel.
    pub fn of(connection: &Connection, report: &ChannelReport) -> Self {
        Channel {
            connection: connection.id,
            name: format!("{} ({})", connection.name, report.number),
            connection_details: ConnectionDetails {
                name: connection.name.clone(),
                peer_host: connection.peer_host.clone(),
                peer_port: connection.peer_port,
            },
            number: report.number.0,
            node: NODE_NAME,
            state: "running",
            user: connection.user.clone(),
            user_who_performed_action: connection.user.clone(),
            vhost: connection.vhost.clone(),
            transactional: report.transactional,
            confirm: report.confirm,
            consumer_count: report.consumers,
            messages_unacknowledged: report.unacknowledged,
            messages_unconfirmed: report.unconfirmed,
            messages_uncommitted: report.uncommitted,
            acks_uncommitted: report.uncommitted_acks,
            pending_raft_commands: 0,
            prefetch_count: report.prefetch,
            global_prefetch_count: report.global_prefetch,
            process: ErlangProcess::default(),
            stats: report.stats,
            tracked: report.tracked.clone(),
        }
    }
}
