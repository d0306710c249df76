//! The verbs about limits and alarms.

use super::listings::Row;
use super::request::{ErrorKind, Request, Response};
use super::verbs::{Done, Verbs};
use crate::domain::broker::Broker;
use crate::domain::limits::{LimitError, UserLimits, VhostLimits};
use crate::domain::shortage;
use crate::domain::vhost::Vhost;
use std::sync::Arc;

/// The virtual hosts that have limits, each with them.
pub(super) fn of_vhosts(broker: &Broker) -> Vec<Row> {
    let vhosts = broker.vhosts().into_iter();
    let row = |vhost: Arc<Vhost>| {
        let limits = vhost.limits()?.to_json();
        Some(vec![vhost.name().as_str().into(), limits.into()])
    };
    vhosts.filter_map(row).collect()
}

/// The users that have limits, each with them.
pub(super) fn of_users(broker: &Broker) -> Vec<Row> {
    let users = broker.users.users().into_iter();
    users
        .filter(|user| !user.limits.is_empty())
        .map(|user| vec![user.name.into(), user.limits.to_json().into()])
        .collect()
}

impl Verbs {
    /// Does what is asked if it is one of these verbs; gives it back otherwise.
    pub(super) fn limits_verb(&mut self, request: Request) -> Result<Done, Request> {
        Ok(match request {
            Request::SetVmMemoryHighWatermark { watermark } => {
                self.around.broker.alarms.set_memory_watermark(watermark);
                self.check_alarms()
            }
            Request::SetDiskFreeLimit { limit } => {
                self.around.broker.alarms.set_disk_free_limit(limit);
                self.check_alarms()
            }
            Request::Alarms => {
                let alarms = self.around.broker.alarms.in_force();
                Ok(Response::Alarms(alarms.iter().collect()))
            }
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
                match self.around.broker.users.user(&user) {
                    Some(user) => Ok(Response::Text(user.limits.to_json())),
                    None => Err(Response::refused(ErrorKind::NoSuchUser)),
                }
            }
            other => return Err(other),
        })
    }

    /// A new mark counts at once.
    fn check_alarms(&self) -> Done {
        shortage::check(&self.around.broker, &self.around.data_dir);
        Ok(Response::Ok)
    }

    fn set_vhost_limits(&mut self, vhost: &str, definition: &str) -> Done {
        let limits = VhostLimits::parse(definition).map_err(|error| {
            let message = match error {
                LimitError::NotJson(_) => error.to_string(),
                _ => format!("Validation failed\n\n{error}\n"),
            };
            Response::refused_because(ErrorKind::Refused, message)
        })?;
        let broker = self.around.broker.clone();
        if broker.set_vhost_limits(vhost, Some(limits), &mut self.fx) {
            Ok(Response::Ok)
        } else {
            Err(Response::refused(ErrorKind::NoSuchVhost))
        }
    }

    fn clear_vhost_limits(&mut self, vhost: &str) -> Done {
        let broker = self.around.broker.clone();
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
    ) -> Done {
        let change = self.around.broker.users.change_limits(user, change);
        self.changed(change)
    }
}
