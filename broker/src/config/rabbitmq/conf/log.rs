//! The log: where it goes, from which level on, and when its file is rotated.
//!
//! RabbitMQ's outputs have levels and formats of their own; here one level and one format are for both.

use super::draft::Draft;
use super::grammar::{Entry, shortened};
use super::substitute::{Conf, wrong};
use super::values::{boolean, path};
use crate::config::ConfigError;
use std::path::Path;

/// The name of the file in `log.dir` if no other is given.
const DEFAULT_NAME: &str = "leveret.log";
/// The levels, the quietest first.
const LEVELS: [&str; 9] = [
    "none",
    "emergency",
    "alert",
    "critical",
    "error",
    "warning",
    "notice",
    "info",
    "debug",
];

/// Translates it.
pub(super) fn translate(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let has_file = file(conf, draft)?;
    let has_console = console(conf, draft, has_file)?;
    level(conf, draft, has_file, has_console)?;
    format(conf, draft, has_file, has_console)?;
    if let Some(entry) = conf.get("log.file.rotation.date") {
        let age = age(&entry.value).map_err(|reason| wrong(entry, &reason))?;
        draft.set("log_file_rotation_age", age, &[entry])?;
    }
    Ok(())
}

/// Translates `log.dir` and `log.file`; returns whether there is a file.
fn file(conf: &Conf, draft: &mut Draft) -> Result<bool, ConfigError> {
    let folder = conf.get("log.dir");
    let (name, from) = match conf.get("log.file") {
        Some(entry) if entry.value == "false" => {
            return Ok(false);
        }
        Some(entry) => (entry.value.as_str(), entry),
        None => match folder {
            Some(entry) => (DEFAULT_NAME, entry),
            None => return Ok(false),
        },
    };
    let file = match (Path::new(name).is_absolute(), folder) {
        (true, _) => name.to_owned(),
        (false, Some(folder)) => {
            let folder = path(folder).map_err(|reason| wrong(folder, &reason))?;
            Path::new(&folder).join(name).display().to_string()
        }
        (false, None) => {
            let instead = "it is in no directory: give the whole path, or set log.dir; until then the log goes to standard \
                           error only";
            draft.note(from, "log.file", instead);
            return Ok(false);
        }
    };
    draft.set("log_file", file, &[from])?;
    Ok(true)
}

/// Translates `log.console`; returns whether it is an output.
fn console(conf: &Conf, draft: &mut Draft, has_file: bool) -> Result<bool, ConfigError> {
    let Some(entry) = conf.get("log.console") else {
        return Ok(true);
    };
    let wanted = boolean(&entry.value).map_err(|reason| wrong(entry, &reason))?;
    if !wanted && !has_file {
        let instead = "nothing would be logged at all: name a file with log.dir or log.file";
        draft.note(entry, "log.console", instead);
        return Ok(true);
    }
    draft.set("log_console", wanted, &[entry])?;
    Ok(wanted)
}

/// Translates levels: that of the default category, or else the most verbose one of the outputs; and that of connections.
fn level(
    conf: &Conf,
    draft: &mut Draft,
    has_file: bool,
    has_console: bool,
) -> Result<(), ConfigError> {
    let mut outputs = Vec::new();
    for (key, counts) in [
        ("log.file.level", has_file || !has_console),
        ("log.console.level", has_console),
    ] {
        if let Some(entry) = conf.get(key) {
            let rank = rank(entry)?;
            // A file that was left out has its lines on standard error.
            if counts || conf.get("log.console.level").is_none() {
                outputs.push((rank, entry));
            }
        }
    }
    let loudest = outputs.iter().max_by_key(|(rank, _)| *rank).copied();
    if let Some((most, chosen)) = loudest {
        for (rank, entry) in &outputs {
            if *rank != most {
                let instead = format!(
                    "one level is for all outputs here: that of {}",
                    chosen.written()
                );
                draft.note(entry, "log", instead);
            }
        }
    }
    let default = match conf.get("log.default.level") {
        Some(entry) => Some((rank(entry)?, entry)),
        None => loudest,
    };
    let connections = match conf.get("log.connection.level") {
        Some(entry) => Some((rank(entry)?, entry)),
        None => None,
    };
    let mut filter = match default {
        Some((rank, _)) => LEVELS[rank].to_owned(),
        None => "info".to_owned(),
    };
    if let Some((rank, _)) = connections {
        filter.push_str(",leveret::amqp=");
        filter.push_str(LEVELS[rank]);
    }
    let from: Vec<&Entry> = [default, connections]
        .into_iter()
        .flatten()
        .map(|(_, entry)| entry)
        .collect();
    match from.is_empty() {
        true => Ok(()),
        false => draft.set("log_level", filter, &from),
    }
}

/// Returns how verbose a level is.
fn rank(entry: &Entry) -> Result<usize, ConfigError> {
    let known = LEVELS.iter().position(|level| *level == entry.value);
    known.ok_or_else(|| {
        let shown = shortened(&entry.value);
        let reason = format!("'{shown}' is not a level: use one of {}", LEVELS.join(", "));
        wrong(entry, &reason)
    })
}

/// Translates the format: JSON if an output asks for it.
fn format(
    conf: &Conf,
    draft: &mut Draft,
    has_file: bool,
    has_console: bool,
) -> Result<(), ConfigError> {
    let mut wanted: Vec<(&str, &Entry)> = Vec::new();
    for (key, counts) in [
        ("log.file.formatter", has_file),
        ("log.console.formatter", has_console),
    ] {
        let Some(entry) = conf.get(key) else {
            continue;
        };
        let format = match entry.value.as_str() {
            "plaintext" => "text",
            "json" => "json",
            other => {
                let shown = shortened(other);
                return Err(wrong(
                    entry,
                    &format!("'{shown}' is not a format: use plaintext or json"),
                ));
            }
        };
        match counts {
            true => wanted.push((format, entry)),
            false => draft.note(entry, key, "there is no such output"),
        }
    }
    let json = wanted.iter().find(|(format, _)| *format == "json").copied();
    let Some((format, chosen)) = json.or_else(|| wanted.first().copied()) else {
        return Ok(());
    };
    for (other, entry) in &wanted {
        if *other != format {
            let instead = format!(
                "one format is for all outputs here: that of {}",
                chosen.written()
            );
            draft.note(entry, "log", instead);
        }
    }
    draft.set("log_format", format, &[chosen])
}

/// Returns how old a file becomes, from RabbitMQ's pattern of when it is rotated.
fn age(pattern: &str) -> Result<&'static str, String> {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let wanted = || {
        format!(
            "'{}' is not a time of rotation that is possible here: use $D0 (at midnight), $H0 (every hour) or $W0 (every week)",
            shortened(pattern)
        )
    };
    let kind = pattern.strip_prefix('$').ok_or_else(wanted);
    match kind {
        _ if pattern.is_empty() => Ok("none"),
        Err(wrong) => Err(wrong),
        Ok(rest) => match rest.split_at_checked(1) {
            Some(("H", at)) if digits(at) => Ok("1h"),
            Some(("D", at)) if digits(at) => Ok("1d"),
            Some(("W", at)) if digits(&at.replace('D', "")) => Ok("7d"),
            Some(("M", at)) if digits(&at.replace('D', "")) => Ok("30d"),
            _ => Err(wanted()),
        },
    }
}
