//! The operations that are not listings: changes by administrators, and `status`.

use super::AdminContext;
use super::access::Principal;
use super::audit;
use super::class::Changes;
use super::objects;
use super::request::{ErrorKind, Request, Response};
use super::status::{Listener, Status};
use super::top;
use crate::config::LogFilter;
use crate::domain::auth::{AuthError, Change, PasswordHash, Permission};
use crate::domain::broker::Broker;
use crate::domain::vhost::Vhost;
use crate::domain::vhost::spec::{VhostDeletionError, VhostSpec};
use crate::engine::interfaces::ConnectionId;
use crate::engine::queue::{Counts, Effects, QueueKind};
use crate::plumbing::system;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Performs the requests that are not listings.
pub(crate) struct Operations {
    pub(super) context: AdminContext,
    pub(super) fx: Effects,
}

pub(super) type OperationResult = Result<Response, Response>;

impl Operations {
    pub(crate) fn new(context: AdminContext) -> Self {
        let fx = context.broker.effects(None);
        Operations { context, fx }
    }

    /// Performs a request and returns once its changes are on disk, and in the log.
    pub(crate) fn perform(self, principal: &Principal, request: Request) -> Response {
        let mut change = audit::Change::of(&request);
        // The new level may silence the line, but not who has set it.
        if let Request::SetLogLevel { level } = &request
            && level.parse::<LogFilter>().is_ok()
            && let Some(change) = change.take()
        {
            change.log(principal, None);
        }
        let response = self.performed(request);
        if let Some(change) = change {
            let refused = response.refusal();
            change.log(principal, refused.as_deref());
        }
        response
    }

    fn performed(mut self, request: Request) -> Response {
        if request.class().changes != Changes::Store {
            return self.operation(request).unwrap_or_else(|refusal| refusal);
        }
        let broker = self.context.broker.clone();
        let changing = broker.admin_changes.lock();
        let response = self.operation(request).unwrap_or_else(|refusal| refusal);
        self.fx.perform();
        drop(changing);
        let store = broker.store.as_ref();
        match store.map_or(Ok(()), |store| store.flush()) {
            Ok(()) => response,
            Err(error) => Response::refused_because(ErrorKind::Software, error.to_string()),
        }
    }

