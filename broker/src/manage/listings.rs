//! The rows of listings.

use super::columns::{
    BindingColumn, ChannelColumn, ConnectionColumn, ConsumerColumn, ExchangeColumn, QueueColumn,
    VhostColumn,
};
use super::limits;
use super::pid::Pid;
use super::policies;
use super::request::{ErrorKind, Request, Response};
use super::table::{self, table};
use super::value::{Row, Value};
use crate::domain::broker::Broker;
use crate::domain::connections::ConnectionInfo;
use crate::domain::connections::Details;
use crate::domain::policy::Target;
use crate::domain::vhost::Vhost;
use crate::engine::exchange::{Binding, DestinationName, Exchange};
use crate::engine::queue::{Consumer, Counts, Queue};
use crate::plumbing::alarms::AlarmSet;
use crate::plumbing::report::ChannelReport;
use std::sync::Arc;
use std::sync::atomic::Ordering;
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
                .map(|queue| queue_row(broker, queue, columns))
                .collect()
        }),
        Request::ListExchanges { vhost, columns } => in_vhost(broker, vhost, |vhost| {
            let default = [default_exchange_row(vhost, columns)].into_iter();
            default
                .chain(vhost.exchanges().iter().map(|x| exchange_row(x, columns)))
                .collect()
        }),
        Request::ListBindings { vhost, columns } => {
            in_vhost(broker, vhost, |vhost| binding_rows(vhost, columns))
        }
        Request::ListConsumers { vhost, columns } => in_vhost(broker, vhost, |vhost| {
            let consumers = vhost
                .queues()
                .into_iter()
                .flat_map(|queue| queue.consumers());
            consumers
                .map(|consumer| consumer_row(broker, &consumer, columns))
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

/// The approximate memory of a queue without its messages.
const QUEUE_MEMORY: u64 = 1024;
/// The approximate memory of an unacknowledged delivery without its body.
const DELIVERY_MEMORY: u64 = 160;

/// Returns the approximate memory of a queue and its messages, in bytes.
pub(super) fn queue_memory(counts: &Counts) -> u64 {
    let unacked = counts.unacked * DELIVERY_MEMORY + counts.unacked_bytes;
    QUEUE_MEMORY + counts.memory + unacked
}

fn queue_row(broker: &Broker, queue: &Queue, columns: &[QueueColumn]) -> Row {
    let counts = queue.counts();
    columns
        .iter()
        .map(|column| queue_cell(broker, queue, &counts, *column))
        .collect()
}

fn queue_cell(broker: &Broker, queue: &Queue, counts: &Counts, column: QueueColumn) -> Value {
    use QueueColumn as C;
    let spec = &queue.spec;
    let dlx = &counts.undelivered;
    let all = counts.all();
    match column {
        C::Name => queue.name().as_str().into(),
        C::Durable => spec.durable.into(),
        C::AutoDelete => spec.auto_delete.into(),
        C::Exclusive => spec.exclusive_to.is_some().into(),
        C::OwnerPid => spec.exclusive_to.map(connection_pid).into(),
        C::Arguments => table(&spec.arguments),
        C::Messages => all.messages.into(),
        C::MessagesDelayed => counts.waiting.messages.into(),
        C::MessagesReady => counts.ready.into(),
        C::MessagesReadyRam => counts.ready.saturating_sub(counts.paged_out).into(),
        C::MessagesUnacknowledged | C::MessagesUnacknowledgedRam => counts.unacked.into(),
        C::MessagesRam => (all.messages - all.paged_out).into(),
        C::MessagesPersistent => (counts.persistent + dlx.messages).into(),
        C::MessagesDlx => dlx.messages.into(),
        C::MessageBytesDlx => dlx.bytes.into(),
        C::MessageBytes => all.bytes.into(),
        C::MessageBytesRam => (all.bytes - all.paged_out_bytes).into(),
        // Messages waiting for a retry count as ready (`rabbit_fifo:add_bytes_return`).
        C::MessageBytesReady => (counts.ready_bytes + counts.waiting.bytes).into(),
        C::MessageBytesUnacknowledged => counts.unacked_bytes.into(),
        C::MessageBytesPersistent => (counts.persistent_bytes + dlx.bytes).into(),
        C::Consumers => counts.consumers.into(),
        C::Memory => queue_memory(counts).into(),
        C::State => "running".into(),
        C::Type => spec.kind().as_str().into(),
        C::Policy => policies::name(queue.policy()),
        C::OperatorPolicy => policies::operator_name(queue.policy()),
        C::EffectivePolicyDefinition => policies::definition(queue.policy()),
        C::Pid => format!("<leveret.queue.{}>", queue.id.0).into(),
        C::ExclusiveConsumerPid => queue.exclusive_consumer().map(|c| channel_pid(&c)).into(),
        C::ExclusiveConsumerTag => queue.exclusive_consumer().map(|c| c.tag.to_string()).into(),
        C::SingleActiveConsumerPid => single_active(queue).map(|c| channel_pid(&c)).into(),
        C::SingleActiveConsumerTag => single_active(queue).map(|c| c.tag.to_string()).into(),
        C::DelayedRetry => match queue.settings().delayed_retry {
            Some(retry) => retry.to_string().into(),
            None => "disabled".into(),
        },
        C::NextDelayedAt => waiting_until(broker, queue).map(|(first, _)| first).into(),
        C::LastDelayedAt => waiting_until(broker, queue).map(|(_, last)| last).into(),
        C::DiskReads => queue.stats().disk_reads.into(),
        C::DiskWrites => queue.stats().disk_writes.into(),
        C::ConsumerUtilisation | C::ConsumerCapacity => utilisation(broker, queue),
        C::HeadMessageTimestamp
        | C::Leader
        | C::Members
        | C::Online
        | C::SlavePids
        | C::SynchronisedSlavePids => Value::Absent,
    }
}

/// Returns when the first and the last of the messages that wait for a retry become ready again, in
/// milliseconds since the epoch.
fn waiting_until(broker: &Broker, queue: &Queue) -> Option<(u64, u64)> {
    let (first, last) = queue.waiting_until()?;
    let millis = |time| broker.clock.wall_millis(time);
    Some((millis(first), millis(last)))
}

/// Returns the fraction of time in which a queue could deliver at once.
fn utilisation(broker: &Broker, queue: &Queue) -> Value {
    let now = broker.clock.time(Instant::now());
    match queue.utilisation(now) {
        None => Value::Absent,
        Some(utilisation) => Value::Float(utilisation),
    }
}

fn single_active(queue: &Queue) -> Option<Arc<Consumer>> {
    queue.single_active_consumer().0
}

fn channel_pid(consumer: &Consumer) -> Pid {
    Pid {
        connection: consumer.mailbox.connection().0,
        channel: consumer.channel.0,
    }
}

fn consumer_row(broker: &Broker, consumer: &Consumer, columns: &[ConsumerColumn]) -> Row {
    use ConsumerColumn as C;
    let connected = broker
        .connections
        .is_connected(consumer.mailbox.connection())
        && !consumer.cancelled.load(Ordering::Relaxed);
    let (active, status) = match consumer.queue.single_active_consumer() {
        (Some(holder), true) if holder.id == consumer.id => (true, "single_active"),
        (_, true) => (false, "waiting"),
        (_, false) if connected => (true, "up"),
        (_, false) => (false, "waiting"),
    };
    let cell = |column: &C| match column {
        C::QueueName => consumer.queue.name().as_str().into(),
        C::ChannelPid => channel_pid(consumer).into(),
        C::ConsumerTag => consumer.tag.as_str().into(),
        C::AckRequired => (!consumer.no_ack).into(),
        C::PrefetchCount => consumer.credit.limit().into(),
        C::Active => active.into(),
        C::ActivityStatus => status.into(),
        C::Arguments => table(&consumer.arguments.table()),
    };
    columns.iter().map(cell).collect()
}

fn default_exchange_row(vhost: &Vhost, columns: &[ExchangeColumn]) -> Row {
    use ExchangeColumn as C;
    let cell = |column: &C| match column {
        C::Name => "".into(),
        C::Type => "direct".into(),
        C::Durable => true.into(),
        C::AutoDelete | C::Internal => false.into(),
        C::Arguments => table::empty(),
        C::MessagesDelayed => Value::Absent,
        C::Policy => policies::name(vhost.applied_to("", Target::Exchange)),
    };
    columns.iter().map(cell).collect()
}

fn exchange_row(exchange: &Exchange, columns: &[ExchangeColumn]) -> Row {
    use ExchangeColumn as C;
    let spec = &exchange.spec;
    let cell = |column: &C| match column {
        C::Name => spec.name.as_str().into(),
        C::Type => spec.kind.name().into(),
        C::Durable => spec.durable.into(),
        C::AutoDelete => spec.auto_delete.into(),
        C::Internal => spec.internal.into(),
        C::MessagesDelayed => exchange.delays().map(|delays| delays.len() as u64).into(),
        C::Arguments => table(&spec.arguments),
        C::Policy => policies::name(exchange.policy()),
    };
    columns.iter().map(cell).collect()
}

/// Returns the implicit bindings of all queues to the default exchange (spec 3.1.1), and then the
/// bindings that clients made.
fn binding_rows(vhost: &Vhost, columns: &[BindingColumn]) -> Vec<Row> {
    let mut rows = Vec::new();
    for queue in vhost.queues() {
        let name = queue.name().as_str();
        rows.push(binding_row(
            "",
            "queue",
            name,
            name,
            table::empty(),
            columns,
        ));
    }
    for exchange in vhost.exchanges() {
        let mut bindings: Vec<Binding> = exchange.bindings();
        bindings
            .sort_by(|a, b| (a.destination.name(), &a.key).cmp(&(b.destination.name(), &b.key)));
        for binding in bindings {
            let (kind, destination) = match binding.destination.name() {
                DestinationName::Queue(name) => ("queue", name.to_string()),
                DestinationName::Exchange(name) => ("exchange", name.to_string()),
            };
            let arguments = table(&binding.arguments);
            let (source, key) = (exchange.name().as_str(), binding.key.as_str());
            rows.push(binding_row(
                source,
                kind,
                &destination,
                key,
                arguments,
                columns,
            ));
        }
    }
    rows
}

fn binding_row(
    source: &str,
    kind: &str,
    destination: &str,
    key: &str,
    arguments: Value,
    columns: &[BindingColumn],
) -> Row {
    use BindingColumn as C;
    let cell = |column: &C| match column {
        C::SourceName => source.into(),
        C::SourceKind => "exchange".into(),
        C::DestinationName => destination.into(),
        C::DestinationKind => kind.into(),
        C::RoutingKey => key.into(),
        C::Arguments => arguments.clone(),
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
