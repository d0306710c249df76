//! Reloading: what of the definition files of `load_definitions` takes effect while the broker runs.
//!
//! Policies, operator policies, and the limits of virtual hosts and users are settings of an operator, like those of the
//! configuration file. Queues, exchanges, users and permissions are not: they are imported at the next start.

use super::files::ImportError;
use super::load::{LoadError, parse_all, read_all, rehearse};
use super::read::File;
use crate::domain::broker::Broker;
use crate::domain::limits::UserLimits;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    Policy,
    OperatorPolicy,
    VhostLimits,
    UserLimits,
}

/// An entry: its kind, its virtual host (none for a user) and its name.
type Key = (Kind, Option<String>, String);

/// The entries of definition files that a reload applies.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rules(BTreeMap<Key, Value>);

/// Changed rules that were checked and can be applied.
#[derive(Debug)]
pub struct NewRules {
    /// All that is in the files and can be applied.
    now: Rules,
    /// Those that are new or others than before.
    changed: Rules,
    /// The number of those that are about virtual hosts and users that are not there.
    waiting: usize,
}

/// How much a reload has applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Policies.
    pub policies: usize,
    /// Operator policies.
    pub operator_policies: usize,
    /// Limits of virtual hosts.
    pub vhost_limits: usize,
    /// Limits of users.
    pub user_limits: usize,
    /// Entries about virtual hosts and users that are not there: they wait for a restart.
    pub waiting: usize,
}

impl Applied {
    /// Returns whether there was nothing to apply.
    pub fn is_nothing(&self) -> bool {
        *self == Applied::default()
    }
}

impl Rules {
    /// Reads the rules in a definition file, or in the files of a directory. Of several about the same, the last wins.
    ///
    /// # Errors
    /// When a file cannot be read, or is none of definitions.
    pub fn read(path: &Path) -> Result<Self, LoadError> {
        let texts = read_all(path)?;
        let mut rules = Rules::default();
        for file in parse_all(&texts)? {
            for kind in ["policies", "parameters", "users"] {
                file.for_each(kind, |entry| rules.0.extend(rule(kind, entry)));
            }
        }
        Ok(rules)
    }

    fn count(&self, kind: Kind) -> usize {
        self.0.keys().filter(|key| key.0 == kind).count()
    }

    /// Returns a definition file with the rules of virtual hosts, and with these virtual hosts.
    fn to_file(&self, vhosts: &[String]) -> Vec<u8> {
        let of = |kinds: &[Kind]| -> Vec<&Value> {
            let entries = self.0.iter().filter(|(key, _)| kinds.contains(&key.0));
            entries.map(|(_, entry)| entry).collect()
        };
        let vhosts: Vec<Value> = vhosts.iter().map(|name| json!({ "name": name })).collect();
        let file = json!({
            "vhosts": vhosts,
            "policies": of(&[Kind::Policy]),
            "parameters": of(&[Kind::OperatorPolicy, Kind::VhostLimits]),
        });
        file.to_string().into_bytes()
    }

    /// Returns the limits of users.
    ///
    /// # Errors
    /// Which are wrong, and why.
    fn user_limits(&self) -> Result<Vec<(&str, UserLimits)>, String> {
        let mut all = Vec::new();
        let limits = self.0.iter().filter(|(key, _)| key.0 == Kind::UserLimits);
        for ((_, _, name), value) in limits {
            let limits = match value.as_object().is_none_or(Map::is_empty) {
                true => UserLimits::default(),
                false => UserLimits::parse(&value.to_string())
                    .map_err(|error| format!("limits of user '{name}': {error}"))?,
            };
            all.push((name.as_str(), limits));
        }
        Ok(all)
    }
}

/// Returns an entry with its key, if a reload applies it.
fn rule(kind: &str, entry: &RawValue) -> Option<(Key, Value)> {
    #[derive(Deserialize)]
    struct Names {
        vhost: Option<String>,
        name: String,
        component: Option<String>,
        limits: Option<Value>,
    }
    let names: Names = serde_json::from_str(entry.get()).ok()?;
    let value = || serde_json::from_str(entry.get()).ok();
    let (kind, value) = match (kind, names.component.as_deref()) {
        ("policies", _) => (Kind::Policy, value()?),
        ("parameters", Some("operator_policy")) => (Kind::OperatorPolicy, value()?),
        ("parameters", Some("vhost-limits")) => (Kind::VhostLimits, value()?),
        ("users", _) => (Kind::UserLimits, names.limits.unwrap_or_default()),
        _ => return None,
    };
    let vhost = names.vhost.filter(|_| kind != Kind::UserLimits);
    Some(((kind, vhost, names.name), value))
}

impl Broker {
    /// Reads the rules that are configured now, and checks those that have changed.
    ///
    /// # Errors
    /// When a file cannot be read, or a rule in it is wrong. Nothing was changed.
    pub fn prepare_rules(&self, path: &Path, before: &Rules) -> Result<NewRules, LoadError> {
        let mut now = Rules::read(path)?;
        let all = now.0.len();
        now.0.retain(|(kind, vhost, name), _| match (kind, vhost) {
            (Kind::UserLimits, _) => self.users.user(name).is_some(),
            (_, vhost) => vhost
                .as_ref()
                .is_some_and(|name| self.vhost(name).is_some()),
        });
        let is_new = |(key, value): &(&Key, &Value)| before.0.get(key) != Some(value);
        let changed = now.0.iter().filter(is_new);
        let changed = Rules(
            changed
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        );
        let invalid = |complaint: String| LoadError::Invalid {
            path: PathBuf::from(path),
            complaint,
        };
        changed.user_limits().map_err(invalid)?;
        let vhosts: Vec<String> = self
            .vhosts()
            .iter()
            .map(|one| one.name().to_string())
            .collect();
        let text = changed.to_file(&vhosts);
        let file = File::parse(&text, false).map_err(|reason| invalid(reason.to_string()))?;
        let mut complaint = None;
        rehearse(self, &[file], |_, imported| {
            complaint = imported.complaint_of_rehearsal();
            complaint.is_none()
        })?;
        match complaint {
            Some(complaint) => Err(invalid(complaint)),
            None => Ok(NewRules {
                waiting: all - now.0.len(),
                now,
                changed,
            }),
        }
    }

