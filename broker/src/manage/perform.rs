//! Performing a request for a principal: the one place that checks what it may do.

use super::AdminContext;
use super::access::{Denied, NoVhost, Principal};
use super::audit::Change;
use super::definitions::{ImportError, ImportOptions, Imported};
use super::operations::Operations;
use super::request::{ErrorKind, Request, Response};
use crate::domain::operations::Caller;
use crate::engine::queue::Effects;
use leveret_protocol::AmqpError;

/// Why a request was not performed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The principal has not the right.
    Denied(Denied),
    /// There is no such virtual host, or not for this principal.
    Vhost(NoVhost),
    /// A rule that also applies to AMQP clients.
    Amqp(AmqpError),
    /// Everything else.
    Failed {
        /// Why.
        kind: ErrorKind,
        /// The text; empty where the kind says it all.
        message: String,
    },
}

impl Refusal {
    /// Returns why, for the log.
    fn reason(&self) -> String {
        match self {
            Refusal::Denied(denied) => denied.to_string(),
            Refusal::Vhost(NoVhost::Missing) => "there is no such virtual host".to_owned(),
            Refusal::Vhost(NoVhost::Hidden) => "no access to the virtual host".to_owned(),
            Refusal::Amqp(error) => error.text.clone(),
            Refusal::Failed { kind, message } if message.is_empty() => kind.to_string(),
            Refusal::Failed { message, .. } => message.clone(),
        }
    }
}

impl From<Denied> for Refusal {
    fn from(denied: Denied) -> Self {
        Refusal::Denied(denied)
    }
}

impl From<NoVhost> for Refusal {
    fn from(missing: NoVhost) -> Self {
        Refusal::Vhost(missing)
    }
}

impl From<AmqpError> for Refusal {
    fn from(error: AmqpError) -> Self {
        Refusal::Amqp(error)
    }
}

impl AdminContext {
    /// Performs an operation of AMQP clients (declare, bind, publish, get, …) as this user, under the same rules, and
    /// returns once it is on disk, and in the log if it is a `change`. Blocks.
    ///
    /// # Errors
    /// When the principal may not enter the virtual host, or the operation is refused.
    pub fn as_client<T>(
        &self,
        principal: &Principal,
        vhost: &str,
        change: Option<Change>,
        operation: impl FnOnce(&mut Caller, &mut Effects) -> Result<T, AmqpError>,
    ) -> Result<T, Refusal> {
        let done = self.done_as_client(principal, vhost, operation);
        if let Some(change) = change {
            let refused = done.as_ref().err().map(Refusal::reason);
            change
                .with("vhost", vhost)
                .log(principal, refused.as_deref());
        }
        done
    }

    fn done_as_client<T>(
        &self,
        principal: &Principal,
        vhost: &str,
        operation: impl FnOnce(&mut Caller, &mut Effects) -> Result<T, AmqpError>,
    ) -> Result<T, Refusal> {
        let vhost = principal.vhost(&self.broker, vhost)?;
        let Principal::User { login, .. } = principal else {
            return Err(Denied::NotOwner.into());
        };
        let mut fx = self.broker.effects(None);
        let mut caller = Caller::new(self.broker.clone(), vhost, login, None);
        let done = operation(&mut caller, &mut fx);
        // Also after a refusal: what it did before stays.
        fx.perform();
        let store = self.broker.store.as_ref();
        let flushed = store.map_or(Ok(()), |store| store.flush());
        flushed.map_err(|error| Refusal::Failed {
            kind: ErrorKind::Software,
            message: error.to_string(),
        })?;
        Ok(done?)
    }

    /// Imports a file of definitions and returns once that is on disk, and in the log. Blocks.
    ///
    /// # Errors
    /// When nothing was applied, or the store failed.
    pub fn import_definitions(
        &self,
        principal: &Principal,
        text: &[u8],
        options: &ImportOptions,
    ) -> Result<Imported, ImportError> {
        let imported = self.broker.import_definitions(text, options);
        let mut change = Change::new(
            "import_definitions",
            [
                ("vhost", options.vhost.as_deref().into()),
                ("bytes", text.len().into()),
            ],
        );
        if let Ok(imported) = &imported {
            change = change
                .with("applied", imported.applied)
                .with("invalid", imported.invalid);
        }
        let refused = imported.as_ref().err().map(ToString::to_string);
        change.log(principal, refused.as_deref());
        imported
    }

    /// Performs a request that is not a listing, and returns once its changes are on disk. Blocks.
    ///
    /// # Errors
    /// When the principal may not do it, or it is refused.
    pub fn perform(&self, principal: &Principal, request: Request) -> Result<Response, Refusal> {
        if !self.is_own(principal, &request) {
            let denied = principal.require(request.class().right);
            denied.map_err(|denied| {
                if request.closes_connections() {
                    Denied::NotOwner
                } else {
                    denied
                }
            })?;
        }
        if let Some(vhost) = request.vhost() {
            principal.vhost(&self.broker, vhost)?;
        }
        match Operations::new(self.clone()).perform(principal, request) {
            Response::Error { kind, message } => Err(Refusal::Failed { kind, message }),
            response => Ok(response),
        }
    }
}

impl AdminContext {
    /// Returns whether a request only closes connections of the principal's own (`is_authorized_user`).
    fn is_own(&self, principal: &Principal, request: &Request) -> bool {
        match request {
            Request::CloseAllUserConnections { user, .. } => principal.name() == Some(user),
            Request::CloseConnection { pid, .. } => {
                let connections = self.broker.connections.list();
                let mut closed = connections
                    .iter()
                    .filter(|info| info.id.0 == pid.connection);
                closed.any(|info| principal.name() == Some(info.details().user_name()))
            }
            _ => false,
        }
    }
}

impl Request {
    fn closes_connections(&self) -> bool {
        matches!(
            self,
            Request::CloseConnection { .. } | Request::CloseAllUserConnections { .. }
        )
    }

    /// Returns the virtual host that the principal must be able to enter.
    fn vhost(&self) -> Option<&str> {
        match self {
            Request::PurgeQueue { vhost, .. }
            | Request::DeleteQueue { vhost, .. }
            | Request::SetPolicy { vhost, .. }
            | Request::ClearPolicy { vhost, .. }
            | Request::SetParameter { vhost, .. }
            | Request::ClearParameter { vhost, .. } => Some(vhost),
            _ => None,
        }
    }
}
