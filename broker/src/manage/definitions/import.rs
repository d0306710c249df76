//! Applying a definition file.
//!
//! What is there already stays: queues and exchanges keep their properties; users, virtual hosts, policies and the like
//! are updated. An entry that cannot be had is named, and the others are applied.

use super::format::{
    BindingEntry, ExchangeEntry, ParameterEntry, PolicyEntry, QueueEntry, VhostEntry,
};
use crate::domain::auth::{
    AuthError, Change, HashingAlgorithm, PasswordHash, Permission, TopicPermission, tags,
};
use crate::domain::broker::Broker;
use crate::domain::limits::UserLimits;
use crate::domain::parameters::GlobalParameter;
use crate::domain::policy::{Policy, PolicyKind, WrittenPolicy};
use crate::domain::vhost::{SYSTEM_PREFIX, Vhost};
use crate::domain::vhost_spec::{VhostSpec, VhostUpdate};
use crate::engine::exchange::{Binding, Destination, ExchangeKind, ExchangeSpec};
use crate::engine::queue::{Effects, QueueSpec, arguments};
use crate::manage::table;
use leveret_protocol::values::FieldTable;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;

/// The global parameter with the hash of the definitions that were imported last (`--skip-if-unchanged`).
const IMPORTED_HASH: &str = "internal_imported_definitions_hash";

/// What became of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Imported {
    /// The number of entries that were applied.
    pub applied: usize,
    /// The entries that were not, in the order of the file.
    pub problems: Vec<Problem>,
    /// Nothing was applied, because the same definitions were imported last.
    pub unchanged: bool,
}

/// An entry that was not applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}: {reason}")]
pub struct Problem {
    /// Which one: `queue 'q' in vhost '/'`.
    pub what: String,
    /// Why.
    pub reason: String,
    /// Whether RabbitMQ, too, would refuse it; otherwise it is something that this broker does not have.
    pub invalid: bool,
}

/// A file that is not one of definitions: nothing was applied.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum NotDefinitions {
    /// It is not a JSON object.
    #[error("not_json")]
    NotJson,
    /// One of its parts is not a list of objects.
    #[error("{0} is not a list of objects")]
    NotList(&'static str),
    /// It is about one virtual host, which its objects do not name.
    #[error(
        "some queues, exchanges or bindings do not name their virtual host: this is a file of one virtual host, import it \
         into one"
    )]
    NoVhost,
}

/// The kinds of entries, in the order in which they are applied (`rabbit_definitions:apply_defs`).
const OF_BROKER: [&str; 10] = [
    "users",
    "vhosts",
    "permissions",
    "exchanges",
    "topic_permissions",
    "global_parameters",
    "policies",
    "parameters",
    "queues",
    "bindings",
];
const OF_VHOST: [&str; 5] = ["exchanges", "parameters", "policies", "queues", "bindings"];

/// An import on its way.
struct Import<'a> {
    broker: &'a Arc<Broker>,
    fx: &'a mut Effects,
    /// The virtual host that all entries are for, instead of the one that they name.
    vhost: Option<String>,
    /// RabbitMQ before 3.6 wrote MD5 hashes and did not say so.
    default_algorithm: HashingAlgorithm,
    imported: Imported,
}

/// Applies definitions, to one virtual host if it is given. The caller holds [`Broker::admin_changes`].
///
/// # Errors
/// When it is no definition file: then nothing was applied.
pub(crate) fn import(
    broker: &Arc<Broker>,
    file: &Map<String, Value>,
    vhost: Option<&str>,
    fx: &mut Effects,
) -> Result<Imported, NotDefinitions> {
    let started = Instant::now();
    let kinds: &[&'static str] = if vhost.is_some() {
        &OF_VHOST
    } else {
        &OF_BROKER
    };
    for &kind in kinds {
        let entries = entries(file, kind)?;
        let of_vhost = matches!(kind, "queues" | "exchanges" | "bindings");
        if vhost.is_none() && of_vhost && entries.iter().any(|entry| entry.get("vhost").is_none()) {
            return Err(NotDefinitions::NoVhost);
        }
    }
    let mut import = Import {
        broker,
        fx,
        vhost: vhost.map(str::to_owned),
        default_algorithm: default_algorithm(file),
        imported: Imported::default(),
    };
    for &kind in kinds {
        for entry in entries(file, kind)? {
            import.apply(kind, entry);
        }
    }
    let imported = import.imported;
    for problem in &imported.problems {
        tracing::warn!(%problem, "a definition was not imported");
    }
    tracing::info!(
        applied = imported.applied,
        not_applied = imported.problems.len(),
        elapsed_ms = started.elapsed().as_millis() as u64,
        "definitions imported"
    );
    Ok(imported)
}

