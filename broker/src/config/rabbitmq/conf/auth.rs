//! Who is asked about logins.

use super::draft::Draft;
use super::grammar::{Entry, shortened};
use super::substitute::{Conf, wrong};
use crate::config::ConfigError;
use std::collections::BTreeMap;

/// The backends that are there: RabbitMQ's names, and ours.
const BACKENDS: [(&str, &str); 7] = [
    ("internal", "internal"),
    ("rabbit_auth_backend_internal", "internal"),
    ("oauth2", "oauth2"),
    ("oauth", "oauth2"),
    ("rabbit_auth_backend_oauth2", "oauth2"),
    ("http", "http"),
    ("rabbit_auth_backend_http", "http"),
];
/// The backends that remember the answers of another one.
const CACHES: [&str; 2] = ["cache", "rabbit_auth_backend_cache"];
/// The backends that ask LDAP.
const LDAP: [&str; 2] = ["ldap", "rabbit_auth_backend_ldap"];

/// Translates `auth_backends` and `auth_mechanisms`.
pub(super) fn translate(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let mechanisms = conf.below("auth_mechanisms");
    if !mechanisms.is_empty() {
        let names: Vec<String> = mechanisms
            .iter()
            .map(|(_, entry)| entry.value.clone())
            .collect();
        let from: Vec<&Entry> = mechanisms.iter().map(|(_, entry)| *entry).collect();
        draft.set("auth_mechanisms", names, &from)?;
    }
    backends(conf, draft)
}

/// Translates `auth_backends.N`, with `.authn` and `.authz` if they are the same.
fn backends(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let mut groups: BTreeMap<(u64, String), Vec<&Entry>> = BTreeMap::new();
    for (rest, entry) in conf.below("auth_backends") {
        let number = rest[0].parse().unwrap_or(u64::MAX);
        groups
            .entry((number, rest[0].clone()))
            .or_default()
            .push(entry);
    }
    let mut names: Vec<&'static str> = Vec::new();
    let mut from = Vec::new();
    for entries in groups.into_values() {
        let name = backend(conf, &entries)?;
        // The cache and what it asks are one here.
        if !names.contains(&name) {
            names.push(name);
        }
        from.extend(entries);
    }
    match from.is_empty() {
        true => Ok(()),
        false => draft.set(
            "auth_backends",
            names.into_iter().map(str::to_owned).collect::<Vec<_>>(),
            &from,
        ),
    }
}

/// Returns our name of the backend of these entries, which have one number.
fn backend(conf: &Conf, entries: &[&Entry]) -> Result<&'static str, ConfigError> {
    let mut found: Option<&'static str> = None;
    for entry in entries {
        let name = named(conf, entry)?;
        match found {
            Some(other) if other != name => {
                return Err(wrong(
                    entry,
                    "one backend has to decide on both, logins (authn) and permissions (authz): let the HTTP service do it, or \
                     give tokens of OAuth 2 their scopes",
                ));
            }
            _ => found = Some(name),
        }
    }
    // There is an entry in each group.
    Ok(found.unwrap_or("internal"))
}

/// Returns our name of a backend.
fn named(conf: &Conf, entry: &Entry) -> Result<&'static str, ConfigError> {
    let value = entry.value.as_str();
    if let Some((_, ours)) = BACKENDS.iter().find(|(theirs, _)| *theirs == value) {
        return Ok(ours);
    }
    if CACHES.contains(&value) {
        let cached = conf.get("auth_cache.cached_backend");
        let part = || {
            let parts = ["authn", "authz"].into_iter();
            parts
                .filter_map(|part| conf.get(&format!("auth_cache.cached_backend.{part}")))
                .find(|entry| !CACHES.contains(&entry.value.as_str()))
        };
        return match cached.or_else(part) {
            Some(cached) if !CACHES.contains(&cached.value.as_str()) => named(conf, cached),
            Some(cached) => Err(wrong(
                cached,
                "a cache cannot remember its own answers: use http or internal",
            )),
            None => Ok("internal"),
        };
    }
    let reason = match LDAP.contains(&value) {
        true => "LDAP is not asked here: put an HTTP service in front of it (auth_backends.1 = http, auth_http.*), or keep its \
                 users here (internal)"
            .to_owned(),
        false => format!(
            "'{}' is not a backend that is here: use internal, oauth2 or http",
            shortened(value)
        ),
    };
    Err(wrong(entry, &reason))
}
