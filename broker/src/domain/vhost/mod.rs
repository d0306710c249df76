//! A virtual host: the directory of its queues and exchanges, and changes to it.
//!
//! Look-ups take a read lock for an instant. Changes (declare, delete, bind) are serialized by a change lock
//! per virtual host, so that each sees a consistent state; they return what to store as [`Effects`].
//!
//! Who may make a change, and which names are reserved, does not belong here: see `operations`.

mod bindings;
mod directory;
mod equivalence;
mod exchanges;
mod limits;
mod metadata;
mod policies;
mod routes;
pub mod spec;

use crate::domain::durable::Definition;
use crate::domain::limits::VhostLimits;
use crate::domain::policy::Policies;
use crate::domain::vhost::spec::{VhostMetadata, VhostSpec};
use crate::engine::exchange::{DestinationName, Directory, Exchange, ExchangeKind, ExchangeSpec};
use crate::engine::interfaces::ConnectionId;
use crate::engine::interfaces::VirtualHost;
use crate::engine::queue::{
    AfterRemoval, Consumer, ConsumerId, Counts, Deleted, Effects, Queue, QueueSpec,
};
use crate::engine::statistics::VhostStatistics;
use bindings::Sources;
pub use directory::Vhosts;
use equivalence::{same_arguments, same_properties};
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, ExchangeName, QueueName, VhostName};
use leveret_storage::{Position, QueueId};
use parking_lot::{Mutex, RwLock};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// The prefix of the names of system queues and exchanges.
pub(crate) const SYSTEM_PREFIX: &str = "amq.";

/// The exchanges in every virtual host (spec 3.1.3, and RabbitMQ's `amq.match` and
/// `amq.rabbitmq.trace`).
const SYSTEM_EXCHANGES: [(&str, ExchangeKind); 6] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.topic", ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
    (TRACE_EXCHANGE, ExchangeKind::Topic),
];

/// The exchange that the tracer publishes to; clients cannot.
pub const TRACE_EXCHANGE: &str = "amq.rabbitmq.trace";

/// A virtual host.
#[derive(Debug)]
pub struct Vhost {
    name: VhostName,
    metadata: RwLock<Arc<VhostMetadata>>,
    /// Whether messages are traced; not stored, as in RabbitMQ.
    tracing: AtomicBool,
    queues: RwLock<HashMap<QueueName, Arc<Queue>>>,
    exchanges: RwLock<HashMap<ExchangeName, Arc<Exchange>>>,
    /// The exchanges that have bindings to a destination. Its lock is the change lock.
    sources: Mutex<Sources>,
    generation: AtomicU64,
    limits: RwLock<Option<VhostLimits>>,
    policies: Mutex<Policies>,
    /// Whether the virtual host was deleted: then nothing more of it is stored. Written under the change lock.
    deleted: AtomicBool,
    /// What its connections have counted.
    pub statistics: Arc<VhostStatistics>,
}

/// The result of deleting a queue.
#[derive(Debug)]
pub struct DeletedQueue {
    /// The number of ready messages that were deleted.
    pub messages: u64,
}

impl Vhost {
    /// Returns a virtual host with the system exchanges.
    pub fn new(spec: VhostSpec) -> Self {
        let system = SYSTEM_EXCHANGES.map(|(name, kind)| {
            let spec = ExchangeSpec {
                name: name.into(),
                kind,
                durable: true,
                auto_delete: false,
                internal: name == TRACE_EXCHANGE,
                arguments: FieldTable::default(),
            };
            (spec.name.clone(), Arc::new(Exchange::new(spec)))
        });
        Vhost {
            name: spec.name,
            metadata: RwLock::new(Arc::new(spec.metadata)),
            tracing: AtomicBool::new(false),
            queues: RwLock::default(),
            exchanges: RwLock::new(system.into()),
            sources: Mutex::default(),
            generation: AtomicU64::new(1),
            limits: RwLock::default(),
            policies: Mutex::default(),
            deleted: AtomicBool::new(false),
            statistics: Arc::default(),
        }
    }

    /// Returns its name.
    pub fn name(&self) -> &VhostName {
        &self.name
    }

