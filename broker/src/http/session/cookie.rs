//! The cookie with the id of a session.

use crate::http::login::Client;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};

/// The ids that are looked for in a request, at most.
const IDS: usize = 8;

/// What the cookies of a listener are called and how they are set. Browsers send a cookie to all ports of a host, so its
/// name has the port in it: two brokers on one machine do not sign each other's users out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::http) struct SessionCookie {
    port: u16,
    /// Whether browsers send it over TLS only.
    secure: bool,
}

impl SessionCookie {
    /// Returns that of the listener which a request has come through.
    pub(in crate::http) fn of(parts: &Parts) -> Self {
        let ends = parts.extensions.get::<Client>();
        SessionCookie {
            port: ends.map_or(0, |Client(ends)| ends.local.port()),
            secure: ends.is_some_and(|Client(ends)| ends.encryption.is_some()),
        }
    }

    /// Over TLS nobody but this host can set a cookie of this name, not even on another path (RFC 6265bis, 4.1.3.2).
    fn name(&self) -> String {
        let prefix = if self.secure { "__Host-" } else { "" };
        format!("{prefix}leveret_session_{}", self.port)
    }

    /// Returns the ids that a request names: more than one if a page on another port of the host has set such a cookie, too.
    pub(in crate::http) fn ids<'a>(&self, parts: &'a Parts) -> Vec<&'a str> {
        let name = self.name();
        let lists = parts.headers.get_all(header::COOKIE).iter();
        let cookies = lists
            .filter_map(|list| list.to_str().ok())
            .flat_map(|list| list.split(';'));
        let ids = cookies.filter_map(|cookie| {
            let (named, value) = cookie.trim().split_once('=')?;
            (named == name).then_some(value)
        });
        ids.take(IDS).collect()
    }

    /// Returns the header that lets a browser keep an id until it ends.
    pub(in crate::http) fn set(&self, id: &str) -> HeaderValue {
        self.header(id, "")
    }

    /// Returns the header that lets a browser forget it.
    pub(in crate::http) fn clear(&self) -> HeaderValue {
        self.header("", "; Max-Age=0")
    }

    fn header(&self, value: &str, lifetime: &str) -> HeaderValue {
        // The prefix of the name asks for this path.
        let (path, secure) = match self.secure {
            true => ("/", "; Secure"),
            false => ("/api", ""),
        };
        let text = format!(
            "{}={value}; Path={path}; HttpOnly; SameSite=Strict{secure}{lifetime}",
            self.name()
        );
        // Ids are letters, digits, `-` and `_`.
        HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    #[test]
    fn the_cookie_of_this_port_is_found_among_others() {
        let mut request = Request::builder();
        for cookies in [
            "a=1; leveret_session_15671=other; leveret_session_15672x=no",
            "b;leveret_session_15672=mine; leveret_session_15672=second",
        ] {
            request = request.header("cookie", cookies);
        }
        let parts = request.body(()).unwrap().into_parts().0;
        let cookie = |port| SessionCookie {
            port,
            secure: false,
        };
        assert_eq!(cookie(15672).ids(&parts), ["mine", "second"]);
        assert_eq!(cookie(15671).ids(&parts), ["other"]);
        assert_eq!(cookie(1).ids(&parts), [""; 0]);
    }

    #[test]
    fn no_script_and_no_other_site_gets_the_cookie() {
        let plain = SessionCookie {
            port: 15672,
            secure: false,
        };
        let set = "leveret_session_15672=x; Path=/api; HttpOnly; SameSite=Strict";
        assert_eq!(plain.set("x"), set);
        let encrypted = SessionCookie {
            port: 15671,
            secure: true,
        };
        let clear =
            "__Host-leveret_session_15671=; Path=/; HttpOnly; SameSite=Strict; Secure; Max-Age=0";
        assert_eq!(encrypted.clear(), clear);
    }
}
