//! Filling a definition file: the lists are written object by object, because there may be many.

use super::format::{
    BindingEntry, ExchangeEntry, ParameterEntry, PolicyEntry, QueueEntry, UserEntry, VhostEntry,
};
use super::import::is_internal;
use crate::domain::auth::User;
use crate::domain::broker::Broker;
use crate::domain::parameters::Parameter;
use crate::domain::policy::{Policy, PolicyKind};
use crate::domain::vhost::{SYSTEM_PREFIX, Vhost};
use crate::engine::exchange::{Binding, Destination, DestinationName, Exchange};
use crate::engine::queue::Queue;
use crate::manage::table;
use crate::text::names::RABBITMQ_VERSION;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::sync::Arc;

/// What a definition file is about.
#[derive(Clone, Debug)]
pub enum Scope {
    /// The whole broker.
    Broker,
    /// A virtual host.
    Vhost(Arc<Vhost>),
}

/// The definitions of a broker or a virtual host, collected while they are serialized.
pub struct Definitions<'a> {
    broker: &'a Broker,
    scope: Scope,
    left_out: Vec<String>,
}

/// Returns the users whose password hashes RabbitMQ cannot read.
pub fn incompatible_users(broker: &Broker) -> Vec<String> {
    let users = broker.users.users().into_iter();
    users
        .filter(|user| user.password.is_slow())
        .map(|user| user.name)
        .collect()
}

impl<'a> Definitions<'a> {
    /// Returns the definitions in a scope.
    pub fn new(broker: &'a Broker, scope: Scope) -> Self {
        Definitions {
            broker,
            scope,
            left_out: Vec::new(),
        }
    }

    /// Returns them without these users and their permissions.
    pub fn without(self, mut users: Vec<String>) -> Self {
        users.sort();
        Definitions {
            left_out: users,
            ..self
        }
    }

    fn has(&self, user: &String) -> bool {
        self.left_out.binary_search(user).is_err()
    }

    fn vhosts(&self) -> Vec<Arc<Vhost>> {
        match &self.scope {
            Scope::Broker => self.broker.vhosts(),
            Scope::Vhost(vhost) => vec![vhost.clone()],
        }
    }

    /// Returns the name of a virtual host where objects have to name theirs.
    fn named(&self, vhost: &Vhost) -> Option<String> {
        matches!(self.scope, Scope::Broker).then(|| vhost.name().to_string())
    }

    /// Writes a list: what `of_vhost` returns for each virtual host and the name that objects give it.
    fn list<M, I>(
        &self,
        map: &mut M,
        key: &'static str,
        of_vhost: impl Fn(&Arc<Vhost>, &Option<String>) -> I,
    ) -> Result<(), M::Error>
    where
        M: SerializeMap,
        I: IntoIterator<Item: Serialize>,
    {
        let (this, of_vhost) = (self, &of_vhost);
        let objects = move || {
            let vhosts = this.vhosts().into_iter();
            vhosts.flat_map(move |vhost| of_vhost(&vhost, &this.named(&vhost)))
        };
        map.serialize_entry(key, &List(objects))
    }

    /// Writes what only the file of a whole broker has.
    fn broker_parts<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        let broker = self.broker;
        let name = broker.global_parameters.cluster_name();
        map.serialize_entry("rabbitmq_definition_format", "cluster")?;
        map.serialize_entry("original_cluster_name", &name)?;
        let explanation = format!("Definitions of cluster '{name}'");
        map.serialize_entry("explanation", &explanation)?;
        let users = || {
            let users = broker.users.users().into_iter();
            users.filter(|user| self.has(&user.name)).map(user)
        };
        map.serialize_entry("users", &List(users))?;
        self.list(map, "vhosts", |vhost, _| [vhost_entry(vhost)])?;
        self.list(map, "permissions", |vhost, _| {
            let mut permissions = broker.users.permissions_in(vhost.name().as_str());
            permissions.retain(|permission| self.has(&permission.user));
            permissions
        })?;
        // Fails only for the topic permissions of a user who does not exist.
        let mut topics = broker
            .users
            .topic_permissions(None, None)
            .unwrap_or_default();
        topics.retain(|permission| self.has(&permission.user));
        map.serialize_entry("topic_permissions", &topics)?;
        let mut global = broker.global_parameters.list();
        global.retain(|parameter| !is_internal(&parameter.name));
        map.serialize_entry("global_parameters", &global)
    }
}

/// Writes what the file of one virtual host says about it.
fn vhost_parts<M: SerializeMap>(map: &mut M, vhost: &Vhost) -> Result<(), M::Error> {
    let (name, metadata) = (vhost.name().as_str(), vhost.metadata());
    map.serialize_entry("rabbitmq_definition_format", "single_virtual_host")?;
    map.serialize_entry("original_vhost_name", name)?;
    let explanation = format!("Definitions of virtual host '{name}'");
    map.serialize_entry("explanation", &explanation)?;
    map.serialize_entry("metadata", metadata.as_ref())?;
    map.serialize_entry("description", &metadata.description)?;
    map.serialize_entry("limits", &limits(vhost))
}

