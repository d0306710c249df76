//! Rows of lists as JSON: reduced to columns, and compared (`rabbit_mgmt_util`).

use super::error::{ApiError, ApiResult};
use serde::Serialize;
use serde_json::{Map, Value};
use std::cmp::Ordering;

/// Converts a row to JSON.
///
/// # Errors
/// 500 if it cannot be written.
pub(super) fn to_value(row: &impl Serialize) -> ApiResult<Value> {
    serde_json::to_value(row).map_err(|error| ApiError::internal(error.to_string()))
}

/// Converts a row to JSON with these columns.
///
/// # Errors
/// 500 if it cannot be written.
pub(super) fn row(row: &impl Serialize, columns: Option<&[Vec<String>]>) -> ApiResult<Value> {
    let row = to_value(row)?;
    Ok(match columns {
        None => row,
        Some(columns) => select(row, columns),
    })
}

/// Reduces an object, or each object of a list, to these columns.
pub(super) fn select(value: Value, columns: &[Vec<String>]) -> Value {
    match value {
        Value::Object(object) => {
            let mut selected = Map::new();
            for (key, value) in object {
                let below: Vec<Vec<String>> = columns
                    .iter()
                    .filter(|path| path.first() == Some(&key))
                    .map(|path| path[1..].to_vec())
                    .collect();
                if below.is_empty() {
                    continue;
                }
                let whole = below.iter().any(Vec::is_empty);
                let value = if whole { value } else { select(value, &below) };
                selected.insert(key, value);
            }
            Value::Object(selected)
        }
        Value::Array(items) => {
            let items = items.into_iter().map(|item| select(item, columns));
            Value::Array(items.collect())
        }
        other => other,
    }
}

/// Returns the value of a path; as in RabbitMQ, what is missing sorts as 0.
pub(super) fn sort_key(mut row: Value, path: &[&str]) -> Value {
    for key in path {
        row = match row {
            Value::Object(mut object) => object.remove(*key).unwrap_or(Value::from(0)),
            _ => return Value::from(0),
        };
    }
    row
}

/// Compares as Erlang does: numbers before booleans, before objects, before lists, before strings.
pub(super) fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Number(_) => 0,
        Value::Bool(_) | Value::Null => 1,
        Value::Object(_) => 2,
        Value::Array(_) => 3,
        Value::String(_) => 4,
    };
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => match (a.as_i64(), b.as_i64()) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => f64::total_cmp(
                &a.as_f64().unwrap_or_default(),
                &b.as_f64().unwrap_or_default(),
            ),
        },
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::String(a), Value::String(b)) => a.cmp(b),
        _ => rank(a).cmp(&rank(b)),
    }
}
