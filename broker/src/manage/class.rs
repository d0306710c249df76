//! What each request changes, and the right that it needs: one table for the audit trail, the store and the HTTP API.

use super::access::Right;
use super::request::{ErrorKind, PolicyKind, Request};

/// What a request changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Changes {
    /// Nothing: it only asks, and leaves no line in the audit trail.
    Nothing,
    /// The running broker. What is stored does not change, or the request waits for the disk by itself.
    Broker,
    /// What is stored: changes of this kind happen one after the other, and are answered when they are on disk.
    Store,
}

/// What a request changes, and what it takes to make it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Class {
    pub(super) changes: Changes,
    /// What a principal needs over HTTP (RabbitMQ: Management Plugin, "Access and Permissions").
    pub(super) right: Right,
}

impl Request {
    /// Returns the request's class.
    #[rustfmt::skip] // A table reads better as a table.
    pub(super) fn class(&self) -> Class {
        use Changes::{Broker, Nothing, Store};
        use Right::{Administrator, Management, Policymaker};
        let (changes, right) = match self {
            Request::ListQueues { .. } | Request::ListConnections { .. } | Request::ListChannels { .. }
            | Request::ListConsumers { .. } | Request::ListExchanges { .. } | Request::ListBindings { .. }
            | Request::ListVhosts { .. } | Request::ListUsers
            | Request::ListPermissions { .. } | Request::ListUserPermissions { .. }
            | Request::ListTopicPermissions { .. } | Request::ListUserTopicPermissions { .. }
            | Request::ListVhostLimits { .. } | Request::ListUserLimits { .. } | Request::ListPolicies { .. }
            | Request::MemoryBreakdown | Request::ListLoginAttempts { .. } | Request::QueueKind { .. }
            | Request::ListParameters { .. } | Request::ListGlobalParameters
            | Request::Status | Request::Top { .. } | Request::Ping | Request::IsRunning | Request::SyncQueue { .. } | Request::Alarms
            | Request::AuthenticateUser { .. }
            | Request::LogLocation { .. } | Request::LogTail { .. } | Request::LogTailStream { .. }
            | Request::ListCertificates | Request::ListCipherSuites | Request::ListTlsVersions
            | Request::ExportDefinitions { .. } => (Nothing, Administrator),

            Request::SetVmMemoryHighWatermark { .. } | Request::SetDiskFreeLimit { .. }
            | Request::SetLogLevel { .. } | Request::RotateLogs | Request::ReloadTls
            | Request::ResetLoginAttempts
            | Request::CloseConnection { .. } | Request::CloseAllConnections { .. }
            | Request::CloseAllUserConnections { .. }
            | Request::SetTracing { .. } | Request::RestartVhost { .. }
            | Request::SuspendListeners | Request::ResumeListeners | Request::Drain
            | Request::StopApp | Request::StartApp | Request::Reset
            | Request::Backup { .. }
            | Request::Stop => (Broker, Administrator),

            Request::PurgeQueue { .. } | Request::DeleteQueue { .. } => (Store, Management),
            Request::SetPolicy { kind: PolicyKind::User, .. }
            | Request::ClearPolicy { kind: PolicyKind::User, .. }
            | Request::SetParameter { .. } | Request::ClearParameter { .. }
            | Request::SetGlobalParameter { .. } | Request::ClearGlobalParameter { .. } => (Store, Policymaker),
            Request::SetPolicy { kind: PolicyKind::Operator, .. }
            | Request::ClearPolicy { kind: PolicyKind::Operator, .. }
            | Request::AddUser { .. } | Request::DeleteUser { .. } | Request::PutUser { .. }
            | Request::ChangePassword { .. } | Request::ClearPassword { .. } | Request::SetUserTags { .. }
            | Request::SetPermissions { .. } | Request::ClearPermissions { .. }
            | Request::SetTopicPermissions { .. } | Request::ClearTopicPermissions { .. }
            | Request::AddVhost { .. } | Request::DeleteVhost { .. }
            | Request::PutVhost { .. } | Request::UpdateVhost { .. }
            | Request::SetVhostLimits { .. } | Request::ClearVhostLimits { .. }
            | Request::SetVhostLimit { .. } | Request::ClearVhostLimit { .. }
            | Request::SetUserLimits { .. } | Request::ClearUserLimits { .. }
            | Request::ImportDefinitions { .. } => (Store, Administrator),
        };
        Class { changes, right }
    }

    /// Checks that the application runs, if the request needs it, or is stopped (rabbitmqctl's
    /// `RequiresRabbitAppRunning`, `RequiresRabbitAppStopped`).
    ///
    /// # Errors
    /// [`ErrorKind::AppStopped`] or [`ErrorKind::AppRunning`].
    pub(crate) fn check_app(&self, is_running: bool) -> Result<(), ErrorKind> {
        match self {
            Request::Ping
            | Request::Stop
            | Request::StopApp
            | Request::StartApp
            | Request::SetLogLevel { .. }
            | Request::RotateLogs
            | Request::ReloadTls
            | Request::LogLocation { .. }
            | Request::LogTail { .. }
            | Request::LogTailStream { .. } => Ok(()),
            Request::Reset if is_running => Err(ErrorKind::AppRunning),
            Request::Reset => Ok(()),
            _ if is_running => Ok(()),
            _ => Err(ErrorKind::AppStopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_need_more_for_operator_policies_than_for_policies() {
        let clear = |kind| Request::ClearPolicy {
            kind,
            vhost: "/".into(),
            name: "p".into(),
        };
        assert_eq!(clear(PolicyKind::User).class().right, Right::Policymaker);
        let operator = clear(PolicyKind::Operator).class();
        assert_eq!(operator.right, Right::Administrator);
        assert_eq!(operator.changes, Changes::Store);
    }
}
