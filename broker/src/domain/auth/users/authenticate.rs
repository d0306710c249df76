//! Checking the passwords of the broker's own users.
//!
//! Timing must not tell who exists. A refusal takes as long for an unknown user as for a known one: where passwords that are
//! set here get argon2id, each refusal costs one such hash, also for a user whose imported hash needs none. Only right
//! passwords are quicker, when their hash is imported or was checked a moment ago.

use super::proof::Proof;
use super::{Account, Users, shown};
use crate::config::{Config, PasswordHashing};
use crate::domain::auth::backend::Attempt;
use crate::domain::auth::{
    AccountId, Change, Credentials, HashingAlgorithm, Identity, KnownBy, Login, LoginRefused,
    PasswordHash,
};
use std::net::IpAddr;
use std::sync::LazyLock;
use std::time::Instant;

/// The hashes that the password of an unknown user is compared with, so that it takes the same time.
static DUMMY_HASH: LazyLock<PasswordHash> = LazyLock::new(|| PasswordHash::of("nobody"));
const DUMMY_ARGON2ID: &str = "$argon2id$v=19$m=19456,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$1LrQ0fVhUcVv5x2l7fF5Ej9EJ3CVLzkGxHDxb0q6yBw";

/// How passwords are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// The algorithm for new passwords.
    pub algorithm: HashingAlgorithm,
    /// Whether hashes of other algorithms are replaced at their owners' next logins.
    pub upgrade: bool,
}

impl From<&Config> for PasswordPolicy {
    fn from(config: &Config) -> Self {
        PasswordPolicy {
            algorithm: match config.password_hashing_module {
                PasswordHashing::Argon2id => HashingAlgorithm::Argon2id,
                PasswordHashing::Sha256 => HashingAlgorithm::Sha256,
                PasswordHashing::Sha512 => HashingAlgorithm::Sha512,
                PasswordHashing::Md5 => HashingAlgorithm::Md5,
            },
            upgrade: config.upgrade_password_hashes,
        }
    }
}

/// What was found of a user.
struct Found {
    id: AccountId,
    hash: PasswordHash,
    /// The password was checked a moment ago.
    is_proven: bool,
}

impl Users {
    /// Returns how passwords are stored.
    pub fn password_policy(&self) -> PasswordPolicy {
        *self.password_policy.read()
    }

    /// Sets how passwords are stored from now on.
    pub fn set_password_policy(&self, policy: PasswordPolicy) {
        // Not at the first failed login, which would then take a little longer.
        LazyLock::force(&DUMMY_HASH);
        *self.password_policy.write() = policy;
    }

    /// Hashes a new password. May take long.
    pub fn hash_password(&self, password: &str) -> PasswordHash {
        PasswordHash::with(self.password_policy().algorithm, password)
    }

    /// Checks a login if that takes no slow hash; returns `None` if it does.
    pub fn authenticate_at_once(&self, attempt: &Attempt) -> Option<Result<Login, LoginRefused>> {
        let given = attempt.credentials();
        let found = self.look_up(given);
        match &found {
            Some(found) if found.is_proven => {}
            Some(found) if found.hash.is_slow() => return None,
            _ => {
                let hash = found.as_ref().map_or(&*DUMMY_HASH, |found| &found.hash);
                if !hash.verifies(given.password) || found.is_none() {
                    let takes_longer = self.password_policy().algorithm.is_slow();
                    let refused = Err(LoginRefused::InvalidCredentials(shown(given.user)));
                    return (!takes_longer).then_some(refused);
                }
            }
        }
        let found = found?;
        if !found.is_proven {
            self.remember(given, &found);
        }
        Some(self.log_in(given, &found.hash, found.id))
    }

    /// Checks a password, whatever the address. Blocks for as long as it takes to compute a hash.
    ///
    /// # Errors
    /// [`LoginRefused::InvalidCredentials`].
    pub fn authenticate(&self, given: Credentials<'_>) -> Result<Login, LoginRefused> {
        // Hashing is done outside the lock, so that a flood of logins does not block administrators. Many clients of one
        // user may come together; when the first has been checked, so have they.
        let found = self.look_up(given);
        let is_right = match &found {
            Some(found) => found.is_proven || found.hash.verifies(given.password),
            None => {
                let _ = DUMMY_HASH.verifies(given.password);
                false
            }
        };
        match found {
            Some(found) if is_right => {
                self.remember(given, &found);
                self.log_in(given, &found.hash, found.id)
            }
            found => {
                let has_hashed = found.is_some_and(|found| found.hash.is_slow());
                if !has_hashed && self.password_policy().algorithm.is_slow() {
                    let dummy = PasswordHash::parse(DUMMY_ARGON2ID, HashingAlgorithm::Argon2id);
                    let _ = dummy.is_some_and(|dummy| dummy.verifies(given.password));
                }
                Err(LoginRefused::InvalidCredentials(shown(given.user)))
            }
        }
    }

