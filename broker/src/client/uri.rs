//! `amqp://user:password@host:port/vhost` and `amqps://` with its parameters (RabbitMQ: URI Specification, URI Query
//! Parameters).

use super::transport::Settings;
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;

/// The default ports, without and with TLS.
const PORT: u16 = 5672;
const TLS_PORT: u16 = 5671;
/// Parameters of URIs that mean something to other clients and nothing to us.
const IGNORED: [&str; 5] = [
    "heartbeat",
    "connection_timeout",
    "channel_max",
    "depth",
    "fail_if_no_peer_cert",
];
/// Parameters that mean something to us.
const KNOWN: [&str; 6] = [
    "auth_mechanism",
    "cacertfile",
    "certfile",
    "keyfile",
    "verify",
    "server_name_indication",
];

/// The broker to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) address: Address,
    pub(crate) user: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
    /// Log in with EXTERNAL in place of user and password.
    pub(crate) external: bool,
    pub(crate) tls: Option<Settings>,
}

/// Where the broker listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// `host:port`.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl Address {
    /// Parses `host:port` or `unix:/path`. Without a host it is this machine, without a port the usual one.
    pub(crate) fn parse(text: Option<&str>, tls: bool) -> Result<Self, String> {
        let text = text.unwrap_or_default();
        match (text.strip_prefix("unix:"), text.parse::<Ipv6Addr>()) {
            (Some(path), _) => Ok(Address::Unix(path.into())),
            (None, Ok(host)) => Ok(Address::Tcp(format!("[{host}]:{}", usual_port(tls)))),
            (None, Err(_)) => address(text, usual_port(tls)).map(Address::Tcp),
        }
    }

    /// Returns the host: what stands before the port, without brackets.
    pub(crate) fn host(&self) -> &str {
        match self {
            Address::Tcp(address) => {
                let host = address
                    .rsplit_once(':')
                    .map_or(&**address, |(host, _)| host);
                host.trim_start_matches('[').trim_end_matches(']')
            }
            Address::Unix(_) => "localhost",
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(address) => f.write_str(address),
            Address::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

fn usual_port(tls: bool) -> u16 {
    if tls { TLS_PORT } else { PORT }
}

impl Target {
    /// Parses a URI. Missing parts have the usual defaults; `/` alone is the virtual host with the
    /// empty name, as in RabbitMQ's clients, and no path at all means `/`.
    pub(crate) fn parse(uri: &str) -> Result<Self, String> {
        let (tls, rest) = match uri.split_once("://") {
            Some(("amqp", rest)) => (false, rest),
            Some(("amqps", rest)) => (true, rest),
            _ => {
                let shown = without_password(uri);
                return Err(format!("{shown:?} does not begin with amqp:// or amqps://"));
            }
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        if !authority.contains('@') && path.is_some_and(|path| path.contains('@')) {
            return Err(
                "a slash in the password or an @ behind the host is written %2F or %40".to_owned(),
            );
        }
        let (login, host_and_port) = match authority.rsplit_once('@') {
            Some((login, host_and_port)) => (Some(login), host_and_port),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => {
                let password = percent_decode(password);
                let wrong = "the password is not UTF-8, or has a % without two hexadecimal digits: write %25";
                (percent_decode(user)?, password.map_err(|_| wrong)?)
            }
            None => ("guest".to_owned(), "guest".to_owned()),
        };
        let vhost = match path {
            Some(path) if path.contains('/') => {
                return Err("a slash in the virtual host is written %2F".to_owned());
            }
            Some(path) => percent_decode(path)?,
            None => "/".to_owned(),
        };
        let mut target = Target {
            address: Address::Tcp(address(host_and_port, usual_port(tls))?),
            user,
            password,
            vhost,
            external: false,
            tls: tls.then(Settings::default),
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            target.set(name, percent_decode(value)?)?;
        }
        Ok(target)
    }

    /// Returns the URI without the password, to be shown.
    pub(crate) fn shown(&self) -> String {
        let scheme = if self.tls.is_some() { "amqps" } else { "amqp" };
        let (user, vhost) = (percent_encode(&self.user), percent_encode(&self.vhost));
        format!("{scheme}://{user}@{}/{vhost}", self.address)
    }

    /// Takes a parameter of the URI.
    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        if IGNORED.contains(&name) {
            return Ok(());
        }
        if !KNOWN.contains(&name) {
            return Err(unknown(name));
        }
        // Of several mechanisms the strongest that we know is taken.
        if name == "auth_mechanism" && matches!(value.as_str(), "plain" | "amqplain") {
            return Ok(());
        }
        let Some(tls) = &mut self.tls else {
            return Err(format!("{name}={value} needs TLS: amqps://"));
        };
        match (name, value.as_str()) {
            ("cacertfile", _) => tls.cacert = Some(value.into()),
            ("certfile", _) => tls.cert = Some(value.into()),
            ("keyfile", _) => tls.key = Some(value.into()),
            ("verify", "verify_none") => tls.insecure = true,
            ("verify", "verify_peer") => tls.insecure = false,
            ("verify", _) => {
                return Err(format!(
                    "verify is verify_peer or verify_none, not {value:?}"
                ));
            }
            ("server_name_indication", "disable") => tls.no_sni = true,
            ("server_name_indication", _) => tls.server_name = Some(value),
            ("auth_mechanism", "external") => self.external = true,
            _ => {
                return Err(format!(
                    "auth_mechanism is plain or external, not {value:?}"
                ));
            }
        }
        Ok(())
    }
}

fn unknown(name: &str) -> String {
    let similar = KNOWN
        .iter()
        .map(|known| (strsim::jaro_winkler(known, name), known));
    let best = similar.max_by(|one, other| one.0.total_cmp(&other.0));
    match best {
        Some((similarity, known)) if similarity > 0.8 => {
            format!("unknown parameter {name:?}: did you mean {known}?")
        }
        _ => format!("unknown parameter {name:?}"),
    }
}

/// Parses `host`, `host:port` or `[::1]:port` and fills in the defaults.
fn address(host_and_port: &str, usual_port: u16) -> Result<String, String> {
    // A colon within brackets is part of the host.
    let after = host_and_port.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match host_and_port[after..].rfind(':') {
        Some(at) => (
            &host_and_port[..after + at],
            Some(&host_and_port[after + at + 1..]),
        ),
        None => (host_and_port, None),
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    match port.map_or(Ok(usual_port), str::parse) {
        Ok(port) => Ok(format!("{host}:{port}")),
        Err(_) => Err(format!("{:?} is not a port", port.unwrap_or_default())),
    }
}

/// Returns a word of a command line with stars in place of a password, if it is like a URI with one.
pub(crate) fn without_password(word: &str) -> String {
    let parts = word.split_once("://").and_then(|(scheme, rest)| {
        let (login, rest) = rest.rsplit_once('@')?;
        let (user, _) = login.split_once(':')?;
        Some((scheme, user, rest))
    });
    match parts {
        Some((scheme, user, rest)) => format!("{scheme}://{user}:***@{rest}"),
        None => word.to_owned(),
    }
}

/// Encodes what would end a part of a URI.
fn percent_encode(text: &str) -> String {
    let encoded = |c: char| match c {
        '/' | '@' | ':' | '?' | '#' | '%' => format!("%{:02X}", c as u32),
        c => c.to_string(),
    };
    text.chars().map(encoded).collect()
}

/// Decodes percent-encoding.
fn percent_decode(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let code = tail
            .get(..2)
            .and_then(|code| std::str::from_utf8(code).ok());
        let byte = code.and_then(|code| u8::from_str_radix(code, 16).ok());
        bytes.push(byte.ok_or_else(|| format!("{text:?}: % without two hexadecimal digits"))?);
        rest = &tail[2..];
    }
    String::from_utf8(bytes).map_err(|_| format!("{text:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(uri: &str) -> (String, String, String, String) {
        let target = Target::parse(uri).expect("a URI");
        (
            target.address.to_string(),
            target.user,
            target.password,
            target.vhost,
        )
    }

    fn of(
        address: &str,
        user: &str,
        password: &str,
        vhost: &str,
    ) -> (String, String, String, String) {
        (address.into(), user.into(), password.into(), vhost.into())
    }

    #[test]
    fn what_is_missing_is_the_usual() {
        let usual = of("127.0.0.1:5672", "guest", "guest", "/");
        assert_eq!(parsed("amqp://"), usual);
        assert_eq!(parsed("amqp://h"), of("h:5672", "guest", "guest", "/"));
        assert_eq!(parsed("amqp://h/"), of("h:5672", "guest", "guest", ""));
    }

    #[test]
    fn all_parts_are_found_and_decoded() {
        let whole = parsed("amqp://wal%40ker:a%3Ab:c@[::1]:5700/%2Fmoor?heartbeat=3");
        assert_eq!(whole, of("[::1]:5700", "wal@ker", "a:b:c", "/moor"));
    }

    #[test]
    fn a_uri_is_shown_without_its_password() {
        let target = Target::parse("amqps://a%40b:secret@h/%2F?verify=verify_none");
        assert_eq!(target.expect("a URI").shown(), "amqps://a%40b@h:5671/%2F");
    }

    #[test]
    fn parameters_of_tls_are_taken() {
        let target = |uri| Target::parse(uri).expect("a URI");
        assert_eq!(target("amqp://h").tls, None);
        let plain = target("amqps://");
        assert_eq!(plain.address.to_string(), "127.0.0.1:5671");
        assert_eq!(plain.tls, Some(Settings::default()));
        let all = target(
            "amqps://h/v?cacertfile=%2Fca.pem&certfile=c.pem&keyfile=k.pem&verify=verify_none\
             &server_name_indication=b.example&auth_mechanism=external&heartbeat=5",
        );
        assert!(all.external);
        let expected = Settings {
            cacert: Some("/ca.pem".into()),
            cert: Some("c.pem".into()),
            key: Some("k.pem".into()),
            insecure: true,
            server_name: Some("b.example".into()),
            ..Settings::default()
        };
        assert_eq!(all.tls, Some(expected));
        let silent = target("amqps://h?server_name_indication=disable").tls;
        assert!(silent.is_some_and(|tls| tls.no_sni && tls.server_name.is_none()));
    }

    #[test]
    fn the_host_of_an_address_is_found() {
        let tcp = |text| Address::parse(Some(text), true).expect("an address");
        for (address, host) in [
            ("broker.example:5671", "broker.example"),
            ("[::1]:5671", "::1"),
            ("10.0.0.1:5671", "10.0.0.1"),
        ] {
            assert_eq!(tcp(address).host(), host);
        }
        for (text, whole) in [
            ("broker.example", "broker.example:5671"),
            ("::1", "[::1]:5671"),
            ("[::1]", "[::1]:5671"),
            (":5700", "127.0.0.1:5700"),
        ] {
            assert_eq!(tcp(text).to_string(), whole);
        }
        let wrong = Address::parse(Some("broker.example:amqp"), false);
        assert_eq!(wrong, Err("\"amqp\" is not a port".to_owned()));
        let unix = tcp("unix:/run/leveret/amqp.sock");
        assert_eq!(unix, Address::Unix("/run/leveret/amqp.sock".into()));
        assert_eq!(unix.to_string(), "unix:/run/leveret/amqp.sock");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (uri, why) in [
            ("localhost:5672", "amqp://"),
            ("amqps://h?cacertfle=x", "did you mean cacertfile?"),
            ("amqps://h?colour=x", "unknown parameter \"colour\""),
            ("amqps://h?verify=yes", "verify_peer or verify_none"),
            ("amqps://h?auth_mechanism=gssapi", "plain or external"),
            ("amqp://h?cacertfile=x", "needs TLS: amqps://"),
            ("amqp://h:port", "not a port"),
            ("amqp://h/a/b", "%2F"),
            ("amqp://u:se/cret@h", "%2F"),
            ("amqp://u:se%cret@h", "%25"),
            ("http://u:secret@h", "http://u:***@h"),
            ("amqp://h/%2", "hexadecimal"),
            ("amqp://h/%é", "hexadecimal"),
            ("amqp://h/%FF", "UTF-8"),
        ] {
            let error = Target::parse(uri).expect_err(uri);
            assert!(error.contains(why), "{uri}: {error}");
            assert!(!error.contains("cret"), "{uri}: {error}");
        }
    }
}
