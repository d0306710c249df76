//! Password hashes: argon2id for passwords that are set here, and RabbitMQ's own, so that definitions can be moved between the
//! two brokers.

mod argon;

pub(crate) use argon::HASH_MEMORY;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use rand::RngCore;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

const SALT_LEN: usize = 4;

/// The hashing algorithms, with the module names that RabbitMQ's definition files use. Those of RabbitMQ are one round over
/// salt and password.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum HashingAlgorithm {
    /// SHA-256, RabbitMQ's default, and that of hashes without a name.
    #[default]
    #[serde(rename = "rabbit_password_hashing_sha256")]
    Sha256,
    /// SHA-512.
    #[serde(rename = "rabbit_password_hashing_sha512")]
    Sha512,
    /// MD5, that of RabbitMQ before 3.6.
    #[serde(rename = "rabbit_password_hashing_md5")]
    Md5,
    /// argon2id, which takes an attacker time and memory for every guess. RabbitMQ does not have it.
    #[serde(rename = "leveret_password_hashing_argon2id")]
    Argon2id,
}

impl HashingAlgorithm {
    /// RabbitMQ's algorithms.
    #[cfg(test)]
    pub const OF_RABBITMQ: [HashingAlgorithm; 3] = [
        HashingAlgorithm::Sha256,
        HashingAlgorithm::Sha512,
        HashingAlgorithm::Md5,
    ];

    /// Returns whether hashing takes so long, and so much memory, that it is done on threads of its own.
    pub fn is_slow(self) -> bool {
        self == HashingAlgorithm::Argon2id
    }

    /// Returns the length of a salted digest in bytes.
    fn digest_len(self) -> usize {
        match self {
            HashingAlgorithm::Sha256 => Sha256::output_size(),
            HashingAlgorithm::Sha512 => Sha512::output_size(),
            HashingAlgorithm::Md5 => Md5::output_size(),
            HashingAlgorithm::Argon2id => 0,
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
            // Its hashes have another form.
            HashingAlgorithm::Argon2id => Vec::new(),
        }
    }
}

/// A hash and its algorithm: a PHC string for argon2id, else `base64(salt ++ digest(salt ++ password))` with a salt of four
/// bytes (RabbitMQ: Passwords).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash {
    #[serde(rename = "password_hash")]
    pub(super) text: String,
    /// The algorithm.
    #[serde(default, rename = "hashing_algorithm")]
    pub(super) algorithm: HashingAlgorithm,
}

impl PasswordHash {
    /// Hashes a password with a new random salt and RabbitMQ's default algorithm.
    pub fn of(password: &str) -> Self {
        Self::with(HashingAlgorithm::default(), password)
    }

    /// Returns the hash that no password has: its user cannot log in with one.
    pub fn none() -> Self {
        PasswordHash {
            text: String::new(),
            algorithm: HashingAlgorithm::default(),
        }
    }

    /// Hashes a password with a new random salt. Takes its time if the algorithm [is slow](HashingAlgorithm::is_slow).
    pub fn with(algorithm: HashingAlgorithm, password: &str) -> Self {
        if algorithm == HashingAlgorithm::Argon2id {
            let text = argon::hash(password);
            return PasswordHash { text, algorithm };
        }
        let mut salt = [0; SALT_LEN];
        rand::rng().fill_bytes(&mut salt);
        Self::with_salt(algorithm, password, salt)
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
        let decodes = || match algorithm {
            HashingAlgorithm::Argon2id => argon::is_valid(text),
            _ => {
                let length = SALT_LEN + algorithm.digest_len();
                STANDARD.decode(text).is_ok_and(|hash| hash.len() == length)
            }
        };
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

    /// Returns whether checking a password takes long.
    pub fn is_slow(&self) -> bool {
        self.algorithm.is_slow() && !self.text.is_empty()
    }

    /// Returns whether this is the password. Takes the same time for every password and hash of an algorithm,
    /// even if the hash cannot match. An empty password never matches (RabbitMQ refuses it as well).
    pub fn verifies(&self, password: &str) -> bool {
        if self.algorithm == HashingAlgorithm::Argon2id {
            return argon::verifies(&self.text, password) && !password.is_empty();
        }
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

    #[test]
    fn argon2id_hashes_carry_their_parameters_and_verify() {
        let hash = PasswordHash::with(HashingAlgorithm::Argon2id, "hare");
        assert!(hash.as_str().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(hash.verifies("hare") && !hash.verifies("rabbit") && !hash.verifies(""));
        let again = PasswordHash::parse(hash.as_str(), HashingAlgorithm::Argon2id);
        assert_eq!(again, Some(hash));
        let empty = PasswordHash::with(HashingAlgorithm::Argon2id, "");
        assert!(!empty.verifies(""));
        // Made by another implementation (argon2-cffi), with other parameters.
        let foreign = PasswordHash::parse(ARGON2ID_OF_HARE, HashingAlgorithm::Argon2id).unwrap();
        assert!(foreign.verifies("hare") && !foreign.verifies("rabbit"));
        for (name, refused) in [
            (
                "another algorithm",
                ARGON2ID_OF_HARE.replace("argon2id", "argon2i"),
            ),
            ("an old version", ARGON2ID_OF_HARE.replace("v=19", "v=16")),
            (
                "too much memory",
                ARGON2ID_OF_HARE.replace("m=1024", "m=4194304"),
            ),
            ("too many passes", ARGON2ID_OF_HARE.replace("t=3", "t=1000")),
            (
                "no text of this form",
                "kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR".to_owned(),
            ),
        ] {
            let parsed = PasswordHash::parse(&refused, HashingAlgorithm::Argon2id);
            assert_eq!(parsed, None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn a_password_and_no_other_verifies_with_every_algorithm(
            password in ".{1,20}",
            other in ".{0,20}",
            salt: [u8; SALT_LEN],
        ) {
            for algorithm in HashingAlgorithm::OF_RABBITMQ {
                let hash = PasswordHash::with_salt(algorithm, &password, salt);
                prop_assert!(hash.verifies(&password));
                prop_assert_eq!(hash.verifies(&other), password == other);
                let again = PasswordHash::parse(hash.as_str(), algorithm);
                prop_assert_eq!(again, Some(hash));
            }
        }

        #[test]
        fn any_stored_text_is_read_without_a_panic(text in ".{0,100}", password in ".{0,8}") {
            for algorithm in HashingAlgorithm::OF_RABBITMQ.into_iter().chain([HashingAlgorithm::Argon2id]) {
                let hash = PasswordHash { text: text.clone(), algorithm };
                let _ = hash.verifies(&password);
                let _ = PasswordHash::parse(&text, algorithm);
            }
        }
    }

    const MD5_OF_HARE: &str = "AQIDBC9sNtMpq0jYPGKq/P87dGY=";
    const ARGON2ID_OF_HARE: &str = "$argon2id$v=19$m=1024,t=3,p=2$MDEyMzQ1Njc4OWFiY2RlZg$LXkYv7ehu4lsmSqsC/8dCAttk8P63Xk1FubG4QLBt0g";
    const SHA512_OF_HARE: &str = "AQIDBPxZ9dINRo0L8lDHLIDfxryl4lOwNg3eD+E4WwlrP7lVWWCnnpj9cw+JDeI0lEkqlk4WYZLIvfkDcxQPgJr+JE8=";
}
