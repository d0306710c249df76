//! How a listener is written: `amqps://localhost:5671`, `0.0.0.0:5711?proxy_protocol=10.0.0.0/8`,
//! `unix:/run/leveret/amqp.sock?mode=660`.

use super::NONE;
use super::values::text_or_list;
use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// The longest path that fits into `sockaddr_un.sun_path` on every system, with its final NUL and the ending of the name
/// under which the socket is made.
const SUN_PATH_MAX: usize = 103 - ".new".len();
/// The most connections that may wait to be accepted; systems take no more.
const MAX_BACKLOG: u32 = 65_535;
/// The options of a listener.
const OPTIONS: [&str; 3] = ["mode", "proxy_protocol", "backlog"];

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// One address and port.
    Address(SocketAddr),
    /// Every address of a name; it is resolved when the broker starts.
    Name(String, u16),
    /// A Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Address(address) => write!(f, "{address}"),
            Place::Name(name, port) => write!(f, "{name}:{port}"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What is spoken on a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Spoken {
    /// AMQP 0-9-1.
    Amqp,
    /// HTTP.
    Http,
}

impl Spoken {
    /// Returns the schemes without and with TLS.
    fn schemes(self) -> [&'static str; 2] {
        match self {
            Spoken::Amqp => ["amqp", "amqps"],
            Spoken::Http => ["http", "https"],
        }
    }
}

/// A listener as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerSpec {
    /// What is spoken, if it says so.
    spoken: Option<Spoken>,
    /// Where it listens.
    pub place: Place,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// The permissions of a Unix socket; `None` for the default.
    pub mode: Option<u32>,
    /// The networks whose connections begin with a header of the PROXY protocol; all others are refused if there are any.
    pub trusted: Vec<Trusted>,
    /// Connections that may wait to be accepted; `None` for the default.
    pub backlog: Option<u32>,
}

/// Whose PROXY header is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trusted {
    /// Addresses.
    Network(IpNet),
    /// Whoever may open the Unix socket.
    Unix,
}

impl ListenerSpec {
    /// Returns a listener without options.
    pub fn at(address: SocketAddr, tls: bool) -> Self {
        ListenerSpec {
            spoken: None,
            place: Place::Address(address),
            tls,
            mode: None,
            trusted: Vec::new(),
            backlog: None,
        }
    }

    /// Returns whether only this machine can connect. Of other names nobody knows until they are resolved.
    pub(super) fn is_local(&self) -> bool {
        match &self.place {
            Place::Address(address) => address.ip().to_canonical().is_loopback(),
            Place::Name(name, _) => name.eq_ignore_ascii_case("localhost"),
            Place::Unix(_) => true,
        }
    }

    /// Sets an option.
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "mode" => {
                let is_unix = matches!(self.place, Place::Unix(_));
                is_unix
                    .then_some(())
                    .ok_or_else(|| "mode is for Unix sockets only".to_owned())?;
                let digits = value.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
                let mode = u32::from_str_radix(value, 8).ok();
                let mode = mode.filter(|mode| digits && *mode <= 0o777);
                self.mode = Some(mode.ok_or_else(|| {
                    format!("mode={value} is no mode: use octal digits such as 660")
                })?);
            }
            "proxy_protocol" => self.trusted.push(self.trusted_network(value)?),
            "backlog" => {
                let backlog = value.parse().ok();
                let backlog = backlog.filter(|backlog| (1..=MAX_BACKLOG).contains(backlog));
                self.backlog = Some(backlog.ok_or_else(|| {
                    format!("backlog={value} is out of range: use 1 to {MAX_BACKLOG}")
                })?);
            }
            unknown => {
                let near = OPTIONS.into_iter().find(|known| {
                    strsim::damerau_levenshtein(unknown, known) <= 3 || known.starts_with(unknown)
                });
                let tip = near.map_or_else(
                    || format!("use {}", OPTIONS.join(", ")),
                    |near| format!("did you mean {near}?"),
                );
                return Err(format!("there is no option '{unknown}': {tip}"));
            }
        }
        Ok(())
    }

    fn trusted_network(&self, value: &str) -> Result<Trusted, String> {
        let network = value.parse::<IpNet>().ok();
        let network = network.or_else(|| value.parse::<IpAddr>().ok().map(IpNet::from));
        match (network, value, &self.place) {
            (None, "unix", Place::Unix(_)) => Ok(Trusted::Unix),
            (_, _, Place::Unix(_)) => {
                Err("clients of a Unix socket have no address: use proxy_protocol=unix".to_owned())
            }
            (Some(network), _, _) => Ok(Trusted::Network(network.trunc())),
            (None, _, _) => Err(format!(
                "proxy_protocol={value} is no network: use one such as 10.0.0.0/8, fd00::/8 or 192.0.2.7"
            )),
        }
    }
}

