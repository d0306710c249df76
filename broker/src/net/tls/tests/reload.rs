//! Certificates are replaced while the broker runs.

use super::ca::{Ca, Client};
use crate::net::tls::{Role, Tls};

#[test]
fn changed_files_are_read_again_once_they_have_come_to_rest() {
    let ca = Ca::new();
    let tls = Tls::open(ca.settings()).unwrap();
    let shown = || Client::new(&ca, "localhost").connect(&tls).unwrap().1;
    let old = shown();
    tls.look();
    assert_eq!(shown(), old);
    // A certificate without its key, as another program has written half of it.
    let new = ca.server(&["localhost"]);
    ca.write("server.pem", &new.certificate);
    tls.look();
    ca.pair("server.pem", &new);
    tls.look();
    assert_eq!(shown(), old, "it has changed since the last look");
    tls.look();
    assert_eq!(shown(), new.der());
}

#[test]
fn what_cannot_be_used_leaves_the_old_certificates_in_force() {
    let ca = Ca::new();
    let tls = Tls::open(ca.settings()).unwrap();
    let shown = || Client::new(&ca, "localhost").connect(&tls).unwrap().1;
    let (old, config) = (shown(), tls.server_config().unwrap());
    ca.write("server.pem", "nonsense");
    assert!(tls.reload().is_err());
    for _ in 0..3 {
        tls.look();
    }
    assert_eq!(shown(), old);
    let same = |tls: &Tls| std::sync::Arc::ptr_eq(&config, &tls.server_config().unwrap());
    assert!(same(&tls));
    let new = ca.server(&["localhost"]);
    ca.pair("server.pem", &new);
    tls.reload().unwrap();
    assert_eq!(shown(), new.der());
    assert!(!same(&tls));
}

#[test]
fn it_is_known_how_long_everything_is_valid() {
    let ca = Ca::new();
    let list = ca.write("crl.pem", &ca.revoking(&[], super::ca::in_days(1)));
    let tls = Tls::open(crate::net::tls::TlsSettings {
        authorities: Some(ca.write("ca.pem", &ca.certificate)),
        verify: crate::config::TlsVerify::Peer,
        revoked: vec![list],
        ..ca.settings()
    })
    .unwrap();
    let days = |until: i64| (until - super::super::expiry::now() + 43_200) / 86_400;
    let all: Vec<_> = tls
        .validity()
        .iter()
        .map(|one| (one.role, days(one.until)))
        .collect();
    let expected = [
        (Role::Certificate, 10),
        (Role::Authority, 100),
        (Role::RevocationList, 1),
    ];
    assert_eq!(all, expected);
}