fn entries<'a>(
    file: &'a Map<String, Value>,
    kind: &'static str,
) -> Result<&'a [Value], NotDefinitions> {
    match file.get(kind) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(entries)) if entries.iter().all(Value::is_object) => Ok(entries),
        Some(_) => Err(NotDefinitions::NotList(kind)),
    }
}

fn default_algorithm(file: &Map<String, Value>) -> HashingAlgorithm {
    let version = file.get("rabbitmq_version").or(file.get("rabbit_version"));
    let mut numbers = version.and_then(Value::as_str).unwrap_or("4.0").split('.');
    let mut next = || numbers.next().and_then(|number| number.parse::<u32>().ok());
    match (next(), next()) {
        (Some(major), Some(minor)) if (major, minor) < (3, 6) => HashingAlgorithm::Md5,
        _ => HashingAlgorithm::default(),
    }
}

/// Why an entry is not applied.
struct Refused {
    reason: String,
    invalid: bool,
}

impl Refused {
    fn unsupported(reason: impl Into<String>) -> Self {
        Refused {
            reason: reason.into(),
            invalid: false,
        }
    }
}

/// Whatever an operation refuses, RabbitMQ refuses too.
impl<E: std::fmt::Display> From<E> for Refused {
    fn from(error: E) -> Self {
        Refused {
            reason: error.to_string(),
            invalid: true,
        }
    }
}

type Applied = Result<(), Refused>;

fn parse<T: DeserializeOwned>(entry: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(entry)
}

/// Converts arguments; RabbitMQ writes none of them as `[]`.
fn fields(arguments: &Value) -> Result<FieldTable, Refused> {
    match arguments {
        Value::Object(map) => Ok(table::to_amqp(map)),
        Value::Null => Ok(FieldTable::default()),
        Value::Array(items) if items.is_empty() => Ok(FieldTable::default()),
        _ => Err("arguments is not an object".into()),
    }
}

