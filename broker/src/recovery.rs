//! From what the store kept to a broker that is ready to serve.

use crate::auth::{AuthError, PasswordHash, Permission, User};
use crate::broker::{Broker, DEFAULT_VHOST};
use crate::clock::Clock;
use crate::config::Config;
use crate::definitions::{Definition, DefinitionError, DestinationKind};
use crate::exchange::{Binding, Delays, Destination, Exchange, ExchangeKind, ExchangeSpec};
use crate::limits::VhostLimits;
use crate::policy::Policy;
use crate::queue::{self, Queue, QueueSpec};
use crate::vhost::VhostSpec;
use leveret_protocol::ExchangeName;
use leveret_storage::{Opened, Position, QueueId, RecoveredQueue, StorageError, Store};
use std::collections::HashMap;
use std::sync::Arc;
use thiserror::Error;

mod delivery_counts;
mod strays;

use delivery_counts::DeliveryCounts;
use strays::{drop_orphans, drop_strays};

/// Why a broker could not be put together from its data.
#[derive(Debug, Error)]
pub enum RecoveryError {
    /// The store failed.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A definition is not readable.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// A user or permission is not usable.
    #[error("stored users: {0}")]
    Users(#[from] AuthError),
    /// A stored message does not decode although its checksum holds.
    #[error(
        "message {position:?} of queue '{queue}' does not decode: was it written by a newer version?"
    )]
    Message {
        /// The queue.
        queue: String,
        /// The message.
        position: Position,
    },
    /// A definition names something that was never stored.
    #[error("stored {what} '{name}' is not usable: {reason}")]
    Unusable {
        /// The kind of object.
        what: &'static str,
        /// Its name.
        name: String,
        /// Why.
        reason: String,
    },
}

/// Messages read from the store at a time.
const READ_MESSAGES: usize = 4096;
/// Octets read from the store at a time.
const READ_BYTES: usize = 8 << 20;

/// Builds the broker from what the store kept, or a fresh one with the default virtual host and
/// user when the store is new.
///
/// # Errors
/// See [`RecoveryError`].
pub fn recover(config: &Config, opened: Opened) -> Result<Broker, RecoveryError> {
    let created = opened.definitions.is_empty();
    let store = opened.store.clone();
    let broker = Broker::new(
        config.into(),
        config.loopback_users.clone(),
        Some(opened.store),
    );
    broker
        .alarms
        .set_limits(config.vm_memory_high_watermark, config.disk_free_limit);
    if created {
        create_defaults(&broker, config)?;
        store.flush()?;
        return Ok(broker);
    }
    let mut recovered: HashMap<QueueId, RecoveredQueue> = opened
        .queues
        .into_iter()
        .map(|queue| (queue.queue, queue))
        .collect();
    for id in recovered.keys() {
        broker.reserve_queue_id(*id);
    }
    restore_definitions(&broker, &opened.definitions, &mut recovered, &store)?;
    start_queues(&broker);
    drop_orphans(&broker, recovered.into_keys());
    Ok(broker)
}

fn create_defaults(broker: &Broker, config: &Config) -> Result<(), AuthError> {
    let mut fx = broker.effects(None);
    broker.add_vhost(
        VhostSpec {
            name: DEFAULT_VHOST.into(),
            description: "Default virtual host".to_owned(),
            tags: Vec::new(),
        },
        &mut fx,
    );
    let name = config.default_user.as_str();
    let hash = PasswordHash::of(config.default_pass.expose());
    let change = broker
        .users
        .add_user(name, hash, &["administrator".to_owned()])?;
    broker.store_change(change, &mut fx);
    let all = || ".*".to_owned();
    let change = broker.users.set_permissions(Permission {
        user: name.to_owned(),
        vhost: DEFAULT_VHOST.to_owned(),
        configure: all(),
        write: all(),
        read: all(),
    })?;
    broker.store_change(change, &mut fx);
    fx.perform();
    Ok(())
}

/// Definitions by kind, because bindings need their ends and permissions their users.
#[derive(Default)]
struct Sorted {
    vhosts: Vec<(VhostSpec, Option<VhostLimits>)>,
    users: Vec<User>,
    permissions: Vec<Permission>,
    policies: Vec<Definition>,
    exchanges: Vec<Definition>,
    queues: Vec<Definition>,
    bindings: Vec<Definition>,
    counts: DeliveryCounts,
}

