//! The lists of `auth_oauth2`: keys, algorithms, aliases of scopes, claims.

use super::draft::Draft;
use super::grammar::Entry;
use super::substitute::{Conf, wrong};
use super::values::path;
use crate::config::ConfigError;
use std::collections::BTreeMap;
use toml::{Table, Value};

/// Translates them.
pub(super) fn translate(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    list(
        conf,
        draft,
        "auth_oauth2.algorithms",
        "auth_oauth2_algorithms",
    )?;
    list(
        conf,
        draft,
        "auth_oauth2.preferred_username_claims",
        "auth_oauth2_preferred_username_claims",
    )?;
    keys(conf, draft)?;
    aliases(conf, draft)?;
    match conf.get("auth_oauth2.scope_pattern_syntax") {
        Some(entry) if entry.value != "wildcard" => Err(wrong(
            entry,
            "patterns in scopes have wildcards here: use wildcard, and let tokens have such scopes",
        )),
        _ => Ok(()),
    }
}

/// Translates values with numbers in their keys.
fn list(
    conf: &Conf,
    draft: &mut Draft,
    prefix: &str,
    setting: &'static str,
) -> Result<(), ConfigError> {
    let from: Vec<&Entry> = conf
        .below(prefix)
        .into_iter()
        .map(|(_, entry)| entry)
        .collect();
    let values: Vec<String> = from.iter().map(|entry| entry.value.clone()).collect();
    match from.is_empty() {
        true => Ok(()),
        false => draft.set(setting, values, &from),
    }
}

/// Translates `auth_oauth2.signing_keys.ID = FILE`.
fn keys(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let entries = conf.below("auth_oauth2.signing_keys");
    let mut files = Table::new();
    for (rest, entry) in &entries {
        let path = path(entry).map_err(|reason| wrong(entry, &reason))?;
        files.insert(rest.join("."), path.into());
    }
    let from: Vec<&Entry> = entries.iter().map(|(_, entry)| *entry).collect();
    match from.is_empty() {
        true => Ok(()),
        false => draft.set("auth_oauth2_signing_keys", Value::Table(files), &from),
    }
}

/// Translates `auth_oauth2.scope_aliases.ALIAS = SCOPES`, and the form that can have any alias: `.N.alias` and `.N.scope`.
fn aliases(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let entries = conf.below("auth_oauth2.scope_aliases");
    let mut aliases = Table::new();
    let mut numbered: BTreeMap<&str, [Option<&Entry>; 2]> = BTreeMap::new();
    for (rest, entry) in &entries {
        match rest {
            [alias] => {
                aliases.insert(alias.clone(), entry.value.clone().into());
            }
            [number, part] => {
                let pair = numbered.entry(number).or_default();
                pair[usize::from(part == "scope")] = Some(entry);
            }
            _ => {}
        }
    }
    for pair in numbered.into_values() {
        match pair {
            [Some(alias), Some(scope)] => {
                aliases.insert(alias.value.clone(), scope.value.clone().into());
            }
            [Some(entry), None] => {
                return Err(wrong(entry, "the alias has no scope: set .scope, too"));
            }
            [_, Some(entry)] => {
                return Err(wrong(entry, "the scope has no alias: set .alias, too"));
            }
            [None, None] => {}
        }
    }
    let from: Vec<&Entry> = entries.iter().map(|(_, entry)| *entry).collect();
    match from.is_empty() {
        true => Ok(()),
        false => draft.set("auth_oauth2_scope_aliases", Value::Table(aliases), &from),
    }
}
