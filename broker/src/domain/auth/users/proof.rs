//! Passwords that were checked a moment ago, so that a client that logs in again and again costs one slow hash and not a
//! thousand.

use crate::domain::auth::{AccountId, PasswordHash};
use hmac::{Hmac, KeyInit, Mac};
use rand::RngCore;
use sha2::Sha256;
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

/// How long a checked password is remembered after it was last used.
const REMEMBERED: Duration = Duration::from_secs(300);

/// A key that nobody but this process has, so that what is remembered tells nothing about a password.
pub(super) struct ProofKey(Hmac<Sha256>);

/// That a password was right: a keyed hash of it. An account has at most one, which ends with the account or its hash.
pub(super) struct Proof {
    mac: [u8; 32],
    until: Instant,
}

impl ProofKey {
    /// Returns a random key.
    pub(super) fn new() -> Self {
        let mut key = [0; 64];
        rand::rng().fill_bytes(&mut key);
        ProofKey(Hmac::new(&key.into()))
    }

    /// Returns the proof that this password belongs to the account with this hash.
    pub(super) fn proof(
        &self,
        account: AccountId,
        hash: &PasswordHash,
        password: &str,
        now: Instant,
    ) -> Proof {
        let mut mac = self.0.clone();
        mac.update(&account.0.to_le_bytes());
        // The password is the rest, so the only length that could be in doubt is this.
        mac.update(&(hash.as_str().len() as u64).to_le_bytes());
        mac.update(hash.as_str().as_bytes());
        mac.update(password.as_bytes());
        Proof {
            mac: mac.finalize().into_bytes().into(),
            until: now + REMEMBERED,
        }
    }
}

impl Proof {
    /// Returns whether the two are of the same password, in the same time for all.
    pub(super) fn is_same(&self, other: &Proof) -> bool {
        bool::from(self.mac.ct_eq(&other.mac))
    }

    /// Returns whether it is still remembered.
    pub(super) fn is_fresh(&self, now: Instant) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::auth::HashingAlgorithm;
    use proptest::prelude::*;

    #[test]
    fn a_proof_ends() {
        let (key, now) = (ProofKey::new(), Instant::now());
        let hash = PasswordHash::of("hare");
        let proof = key.proof(AccountId(1), &hash, "hare", now);
        assert!(proof.is_fresh(now) && !proof.is_fresh(now + REMEMBERED));
    }

    proptest! {
        #[test]
        fn it_is_of_one_password_account_hash_and_process(
            one in (0u64..3, "[ab]{0,3}", "[ab]{0,3}"),
            other in (0u64..3, "[ab]{0,3}", "[ab]{0,3}"),
        ) {
            let (key, now) = (ProofKey::new(), Instant::now());
            let proof = |key: &ProofKey, (id, salt, password): &(u64, String, String)| {
                let hash = PasswordHash {
                    text: salt.clone(),
                    algorithm: HashingAlgorithm::Argon2id,
                };
                key.proof(AccountId(*id), &hash, password, now)
            };
            let same = proof(&key, &one).is_same(&proof(&key, &other));
            prop_assert_eq!(same, one == other);
            prop_assert!(!proof(&key, &one).is_same(&proof(&ProofKey::new(), &one)));
        }
    }
}