fn restore_definitions(
    broker: &Broker,
    definitions: &[(bytes::Bytes, bytes::Bytes)],
    recovered: &mut HashMap<QueueId, RecoveredQueue>,
    store: &Store,
) -> Result<(), RecoveryError> {
    let mut sorted = Sorted::default();
    for (key, value) in definitions {
        match Definition::decode(key, value)? {
            Definition::Vhost {
                name,
                description,
                tags,
                limits,
            } => {
                let spec = VhostSpec {
                    name: name.into(),
                    description,
                    tags,
                };
                sorted.vhosts.push((spec, limits));
            }
            Definition::User(user) => sorted.users.push(user),
            Definition::Permission(permission) => sorted.permissions.push(permission),
            policy @ Definition::Policy { .. } => sorted.policies.push(policy),
            exchange @ Definition::Exchange { .. } => sorted.exchanges.push(exchange),
            queue @ Definition::Queue { .. } => sorted.queues.push(queue),
            binding @ Definition::Binding { .. } => sorted.bindings.push(binding),
            Definition::DeliveryCount {
                queue,
                position,
                count,
            } => sorted.counts.add(queue, position, count),
        }
    }
    for (spec, limits) in sorted.vhosts {
        broker.restore_vhost(spec).set_limits(limits);
    }
    broker.users.restore(sorted.users, sorted.permissions)?;
    for objects in [
        &mut sorted.policies,
        &mut sorted.exchanges,
        &mut sorted.queues,
        &mut sorted.bindings,
    ] {
        drop_strays(broker, objects);
    }
    // First: what follows them finds them.
    for policy in sorted.policies {
        restore_policy(broker, policy)?;
    }
    for exchange in sorted.exchanges {
        restore_exchange(broker, exchange, recovered, store)?;
    }
    for queue in sorted.queues {
        restore_queue(broker, queue, recovered, &mut sorted.counts, store)?;
    }
    sorted.counts.drop_rest(broker);
    for binding in sorted.bindings {
        restore_binding(broker, binding);
    }
    Ok(())
}

fn restore_policy(broker: &Broker, definition: Definition) -> Result<(), RecoveryError> {
    let Definition::Policy { vhost, kind, spec } = definition else {
        return Ok(());
    };
    let name = spec.name.clone();
    let policy = Policy::restore(spec).map_err(|reason| RecoveryError::Unusable {
        what: "policy",
        name,
        reason,
    })?;
    let vhost = broker.restore_vhost(VhostSpec::named(&vhost));
    vhost.restore_policy(kind, policy);
    Ok(())
}

fn restore_exchange(
    broker: &Broker,
    definition: Definition,
    recovered: &mut HashMap<QueueId, RecoveredQueue>,
    store: &Store,
) -> Result<(), RecoveryError> {
    let Definition::Exchange {
        vhost,
        name,
        kind,
        auto_delete,
        internal,
        arguments,
        delays,
    } = definition
    else {
        return Ok(());
    };
    let Some(kind) = ExchangeKind::parse(&kind) else {
        let reason = format!("this version knows no exchange type '{kind}'");
        return Err(RecoveryError::Unusable {
            what: "exchange",
            name,
            reason,
        });
    };
    let vhost = broker.restore_vhost(VhostSpec::named(&vhost));
    let spec = ExchangeSpec {
        name: name.into(),
        kind,
        durable: true,
        auto_delete,
        internal,
        arguments,
    };
    let exchange = match delays.map(QueueId) {
        Some(id) => {
            broker.reserve_queue_id(id);
            let delays = Delays::new(id, vhost.name(), &spec, broker.clock);
            if let Some(found) = recovered.remove(&id) {
                restore_delayed(&delays, &spec.name, &found, store)?;
            }
            Exchange::delayed(spec, delays)
        }
        None if spec.kind == ExchangeKind::DelayedMessage => {
            return Err(RecoveryError::Unusable {
                what: "exchange",
                name: spec.name.to_string(),
                reason: "it does not say where its delayed messages are".to_owned(),
            });
        }
        None => Exchange::new(spec),
    };
    let exchange = Arc::new(exchange);
    if let Some(delays) = exchange.delays() {
        let mut fx = broker.effects(None);
        delays.start(&mut fx);
        fx.perform();
    }
    vhost.insert_exchange(exchange);
    Ok(())
}

