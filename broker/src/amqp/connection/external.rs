//! SASL EXTERNAL: who the client is was settled by its certificate (RabbitMQ: `rabbitmq_auth_mechanism_ssl`).

use super::Connection;
use crate::config::Mechanism;
use crate::domain::auth::LoginRefused;
use crate::domain::logins::LoginResult;

impl Connection {
    /// Returns whether this is the mechanism EXTERNAL, and it was offered. As in RabbitMQ it is also offered to clients that
    /// sent no certificate, so that the log can say what they lack.
    pub(super) fn is_external(&self, mechanism: &str) -> bool {
        let is_encrypted = self.info.ends.encryption.is_some();
        is_encrypted && self.broker.mechanisms().offered(mechanism) == Some(Mechanism::External)
    }

    /// Logs in the user whom the client's certificate names. Returns the name, too, which is empty if there is none.
    pub(super) fn log_in_by_certificate(&self) -> (String, LoginResult) {
        let user = match self.certified_user() {
            Ok(user) => user.to_owned(),
            Err(reason) => return (String::new(), Err(LoginRefused::Certificate(reason))),
        };
        let peer = self.info.ends.peer.ip();
        let login = self.broker.users.login_without_password(&user, peer);
        (user, login)
    }

    fn certified_user(&self) -> Result<&str, &'static str> {
        let encryption = self.info.ends.encryption.as_ref();
        let encryption = encryption.ok_or("the connection is not encrypted")?;
        let certificate = encryption.peer.as_ref().ok_or(
            "the client sent no certificate, or was not asked for one: tls_verify has to be verify_peer",
        )?;
        certificate.login_name()
    }
}
