//! Logins from source to source, and their hashes.

use super::*;
use crate::config::Limits;
use crate::domain::auth::backend::{Authority, Resource, Verdict};
use crate::domain::auth::{
    Access, Credentials, HashingAlgorithm, PasswordHash, PasswordPolicy, Permission,
};
use parking_lot::Mutex;

const ARGON2ID: PasswordPolicy = PasswordPolicy {
    algorithm: HashingAlgorithm::Argon2id,
    upgrade: false,
};

fn broker(policy: PasswordPolicy) -> Arc<Broker> {
    let broker = Broker::new(Limits::default(), vec!["guest".to_owned()], None);
    broker.users.set_password_policy(policy);
    for name in ["guest", "hare"] {
        let hash = broker.users.hash_password("field");
        broker.users.add_user(name, hash, &[]).unwrap();
    }
    Arc::new(broker)
}

fn attempt(user: &str, password: &str, peer: [u8; 4]) -> Attempt {
    Attempt {
        protocol: LoginProtocol::Amqp091,
        peer: peer.into(),
        user: user.to_owned(),
        password: Secret::from(password),
    }
}

/// Returns whether the login is decided at once, and how it ends.
fn log_in(broker: &Arc<Broker>, attempt: Attempt) -> (bool, LoginResult) {
    match broker.log_in(attempt) {
        LoginStep::Done(result) => (true, result),
        LoginStep::Pending(pending) => (false, wait_for(pending)),
    }
}

fn from_afar(broker: &Arc<Broker>, user: &str, password: &str) -> (bool, LoginResult) {
    log_in(broker, attempt(user, password, [10, 0, 0, 1]))
}

#[test]
fn a_slow_hash_is_computed_once_and_then_remembered_until_the_password_changes() {
    let broker = broker(ARGON2ID);
    let (at_once, login) = from_afar(&broker, "hare", "field");
    assert!(!at_once && login.is_ok());
    let (at_once, login) = from_afar(&broker, "hare", "field");
    assert!(at_once && login.is_ok());
    assert_eq!(broker.users.proofs(), 1);
    let (at_once, login) = from_afar(&broker, "hare", "meadow");
    assert!(!at_once && login.is_err(), "another one is not remembered");
    let change = broker.users.hash_password("meadow");
    broker.users.change_password("hare", change).unwrap();
    assert_eq!(broker.users.proofs(), 0);
    assert!(from_afar(&broker, "hare", "field").1.is_err());
    assert!(from_afar(&broker, "hare", "meadow").1.is_ok());
    broker.users.delete_user("hare").unwrap();
    assert!(from_afar(&broker, "hare", "meadow").1.is_err());
    assert_eq!(broker.users.proofs(), 0);
    // Whoever comes by the same name is somebody else.
    let hash = broker.users.hash_password("meadow");
    broker.users.add_user("hare", hash, &[]).unwrap();
    assert!(!from_afar(&broker, "hare", "meadow").0);
}

#[test]
fn refusals_take_a_slow_hash_whoever_it_is() {
    let broker = broker(ARGON2ID);
    let imported = PasswordHash::of("field");
    broker.users.add_user("imported", imported, &[]).unwrap();
    let none = PasswordHash::none();
    broker.users.add_user("without", none, &[]).unwrap();
    let mut times = Vec::new();
    for user in ["nobody", "imported", "without", "hare"] {
        let started = Instant::now();
        let (at_once, login) = from_afar(&broker, user, "wrong");
        assert!(!at_once && login.is_err(), "{user}");
        times.push(started.elapsed());
    }
    // One that took no hash would be a thousand times as quick.
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*most < *least * 20, "{times:?}");
    let (at_once, login) = from_afar(&broker, "imported", "field");
    assert!(at_once && login.is_ok());
}

#[test]
fn guest_comes_from_here_only_and_its_password_is_upgraded_by_no_refusal() {
    let broker = broker(PasswordPolicy::default());
    broker.users.set_password_policy(PasswordPolicy {
        upgrade: true,
        ..ARGON2ID
    });
    let algorithm = |user: &str| broker.users.user(user).unwrap().password.algorithm();
    let refused = from_afar(&broker, "guest", "field").1.unwrap_err();
    assert_eq!(refused, LoginRefused::LoopbackOnly("guest".to_owned()));
    assert!(from_afar(&broker, "hare", "wrong").1.is_err());
    assert!(from_afar(&broker, "hare", "field").1.is_ok());
    let deadline = Instant::now() + Duration::from_secs(10);
    while algorithm("hare") != HashingAlgorithm::Argon2id {
        assert!(Instant::now() < deadline, "never upgraded");
        thread::sleep(Duration::from_millis(1));
    }
    assert_eq!(algorithm("guest"), HashingAlgorithm::Sha256);
    assert!(from_afar(&broker, "hare", "field").1.is_ok());
    assert!(from_afar(&broker, "hare", "wrong").1.is_err());
}

#[test]
fn an_upgrade_does_not_undo_a_change_of_the_password() {
    let broker = broker(PasswordPolicy::default());
    broker.users.set_password_policy(PasswordPolicy {
        upgrade: true,
        ..ARGON2ID
    });
    let given = Credentials {
        user: "hare",
        password: "field",
    };
    let hash = broker.users.upgraded_hash(given).unwrap();
    let changed = PasswordHash::of("meadow");
    broker
        .users
        .change_password("hare", changed.clone())
        .unwrap();
    assert_eq!(broker.users.upgrade_password(given, hash.clone()), None);
    assert_eq!(broker.users.user("hare").unwrap().password, changed);
    broker.users.delete_user("hare").unwrap();
    assert_eq!(broker.users.upgrade_password(given, hash), None);
}

