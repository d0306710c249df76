//! TLS: certificates, how long they are valid, and what is supported. What is printed was recorded from RabbitMQ 3.10.8.

use serde_json::{Value as Json, json};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::manage::request::Request;
use crate::text::names::NODE_NAME;

use super::super::action::{Answer, Reply};
use super::super::exit;
use super::super::options::CommandLine;
use super::super::request::{Invalid, bad_argument, usage};

const DAY: u64 = 86_400;

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, _: &CommandLine) -> Result<Option<Request>, Invalid> {
    Ok((verb == "reload_tls").then_some(Request::ReloadTls))
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(request: &Request) -> Option<String> {
    let reloads = matches!(request, Request::ReloadTls);
    reloads.then(|| format!("Reading the certificates of node {NODE_NAME} again ..."))
}

/// Returns a list that the broker has sent.
fn listed(reply: &Reply) -> Vec<Json> {
    serde_json::from_str(&reply.text).unwrap_or_default()
}

fn text<'a>(json: &'a Json, key: &str) -> &'a str {
    json[key].as_str().unwrap_or_default()
}

pub(in crate::ctl) fn versions_request(_: &CommandLine) -> Result<Request, Invalid> {
    Ok(Request::ListTlsVersions)
}

pub(in crate::ctl) fn versions_banner(_: &CommandLine) -> String {
    "Listing all TLS versions supported by the runtime...".to_owned()
}

pub(in crate::ctl) fn versions(reply: &Reply, _: &CommandLine) -> Answer {
    let versions = listed(reply);
    let lines: Vec<&str> = versions.iter().filter_map(Json::as_str).collect();
    Answer::message(lines.join("\n")).with_json(json!({ "versions": versions }))
}

/// Returns the format of cipher suites that is asked for.
fn format(line: &CommandLine) -> String {
    line.text("format").unwrap_or("openssl").to_lowercase()
}

pub(in crate::ctl) fn suites_request(line: &CommandLine) -> Result<Request, Invalid> {
    match &*format(line) {
        "openssl" | "erlang" | "map" => Ok(Request::ListCipherSuites),
        _ => Err(bad_argument(
            ": Format should be either openssl, erlang or map",
        )),
    }
}

pub(in crate::ctl) fn suites_banner(line: &CommandLine) -> String {
    let format = match &*format(line) {
        "erlang" => "Erlang term",
        "map" => "map",
        _ => "OpenSSL",
    };
    format!("Listing available cipher suites in {format} format")
}

pub(in crate::ctl) fn suites(reply: &Reply, line: &CommandLine) -> Answer {
    let suites = listed(reply);
    let names: Vec<&str> = suites.iter().map(|suite| text(suite, "openssl")).collect();
    let term = |suite: &Json| {
        let [exchange, cipher, mac, prf] =
            ["key_exchange", "cipher", "mac", "prf"].map(|key| text(suite, key));
        match &*format(line) {
            "erlang" => format!("{{{exchange},{cipher},{mac},{prf}}}"),
            _ => format!(
                "#{{cipher => {cipher},key_exchange => {exchange},mac => {mac},prf => {prf}}}"
            ),
        }
    };
    let shown = match &*format(line) {
        "openssl" => names.join("\n"),
        _ => {
            let terms: Vec<String> = suites.iter().map(term).collect();
            format!("[\n{}\n]", terms.join("\n,"))
        }
    };
    Answer::message(shown).with_json(json!(names))
}

pub(in crate::ctl) fn certificates_request(_: &CommandLine) -> Result<Request, Invalid> {
    Ok(Request::ListCertificates)
}

pub(in crate::ctl) fn certificates_banner(_: &CommandLine) -> String {
    format!("Certificates of node {NODE_NAME} ...")
}

/// Shows the certificates of each listener. Unlike RabbitMQ this shows no other contents of their files, such as keys.
pub(in crate::ctl) fn certificates(reply: &Reply, _: &CommandLine) -> Answer {
    let contents = |of: &Json| {
        let all = of.as_array().into_iter().flatten();
        all.map(|one| text(one, "pem")).collect::<String>()
    };
    let described = listed(reply).into_iter().map(|mut listener| {
        let (own, authorities) = (
            contents(&listener["certificates"]),
            contents(&listener["authorities"]),
        );
        listener["certfile"] = own.into();
        listener["cacertfile"] = authorities.into();
        without_parts(listener)
    });
    let described: Vec<Json> = described.collect();
    let lines = described.iter().map(|listener| {
        let place = format!(
            "Interface: {}, port: {}, protocol: {}",
            text(listener, "interface"),
            listener["port"],
            text(listener, "protocol")
        );
        let (own, authorities) = (text(listener, "certfile"), text(listener, "cacertfile"));
        format!("{place}\n\n{own}{authorities}")
    });
    let lines: Vec<String> = lines.collect();
    match lines.is_empty() {
        true => {
            Answer::message("There is no listener with TLS: see tls_certfile").with_json(json!([]))
        }
        false => Answer::message(lines.join("\n").trim_end()).with_json(json!(described)),
    }
}

