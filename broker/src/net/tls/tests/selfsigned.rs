//! Certificates to try TLS with.

use crate::config::TlsVerify;
use crate::net::tls::{SelfSigned, SelfSignedError, Tls, TlsSettings, own_hosts};
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn what_is_written_can_be_used_and_only_by_its_owner() {
    let folder = tempfile::tempdir().unwrap();
    let wanted = SelfSigned {
        directory: folder.path().join("tls"),
        hosts: own_hosts(),
        days: 7,
    };
    let report = wanted.write().unwrap();
    assert!(report.contains("--tls-certfile"), "{report}");
    let file = |name: &str| wanted.directory.join(name);
    for entry in fs::read_dir(&wanted.directory).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let tls = Tls::open(TlsSettings {
        certificates: vec![file("server.pem")],
        keys: vec![file("server.key")],
        authorities: Some(file("ca.pem")),
        verify: TlsVerify::Peer,
        ..TlsSettings::default()
    });
    assert!(tls.is_ok());
    let again = wanted.write().unwrap_err();
    assert!(matches!(again, SelfSignedError::Exists(_)), "{again}");
    fs::remove_file(file("ca.pem")).unwrap();
    let before = fs::read(file("server.key")).unwrap();
    assert!(wanted.write().is_err());
    assert_eq!(fs::read(file("server.key")).unwrap(), before);
    assert!(!file("ca.pem").exists(), "all or none");
}

#[test]
fn hosts_are_names_or_addresses() {
    let write = |host: &str| {
        let folder = tempfile::tempdir().unwrap();
        let wanted = SelfSigned {
            directory: folder.path().join("x"),
            hosts: vec![host.to_owned()],
            days: 1,
        };
        wanted.write().map_err(|error| error.to_string())
    };
    for host in ["a.example.com", "*.example.com", "10.0.0.1", "::1"] {
        assert!(write(host).is_ok(), "{host}");
    }
    for host in ["", "a b", "bücher.example", "http://x", "a\n"] {
        assert!(
            write(host)
                .unwrap_err()
                .ends_with("is neither a host name nor an IP address")
        );
    }
}
