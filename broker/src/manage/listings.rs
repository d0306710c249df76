//! The rows of listings.

use super::columns::{
    BindingColumn, ChannelColumn, ConnectionColumn, ConsumerColumn, ExchangeColumn, QueueColumn,
    VhostColumn,
};
use super::limits;
use super::objects::{Binding, Consumer, Exchange, Queue};
use super::pid::Pid;
use super::policies;
use super::request::{ErrorKind, Request, Response};
use super::table::table;
use super::value::{Row, Value};
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::domain::connections::Details;
use crate::domain::vhost::Vhost;
use crate::plumbing::alarms::AlarmSet;
use crate::plumbing::report::ChannelReport;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

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
            let bindings = Binding::in_vhost(vhost);
            bindings
                .iter()
                .map(|binding| binding_row(binding, columns))
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
            .map(|info| connection_row(info, broker.alarms.in_force(), columns))
            .collect(),
        Request::ListChannels { columns } => {
            let mut rows = Vec::new();
            for (info, report) in broker.connections.reports().await {
                let details = info.details();
                let channels = report.channels.iter();
                rows.extend(channels.map(|c| channel_row(&info, &details, c, columns)));
            }
            rows
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
        Request::ListPermissions { vhost } => {
            if broker.vhost(vhost).is_none() {
                return Some(Err(Response::refused(ErrorKind::NoSuchVhost)));
            }
            let permissions = broker.users.permissions_in(vhost).into_iter();
            permissions
                .map(|p| {
                    vec![
                        p.user.into(),
                        p.configure.into(),
                        p.write.into(),
                        p.read.into(),
                    ]
                })
                .collect()
        }
        Request::ListUserPermissions { user } => {
            let Ok(permissions) = broker.users.permissions_of(user) else {
                return Some(Err(Response::refused(ErrorKind::NoSuchUser)));
            };
            permissions
                .into_iter()
                .map(|p| {
                    vec![
                        p.vhost.into(),
                        p.configure.into(),
                        p.write.into(),
                        p.read.into(),
                    ]
                })
                .collect()
        }
        _ => return None,
    }))
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
    let aside = &details.aside;
    let cell = |column: &C| match column {
        C::Name => declared.name.as_str().into(),
        C::Durable => declared.durable.into(),
        C::AutoDelete => declared.auto_delete.into(),
        C::Exclusive => declared.exclusive.into(),
        C::OwnerPid => declared.owner.map(connection_pid).into(),
        C::Arguments => table(&declared.arguments.0),
        C::Messages => totals.messages.into(),
        C::MessagesDelayed => aside.messages_delayed.into(),
        C::MessagesReady => totals.messages_ready.into(),
        C::MessagesReadyRam => details.messages_ready_ram.into(),
        C::MessagesUnacknowledged => totals.messages_unacknowledged.into(),
        C::MessagesUnacknowledgedRam => details.messages_unacknowledged_ram.into(),
        C::MessagesRam => details.messages_ram.into(),
        C::MessagesPersistent => details.messages_persistent.into(),
        C::MessagesDlx => aside.messages_dlx.into(),
        C::MessageBytesDlx => aside.message_bytes_dlx.into(),
        C::MessageBytes => details.message_bytes.into(),
        C::MessageBytesRam => details.message_bytes_ram.into(),
        C::MessageBytesReady => details.message_bytes_ready.into(),
        C::MessageBytesUnacknowledged => details.message_bytes_unacknowledged.into(),
        C::MessageBytesPersistent => details.message_bytes_persistent.into(),
        C::Consumers => details.consumers.into(),
        C::Memory => details.memory.into(),
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
        C::DelayedRetry => aside.delayed_retry.as_str().into(),
        C::NextDelayedAt => aside.next_delayed_at.into(),
        C::LastDelayedAt => aside.last_delayed_at.into(),
        C::DiskReads | C::DiskWrites => Value::Integer(0),
        C::ConsumerUtilisation
        | C::ConsumerCapacity
        | C::HeadMessageTimestamp
        | C::Leader
        | C::Members
        | C::Online
        | C::SlavePids
        | C::SynchronisedSlavePids => Value::Absent,
    };
    columns.iter().map(cell).collect()
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
    let spec = &vhost.spec;
    let cell = |column: &C| match column {
        C::Name => spec.name.as_str().into(),
        C::Description => spec.description.as_str().into(),
        C::Tags => Value::Words {
            words: spec.tags.clone(),
        },
        C::Tracing => false.into(),
        C::DefaultQueueType | C::ClusterState => Value::Absent,
    };
    columns.iter().map(cell).collect()
}