impl fmt::Display for ListenerSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let spoken = self.spoken.or(self.tls.then_some(Spoken::Amqp));
        if let Some(spoken) = spoken {
            write!(f, "{}://", spoken.schemes()[usize::from(self.tls)])?;
        }
        write!(f, "{}", self.place)?;
        let mut separator = '?';
        let mut option = |name: &str, value: &dyn fmt::Display| {
            let written = write!(f, "{separator}{name}={value}");
            separator = '&';
            written
        };
        if let Some(mode) = self.mode {
            option("mode", &format_args!("{mode:o}"))?;
        }
        for trusted in &self.trusted {
            match trusted {
                Trusted::Network(network) => option("proxy_protocol", network)?,
                Trusted::Unix => option("proxy_protocol", &"unix")?,
            }
        }
        if let Some(backlog) = self.backlog {
            option("backlog", &backlog)?;
        }
        Ok(())
    }
}

impl FromStr for ListenerSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |reason: String| format!("'{text}' is not a listener: {reason}");
        let (scheme, rest) = match text.split_once("://") {
            Some(("unix", _)) | None => (None, text),
            Some((scheme, rest)) => (Some(scheme), rest),
        };
        let (spoken, tls) = match scheme {
            None => (None, false),
            Some(scheme) => {
                let known = [Spoken::Amqp, Spoken::Http].into_iter().find_map(|spoken| {
                    let at = spoken.schemes().iter().position(|known| *known == scheme)?;
                    Some((Some(spoken), at == 1))
                });
                known.ok_or_else(|| {
                    wrong(format!(
                        "there is no scheme '{scheme}': use amqp, amqps, http or https"
                    ))
                })?
            }
        };
        let (place, options) = match rest.split_once('?') {
            Some((place, options)) => (place, Some(options)),
            None => (rest, None),
        };
        let mut spec = ListenerSpec {
            spoken,
            place: place_of(place).map_err(wrong)?,
            tls,
            mode: None,
            trusted: Vec::new(),
            backlog: None,
        };
        for option in options.into_iter().flat_map(|options| options.split('&')) {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| wrong(format!("the option '{option}' has no value")))?;
            spec.set(name, value).map_err(wrong)?;
        }
        Ok(spec)
    }
}

/// Returns the place with this spelling.
fn place_of(text: &str) -> Result<Place, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        return unix(path);
    }
    let wanted = "use an address and a port, such as localhost:5672, 0.0.0.0:5672, [::]:5672, or \
                  unix:/run/leveret/amqp.sock";
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Place::Address(address));
    }
    if let Some(bracketed) = bracketed(text) {
        return Err(format!(
            "it has no port, or no brackets around the address: use {bracketed}"
        ));
    }
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(format!("it has no port: {wanted}"));
    };
    let is_name = !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        && !host
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'.');
    if !is_name {
        return Err(wanted.to_owned());
    }
    let port = port
        .parse()
        .map_err(|_| format!("'{port}' is no port: use a whole number from 0 to 65535"))?;
    Ok(Place::Name(host.to_owned(), port))
}

/// Returns what an IPv6 address without brackets, with or without a port, was probably meant to be.
fn bracketed(text: &str) -> Option<String> {
    let is_address = |text: &str| text.parse::<Ipv6Addr>().is_ok();
    // The end of an address may look like a port, too, but whoever names a listener rather forgets the brackets.
    match text.rsplit_once(':') {
        Some((host, port)) if is_address(host) && port.parse::<u16>().is_ok() => {
            Some(format!("[{host}]:{port}"))
        }
        _ => is_address(text).then(|| format!("[{text}]:5672")),
    }
}

