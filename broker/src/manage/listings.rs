//! The rows of listings.

use super::columns::{
    BindingColumn, ChannelColumn, ConnectionColumn, ConsumerColumn, ExchangeColumn, QueueColumn,
    VhostColumn,
};
use super::limits;
use super::objects::binding::Listed;
use super::objects::memory::Memory;
use super::objects::{Binding, Channel, Connection, Consumer, Exchange, Queue};
use super::permissions;
use super::pid::Pid;
use super::policies;
use super::request::{ErrorKind, Request, Response};
use super::table::table;
use super::value::{Row, Value};
use crate::domain::auth::{AttemptCounts, AttemptSource, LoginProtocol};
use crate::domain::broker::Broker;
use crate::domain::vhost::Vhost;
use std::sync::Arc;

/// Returns the rows of a listing; `None` if the request is not for a listing.
pub(crate) async fn rows(
    request: &Request,
    broker: &Arc<Broker>,
) -> Option<Result<Vec<Row>, Response>> {
    Some(Ok(match request {
        Request::ListQueues { vhost, columns } => in_vhost(broker, vhost, |vhost| {
            vhost
                .queues()
                .iter()
                .map(|queue| queue_row(&Queue::of(broker, queue), columns))
                .collect()
        }),
        Request::ListExchanges { vhost, columns } => in_vhost(broker, vhost, |vhost| {
            let default = std::iter::once(Exchange::of(vhost, None));
            let declared = vhost.exchanges().into_iter();
            let declared = declared.map(|exchange| Exchange::of(vhost, Some(&exchange)));
            default
                .chain(declared)
                .map(|exchange| exchange_row(&exchange, columns))
                .collect()
        }),
        Request::ListBindings { vhost, columns } => in_vhost(broker, vhost, |vhost| {
            let bindings = Listed::in_vhost(vhost);
            let described = bindings.iter().map(Listed::describe);
            described
                .map(|binding| binding_row(&binding, columns))
                .collect()
        }),
        Request::ListConsumers { vhost, columns } => in_vhost(broker, vhost, |vhost| {
            let consumers = vhost
                .queues()
                .into_iter()
                .flat_map(|queue| queue.consumers());
            consumers
                .map(|consumer| consumer_row(&Consumer::of(broker, &consumer), columns))
                .collect()
        }),
        Request::ListVhosts { columns } => broker
            .vhosts()
            .iter()
            .map(|vhost| vhost_row(vhost, columns))
            .collect(),
        Request::ListConnections { columns } => broker
            .connections
            .list()
            .iter()
            .map(|info| connection_row(&Connection::of(broker, info), columns))
            .collect(),
        Request::ListChannels { columns } => {
            let mut rows = Vec::new();
            for (info, report) in broker.connections.reports().await {
                let connection = Connection::of(broker, &info);
                let channels = report.channels.iter();
                rows.extend(channels.map(|c| channel_row(&Channel::of(&connection, c), columns)));
            }
            rows
        }
        Request::MemoryBreakdown => Memory::of(broker)
            .rows()
            .into_iter()
            .map(|(name, bytes)| vec![name.into(), bytes.into()])
            .collect(),
        Request::ListLoginAttempts { by_source: true } => {
            let counted = broker.login_attempts.by_source().into_iter();
            let row = |(from, counts): (AttemptSource, AttemptCounts)| {
                attempts(
                    vec![from.address.to_string().into(), from.username.into()],
                    from.protocol,
                    counts,
                )
            };
            counted.map(row).collect()
        }
        Request::ListLoginAttempts { by_source: false } => {
            let counted = broker.login_attempts.by_protocol().into_iter();
            let row = |(protocol, counts)| attempts(Vec::new(), protocol, counts);
            counted.map(row).collect()
        }
        Request::ListUsers => {
            let users = broker.users.users().into_iter();
            users
                .map(|user| vec![user.name.into(), Value::Words { words: user.tags }])
                .collect()
        }
        Request::ListVhostLimits { vhost: None } => limits::of_vhosts(broker),
        Request::ListUserLimits { user: None } => limits::of_users(broker),
        Request::ListPolicies { kind, vhost } => {
            let Some(vhost) = broker.vhost(vhost) else {
                return Some(Err(Response::refused(ErrorKind::NoSuchVhost)));
            };
            policies::rows(&vhost, *kind)
        }
        Request::ListParameters { vhost } => {
            if broker.vhost(vhost).is_none() {
                return Some(Err(Response::refused(ErrorKind::NoSuchVhost)));
            }
            let parameters = broker.parameters(Some(vhost), None).into_iter();
            parameters
                .map(|one| {
                    vec![
                        one.component.into(),
                        one.name.into(),
                        one.value.to_string().into(),
                    ]
                })
                .collect()
        }
        Request::ListGlobalParameters => {
            let parameters = broker.global_parameters.list().into_iter();
            parameters
                .map(|one| vec![one.name.into(), one.value.to_string().into()])
                .collect()
        }
        Request::ListPermissions { .. }
        | Request::ListUserPermissions { .. }
        | Request::ListTopicPermissions { .. }
        | Request::ListUserTopicPermissions { .. } => return permissions::rows(request, broker),
        _ => return None,
    }))
}

