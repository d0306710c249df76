//! What a new broker has: a virtual host, and an administrator whose password nobody can guess from the network.

use super::RecoveryError;
use crate::config::{Config, DEFAULT_USER};
use crate::domain::auth::{Credentials, Permission};
use crate::domain::broker::Broker;
use crate::domain::vhost::spec::{VhostMetadata, VhostSpec};
use leveret_storage::Store;

/// What anybody tries first, and what examples of settings say, beside nothing and the user's own name.
const GUESSES: [&str; 12] = [
    DEFAULT_USER,
    "password",
    "passw0rd",
    "admin",
    "rabbitmq",
    "leveret",
    "changeme",
    "change me",
    "secret",
    "test",
    "123456",
    "12345678",
];

/// Gives the cluster its id, and a broker that is new or was reset the default virtual host and user, unless definitions are
/// loaded. Returns when they are stored.
///
/// # Errors
/// See [`RecoveryError`].
pub fn add_defaults(broker: &Broker, config: &Config) -> Result<(), RecoveryError> {
    let mut fx = broker.effects(None);
    broker.seed_cluster_id(&mut fx);
    fx.perform();
    if broker.is_new() && config.load_definitions.is_none() {
        create_defaults(broker, config)?;
        broker.store.as_ref().map_or(Ok(()), Store::flush)?;
    }
    Ok(())
}

fn create_defaults(broker: &Broker, config: &Config) -> Result<(), RecoveryError> {
    let (name, password) = (config.default_user.as_str(), config.default_pass.expose());
    if is_guessable(name, password) && !is_local(broker, name) {
        if config.is_reachable() {
            return Err(RecoveryError::GuessableDefaultUser(name.to_owned()));
        }
        tracing::warn!(
            user = name,
            "the default user has a password that anybody guesses: before others can connect, change it with leveretctl \
             change_password, or list the user in loopback_users; for new data directories set default_pass or \
             default_pass_file"
        );
    }
    let mut fx = broker.effects(None);
    broker.add_vhost(
        VhostSpec {
            name: config.default_vhost.as_str().into(),
            metadata: VhostMetadata {
                description: "Default virtual host".to_owned(),
                ..VhostMetadata::default()
            },
        },
        &mut fx,
    );
    let hash = broker.users.hash_password(password);
    let change = broker
        .users
        .add_user(name, hash, &config.default_user_tags)?;
    broker.store_change(change, &mut fx);
    let change = broker.users.set_permissions(Permission {
        user: name.to_owned(),
        vhost: config.default_vhost.clone(),
        configure: config.default_permissions_configure.clone(),
        write: config.default_permissions_write.clone(),
        read: config.default_permissions_read.clone(),
    })?;
    broker.store_change(change, &mut fx);
    fx.perform();
    Ok(())
}

/// Returns whether a password is among the first that anybody tries.
fn is_guessable(user: &str, password: &str) -> bool {
    // Not only of ASCII: a user's name may have other letters.
    let password = password.to_lowercase();
    password.is_empty() || password == user.to_lowercase() || GUESSES.contains(&&*password)
}

/// Returns whether a user may log in from this machine only.
fn is_local(broker: &Broker, user: &str) -> bool {
    let elsewhere = [192, 0, 2, 1].into();
    broker.users.check_address(user, elsewhere).is_err()
}

