//! The end of a login that does not last for ever: a token expires (RabbitMQ: `credential_expiry_timer`).

use super::{Connection, Phase};
use crate::domain::auth::Login;
use crate::domain::connections::log_connection;
use leveret_protocol::texts;
use std::time::Instant;

impl Connection {
    /// Takes the rights of a login, until it expires.
    pub(super) fn set_login(&mut self, login: Login) {
        self.credential_expires = login.expires_in().map(|left| Instant::now() + left);
        self.login = Some(login);
    }

    /// Closes the connection if its login has expired.
    pub(super) fn check_credential(&mut self, now: Instant) {
        let expired = self.credential_expires.is_some_and(|at| at <= now);
        if expired && self.phase == Phase::Running {
            self.credential_expires = None;
            log_connection!(
                warn,
                self.info,
                "closing connection: credential has expired"
            );
            self.fail_connection(&texts::connection_forced("credential expired"), now);
        }
    }
}
