//! The default user, who may log in from where, and the definitions that are imported at start.

use super::draft::Draft;
use super::grammar::{Entry, shortened};
use super::substitute::{Conf, wrong};
use super::values::{boolean, path};
use crate::config::ConfigError;

/// The names of what imports definitions from files.
const LOCAL_IMPORT: [&str; 4] = [
    "local_filesystem",
    "local",
    "rabbit_definitions_import_local_filesystem",
    "rabbitmq_definitions_import_local_filesystem",
];

/// Translates all of them.
pub(super) fn translate(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    tags(conf, draft)?;
    loopback_users(conf, draft)?;
    origins(conf, draft)?;
    definitions(conf, draft)
}

/// Translates `default_user_tags.NAME = true`.
fn tags(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let (tags, from) = chosen(conf, "default_user_tags")?;
    match from.is_empty() {
        true => Ok(()),
        false => draft.set("default_user_tags", tags, &from),
    }
}

/// Translates `loopback_users = none` and `loopback_users.NAME = true`. As in RabbitMQ, who names any user names all.
fn loopback_users(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    if let Some(entry) = conf.get("loopback_users") {
        if entry.value != "none" {
            let shown = shortened(&entry.value);
            let reason =
                format!("'{shown}' is not none: use none, or loopback_users.{shown} = true");
            return Err(wrong(entry, &reason));
        }
        return draft.set("loopback_users", Vec::<String>::new(), &[entry]);
    }
    let (users, from) = chosen(conf, "loopback_users")?;
    match from.is_empty() {
        true => Ok(()),
        false => draft.set("loopback_users", users, &from),
    }
}

/// Returns the names below a key whose values are true, and the entries of all.
fn chosen<'a>(conf: &'a Conf, prefix: &str) -> Result<(Vec<String>, Vec<&'a Entry>), ConfigError> {
    let mut names = Vec::new();
    let mut from = Vec::new();
    for (rest, entry) in conf.below(prefix) {
        if boolean(&entry.value).map_err(|reason| wrong(entry, &reason))? {
            names.push(rest.join("."));
        }
        from.push(entry);
    }
    Ok((names, from))
}

/// Translates `management.cors.allow_origins`.
fn origins(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    const KEY: &str = "management.cors.allow_origins";
    let entries = conf.below(KEY);
    let from: Vec<&Entry> = match conf.get(KEY) {
        Some(entry) if entry.value == "none" => {
            return draft.set(
                "management_cors_allow_origins",
                Vec::<String>::new(),
                &[entry],
            );
        }
        Some(entry) => return Err(wrong(entry, &format!("use none, or {KEY}.1 = ORIGIN"))),
        None => entries.iter().map(|(_, entry)| *entry).collect(),
    };
    let origins: Vec<String> = from.iter().map(|entry| entry.value.clone()).collect();
    match origins.is_empty() {
        true => Ok(()),
        false => draft.set("management_cors_allow_origins", origins, &from),
    }
}

/// Translates where definitions come from: one file or directory, whatever key names it.
fn definitions(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let is_remote = |entry: &&Entry| !LOCAL_IMPORT.contains(&entry.value.as_str());
    let remote = conf.get("definitions.import_backend").filter(is_remote);
    if let Some(entry) = conf.get("definitions.https.url").or(remote) {
        return Err(wrong(
            entry,
            "definitions are imported from files only: fetch the file before the start, and name it with load_definitions",
        ));
    }
    let mut chosen: Option<(&Entry, String)> = None;
    for key in [
        "load_definitions",
        "definitions.local.path",
        "management.load_definitions",
    ] {
        let Some(entry) = conf.get(key) else {
            continue;
        };
        let path = path(entry).map_err(|reason| wrong(entry, &reason))?;
        match &chosen {
            None => chosen = Some((entry, path)),
            Some((_, known)) if known == &path => {}
            Some((first, _)) => {
                let reason = format!(
                    "{} names other definitions: put both files into one directory, and name that",
                    first.written()
                );
                return Err(wrong(entry, &reason));
            }
        }
    }
    match chosen {
        Some((entry, path)) => draft.set("load_definitions", path, &[entry]),
        None => Ok(()),
    }
}
