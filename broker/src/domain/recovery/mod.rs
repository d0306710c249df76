//! Recovery: builds a broker that is ready to serve from what the store contains.
//!
//! How records are encoded (`durable`) and how the store finds them does not belong here.

use crate::config::{Config, Mechanism};
use crate::domain::auth::{Mechanisms, Permission, TopicPermission, User};
use crate::domain::broker::Broker;
use crate::domain::durable::{Definition, DestinationKind};
use crate::domain::limits::VhostLimits;
use crate::domain::policy::Policy;
use crate::domain::vhost::spec::VhostSpec;
use crate::engine::exchange::{Binding, Destination};
use crate::engine::queue::paging::Limits;
use crate::engine::queue::{DeliveryCount, Found, Returns};
use crate::plumbing::paging::Pager;
use leveret_storage::{Batch, Op, Opened, Progress, QueueId, RecoveredQueue, Spill, Stage, Store};
use std::collections::HashMap;
use std::sync::Arc;

mod defaults;
mod delivery_counts;
mod error;
mod exchanges;
mod messages;
mod orphans;
mod queues;
#[cfg(test)]
mod tests;

pub use defaults::add_defaults;
use delivery_counts::DeliveryCounts;
pub use error::RecoveryError;
use exchanges::restore_exchange;
use orphans::{drop_definitions_without_vhost, drop_messages_without_queue};
use queues::restore_queue;

/// Builds the broker from the contents of the store. Without virtual hosts and users it is new: it gets the default ones,
/// unless definitions are loaded (`rabbit:maybe_insert_default_data`).
///
/// # Errors
/// See [`RecoveryError`].
pub fn recover(config: &Config, mut opened: Opened) -> Result<Broker, RecoveryError> {
    let (store, progress) = (opened.store.clone(), opened.progress);
    let mut broker = Broker::new(
        config.into(),
        config.loopback_users.clone(),
        Some(opened.store),
    );
    broker.set_mechanisms(mechanisms(config));
    broker.users.set_password_policy(config.into());
    broker.set_vhost_defaults(config.into());
    broker.pager = Some(Arc::new(pager(config, store.clone())?));
    broker
        .alarms
        .set_limits(config.vm_memory_high_watermark, config.disk_free_limit);
    if !opened.report.clean {
        count_as_delivered(&store, &mut opened.queues);
    }
    let mut recovered: HashMap<QueueId, RecoveredQueue> = opened
        .queues
        .into_iter()
        .map(|queue| (queue.queue, queue))
        .collect();
    for id in recovered.keys() {
        broker.reserve_queue_id(*id);
    }
    restore_definitions(
        &broker,
        &opened.definitions,
        &mut recovered,
        &store,
        &progress,
    )?;
    // Only now: what was left of the default virtual host when the broker was reset must not come back with it.
    let is_new = broker.is_new();
    add_defaults(&broker, config)?;
    if !is_new {
        defaults::warn_of_guessable_passwords(&broker);
    }
    start_queues(&broker);
    drop_messages_without_queue(&broker, recovered.into_keys());
    Ok(broker)
}

/// Returns the configured login mechanisms. Logs a warning for ANONYMOUS, which is seldom intended where
/// others can connect, and for EXTERNAL where it is never offered.
pub(crate) fn mechanisms(config: &Config) -> Mechanisms {
    let user = config.anonymous_login_user.clone();
    let anonymous = user.map(|user| (user, config.anonymous_login_pass.clone()));
    let mechanisms = Mechanisms::new(&config.auth_mechanisms, anonymous);
    if let Some(login) = mechanisms.anonymous() {
        tracing::warn!(
            user = login.user,
            "anybody may log in as this user: auth_mechanisms includes ANONYMOUS"
        );
    }
    if config.auth_mechanisms.contains(&Mechanism::External) && !config.has_tls() {
        tracing::warn!(
            "nobody can log in with a certificate: auth_mechanisms lists EXTERNAL, but no listener for AMQP has TLS; set \
             tls_certfile"
        );
    }
    mechanisms
}

/// Returns the pager, which pages messages out to the store and to a directory that is emptied here.
fn pager(config: &Config, store: Store) -> Result<Pager, RecoveryError> {
    let directory = config.data_dir.join("spill");
    let spill = Spill::open(&directory).map_err(|reason| RecoveryError::Spill {
        path: directory.display().to_string(),
        reason,
    })?;
    let limits = Limits::with_budget(config.queue_memory);
    Ok(Pager::new(limits, Box::new(store), spill))
}

