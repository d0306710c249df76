//! The listings of permissions, and the requests about topic permissions.

use super::operations::{OperationResult, Operations, auth_refusal};
use super::request::{ErrorKind, Request, Response};
use super::value::Row;
use crate::domain::auth::{Permission, TopicPermission};
use crate::domain::broker::Broker;

/// Returns the rows of a listing of permissions; `None` if the request is not for one.
pub(super) fn rows(request: &Request, broker: &Broker) -> Option<Result<Vec<Row>, Response>> {
    let users = &broker.users;
    let rows = match request {
        Request::ListPermissions { vhost } | Request::ListTopicPermissions { vhost }
            if broker.vhost(vhost).is_none() =>
        {
            return Some(Err(Response::refused(ErrorKind::NoSuchVhost)));
        }
        Request::ListPermissions { vhost } => {
            let permissions = users.permissions_in(vhost).into_iter();
            let row = |p: Permission| row([p.user, p.configure, p.write, p.read]);
            Ok(permissions.map(row).collect())
        }
        Request::ListUserPermissions { user } => users.permissions_of(user).map(|permissions| {
            let row = |p: Permission| row([p.vhost, p.configure, p.write, p.read]);
            permissions.into_iter().map(row).collect()
        }),
        Request::ListTopicPermissions { vhost } => {
            let permissions = users.topic_permissions(None, Some(vhost));
            permissions.map(|permissions| {
                let row = |p: TopicPermission| row([p.user, p.exchange, p.write, p.read]);
                permissions.into_iter().map(row).collect()
            })
        }
        Request::ListUserTopicPermissions { user } => {
            let permissions = users.topic_permissions(Some(user), None);
            permissions.map(|permissions| {
                let row = |p: TopicPermission| row([p.vhost, p.exchange, p.write, p.read]);
                permissions.into_iter().map(row).collect()
            })
        }
        _ => return None,
    };
    Some(rows.map_err(auth_refusal))
}

fn row(cells: [String; 4]) -> Row {
    cells.map(Into::into).into()
}

impl Operations {
    /// Performs a request about topic permissions; returns any other request unchanged.
    pub(super) fn topic_operation(&mut self, request: Request) -> Result<OperationResult, Request> {
        match request {
            Request::SetTopicPermissions {
                vhost,
                user,
                exchange,
                write,
                read,
            } => Ok(self.set_topic_permission(TopicPermission {
                user,
                vhost,
                exchange,
                write,
                read,
            })),
            Request::ClearTopicPermissions {
                vhost,
                user,
                exchange,
            } => Ok(self.clear_topic_permissions(&user, &vhost, exchange.as_deref())),
            other => Err(other),
        }
    }

    fn set_topic_permission(&mut self, permission: TopicPermission) -> OperationResult {
        self.vhost(&permission.vhost)?;
        let change = self.context.broker.users.set_topic_permission(permission);
        self.store_change(change)
    }

    fn clear_topic_permissions(
        &mut self,
        user: &str,
        vhost: &str,
        exchange: Option<&str>,
    ) -> OperationResult {
        self.vhost(vhost)?;
        let users = &self.context.broker.users;
        let changes = users.clear_topic_permissions(user, vhost, exchange);
        self.store(changes.map_err(auth_refusal)?);
        Ok(Response::Ok)
    }
}
