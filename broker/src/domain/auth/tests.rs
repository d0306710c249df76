use super::backend::{Resource, ResourceKind};
use super::*;
use crate::engine::exchange::{Exchange, ExchangeKind, ExchangeSpec};
use leveret_protocol::values::FieldTable;

fn users() -> Users {
    let users = Users::new(vec!["guest".to_owned()]);
    for name in ["guest", "walker"] {
        users
            .add_user(name, PasswordHash::of("123456"), &[])
            .unwrap();
    }
    users
}

fn permission(user: &str, configure: &str, write: &str, read: &str) -> Permission {
    let [user, vhost, configure, write, read] =
        [user, "/", configure, write, read].map(str::to_owned);
    Permission {
        user,
        vhost,
        configure,
        write,
        read,
    }
}

fn login(users: &Users, user: &str, password: &str, from: &str) -> Result<Login, LoginRefused> {
    let login = users.authenticate(Credentials { user, password })?;
    users.check_address(user, from.parse().unwrap())?;
    Ok(login)
}

fn permits(users: &Users, user: &Identity, vhost: &str, access: Access, name: &str) -> bool {
    let kind = ResourceKind::Queue;
    users.permits(user, access, Resource { vhost, kind, name })
}

fn name_of(login: Result<Login, LoginRefused>) -> String {
    login.unwrap().identity.name.as_str().to_owned()
}

/// Returns the identity of a user.
fn identity(users: &Users, user: &str) -> Identity {
    login(users, user, "123456", "::1").unwrap().identity
}

#[test]
fn the_right_password_logs_in_and_no_other() {
    let users = users();
    assert_eq!(
        name_of(login(&users, "walker", "123456", "10.0.0.1")),
        "walker"
    );
    for (user, password) in [
        ("walker", "1"),
        ("walker", ""),
        ("nobody", "nobody"),
        ("", ""),
    ] {
        let refused = LoginRefused::InvalidCredentials(user.to_owned());
        assert_eq!(
            login(&users, user, password, "127.0.0.1").unwrap_err(),
            refused
        );
    }
}

#[test]
fn guest_logs_in_from_loopback_only() {
    let users = users();
    for local in ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"] {
        assert!(login(&users, "guest", "123456", local).is_ok(), "{local}");
    }
    for remote in ["10.0.0.1", "2001:db8::1", "::ffff:10.0.0.1"] {
        let refused = LoginRefused::LoopbackOnly("guest".to_owned());
        assert_eq!(
            login(&users, "guest", "123456", remote).unwrap_err(),
            refused
        );
        // Without the right password a client does not learn that only the address is wrong.
        let refused = LoginRefused::InvalidCredentials("guest".to_owned());
        assert_eq!(
            login(&users, "guest", "guess", remote).unwrap_err(),
            refused
        );
    }
}

#[test]
fn permissions_match_anywhere_in_the_name() {
    let users = users();
    users
        .set_permissions(permission("walker", "^task", "log|amq.default", ""))
        .unwrap();
    let walker = identity(&users, "walker");
    let may = |access, name| permits(&users, &walker, "/", access, name);
    assert!(may(Access::Configure, "task_queue"));
    assert!(!may(Access::Configure, "my_task"));
    assert!(may(Access::Write, "my_logs"));
    assert!(
        may(Access::Write, ""),
        "the default exchange is amq.default"
    );
    assert!(!may(Access::Configure, ""));
    assert!(!may(Access::Read, "task_queue") && !may(Access::Read, ""));
    assert!(!permits(&users, &walker, "other", Access::Write, "logs"));
    let guest = identity(&users, "guest");
    assert!(!permits(&users, &guest, "/", Access::Write, "logs"));
    assert!(users.may_enter(&walker, "/") && !users.may_enter(&guest, "/"));
}

#[test]
fn everything_is_permitted_by_a_dot_and_a_star() {
    let users = users();
    users
        .set_permissions(permission("walker", ".*", "^.*", ".*$"))
        .unwrap();
    let walker = identity(&users, "walker");
    for access in [Access::Configure, Access::Write, Access::Read] {
        assert!(permits(&users, &walker, "/", access, "Wiesenschaumkraut\n"));
    }
}

#[test]
fn a_bad_pattern_changes_nothing_and_says_why() {
    let users = users();
    let before = users.generation();
    let refused = |pattern: &str| {
        users
            .set_permissions(permission("walker", ".*", pattern, ".*"))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused("(a"),
        "invalid regular expression \"(a\": unclosed group"
    );
    assert!(refused("(?!a").contains("invalid regular expression"));
    assert!(refused(r"\w{1000}{1000}").contains("too complex"));
    assert_eq!(users.generation(), before);
    assert!(!users.may_enter(&identity(&users, "walker"), "/"));
}

