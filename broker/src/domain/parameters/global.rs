//! Global parameters: values of the whole broker, such as the cluster's name.

use super::{NAME_MAX, ParameterError, check_size};
use crate::domain::broker::Broker;
use crate::domain::durable::Definition;
use crate::engine::queue::Effects;
use crate::text::names::NODE_NAME;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use parking_lot::RwLock;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// The name of the cluster, which clients and monitoring show. Set by operators; the node's name unless set.
const CLUSTER_NAME: &str = "cluster_name";
/// Identifies the cluster for good. Set when the broker is created.
const CLUSTER_ID: &str = "internal_cluster_id";

/// A global parameter, with RabbitMQ's names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GlobalParameter {
    /// The name, unique in the broker.
    pub name: String,
    /// Any JSON value.
    pub value: Value,
}

/// The global parameters by name.
#[derive(Debug, Default)]
pub struct GlobalParameters(RwLock<BTreeMap<String, Value>>);

impl GlobalParameters {
    /// Adds a parameter from the store.
    pub fn restore(&self, parameter: GlobalParameter) {
        self.0.write().insert(parameter.name, parameter.value);
    }

    /// Returns the value of a parameter, if it is set.
    pub fn get(&self, name: &str) -> Option<Value> {
        self.0.read().get(name).cloned()
    }

    /// Returns all parameters, in the order of their names.
    pub fn list(&self) -> Vec<GlobalParameter> {
        let parameters = self.0.read();
        let parameter = |(name, value): (&String, &Value)| GlobalParameter {
            name: name.clone(),
            value: value.clone(),
        };
        parameters.iter().map(parameter).collect()
    }

    /// Removes all parameters, and returns them.
    pub(in crate::domain) fn take_all(&self) -> Vec<GlobalParameter> {
        let parameters = std::mem::take(&mut *self.0.write()).into_iter();
        parameters
            .map(|(name, value)| GlobalParameter { name, value })
            .collect()
    }

    /// Returns the cluster's name.
    pub fn cluster_name(&self) -> String {
        match self.0.read().get(CLUSTER_NAME) {
            Some(Value::String(name)) => name.clone(),
            _ => NODE_NAME.to_owned(),
        }
    }

    /// Returns the cluster's permanent id; empty if it has none (`rabbit_nodes:persistent_cluster_id`).
    pub fn cluster_id(&self) -> String {
        match self.0.read().get(CLUSTER_ID) {
            Some(Value::String(id)) => id.clone(),
            _ => String::new(),
        }
    }
}

impl Broker {
    /// Sets a global parameter, replacing the previous value.
    ///
    /// # Errors
    /// When the name or the value is too long, or the cluster's name is not a string.
    pub fn set_global_parameter(
        &self,
        name: &str,
        value: Value,
        fx: &mut Effects,
    ) -> Result<(), ParameterError> {
        if name.is_empty() || name.len() > NAME_MAX {
            return Err(ParameterError::Name(name.len()));
        }
        check_size(&value)?;
        if name == CLUSTER_NAME && !value.is_string() {
            let reason = format!("{CLUSTER_NAME} should be a string, actually was {value}");
            return Err(ParameterError::Invalid(reason));
        }
        let parameter = GlobalParameter {
            name: name.to_owned(),
            value,
        };
        // Locked until the record is on its way, so that changes are stored in the order in which they took effect.
        let mut parameters = self.global_parameters.0.write();
        parameters.insert(parameter.name.clone(), parameter.value.clone());
        fx.store(Definition::GlobalParameter(parameter).put());
        fx.submit();
        Ok(())
    }

    /// Removes a global parameter.
    ///
    /// # Errors
    /// When it is not set.
    pub fn clear_global_parameter(
        &self,
        name: &str,
        fx: &mut Effects,
    ) -> Result<(), ParameterError> {
        let mut parameters = self.global_parameters.0.write();
        let Some(value) = parameters.remove(name) else {
            return Err(ParameterError::NoSuchParameter);
        };
        let name = name.to_owned();
        fx.store(Definition::GlobalParameter(GlobalParameter { name, value }).delete());
        fx.submit();
        Ok(())
    }

    /// Gives the cluster its id, unless it has one (`rabbit_nodes:seed_internal_cluster_id`).
    pub fn seed_cluster_id(&self, fx: &mut Effects) {
        if self.global_parameters.get(CLUSTER_ID).is_some() {
            return;
        }
        let mut id = [0; 16];
        rand::rng().fill_bytes(&mut id);
        let id = format!("rabbitmq-cluster-id-{}", URL_SAFE_NO_PAD.encode(id));
        // The name and the value are short.
        let _ = self.set_global_parameter(CLUSTER_ID, id.into(), fx);
    }
}
