//! The limits of virtual hosts and users.

use crate::domain::broker::Broker;
use crate::domain::limits;
use crate::domain::vhost::Vhost;
use serde::Serialize;
use utoipa::ToSchema;

/// The limits of a virtual host.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VhostLimits {
    /// The virtual host.
    pub vhost: String,
    /// Its limits.
    #[schema(value_type = Object)]
    pub value: limits::VhostLimits,
}

impl VhostLimits {
    /// Returns the limits of a virtual host, if it has any.
    pub fn of(vhost: &Vhost) -> Option<Self> {
        Some(VhostLimits {
            vhost: vhost.name().to_string(),
            value: vhost.limits()?,
        })
    }
}

/// The limits of a user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct UserLimits {
    /// The user.
    pub user: String,
    /// Its limits.
    #[schema(value_type = Object)]
    pub value: limits::UserLimits,
}

impl UserLimits {
    /// Returns the limits of all users that have any, or of one.
    pub fn list(broker: &Broker, user: Option<&str>) -> Vec<Self> {
        let users = broker.users.users().into_iter();
        users
            .filter(|one| !one.limits.is_empty() && user.is_none_or(|name| one.name == name))
            .map(|one| UserLimits {
                user: one.name,
                value: one.limits,
            })
            .collect()
    }
}
