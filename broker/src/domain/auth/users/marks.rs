//! Logins that outlast the request that brought the password: whether they are still good, and with which tags.

use super::Users;
use super::rights::account_of;
use crate::domain::auth::{KnownBy, Login};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Tells the passwords that a user has had apart, and nothing else about them. One that is only hashed anew is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordMark(u64);

impl Users {
    /// Returns a mark that no password has had.
    pub(super) fn next_mark(&self) -> PasswordMark {
        PasswordMark(self.next_mark.fetch_add(1, Ordering::Relaxed))
    }

    /// Returns the mark of a user's password. Take it before the password is checked, so that one that is changed meanwhile
    /// has another.
    pub fn password_mark(&self, name: &str) -> Option<PasswordMark> {
        let accounts = self.accounts.read();
        accounts.get(name).map(|account| account.password_mark)
    }

    /// Returns a login with the tags that its user has now; `None` if the account is gone or its password is not the marked
    /// one any more. Users whom a backend knows keep the tags of their login until their rights end: nobody can ask the
    /// backend again without their password.
    pub fn still_logged_in(&self, login: &Login, mark: Option<PasswordMark>) -> Option<Login> {
        let mut login = login.clone();
        match &login.identity.known_by {
            KnownBy::Account(id) => {
                let accounts = self.accounts.read();
                let account = account_of(&accounts, &login.identity, *id)?;
                if Some(account.password_mark) != mark {
                    return None;
                }
                login.tags.clone_from(&account.record.tags);
            }
            KnownBy::Backend(_) if login.expires_in() == Some(Duration::ZERO) => return None,
            KnownBy::Backend(_) => {}
        }
        Some(login)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::auth::{Credentials, HashingAlgorithm, PasswordHash, PasswordPolicy};

    const GIVEN: Credentials<'static> = Credentials {
        user: "hare",
        password: "hare",
    };

    fn users() -> Users {
        let users = Users::new(Vec::new());
        let added = users.add_user("hare", PasswordHash::of("hare"), &[]);
        added.unwrap();
        users
    }

    #[test]
    fn a_login_has_the_tags_of_now_and_ends_with_its_password() {
        let users = users();
        let mark = users.password_mark("hare");
        let login = users.authenticate(GIVEN).unwrap();
        assert!(users.still_logged_in(&login, mark).unwrap().tags.is_empty());
        let tags = ["monitoring".to_owned()];
        users.set_tags("hare", &tags).unwrap();
        assert_eq!(users.still_logged_in(&login, mark).unwrap().tags, tags);
        assert!(users.still_logged_in(&login, None).is_none());
        users
            .change_password("hare", PasswordHash::of("hare"))
            .unwrap();
        assert!(users.still_logged_in(&login, mark).is_none());
        let again = users.password_mark("hare");
        assert!(users.still_logged_in(&login, again).is_some());
    }

    #[test]
    fn a_login_ends_with_its_account_even_if_another_has_the_name() {
        let users = users();
        let login = users.authenticate(GIVEN).unwrap();
        users.delete_user("hare").unwrap();
        assert!(users.password_mark("hare").is_none());
        assert!(users.still_logged_in(&login, None).is_none());
        let added = users.add_user("hare", PasswordHash::of("hare"), &[]);
        added.unwrap();
        let mark = users.password_mark("hare");
        assert!(users.still_logged_in(&login, mark).is_none());
    }

    #[test]
    fn a_password_that_is_hashed_anew_is_the_same() {
        let users = users();
        users.set_password_policy(PasswordPolicy {
            algorithm: HashingAlgorithm::Argon2id,
            upgrade: true,
        });
        let mark = users.password_mark("hare");
        let login = users.authenticate(GIVEN).unwrap();
        let hash = users.upgraded_hash(GIVEN).unwrap();
        assert!(users.upgrade_password(GIVEN, hash).is_some());
        assert!(users.still_logged_in(&login, mark).is_some());
    }
}