/// Knows whoever gives the password `token`, at once or after a while.
#[derive(Debug)]
struct Tokens {
    at_once: bool,
    asked: Mutex<u32>,
}

/// Permits what begins with the user's name.
#[derive(Debug)]
struct Own(String);

impl Authority for Own {
    fn may_enter(&self, vhost: &str) -> bool {
        vhost == "/"
    }
    fn permits(&self, _: Access, resource: Resource<'_>) -> bool {
        resource.name.starts_with(&self.0)
    }
    fn permits_topic(&self, _: Access, _: Resource<'_>, routing_key: &str) -> bool {
        routing_key == self.0
    }
    fn generation(&self) -> u64 {
        0
    }
}

impl Tokens {
    fn check(&self, attempt: &Attempt) -> Verdict {
        *self.asked.lock() += 1;
        match attempt.password.expose() {
            "token" => Ok(Known {
                name: "bearer".into(),
                tags: vec!["management".to_owned()],
                authority: Arc::new(Own("bearer".to_owned())),
            }),
            _ => Err("no token".to_owned()),
        }
    }
}

impl Backend for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }
    fn authenticate_at_once(&self, attempt: &Attempt) -> Option<Verdict> {
        self.at_once.then(|| self.check(attempt))
    }
    fn authenticate(&self, attempt: &Attempt) -> Verdict {
        self.check(attempt)
    }
}

#[test]
fn sources_are_asked_in_their_order_and_decide_what_their_users_may_do() {
    let broker = broker(PasswordPolicy::default());
    for at_once in [true, false] {
        let tokens = Arc::new(Tokens {
            at_once,
            asked: Mutex::default(),
        });
        let backend = Source::Backend(tokens.clone());
        broker.logins.set_sources(vec![Source::Accounts, backend]);
        assert!(from_afar(&broker, "hare", "field").0);
        assert_eq!(*tokens.asked.lock(), 0);
        let (was_at_once, login) = from_afar(&broker, "whoever", "token");
        assert_eq!(was_at_once, at_once);
        let login = login.unwrap();
        assert_eq!(login.identity.name.as_str(), "bearer");
        let resource = |name| Resource {
            vhost: "/",
            kind: crate::domain::auth::backend::ResourceKind::Queue,
            name,
        };
        let users = &broker.users;
        assert!(users.may_enter(&login.identity, "/"));
        assert!(!users.may_enter(&login.identity, "other"));
        assert!(users.permits(&login.identity, Access::Write, resource("bearer.1")));
        assert!(!users.permits(&login.identity, Access::Write, resource("hare.1")));
        let refused = from_afar(&broker, "whoever", "wrong").1.unwrap_err();
        let text = refused.to_string();
        assert_eq!(text, "user 'whoever' - refused by backend tokens: no token");
    }
}

#[test]
fn accounts_behind_another_source_are_asked_after_it() {
    let broker = broker(ARGON2ID);
    let tokens = Tokens {
        at_once: false,
        asked: Mutex::default(),
    };
    let backend = Source::Backend(Arc::new(tokens));
    broker.logins.set_sources(vec![backend, Source::Accounts]);
    let login = from_afar(&broker, "hare", "field").1.unwrap();
    assert!(matches!(login.identity.known_by, KnownBy::Account(_)));
    let permission = Permission {
        user: "hare".to_owned(),
        vhost: "/".to_owned(),
        configure: String::new(),
        write: String::new(),
        read: String::new(),
    };
    broker.users.set_permissions(permission).unwrap();
    assert!(broker.users.may_enter(&login.identity, "/"));
    assert!(broker.check_credentials("hare".to_owned(), "field").is_ok());
    assert!(
        broker
            .check_credentials("hare".to_owned(), "wrong")
            .is_err()
    );
}

#[tokio::test]
async fn failures_slow_the_next_logins_from_there_but_none_that_was_right_a_moment_ago() {
    let broker = broker(PasswordPolicy::default());
    let here = |password: &str| broker.log_in(attempt("hare", password, [10, 0, 0, 1]));
    assert!(matches!(here("field"), LoginStep::Done(Ok(_))));
    for _ in 0..3 {
        assert!(matches!(here("wrong"), LoginStep::Done(Err(_))));
    }
    assert!(here("wrong").result().await.is_err());
    let step = here("field");
    assert!(matches!(step, LoginStep::Done(Ok(_))), "{step:?}");
    broker.users.forget_proofs();
    for _ in 0..3 {
        assert!(
            matches!(here("wrong"), LoginStep::Done(Err(_))),
            "that has ended it"
        );
    }
    let started = Instant::now();
    let slowed = here("field");
    assert!(matches!(slowed, LoginStep::Pending(_)));
    let elsewhere = broker.log_in(attempt("hare", "wrong", [10, 0, 0, 2]));
    assert!(
        matches!(elsewhere, LoginStep::Done(Err(_))),
        "{elsewhere:?}"
    );
    assert!(slowed.result().await.is_ok(), "slow, but right");
    let waited = started.elapsed();
    assert!(
        waited >= Duration::from_millis(250) && waited < Duration::from_secs(10),
        "{waited:?}"
    );
}
