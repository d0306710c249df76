//! Where to listen: for AMQP, for the management HTTP API and for metrics.
//!
//! RabbitMQ listens on every address of the machine where a file does not say otherwise. What a file says is done here, too;
//! where it says nothing, our default stays: this machine only.

use super::draft::Draft;
use super::grammar::{Entry, shortened};
use super::substitute::{Conf, wrong};
use super::values::boolean;
use crate::config::{
    ConfigError, DEFAULT_MANAGEMENT_PORT, DEFAULT_MANAGEMENT_TLS_PORT, DEFAULT_PORT,
};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Every address of the machine.
const EVERYWHERE: IpAddr = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
/// The ports of RabbitMQ's plugin for Prometheus.
const PROMETHEUS_PORT: u16 = 15692;
const PROMETHEUS_TLS_PORT: u16 = 15691;

/// Translates all listeners.
pub(super) fn translate(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    amqp(conf, draft)?;
    web(conf, draft, &MANAGEMENT)?;
    web(conf, draft, &PROMETHEUS)?;
    match conf.get("prometheus.authentication.enabled") {
        Some(entry) if is_true(entry)? && draft.has(PROMETHEUS.setting) => Err(wrong(
            entry,
            "the port of the metrics has no logins here: remove prometheus.tcp.* and prometheus.ssl.*, and read /metrics of the \
             management HTTP API, which asks for a user",
        )),
        _ => Ok(()),
    }
}

fn is_true(entry: &Entry) -> Result<bool, ConfigError> {
    boolean(&entry.value).map_err(|reason| wrong(entry, &reason))
}

/// Translates `listeners.*` and `proxy_protocol`.
fn amqp(conf: &Conf, draft: &mut Draft) -> Result<(), ConfigError> {
    let no_tcp = is_none(conf, "listeners.tcp")?;
    let no_tls = is_none(conf, "listeners.ssl")?;
    let proxy = conf.get("proxy_protocol");
    let proxied = match proxy {
        Some(entry) => is_true(entry)?,
        None => false,
    };
    let mut specs = Vec::new();
    let mut from: Vec<&Entry> = Vec::new();
    for (prefix, is_off, tls) in [
        ("listeners.tcp", no_tcp, false),
        ("listeners.ssl", no_tls, true),
    ] {
        for (_, entry) in conf.below(prefix) {
            if is_off.is_some() {
                draft.note(
                    entry,
                    prefix,
                    format!("{prefix} is none: remove one of them"),
                );
                continue;
            }
            let place = place(&entry.value).map_err(|reason| wrong(entry, &reason))?;
            specs.push(spec(&place, tls, proxied));
            from.push(entry);
        }
    }
    let has_tcp = conf.has_below("listeners.tcp");
    if !has_tcp && no_tcp.is_none() && (!specs.is_empty() || proxied) {
        // What RabbitMQ opens by default, but not to everybody.
        specs.insert(
            0,
            spec(&format!("127.0.0.1:{DEFAULT_PORT}"), false, proxied),
        );
        if let Some(entry) = from.first().copied().or(proxy) {
            let instead = "as it is not set, port 5672 is open to this machine only: set listeners.tcp.default = 5672 for \
                           everybody, or listeners.tcp = none for nobody";
            draft.note_at(&entry.at, "listeners.tcp", instead.to_owned());
        }
    }
    if proxied && let Some(entry) = proxy {
        let instead = "as in RabbitMQ, every address is believed to be a proxy: name yours in listeners of leveret.toml \
                       (docs/operate/listeners.md)";
        draft.note(entry, "proxy_protocol", instead);
        from.push(entry);
    }
    match (specs.is_empty(), no_tcp) {
        (true, Some(entry)) => Err(wrong(
            entry,
            "nothing would be left to listen on for AMQP: set listeners.ssl.default = 5671, or remove the line",
        )),
        (true, None) => Ok(()),
        (false, no_tcp) => {
            from.extend(no_tcp);
            draft.set("listeners", specs, &from)
        }
    }
}

/// Returns the entry of a key that is `none`, if there is one.
fn is_none<'a>(conf: &'a Conf, key: &str) -> Result<Option<&'a Entry>, ConfigError> {
    match conf.get(key) {
        Some(entry) if entry.value == "none" => Ok(Some(entry)),
        Some(entry) => {
            let shown = shortened(&entry.value);
            let reason = format!("'{shown}' is not none: use none, or {key}.default = {shown}");
            Err(wrong(entry, &reason))
        }
        None => Ok(None),
    }
}