fn connection_row(info: &ConnectionInfo, alarms: AlarmSet, columns: &[ConnectionColumn]) -> Row {
    let details = info.details();
    columns
        .iter()
        .map(|column| connection_cell(info, &details, alarms, *column))
        .collect()
}

fn connection_cell(
    info: &ConnectionInfo,
    details: &Details,
    alarms: AlarmSet,
    column: ConnectionColumn,
) -> Value {
    use ConnectionColumn as C;
    let traffic = info.traffic();
    match column {
        C::Pid => connection_pid(info.id).into(),
        C::Name => info.label().into(),
        C::User => details.user_name().into(),
        C::Vhost => details.vhost.as_ref().map(|vhost| vhost.to_string()).into(),
        C::PeerHost => info.peer.ip().to_string().into(),
        C::PeerPort => info.peer.port().into(),
        C::Host => info.local.ip().to_string().into(),
        C::Port => info.local.port().into(),
        C::State => info.state(alarms, Instant::now()).into(),
        C::Channels => traffic.channels.into(),
        C::Protocol => Value::Tuple {
            tuple: vec![0, 9, 1],
        },
        C::AuthMechanism => details.mechanism.as_str().into(),
        C::ChannelMax => details.channel_max.into(),
        C::FrameMax => details.frame_max.into(),
        C::Timeout => details.heartbeat.into(),
        C::ClientProperties => table(&details.client_properties),
        C::ConnectedAt => {
            let since = info
                .connected_at
                .duration_since(UNIX_EPOCH)
                .unwrap_or_default();
            (since.as_millis() as u64).into()
        }
        C::RecvOct => traffic.received.into(),
        C::SendOct => traffic.sent.into(),
        C::RecvCnt => traffic.reads.into(),
        C::SendCnt => traffic.writes.into(),
        C::SendPend => Value::Integer(0),
        C::Ssl => false.into(),
        C::SslCipher
        | C::SslHash
        | C::SslKeyExchange
        | C::SslProtocol
        | C::PeerCertIssuer
        | C::PeerCertSubject
        | C::PeerCertValidity => Value::Absent,
    }
}

fn channel_row(
    info: &ConnectionInfo,
    details: &Details,
    channel: &ChannelReport,
    columns: &[ChannelColumn],
) -> Row {
    use ChannelColumn as C;
    let pid = Pid {
        connection: info.id.0,
        channel: channel.number.0,
    };
    let cell = |column: &C| match column {
        C::Pid => pid.into(),
        C::Connection => connection_pid(info.id).into(),
        C::Name => format!("{} ({})", info.label(), channel.number).into(),
        C::Number => channel.number.0.into(),
        C::User => details.user_name().into(),
        C::Vhost => details.vhost.as_ref().map(|vhost| vhost.to_string()).into(),
        C::Transactional => channel.transactional.into(),
        C::Confirm => channel.confirm.into(),
        C::ConsumerCount => channel.consumers.into(),
        C::MessagesUnacknowledged => channel.unacknowledged.into(),
        C::MessagesUnconfirmed => channel.unconfirmed.into(),
        C::MessagesUncommitted => channel.uncommitted.into(),
        C::AcksUncommitted => channel.uncommitted_acks.into(),
        C::PrefetchCount => channel.prefetch.into(),
        C::GlobalPrefetchCount => channel.global_prefetch.into(),
    };
    columns.iter().map(cell).collect()
}
