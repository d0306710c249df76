//! Who asks, and what they may do.

use crate::domain::auth::backend::{Resource, ResourceKind};
use crate::domain::auth::{Access, Login};
use crate::domain::broker::Broker;
use crate::domain::vhost::Vhost;
use serde::Serialize;
use std::net::IpAddr;
use std::sync::Arc;
use thiserror::Error;
use utoipa::ToSchema;

/// Who makes a request.
#[derive(Clone, Debug)]
pub enum Principal {
    /// Somebody who may open the admin socket: the owner of the data directory, who may do everything.
    Owner(Process),
    /// A user who has logged in.
    User {
        /// The user.
        login: Login,
        /// The address of its client.
        from: IpAddr,
    },
}

/// A process that has connected to the admin socket, as far as the system tells.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Process {
    /// Its effective user.
    pub uid: Option<u32>,
    /// Its id.
    pub pid: Option<i32>,
}

/// What a request needs of its principal's tags, weakest first. RabbitMQ: Management Plugin, "Access and
/// Permissions".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Any of the four tags.
    Management,
    /// Change policies and parameters: `policymaker` or `administrator`.
    Policymaker,
    /// See other users' connections and the node: `monitoring` or `administrator`.
    Monitoring,
    /// Everything: `administrator`.
    Administrator,
}

/// Why a principal may not do something, with RabbitMQ's texts (`rabbit_web_dispatch_access_control`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Denied {
    /// It has none of the four tags.
    #[error("Not management user")]
    NotManagement,
    /// It is no policymaker.
    #[error("User not authorised to access object")]
    NotPolicymaker,
    /// It may not see the node.
    #[error("Not monitor user")]
    NotMonitor,
    /// It is no administrator.
    #[error("Not administrator user")]
    NotAdministrator,
    /// The object belongs to somebody else.
    #[error("User not authorised to access object")]
    NotOwner,
}

/// Why a principal does not get a virtual host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoVhost {
    /// It does not exist.
    Missing,
    /// The caller has no permissions there, and does not learn whether it exists.
    Hidden,
}

impl Principal {
    /// Returns whether the principal has one of the tags that the right asks for.
    pub fn has(&self, right: Right) -> bool {
        let Principal::User { login, .. } = self else {
            return true;
        };
        let sufficient: &[&str] = match right {
            Right::Management => &["administrator", "monitoring", "policymaker", "management"],
            Right::Policymaker => &["administrator", "policymaker"],
            Right::Monitoring => &["administrator", "monitoring"],
            Right::Administrator => &["administrator"],
        };
        login
            .tags
            .iter()
            .any(|tag| sufficient.contains(&tag.as_str()))
    }

    /// Checks a right.
    ///
    /// # Errors
    /// When the principal has none of its tags.
    pub fn require(&self, right: Right) -> Result<(), Denied> {
        if self.has(right) {
            return Ok(());
        }
        Err(match right {
            Right::Management => Denied::NotManagement,
            Right::Policymaker => Denied::NotPolicymaker,
            Right::Monitoring => Denied::NotMonitor,
            Right::Administrator => Denied::NotAdministrator,
        })
    }

    /// Checks that an object which belongs to a user (a connection, a channel) may be seen by the principal: its
    /// own, or anybody's with the right.
    ///
    /// # Errors
    /// When it belongs to somebody else.
    pub fn require_own_or(&self, right: Right, user: &str) -> Result<(), Denied> {
        match self.has(right) || self.name() == Some(user) {
            true => Ok(()),
            false => Err(Denied::NotOwner),
        }
    }

    /// Returns the user's name; `None` for the owner of the data directory.
    pub fn name(&self) -> Option<&str> {
        match self {
            Principal::Owner(_) => None,
            Principal::User { login, .. } => Some(login.identity.name.as_str()),
        }
    }

    /// Returns a virtual host to work in: administrators may enter all of them, others need permissions there
    /// (`rabbit_mgmt_util:is_authorized_vhost`).
    ///
    /// # Errors
    /// When there is none, or the principal may not enter it.
    pub fn vhost(&self, broker: &Broker, name: &str) -> Result<Arc<Vhost>, NoVhost> {
        let vhost = broker.vhost(name).ok_or(NoVhost::Missing)?;
        match self.has(Right::Administrator) || self.may_enter(broker, name) {
            true => Ok(vhost),
            false => Err(NoVhost::Hidden),
        }
    }

    /// Returns the virtual hosts whose contents the principal may list: all of them with the right, otherwise those
    /// where it has permissions (`rabbit_mgmt_util:list_visible_vhosts`).
    pub fn visible_vhosts(&self, broker: &Broker, right: Right) -> Vec<Arc<Vhost>> {
        let mut vhosts = broker.vhosts();
        if !self.has(right) {
            vhosts.retain(|vhost| self.may_enter(broker, vhost.name().as_str()));
        }
        vhosts
    }

    /// Returns whether the principal has permissions in a virtual host.
    pub fn may_enter(&self, broker: &Broker, vhost: &str) -> bool {
        match self {
            Principal::Owner(_) => true,
            Principal::User { login, .. } => broker.users.may_enter(&login.identity, vhost),
        }
    }
}

/// What a user may do with a queue or an exchange, or with anything in a virtual host at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Rights {
    /// Declare and delete it.
    pub configure: bool,
    /// Publish to it, or bind it to an exchange.
    pub write: bool,
    /// Consume from it, or bind a queue to it.
    pub read: bool,
}

impl Rights {
    /// Returns what the principal may do with an object, which need not exist; without one, what it may do with some object. This
    /// may ask a backend, which blocks.
    pub fn of(
        broker: &Broker,
        principal: &Principal,
        vhost: &str,
        object: Option<(ResourceKind, String)>,
    ) -> Self {
        let may = |access| match principal {
            Principal::Owner(_) => true,
            Principal::User { login, .. } => match &object {
                None => broker.users.permits_some(&login.identity, access, vhost),
                Some((kind, name)) => {
                    let (kind, name) = (*kind, name.as_str());
                    let resource = Resource { vhost, kind, name };
                    broker.users.permits(&login.identity, access, resource)
                }
            },
        };
        Rights {
            configure: may(Access::Configure),
            write: may(Access::Write),
            read: may(Access::Read),
        }
    }
}
