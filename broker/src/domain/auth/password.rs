//! Password hashes in RabbitMQ's format, so that definitions can be moved between the two brokers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

const SALT_LEN: usize = 4;
const DIGEST_LEN: usize = 32;

/// The hashing algorithms, with the module names that RabbitMQ's definition files use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashingAlgorithm {
    /// RabbitMQ's default: one round of SHA-256 over salt and password.
    #[default]
    #[serde(rename = "rabbit_password_hashing_sha256")]
    Sha256,
}

/// `base64(salt ++ sha256(salt ++ password))` with a salt of four bytes (RabbitMQ: Passwords).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Hashes a password with a new random salt.
    pub fn of(password: &str) -> Self {
        let mut salt = [0; SALT_LEN];
        rand::rng().fill_bytes(&mut salt);
        Self::with_salt(password, salt)
    }

    fn with_salt(password: &str, salt: [u8; SALT_LEN]) -> Self {
        let mut bytes = Vec::with_capacity(SALT_LEN + DIGEST_LEN);
        bytes.extend_from_slice(&salt);
        bytes.extend_from_slice(&digest(password, &salt));
        PasswordHash(STANDARD.encode(bytes))
    }

    /// Parses a hash that was made by this broker or by RabbitMQ; returns `None` if it is invalid. The empty
    /// hash is valid, and means that the user cannot log in with a password.
    pub fn parse(text: &str) -> Option<Self> {
        let hash = PasswordHash(text.to_owned());
        (text.is_empty() || hash.parts().is_some()).then_some(hash)
    }

    /// Returns the hash as it is stored.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether this is the password. Takes the same time for every password and hash, even if the
    /// hash cannot match. An empty password never matches (RabbitMQ refuses it as well).
    pub fn verifies(&self, password: &str) -> bool {
        let (salt, expected) = self.parts().unwrap_or_default();
        let same = digest(password, &salt).ct_eq(&expected);
        // The digest of an unusable hash is all zeros, which is not the digest of any known password.
        bool::from(same) && !password.is_empty()
    }

    fn parts(&self) -> Option<([u8; SALT_LEN], [u8; DIGEST_LEN])> {
        let bytes = STANDARD.decode(&self.0).ok()?;
        let (salt, digest) = bytes.split_at_checked(SALT_LEN)?;
        Some((salt.try_into().ok()?, digest.try_into().ok()?))
    }
}

fn digest(password: &str, salt: &[u8; SALT_LEN]) -> [u8; DIGEST_LEN] {
    Sha256::new()
        .chain_update(salt)
        .chain_update(password.as_bytes())
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_from_the_rabbitmq_guide_verifies() {
        // RabbitMQ: Passwords, "Computing Password Hash": test12 salted with 908DC60A.
        let hash = PasswordHash::with_salt("test12", [0x90, 0x8D, 0xC6, 0x0A]);
        assert_eq!(
            hash.as_str(),
            "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
        );
        assert!(hash.verifies("test12"));
        assert!(!hash.verifies("test13"));
    }

    #[test]
    fn salts_differ_and_nothing_else_verifies() {
        let (one, two) = (PasswordHash::of("hare"), PasswordHash::of("hare"));
        assert_ne!(one, two);
        assert!(one.verifies("hare") && two.verifies("hare"));
        assert!(!one.verifies("") && !PasswordHash::of("").verifies(""));
        let none = PasswordHash::parse("").unwrap();
        assert!(!none.verifies("") && !none.verifies("x"));
        assert!(PasswordHash::parse("nonsense").is_none());
    }
}
