//! The version, as people read it.

/// The version with the commit that the program was built from and its date, where they are known: `0.1.0 (1a2b3c4d5e6f
/// 2026-12-01)`. Programs compare `CARGO_PKG_VERSION`, which has neither.
pub const FULL_VERSION: &str = env!("LEVERET_VERSION");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_comes_first() {
        let (version, commit) = match FULL_VERSION.split_once(" (") {
            Some((version, commit)) => (version, commit.strip_suffix(')')),
            None => (FULL_VERSION, Some("")),
        };
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
        assert!(commit.is_some(), "{FULL_VERSION}");
    }
}
