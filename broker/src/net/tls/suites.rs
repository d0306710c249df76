//! The cipher suites, with the words that RabbitMQ's tools have for them.

use super::config::provider;
use rustls::CipherSuite;

/// A cipher suite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Suite {
    id: CipherSuite,
    /// OpenSSL's name.
    pub openssl: &'static str,
    /// Erlang's word for the key exchange.
    pub key_exchange: &'static str,
    /// Erlang's word for the cipher.
    pub cipher: &'static str,
    /// Erlang's word for the hash that secrets are derived with.
    pub prf: &'static str,
}

/// Erlang's word for what authenticates a message: all ciphers do so themselves.
pub const MAC: &str = "aead";
/// The versions of TLS, newest first.
pub const VERSIONS: [&str; 2] = ["tlsv1.3", "tlsv1.2"];

const fn suite(
    id: CipherSuite,
    openssl: &'static str,
    key_exchange: &'static str,
    cipher: &'static str,
    prf: &'static str,
) -> Suite {
    Suite {
        id,
        openssl,
        key_exchange,
        cipher,
        prf,
    }
}

#[rustfmt::skip] // A table reads better as a table.
const KNOWN: [Suite; 9] = [
    suite(CipherSuite::TLS13_AES_256_GCM_SHA384, "TLS_AES_256_GCM_SHA384", "any", "aes_256_gcm", "sha384"),
    suite(CipherSuite::TLS13_AES_128_GCM_SHA256, "TLS_AES_128_GCM_SHA256", "any", "aes_128_gcm", "sha256"),
    suite(CipherSuite::TLS13_CHACHA20_POLY1305_SHA256, "TLS_CHACHA20_POLY1305_SHA256", "any", "chacha20_poly1305", "sha256"),
    suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, "ECDHE-ECDSA-AES256-GCM-SHA384", "ecdhe_ecdsa", "aes_256_gcm", "sha384"),
    suite(CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, "ECDHE-RSA-AES256-GCM-SHA384", "ecdhe_rsa", "aes_256_gcm", "sha384"),
    suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, "ECDHE-ECDSA-AES128-GCM-SHA256", "ecdhe_ecdsa", "aes_128_gcm", "sha256"),
    suite(CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, "ECDHE-RSA-AES128-GCM-SHA256", "ecdhe_rsa", "aes_128_gcm", "sha256"),
    suite(CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-ECDSA-CHACHA20-POLY1305", "ecdhe_ecdsa", "chacha20_poly1305", "sha256"),
    suite(CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, "ECDHE-RSA-CHACHA20-POLY1305", "ecdhe_rsa", "chacha20_poly1305", "sha256"),
];

impl Suite {
    /// Returns the suite with this number.
    pub(super) fn of(id: CipherSuite) -> Option<&'static Suite> {
        KNOWN.iter().find(|suite| suite.id == id)
    }

    /// Returns all suites, in the order of preference.
    pub fn all() -> Vec<&'static Suite> {
        let supported = &provider().cipher_suites;
        supported
            .iter()
            .filter_map(|suite| Suite::of(suite.suite()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_suite_that_is_supported_has_names() {
        assert_eq!(Suite::all().len(), provider().cipher_suites.len());
    }
}