impl Import<'_> {
    fn apply(&mut self, kind: &'static str, entry: &Value) {
        let applied = match kind {
            "users" => self.user(entry),
            "vhosts" => self.vhost_entry(entry),
            "permissions" => self.permission(entry),
            "topic_permissions" => self.topic_permission(entry),
            "parameters" => self.parameter(entry),
            "global_parameters" => self.global_parameter(entry),
            "policies" => self.policy(entry),
            "queues" => self.queue(entry),
            "exchanges" => self.exchange(entry),
            _ => self.binding(entry),
        };
        match applied {
            Ok(()) => self.imported.applied += 1,
            Err(refused) => self.imported.problems.push(Problem {
                what: describe(kind, entry),
                reason: refused.reason,
                invalid: refused.invalid,
            }),
        }
    }

    fn store(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.broker.store_change(change, self.fx);
        }
        self.fx.submit();
    }

    /// Returns the virtual host of an entry.
    fn vhost_of(&self, named: Option<String>) -> Result<Arc<Vhost>, Refused> {
        let name = self.vhost.clone().or(named);
        let name =
            name.ok_or("Virtual host does not exist and is not specified in definitions file.")?;
        let vhost = self.broker.vhost(&name);
        Ok(vhost.ok_or_else(|| {
            format!("Please create virtual host \"{name}\" prior to importing definitions.")
        })?)
    }

    fn user(&mut self, entry: &Value) -> Applied {
        #[derive(Deserialize)]
        struct Entry {
            name: String,
            password: Option<String>,
            password_hash: Option<String>,
            hashing_algorithm: Option<String>,
            #[serde(default, deserialize_with = "tags::deserialize")]
            tags: Vec<String>,
            #[serde(default)]
            limits: Value,
        }
        let user: Entry = parse(entry)?;
        let algorithm = match user.hashing_algorithm {
            None => self.default_algorithm,
            Some(name) => serde_json::from_value(Value::String(name.clone())).map_err(|_| {
                Refused::unsupported(format!("hashing algorithm {name} is not available"))
            })?,
        };
        let hash = match (user.password_hash, user.password) {
            (Some(hash), _) => {
                let parsed = PasswordHash::parse(&hash, algorithm);
                parsed.ok_or("its password hash does not fit the hashing algorithm")?
            }
            (None, Some(password)) => PasswordHash::of(&password),
            (None, None) => PasswordHash::parse("", algorithm).ok_or("it has no password")?,
        };
        let limits = match user.limits {
            Value::Object(map) if !map.is_empty() => {
                UserLimits::parse(&Value::Object(map).to_string())?
            }
            _ => UserLimits::default(),
        };
        let users = &self.broker.users;
        let name = &user.name;
        let added = match users.add_user(name, hash.clone(), &user.tags) {
            Err(AuthError::UserExists(_)) => users
                .change_password(name, hash)
                .and_then(|_| users.set_tags(name, &user.tags)),
            other => other,
        };
        added?;
        let changed = users.change_limits(name, |_| limits)?;
        self.store([changed]);
        Ok(())
    }

    fn vhost_entry(&mut self, entry: &Value) -> Applied {
        let entry: VhostEntry = parse(entry)?;
        let metadata = &entry.metadata;
        let kind = metadata.get("default_queue_type").cloned();
        let kind = kind.filter(|kind| !kind.is_null() && kind != "undefined");
        let kind = kind.or(entry.default_queue_type.map(Value::String));
        let tags = metadata
            .get("tags")
            .cloned()
            .map(tags::deserialize)
            .transpose()?;
        let described = metadata.get("description").and_then(Value::as_str);
        let update = VhostUpdate {
            description: entry.description.or(described.map(str::to_owned)),
            tags: entry.tags.or(tags),
            default_queue_type: kind.map(serde_json::from_value).transpose()?,
            protected_from_deletion: metadata
                .get("protected_from_deletion")
                .and_then(Value::as_bool),
        };
        self.broker
            .add_vhost(VhostSpec::named(&entry.name), self.fx);
        self.broker.update_vhost(&entry.name, update, self.fx);
        Ok(())
    }

    fn permission(&mut self, entry: &Value) -> Applied {
        let permission: Permission = parse(entry)?;
        self.vhost_of(Some(permission.vhost.clone()))?;
        let change = self.broker.users.set_permissions(permission)?;
        self.store([change]);
        Ok(())
    }

    fn topic_permission(&mut self, entry: &Value) -> Applied {
        let permission: TopicPermission = parse(entry)?;
        self.vhost_of(Some(permission.vhost.clone()))?;
        let change = self.broker.users.set_topic_permission(permission)?;
        self.store([change]);
        Ok(())
    }

    fn parameter(&mut self, entry: &Value) -> Applied {
        let entry: ParameterEntry = parse(entry)?;
        let vhost = self.vhost_of(entry.vhost.clone())?;
        let known = ["operator_policy", "vhost-limits", "policy"];
        if !known.contains(&entry.component.as_str()) {
            let component = &entry.component;
            return Err(Refused::unsupported(format!(
                "component {component} not found"
            )));
        }
        let parameter = entry.in_vhost(vhost.name().to_string());
        self.broker.set_parameter(parameter, self.fx)?;
        Ok(())
    }

    fn global_parameter(&mut self, entry: &Value) -> Applied {
        let GlobalParameter { name, value } = parse(entry)?;
        self.broker.set_global_parameter(&name, value, self.fx)?;
        Ok(())
    }

    fn policy(&mut self, entry: &Value) -> Applied {
        let entry: PolicyEntry = parse(entry)?;
        let vhost = self.vhost_of(entry.vhost)?;
        let written = WrittenPolicy {
            name: entry.name,
            pattern: entry.pattern,
            definition: entry.definition.to_string(),
            priority: entry.priority,
            apply_to: entry.apply_to,
        };
        let policy = Policy::parse(PolicyKind::User, written)?;
        vhost.set_policy(PolicyKind::User, policy, self.fx);
        Ok(())
    }

    fn queue(&mut self, entry: &Value) -> Applied {
        let entry: QueueEntry = parse(entry)?;
        let vhost = self.vhost_of(entry.vhost)?;
        if entry.name.starts_with(SYSTEM_PREFIX) {
            return Err(Refused::unsupported("its name begins with amq."));
        }
        if vhost.queue(&entry.name).is_some() {
            return Ok(());
        }
        let mut spec = QueueSpec {
            name: entry.name.as_str().into(),
            durable: entry.durable,
            auto_delete: entry.auto_delete,
            exclusive_to: None,
            arguments: fields(&entry.arguments)?,
        };
        vhost.add_default_queue_type(&mut spec, false);
        arguments::check(&spec.arguments, &spec.name, vhost.name())?;
        arguments::check_properties(&spec, true, vhost.name())?;
        let broker = self.broker;
        vhost.declare_queue(spec, None, || broker.next_queue_id(), self.fx)?;
        Ok(())
    }

    fn exchange(&mut self, entry: &Value) -> Applied {
        let entry: ExchangeEntry = parse(entry)?;
        let vhost = self.vhost_of(entry.vhost)?;
        if entry.name.is_empty() || entry.name.starts_with(SYSTEM_PREFIX) {
            return Err(Refused::unsupported("it is one of the broker's own"));
        }
        if vhost.exchange(&entry.name).is_some() {
            return Ok(());
        }
        let kind = ExchangeKind::parse(&entry.r#type).ok_or_else(|| {
            Refused::unsupported(format!("unknown exchange type '{}'", entry.r#type))
        })?;
        let spec = ExchangeSpec {
            name: entry.name.as_str().into(),
            kind,
            durable: entry.durable,
            auto_delete: entry.auto_delete,
            internal: entry.internal,
            arguments: fields(&entry.arguments)?,
        };
        let broker = self.broker;
        let create = |spec| broker.new_exchange(vhost.name(), spec);
        vhost.declare_exchange(spec, create, self.fx)?;
        Ok(())
    }

    fn binding(&mut self, entry: &Value) -> Applied {
        let entry: BindingEntry = parse(entry)?;
        let vhost = self.vhost_of(entry.vhost)?;
        let source = vhost.exchange(&entry.source);
        let source = source.ok_or_else(|| format!("no exchange '{}'", entry.source))?;
        let name = &entry.destination;
        let destination = match entry.destination_type.as_str() {
            "queue" => vhost.queue(name).map(Destination::Queue),
            "exchange" => vhost.exchange(name).map(Destination::Exchange),
            other => return Err(format!("'{other}' is no type of destination").into()),
        };
        let binding = Binding {
            destination: destination
                .ok_or_else(|| format!("no {} '{name}'", entry.destination_type))?,
            key: entry.routing_key.as_str().into(),
            arguments: fields(&entry.arguments)?,
        };
        vhost.bind(&source, binding, self.fx)?;
        Ok(())
    }
}

/// Names an entry for people: `queue 'q' in vhost '/'`.
fn describe(kind: &str, entry: &Value) -> String {
    let text = |key: &str| entry.get(key).and_then(Value::as_str);
    let singular = match kind {
        "policies" => "policy",
        "topic_permissions" => "topic permission",
        "global_parameters" => "global parameter",
        other => other.trim_end_matches('s'),
    };
    let name = match kind {
        "bindings" => {
            let (source, destination) = (text("source"), text("destination"));
            format!(
                " of '{}' to '{}'",
                destination.unwrap_or("?"),
                source.unwrap_or("?")
            )
        }
        "permissions" | "topic_permissions" => {
            format!(" of user '{}'", text("user").unwrap_or("?"))
        }
        _ => format!(" '{}'", text("name").unwrap_or("?")),
    };
    match text("vhost") {
        Some(vhost) => format!("{singular}{name} in vhost '{vhost}'"),
        None => format!("{singular}{name}"),
    }
}