/// Definitions by kind, because they are restored in that order: bindings need queues and exchanges,
/// permissions need users.
#[derive(Default)]
struct DefinitionsByKind {
    vhosts: Vec<(VhostSpec, Option<VhostLimits>)>,
    users: Vec<User>,
    permissions: Vec<Permission>,
    topic_permissions: Vec<TopicPermission>,
    policies: Vec<Definition>,
    exchanges: Vec<Definition>,
    queues: Vec<Definition>,
    bindings: Vec<Definition>,
    counts: DeliveryCounts,
}

/// Decodes the definitions and sorts them. Global parameters, which need nothing else, are restored.
fn by_kind(
    broker: &Broker,
    definitions: &[(bytes::Bytes, bytes::Bytes)],
) -> Result<DefinitionsByKind, RecoveryError> {
    let mut sorted = DefinitionsByKind::default();
    for (key, value) in definitions {
        match Definition::decode(key, value)? {
            Definition::Vhost {
                name,
                metadata,
                limits,
            } => {
                let name = name.into();
                sorted.vhosts.push((VhostSpec { name, metadata }, limits));
            }
            Definition::User(user) => sorted.users.push(user),
            Definition::Permission(permission) => sorted.permissions.push(permission),
            Definition::TopicPermission(permission) => sorted.topic_permissions.push(permission),
            Definition::GlobalParameter(parameter) => broker.global_parameters.restore(parameter),
            policy @ Definition::Policy { .. } => sorted.policies.push(policy),
            exchange @ Definition::Exchange { .. } => sorted.exchanges.push(exchange),
            queue @ Definition::Queue { .. } => sorted.queues.push(queue),
            binding @ Definition::Binding { .. } => sorted.bindings.push(binding),
            Definition::DeliveryCount(DeliveryCount {
                queue,
                position,
                count: failed,
                released,
                due,
            }) => {
                let returns = Returns { failed, released };
                let due = due.map(|millis| broker.clock.time_of_wall_millis(millis));
                sorted.counts.add(queue, position, Found { returns, due });
            }
        }
    }
    Ok(sorted)
}

/// Lets everything in the queues count as delivered before, as RabbitMQ does after it has been killed: how far deliveries had
/// come is recorded now and then only, and a message that a client has seen must not come back as if it had not.
fn count_as_delivered(store: &Store, queues: &mut [RecoveredQueue]) {
    let mut ops = Vec::new();
    for found in queues {
        if let Some(through) = found.last {
            found.delivered_through = Some(through);
            let queue = found.queue;
            ops.push(Op::Delivered { queue, through });
        }
    }
    store.submit(Batch { ops, sink: None });
}

fn restore_definitions(
    broker: &Broker,
    definitions: &[(bytes::Bytes, bytes::Bytes)],
    recovered: &mut HashMap<QueueId, RecoveredQueue>,
    store: &Store,
    progress: &Progress,
) -> Result<(), RecoveryError> {
    let mut sorted = by_kind(broker, definitions)?;
    for (spec, limits) in sorted.vhosts {
        broker.restore_vhost(spec).set_limits(limits);
    }
    broker.users.restore(sorted.users, sorted.permissions)?;
    broker
        .users
        .restore_topic_permissions(sorted.topic_permissions)?;
    for objects in [
        &mut sorted.policies,
        &mut sorted.exchanges,
        &mut sorted.queues,
        &mut sorted.bindings,
    ] {
        drop_definitions_without_vhost(broker, objects);
    }
    // Policies first, because they apply to what follows.
    for policy in sorted.policies {
        restore_policy(broker, policy)?;
    }
    for exchange in sorted.exchanges {
        restore_exchange(broker, exchange, recovered, store)?;
    }
    progress.begin(Stage::Restoring, sorted.queues.len() as u64);
    for queue in sorted.queues {
        restore_queue(broker, queue, recovered, &mut sorted.counts, store)?;
        progress.add(1);
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

/// Restores a binding, unless one of its ends does not exist any more: then its removal was being stored
/// when the broker stopped.
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

/// Starts the queues once everything exists: messages that were unacknowledged count again and time has
/// passed, so that there may be dead letters to route.
fn start_queues(broker: &Broker) {
    let mut fx = broker.effects(None);
    for queue in broker.vhosts().iter().flat_map(|vhost| vhost.queues()) {
        queue.fetch_head(&mut fx);
        queue.start(&mut fx);
        fx.perform();
    }
}