/// Completes a row of counted attempts to log in.
fn attempts(mut row: Row, protocol: LoginProtocol, counts: AttemptCounts) -> Row {
    row.extend([
        protocol.as_str().into(),
        counts.all.into(),
        counts.failed.into(),
        counts.succeeded.into(),
    ]);
    row
}

/// Returns the rows of a virtual host. As in RabbitMQ 3.10, one that does not exist has none.
fn in_vhost(broker: &Broker, name: &str, rows: impl FnOnce(&Arc<Vhost>) -> Vec<Row>) -> Vec<Row> {
    broker.vhost(name).as_ref().map(rows).unwrap_or_default()
}

fn connection_pid(id: crate::engine::interfaces::ConnectionId) -> Pid {
    Pid {
        connection: id.0,
        channel: 0,
    }
}

fn queue_row(queue: &Queue, columns: &[QueueColumn]) -> Row {
    use QueueColumn as C;
    let (declared, totals, details) = (&queue.declared, &queue.totals, &queue.details);
    let (contents, parked) = (&details.contents, &details.parked);
    let cell = |column: &C| match column {
        C::Name => declared.name.as_str().into(),
        C::Durable => declared.durable.into(),
        C::AutoDelete => declared.auto_delete.into(),
        C::Exclusive => declared.exclusive.into(),
        C::OwnerPid => declared.owner.map(connection_pid).into(),
        C::Arguments => table(&declared.arguments.0),
        C::Messages => totals.messages.into(),
        C::MessagesDelayed => parked.messages_delayed.into(),
        C::MessagesReady => totals.messages_ready.into(),
        C::MessagesReadyRam => contents.messages_ready_ram.into(),
        C::MessagesUnacknowledged => totals.messages_unacknowledged.into(),
        C::MessagesUnacknowledgedRam => contents.messages_unacknowledged_ram.into(),
        C::MessagesRam => contents.messages_ram.into(),
        C::MessagesPersistent => contents.messages_persistent.into(),
        C::MessagesDlx => parked.messages_dlx.into(),
        C::MessageBytesDlx => parked.message_bytes_dlx.into(),
        C::MessageBytes => contents.message_bytes.into(),
        C::MessageBytesRam => contents.message_bytes_ram.into(),
        C::MessageBytesReady => contents.message_bytes_ready.into(),
        C::MessageBytesUnacknowledged => contents.message_bytes_unacknowledged.into(),
        C::MessageBytesPersistent => contents.message_bytes_persistent.into(),
        C::Consumers => contents.consumers.into(),
        C::Memory => contents.memory.into(),
        C::State => declared.state.into(),
        C::Type => declared.r#type.into(),
        C::Policy => details.policy.clone().into(),
        C::OperatorPolicy => details.operator_policy.clone().into(),
        C::EffectivePolicyDefinition => policies::cell(&details.effective_policy_definition),
        C::Pid => declared.pid.as_str().into(),
        C::ExclusiveConsumerPid => details.exclusive_consumer_pid.into(),
        C::ExclusiveConsumerTag => details.exclusive_consumer_tag.clone().into(),
        C::SingleActiveConsumerPid => details.single_active_consumer_pid.into(),
        C::SingleActiveConsumerTag => details.single_active_consumer_tag.clone().into(),
        C::DelayedRetry => parked.delayed_retry.as_str().into(),
        C::NextDelayedAt => parked.next_delayed_at.into(),
        C::LastDelayedAt => parked.last_delayed_at.into(),
        C::DiskReads => details.disk_reads.into(),
        C::DiskWrites => details.disk_writes.into(),
        C::ConsumerUtilisation => details.consumer_utilisation.into(),
        C::ConsumerCapacity => details.consumer_capacity.into(),
        // A stream has one, too, which only RabbitMQ's HTTP API does not show.
        C::Leader => declared.members.map_or(Value::Absent, |[node]| node.into()),
        C::Members => nodes(declared.members),
        C::Online => nodes(declared.online),
        C::HeadMessageTimestamp | C::SlavePids | C::SynchronisedSlavePids => Value::Absent,
    };
    columns.iter().map(cell).collect()
}