/// Logs a warning if guest still has its password and may log in from anywhere.
pub(super) fn warn_of_guessable_passwords(broker: &Broker) {
    let guest = Credentials {
        user: DEFAULT_USER,
        password: DEFAULT_USER,
    };
    if is_local(broker, DEFAULT_USER) || broker.users.user(DEFAULT_USER).is_none() {
        return;
    }
    if broker.users.authenticate(guest).is_ok() {
        tracing::warn!(
            user = DEFAULT_USER,
            "this user may log in from other machines (loopback_users does not list it) with a password that everybody \
             knows: change it with leveretctl change_password, delete the user, or add it to loopback_users"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Limits, ListenerSpecs};

    fn started(config: &Config) -> Result<Broker, RecoveryError> {
        let broker = Broker::new(Limits::default(), config.loopback_users.clone(), None);
        add_defaults(&broker, config).map(|()| broker)
    }

    fn config(user: &str, password: &str) -> Config {
        Config {
            default_user: user.to_owned(),
            default_pass: password.into(),
            ..Config::with_data_dir(std::env::temp_dir())
        }
    }

    #[test]
    fn nobody_can_guess_the_administrator_of_a_new_broker_from_the_network() {
        for (user, password) in [
            ("admin", "admin"),
            ("admin", "guest"),
            ("guest", "guest"),
            ("hare", ""),
            ("hare", "Change Me"),
            ("häsin", "HÄSIN"),
        ] {
            let mut config = config(user, password);
            config.loopback_users = Vec::new();
            assert!(started(&config).is_ok());
            config.bind = [0, 0, 0, 0].into();
            let text = started(&config).err().unwrap().to_string();
            assert!(text.contains(&format!("default user '{user}'")), "{text}");
            config.loopback_users = vec![user.to_owned()];
            assert!(started(&config).is_ok());
        }
        for (user, password) in [("guest", "guest"), ("admin", "q7Hn2")] {
            let mut config = config(user, password);
            config.bind = [0, 0, 0, 0].into();
            assert!(started(&config).is_ok());
        }
    }

    #[test]
    fn every_listener_on_which_users_log_in_counts() {
        let specs = |text: &str| text.parse::<ListenerSpecs>().unwrap().0;
        let local = "localhost:1,amqps://127.0.0.2:2,[::1]:3,unix:/run/x";
        for (amqp, management, is_reachable) in [
            (local, "localhost:1", false),
            ("amqps://[::]:1", "localhost:1", true),
            ("hare.example.com:1", "localhost:1", true),
            (local, "localhost:1,https://192.0.2.1:2", true),
        ] {
            let mut config = config("admin", "admin");
            config.listeners = specs(amqp);
            config.management_listeners = specs(management);
            assert_eq!(started(&config).is_err(), is_reachable, "{amqp}");
            config.listeners = specs(local);
            config.management = false;
            assert!(started(&config).is_ok());
        }
        let mut config = config("admin", "admin");
        config.management_bind = [192, 0, 2, 1].into();
        assert!(started(&config).is_err());
    }

    #[test]
    fn the_default_user_may_use_the_default_virtual_host() {
        let mut config = config("hare", "field");
        config.default_vhost = "meadow".to_owned();
        let broker = started(&config).unwrap();
        let names: Vec<_> = broker
            .vhosts()
            .iter()
            .map(|one| one.name().to_string())
            .collect();
        assert_eq!(names, ["meadow"]);
        let permission = &broker.users.permissions_of("hare").unwrap()[0];
        assert_eq!(permission.vhost, "meadow");
        assert_eq!(
            [&permission.configure, &permission.write, &permission.read],
            [".*"; 3]
        );
        assert_eq!(broker.users.user("hare").unwrap().tags, ["administrator"]);
    }

    #[test]
    fn the_default_user_has_the_tags_and_permissions_that_are_set() {
        let mut config = config("hare", "field");
        config.default_user_tags = vec!["monitoring".to_owned(), "policymaker".to_owned()];
        config.default_permissions_configure = String::new();
        config.default_permissions_write = "^w".to_owned();
        config.default_permissions_read = "^r".to_owned();
        let broker = started(&config).unwrap();
        let permission = &broker.users.permissions_of("hare").unwrap()[0];
        assert_eq!(
            [&permission.configure, &permission.write, &permission.read],
            ["", "^w", "^r"]
        );
        let tags = &broker.users.user("hare").unwrap().tags;
        assert_eq!(tags, &["monitoring", "policymaker"]);
    }
}
