//! What a scenario waits for: a key of the reply with its value.

use serde_json::Value;

/// `key.0.key=value`: the value of a key is so, in JSON. `*` stands for any, `length` for the number of elements.
#[derive(Clone, Debug)]
pub(super) struct Condition {
    path: Vec<String>,
    value: Wanted,
}

#[derive(Clone, Debug)]
enum Wanted {
    Any,
    Nothing,
    Json(Value),
}

impl Condition {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let wrong = "a condition is `key.key=value`";
        let (path, value) = text.split_once('=').ok_or(wrong)?;
        let value = match value {
            "*" => Wanted::Any,
            "" => Wanted::Nothing,
            json => match serde_json::from_str(json) {
                Ok(value) => Wanted::Json(value),
                Err(_) => Wanted::Json(Value::String(json.to_owned())),
            },
        };
        Ok(Condition {
            path: path.split('.').map(str::to_owned).collect(),
            value,
        })
    }

    pub(super) fn holds(&self, body: &Value) -> bool {
        let mut at = body.clone();
        for key in &self.path {
            let next = match &at {
                Value::Array(elements) if key == "length" => Some(elements.len().into()),
                Value::Array(elements) => {
                    let at = key.parse::<usize>().ok();
                    at.and_then(|at| elements.get(at).cloned())
                }
                Value::Object(fields) => fields.get(key).cloned(),
                _ => None,
            };
            match next {
                Some(next) => at = next,
                None => return matches!(self.value, Wanted::Nothing),
            }
        }
        match &self.value {
            Wanted::Any => true,
            Wanted::Nothing => false,
            Wanted::Json(value) => *value == at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn conditions_look_into_arrays_and_objects() {
        let body = json!([{"name": "q", "stats": {"publish": 3}}]);
        let holds = |text: &str| Condition::parse(text).expect("a condition").holds(&body);
        assert!(holds("length=1"));
        assert!(holds("0.name=q"));
        assert!(holds("0.stats.publish=3"));
        assert!(holds("0.stats.publish=*"));
        assert!(holds("0.stats.deliver="));
        assert!(!holds("0.stats.deliver=*"));
        assert!(!holds("1.name=q"));
    }
}
