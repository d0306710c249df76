//! The requests about limits and alarms.

use super::objects;
use super::operations::{OperationResult, Operations};
use super::request::{ErrorKind, Request, Response};
use super::value::Row;
use crate::domain::broker::Broker;
use crate::domain::limits::{LimitError, UserLimits, VhostLimits};
use crate::domain::shortage;

/// Returns a row for each virtual host that has limits.
pub(super) fn of_vhosts(broker: &Broker) -> Vec<Row> {
    let vhosts = broker.vhosts().into_iter();
    vhosts
        .filter_map(|vhost| objects::limits::VhostLimits::of(&vhost))
        .map(|limits| vec![limits.vhost.into(), limits.value.to_json().into()])
        .collect()
}

/// Returns a row for each user that has limits.
pub(super) fn of_users(broker: &Broker) -> Vec<Row> {
    let all = objects::limits::UserLimits::list(broker, None).into_iter();
    all.map(|limits| vec![limits.user.into(), limits.value.to_json().into()])
        .collect()
}

impl Operations {
    /// Performs a request about limits or alarms; returns any other request unchanged.
    pub(super) fn limits_operation(
        &mut self,
        request: Request,
    ) -> Result<OperationResult, Request> {
        Ok(match request {
            Request::SetVmMemoryHighWatermark { watermark } => {
                self.context.broker.alarms.set_memory_watermark(watermark);
                self.check_alarms()
            }
            Request::SetDiskFreeLimit { limit } => {
                self.context.broker.alarms.set_disk_free_limit(limit);
                self.check_alarms()
            }
            Request::Alarms => Ok(Response::Alarms(self.context.broker.alarms_to_tell())),
            Request::SetVhostLimits { vhost, definition } => {
                self.set_vhost_limits(&vhost, &definition)
            }
            Request::ClearVhostLimits { vhost } => self.clear_vhost_limits(&vhost),
            Request::ListVhostLimits { vhost: Some(vhost) } => self.vhost(&vhost).map(|vhost| {
                let limits = vhost.limits().map(VhostLimits::to_json);
                Response::Text(limits.unwrap_or_default())
            }),
            Request::SetUserLimits { user, definition } => {
                let limits = UserLimits::parse(&definition);
                let limits = limits.map_err(|error| {
                    Response::refused_because(ErrorKind::Refused, error.to_string())
                });
                limits.and_then(|limits| self.change_user_limits(&user, |old| limits.or(old)))
            }
            Request::ClearUserLimits { user, limit } => {
                self.change_user_limits(&user, |old| old.without(&limit))
            }
            Request::ListUserLimits { user: Some(user) } => {
                match self.context.broker.users.user(&user) {
                    Some(user) => Ok(Response::Text(user.limits.to_json())),
                    None => Err(Response::refused(ErrorKind::NoSuchUser)),
                }
            }
            other => return Err(other),
        })
    }

    /// Makes a new watermark take effect at once.
    fn check_alarms(&self) -> OperationResult {
        shortage::check(&self.context.broker, &self.context.data_dir);
        Ok(Response::Ok)
    }

    fn set_vhost_limits(&mut self, vhost: &str, definition: &str) -> OperationResult {
        let limits = VhostLimits::parse(definition).map_err(|error| {
            let message = match error {
                LimitError::NotJson(_) => error.to_string(),
                _ => format!("Validation failed\n\n{error}\n"),
            };
            Response::refused_because(ErrorKind::Refused, message)
        })?;
        let broker = self.context.broker.clone();
        if broker.set_vhost_limits(vhost, Some(limits), &mut self.fx) {
            Ok(Response::Ok)
        } else {
            Err(Response::refused(ErrorKind::NoSuchVhost))
        }
    }

    fn clear_vhost_limits(&mut self, vhost: &str) -> OperationResult {
        let broker = self.context.broker.clone();
        let known = broker
            .vhost(vhost)
            .is_some_and(|vhost| vhost.limits().is_some());
        if known && broker.set_vhost_limits(vhost, None, &mut self.fx) {
            return Ok(Response::Ok);
        }
        let message = "Parameter does not exist".to_owned();
        Err(Response::refused_because(ErrorKind::Refused, message))
    }

    fn change_user_limits(
        &mut self,
        user: &str,
        change: impl FnOnce(UserLimits) -> UserLimits,
    ) -> OperationResult {
        let change = self.context.broker.users.change_limits(user, change);
        self.store_change(change)
    }
}
