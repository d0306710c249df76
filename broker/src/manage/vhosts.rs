//! The requests about virtual hosts, except to delete one, and about their limits.

use super::operations::{OperationResult, Operations, auth_refusal, new_vhost};
use super::request::{ErrorKind, Request, Response, WrittenVhost};
use crate::domain::auth::Permission;
use crate::domain::vhost::spec::VhostUpdate;
use crate::engine::queue::QueueKind;
use serde_json::Value;

impl Operations {
    /// Performs a request about a virtual host; returns any other request unchanged.
    pub(super) fn vhost_operation(&mut self, request: Request) -> Result<OperationResult, Request> {
        Ok(match request {
            Request::AddVhost {
                vhost,
                description,
                tags,
                default_queue_type,
            } => queue_type(default_queue_type).and_then(|kind| {
                let mut spec = new_vhost(&vhost)?;
                spec.metadata.description = description;
                spec.metadata.tags = tags;
                spec.metadata.default_queue_type = kind;
                self.context.broker.clone().add_vhost(spec, &mut self.fx);
                Ok(Response::Ok)
            }),
            Request::PutVhost { vhost } => self.put_vhost(*vhost),
            Request::UpdateVhost {
                vhost,
                description,
                tags,
                default_queue_type,
                protected_from_deletion,
            } => queue_type(default_queue_type).and_then(|default_queue_type| {
                let update = VhostUpdate {
                    description,
                    tags,
                    default_queue_type,
                    protected_from_deletion,
                };
                self.update_vhost(&vhost, update)
            }),
            Request::SetTracing { vhost, enabled } => self.vhost(&vhost).map(|vhost| {
                vhost.set_traced(enabled);
                Response::Ok
            }),
            // One that exists runs.
            Request::RestartVhost { vhost } => self.vhost(&vhost).map(|_| Response::Ok),
            other => return Err(other),
        })
    }

    fn update_vhost(&mut self, name: &str, update: VhostUpdate) -> OperationResult {
        let broker = self.context.broker.clone();
        match broker.update_vhost(name, update, &mut self.fx) {
            true => Ok(Response::Ok),
            false => Err(Response::refused(ErrorKind::NoSuchVhost)),
        }
    }

    fn put_vhost(&mut self, written: WrittenVhost) -> OperationResult {
        let broker = self.context.broker.clone();
        let name = written.name;
        let new = broker.add_vhost(new_vhost(&name)?, &mut self.fx);
        let update = VhostUpdate {
            description: Some(written.description),
            tags: Some(written.tags),
            default_queue_type: written.default_queue_type,
            protected_from_deletion: written.protected_from_deletion,
        };
        self.update_vhost(&name, update)?;
        if let Some(tracing) = written.tracing {
            self.vhost(&name)?.set_traced(tracing);
        }
        if let Some(user) = written.maker.filter(|_| new) {
            let all = || ".*".to_owned();
            let granted = broker.users.set_permissions(Permission {
                user,
                vhost: name,
                configure: all(),
                write: all(),
                read: all(),
            });
            self.store([granted.map_err(auth_refusal)?]);
        }
        Ok(Response::Ok)
    }
}

/// Reads the name of a type of queues.
fn queue_type(name: Option<String>) -> Result<Option<QueueKind>, Response> {
    let Some(name) = name else {
        return Ok(None);
    };
    let reason = format!("invalid_queue_type: '{name}' is not quorum, classic or stream");
    let kind = serde_json::from_value(Value::String(name));
    kind.map_err(|_| Response::refused_because(ErrorKind::Refused, reason))
}
