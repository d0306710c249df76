//! Password hashes in RabbitMQ's format, so that definitions can be moved between the two brokers.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

const SALT_LEN: usize = 4;

/// The hashing algorithms, with the module names that RabbitMQ's definition files use: one round over salt and
/// password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashingAlgorithm {
    /// SHA-256, RabbitMQ's default, and the algorithm of new passwords.
    #[default]
    #[serde(rename = "rabbit_password_hashing_sha256")]
    Sha256,
    /// SHA-512.
    #[serde(rename = "rabbit_password_hashing_sha512")]
    Sha512,
    /// MD5, that of RabbitMQ before 3.6.
    #[serde(rename = "rabbit_password_hashing_md5")]
    Md5,
}

impl HashingAlgorithm {
    /// Every algorithm.
    pub const ALL: [HashingAlgorithm; 3] = [
        HashingAlgorithm::Sha256,
        HashingAlgorithm::Sha512,
        HashingAlgorithm::Md5,
    ];

    /// Returns the length of a digest in bytes.
    fn digest_len(self) -> usize {
        match self {
            HashingAlgorithm::Sha256 => Sha256::output_size(),
            HashingAlgorithm::Sha512 => Sha512::output_size(),
            HashingAlgorithm::Md5 => Md5::output_size(),
        }
    }

    fn digest(self, salt: &[u8], password: &str) -> Vec<u8> {
        fn digest<D: Digest>(salt: &[u8], password: &str) -> Vec<u8> {
            let salted = D::new().chain_update(salt).chain_update(password);
            salted.finalize().to_vec()
        }
        match self {
            HashingAlgorithm::Sha256 => digest::<Sha256>(salt, password),
            HashingAlgorithm::Sha512 => digest::<Sha512>(salt, password),
            HashingAlgorithm::Md5 => digest::<Md5>(salt, password),
        }
    }
}

/// `base64(salt ++ digest(salt ++ password))` with a salt of four bytes, and the algorithm of the digest (RabbitMQ:
/// Passwords).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash {
    #[serde(rename = "password_hash")]
    text: String,
    /// The algorithm.
    #[serde(default, rename = "hashing_algorithm")]
    algorithm: HashingAlgorithm,
}

impl PasswordHash {
    /// Hashes a password with a new random salt and the default algorithm.
    pub fn of(password: &str) -> Self {
        let mut salt = [0; SALT_LEN];
        rand::rng().fill_bytes(&mut salt);
        Self::with_salt(HashingAlgorithm::default(), password, salt)
    }

    fn with_salt(algorithm: HashingAlgorithm, password: &str, salt: [u8; SALT_LEN]) -> Self {
        let mut bytes = salt.to_vec();
        bytes.extend_from_slice(&algorithm.digest(&salt, password));
        PasswordHash {
            text: STANDARD.encode(bytes),
            algorithm,
        }
    }

    /// Parses a hash that was made by this broker or by RabbitMQ; returns `None` if no password can have it. The
    /// empty hash is valid, and means that the user cannot log in with a password.
    pub fn parse(text: &str, algorithm: HashingAlgorithm) -> Option<Self> {
        let length = SALT_LEN + algorithm.digest_len();
        let decodes = || STANDARD.decode(text).is_ok_and(|hash| hash.len() == length);
        let valid = text.is_empty() || decodes();
        valid.then(|| PasswordHash {
            text: text.to_owned(),
            algorithm,
        })
    }

    /// Returns the hash as it is stored.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns its algorithm.
    pub fn algorithm(&self) -> HashingAlgorithm {
        self.algorithm
    }

    /// Returns whether this is the password. Takes the same time for every password and hash of an algorithm,
    /// even if the hash cannot match. An empty password never matches (RabbitMQ refuses it as well).
    pub fn verifies(&self, password: &str) -> bool {
        let hash = STANDARD.decode(&self.text).unwrap_or_default();
        // No digest is empty, so an unusable hash matches nothing.
        let unusable = (&[0; SALT_LEN][..], &[][..]);
        let (salt, expected) = hash.split_at_checked(SALT_LEN).unwrap_or(unusable);
        let same = self.algorithm.digest(salt, password).ct_eq(expected);
        bool::from(same) && !password.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_hash_from_the_rabbitmq_guide_verifies() {
        // RabbitMQ: Passwords, "Computing Password Hash": test12 salted with 908DC60A.
        let salt = [0x90, 0x8D, 0xC6, 0x0A];
        let hash = PasswordHash::with_salt(HashingAlgorithm::Sha256, "test12", salt);
        assert_eq!(
            hash.as_str(),
            "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR"
        );
        assert!(hash.verifies("test12"));
        assert!(!hash.verifies("test13"));
    }

    #[test]
    fn hashes_of_the_other_algorithms_verify() {
        // Computed with Python's hashlib: "hare" salted with 01020304.
        for (algorithm, text) in [
            (HashingAlgorithm::Md5, MD5_OF_HARE),
            (HashingAlgorithm::Sha512, SHA512_OF_HARE),
        ] {
            let hash = PasswordHash::parse(text, algorithm).unwrap();
            assert!(hash.verifies("hare") && !hash.verifies("rabbit"));
            assert_eq!(hash.algorithm(), algorithm);
            assert!(PasswordHash::parse(text, HashingAlgorithm::Sha256).is_none());
        }
    }

    #[test]
    fn salts_differ_and_nothing_else_verifies() {
        let (one, two) = (PasswordHash::of("hare"), PasswordHash::of("hare"));
        assert_ne!(one, two);
        assert!(one.verifies("hare") && two.verifies("hare"));
        assert!(!one.verifies("") && !PasswordHash::of("").verifies(""));
        let none = PasswordHash::parse("", HashingAlgorithm::Md5).unwrap();
        assert!(!none.verifies("") && !none.verifies("x"));
        assert!(PasswordHash::parse("nonsense", HashingAlgorithm::Sha256).is_none());
    }

    proptest! {
        #[test]
        fn a_password_and_no_other_verifies_with_every_algorithm(
            password in ".{1,20}",
            other in ".{0,20}",
            salt: [u8; SALT_LEN],
        ) {
            for algorithm in HashingAlgorithm::ALL {
                let hash = PasswordHash::with_salt(algorithm, &password, salt);
                prop_assert!(hash.verifies(&password));
                prop_assert_eq!(hash.verifies(&other), password == other);
                let again = PasswordHash::parse(hash.as_str(), algorithm);
                prop_assert_eq!(again, Some(hash));
            }
        }

        #[test]
        fn any_stored_text_is_read_without_a_panic(text in ".{0,100}", password in ".{0,8}") {
            for algorithm in HashingAlgorithm::ALL {
                let hash = PasswordHash { text: text.clone(), algorithm };
                let _ = hash.verifies(&password);
                let _ = PasswordHash::parse(&text, algorithm);
            }
        }
    }

    const MD5_OF_HARE: &str = "AQIDBC9sNtMpq0jYPGKq/P87dGY=";
    const SHA512_OF_HARE: &str = "AQIDBPxZ9dINRo0L8lDHLIDfxryl4lOwNg3eD+E4WwlrP7lVWWCnnpj9cw+JDeI0lEkqlk4WYZLIvfkDcxQPgJr+JE8=";
}
