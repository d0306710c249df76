//! Certificates, keys, versions of TLS, and whether clients show certificates.
//!
//! RabbitMQ has options of TLS for each kind of listener; here all listeners share one certificate and one key. Those of AMQP
//! come first. Whatever would make another listener less strict than the file says is refused, or noted.

use super::draft::Draft;
use super::grammar::{Entry, shortened};
use super::substitute::{Conf, wrong};
use super::values::{boolean, path, secret};
use crate::config::ConfigError;

/// The groups of options, those of AMQP first.
const GROUPS: [&str; 4] = [
    "ssl_options",
    "management.ssl",
    "management.listener.ssl_opts",
    "prometheus.ssl",
];
/// Versions that are too old to be safe.
const OLD_VERSIONS: [&str; 4] = ["tlsv1.1", "tlsv1", "sslv3", "sslv2"];

/// Translates all of them.
pub(super) fn translate(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    certificate(conf, draft)?;
    versions(conf, draft)?;
    clients(conf, draft)?;
    for group in &GROUPS[1..] {
        web_clients(conf, draft, group)?;
    }
    revocation(conf, draft)?;
    if let Some(entry) = conf.get("ssl_cert_login_from") {
        let from = match entry.value.as_str() {
            "subject_alt_name" => "subject_alternative_name",
            other => other,
        };
        draft.set("ssl_cert_login_from", from, &[entry])?;
    }
    Ok(())
}

/// Translates the certificate and its key: those of the first group that has one.
fn certificate(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let mut chosen: Option<(&str, String)> = None;
    for group in GROUPS {
        let key = |name: &str| conf.get(&format!("{group}.{name}"));
        let Some(entry) = key("certfile") else {
            for name in ["keyfile", "password"] {
                if let Some(entry) = key(name) {
                    draft.note(
                        entry,
                        group,
                        format!("there is no {group}.certfile that it would belong to"),
                    );
                }
            }
            continue;
        };
        let certificate = path(entry).map_err(|reason| wrong(entry, &reason))?;
        if let Some((first, known)) = &chosen {
            if known != &certificate {
                let instead = format!(
                    "all listeners have one certificate here, that of {first}.certfile: name several with \
                                       tls_certfile in leveret.toml, to be chosen by the name that a client asks for"
                );
                draft.note(entry, group, instead);
                for name in ["keyfile", "password"] {
                    if let Some(entry) = key(name) {
                        let instead = format!("it is for {group}.certfile, which has no effect");
                        draft.note(entry, name, instead);
                    }
                }
            }
            continue;
        }
        draft.set("tls_certfile", vec![certificate.clone()], &[entry])?;
        chosen = Some((group, certificate));
        if let Some(entry) = key("keyfile") {
            let path = path(entry).map_err(|reason| wrong(entry, &reason))?;
            draft.set("tls_keyfile", vec![path], &[entry])?;
        }
        if let Some(entry) = key("password") {
            let password = secret(&entry.value).map_err(|reason| wrong(entry, &reason))?;
            draft.set("tls_key_password", password, &[entry])?;
        }
    }
    Ok(())
}

/// Translates versions of TLS: those of the first group that names some.
fn versions(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let mut chosen: Option<(&str, Vec<String>)> = None;
    for group in GROUPS {
        let entries = conf.below(&format!("{group}.versions"));
        let Some((_, first)) = entries.first() else {
            continue;
        };
        let mut wanted: Vec<String> = Vec::new();
        for (_, entry) in &entries {
            match entry.value.as_str() {
                old if OLD_VERSIONS.contains(&old) => {
                    let instead = "it is not safe and not supported: its clients have to learn TLS 1.2 or 1.3";
                    draft.note(entry, &entry.value, instead);
                }
                version if wanted.iter().any(|known| known == version) => {}
                version => wanted.push(version.to_owned()),
            }
        }
        wanted.sort_unstable_by(|a, b| b.cmp(a));
        if let Some((other, known)) = &chosen {
            if known != &wanted {
                let instead = format!("all listeners have the versions of {other}.versions here");
                draft.note(first, group, instead);
            }
            continue;
        }
        if wanted.is_empty() {
            return Err(wrong(
                first,
                "no version is left that is supported: use tlsv1.3, tlsv1.2 or both",
            ));
        }
        let from: Vec<&Entry> = entries.iter().map(|(_, entry)| *entry).collect();
        draft.set("tls_versions", wanted.clone(), &from)?;
        chosen = Some((group, wanted));
    }
    Ok(())
}

/// Translates what is asked of clients of AMQP.
fn clients(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    if let Some(entry) = conf.get("ssl_options.cacertfile") {
        let path = path(entry).map_err(|reason| wrong(entry, &reason))?;
        draft.set("tls_cacertfile", path, &[entry])?;
    }
    let verify = conf.get("ssl_options.verify");
    if let Some(entry) = verify {
        draft.set("tls_verify", entry.value.clone(), &[entry])?;
    }
    let Some(entry) = conf.get("ssl_options.fail_if_no_peer_cert") else {
        return Ok(());
    };
    let demanded = boolean(&entry.value).map_err(|reason| wrong(entry, &reason))?;
    match verify.is_some_and(|verify| verify.value == "verify_peer") {
        true => draft.set("tls_fail_if_no_peer_cert", demanded, &[entry]),
        false if demanded => {
            let instead = "clients are not asked for certificates at all: set ssl_options.verify = verify_peer";
            draft.note(entry, "ssl_options", instead);
            Ok(())
        }
        false => Ok(()),
    }
}

/// Refuses to demand certificates of browsers, which are never asked for them here.
fn web_clients(conf: &Conf, draft: &mut Draft, group: &str) -> Result<(), ConfigError> {
    let verify = conf.get(&format!("{group}.verify"));
    let peers = match verify {
        Some(entry) if entry.value == "verify_peer" => Some(entry),
        Some(entry) if entry.value == "verify_none" => None,
        Some(entry) => {
            let shown = shortened(&entry.value);
            let reason =
                format!("'{shown}' is not a way to verify clients: use verify_peer or verify_none");
            return Err(wrong(entry, &reason));
        }
        None => None,
    };
    let demanded = match conf.get(&format!("{group}.fail_if_no_peer_cert")) {
        Some(entry) => boolean(&entry.value).map_err(|reason| wrong(entry, &reason))?,
        None => false,
    };
    let never = "clients of HTTP are never asked for certificates here";
    match peers {
        Some(entry) if demanded => Err(wrong(
            entry,
            &format!(
                "{never}, so that everybody could connect: put a reverse proxy in front that asks for them, and remove the line"
            ),
        )),
        Some(entry) => {
            draft.note(entry, group, format!("{never}: they log in with a user"));
            Ok(())
        }
        None => Ok(()),
    }
}

/// Refuses to check lists of revoked certificates that nobody names.
fn revocation(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let Some(entry) = conf.get("ssl_options.crl_check") else {
        return Ok(());
    };
    let files =
        "lists of revoked certificates are files here: name them with tls_crlfile in leveret.toml";
    match entry.value.as_str() {
        "false" => Ok(()),
        "best_effort" => {
            draft.note(entry, "ssl_options", files);
            Ok(())
        }
        "true" | "peer" => Err(wrong(entry, &format!("{files}, and remove the line"))),
        other => Err(wrong(
            entry,
            &format!("'{}' is neither true nor false", shortened(other)),
        )),
    }
}
