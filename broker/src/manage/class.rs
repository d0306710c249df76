//! What each request changes, and the right that it needs: one table for the audit trail, the store and the HTTP API.

use super::access::Right;
use super::request::{PolicyKind, Request};

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
            | Request::Status | Request::Ping | Request::Alarms
            | Request::MemoryBreakdown | Request::ListLoginAttempts { .. } | Request::QueueKind { .. }
            | Request::AuthenticateUser { .. }
            | Request::ExportDefinitions => (Nothing, Administrator),

            Request::SetVmMemoryHighWatermark { .. } | Request::SetDiskFreeLimit { .. }
            | Request::ResetLoginAttempts
            | Request::CloseConnection { .. } | Request::CloseAllConnections { .. }
            | Request::CloseAllUserConnections { .. }
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
            | Request::ChangePassword { .. } | Request::SetUserTags { .. }
            | Request::SetPermissions { .. } | Request::ClearPermissions { .. }
            | Request::SetTopicPermissions { .. } | Request::ClearTopicPermissions { .. }
            | Request::AddVhost { .. } | Request::DeleteVhost { .. }
            | Request::PutVhost { .. } | Request::ProtectVhost { .. }
            | Request::SetVhostLimits { .. } | Request::ClearVhostLimits { .. }
            | Request::SetVhostLimit { .. } | Request::ClearVhostLimit { .. }
            | Request::SetUserLimits { .. } | Request::ClearUserLimits { .. }
            | Request::ImportDefinitions { .. } => (Store, Administrator),
        };
        Class { changes, right }
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
