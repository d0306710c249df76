//! The requests about policies, and the columns of listings that show them.

use super::objects;
use super::operations::{OperationResult, Operations};
use super::request::{ErrorKind, Request, Response};
use super::value::Row;
use super::value::Value;
use crate::domain::policy::{Policy, PolicyKind};
use crate::domain::vhost::Vhost;
use crate::engine::applied_policy::AppliedPolicy;
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// Returns a row for each policy of a virtual host: vhost, name, pattern, apply-to, definition, priority.
pub(super) fn rows(vhost: &Vhost, kind: PolicyKind) -> Vec<Row> {
    let row = |policy: objects::Policy| {
        vec![
            policy.vhost.into(),
            policy.name.into(),
            policy.pattern.into(),
            policy.apply_to.into(),
            policy.definition.to_json().into(),
            Value::Integer(policy.priority),
        ]
    };
    let policies = objects::Policy::list(vhost, kind).into_iter();
    policies.map(row).collect()
}

/// Returns the name of the policy in force.
pub(super) fn name(applied: Option<Arc<dyn AppliedPolicy>>) -> Option<String> {
    let applied = applied.as_deref();
    applied
        .and_then(AppliedPolicy::policy_name)
        .map(str::to_owned)
}

/// Returns the name of the operator policy in force.
pub(super) fn operator_name(applied: Option<Arc<dyn AppliedPolicy>>) -> Option<String> {
    let applied = applied.as_deref();
    applied
        .and_then(AppliedPolicy::operator_name)
        .map(str::to_owned)
}

/// Returns the merged definition of both policies.
pub(super) fn definition(applied: Option<&dyn AppliedPolicy>) -> Map<String, Json> {
    let settings = applied.iter().flat_map(|applied| applied.definition());
    settings
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
}

/// Converts a merged definition to a cell.
pub(super) fn cell(definition: &Map<String, Json>) -> Value {
    let value = |(name, value): (&String, &Json)| {
        // A setting is a string or an integer.
        let cell = match (value.as_str(), value.as_i64()) {
            (Some(text), _) => text.into(),
            (None, Some(number)) => Value::Integer(number),
            (None, None) => value.to_string().into(),
        };
        (name.clone(), cell)
    };
    Value::Map {
        map: definition.iter().map(value).collect(),
    }
}

impl Operations {
    /// Performs a request about policies; returns any other request unchanged.
    pub(super) fn policy_operation(
        &mut self,
        request: Request,
    ) -> Result<OperationResult, Request> {
        Ok(match request {
            Request::SetPolicy {
                kind,
                vhost,
                policy,
            } => {
                let policy = Policy::parse(kind, *policy);
                self.vhost(&vhost).and_then(|vhost| {
                    let policy = policy.map_err(|error| {
                        Response::refused_because(ErrorKind::Refused, error.to_string())
                    })?;
                    match vhost.set_policy(kind, policy, &mut self.fx) {
                        true => Ok(Response::Ok),
                        false => Err(Response::refused(ErrorKind::NoSuchVhost)),
                    }
                })
            }
            Request::ClearPolicy { kind, vhost, name } => self.clear_policy(kind, &vhost, &name),
            other => return Err(other),
        })
    }

    fn clear_policy(&mut self, kind: PolicyKind, vhost: &str, name: &str) -> OperationResult {
        // As in RabbitMQ, a virtual host that does not exist has no policies.
        let vhost = self.context.broker.vhost(vhost);
        match vhost {
            Some(vhost) if vhost.clear_policy(kind, name, &mut self.fx) => Ok(Response::Ok),
            _ => {
                let message = "Parameter does not exist".to_owned();
                Err(Response::refused_because(ErrorKind::Refused, message))
            }
        }
    }
}
