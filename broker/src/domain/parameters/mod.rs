//! Parameters, as RabbitMQ calls JSON values that are set by name while the broker runs: global ones, which only this
//! folder stores, and those of a component in a virtual host.
//!
//! The components that RabbitMQ has without plugins are stored elsewhere: limits and policies with their virtual host.
//! Here are only RabbitMQ's rules about setting, clearing and listing them as parameters.

mod component;
mod global;

pub use component::Parameter;
pub use global::{GlobalParameter, GlobalParameters};

use serde_json::Value;

/// The maximum size of a value in bytes, written without spaces.
pub const VALUE_MAX: usize = 64 * 1024;

/// The maximum length of a name in bytes: RabbitMQ's names of global parameters are atoms of 255 characters at most.
pub const NAME_MAX: usize = 255;

/// Why a parameter was not set or cleared. The texts are RabbitMQ's, where it has the rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    /// The value is not JSON.
    #[error("Could not parse JSON document: {0}")]
    NotJson(String),
    /// The value is too large.
    #[error("the value has {0} bytes; at most {VALUE_MAX} are allowed")]
    TooLarge(usize),
    /// The name is empty or too long.
    #[error("a parameter's name must have 1 to {NAME_MAX} bytes; this one has {0}")]
    Name(usize),
    /// The virtual host does not exist.
    #[error("Virtual host '{0}' does not exist")]
    NoSuchVhost(String),
    /// The component is unknown, or does not accept the value.
    #[error("Validation failed\n\n{0}\n")]
    Invalid(String),
    /// Policies have their own operations.
    #[error("policies may not be {0} using this method")]
    Policy(&'static str),
    /// It cannot be cleared, because it is not set.
    #[error("Parameter does not exist")]
    NoSuchParameter,
}

/// Parses a value.
///
/// # Errors
/// [`ParameterError::NotJson`], [`ParameterError::TooLarge`].
pub fn parse_value(text: &str) -> Result<Value, ParameterError> {
    // Before parsing, which takes several times as much memory as the text.
    if text.len() > 4 * VALUE_MAX {
        return Err(ParameterError::TooLarge(text.len()));
    }
    let value: Value =
        serde_json::from_str(text).map_err(|error| ParameterError::NotJson(error.to_string()))?;
    check_size(&value)?;
    Ok(value)
}

fn check_size(value: &Value) -> Result<(), ParameterError> {
    let size = value.to_string().len();
    if size > VALUE_MAX {
        return Err(ParameterError::TooLarge(size));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
