//! Parameters of a component in a virtual host. RabbitMQ's components without plugins are its limits, and operator
//! policies (`rabbit_registry`, kind `runtime_parameter`); user policies are a component that is only set as policies.

use super::{ParameterError, check_size};
use crate::domain::broker::Broker;
use crate::domain::limits::VhostLimits;
use crate::domain::policy::{Policy, PolicyError, PolicyKind, PolicySpec, WrittenPolicy};
use crate::domain::vhost::Vhost;
use crate::engine::queue::Effects;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;

const POLICY: &str = "policy";
const OPERATOR_POLICY: &str = "operator_policy";
const VHOST_LIMITS: &str = "vhost-limits";
/// The name of the only parameter of [`VHOST_LIMITS`].
const LIMITS: &str = "limits";

/// A parameter of a component, with RabbitMQ's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// The virtual host.
    pub vhost: String,
    /// What it is a parameter of.
    pub component: String,
    /// Its name, unique in the component and virtual host.
    pub name: String,
    /// Its value.
    pub value: Value,
}

impl Broker {
    /// Sets a parameter, replacing the previous value.
    ///
    /// # Errors
    /// When the virtual host or the component does not exist, or the component does not accept the value.
    pub fn set_parameter(
        &self,
        parameter: Parameter,
        fx: &mut Effects,
    ) -> Result<(), ParameterError> {
        let Parameter {
            vhost,
            component,
            name,
            value,
        } = parameter;
        check_size(&value)?;
        let invalid = |reason: String| Err(ParameterError::Invalid(reason));
        match component.as_str() {
            POLICY => Err(ParameterError::Policy("set")),
            OPERATOR_POLICY => {
                let written = written_policy(name, value)?;
                let policy = Policy::parse(PolicyKind::Operator, written);
                let policy = policy.map_err(|error| match error {
                    PolicyError::NotJson(reason) | PolicyError::Invalid(reason) => {
                        ParameterError::Invalid(reason)
                    }
                })?;
                let there = self.parameter_vhost(&vhost)?;
                match there.set_policy(PolicyKind::Operator, policy, fx) {
                    true => Ok(()),
                    false => Err(ParameterError::NoSuchVhost(vhost)),
                }
            }
            VHOST_LIMITS if name == LIMITS => {
                let limits = VhostLimits::parse(&value.to_string())
                    .map_err(|error| ParameterError::Invalid(error.to_string()))?;
                match self.set_vhost_limits(&vhost, Some(limits), fx) {
                    true => Ok(()),
                    false => Err(ParameterError::NoSuchVhost(vhost)),
                }
            }
            VHOST_LIMITS => invalid(format!("name should be {LIMITS}, actually was {name}")),
            _ => invalid(format!("component {component} not found")),
        }
    }

    /// Removes a parameter.
    ///
    /// # Errors
    /// When the virtual host does not exist, or the parameter is not set.
    pub fn clear_parameter(
        &self,
        vhost: &str,
        component: &str,
        name: &str,
        fx: &mut Effects,
    ) -> Result<(), ParameterError> {
        if component == POLICY {
            return Err(ParameterError::Policy("cleared"));
        }
        let there = self.parameter_vhost(vhost)?;
        let cleared = match component {
            OPERATOR_POLICY => there.clear_policy(PolicyKind::Operator, name, fx),
            VHOST_LIMITS if name == LIMITS && there.limits().is_some() => {
                self.set_vhost_limits(vhost, None, fx)
            }
            _ => false,
        };
        match cleared {
            true => Ok(()),
            false => Err(ParameterError::NoSuchParameter),
        }
    }

    /// Returns the parameters, those of one virtual host or component if they are given. As in RabbitMQ, user
    /// policies are among them only if that component is asked for.
    pub fn parameters(&self, vhost: Option<&str>, component: Option<&str>) -> Vec<Parameter> {
        let vhosts = self.vhosts().into_iter();
        vhosts
            .filter(|one| vhost.is_none_or(|name| one.name().as_str() == name))
            .flat_map(|one| match component {
                Some(POLICY) => policies_of(&one, POLICY, PolicyKind::User),
                _ => parameters_of(&one),
            })
            .filter(|one| component.is_none_or(|component| one.component == component))
            .collect()
    }

    fn parameter_vhost(&self, name: &str) -> Result<Arc<Vhost>, ParameterError> {
        let vhost = self.vhost(name);
        vhost.ok_or_else(|| ParameterError::NoSuchVhost(name.to_owned()))
    }
}

fn parameters_of(vhost: &Vhost) -> Vec<Parameter> {
    // Both are plain structs, which JSON can always represent.
    let limits = vhost.limits().map(|limits| json!(limits));
    let limits = limits.map(|limits| parameter(vhost, VHOST_LIMITS, LIMITS, limits));
    let mut parameters = policies_of(vhost, OPERATOR_POLICY, PolicyKind::Operator);
    parameters.extend(limits);
    parameters
}

fn policies_of(vhost: &Vhost, component: &str, kind: PolicyKind) -> Vec<Parameter> {
    let policies = vhost.policies(kind);
    let specs = policies.iter().map(|policy| &policy.spec);
    specs
        .map(|spec| parameter(vhost, component, &spec.name, value_of(spec)))
        .collect()
}

fn parameter(vhost: &Vhost, component: &str, name: &str, value: Value) -> Parameter {
    Parameter {
        vhost: vhost.name().to_string(),
        component: component.to_owned(),
        name: name.to_owned(),
        value,
    }
}

/// Returns the value of an operator policy as a parameter.
fn value_of(policy: &PolicySpec) -> Value {
    json!({
        "pattern": policy.pattern,
        "apply-to": policy.apply_to.as_str(),
        "priority": policy.priority,
        "definition": policy.definition,
    })
}

/// Reads an operator policy from the value of a parameter (`rabbit_policy:validate`, `rabbit_parameter_validation:proplist`).
fn written_policy(name: String, value: Value) -> Result<WrittenPolicy, ParameterError> {
    let invalid = |reason: String| Err(ParameterError::Invalid(reason));
    let mut fields = match value {
        Value::Object(fields) => fields,
        other => {
            return invalid(format!(
                "{name} should be a JSON object, actually was {other}"
            ));
        }
    };
    let mut required = |key: &str| {
        let value = fields.remove(key);
        value.ok_or_else(|| ParameterError::Invalid(format!("Key \"{key}\" not found in {name}")))
    };
    let priority = required("priority")?;
    let pattern = required("pattern")?;
    let definition = required("definition")?;
    let apply_to = fields.remove("apply-to");
    if !fields.is_empty() {
        let terms = Value::Object(fields);
        return invalid(format!("Unrecognised terms {terms} in {name}"));
    }
    let text = |key: &str, value: Value| match value {
        Value::String(text) => Ok(text),
        other => {
            let reason = format!("{key} should be a string, actually was {other}");
            Err(ParameterError::Invalid(reason))
        }
    };
    Ok(WrittenPolicy {
        priority: match priority.as_i64() {
            Some(priority) => priority,
            None => {
                let reason = format!("priority should be a number, actually was {priority}");
                return Err(ParameterError::Invalid(reason));
            }
        },
        pattern: text("pattern", pattern)?,
        definition: definition.to_string(),
        apply_to: match apply_to {
            Some(apply_to) => text("apply-to", apply_to)?,
            None => "all".to_owned(),
        },
        name,
    })
}
