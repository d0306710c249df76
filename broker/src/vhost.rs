//! A virtual host: the directory of its queues and exchanges, and the changes to it.
//!
//! Look-ups take a read lock for an instant. Changes (declare, delete, bind) are serialized by one
//! lock per virtual host, so that each sees the whole picture; they return what has to be stored
//! as [`Effects`].

mod equivalence;
mod limits;

use crate::definitions::Definition;
use crate::exchange::{
    Binding, Destination, DestinationName, Exchange, ExchangeKind, ExchangeSpec,
};
use crate::limits::VhostLimits;
use crate::queue::{
    AfterRemoval, Consumer, ConsumerId, Counts, Effects, Queue, QueueSpec, Remains,
};
use crate::server::ConnectionId;
use crate::server::mailbox::Mail;
use equivalence::{same_argument, same_arguments, same_properties};
use leveret_protocol::texts::{self, Entity};
use leveret_protocol::values::FieldTable;
use leveret_protocol::{AmqpError, ExchangeName, QueueName, RoutingKey, VhostName};
use leveret_storage::{Position, QueueId};
use parking_lot::{Mutex, RwLock};
use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The exchanges that every virtual host has (spec 3.1.3, RabbitMQ's `amq.match` and trace aside).
const SYSTEM_EXCHANGES: [(&str, ExchangeKind); 5] = [
    ("amq.direct", ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    ("amq.topic", ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
];

/// What a virtual host was added as.
#[derive(Clone, Debug)]
pub struct VhostSpec {
    /// Its name.
    pub name: VhostName,
    /// What an operator wrote about it.
    pub description: String,
    /// Words that an operator put on it.
    pub tags: Vec<String>,
}

impl VhostSpec {
    /// A virtual host with nothing but a name.
    pub fn named(name: &str) -> Self {
        VhostSpec {
            name: name.into(),
            description: String::new(),
            tags: Vec::new(),
        }
    }
}

/// A virtual host.
#[derive(Debug)]
pub struct Vhost {
    /// What it was added as.
    pub spec: VhostSpec,
    queues: RwLock<HashMap<QueueName, Arc<Queue>>>,
    exchanges: RwLock<HashMap<ExchangeName, Arc<Exchange>>>,
    /// Which exchanges have bindings to a destination. Its lock is the one for changes.
    sources: Mutex<HashMap<DestinationName, HashSet<ExchangeName>>>,
    generation: AtomicU64,
    limits: RwLock<Option<VhostLimits>>,
}

/// What deleting a queue did.
#[derive(Debug)]
pub struct DeletedQueue {
    /// Messages that were ready.
    pub messages: u64,
}

impl Vhost {
    /// A virtual host with the exchanges that all have.
    pub fn new(spec: VhostSpec) -> Self {
        let system = SYSTEM_EXCHANGES.map(|(name, kind)| {
            let spec = ExchangeSpec {
                name: name.into(),
                kind,
                durable: true,
                auto_delete: false,
                internal: false,
                arguments: FieldTable::default(),
            };
            (spec.name.clone(), Arc::new(Exchange::new(spec)))
        });
        Vhost {
            spec,
            queues: RwLock::default(),
            exchanges: RwLock::new(system.into()),
            sources: Mutex::default(),
            generation: AtomicU64::new(1),
            limits: RwLock::default(),
        }
    }

    /// Its name.
    pub fn name(&self) -> &VhostName {
        &self.spec.name
    }

    /// A number that changes with every change of queues, exchanges or bindings, so that a
    /// looked-up route can be kept as long as it stays the same.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    fn changed(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
    }

    /// A queue by name.
    pub fn queue(&self, name: &str) -> Option<Arc<Queue>> {
        self.queues.read().get(name).cloned()
    }

    /// An exchange by name; the default exchange is none of them.
    pub fn exchange(&self, name: &str) -> Option<Arc<Exchange>> {
        self.exchanges.read().get(name).cloned()
    }

    /// All queues, in the order of their names.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        let mut queues: Vec<_> = self.queues.read().values().cloned().collect();
        queues.sort_by(|a, b| a.name().cmp(b.name()));
        queues
    }

    /// All exchanges but the default one, in the order of their names.
    pub fn exchanges(&self) -> Vec<Arc<Exchange>> {
        let mut exchanges: Vec<_> = self.exchanges.read().values().cloned().collect();
        exchanges.sort_by(|a, b| a.name().cmp(b.name()));
        exchanges
    }

    /// Declares a queue. The flag says whether it is new.
    ///
    /// # Errors
    /// 405 when another connection holds it exclusively, 406 when it exists and is not the same,
    /// or when there is no place for another.
    pub fn declare_queue(
        &self,
        spec: QueueSpec,
        connection: ConnectionId,
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
        let queue = Arc::new(Queue::new(
            new_id(),
            self.spec.name.clone(),
            spec,
            Position(0),
        ));
        if queue.spec.is_stored() {
            fx.store(Definition::queue(&queue).put());
            // Before anybody can find it: whoever declares it again is answered after this.
            fx.submit();
        }
        self.queues
            .write()
            .insert(queue.name().clone(), queue.clone());
        self.changed();
        Ok((queue, true))
    }

    fn same_queue(
        &self,
        existing: &Queue,
        wanted: &QueueSpec,
        connection: ConnectionId,
    ) -> Result<(), AmqpError> {
        let (name, current) = (&wanted.name, &existing.spec);
        // Before all else (`rabbit_amqqueue:assert_equivalence`).
        let other_kind = wanted.exclusive_to.is_some() != current.exclusive_to.is_some();
        if other_kind || existing.is_locked_for(connection) {
            return Err(texts::locked_queue(name, &self.spec.name));
        }
        let properties = [
            ("durable", wanted.durable, current.durable),
            ("auto_delete", wanted.auto_delete, current.auto_delete),
        ];
        let entity = Entity::Queue(name);
        same_properties(&properties, entity, &self.spec.name)?;
        same_arguments(
            &wanted.arguments,
            &current.arguments,
            entity,
            &self.spec.name,
        )
    }

    /// Puts back a queue at start, before anybody connects.
    pub fn restore_queue(&self, queue: Arc<Queue>) {
        self.queues.write().insert(queue.name().clone(), queue);
    }

    /// Deletes a queue with its bindings if `allowed` says so of its numbers; its consumers are
    /// told. `None` when it was deleted by somebody else meanwhile.
    ///
    /// # Errors
    /// What `allowed` refused with.
    pub fn delete_queue<E>(
        &self,
        queue: &Arc<Queue>,
        allowed: impl FnOnce(Counts) -> Result<(), E>,
        fx: &mut Effects,
    ) -> Result<Option<DeletedQueue>, E> {
        let mut sources = self.sources.lock();
        let Some(Remains {
            messages,
            consumers,
        }) = queue.delete_if(allowed, fx)?
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
        for consumer in consumers {
            let mailbox = consumer.mailbox.clone();
            mailbox.send(Mail::Cancel(consumer));
        }
        Ok(Some(DeletedQueue { messages }))
    }

    /// Deletes a queue whatever is in it and whoever uses it.
    pub fn end_queue(&self, queue: &Arc<Queue>, fx: &mut Effects) {
        let Ok(_) = self.delete_queue(queue, |_| Ok::<_, Infallible>(()), fx);
    }

    /// Ends every queue and forgets every exchange, when the virtual host itself goes.
    pub fn clear(&self, fx: &mut Effects) {
        for queue in self.queues() {
            self.end_queue(&queue, fx);
        }
        let mut sources = self.sources.lock();
        self.remove_exchanges(self.exchanges(), &mut sources, fx);
    }

    /// Takes a consumer off its queue; deletes the queue when that was its purpose.
    pub fn cancel_consumer(&self, consumer: &Arc<Consumer>, fx: &mut Effects) {
        let id: ConsumerId = consumer.id;
        if consumer.queue.cancel(id) == AfterRemoval::AutoDelete {
            // Somebody may have begun to consume again; RabbitMQ deletes all the same.
            self.end_queue(&consumer.queue, fx);
        }
    }

    /// Declares an exchange. The flag says whether it is new.
    ///
    /// # Errors
    /// 406 when it exists and is not the same.
    pub fn declare_exchange(
        &self,
        spec: ExchangeSpec,
        fx: &mut Effects,
    ) -> Result<(Arc<Exchange>, bool), AmqpError> {
        let _changing = self.sources.lock();
        if let Some(existing) = self.exchange(spec.name.as_str()) {
            self.same_exchange(&existing.spec, &spec)?;
            return Ok((existing, false));
        }
        if spec.durable {
            fx.store(Definition::exchange(&self.spec.name, &spec).put());
            fx.submit();
        }
        Ok((self.insert_exchange(spec), true))
    }

    /// Adds an exchange without storing it: at start, what is stored already.
    pub fn insert_exchange(&self, spec: ExchangeSpec) -> Arc<Exchange> {
        let exchange = Arc::new(Exchange::new(spec));
        self.exchanges
            .write()
            .insert(exchange.name().clone(), exchange.clone());
        self.changed();
        exchange
    }

    fn same_exchange(
        &self,
        current: &ExchangeSpec,
        wanted: &ExchangeSpec,
    ) -> Result<(), AmqpError> {
        let entity = Entity::Exchange(&wanted.name);
        if current.kind != wanted.kind {
            let (received, current) = (wanted.kind, current.kind);
            return Err(texts::inequivalent_property(
                "type",
                entity,
                &self.spec.name,
                received,
                current,
            ));
        }
        let properties = [
            ("durable", wanted.durable, current.durable),
            ("auto_delete", wanted.auto_delete, current.auto_delete),
            ("internal", wanted.internal, current.internal),
        ];
        same_properties(&properties, entity, &self.spec.name)?;
        let wanted = wanted.arguments.inner().get("alternate-exchange");
        let current = current.arguments.inner().get("alternate-exchange");
        same_argument(
            "alternate-exchange",
            wanted,
            current,
            entity,
            &self.spec.name,
        )
    }

    /// Deletes an exchange with its bindings. `false` when there is none of that name.
    ///
    /// # Errors
    /// 403 for one of the system's, 406 when it is in use and `if_unused`.
    pub fn delete_exchange(
        &self,
        name: &ExchangeName,
        if_unused: bool,
        fx: &mut Effects,
    ) -> Result<bool, AmqpError> {
        if SYSTEM_EXCHANGES
            .iter()
            .any(|(system, _)| *system == name.as_str())
        {
            return Err(texts::system_exchange(name, &self.spec.name));
        }
        let mut sources = self.sources.lock();
        let Some(exchange) = self.exchange(name.as_str()) else {
            return Ok(false);
        };
        if if_unused && !exchange.is_unbound() {
            return Err(texts::in_use(Entity::Exchange(name), &self.spec.name));
        }
        self.remove_exchanges(vec![exchange], &mut sources, fx);
        fx.submit();
        Ok(true)
    }

    /// Removes exchanges with their bindings, and the auto-delete exchanges that then have none
    /// left, and so on: a loop, because a client may chain as many as it likes.
    fn remove_exchanges(
        &self,
        mut going: Vec<Arc<Exchange>>,
        sources: &mut Sources,
        fx: &mut Effects,
    ) {
        while let Some(exchange) = going.pop() {
            let name = exchange.name();
            if self.exchanges.write().remove(name).is_none() {
                continue;
            }
            for binding in exchange.bindings() {
                let to = binding.destination.name();
                exchange.unbind(&to, &binding.key, &binding.arguments);
                self.forget_binding(&exchange, &binding, sources, fx);
            }
            if exchange.spec.durable {
                fx.store(Definition::exchange(&self.spec.name, &exchange.spec).delete());
            }
            self.changed();
            let to = DestinationName::Exchange(name.clone());
            going.extend(self.remove_bindings_to(&to, sources, fx));
        }
    }

    /// Removes the bindings that lead to something that goes; returns the auto-delete exchanges
    /// that have none left.
    fn remove_bindings_to(
        &self,
        to: &DestinationName,
        sources: &mut Sources,
        fx: &mut Effects,
    ) -> Vec<Arc<Exchange>> {
        let mut unbound = Vec::new();
        for source in sources.remove(to).unwrap_or_default() {
            let Some(exchange) = self.exchange(source.as_str()) else {
                continue;
            };
            for binding in exchange.unbind_all(to) {
                self.forget_binding(&exchange, &binding, sources, fx);
            }
            if exchange.spec.auto_delete && exchange.is_unbound() {
                unbound.push(exchange);
            }
        }
        unbound
    }

    fn forget_binding(
        &self,
        source: &Exchange,
        binding: &Binding,
        sources: &mut Sources,
        fx: &mut Effects,
    ) {
        let to = binding.destination.name();
        if let Some(exchanges) = sources.get_mut(&to)
            && !source.is_bound_to(&to)
        {
            exchanges.remove(source.name());
            if exchanges.is_empty() {
                sources.remove(&to);
            }
        }
        if is_stored(source, binding) {
            fx.store(Definition::binding(&self.spec.name, source.name(), binding).delete());
        }
    }

    /// Binds a queue or an exchange to an exchange; the same binding twice is one. The flag says
    /// whether it is stored. Both ends must still exist when the lock for changes is held.
    ///
    /// # Errors
    /// 404 when one of them went meanwhile.
    pub fn bind(
        &self,
        source: &Exchange,
        binding: Binding,
        fx: &mut Effects,
    ) -> Result<bool, AmqpError> {
        let mut sources = self.sources.lock();
        if self.exchange(source.name().as_str()).is_none() {
            return Err(texts::no_exchange(source.name(), &self.spec.name));
        }
        match &binding.destination {
            Destination::Queue(queue) if self.queue(queue.name().as_str()).is_none() => {
                return Err(texts::no_queue(queue.name().as_str(), &self.spec.name));
            }
            Destination::Exchange(exchange)
                if self.exchange(exchange.name().as_str()).is_none() =>
            {
                return Err(texts::no_exchange(exchange.name(), &self.spec.name));
            }
            _ => {}
        }
        let stored = is_stored(source, &binding);
        if source.bind(binding.clone()) {
            let to = binding.destination.name();
            sources.entry(to).or_default().insert(source.name().clone());
            if stored {
                fx.store(Definition::binding(&self.spec.name, source.name(), &binding).put());
            }
            self.changed();
            fx.submit();
        }
        Ok(stored)
    }

    /// Puts back a binding at start.
    pub fn restore_binding(&self, source: &Exchange, binding: Binding) {
        let to = binding.destination.name();
        if source.bind(binding) {
            self.sources
                .lock()
                .entry(to)
                .or_default()
                .insert(source.name().clone());
        }
    }

    /// Removes a binding; one that does not exist is no error. The flag says whether it was
    /// stored.
    pub fn unbind(
        &self,
        source: &Exchange,
        destination: Destination,
        key: &RoutingKey,
        arguments: &FieldTable,
        fx: &mut Effects,
    ) -> bool {
        let mut sources = self.sources.lock();
        let binding = Binding {
            destination,
            key: key.clone(),
            arguments: arguments.clone(),
        };
        if !source.unbind(&binding.destination.name(), key, arguments) {
            return false;
        }
        self.forget_binding(source, &binding, &mut sources, fx);
        if source.spec.auto_delete && source.is_unbound() {
            let unbound = Vec::from_iter(self.exchange(source.name().as_str()));
            self.remove_exchanges(unbound, &mut sources, fx);
        }
        self.changed();
        fx.submit();
        is_stored(source, &binding)
    }
}

type Sources = HashMap<DestinationName, HashSet<ExchangeName>>;

/// A binding survives a restart when both its ends do.
fn is_stored(source: &Exchange, binding: &Binding) -> bool {
    let stored = match &binding.destination {
        Destination::Queue(queue) => queue.spec.is_stored(),
        Destination::Exchange(_) => binding.destination.is_durable(),
    };
    source.spec.durable && stored
}
