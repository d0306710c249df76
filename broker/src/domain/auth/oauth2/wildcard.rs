//! The patterns of scopes: `*` stands for anything, `%2F` for a byte (RabbitMQ: `wildcard.erl`).

use std::fmt::Write;

/// A pattern, split at its `*` and decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    /// What stands before the first `*`.
    start: Vec<u8>,
    /// What follows each `*`.
    parts: Vec<Vec<u8>>,
}

impl Wildcard {
    /// Reads a pattern. Returns `None` if its percent-encoding is broken: such a pattern matches nothing.
    pub(super) fn parse(pattern: &str) -> Option<Self> {
        let mut parts = pattern.split('*').map(decoded);
        let start = parts.next()??;
        let parts = parts.collect::<Option<_>>()?;
        Some(Wildcard { start, parts })
    }

    /// Returns whether the pattern matches the whole subject.
    ///
    /// As in RabbitMQ, what follows a `*` is looked for at its first place and nowhere else: `a*b` does not match `abab`.
    /// So nobody is granted here what RabbitMQ refuses.
    pub(super) fn matches(&self, subject: &[u8]) -> bool {
        let Some(mut rest) = subject.strip_prefix(&*self.start) else {
            return false;
        };
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            if part.is_empty() && parts.peek().is_none() {
                return true;
            }
            // Only a single `*` at the end matches nothing.
            if rest.is_empty() {
                return false;
            }
            match find(rest, part) {
                Some(end) => rest = &rest[end..],
                None => return false,
            }
        }
        rest.is_empty()
    }
}

/// Returns where the first occurrence of `part` ends.
fn find(subject: &[u8], part: &[u8]) -> Option<usize> {
    if part.is_empty() {
        return Some(0);
    }
    let start = subject.windows(part.len()).position(|at| at == part)?;
    Some(start + part.len())
}

/// Decodes `%41` and `+`, as in the query of a URL. `None` if a `%` is not followed by two hexadecimal digits.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut result = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        result.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                let (high, low) = (digit()?, digit()?);
                (high * 16 + low) as u8
            }
            b'+' => b' ',
            other => other,
        });
    }
    Some(result)
}

/// Writes a text so that it stands for itself in a pattern, and in one part of a scope.
pub(super) fn literal(text: &str) -> String {
    let mut result = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' | '%' | '+' | '/' => {
                let _ = write!(result, "%{:02X}", u32::from(character));
            }
            other => result.push(other),
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, subject: &str) -> bool {
        Wildcard::parse(pattern).is_some_and(|pattern| pattern.matches(subject.as_bytes()))
    }

    /// The answers of RabbitMQ's `wildcard:match/2`.
    #[test]
    fn patterns_match_what_they_match_in_rabbitmq() {
        for (pattern, subject, expected) in [
            ("*", "", true),
            ("*", "anything", true),
            ("", "", true),
            ("", "a", false),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("abc*", "abc", true),
            ("abc*", "abcd", true),
            ("abc*", "xabc", false),
            ("*abc", "abc", true),
            ("*abc", "xabc", true),
            ("*abc", "abcx", false),
            ("a*b", "ab", true),
            ("a*b", "axxb", true),
            ("a*b", "abab", false),
            ("a*b*c", "axbxc", true),
            ("a**b", "ab", true),
            ("a**", "a", false),
            ("a**", "ab", true),
            ("*b*", "abc", true),
            ("%2F", "/", true),
            ("%2f", "/", true),
            ("a%2Ab", "a*b", true),
            ("a%2Ab", "axb", false),
            ("a+b", "a b", true),
            ("a%2Bb", "a+b", true),
            ("a%", "a%", false),
            ("a%4", "a", false),
            ("a%GG", "a", false),
            ("%C3%A9", "\u{e9}", true),
        ] {
            assert_eq!(matches(pattern, subject), expected, "{pattern} {subject}");
        }
    }

    /// What the documentation says of `*`, as a search through all divisions of the subject.
    fn glob(pattern: &[u8], subject: &[u8]) -> bool {
        match pattern.split_first() {
            None => subject.is_empty(),
            Some((b'*', rest)) => (0..=subject.len()).any(|at| glob(rest, &subject[at..])),
            Some((byte, rest)) => subject.first() == Some(byte) && glob(rest, &subject[1..]),
        }
    }

    proptest! {
        #[test]
        fn nothing_matches_that_a_glob_would_not(pattern in "[ab*]{0,7}", subject in "[ab]{0,7}") {
            let globs = glob(pattern.as_bytes(), subject.as_bytes());
            prop_assert!(globs || !matches(&pattern, &subject));
            let stars = pattern.matches('*').count();
            if stars == 0 || (stars == 1 && (pattern.starts_with('*') || pattern.ends_with('*'))) {
                let first_is_last = pattern.ends_with('*')
                    || subject.matches(pattern.trim_start_matches('*')).count() <= 1;
                if first_is_last && !pattern.starts_with('*') {
                    prop_assert_eq!(globs, matches(&pattern, &subject));
                }
            }
        }

        #[test]
        fn a_literal_matches_itself_and_nothing_else(text in ".{0,12}", other in ".{0,12}") {
            let pattern = literal(&text);
            prop_assert!(!pattern.contains('/') && !pattern.contains('*'));
            prop_assert!(matches(&pattern, &text));
            prop_assert_eq!(matches(&pattern, &other), text == other);
        }

        #[test]
        fn no_pattern_causes_a_panic(pattern in ".{0,20}", subject: Vec<u8>) {
            if let Some(pattern) = Wildcard::parse(&pattern) {
                pattern.matches(&subject);
            }
        }
    }
}
