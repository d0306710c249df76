//! `amqp://user:password@host:port/vhost` (RabbitMQ: URI Specification).

/// The broker to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// `host:port`.
    pub(super) address: String,
    pub(super) user: String,
    pub(super) password: String,
    pub(super) vhost: String,
}

impl Target {
    /// Parses a URI. Missing parts have the usual defaults; `/` alone is the virtual host with the
    /// empty name, as in RabbitMQ's clients, and no path at all means `/`.
    pub(super) fn parse(uri: &str) -> Result<Self, String> {
        let rest = match uri.split_once("://") {
            Some(("amqp", rest)) => rest,
            Some(("amqps", _)) => return Err("amqps is not supported, only amqp".to_owned()),
            _ => return Err(format!("{uri:?} does not begin with amqp://")),
        };
        let rest = rest.split(['?', '#']).next().unwrap_or_default();
        let (authority, path) = match rest.split_once('/') {
            Some((authority, path)) => (authority, Some(path)),
            None => (rest, None),
        };
        let (login, host_and_port) = match authority.rsplit_once('@') {
            Some((login, host_and_port)) => (Some(login), host_and_port),
            None => (None, authority),
        };
        let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, "")))
        {
            Some((user, password)) => (percent_decode(user)?, percent_decode(password)?),
            None => ("guest".to_owned(), "guest".to_owned()),
        };
        let vhost = match path {
            Some(path) if path.contains('/') => {
                return Err("a slash in the virtual host is written %2F".to_owned());
            }
            Some(path) => percent_decode(path)?,
            None => "/".to_owned(),
        };
        Ok(Target {
            address: address(host_and_port)?,
            user,
            password,
            vhost,
        })
    }
}

/// Parses `host`, `host:port` or `[::1]:port` and fills in the defaults.
fn address(host_and_port: &str) -> Result<String, String> {
    // A colon within brackets is part of the host.
    let after = host_and_port.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match host_and_port[after..].rfind(':') {
        Some(at) => (
            &host_and_port[..after + at],
            &host_and_port[after + at + 1..],
        ),
        None => (host_and_port, "5672"),
    };
    let host = if host.is_empty() { "127.0.0.1" } else { host };
    match port.parse::<u16>() {
        Ok(port) => Ok(format!("{host}:{port}")),
        Err(_) => Err(format!("{port:?} is not a port")),
    }
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
        (target.address, target.user, target.password, target.vhost)
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
    fn what_is_wrong_is_said() {
        for (uri, why) in [
            ("localhost:5672", "amqp://"),
            ("amqps://h", "amqps"),
            ("amqp://h:port", "not a port"),
            ("amqp://h/a/b", "%2F"),
            ("amqp://h/%2", "hexadecimal"),
            ("amqp://h/%é", "hexadecimal"),
            ("amqp://h/%FF", "UTF-8"),
        ] {
            let error = Target::parse(uri).expect_err(uri);
            assert!(error.contains(why), "{uri}: {error}");
        }
    }
}