    fn operation(&mut self, request: Request) -> OperationResult {
        let request = match self.limits_operation(request) {
            Ok(result) => return result,
            Err(request) => request,
        };
        let request = match self.log_operation(request) {
            Ok(result) => return result,
            Err(request) => request,
        };
        let request = match self.tls_operation(request) {
            Ok(result) => return result,
            Err(request) => request,
        };
        let request = match self.policy_operation(request) {
            Ok(result) => return result,
            Err(request) => request,
        };
        let request = match self.http_operation(request) {
            Ok(result) => return result,
            Err(request) => request,
        };
        let request = match self.service_operation(request) {
            Ok(result) => return result,
            Err(request) => request,
        };
        let request = match self.vhost_operation(request) {
            Ok(result) => return result,
            Err(request) => request,
        };
        let request = match self.topic_operation(request) {
            Ok(result) => return result,
            Err(request) => request,
        };
        let broker = self.context.broker.clone();
        match request {
            Request::Ping => Ok(Response::Ok),
            Request::Status => Ok(Response::Status(Box::new(self.status()))),
            Request::QueueKind { vhost, queue } => {
                let queue = broker.vhost(&vhost).and_then(|vhost| vhost.queue(&queue));
                match queue {
                    Some(queue) => Ok(Response::Text(queue.kind.as_str().to_owned())),
                    None => Err(Response::refused(ErrorKind::NoSuchQueue)),
                }
            }
            Request::Top {
                list,
                filter,
                limit,
            } => {
                let top = top::top(&broker, self.status(), list, &filter, limit);
                Ok(Response::Top(Box::new(top)))
            }
            Request::AddUser { user, password } => {
                let hash = broker.users.hash_password(&password);
                self.store_change(broker.users.add_user(&user, hash, &[]))
            }
            Request::DeleteUser { user } => {
                broker
                    .delete_user(&user, &mut self.fx)
                    .map_err(auth_refusal)?;
                Ok(Response::Ok)
            }
            Request::ChangePassword { user, password } => {
                let hash = broker.users.hash_password(&password);
                self.store_change(broker.users.change_password(&user, hash))
            }
            Request::AuthenticateUser { user, password } => {
                match broker.check_credentials(user, &password) {
                    Ok(_) => Ok(Response::Ok),
                    Err(_) => Err(Response::refused(ErrorKind::InvalidCredentials)),
                }
            }
            Request::ClearPassword { user } => {
                self.store_change(broker.users.change_password(&user, PasswordHash::none()))
            }
            Request::SetUserTags { user, tags } => {
                self.store_change(broker.users.set_tags(&user, &tags))
            }
            Request::SetPermissions {
                vhost,
                user,
                configure,
                write,
                read,
            } => {
                self.vhost(&vhost)?;
                let permission = Permission {
                    user,
                    vhost,
                    configure,
                    write,
                    read,
                };
                self.store_change(broker.users.set_permissions(permission))
            }
            Request::ClearPermissions { vhost, user } => {
                self.vhost(&vhost)?;
                let change = broker
                    .users
                    .clear_permissions(&user, &vhost)
                    .map_err(auth_refusal)?;
                self.store(change);
                Ok(Response::Ok)
            }
            Request::DeleteVhost { vhost } => match broker.delete_vhost(&vhost, &mut self.fx) {
                Ok(()) => Ok(Response::Ok),
                Err(VhostDeletionError::NoSuchVhost) => {
                    Err(Response::refused(ErrorKind::NoSuchVhost))
                }
                Err(error @ VhostDeletionError::Protected) => Err(Response::refused_because(
                    ErrorKind::Refused,
                    error.to_string(),
                )),
            },
            Request::Backup { directory } => backup(&broker, &directory),
            Request::SyncQueue { vhost, queue } => self.refuse_to_sync(&vhost, &queue),
            Request::PurgeQueue { vhost, queue } => self.purge(&vhost, &queue),
            Request::DeleteQueue {
                vhost,
                queue,
                if_empty,
                if_unused,
            } => self.delete(&vhost, &queue, if_empty, if_unused),
            Request::CloseConnection { pid, reason } => {
                broker
                    .connections
                    .close(ConnectionId(pid.connection), &reason);
                Ok(Response::Ok)
            }
            Request::CloseAllConnections {
                vhost,
                limit,
                delay_ms,
                reason,
            } => {
                let vhost = vhost.map(|name| name.as_str().into());
                let delay = Duration::from_millis(delay_ms);
                let count = broker
                    .connections
                    .close_some((vhost.as_ref(), limit), delay, &reason);
                Ok(Response::Count(count as u64))
            }
            Request::CloseAllUserConnections { user, reason } => {
                broker.connections.close_of_user(&user, &reason);
                Ok(Response::Ok)
            }
            // Listings and `stop` have been handled already. The request may contain a password, so it
            // is not part of the message.
            _ => Err(Response::refused_because(
                ErrorKind::Software,
                "not a request to perform".to_owned(),
            )),
        }
    }

    pub(super) fn store(&mut self, changes: impl IntoIterator<Item = Change>) {
        for change in changes {
            self.context.broker.store_change(change, &mut self.fx);
        }
    }

    pub(super) fn store_change(&mut self, change: Result<Change, AuthError>) -> OperationResult {
        self.store([change.map_err(auth_refusal)?]);
        Ok(Response::Ok)
    }

    pub(super) fn vhost(&self, name: &str) -> Result<Arc<Vhost>, Response> {
        let vhost = self.context.broker.vhost(name);
        vhost.ok_or_else(|| Response::refused(ErrorKind::NoSuchVhost))
    }

    fn refuse_to_sync(&self, vhost: &str, queue: &str) -> OperationResult {
        let queue = self.vhost(vhost)?.queue(queue);
        queue.ok_or_else(|| Response::refused(ErrorKind::NoSuchQueue))?;
        Err(Response::refused_because(
            ErrorKind::Refused,
            "not_mirrored: one node has all there is of every queue",
        ))
    }

    fn purge(&mut self, vhost: &str, queue: &str) -> OperationResult {
        let queue = self
            .vhost(vhost)?
            .queue(queue)
            .ok_or_else(|| Response::refused(ErrorKind::NoSuchQueue))?;
        if queue.kind == QueueKind::Stream {
            // `rabbit_stream_queue:purge`.
            return Err(Response::refused_because(
                ErrorKind::Software,
                "not_supported: a stream cannot be purged",
            ));
        }
        queue.purge(&mut self.fx);
        Ok(Response::Ok)
    }

