//! The PLAIN response of `connection.start-ok`.

/// The credentials of a client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Credentials<'a> {
    /// The user's name.
    pub user: &'a str,
    /// The password in clear text.
    pub password: &'a str,
}

impl std::fmt::Debug for Credentials<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

/// Parses a PLAIN response: `NUL user NUL password` (RFC 4616). As with RabbitMQ, there is no authorization
/// identity before the first NUL. Returns `None` if it is invalid or not UTF-8.
pub fn parse_plain(response: &[u8]) -> Option<Credentials<'_>> {
    let mut parts = response.strip_prefix(b"\0")?.splitn(2, |byte| *byte == 0);
    let user = std::str::from_utf8(parts.next()?).ok()?;
    let password = std::str::from_utf8(parts.next()?).ok()?;
    // RFC 4616 allows no NUL in a password either.
    (!password.contains('\0')).then_some(Credentials { user, password })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_response_has_two_parts() {
        let given = parse_plain(b"\0walker\x00123456").unwrap();
        assert_eq!((given.user, given.password), ("walker", "123456"));
        assert_eq!(parse_plain(b"\0\0").unwrap().user, "");
        for broken in [
            &b""[..],
            b"walker",
            b"admin\0walker\0p",
            b"\0walker",
            b"\0a\0b\0c",
            b"\0\xff\0x",
            b"\0a\0\xff",
        ] {
            assert_eq!(parse_plain(broken), None, "{broken:?}");
        }
    }
}