/// Returns the place of a listener as our settings have it.
fn place(value: &str) -> Result<String, String> {
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(SocketAddr::new(EVERYWHERE, port(value)?).to_string());
    }
    if let Some(path) = ["unix:", "local:"]
        .iter()
        .find_map(|scheme| value.strip_prefix(scheme))
    {
        // RabbitMQ wants a port behind the path, which means nothing.
        let path = match path.rsplit_once(':') {
            Some((path, port)) if port.parse::<u16>().is_ok() => path,
            _ => path,
        };
        return match path.contains(['?', ',']) {
            true => Err("a path of a Unix socket may not contain ? or a comma here".to_owned()),
            false => Ok(format!("unix:{path}")),
        };
    }
    let wanted = || {
        format!(
            "'{}' is not a listener: use a port such as 5672, an address and a port such as 10.0.0.1:5672, or \
             unix:/run/leveret/amqp.sock:0",
            shortened(value)
        )
    };
    let (host, digits) = value.rsplit_once(':').ok_or_else(wanted)?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let port = port(digits)?;
    match bare.parse::<IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, port).to_string()),
        Err(_) if host.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Ok(format!("{host}:{port}"))
        }
        Err(_) => Err(wanted()),
    }
}

fn port(text: &str) -> Result<u16, String> {
    let wrong = |_| {
        format!(
            "'{}' is not a port: use a whole number from 0 to 65535",
            shortened(text)
        )
    };
    text.parse().map_err(wrong)
}

/// Returns a listener as our settings have it.
fn spec(place: &str, tls: bool, proxied: bool) -> String {
    let scheme = if tls { "amqps://" } else { "" };
    let options = match (proxied, place.starts_with("unix:")) {
        (false, _) => "",
        (true, true) => "?proxy_protocol=unix",
        (true, false) => "?proxy_protocol=0.0.0.0/0&proxy_protocol=::/0",
    };
    format!("{scheme}{place}{options}")
}

/// A listener for HTTP.
struct Web {
    /// What its keys begin with.
    prefix: &'static str,
    /// Our setting.
    setting: &'static str,
    /// The ports without and with TLS.
    ports: [u16; 2],
}

const MANAGEMENT: Web = Web {
    prefix: "management",
    setting: "management_listeners",
    ports: [DEFAULT_MANAGEMENT_PORT, DEFAULT_MANAGEMENT_TLS_PORT],
};

const PROMETHEUS: Web = Web {
    prefix: "prometheus",
    setting: "prometheus_listeners",
    ports: [PROMETHEUS_PORT, PROMETHEUS_TLS_PORT],
};

/// Translates `management.tcp.*`, `management.ssl.*` and the old `management.listener.*`, or those of metrics. As in RabbitMQ
/// any key of a group opens its listener.
fn web(conf: &Conf, draft: &mut Draft, web: &Web) -> Result<(), ConfigError> {
    let prefix = web.prefix;
    let mut specs: Vec<String> = Vec::new();
    let mut from: Vec<&Entry> = Vec::new();
    let listener = conf.get("prometheus.tcp.listener");
    let listener = listener.filter(|_| prefix == PROMETHEUS.prefix);
    if let Some(entry) = listener.filter(|entry| entry.value != "none") {
        specs.push(place(&entry.value).map_err(|reason| wrong(entry, &reason))?);
        from.push(entry);
    }
    let old = conf.get("management.listener.ssl");
    let old_has_tls = match old {
        Some(entry) => is_true(entry)?,
        None => false,
    };
    for (group, tls) in [
        (format!("{prefix}.listener"), old_has_tls),
        (format!("{prefix}.tcp"), false),
        (format!("{prefix}.ssl"), true),
    ] {
        let entries = conf.below(&group);
        let is_replaced = !tls && listener.is_some();
        if entries.is_empty() || is_replaced {
            continue;
        }
        let at = conf.get(&format!("{group}.port"));
        let port = match at {
            Some(entry) => port(&entry.value).map_err(|reason| wrong(entry, &reason))?,
            None => web.ports[usize::from(tls)],
        };
        let ip = match conf.get(&format!("{group}.ip")) {
            Some(entry) => address(entry)?,
            None => EVERYWHERE,
        };
        let scheme = if tls { "https://" } else { "" };
        let spec = format!("{scheme}{}", SocketAddr::new(ip, port));
        if !specs.contains(&spec) {
            specs.push(spec);
        }
        from.extend(at.or_else(|| entries.first().map(|(_, entry)| *entry)));
    }
    match specs.is_empty() {
        true => Ok(()),
        false => draft.set(web.setting, specs, &from),
    }
}

fn address(entry: &Entry) -> Result<IpAddr, ConfigError> {
    entry.value.parse().map_err(|_| {
        let shown = shortened(&entry.value);
        wrong(
            entry,
            &format!("'{shown}' is not an IP address: use one such as 127.0.0.1, 0.0.0.0 or ::"),
        )
    })
}