/// Returns the place of a Unix socket, whose path may be written as in a URL (`unix:///run/x.sock`).
fn unix(path: &str) -> Result<Place, String> {
    let path = match path.strip_prefix("//") {
        Some(path) => path,
        None => path,
    };
    match Path::new(path) {
        path if !path.is_absolute() => Err(
            "the path of a Unix socket must be absolute: use unix:/run/leveret/amqp.sock"
                .to_owned(),
        ),
        path if path.file_name().is_none() || path.as_os_str().len() > SUN_PATH_MAX => {
            Err(format!(
                "the path of a Unix socket must name a file and must not exceed {SUN_PATH_MAX} bytes"
            ))
        }
        path => Ok(Place::Unix(path.to_owned())),
    }
}

/// Listeners separated by commas, or `none`. The file may also hold a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerSpecs(pub Vec<ListenerSpec>);

impl ListenerSpecs {
    fn listed<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut all: Vec<ListenerSpec> = Vec::new();
        for text in texts {
            let spec: ListenerSpec = text.parse()?;
            let port = match &spec.place {
                Place::Address(address) => address.port(),
                Place::Name(_, port) => *port,
                Place::Unix(_) => 1,
            };
            if port != 0 && all.iter().any(|known| known.place == spec.place) {
                return Err(format!("'{}' is listed twice", spec.place));
            }
            all.push(spec);
        }
        Ok(ListenerSpecs(all))
    }

    /// Checks that all of them speak this, as far as they say.
    ///
    /// # Errors
    /// Which of them does not.
    pub(super) fn speak(&self, wanted: Spoken) -> Result<(), String> {
        let other = |spec: &&ListenerSpec| spec.spoken.is_some_and(|spoken| spoken != wanted);
        match self.0.iter().find(other) {
            None => Ok(()),
            Some(spec) => {
                let [plain, tls] = wanted.schemes();
                Err(format!(
                    "'{spec}' has the wrong scheme: use {plain}:// or {tls}://"
                ))
            }
        }
    }
}

impl FromStr for ListenerSpecs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            NONE => Ok(ListenerSpecs::default()),
            text => ListenerSpecs::listed(text.split(',')),
        }
    }
}

impl<'de> Deserialize<'de> for ListenerSpecs {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let listed = |list: &[String]| ListenerSpecs::listed(list.iter().map(String::as_str));
        text_or_list(
            source,
            "expected a list of listeners such as \"localhost:5672\"",
            listed,
        )
    }
}

/// Whether a port with TLS is opened beside the one without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsPort {
    /// On the registered port, if there is a certificate.
    Auto,
    /// Not at all.
    None,
    /// On this port; 0 asks the system for a free one.
    Port(u16),
}

impl TlsPort {
    /// Returns the port, if one is to be opened: by default this one, if there is a certificate.
    pub fn port(self, registered: u16, certified: bool) -> Option<u16> {
        match self {
            TlsPort::Auto => certified.then_some(registered),
            TlsPort::None => None,
            TlsPort::Port(port) => Some(port),
        }
    }
}

impl FromStr for TlsPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text.trim(), text.trim().parse()) {
            ("auto", _) => Ok(TlsPort::Auto),
            (NONE, _) => Ok(TlsPort::None),
            (_, Ok(port)) => Ok(TlsPort::Port(port)),
            _ => Err(format!(
                "'{text}' is not a port: use a whole number from 0 to 65535, auto or none"
            )),
        }
    }
}

impl fmt::Display for TlsPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsPort::Auto => f.write_str("auto"),
            TlsPort::None => f.write_str(NONE),
            TlsPort::Port(port) => write!(f, "{port}"),
        }
    }
}

