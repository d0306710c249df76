//! Watermarks, limits of new virtual hosts, and the options of sockets.

use super::draft::Draft;
use super::grammar::Entry;
use super::substitute::{Conf, wrong};
use super::values::{amount, boolean, factor, number};
use crate::config::ConfigError;
use toml::{Table, Value};

/// Translates what is said of alarms, sockets and new virtual hosts.
pub(super) fn translate(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    watermark(conf, draft, "vm_memory_high_watermark", |factor| {
        factor.into()
    })?;
    watermark(conf, draft, "disk_free_limit", |factor| {
        format!("mem_relative {factor:?}").into()
    })?;
    if let Some(entry) = conf.get("tcp_listen_options.keepalive")
        && !boolean(&entry.value).map_err(|reason| wrong(entry, &reason))?
    {
        draft.set("tcp_keepalive", 0, &[entry])?;
    }
    if let Some(entry) = conf.get("tcp_listen_options.nodelay")
        && !boolean(&entry.value).map_err(|reason| wrong(entry, &reason))?
    {
        draft.note(
            entry,
            "tcp_listen_options.nodelay",
            "sockets never delay small packets here",
        );
    }
    vhost_limits(conf, draft)
}

/// Translates a threshold that is absolute or relative. As in RabbitMQ the absolute one wins.
fn watermark(
    conf: &Conf,
    draft: &mut Draft,
    setting: &'static str,
    relative: fn(f64) -> Value,
) -> Result<(), ConfigError> {
    let absolute = conf.get(&format!("{setting}.absolute"));
    let factors = conf.get(&format!("{setting}.relative"));
    if let (Some(_), Some(entry)) = (absolute, factors) {
        let instead = format!("{setting}.absolute is set, too, and wins: remove one of them");
        draft.note(entry, setting, instead);
    }
    match (absolute, factors) {
        (Some(entry), _) => {
            let size = amount(&entry.value).map_err(|reason| wrong(entry, &reason))?;
            let set = draft.set(setting, size, &[entry]);
            set.map_err(|error| with_other_key(error, setting))
        }
        (None, Some(entry)) => {
            let factor = factor(&entry.value).map_err(|reason| wrong(entry, &reason))?;
            let set = draft.set(setting, relative(factor), &[entry]);
            set.map_err(|error| with_other_key(error, setting))
        }
        (None, None) => Ok(()),
    }
}

/// Names the keys of a fraction and of a size in what is said of a wrong threshold: our own files have one for both.
fn with_other_key(error: ConfigError, setting: &str) -> ConfigError {
    let ConfigError::File { path, mut reason } = error else {
        return error;
    };
    if let Some((before, meant)) = reason.split_once("did you mean ")
        && setting == "vm_memory_high_watermark"
    {
        let (fraction, size) = match meant.split_once(" or ") {
            Some((fraction, size)) => (Some(fraction), size),
            None => (None, meant),
        };
        let fraction = fraction.map(|it| format!("{setting}.relative = {it} or "));
        let fraction = fraction.unwrap_or_default();
        reason = format!("{before}did you mean {fraction}{setting}.absolute = {size}");
    }
    ConfigError::File { path, reason }
}

/// Translates the limits of new virtual hosts: `default_limits.vhosts.NAME.max_queues`.
fn vhost_limits(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let entries = conf.below("default_limits.vhosts");
    let mut groups = Table::new();
    for (rest, entry) in &entries {
        let [name, limit] = rest else {
            continue;
        };
        let value: Value = match limit.as_str() {
            "pattern" => entry.value.clone().into(),
            _ => number(&entry.value)
                .map_err(|reason| wrong(entry, &reason))?
                .into(),
        };
        let group = groups.entry(name.clone());
        let group = group.or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(group) = group {
            group.insert(limit.clone(), value);
        }
    }
    let from: Vec<&Entry> = entries.iter().map(|(_, entry)| *entry).collect();
    match from.is_empty() {
        true => Ok(()),
        false => draft.set("default_limits", Value::Table(groups), &from),
    }
}