#[test]
fn every_change_says_what_to_persist_and_is_seen_in_the_generation() {
    let users = users();
    let mut last = users.generation();
    let mut moved = || {
        let before = std::mem::replace(&mut last, users.generation());
        users.generation() > before
    };
    let granted = permission("walker", ".*", ".*", ".*");
    assert_eq!(
        users.set_permissions(granted.clone()),
        Ok(Change::PutPermission(granted.clone()))
    );
    assert!(moved());
    assert_eq!(users.permissions_in("/"), std::slice::from_ref(&granted));
    assert_eq!(users.permissions_of("walker"), Ok(vec![granted]));

    let tags = ["administrator".to_owned()];
    let Ok(Change::PutUser(user)) = users.set_tags("walker", &tags) else {
        panic!()
    };
    assert!(moved() && user.tags == tags);

    users
        .change_password("walker", PasswordHash::of("654321"))
        .unwrap();
    assert!(moved() && login(&users, "walker", "654321", "::1").is_ok());

    let (user, vhost) = ("walker".to_owned(), "/".to_owned());
    let removed = Change::RemovePermission { user, vhost };
    let gone = Change::RemoveUser("walker".to_owned());
    let (_, changes) = users.delete_user("walker").unwrap();
    assert_eq!(changes, [removed, gone]);
    assert!(moved() && users.user("walker").is_none());
}

#[test]
fn a_user_that_is_added_again_permits_an_old_login_nothing() {
    let users = users();
    let old = identity(&users, "walker");
    let (account, _) = users.delete_user("walker").unwrap();
    assert!(old.is_of(account));
    users
        .add_user("walker", PasswordHash::of("123456"), &[])
        .unwrap();
    users
        .set_permissions(permission("walker", ".*", ".*", ".*"))
        .unwrap();
    assert!(!users.may_enter(&old, "/"));
    assert!(!permits(&users, &old, "/", Access::Read, "q"));
    let new = identity(&users, "walker");
    assert!(users.may_enter(&new, "/") && permits(&users, &new, "/", Access::Read, "q"));
}

#[test]
fn a_missing_user_is_an_error_but_a_missing_permission_is_none() {
    let users = users();
    let missing = AuthError::NoSuchUser("hare".to_owned());
    assert_eq!(users.delete_user("hare"), Err(missing.clone()));
    assert_eq!(users.clear_permissions("hare", "/"), Err(missing.clone()));
    assert_eq!(
        users.set_permissions(permission("hare", "", "", "")),
        Err(missing)
    );
    assert_eq!(users.clear_permissions("walker", "/"), Ok(None));
    let taken = users.add_user("walker", PasswordHash::of("x"), &[]);
    assert_eq!(taken, Err(AuthError::UserExists("walker".to_owned())));
}

#[test]
fn a_deleted_virtual_host_takes_its_permissions_along() {
    let users = users();
    users
        .set_permissions(permission("walker", ".*", ".*", ".*"))
        .unwrap();
    assert_eq!(users.forget_vhost("/").len(), 1);
    assert!(!users.may_enter(&identity(&users, "walker"), "/"));
    assert!(users.forget_vhost("/").is_empty());
}

#[test]
fn records_are_rabbitmq_definitions_and_come_back() {
    let text = r#"{"name":"walker","password_hash":"kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR","hashing_algorithm":"rabbit_password_hashing_sha256","tags":["monitoring"]}"#;
    let user: User = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&user).unwrap(), text);
    let users = Users::new(Vec::new());
    users
        .restore([user], [permission("walker", "", "", ".*")])
        .unwrap();
    let walker = login(&users, "walker", "test12", "10.0.0.1").unwrap();
    assert!(permits(&users, &walker.identity, "/", Access::Read, "q"));
}

#[test]
fn a_stored_pattern_that_could_not_be_set_any_more_is_restored() {
    let users = users();
    let long = "x|".repeat(3000) + "^q$";
    let complex = "(?=a)".repeat(1000);
    assert!(
        users
            .set_permissions(permission("walker", &long, "", ""))
            .is_err()
    );
    assert!(
        users
            .set_permissions(permission("walker", &complex, "", ""))
            .is_err()
    );
    users
        .restore([], [permission("walker", &long, &complex, "")])
        .unwrap();
    let walker = identity(&users, "walker");
    assert!(permits(&users, &walker, "/", Access::Configure, "q"));
    assert!(!permits(&users, &walker, "/", Access::Write, "aa"));
}

#[test]
fn a_stored_permission_that_cannot_be_used_is_left_out_or_named() {
    let users = users();
    let stray = permission("hare", ".*", ".*", ".*");
    let sound = permission("walker", ".*", ".*", ".*");
    users.restore([], [stray, sound]).unwrap();
    assert_eq!(users.permissions_in("/").len(), 1);
    let broken = permission("walker", "", "(", "");
    assert_eq!(
        users.restore([], [broken]).unwrap_err().to_string(),
        "permission of user 'walker' in vhost '/': invalid regular expression \"(\": unclosed group"
    );
    let stray = topic_permission("hare", "/", "x");
    users.restore_topic_permissions([stray]).unwrap();
    let mut broken = topic_permission("walker", "/", "x");
    broken.read = "(".to_owned();
    let error = users.restore_topic_permissions([broken]).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("topic permission of user 'walker' on exchange 'x' in vhost '/': invalid")
    );
    assert!(users.topic_permissions(None, None).unwrap().is_empty());
}