impl From<ListenerSpecs> for Vec<ListenerSpec> {
    fn from(given: ListenerSpecs) -> Self {
        given.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ListenerSpec {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn a_listener_has_one_spelling() {
        for (text, place, tls) in [
            ("localhost:5672", "localhost:5672", false),
            ("amqp://0.0.0.0:5711", "0.0.0.0:5711", false),
            ("amqps://mq-1.example.com:0", "mq-1.example.com:0", true),
            ("[::]:5672", "[::]:5672", false),
            ("https://[fd00::1]:15671", "[fd00::1]:15671", true),
            (
                "unix:/run/leveret/amqp.sock",
                "unix:/run/leveret/amqp.sock",
                false,
            ),
            (
                "unix:///run/leveret/amqp.sock",
                "unix:/run/leveret/amqp.sock",
                false,
            ),
            (
                "amqps://unix:/run/leveret/amqp.sock",
                "unix:/run/leveret/amqp.sock",
                true,
            ),
        ] {
            let spec = parsed(text);
            assert_eq!(
                (spec.place.to_string().as_str(), spec.tls),
                (place, tls),
                "{text}"
            );
            assert_eq!(parsed(&spec.to_string()), spec, "{text}");
        }
        let text =
            "amqps://10.0.0.1:5671?proxy_protocol=10.0.0.0/8&proxy_protocol=fd00::/8&backlog=128";
        assert_eq!(parsed(text).to_string(), text);
        let text = "unix:/run/amqp.sock?mode=660&proxy_protocol=unix";
        assert_eq!(parsed(text).to_string(), text);
        assert_eq!(parsed(text).mode, Some(0o660));
    }

    #[test]
    fn what_is_wrong_with_a_listener_is_said() {
        for (text, reason) in [
            ("5672", "it has no port"),
            ("", "it has no port"),
            ("::1", "use [::1]:5672"),
            ("::1:5673", "use [::1]:5673"),
            ("::1:15672", "use [::1]:15672"),
            ("fe80::ab", "use [fe80::ab]:5672"),
            ("localhost:amqp", "'amqp' is no port"),
            ("localhost:70000", "'70000' is no port"),
            ("1.2.3:5672", "use an address and a port"),
            ("a b:5672", "use an address and a port"),
            ("unix:amqp.sock", "must be absolute"),
            ("unix:/", "must name a file"),
            ("amqpx://localhost:5672", "there is no scheme 'amqpx'"),
            ("localhost:5672?mode=660", "mode is for Unix sockets only"),
            ("unix:/a?mode=999", "mode=999 is no mode"),
            ("unix:/a?mode=+70", "mode=+70 is no mode"),
            ("unix:/a?mode", "the option 'mode' has no value"),
            (
                "unix:/a?proxy_protocol=10.0.0.0/8",
                "use proxy_protocol=unix",
            ),
            (
                "localhost:1?proxy_protocol=unix",
                "proxy_protocol=unix is no network",
            ),
            ("localhost:1?proxy_protocol=10.0.0.0/40", "is no network"),
            ("localhost:1?backlog=0", "backlog=0 is out of range"),
            (
                "localhost:1?proxyprotocol=::/0",
                "did you mean proxy_protocol?",
            ),
            ("localhost:1?tls=yes", "use mode, proxy_protocol, backlog"),
        ] {
            let error = text.parse::<ListenerSpec>().unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
            assert_eq!(error.lines().count(), 1);
        }
        let long = format!("unix:/{}", "x".repeat(100));
        assert!(long.parse::<ListenerSpec>().unwrap_err().contains("exceed"));
    }

    #[test]
    fn lists_are_separated_by_commas_and_hold_nothing_twice() {
        let listed: ListenerSpecs = "localhost:1, [::]:2,amqps://127.0.0.1:3".parse().unwrap();
        assert_eq!(listed.0.len(), 3);
        assert!(listed.speak(Spoken::Amqp).is_ok());
        let wrong = listed.speak(Spoken::Http).unwrap_err();
        assert!(wrong.contains("use http:// or https://"), "{wrong}");
        let twice = "localhost:1,amqps://localhost:1".parse::<ListenerSpecs>();
        assert_eq!(twice.unwrap_err(), "'localhost:1' is listed twice");
        assert!("localhost:0,localhost:0".parse::<ListenerSpecs>().is_ok());
        assert_eq!("none".parse(), Ok(ListenerSpecs::default()));
    }
}
