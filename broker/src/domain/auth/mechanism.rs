//! The SASL mechanisms that clients are offered (RabbitMQ: "Access Control").

use super::Credentials;
use crate::config::{Mechanism, Secret};

/// The mechanisms that a broker offers, and the user for ANONYMOUS logins.
#[derive(Clone, Debug)]
pub struct Mechanisms {
    offered: Vec<Mechanism>,
    anonymous: Option<(String, Secret)>,
}

impl Default for Mechanisms {
    /// Returns the mechanisms with a password.
    fn default() -> Self {
        Mechanisms::new(&[Mechanism::Plain, Mechanism::AmqPlain], None)
    }
}

impl Mechanisms {
    /// Offers the configured mechanisms that can be used: ANONYMOUS needs a user, whose password is checked
    /// like any other (`rabbit_auth_mechanism_anonymous`).
    pub fn new(configured: &[Mechanism], anonymous: Option<(String, Secret)>) -> Self {
        let usable = |one: &Mechanism| *one != Mechanism::Anonymous || anonymous.is_some();
        let wanted = |one: &Mechanism| configured.contains(one) && usable(one);
        Mechanisms {
            offered: Mechanism::ALL.into_iter().filter(wanted).collect(),
            anonymous,
        }
    }

    /// Returns the names of the mechanisms that are offered on a connection, separated by spaces: EXTERNAL is where there can
    /// be a certificate.
    pub fn names(&self, is_encrypted: bool) -> String {
        let offered = self.offered.iter();
        let offered = offered.filter(|one| is_encrypted || **one != Mechanism::External);
        let names: Vec<&str> = offered.map(|one| one.name()).collect();
        names.join(" ")
    }

    /// Returns the mechanism with this name, if it is offered.
    pub fn offered(&self, name: &str) -> Option<Mechanism> {
        self.offered.iter().copied().find(|one| one.name() == name)
    }

    /// Returns the credentials for ANONYMOUS logins; `None` if they are not offered.
    pub fn anonymous(&self) -> Option<Credentials<'_>> {
        self.offered(Mechanism::Anonymous.name())?;
        let (user, password) = self.anonymous.as_ref()?;
        let password = password.expose();
        Some(Credentials { user, password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anonymous_is_offered_where_it_is_asked_for_and_stands_for_a_user() {
        let user = || Some(("guest".to_owned(), Secret::from("guest")));
        let names = |configured: &[Mechanism], user| Mechanisms::new(configured, user).names(false);
        assert_eq!(Mechanisms::default().names(true), "PLAIN AMQPLAIN");
        let two = [Mechanism::AmqPlain, Mechanism::Plain];
        assert_eq!(names(&two, user()), "PLAIN AMQPLAIN");
        assert!(Mechanisms::new(&two, user()).anonymous().is_none());
        let all = Mechanism::ALL;
        assert_eq!(names(&all, user()), "PLAIN AMQPLAIN ANONYMOUS");
        assert_eq!(names(&all, None), "PLAIN AMQPLAIN");
        assert_eq!(names(&[Mechanism::Anonymous], user()), "ANONYMOUS");
        let given = Mechanisms::new(&all, user());
        assert_eq!(given.names(true), "PLAIN AMQPLAIN ANONYMOUS EXTERNAL");
        assert_eq!(given.anonymous().unwrap().user, "guest");
        assert_eq!(given.offered("ANONYMOUS"), Some(Mechanism::Anonymous));
        assert_eq!(given.offered("anonymous"), None);
    }
}