    /// Returns a number that changes with every change of queues, exchanges or bindings: a cached route is valid
    /// while it stays the same.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// Returns a queue by name.
    pub fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.queues.read().get(name).cloned()
    }

    /// Returns an exchange by name; the default exchange is not among them.
    pub fn exchange(&self, name: &str) -> Option<Arc<Exchange>> {
        self.exchanges.read().get(name).cloned()
    }

    /// Returns all queues, in the order of their names.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        let mut queues: Vec<_> = self.queues.read().values().cloned().collect();
        queues.sort_by(|a, b| a.name().cmp(b.name()));
        queues
    }

    /// Returns all exchanges except the default one, in the order of their names.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        let mut exchanges: Vec<_> = self.exchanges.read().values().cloned().collect();
        exchanges.sort_by(|a, b| a.name().cmp(b.name()));
        exchanges
    }

    /// Returns the number of exchanges, the default one included.
    pub fn exchange_count(&self) -> u64 {
        self.exchanges.read().len() as u64 + 1
    }

    /// Declares a queue for a connection, or for a caller without one. Returns it, and whether it is new.
    ///
    /// # Errors
    /// 405 if it is exclusive to another connection, 406 if it exists with other properties or the queue limit
    /// is reached.
    pub fn declare_queue(
        &self,
        spec: QueueSpec,
        connection: Option<ConnectionId>,
        new_id: impl FnOnce() -> QueueId,
        fx: &mut Effects,
    ) -> Result<(Arc<Queue>, bool), AmqpError> {
        if let Some(existing) = self.queue(spec.name.as_str()) {
            return self
                .same_queue(&existing, &spec, connection)
                .map(|()| (existing, false));
        }
        let _changing = self.sources.lock();
        if let Some(existing) = self.queue(spec.name.as_str()) {
            return self
                .same_queue(&existing, &spec, connection)
                .map(|()| (existing, false));
        }
        self.check_queue_limit(&spec.name)?;
        let queue = Arc::new(Queue::new(new_id(), self.name.clone(), spec, Position(0)));
        self.configure_queue(&queue, fx);
        if queue.spec.is_stored() {
            fx.store(Definition::queue(&queue).put());
            // Before others can find it, so that a redeclaration is answered after this is stored.
            fx.submit();
        }
        self.statistics.queues.begin(&queue);
        self.queues
            .write()
            .insert(queue.name().clone(), queue.clone());
        self.changed();
        queue.start(fx);
        fx.count_churn(|churn| &churn.queue_created);
        Ok((queue, true))
    }

    fn same_queue(
        &self,
        existing: &Queue,
        wanted: &QueueSpec,
        connection: Option<ConnectionId>,
    ) -> Result<(), AmqpError> {
        let (name, current) = (&wanted.name, &existing.spec);
        // Checked first (`rabbit_amqqueue:assert_equivalence`).
        let other_kind = wanted.exclusive_to.is_some() != current.exclusive_to.is_some();
        if other_kind || existing.is_locked_for(connection) {
            return Err(texts::locked_queue(name, &self.name));
        }
        let properties = [
            ("durable", wanted.durable, current.durable),
            ("auto_delete", wanted.auto_delete, current.auto_delete),
        ];
        let entity = Entity::Queue(name);
        same_properties(&properties, entity, &self.name)?;
        same_arguments(&wanted.arguments, &current.arguments, entity, &self.name)
    }

    /// Restores a queue at startup, before clients connect.
    pub fn restore_queue(&self, queue: Arc<Queue>) {
        self.statistics.queues.begin(&queue);
        self.queues.write().insert(queue.name().clone(), queue);
    }

    /// Deletes a queue with its bindings if `allowed` accepts its counts, and cancels its consumers. Returns
    /// `None` if it was deleted meanwhile.
    ///
    /// # Errors
    /// The error of `allowed`.
    pub fn delete_queue<E>(
        &self,
        queue: &Arc<Queue>,
        allowed: impl FnOnce(Counts) -> Result<(), E>,
        fx: &mut Effects,
    ) -> Result<Option<DeletedQueue>, E> {
        self.remove_queue(queue, |fx| queue.delete_if(allowed, fx), fx)
    }

    /// Deletes a queue that has been unused for too long, if it still is.
    pub fn end_abandoned_queue(&self, queue: &Arc<Queue>, fx: &mut Effects) {
        let end = |fx: &mut Effects| Ok::<_, Infallible>(queue.delete_abandoned(fx));
        let Ok(_) = self.remove_queue(queue, end, fx);
    }

    fn remove_queue<E>(
        &self,
        queue: &Arc<Queue>,
        end: impl FnOnce(&mut Effects) -> Result<Option<Deleted>, E>,
        fx: &mut Effects,
    ) -> Result<Option<DeletedQueue>, E> {
        let mut sources = self.sources.lock();
        let Some(Deleted {
            messages,
            consumers,
        }) = end(fx)?
        else {
            return Ok(None);
        };
        let to = DestinationName::Queue(queue.name().clone());
        let unbound = self.remove_bindings_to(&to, &mut sources, fx);
        self.remove_exchanges(unbound, &mut sources, fx);
        self.queues.write().remove(queue.name());
        if queue.spec.is_stored() {
            fx.store(Definition::queue(queue).delete());
        }
        self.changed();
        fx.submit();
        drop(sources);
        queue.tracked.end();
        self.statistics.queues.end(queue);
        fx.count_churn(|churn| &churn.queue_deleted);
        for consumer in consumers {
            consumer.mailbox.cancelled(&consumer);
        }
        Ok(Some(DeletedQueue { messages }))
    }

    /// Deletes a queue even if it has messages or consumers.
    pub fn end_queue(&self, queue: &Arc<Queue>, fx: &mut Effects) {
        let Ok(_) = self.delete_queue(queue, |_| Ok::<_, Infallible>(()), fx);
    }

    /// Deletes every queue, exchange and policy when the virtual host is deleted.
    pub fn clear(&self, fx: &mut Effects) {
        for queue in self.queues() {
            self.end_queue(&queue, fx);
        }
        let mut sources = self.sources.lock();
        self.remove_exchanges(self.exchanges(), &mut sources, fx);
        self.deleted.store(true, Ordering::Relaxed);
        self.forget_policies(fx);
    }

    /// Returns whether it has been deleted. Call it with the change lock held.
    fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Relaxed)
    }

    /// Removes a consumer from its queue; deletes the queue if it is auto-delete and this was the last consumer.
    pub fn cancel_consumer(&self, consumer: &Arc<Consumer>, fx: &mut Effects) {
        let id: ConsumerId = consumer.id;
        if consumer.queue.cancel(id, fx) == AfterRemoval::AutoDelete {
            // Another client may have started to consume; RabbitMQ deletes the queue all the same.
            self.end_queue(&consumer.queue, fx);
        }
    }
}

impl Directory for Vhost {
    fn exchange(&self, name: &str) -> Option<Arc<Exchange>> {
        Vhost::exchange(self, name)
    }
}

impl VirtualHost for Vhost {
    fn generation(&self) -> u64 {
        Vhost::generation(self)
    }

    fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        Vhost::queue(self, name)
    }

    fn end_abandoned_queue(&self, queue: &Arc<Queue>, fx: &mut Effects) {
        Vhost::end_abandoned_queue(self, queue, fx);
    }
}

#[cfg(test)]
mod tests;