impl Serialize for Definitions<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rabbit_version", RABBITMQ_VERSION)?;
        map.serialize_entry("rabbitmq_version", RABBITMQ_VERSION)?;
        map.serialize_entry("product_name", "Leveret")?;
        map.serialize_entry("product_version", env!("CARGO_PKG_VERSION"))?;
        match &self.scope {
            Scope::Broker => self.broker_parts(&mut map)?,
            Scope::Vhost(vhost) => vhost_parts(&mut map, vhost)?,
        }
        self.list(&mut map, "parameters", |vhost, named| {
            let all = self.broker.parameters(Some(vhost.name().as_str()), None);
            let named = named.clone();
            all.into_iter()
                .map(move |one| parameter(one, named.clone()))
        })?;
        self.list(&mut map, "policies", |vhost, named| {
            let (all, named) = (vhost.policies(PolicyKind::User), named.clone());
            all.into_iter().map(move |one| policy(&one, named.clone()))
        })?;
        // Before both their ends: of what is declared meanwhile no binding is written without its queue.
        self.list(&mut map, "bindings", |vhost, named| {
            let named = named.clone();
            let exchanges = vhost.exchanges().into_iter();
            exchanges.flat_map(move |source| bindings(&source, named.as_ref()))
        })?;
        self.list(&mut map, "exchanges", |vhost, named| {
            let (all, named) = (vhost.exchanges().into_iter(), named.clone());
            all.filter(|one| !is_system(one))
                .map(move |one| exchange(&one, named.clone()))
        })?;
        self.list(&mut map, "queues", |vhost, named| {
            let (all, named) = (vhost.queues().into_iter(), named.clone());
            all.filter(|queue| queue.spec.exclusive_to.is_none())
                .map(move |one| queue(&one, named.clone()))
        })?;
        map.end()
    }
}

/// A list whose elements are made while it is written.
struct List<F>(F);

impl<F, I> Serialize for List<F>
where
    F: Fn() -> I,
    I: Iterator<Item: Serialize>,
{
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Returns whether an exchange is the broker's own. RabbitMQ also leaves out internal exchanges, but not their bindings.
fn is_system(exchange: &Exchange) -> bool {
    exchange.name().as_str().starts_with(SYSTEM_PREFIX)
}

fn user(user: User) -> UserEntry {
    let limits = user.limits.is_empty().then(Map::new);
    UserEntry { user, limits }
}

fn vhost_entry(vhost: &Vhost) -> VhostEntry {
    let metadata = vhost.metadata();
    VhostEntry {
        name: vhost.name().to_string(),
        description: None,
        tags: None,
        default_queue_type: None,
        metadata: match serde_json::to_value(metadata.as_ref()) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        },
        limits: limits(vhost),
    }
}

fn limits(vhost: &Vhost) -> Value {
    let limits = vhost.limits().map(|limits| limits.to_json());
    let limits = limits.and_then(|text| serde_json::from_str(&text).ok());
    limits.unwrap_or_else(|| Map::new().into())
}

fn parameter(parameter: Parameter, vhost: Option<String>) -> ParameterEntry {
    ParameterEntry {
        vhost,
        component: parameter.component,
        name: parameter.name,
        value: parameter.value,
    }
}

fn policy(policy: &Policy, vhost: Option<String>) -> PolicyEntry {
    let spec = &policy.spec;
    let settings = spec.definition.settings();
    PolicyEntry {
        vhost,
        name: spec.name.clone(),
        pattern: spec.pattern.clone(),
        apply_to: spec.apply_to.as_str().to_owned(),
        definition: settings
            .map(|(name, value)| (name.to_owned(), value.clone()))
            .collect::<Map<_, _>>()
            .into(),
        priority: spec.priority,
    }
}

fn queue(queue: &Queue, vhost: Option<String>) -> QueueEntry {
    let spec = &queue.spec;
    QueueEntry {
        name: queue.name().to_string(),
        vhost,
        r#type: Some(spec.kind().as_str().to_owned()),
        durable: spec.durable,
        auto_delete: spec.auto_delete,
        arguments: table::json(&spec.arguments).into(),
    }
}

fn exchange(exchange: &Exchange, vhost: Option<String>) -> ExchangeEntry {
    let spec = &exchange.spec;
    ExchangeEntry {
        name: spec.name.to_string(),
        vhost,
        r#type: spec.kind.name().to_owned(),
        durable: spec.durable,
        auto_delete: spec.auto_delete,
        internal: spec.internal,
        arguments: table::json(&spec.arguments).into(),
    }
}

/// Returns the bindings of an exchange in a fixed order, without those that end with an exclusive queue.
fn bindings(source: &Exchange, vhost: Option<&String>) -> Vec<BindingEntry> {
    let mut bindings = source.bindings();
    bindings.retain(|binding| match &binding.destination {
        Destination::Queue(queue) => queue.spec.exclusive_to.is_none(),
        Destination::Exchange(_) => true,
    });
    bindings.sort_by_cached_key(|one| (one.destination.name(), one.key.clone()));
    let entry = |one| binding(source, one, vhost.cloned());
    bindings.iter().map(entry).collect()
}

fn binding(source: &Exchange, binding: &Binding, vhost: Option<String>) -> BindingEntry {
    let (destination_type, destination) = match binding.destination.name() {
        DestinationName::Queue(name) => ("queue", name.to_string()),
        DestinationName::Exchange(name) => ("exchange", name.to_string()),
    };
    BindingEntry {
        source: source.name().to_string(),
        vhost,
        destination,
        destination_type: destination_type.to_owned(),
        routing_key: binding.key.as_str().to_owned(),
        arguments: table::json(&binding.arguments).into(),
    }
}
