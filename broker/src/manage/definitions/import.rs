//! Applying a definition file.
//!
//! What is there already stays: queues and exchanges keep their properties; users, virtual hosts, policies and the like
//! are updated. An entry that cannot be had is named, and the others are applied.

use super::elsewhere;
use super::entry::parse;
use super::format::{
    BindingEntry, ExchangeEntry, ParameterEntry, PolicyEntry, QueueEntry, VhostEntry,
};
use super::pairs;
use super::problem::{Imported, Problem, describe, within};
use super::read::{File, kinds};
use crate::domain::auth::{
    AuthError, Change, HashingAlgorithm, PasswordHash, Permission, TopicPermission, tags,
};
use crate::domain::broker::Broker;
use crate::domain::limits::UserLimits;
use crate::domain::parameters::GlobalParameter;
use crate::domain::policy::{Policy, PolicyKind, WrittenPolicy};
use crate::domain::vhost::spec::{VhostSpec, VhostUpdate};
use crate::domain::vhost::{SYSTEM_PREFIX, Vhost};
use crate::engine::exchange::{
    Binding, Destination, ExchangeKind, ExchangeSpec, alternate_exchange,
};
use crate::engine::queue::{Effects, QueueKind, QueueSpec, arguments};
use crate::manage::table;
use crate::text::names::check_length;
use leveret_protocol::values::FieldTable;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

/// Global parameters with this prefix are the broker's own, and stay with it (`rabbit_definitions:is_internal_parameter`).
const INTERNAL_PREFIX: &str = "internal";
/// RabbitMQ's word for a user without tags, and what to do.
const NO_TAGS: &str = "tags_not_present (add \"tags\": [] if the user needs none)";
/// Entries that are applied before what follows from them is performed.
const BATCH: usize = 256;

/// Returns whether a global parameter is the broker's own.
pub(super) fn is_internal(parameter: &str) -> bool {
    parameter.starts_with(INTERNAL_PREFIX)
}

/// An import on its way.
struct Import<'a> {
    broker: &'a Arc<Broker>,
    fx: &'a mut Effects,
    /// The virtual host that all entries are for, instead of the one that they name.
    vhost: Option<String>,
    /// The algorithm of hashes that do not name theirs.
    default_algorithm: HashingAlgorithm,
    imported: Imported,
    /// What this broker does not have, by kind, virtual host and name: neither has it what depends on that.
    left_out: HashSet<(&'static str, String, String)>,
    /// Entries since effects were performed.
    pending: usize,
}

/// Applies definitions, to one virtual host if it is given. The caller holds [`Broker::admin_changes`].
pub(super) fn apply(
    broker: &Arc<Broker>,
    file: &File<'_>,
    vhost: Option<&str>,
    fx: &mut Effects,
) -> Imported {
    let started = Instant::now();
    let mut import = Import {
        broker,
        fx,
        vhost: vhost.map(str::to_owned),
        default_algorithm: file.default_algorithm(),
        imported: Imported::default(),
        left_out: HashSet::new(),
        pending: 0,
    };
    for &kind in kinds(vhost.is_some()) {
        file.for_each(kind, |entry| import.entry(kind, entry));
    }
    let imported = import.imported;
    tracing::info!(
        applied = imported.applied,
        unsupported = imported.unsupported,
        invalid = imported.invalid,
        elapsed_ms = started.elapsed().as_millis() as u64,
        "definitions imported"
    );
    imported
}

/// Why an entry is not applied.
#[derive(Debug)]
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

/// Converts arguments, which may be missing.
fn fields(arguments: &Value) -> Result<FieldTable, Refused> {
    match arguments {
        Value::Null => Ok(FieldTable::default()),
        given => Ok(table::to_amqp(given)?),
    }
}

/// Returns whether an entry is a global parameter of the broker that wrote the file: every file has some, and none is missed.
fn is_of_its_broker(entry: &RawValue) -> bool {
    let parameter: Result<GlobalParameter, _> = serde_json::from_str(entry.get());
    parameter.is_ok_and(|parameter| is_internal(&parameter.name))
}

/// Reads a default queue type, which RabbitMQ writes as `undefined` where there is none
/// (`rabbit_queue_type:validate_default_queue_type`).
fn queue_type(value: Option<&Value>) -> Result<Option<QueueKind>, Refused> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(name)) if name == "undefined" => Ok(None),
        Some(value) => serde_json::from_value(value.clone()).map_err(|_| {
            let name = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            format!("{name} is not a valid queue type: use classic, quorum or stream").into()
        }),
    }
}