fn restore_delayed(
    delays: &Delays,
    exchange: &ExchangeName,
    found: &RecoveredQueue,
    store: &Store,
) -> Result<(), RecoveryError> {
    delays.start_from(found.next_position);
    read_all(store, delays.id, |position, bytes| {
        delays
            .restore(position, bytes)
            .ok_or_else(|| RecoveryError::Message {
                queue: exchange.to_string(),
                position,
            })
    })
}

/// Hands out all that is stored under an identity, in order.
fn read_all(
    store: &Store,
    id: QueueId,
    mut take: impl FnMut(Position, bytes::Bytes) -> Result<(), RecoveryError>,
) -> Result<(), RecoveryError> {
    let mut from = Position(0);
    loop {
        let stored = store.read(id, from, READ_MESSAGES, READ_BYTES)?;
        let Some((last, _)) = stored.last() else {
            return Ok(());
        };
        from = Position(last.0 + 1);
        for (position, bytes) in stored {
            take(position, bytes)?;
        }
    }
}

fn restore_queue(
    broker: &Broker,
    definition: Definition,
    recovered: &mut HashMap<QueueId, RecoveredQueue>,
    counts: &mut DeliveryCounts,
    store: &Store,
) -> Result<(), RecoveryError> {
    let Definition::Queue {
        vhost,
        name,
        id,
        auto_delete,
        arguments,
    } = definition
    else {
        return Ok(());
    };
    let id = QueueId(id);
    broker.reserve_queue_id(id);
    let found = recovered.remove(&id);
    let next = found
        .as_ref()
        .map_or(Position(0), |found| found.next_position);
    let spec = QueueSpec {
        name: name.as_str().into(),
        durable: true,
        auto_delete,
        exclusive_to: None,
        arguments,
    };
    let vhost = broker.restore_vhost(VhostSpec::named(&vhost));
    let queue = Arc::new(Queue::new(id, vhost.name().clone(), spec, next));
    let mut fx = broker.effects(None);
    vhost.configure_queue(&queue, &mut fx);
    if let Some(stream) = queue.stream() {
        stream.recover(store, &mut fx)?;
    } else if let Some(found) = found {
        queue.restore_counts(counts.take(id));
        restore_messages(&queue, &found, store, broker.clock)?;
        let mut fx = broker.effects(None);
        queue.restored(&mut fx);
        fx.perform();
    }
    fx.perform();
    vhost.restore_queue(queue);
    Ok(())
}

fn restore_messages(
    queue: &Queue,
    found: &RecoveredQueue,
    store: &Store,
    clock: Clock,
) -> Result<(), RecoveryError> {
    read_all(store, queue.id, |position, bytes| {
        let Some((message, expiry)) = queue::decode(bytes) else {
            let queue = queue.name().to_string();
            return Err(RecoveryError::Message { queue, position });
        };
        let redelivered = found.delivered_through.is_some_and(|seen| position <= seen);
        let expiry = expiry.map(|millis| clock.time_of_wall_millis(millis));
        queue.restore(position, Arc::new(message), redelivered, expiry);
        Ok(())
    })
}

/// A binding whose ends are not there any more is left out: its removal was being stored when the
/// broker stopped.
fn restore_binding(broker: &Broker, definition: Definition) {
    let Definition::Binding {
        vhost,
        source,
        destination_kind,
        destination,
        key,
        arguments,
    } = definition
    else {
        return;
    };
    let vhost = broker.restore_vhost(VhostSpec::named(&vhost));
    let Some(source) = vhost.exchange(&source) else {
        return;
    };
    let destination = match destination_kind {
        DestinationKind::Queue => vhost.queue(&destination).map(Destination::Queue),
        DestinationKind::Exchange => vhost.exchange(&destination).map(Destination::Exchange),
    };
    if let Some(destination) = destination {
        vhost.restore_binding(
            &source,
            Binding {
                destination,
                key: key.into(),
                arguments,
            },
        );
    }
}