    /// Applies rules that were checked, and returns once they are on disk. Returns the rules in force, to be compared with
    /// at the next reload. Blocks.
    ///
    /// # Errors
    /// When the store fails.
    pub fn apply_rules(self: &Arc<Self>, rules: NewRules) -> Result<(Rules, Applied), ImportError> {
        let NewRules {
            now,
            changed,
            waiting,
        } = rules;
        let applied = Applied {
            policies: changed.count(Kind::Policy),
            operator_policies: changed.count(Kind::OperatorPolicy),
            vhost_limits: changed.count(Kind::VhostLimits),
            user_limits: changed.count(Kind::UserLimits),
            waiting,
        };
        if changed.0.is_empty() {
            return Ok((now, applied));
        }
        {
            let _changing = self.admin_changes.lock();
            let mut fx = self.effects(None);
            for (user, limits) in changed.user_limits().unwrap_or_default() {
                // A user that was deleted meanwhile has no limits.
                if let Ok(change) = self.users.change_limits(user, |_| limits) {
                    self.store_change(change, &mut fx);
                }
            }
            fx.perform();
        }
        // What was deleted meanwhile is logged; the rest is applied.
        let text = changed.to_file(&[]);
        let file = File::parse(&text, false)?;
        self.import_files(&[file], None, false, |_, _| true)?;
        Ok((now, applied))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Limits;
    use crate::domain::policy::PolicyKind;
    use crate::domain::vhost::spec::VhostSpec;

    fn broker() -> Arc<Broker> {
        let broker = Arc::new(Broker::new(Limits::default(), Vec::new(), None));
        let mut fx = broker.effects(None);
        broker.add_vhost(VhostSpec::new("/").unwrap(), &mut fx);
        let hash = broker.users.hash_password("x");
        let _ = broker.users.add_user("hare", hash, &[]).unwrap();
        fx.perform();
        broker
    }

    fn policy(name: &str, length: Value) -> Value {
        json!({"vhost": "/", "name": name, "pattern": ".*", "definition": {"max-length": length}})
    }

    fn written(file: &Value) -> tempfile::NamedTempFile {
        let path = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(path.path(), file.to_string()).unwrap();
        path
    }

    fn reloaded(
        broker: &Arc<Broker>,
        file: &Value,
        before: &Rules,
    ) -> Result<(Rules, Applied), String> {
        let path = written(file);
        let rules = broker.prepare_rules(path.path(), before);
        let rules = rules.map_err(|error| error.to_string())?;
        Ok(broker.apply_rules(rules).unwrap())
    }

    fn names(broker: &Broker) -> Vec<String> {
        let policies = broker.vhost("/").unwrap().policies(PolicyKind::User);
        let mut names: Vec<String> = policies
            .iter()
            .map(|policy| policy.spec.name.to_string())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn only_what_has_changed_is_applied() {
        let broker = broker();
        let limits = |vhost: &str, most: u64| json!({"vhost": vhost, "component": "vhost-limits", "name": "limits", "value": {"max-queues": most}});
        let file = |length: u64, most: u64| {
            json!({
                "policies": [policy("a", 1.into()), policy("b", length.into())],
                "parameters": [limits("/", 7), limits("gone", 1)],
                "users": [{"name": "hare", "password": "y", "tags": [], "limits": {"max-channels": most}}],
                "queues": [{"vhost": "/", "name": "q"}],
            })
        };
        let (rules, applied) = reloaded(&broker, &file(1, 5), &Rules::default()).unwrap();
        let all = Applied {
            policies: 2,
            operator_policies: 0,
            vhost_limits: 1,
            user_limits: 1,
            waiting: 1,
        };
        assert_eq!(applied, all);
        assert_eq!(names(&broker), ["a", "b"]);
        assert!(broker.users.limits("hare") != UserLimits::default());
        assert!(broker.vhost("/").unwrap().queue("q").is_none());
        // Nothing else than what is new.
        let (rules, applied) = reloaded(&broker, &file(2, 5), &rules).unwrap();
        let one = Applied {
            policies: 1,
            waiting: 1,
            ..Applied::default()
        };
        assert_eq!(applied, one);
        let (_, applied) = reloaded(&broker, &file(2, 6), &rules).unwrap();
        assert_eq!((applied.policies, applied.user_limits), (0, 1));
    }

    #[test]
    fn one_wrong_rule_keeps_all_from_being_applied() {
        let broker = broker();
        let file = json!({"policies": [policy("a", 1.into()), policy("b", "much".into())]});
        let told = reloaded(&broker, &file, &Rules::default()).unwrap_err();
        assert!(told.contains("policy 'b' in vhost '/'"), "{told}");
        assert!(names(&broker).is_empty());
        let file = json!({
            "policies": [policy("a", 1.into())],
            "users": [{"name": "hare", "tags": [], "limits": {"max-channels": "many"}}],
        });
        let told = reloaded(&broker, &file, &Rules::default()).unwrap_err();
        assert!(told.contains("limits of user 'hare'"), "{told}");
        assert!(names(&broker).is_empty());
    }
}