/// Returns a list of nodes.
fn nodes(nodes: Option<[&'static str; 1]>) -> Value {
    nodes.map_or(Value::Absent, |nodes| Value::Words {
        words: nodes.map(str::to_owned).into(),
    })
}

fn consumer_row(consumer: &Consumer, columns: &[ConsumerColumn]) -> Row {
    use ConsumerColumn as C;
    let cell = |column: &C| match column {
        C::QueueName => consumer.queue.name.as_str().into(),
        C::ChannelPid => consumer.channel_pid.into(),
        C::ConsumerTag => consumer.consumer_tag.as_str().into(),
        C::AckRequired => consumer.ack_required.into(),
        C::PrefetchCount => consumer.prefetch_count.into(),
        C::Active => consumer.active.into(),
        C::ActivityStatus => consumer.activity_status.into(),
        C::Arguments => table(&consumer.arguments.0),
    };
    columns.iter().map(cell).collect()
}

fn exchange_row(exchange: &Exchange, columns: &[ExchangeColumn]) -> Row {
    use ExchangeColumn as C;
    let cell = |column: &C| match column {
        C::Name => exchange.name.as_str().into(),
        C::Type => exchange.r#type.into(),
        C::Durable => exchange.durable.into(),
        C::AutoDelete => exchange.auto_delete.into(),
        C::Internal => exchange.internal.into(),
        C::MessagesDelayed => exchange.messages_delayed.into(),
        C::Arguments => table(&exchange.arguments.0),
        C::Policy => exchange.policy.clone().into(),
    };
    columns.iter().map(cell).collect()
}

fn binding_row(binding: &Binding, columns: &[BindingColumn]) -> Row {
    use BindingColumn as C;
    let cell = |column: &C| match column {
        C::SourceName => binding.source.as_str().into(),
        C::SourceKind => "exchange".into(),
        C::DestinationName => binding.destination.as_str().into(),
        C::DestinationKind => binding.destination_type.into(),
        C::RoutingKey => binding.routing_key.as_str().into(),
        C::Arguments => table(&binding.arguments.0),
    };
    columns.iter().map(cell).collect()
}

fn vhost_row(vhost: &Vhost, columns: &[VhostColumn]) -> Row {
    use VhostColumn as C;
    let metadata = vhost.metadata();
    let cell = |column: &C| match column {
        C::Name => vhost.name().as_str().into(),
        C::Description => metadata.description.as_str().into(),
        C::Tags => Value::Words {
            words: metadata.tags.clone(),
        },
        C::Tracing => vhost.is_traced().into(),
        C::DefaultQueueType => metadata
            .default_queue_type
            .map_or("undefined", |kind| kind.as_str())
            .into(),
        C::ClusterState => Value::Absent,
    };
    columns.iter().map(cell).collect()
}

fn connection_row(connection: &Connection, columns: &[ConnectionColumn]) -> Row {
    use ConnectionColumn as C;
    let encryption = &connection.encryption;
    let cell = |column: &C| match column {
        C::Pid => connection_pid(connection.id).into(),
        C::Name => connection.name.as_str().into(),
        C::User => connection.user.as_str().into(),
        C::Vhost => connection.vhost.clone().into(),
        C::PeerHost => connection.peer_host.as_str().into(),
        C::PeerPort => connection.peer_port.into(),
        C::Host => connection.host.as_str().into(),
        C::Port => connection.port.into(),
        C::State => connection.state.into(),
        C::Channels => connection.channels.into(),
        C::Protocol => Value::Tuple {
            tuple: vec![0, 9, 1],
        },
        C::AuthMechanism => connection.auth_mechanism.as_str().into(),
        C::ChannelMax => connection.channel_max.into(),
        C::FrameMax => connection.frame_max.into(),
        C::Timeout => connection.timeout.into(),
        C::ClientProperties => table(&connection.client_properties),
        C::ConnectedAt => connection.connected_at.into(),
        C::RecvOct => connection.recv_oct.into(),
        C::SendOct => connection.send_oct.into(),
        C::RecvCnt => connection.recv_cnt.into(),
        C::SendCnt => connection.send_cnt.into(),
        C::SendPend => connection.send_pend.into(),
        C::Ssl => encryption.ssl.into(),
        C::SslCipher => encryption.ssl_cipher.into(),
        C::SslHash => encryption.ssl_hash.into(),
        C::SslKeyExchange => encryption.ssl_key_exchange.into(),
        C::SslProtocol => encryption.ssl_protocol.into(),
        C::PeerCertIssuer => encryption.peer_cert_issuer.as_deref().into(),
        C::PeerCertSubject => encryption.peer_cert_subject.as_deref().into(),
        C::PeerCertValidity => encryption.peer_cert_validity.as_deref().into(),
    };
    columns.iter().map(cell).collect()
}

fn channel_row(channel: &Channel, columns: &[ChannelColumn]) -> Row {
    use ChannelColumn as C;
    let pid = Pid {
        connection: channel.connection.0,
        channel: channel.number,
    };
    let cell = |column: &C| match column {
        C::Pid => pid.into(),
        C::Connection => connection_pid(channel.connection).into(),
        C::Name => channel.name.as_str().into(),
        C::Number => channel.number.into(),
        C::User => channel.user.as_str().into(),
        C::Vhost => channel.vhost.clone().into(),
        C::Transactional => channel.transactional.into(),
        C::Confirm => channel.confirm.into(),
        C::ConsumerCount => channel.consumer_count.into(),
        C::MessagesUnacknowledged => channel.messages_unacknowledged.into(),
        C::MessagesUnconfirmed => channel.messages_unconfirmed.into(),
        C::MessagesUncommitted => channel.messages_uncommitted.into(),
        C::AcksUncommitted => channel.acks_uncommitted.into(),
        C::PrefetchCount => channel.prefetch_count.into(),
        C::GlobalPrefetchCount => channel.global_prefetch_count.into(),
    };
    columns.iter().map(cell).collect()
}
