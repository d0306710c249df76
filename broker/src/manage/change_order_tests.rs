//! Administrators change the same things at the same time, and the broker is restarted afterwards.

use super::AdminContext;
use super::operations::Operations;
use super::request::Request;
use crate::config::{Config, PasswordHashing};
use crate::domain::recovery::recover;
use crate::manage::access::Principal;
use crate::net::tls::Tls;
use crate::plumbing::log::Log;
use leveret_storage::{Options, Store};
use std::sync::{Arc, Barrier};
use std::thread;
use tokio::sync::watch;

/// The number of users that one administrator deletes while another gives them permissions. Without
/// `Broker::admin_changes` a few of these changes are stored in the wrong order.
const USERS: usize = 500;

fn name(user: usize) -> String {
    format!("hare-{user}")
}

fn add(user: usize) -> Request {
    Request::AddUser {
        user: name(user),
        password: "secret".to_owned(),
    }
}

fn delete(user: usize) -> Request {
    Request::DeleteUser { user: name(user) }
}

fn permit(user: usize) -> Request {
    Request::SetPermissions {
        vhost: "/".to_owned(),
        user: name(user),
        configure: String::new(),
        write: String::new(),
        read: String::new(),
    }
}

#[test]
fn changes_are_stored_in_the_order_in_which_they_took_effect() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        // Quick, as there are many.
        password_hashing_module: PasswordHashing::Sha256,
        ..Config::with_data_dir(dir.path().to_owned())
    };
    let open = || Store::open(Options::new(dir.path().join("store"))).unwrap();
    let broker = Arc::new(recover(&config, open()).unwrap());
    let context = AdminContext {
        broker: broker.clone(),
        data_dir: config.data_dir.clone(),
        settings: Arc::default(),
        config: Arc::new(config.clone()),
        listeners: Arc::default(),
        tls: Tls::default(),
        log: Log::default(),
        stop: Arc::new(watch::channel(false).0),
    };
    let ready = Barrier::new(3);
    let all = |request: fn(usize) -> Request| {
        for user in 0..USERS {
            ready.wait();
            Operations::new(context.clone())
                .perform(&Principal::Owner(Default::default()), request(user));
        }
    };
    thread::scope(|scope| {
        let administrators = [delete, permit].map(|request| scope.spawn(move || all(request)));
        for user in 0..USERS {
            Operations::new(context.clone())
                .perform(&Principal::Owner(Default::default()), add(user));
            ready.wait();
        }
        for administrator in administrators {
            administrator.join().unwrap();
        }
    });
    let (users, permissions) = (broker.users.users(), broker.users.permissions_in("/"));
    broker.store.as_ref().unwrap().close().unwrap();
    drop((context, broker));
    let again = recover(&config, open()).unwrap();
    assert_eq!(again.users.users(), users);
    assert_eq!(again.users.permissions_in("/"), permissions);
}
