//! Policies and operator policies.

use crate::domain::policy::{self, PolicyDefinition, PolicyKind};
use crate::domain::vhost::Vhost;
use serde::Serialize;
use utoipa::ToSchema;

/// A policy.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Policy {
    /// The virtual host.
    pub vhost: String,
    /// Its name.
    pub name: String,
    /// The names that it applies to: a regular expression.
    pub pattern: String,
    /// The objects that it is for: `queues`, `exchanges`, `all`, …
    pub apply_to: &'static str,
    /// Its settings.
    #[schema(value_type = Object)]
    pub definition: PolicyDefinition,
    /// Its priority.
    pub priority: i64,
}

impl Policy {
    /// Describes a policy of a virtual host.
    pub fn of(vhost: &Vhost, policy: &policy::Policy) -> Self {
        let spec = &policy.spec;
        Policy {
            vhost: vhost.name().to_string(),
            name: spec.name.clone(),
            pattern: spec.pattern.clone(),
            apply_to: spec.apply_to.as_str(),
            definition: spec.definition.clone(),
            priority: spec.priority,
        }
    }

    /// Returns the policies of a virtual host, the one with the highest precedence last.
    pub fn list(vhost: &Vhost, kind: PolicyKind) -> Vec<Self> {
        let policies = vhost.policies(kind);
        let policies = policies.iter();
        policies.map(|policy| Policy::of(vhost, policy)).collect()
    }
}
