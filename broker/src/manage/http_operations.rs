//! The requests that only the HTTP API makes: those that create or replace in one step, and parameters.

use super::operations::{OperationResult, Operations};
use super::request::{ErrorKind, Request, Response, WrittenPassword};
use crate::domain::limits::VhostLimits;
use crate::domain::parameters::{Parameter, ParameterError};
use serde_json::{Map, Value, json};

impl Operations {
    /// Performs a request of the HTTP API; returns any other request unchanged.
    pub(super) fn http_operation(&mut self, request: Request) -> Result<OperationResult, Request> {
        let broker = self.context.broker.clone();
        let parameter_changed = |changed: Result<(), ParameterError>| match changed {
            Ok(()) => Ok(Response::Ok),
            Err(ParameterError::NoSuchVhost(_)) => Err(Response::refused(ErrorKind::NoSuchVhost)),
            Err(error) => refused(error.to_string()),
        };
        Ok(match request {
            Request::PutUser { user } => {
                let hash = match user.password {
                    WrittenPassword::Password(password) => broker.users.hash_password(&password),
                    WrittenPassword::Hash(hash) => hash,
                };
                let put = broker.users.put_user(&user.name, hash, user.tags);
                self.store_change(put)
            }
            Request::SetVhostLimit { vhost, name, value } => {
                self.change_vhost_limits(&vhost, |limits| limits.insert(name, value))
            }
            Request::ClearVhostLimit { vhost, name } => {
                self.change_vhost_limits(&vhost, |limits| limits.remove(&name))
            }
            Request::SetParameter {
                vhost,
                component,
                name,
                value,
            } => {
                let parameter = Parameter {
                    vhost,
                    component,
                    name,
                    value,
                };
                parameter_changed(broker.set_parameter(parameter, &mut self.fx))
            }
            Request::ClearParameter {
                vhost,
                component,
                name,
            } => {
                let cleared = broker.clear_parameter(&vhost, &component, &name, &mut self.fx);
                parameter_changed(cleared)
            }
            Request::SetGlobalParameter { name, value } => {
                parameter_changed(broker.set_global_parameter(&name, value, &mut self.fx))
            }
            Request::ClearGlobalParameter { name } => {
                parameter_changed(broker.clear_global_parameter(&name, &mut self.fx))
            }
            Request::ResetLoginAttempts => {
                broker.login_attempts.reset();
                Ok(Response::Ok)
            }
            other => return Err(other),
        })
    }

    fn change_vhost_limits<T>(
        &mut self,
        vhost: &str,
        change: impl FnOnce(&mut Map<String, Value>) -> T,
    ) -> OperationResult {
        let before = self.vhost(vhost)?.limits();
        let mut limits = match before.map(|limits| json!(limits)) {
            Some(Value::Object(limits)) => limits,
            _ => Map::new(),
        };
        change(&mut limits);
        if before.is_none() && limits.is_empty() {
            return Ok(Response::Ok);
        }
        let limits = match VhostLimits::parse(&Value::Object(limits).to_string()) {
            Ok(limits) => limits,
            Err(error) => return refused(format!("Validation failed\n\n{error}\n")),
        };
        let broker = self.context.broker.clone();
        match broker.set_vhost_limits(vhost, Some(limits), &mut self.fx) {
            true => Ok(Response::Ok),
            false => Err(Response::refused(ErrorKind::NoSuchVhost)),
        }
    }
}

fn refused(reason: String) -> OperationResult {
    Err(Response::refused_because(ErrorKind::Refused, reason))
}
