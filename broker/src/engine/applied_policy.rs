//! The policies that apply to a queue or an exchange, as far as the machines know them.

use super::queue::Settings;
use leveret_protocol::values::FieldTable;
use std::fmt;
use std::sync::Arc;

/// The policies that apply to a queue or an exchange, combined.
pub trait AppliedPolicy: fmt::Debug + Send + Sync {
    /// Returns the settings of a queue with these arguments.
    fn settings(&self, arguments: &FieldTable) -> Arc<Settings>;

    /// Returns a setting that is a string.
    fn text(&self, key: &str) -> Option<&str>;

    /// Returns all settings.
    fn definition(&self) -> Vec<(&str, &serde_json::Value)>;

    /// Returns the name of the policy.
    fn policy_name(&self) -> Option<&str>;

    /// Returns the name of the operator policy.
    fn operator_name(&self) -> Option<&str>;
}
