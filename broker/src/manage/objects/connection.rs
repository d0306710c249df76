//! Connections.

use super::erlang::ErlangProcess;
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::engine::interfaces::ConnectionId;
use crate::manage::table;
use crate::plumbing::ledger::Kind as Held;
use crate::text::names::NODE_NAME;
use leveret_protocol::values::FieldTable;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};
use utoipa::ToSchema;

/// A connection.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Connection {
    /// Identifies it while the broker runs.
    #[serde(skip)]
    pub id: ConnectionId,
    /// `peer -> local`.
    pub name: String,
    /// What the client calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_provided_name: Option<String>,
    /// The node that serves it.
    pub node: &'static str,
    /// `network`.
    pub r#type: &'static str,
    /// The protocol: `AMQP 0-9-1`, or `Web AMQP 0-9-1` over WebSocket.
    pub protocol: &'static str,
    /// The user; empty before the login.
    pub user: String,
    /// The user once more.
    pub user_who_performed_action: String,
    /// The virtual host; `null` before it is opened.
    pub vhost: Option<String>,
    /// `running`, `blocked`, `blocking`, `flow` or `starting`.
    pub state: &'static str,
    /// Open channels.
    pub channels: u64,
    /// The login mechanism.
    pub auth_mechanism: String,
    /// The maximum number of channels.
    pub channel_max: u16,
    /// The maximum size of a frame in bytes.
    pub frame_max: u32,
    /// The heartbeat interval in seconds; 0 for none.
    pub timeout: u16,
    /// What the client says about itself.
    #[serde(serialize_with = "table::serialize")]
    #[schema(value_type = Object)]
    pub client_properties: FieldTable,
    /// When it was accepted, in milliseconds since the epoch.
    pub connected_at: u64,
    /// The broker's address.
    pub host: String,
    /// The broker's port.
    pub port: u16,
    /// The client's address.
    pub peer_host: String,
    /// The client's port.
    pub peer_port: u16,
    /// Bytes received.
    pub recv_oct: u64,
    /// Reads from the socket.
    pub recv_cnt: u64,
    /// Bytes sent.
    pub send_oct: u64,
    /// Writes to the socket.
    pub send_cnt: u64,
    /// Bytes that the client has not read yet.
    pub send_pend: u64,
    /// Its encryption.
    #[serde(flatten)]
    pub encryption: Encryption,
    /// Zeros.
    #[serde(flatten)]
    pub process: ErlangProcess,
}

/// How a connection is encrypted. Without TLS, or a certificate of the client, there are no values.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
#[allow(missing_docs, reason = "RabbitMQ's keys")]
pub struct Encryption {
    pub ssl: bool,
    pub ssl_cipher: Option<&'static str>,
    pub ssl_hash: Option<&'static str>,
    pub ssl_key_exchange: Option<&'static str>,
    pub ssl_protocol: Option<&'static str>,
    pub peer_cert_issuer: Option<String>,
    pub peer_cert_subject: Option<String>,
    pub peer_cert_validity: Option<String>,
}

impl Encryption {
    fn of(info: &ConnectionInfo) -> Self {
        let Some(agreed) = info.ends.encryption.as_deref() else {
            return Encryption::default();
        };
        let peer = agreed.peer.as_deref();
        Encryption {
            ssl: true,
            ssl_cipher: Some(agreed.cipher),
            ssl_hash: Some(agreed.hash),
            ssl_key_exchange: Some(agreed.key_exchange),
            ssl_protocol: Some(agreed.protocol),
            peer_cert_issuer: peer.map(|peer| peer.issuer.clone()),
            peer_cert_subject: peer.map(|peer| peer.subject.clone()),
            peer_cert_validity: peer.map(|peer| peer.validity.clone()),
        }
    }
}

impl Connection {
    /// Returns the connections to these virtual hosts or of these users that have opened a virtual host, in the order of
    /// virtual hosts and names. RabbitMQ does not list connections before that.
    pub fn list(
        broker: &Broker,
        wanted: impl Fn(&Connection) -> bool,
    ) -> Vec<(Arc<ConnectionInfo>, Connection)> {
        let all = broker.connections.list().into_iter();
        let described = all.map(|info| {
            let connection = Connection::of(broker, &info);
            (info, connection)
        });
        let mut listed: Vec<_> = described
            .filter(|(_, connection)| connection.vhost.is_some() && wanted(connection))
            .collect();
        listed.sort_by(|(_, a), (_, b)| (&a.vhost, &a.name).cmp(&(&b.vhost, &b.name)));
        listed
    }

    /// Describes a connection.
    pub fn of(broker: &Broker, info: &ConnectionInfo) -> Self {
        let details = info.details();
        let traffic = info.traffic();
        let since = info.connected_at.duration_since(UNIX_EPOCH);
        let user = details.user_name().to_owned();
        Connection {
            id: info.id,
            name: info.label(),
            user_provided_name: details.connection_name(),
            node: NODE_NAME,
            r#type: "network",
            protocol: match info.ends.is_websocket {
                true => "Web AMQP 0-9-1",
                false => "AMQP 0-9-1",
            },
            user_who_performed_action: user.clone(),
            user,
            vhost: details.vhost.as_ref().map(ToString::to_string),
            state: info.state(broker.alarms.in_force(), Instant::now()),
            channels: traffic.channels,
            auth_mechanism: details.mechanism,
            channel_max: details.channel_max,
            frame_max: details.frame_max,
            timeout: details.heartbeat,
            client_properties: details.client_properties,
            connected_at: since.unwrap_or_default().as_millis() as u64,
            host: info.ends.local.host(),
            port: info.ends.local.port(),
            peer_host: info.ends.peer.host(),
            peer_port: info.ends.peer.port(),
            recv_oct: traffic.received,
            recv_cnt: traffic.reads,
            send_oct: traffic.sent,
            send_cnt: traffic.writes,
            send_pend: info.holdings.of(Held::Output),
            encryption: Encryption::of(info),
            process: ErlangProcess::default(),
        }
    }

    /// Writes missing values as empty text, as RabbitMQ does in the answer about a single connection.
    pub fn as_single(mut self) -> Self {
        let encryption = &mut self.encryption;
        for text in [
            &mut encryption.ssl_cipher,
            &mut encryption.ssl_hash,
            &mut encryption.ssl_key_exchange,
            &mut encryption.ssl_protocol,
        ] {
            text.get_or_insert_default();
        }
        for text in [
            &mut encryption.peer_cert_issuer,
            &mut encryption.peer_cert_subject,
            &mut encryption.peer_cert_validity,
        ] {
            text.get_or_insert_default();
        }
        self
    }
}