fn topic_permission(user: &str, vhost: &str, exchange: &str) -> TopicPermission {
    let [user, vhost, exchange, write, read] =
        [user, vhost, exchange, "^{username}", "^r"].map(str::to_owned);
    TopicPermission {
        user,
        vhost,
        exchange,
        write,
        read,
    }
}

fn exchange(name: &str, kind: ExchangeKind) -> Exchange {
    Exchange::new(ExchangeSpec {
        name: name.into(),
        kind,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: FieldTable::default(),
    })
}

#[test]
fn a_topic_permission_counts_where_it_was_set_until_it_is_cleared() {
    let users = users();
    let [walker, guest] = ["walker", "guest"].map(|name| identity(&users, name));
    let find = |user, vhost: &str, name, kind| {
        users.topic_access(user, &vhost.into(), &exchange(name, kind))
    };
    use ExchangeKind::{Direct, Topic};
    assert!(find(&walker, "/", "amq.topic", Topic).is_none());
    let before = users.generation();
    let set = topic_permission("walker", "/", "amq.topic");
    assert_eq!(
        users.set_topic_permission(set.clone()),
        Ok(Change::PutTopicPermission(set.clone()))
    );
    assert!(users.generation() > before);
    let access = find(&walker, "/", "amq.topic", Topic).unwrap();
    assert!(access.check_write(b"walker.1").is_ok());
    assert!(access.check_write(b"r").is_err() && access.check_read(b"r").is_ok());
    assert!(find(&walker, "/", "amq.topic", Direct).is_none());
    assert!(find(&walker, "v", "amq.topic", Topic).is_none());
    assert!(find(&walker, "/", "x", Topic).is_none());
    assert!(find(&guest, "/", "amq.topic", Topic).is_none());
    let before = users.generation();
    let cleared = users.clear_topic_permissions("walker", "/", Some("amq.topic"));
    assert_eq!(cleared, Ok(vec![Change::RemoveTopicPermission(set)]));
    assert!(users.generation() > before);
    assert!(find(&walker, "/", "amq.topic", Topic).is_none());
    let cleared = users.clear_topic_permissions("walker", "/", Some("amq.topic"));
    assert_eq!(cleared, Ok(Vec::new()));
    let missing = AuthError::NoSuchUser("hare".to_owned());
    let set = users.set_topic_permission(topic_permission("hare", "/", "x"));
    assert_eq!(set, Err(missing.clone()));
    let cleared = users.clear_topic_permissions("hare", "/", None);
    assert_eq!(cleared, Err(missing.clone()));
    assert_eq!(users.topic_permissions(Some("hare"), None), Err(missing));
}

#[test]
fn topic_permissions_are_listed_and_removed_with_their_user_or_virtual_host() {
    let users = users();
    let all = [
        topic_permission("guest", "/", "x"),
        topic_permission("walker", "/", "x"),
        topic_permission("walker", "/", "y"),
        topic_permission("walker", "v", "x"),
    ];
    for one in &all {
        users.set_topic_permission(one.clone()).unwrap();
    }
    let list = |user, vhost| users.topic_permissions(user, vhost).unwrap();
    assert_eq!(list(None, None), all);
    assert_eq!(list(Some("walker"), None), all[1..]);
    assert_eq!(list(None, Some("/")), all[..3]);
    assert_eq!(list(Some("walker"), Some("v")), all[3..]);
    let removal = |one: &TopicPermission| Change::RemoveTopicPermission(one.clone());
    assert_eq!(users.forget_vhost("v"), [removal(&all[3])]);
    let cleared = users.clear_topic_permissions("walker", "/", None);
    assert_eq!(cleared, Ok(all[1..3].iter().map(removal).collect()));
    let (_, changes) = users.delete_user("guest").unwrap();
    let gone = Change::RemoveUser("guest".to_owned());
    assert_eq!(changes, [removal(&all[0]), gone]);
    assert!(list(None, None).is_empty());
}

#[test]
fn names_that_clients_could_not_use_are_refused() {
    let users = users();
    let (long, longest) = ("u".repeat(256), "u".repeat(255));
    let hash = || PasswordHash::of("x");
    let error = users.add_user(&long, hash(), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the name of the user has 256 bytes, more than 255"
    );
    assert_eq!(users.put_user(&long, hash(), Vec::new()), Err(error));
    assert!(users.put_user(&longest, hash(), Vec::new()).is_ok());
    let error = users.set_topic_permission(topic_permission("walker", "/", &long));
    assert_eq!(
        error.unwrap_err().to_string(),
        "the name of the exchange has 256 bytes, more than 255"
    );
}

#[test]
fn a_refused_login_does_not_fill_the_log_with_a_name() {
    let users = users();
    let refused = login(&users, &"u".repeat(30_000), "", "::1").unwrap_err();
    let text = refused.to_string();
    assert_eq!(
        text,
        format!("user '{}...' - invalid credentials", "u".repeat(255))
    );
}