impl Import<'_> {
    fn entry(&mut self, kind: &'static str, entry: &RawValue) {
        if kind == "global_parameters" && is_of_its_broker(entry) {
            return;
        }
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
            Err(refused) => self.report(kind, entry, refused),
        }
        self.pending += 1;
        if self.pending == BATCH {
            self.pending = 0;
            self.fx.perform();
            if self.broker.store_is_behind()
                && let Some(store) = &self.broker.store
            {
                // If the store fails, the caller learns it from its own flush.
                let _ = store.flush();
            }
        }
    }

    /// Adds to the report what is not applied of an entry.
    fn report(&mut self, kind: &'static str, entry: &RawValue, refused: Refused) {
        self.imported.add(Problem {
            what: describe(kind, entry, self.vhost.as_deref()),
            reason: within(&refused.reason),
            invalid: refused.invalid,
        });
    }

    /// Remembers that something is not there because this broker does not have it.
    fn leave_out(
        &mut self,
        kind: &'static str,
        vhost: &str,
        name: &str,
        reason: String,
    ) -> Refused {
        let key = (kind, vhost.to_owned(), name.to_owned());
        self.left_out.insert(key);
        Refused::unsupported(reason)
    }

    /// Returns the reason why something that an entry depends on is not there.
    fn missing(&self, kind: &'static str, vhost: &str, name: &str, reason: String) -> Refused {
        let key = (kind, vhost.to_owned(), name.to_owned());
        match self.left_out.contains(&key) {
            true => Refused::unsupported(format!("{kind} '{name}' was not imported")),
            false => reason.into(),
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

    fn user(&mut self, entry: &RawValue) -> Applied {
        #[derive(Deserialize)]
        struct Entry {
            name: String,
            password: Option<String>,
            password_hash: Option<String>,
            hashing_algorithm: Option<String>,
            tags: Option<Value>,
            #[serde(default)]
            limits: Value,
        }
        let user: Entry = parse(entry)?;
        let tags = user.tags.ok_or(NO_TAGS)?;
        let tags = tags::deserialize(tags)?;
        let algorithm = match user.hashing_algorithm {
            None => self.default_algorithm,
            Some(name) => match serde_json::from_value(Value::String(name.clone())) {
                Ok(algorithm) => algorithm,
                Err(_) => {
                    let reason = format!("hashing algorithm {name} is not available");
                    return Err(self.leave_out("user", "", &user.name, reason));
                }
            },
        };
        let hash = match (user.password_hash, user.password) {
            (Some(_), Some(_)) => return Err("both_password_and_password_hash_are_provided".into()),
            (Some(hash), None) => {
                let parsed = PasswordHash::parse(&hash, algorithm);
                parsed.ok_or("its password hash does not fit the hashing algorithm")?
            }
            (None, Some(password)) => self.broker.users.hash_password(&password),
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
        let added = match users.add_user(name, hash.clone(), &tags) {
            Err(AuthError::UserExists(_)) => users
                .change_password(name, hash)
                .and_then(|_| users.set_tags(name, &tags)),
            other => other,
        };
        added?;
        let changed = users.change_limits(name, |_| limits)?;
        self.store([changed]);
        Ok(())
    }

    fn vhost_entry(&mut self, entry: &RawValue) -> Applied {
        let entry: VhostEntry = parse(entry)?;
        let spec = VhostSpec::new(&entry.name)?;
        let metadata = &entry.metadata;
        let outside = entry.default_queue_type.as_ref();
        let kind = match queue_type(metadata.get("default_queue_type"))? {
            None => queue_type(outside)?,
            kind => kind,
        };
        let tags = metadata
            .get("tags")
            .cloned()
            .map(tags::deserialize)
            .transpose()?;
        let described = metadata.get("description").and_then(Value::as_str);
        let update = VhostUpdate {
            description: entry.description.or(described.map(str::to_owned)),
            tags: entry.tags.or(tags),
            default_queue_type: kind,
            protected_from_deletion: metadata
                .get("protected_from_deletion")
                .and_then(Value::as_bool),
        };
        self.broker.add_vhost(spec, self.fx);
        self.broker.update_vhost(&entry.name, update, self.fx);
        Ok(())
    }

    fn permission(&mut self, entry: &RawValue) -> Applied {
        let permission: Permission = parse(entry)?;
        self.vhost_of(Some(permission.vhost.clone()))?;
        self.check_user(&permission.user)?;
        let change = self.broker.users.set_permissions(permission)?;
        self.store([change]);
        Ok(())
    }

    fn check_user(&self, name: &str) -> Result<(), Refused> {
        match self.broker.users.user(name) {
            Some(_) => Ok(()),
            None => Err(self.missing("user", "", name, format!("no user '{name}'"))),
        }
    }

    fn topic_permission(&mut self, entry: &RawValue) -> Applied {
        let permission: TopicPermission = parse(entry)?;
        self.vhost_of(Some(permission.vhost.clone()))?;
        self.check_user(&permission.user)?;
        let change = self.broker.users.set_topic_permission(permission)?;
        self.store([change]);
        Ok(())
    }

    fn parameter(&mut self, entry: &RawValue) -> Applied {
        let mut entry: ParameterEntry = parse(entry)?;
        let vhost = self.vhost_of(entry.vhost.clone())?;
        if matches!(entry.component.as_str(), "operator_policy" | "policy")
            && let Some(definition) = entry.value.get_mut("definition")
        {
            pairs::to_object(definition);
        }
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

    fn global_parameter(&mut self, entry: &RawValue) -> Applied {
        let GlobalParameter { name, value } = parse(entry)?;
        self.broker.set_global_parameter(&name, value, self.fx)?;
        Ok(())
    }

    fn policy(&mut self, written_entry: &RawValue) -> Applied {
        let mut entry: PolicyEntry = parse(written_entry)?;
        let vhost = self.vhost_of(entry.vhost)?;
        pairs::to_object(&mut entry.definition);
        let taken = elsewhere::take(&mut entry.definition);
        let is_empty = entry.definition.as_object().is_some_and(Map::is_empty);
        if is_empty && !taken.is_empty() {
            return Err(Refused::unsupported(elsewhere::reason(&taken, false)));
        }
        let written = WrittenPolicy {
            name: entry.name,
            pattern: entry.pattern,
            definition: entry.definition.to_string(),
            priority: entry.priority,
            apply_to: entry.apply_to,
        };
        let policy = Policy::parse(PolicyKind::User, written)?;
        vhost.set_policy(PolicyKind::User, policy, self.fx);
        if !taken.is_empty() {
            let reason = elsewhere::reason(&taken, true);
            self.report("policies", written_entry, Refused::unsupported(reason));
        }
        Ok(())
    }

    fn queue(&mut self, entry: &RawValue) -> Applied {
        let entry: QueueEntry = parse(entry)?;
        let vhost = self.vhost_of(entry.vhost)?;
        let (name, in_vhost) = (&entry.name, vhost.name());
        check_length("name", name)?;
        if name.is_empty() {
            return Err("its name is empty".into());
        }
        if name.starts_with(SYSTEM_PREFIX) {
            let reason = "its name begins with amq.".to_owned();
            return Err(self.leave_out("queue", in_vhost.as_str(), name, reason));
        }
        if vhost.queue(name).is_some() {
            return Ok(());
        }
        let mut spec = QueueSpec {
            name: name.as_str().into(),
            durable: entry.durable,
            auto_delete: entry.auto_delete,
            exclusive_to: None,
            arguments: fields(&entry.arguments)?,
        };
        self.broker.check_declared_arguments(&spec.arguments)?;
        vhost.add_default_queue_type(&mut spec, false);
        arguments::check(&spec.arguments, &spec.name, in_vhost)?;
        arguments::check_properties(&spec, true, in_vhost)?;
        let broker = self.broker;
        vhost.declare_queue(spec, None, || broker.next_queue_id(), self.fx)?;
        Ok(())
    }

    fn exchange(&mut self, entry: &RawValue) -> Applied {
        let entry: ExchangeEntry = parse(entry)?;
        let vhost = self.vhost_of(entry.vhost)?;
        let (name, in_vhost) = (&entry.name, vhost.name().as_str());
        check_length("name", name)?;
        if vhost.exchange(name).is_some() {
            return Ok(());
        }
        if name.is_empty() || name.starts_with(SYSTEM_PREFIX) {
            let reason = "it is one of the broker's own".to_owned();
            return Err(self.leave_out("exchange", in_vhost, name, reason));
        }
        let Some(kind) = ExchangeKind::parse(&entry.r#type) else {
            let reason = format!("unknown exchange type '{}'", entry.r#type);
            return Err(self.leave_out("exchange", in_vhost, name, reason));
        };
        let spec = ExchangeSpec {
            name: name.as_str().into(),
            kind,
            durable: entry.durable,
            auto_delete: entry.auto_delete,
            internal: entry.internal,
            arguments: fields(&entry.arguments)?,
        };
        self.broker.check_declared_arguments(&spec.arguments)?;
        alternate_exchange(&spec, vhost.name())?;
        let broker = self.broker;
        let create = |spec| broker.new_exchange(vhost.name(), spec);
        vhost.declare_exchange(spec, create, self.fx)?;
        Ok(())
    }

    fn binding(&mut self, entry: &RawValue) -> Applied {
        let entry: BindingEntry = parse(entry)?;
        let vhost = self.vhost_of(entry.vhost)?;
        let in_vhost = vhost.name().as_str();
        check_length("routing key", &entry.routing_key)?;
        let missing = |kind: &'static str, name: &str| {
            let hint = match kind {
                "exchange" => {
                    " (RabbitMQ leaves internal exchanges out of its files: declare it, and import again)"
                }
                _ => "",
            };
            self.missing(kind, in_vhost, name, format!("no {kind} '{name}'{hint}"))
        };
        let source = vhost.exchange(&entry.source);
        let source = source.ok_or_else(|| missing("exchange", &entry.source))?;
        let name = &entry.destination;
        let destination = match entry.destination_type.as_str() {
            "queue" => vhost.queue(name).map(Destination::Queue),
            "exchange" => vhost.exchange(name).map(Destination::Exchange),
            other => return Err(format!("'{other}' is no type of destination").into()),
        };
        let kind = match entry.destination_type.as_str() {
            "queue" => "queue",
            _ => "exchange",
        };
        let binding = Binding {
            destination: destination.ok_or_else(|| missing(kind, name))?,
            key: entry.routing_key.as_str().into(),
            arguments: fields(&entry.arguments)?,
        };
        self.broker.check_declared_arguments(&binding.arguments)?;
        vhost.bind(&source, binding, self.fx)?;
        Ok(())
    }
}