    fn delete(
        &mut self,
        vhost: &str,
        queue: &str,
        if_empty: bool,
        if_unused: bool,
    ) -> OperationResult {
        let vhost = self.vhost(vhost)?;
        let queue = vhost
            .queue(queue)
            .ok_or_else(|| Response::refused(ErrorKind::NoSuchQueue))?;
        let allowed = |counts: Counts| {
            if if_unused && counts.consumers > 0 {
                Err(Response::refused(ErrorKind::QueueInUse))
            } else if if_empty && !counts.is_empty() {
                Err(Response::refused(ErrorKind::QueueNotEmpty))
            } else {
                Ok(())
            }
        };
        let deleted = vhost.delete_queue(&queue, allowed, &mut self.fx)?;
        Ok(Response::Count(
            deleted.map_or(0, |deleted| deleted.messages),
        ))
    }

    fn settings(&self) -> Vec<(String, String)> {
        let settings = self.context.settings.lock();
        let settings = settings.iter();
        settings
            .map(|(key, value)| ((*key).to_owned(), value.clone()))
            .collect()
    }

    fn status(&self) -> Status {
        let (broker, data_dir) = (&self.context.broker, &self.context.data_dir);
        let vhosts = broker.vhosts();
        let connections = broker.connections.count() as u64;
        let alarms = broker.alarms.view();
        let (file_descriptors, file_descriptors_limit) = system::file_descriptors();
        Status {
            pid: std::process::id(),
            uptime: broker.started.elapsed().as_secs(),
            is_under_maintenance: broker.service.is_under_maintenance(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            cluster_name: broker.global_parameters.cluster_name(),
            settings: self.settings(),
            variables: variables(),
            data_directory: data_dir.display().to_string(),
            config_files: objects::node::config_files(&self.context),
            log_files: self.context.log.locations(),
            alarms: broker.alarms_to_tell(),
            memory: system::resident_memory(),
            memory_watermark: alarms.memory,
            memory_limit: alarms.memory_bytes,
            file_descriptors,
            file_descriptors_limit,
            sockets: connections,
            disk_free: leveret_storage::free_space(data_dir),
            disk_free_limit: alarms.disk_bytes,
            connections,
            queues: vhosts.iter().map(|vhost| vhost.queues().len() as u64).sum(),
            vhosts: vhosts.len() as u64,
            listeners: objects::Listener::all(&self.context)
                .into_iter()
                .map(|listener| Listener {
                    interface: listener.ip_address,
                    port: listener.port,
                    protocol: listener.protocol.to_owned(),
                    purpose: listener.purpose.to_owned(),
                })
                .collect(),
        }
    }
}

/// Returns the variables of the environment that are meant for the broker, by name. Passwords are hidden.
fn variables() -> Vec<(String, String)> {
    let hidden = |name: &str| {
        ["PASS", "SECRET", "COOKIE"]
            .iter()
            .any(|word| name.contains(word))
    };
    let mut variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with("LEVERET_") || name.starts_with("RABBITMQ_"))
        .map(|(name, value)| {
            let value = match hidden(&name.to_uppercase()) {
                true => "********".to_owned(),
                false => value.to_string_lossy().into_owned(),
            };
            (name, value)
        })
        .collect();
    variables.sort();
    variables
}

/// Returns a new virtual host, unless its name is too long.
pub(super) fn new_vhost(name: &str) -> Result<VhostSpec, Response> {
    VhostSpec::new(name)
        .map_err(|error| Response::refused_because(ErrorKind::Refused, error.to_string()))
}

/// Copies the store into a data directory that a broker can start on. The copy contains everything that
/// was confirmed before.
fn backup(broker: &Broker, directory: &Path) -> OperationResult {
    let failed = |error: String| Response::refused_because(ErrorKind::Software, error);
    let store = broker.store.as_ref();
    let refused = |reason: String| Response::refused_because(ErrorKind::Refused, reason);
    let store = store.ok_or_else(|| refused("this broker has no store".to_owned()))?;
    if fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some()) {
        let directory = directory.display();
        return Err(refused(format!("{directory} is not empty")));
    }
    let made = fs::create_dir_all(directory);
    made.map_err(|error| failed(format!("{}: {error}", directory.display())))?;
    match store.backup(&directory.join("store")) {
        Ok(()) => Ok(Response::Ok),
        Err(error) => Err(failed(error.to_string())),
    }
}

pub(super) fn auth_refusal(error: AuthError) -> Response {
    match error {
        AuthError::NoSuchUser(_) => Response::refused(ErrorKind::NoSuchUser),
        AuthError::UserExists(_) => Response::refused(ErrorKind::UserExists),
        other => Response::refused_because(ErrorKind::InvalidPattern, other.to_string()),
    }
}
