//! Logging in without a password: somebody else has made sure who it is (SASL EXTERNAL).

use super::{Users, shown};
use crate::domain::auth::{Identity, KnownBy, Login, LoginRefused};
use std::net::IpAddr;

impl Users {
    /// Logs in the user whose name a checked certificate says.
    ///
    /// # Errors
    /// When there is no such user, or it may not log in from that address.
    pub fn login_without_password(&self, user: &str, peer: IpAddr) -> Result<Login, LoginRefused> {
        let accounts = self.accounts.read();
        let refused = || LoginRefused::InvalidCredentials(shown(user));
        let account = accounts.get(user).ok_or_else(refused)?;
        let login = Login {
            identity: Identity {
                name: user.into(),
                known_by: KnownBy::Account(account.id),
            },
            tags: account.record.tags.clone(),
        };
        drop(accounts);
        self.check_address(user, peer)?;
        Ok(login)
    }
}