/// What was unacknowledged counts again, and time has passed: dead letters find all exchanges and
/// queues there.
fn start_queues(broker: &Broker) {
    let mut fx = broker.effects(None);
    for queue in broker.vhosts().iter().flat_map(|vhost| vhost.queues()) {
        queue.start(&mut fx);
        fx.perform();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::queue::Effects;
    use leveret_protocol::values::FieldTable;
    use leveret_storage::{Batch, Options};

    #[test]
    fn an_object_without_its_virtual_host_is_dropped_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::with_data_dir(dir.path().to_owned());
        let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
        let broker = recover(&config, open()).unwrap();
        let stray = Definition::Queue {
            vhost: "gone".to_owned(),
            name: "q".to_owned(),
            id: 7,
            auto_delete: false,
            arguments: FieldTable::default(),
        };
        let store = broker.store.clone().unwrap();
        store.submit(Batch {
            ops: vec![stray.put()],
            sink: None,
        });
        store.close().unwrap();
        drop((broker, store));
        let again = recover(&config, open()).unwrap();
        assert!(again.vhost("gone").is_none());
        again.store.as_ref().unwrap().close().unwrap();
        drop(again);
        let definitions = open().definitions;
        assert!(definitions.iter().all(|(key, _)| *key != stray.key()));
        assert!(!definitions.is_empty());
    }

    #[test]
    fn limits_survive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::with_data_dir(dir.path().to_owned());
        let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
        let broker = recover(&config, open()).unwrap();
        let vhost_limits = VhostLimits::parse(r#"{"max-queues": 3}"#).unwrap();
        let user_limits = crate::limits::UserLimits::parse(r#"{"max-channels": 4}"#).unwrap();
        let mut fx = broker.effects(None);
        assert!(broker.set_vhost_limits(DEFAULT_VHOST, Some(vhost_limits), &mut fx));
        let change = broker.users.change_limits("guest", |_| user_limits);
        broker.store_change(change.unwrap(), &mut fx);
        fx.perform();
        broker.store.as_ref().unwrap().close().unwrap();
        drop((fx, broker));
        let broker = recover(&config, open()).unwrap();
        let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
        assert_eq!(vhost.limits(), Some(vhost_limits));
        assert_eq!(vhost.spec.description, "Default virtual host");
        assert_eq!(broker.users.limits("guest"), user_limits);
        let mut fx = broker.effects(None);
        assert!(broker.set_vhost_limits(DEFAULT_VHOST, None, &mut fx));
        assert!(!broker.set_vhost_limits("nowhere", None, &mut fx));
        broker.store.as_ref().unwrap().close().unwrap();
        drop((fx, vhost, broker));
        let broker = recover(&config, open()).unwrap();
        assert_eq!(broker.vhost(DEFAULT_VHOST).unwrap().limits(), None);
    }

    #[test]
    fn a_declaration_reaches_the_store_before_anybody_can_find_it() {
        let dir = tempfile::tempdir().unwrap();
        let config = Config::with_data_dir(dir.path().to_owned());
        let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
        let broker = recover(&config, open()).unwrap();
        let vhost = broker.vhost(DEFAULT_VHOST).unwrap();
        let spec = QueueSpec {
            name: "q".into(),
            durable: true,
            auto_delete: false,
            exclusive_to: None,
            arguments: FieldTable::default(),
        };
        let declared = |fx: &mut Effects| {
            let connection = crate::server::ConnectionId(1);
            let new_id = || broker.next_queue_id();
            vhost
                .declare_queue(spec.clone(), connection, new_id, fx)
                .unwrap()
        };
        // Never performed: whoever declared it was held up right after it had become visible.
        let mut held_up = broker.effects(None);
        assert!(declared(&mut held_up).1);
        let mut second = broker.effects(None);
        assert!(!declared(&mut second).1);
        broker.store.as_ref().unwrap().close().unwrap();
        drop((held_up, second));
        let key = {
            let queue = vhost.queue("q").unwrap();
            Definition::queue(&queue).key()
        };
        drop((vhost, broker));
        assert!(open().definitions.iter().any(|(stored, _)| *stored == key));
    }
}