    /// Checks that the user may log in from an address.
    ///
    /// # Errors
    /// [`LoginRefused::LoopbackOnly`].
    pub fn check_address(&self, user: &str, peer: IpAddr) -> Result<(), LoginRefused> {
        let is_local = peer.to_canonical().is_loopback();
        let is_bound = || self.loopback_users.read().iter().any(|name| name == user);
        match !is_local && is_bound() {
            true => Err(LoginRefused::LoopbackOnly(shown(user))),
            false => Ok(()),
        }
    }

    /// Returns the hash that a user who has logged in should have instead of its present one, if that is so. Takes long.
    pub fn upgraded_hash(&self, given: Credentials<'_>) -> Option<PasswordHash> {
        let policy = self.password_policy();
        self.is_to_be_upgraded(given.user)
            .then(|| PasswordHash::with(policy.algorithm, given.password))
    }

    /// Returns whether the user's hash is to be replaced at a login.
    pub fn is_to_be_upgraded(&self, user: &str) -> bool {
        let policy = self.password_policy();
        policy.upgrade && policy.algorithm.is_slow() && {
            let accounts = self.accounts.read();
            accounts
                .get(user)
                .is_some_and(|account| !account.record.password.algorithm().is_slow())
        }
    }

    /// Replaces the hash of a password that was right a moment ago, and returns what to store; `None` if the password has
    /// been changed, or the user deleted.
    pub fn upgrade_password(&self, given: Credentials<'_>, hash: PasswordHash) -> Option<Change> {
        // Again, for the hash that is there now.
        let before = self
            .accounts
            .read()
            .get(given.user)?
            .record
            .password
            .clone();
        if before.is_slow() || !before.verifies(given.password) {
            return None;
        }
        let mut accounts = self.accounts.write();
        let account = accounts.get_mut(given.user)?;
        if account.record.password != before {
            return None;
        }
        account.record.password = hash;
        let record = account.record.clone();
        self.changed();
        Some(Change::PutUser(record))
    }

    /// Returns whether the password was right a moment ago.
    pub fn is_proven(&self, given: Credentials<'_>) -> bool {
        let accounts = self.accounts.read();
        let account = accounts.get(given.user);
        account.is_some_and(|account| self.has_proven(account, given))
    }

    fn look_up(&self, given: Credentials<'_>) -> Option<Found> {
        let accounts = self.accounts.read();
        let account = accounts.get(given.user)?;
        let hash = account.record.password.clone();
        let is_proven = self.has_proven(account, given);
        Some(Found {
            id: account.id,
            hash,
            is_proven,
        })
    }

    /// Returns whether the password was checked a moment ago, and remembers it for longer then.
    fn has_proven(&self, account: &Account, given: Credentials<'_>) -> bool {
        let now = Instant::now();
        let mut known = account.proof.lock();
        if known.as_ref().is_none_or(|proof| !proof.is_fresh(now)) {
            *known = None;
            return false;
        }
        let hash = &account.record.password;
        let offered: Proof = self.proof_key.proof(account.id, hash, given.password, now);
        let is_same = known.as_ref().is_some_and(|proof| proof.is_same(&offered));
        if is_same {
            *known = Some(offered);
        }
        is_same
    }

    /// Remembers that the password is right.
    fn remember(&self, given: Credentials<'_>, found: &Found) {
        let now = Instant::now();
        let proof = self
            .proof_key
            .proof(found.id, &found.hash, given.password, now);
        let accounts = self.accounts.read();
        if let Some(account) = accounts.get(given.user)
            && account.id == found.id
            && account.record.password == found.hash
        {
            *account.proof.lock() = Some(proof);
        }
    }

    /// Logs in a user whose password was right, unless it was deleted or its password changed meanwhile.
    fn log_in(
        &self,
        given: Credentials<'_>,
        hash: &PasswordHash,
        id: AccountId,
    ) -> Result<Login, LoginRefused> {
        let accounts = self.accounts.read();
        let account = accounts.get(given.user);
        let account = account.filter(|now| now.id == id && now.record.password == *hash);
        let refused = || LoginRefused::InvalidCredentials(shown(given.user));
        let tags = account.ok_or_else(refused)?.record.tags.clone();
        let identity = Identity {
            name: given.user.into(),
            known_by: KnownBy::Account(id),
        };
        Ok(Login { identity, tags })
    }

    /// Returns the number of passwords that are remembered as checked.
    #[cfg(test)]
    pub(in crate::domain) fn proofs(&self) -> usize {
        let accounts = self.accounts.read();
        let proofs = accounts.values().filter(|one| one.proof.lock().is_some());
        proofs.count()
    }

    /// Lets all remembered passwords be forgotten.
    #[cfg(test)]
    pub(in crate::domain) fn forget_proofs(&self) {
        for account in self.accounts.read().values() {
            *account.proof.lock() = None;
        }
    }
}
