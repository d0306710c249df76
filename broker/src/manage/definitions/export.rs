//! Filling a definition file.

use super::Definitions;
use super::format::{
    BindingEntry, BrokerParts, ExchangeEntry, ParameterEntry, PolicyEntry, QueueEntry, UserEntry,
    VhostEntry, VhostParts,
};
use crate::domain::auth::User;
use crate::domain::broker::Broker;
use crate::domain::parameters::Parameter;
use crate::domain::policy::{Policy, PolicyKind};
use crate::domain::vhost::{SYSTEM_PREFIX, Vhost};
use crate::engine::exchange::{Binding, DestinationName, Exchange};
use crate::engine::queue::Queue;
use crate::manage::table;
use crate::text::names::RABBITMQ_VERSION;
use serde_json::{Map, Value};
use std::sync::Arc;

/// Global parameters with this prefix are the broker's own, and stay with it.
const INTERNAL_PREFIX: &str = "internal";

impl Definitions {
    /// Returns everything that a broker has declared.
    pub fn of_broker(broker: &Broker) -> Self {
        let name = broker.global_parameters.cluster_name();
        let vhosts = broker.vhosts();
        let mut all = Definitions::new("cluster", format!("Definitions of cluster '{name}'"));
        all.original_cluster_name = Some(name);
        all.broker = Some(BrokerParts {
            users: broker.users.users().into_iter().map(user).collect(),
            vhosts: vhosts.iter().map(|vhost| vhost_entry(vhost)).collect(),
            permissions: vhosts
                .iter()
                .flat_map(|vhost| broker.users.permissions_in(vhost.name().as_str()))
                .collect(),
            // Fails only for the topic permissions of a user who does not exist.
            topic_permissions: broker
                .users
                .topic_permissions(None, None)
                .unwrap_or_default(),
            global_parameters: broker
                .global_parameters
                .list()
                .into_iter()
                .filter(|parameter| !parameter.name.starts_with(INTERNAL_PREFIX))
                .collect(),
        });
        for vhost in &vhosts {
            all.add_contents(broker, vhost, Some(vhost.name().as_str()));
        }
        all
    }

    /// Returns everything that is declared in a virtual host.
    pub fn of_vhost(broker: &Broker, vhost: &Arc<Vhost>) -> Self {
        let name = vhost.name().to_string();
        let explanation = format!("Definitions of virtual host '{name}'");
        let mut all = Definitions::new("single_virtual_host", explanation);
        all.original_vhost_name = Some(name);
        let metadata = vhost.metadata();
        all.vhost = Some(VhostParts {
            description: metadata.description.clone(),
            metadata: metadata.as_ref().clone(),
            limits: limits(vhost),
        });
        all.add_contents(broker, vhost, None);
        all
    }

    fn new(format: &'static str, explanation: String) -> Self {
        Definitions {
            rabbit_version: RABBITMQ_VERSION.to_owned(),
            rabbitmq_version: RABBITMQ_VERSION.to_owned(),
            product_name: "Leveret".to_owned(),
            product_version: env!("CARGO_PKG_VERSION").to_owned(),
            rabbitmq_definition_format: format,
            original_cluster_name: None,
            original_vhost_name: None,
            explanation,
            vhost: None,
            broker: None,
            parameters: Vec::new(),
            policies: Vec::new(),
            queues: Vec::new(),
            exchanges: Vec::new(),
            bindings: Vec::new(),
        }
    }

    /// Adds what is declared in a virtual host, which each object names if `named` is given.
    fn add_contents(&mut self, broker: &Broker, vhost: &Vhost, named: Option<&str>) {
        let named = named.map(str::to_owned);
        let parameters = broker.parameters(Some(vhost.name().as_str()), None);
        self.parameters.extend(
            parameters
                .into_iter()
                .map(|one| parameter(one, named.clone())),
        );
        let policies = vhost.policies(PolicyKind::User);
        self.policies
            .extend(policies.iter().map(|one| policy(one, named.clone())));
        let queues = vhost.queues();
        let lasting = queues
            .iter()
            .filter(|queue| queue.spec.exclusive_to.is_none());
        self.queues
            .extend(lasting.map(|one| queue(one, named.clone())));
        for source in vhost.exchanges() {
            if !is_system(&source) {
                self.exchanges.push(exchange(&source, named.clone()));
            }
            let mut bindings = source.bindings();
            bindings.sort_by(|a, b| {
                (a.destination.name(), &a.key).cmp(&(b.destination.name(), &b.key))
            });
            let lasting = bindings.iter().filter(|binding| !is_exclusive(binding));
            self.bindings
                .extend(lasting.map(|one| binding(&source, one, named.clone())));
        }
    }
}

/// Returns whether an exchange is the broker's own, or not for clients (`rabbit_definitions:list_exchanges`).
fn is_system(exchange: &Exchange) -> bool {
    exchange.spec.internal || exchange.name().as_str().starts_with(SYSTEM_PREFIX)
}

fn is_exclusive(binding: &Binding) -> bool {
    match &binding.destination {
        crate::engine::exchange::Destination::Queue(queue) => queue.spec.exclusive_to.is_some(),
        crate::engine::exchange::Destination::Exchange(_) => false,
    }
}

fn user(user: User) -> UserEntry {
    let limits = user.limits.is_empty().then(Map::new);
    UserEntry { user, limits }
}

fn vhost_entry(vhost: &Vhost) -> VhostEntry {
    let metadata = vhost.metadata();
    VhostEntry {
        name: vhost.name().to_string(),
        description: Some(metadata.description.clone()),
        tags: None,
        default_queue_type: None,
        metadata: match serde_json::to_value(metadata.as_ref()) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        },
        limits: limits(vhost),
        tracing: None,
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
