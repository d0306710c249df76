//! Performing a request for a caller: the one place that checks what it may do.

use super::AdminContext;
use super::access::{Caller, Denied, NoVhost, Right};
use super::request::{ErrorKind, Request, Response};
use super::verbs::Verbs;
use leveret_protocol::AmqpError;

/// Why a request was not performed.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    /// The caller has not the right.
    Denied(Denied),
    /// There is no such virtual host, or not for this caller.
    Vhost(NoVhost),
    /// A rule that AMQP clients are under, too.
    Amqp(AmqpError),
    /// Everything else.
    Failed {
        /// Why.
        kind: ErrorKind,
        /// The text; empty where the kind says it all.
        message: String,
    },
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
    /// Performs a request that is not a listing, and returns once its changes are on disk. Blocks.
    ///
    /// # Errors
    /// When the caller may not do it, or it is refused.
    pub fn perform(&self, caller: &Caller, request: Request) -> Result<Response, Refusal> {
        caller.require(request.right())?;
        if let Some(vhost) = request.vhost() {
            caller.vhost(&self.broker, vhost)?;
        }
        match Verbs::new(self.clone()).perform(request) {
            Response::Error { kind, message } => Err(Refusal::Failed { kind, message }),
            response => Ok(response),
        }
    }
}

impl Request {
    /// Returns what a caller needs to make this request (RabbitMQ: Management Plugin, "Access and Permissions").
    fn right(&self) -> Right {
        match self {
            Request::PurgeQueue { .. } | Request::DeleteQueue { .. } => Right::Management,
            Request::SetPolicy { kind, .. } | Request::ClearPolicy { kind, .. } => match kind {
                super::request::PolicyKind::User => Right::Policymaker,
                super::request::PolicyKind::Operator => Right::Administrator,
            },
            _ => Right::Administrator,
        }
    }

    /// Returns the virtual host that the caller must be able to enter.
    fn vhost(&self) -> Option<&str> {
        match self {
            Request::PurgeQueue { vhost, .. }
            | Request::DeleteQueue { vhost, .. }
            | Request::SetPolicy { vhost, .. }
            | Request::ClearPolicy { vhost, .. } => Some(vhost),
            _ => None,
        }
    }
}