/// Removes what RabbitMQ's object does not have.
fn without_parts(mut listener: Json) -> Json {
    if let Some(members) = listener.as_object_mut() {
        members.remove("certificates");
        members.remove("authorities");
    }
    listener
}

/// Returns the period that certificates must be valid for, in seconds.
fn period(line: &CommandLine) -> Option<u64> {
    let unit = match &*unit(line).to_lowercase() {
        "days" => DAY,
        "weeks" => 7 * DAY,
        "months" => 365 * DAY / 12,
        "years" => 365 * DAY,
        _ => return None,
    };
    Some(within(line).saturating_mul(unit))
}

fn within(line: &CommandLine) -> u64 {
    line.number("within").unwrap_or(4)
}

fn unit(line: &CommandLine) -> &str {
    line.text("unit").unwrap_or("weeks")
}

/// Checks the unit of time that certificates must be valid for.
pub(in crate::ctl) fn expiration_request(line: &CommandLine) -> Result<Request, Invalid> {
    match period(line) {
        Some(_) => Ok(Request::ListCertificates),
        None => Err(usage(format!(
            "\"unit '{}' is not supported. Please use one of: days, weeks, months, years\"",
            unit(line)
        ))),
    }
}

pub(in crate::ctl) fn expiration_banner(_: &CommandLine) -> String {
    format!("Checking certificate expiration on node {NODE_NAME} ...")
}

pub(in crate::ctl) fn check_certificate_expiration(reply: &Reply, line: &CommandLine) -> Answer {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = since.unwrap_or_default().as_secs();
    let limit = now.saturating_add(period(line).unwrap_or_default());
    let expired = listed(reply).into_iter().filter_map(|mut listener| {
        let own = expiring(&listener["certificates"], now, limit);
        let authorities = expiring(&listener["authorities"], now, limit);
        if own.is_empty() && authorities.is_empty() {
            return None;
        }
        listener["certfile_expires_on"] = json!(own);
        listener["cacertfile_expires_on"] = json!(authorities);
        if listener["cacertfile"].is_null() {
            listener["cacertfile"] = "".into();
        }
        Some(without_parts(listener))
    });
    let expired: Vec<Json> = expired.collect();
    if expired.is_empty() {
        let (within, unit) = (within(line), unit(line));
        let unit = match within {
            1 => &unit[..unit.len() - 1],
            _ => unit,
        };
        let text = format!("No certificates are expiring within {within} {unit}.");
        return Answer::message(text).with_json(json!({ "result": "ok" }));
    }
    let lines: Vec<String> = expired.iter().map(elixir_map).collect();
    Answer::failed(lines.join("\n"))
        .with_json(json!({ "expired": expired, "result": "error" }))
        .with_status(exit::UNAVAILABLE)
}

/// Returns when those certificates end that are not valid now, or not until the limit.
fn expiring(certificates: &Json, now: u64, limit: u64) -> Vec<String> {
    let all = certificates.as_array().into_iter().flatten();
    all.filter_map(|certificate| {
        let time = |key: &str| {
            let time = certificate[key].as_i64().unwrap_or_default();
            u64::try_from(time).unwrap_or_default()
        };
        // The broker's time is `2026-12-31T23:59:59Z`.
        let shown = |key: &str| text(certificate, key).replace('T', " ").replace('Z', "");
        let (from, until) = (time("from"), time("until"));
        match from > now {
            true => Some(format!(
                "Certificate is not yet valid. It starts on {}",
                shown("from_text")
            )),
            false => (until < limit).then(|| shown("until_text")),
        }
    })
    .collect()
}

/// Returns a listener as Elixir prints a map, with its keys in their order.
fn elixir_map(listener: &Json) -> String {
    let members = listener.as_object().into_iter().flatten();
    let pairs: Vec<String> = members
        .map(|(key, value)| match (key.as_str(), value.as_str()) {
            ("node", Some(name)) => format!("{key}: :{name}"),
            ("protocol", Some(name)) if name.contains('/') => format!("{key}: :{name:?}"),
            ("protocol", Some(name)) => format!("{key}: :{name}"),
            (_, Some(text)) => format!("{key}: {text:?}"),
            (_, None) => {
                let items = value.as_array().into_iter().flatten();
                let items: Vec<String> = items.map(Json::to_string).collect();
                match value.is_array() {
                    true => format!("{key}: [{}]", items.join(", ")),
                    false => format!("{key}: {value}"),
                }
            }
        })
        .collect();
    format!("%{{{}}}", pairs.join(", "))
}
