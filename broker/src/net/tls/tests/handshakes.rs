//! Which certificate clients get, which clients are refused, and what is known of the others.

use super::ca::{Ca, Client, Signed, in_days, params};
use crate::config::{CertLogin, SanType, TlsVerify, TlsVersion};
use crate::net::tls::{Encryption, LoginFrom, Tls, TlsError, TlsSettings, handshake_failure};
use rustls::version::{TLS12, TLS13};
use std::io;

fn verifying(ca: &Ca) -> TlsSettings {
    TlsSettings {
        authorities: Some(ca.write("ca.pem", &ca.certificate)),
        verify: TlsVerify::Peer,
        ..ca.settings()
    }
}

/// Returns what the log says of a client with this certificate, if it is refused.
fn outcome(ca: &Ca, tls: &Tls, certificate: Option<&Signed>) -> Result<Encryption, String> {
    for versions in [[&TLS12], [&TLS13]] {
        let client = Client::with(ca, "localhost", certificate, &versions);
        let known = client.connect(tls);
        let known = known.map_err(|error| handshake_failure(&error).into_owned())?;
        if versions == [&TLS13] {
            return Ok(known.0);
        }
    }
    unreachable!("both versions were tried")
}

#[test]
fn clients_get_the_certificate_for_the_name_that_they_ask_for() {
    let ca = Ca::new();
    let default = ca.server(&["localhost"]);
    let (exact, any) = (ca.server(&["a.example.com"]), ca.server(&["*.example.com"]));
    let certificates = [("1", &default), ("2", &any), ("3", &exact)];
    let tls = Tls::open(TlsSettings {
        certificates: certificates.map(|(name, pair)| ca.pair(name, pair)).into(),
        ..TlsSettings::default()
    })
    .unwrap();
    for (host, expected) in [
        ("localhost", &default),
        ("A.example.com", &exact),
        ("b.example.com", &any),
    ] {
        let (_, shown) = Client::new(&ca, host).connect(&tls).unwrap();
        assert_eq!(shown, expected.der(), "{host}");
    }
    // A name that no certificate has: the first, which the client does not accept.
    let unknown = Client::new(&ca, "x.y.example.com").connect(&tls);
    let reason = handshake_failure(&unknown.unwrap_err()).into_owned();
    assert!(reason.contains("is it for the name"), "{reason}");
}

#[test]
fn what_was_agreed_on_is_in_rabbitmqs_words() {
    let ca = Ca::new();
    let tls = Tls::open(ca.settings()).unwrap();
    let known = |version| {
        let client = Client::with(&ca, "localhost", None, &[version]);
        let known = client.connect(&tls).unwrap().0;
        (known.protocol, known.key_exchange, known.cipher, known.hash)
    };
    let expected = ("tlsv1.3", "any", "aes_256_gcm", "aead");
    assert_eq!(known(&TLS13), expected);
    let expected = ("tlsv1.2", "ecdhe_ecdsa", "aes_256_gcm", "aead");
    assert_eq!(known(&TLS12), expected);
}

#[test]
fn only_versions_in_the_settings_are_spoken() {
    let ca = Ca::new();
    let tls = Tls::open(TlsSettings {
        versions: vec![TlsVersion::V13],
        ..ca.settings()
    });
    let client = Client::with(&ca, "localhost", None, &[&TLS12]);
    let refused = client.connect(&tls.unwrap()).unwrap_err();
    assert!(handshake_failure(&refused).starts_with("the client offers no version of TLS"));
}

#[test]
fn clients_certificates_are_asked_for_and_checked_as_the_settings_say() {
    let (ca, other) = (Ca::new(), Ca::named("Other authority"));
    let (good, foreign) = (ca.client("app"), other.client("app"));
    let indifferent = Tls::open(ca.settings()).unwrap();
    let known = outcome(&ca, &indifferent, Some(&foreign)).unwrap();
    assert_eq!(known.peer, None, "nobody asked for it");

    let tls = Tls::open(verifying(&ca)).unwrap();
    assert_eq!(outcome(&ca, &tls, None).unwrap().peer, None);
    let peer = outcome(&ca, &tls, Some(&good)).unwrap().peer.unwrap();
    assert_eq!(
        (&*peer.subject, &*peer.issuer),
        ("CN=app", "CN=Test authority")
    );
    let refused = |certificate: &Signed| outcome(&ca, &tls, Some(certificate)).unwrap_err();
    assert!(refused(&foreign).contains("not signed by an authority in tls_cacertfile"));
    let mut expired = params("late");
    (expired.not_before, expired.not_after) = (in_days(-9).into(), in_days(-1).into());
    assert!(refused(&ca.sign(&expired)).ends_with("has expired"));
    let mut early = params("early");
    early.not_before = in_days(1).into();
    assert!(refused(&ca.sign(&early)).contains("not valid yet"));
    let mut server = params("server");
    server.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    assert!(refused(&ca.sign(&server)).contains("not for clients"));
    let mut authority = params("authority");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    assert!(refused(&ca.sign(&authority)).contains("that of an authority (CA:TRUE)"));

    let strict = Tls::open(TlsSettings {
        certificate_required: true,
        ..verifying(&ca)
    })
    .unwrap();
    assert!(outcome(&ca, &strict, Some(&good)).is_ok());
    let none = outcome(&ca, &strict, None).unwrap_err();
    assert!(none.starts_with("the client has no certificate"), "{none}");
    assert!(strict.https_config().is_some(), "browsers are not asked");
}

#[test]
fn revoked_certificates_are_refused_and_lists_out_of_date_refuse_all() {
    let ca = Ca::new();
    let (good, revoked) = (ca.client("good"), ca.client("revoked"));
    let with = |list: &str| {
        Tls::open(TlsSettings {
            revoked: vec![ca.write("crl.pem", list)],
            ..verifying(&ca)
        })
    };
    let tls = with(&ca.revoking(&["revoked"], in_days(1))).unwrap();
    assert!(outcome(&ca, &tls, Some(&good)).is_ok());
    let refused = outcome(&ca, &tls, Some(&revoked)).unwrap_err();
    assert_eq!(refused, "the client's certificate has been revoked");
    let tls = with(&ca.revoking(&[], in_days(-1))).unwrap();
    let refused = outcome(&ca, &tls, Some(&good)).unwrap_err();
    assert!(refused.ends_with("is out of date"), "{refused}");
    // The list of another authority says nothing about this one's certificates.
    let tls = with(&Ca::named("Other").revoking(&[], in_days(1))).unwrap();
    let refused = outcome(&ca, &tls, Some(&good)).unwrap_err();
    assert!(refused.starts_with("no list in tls_crlfile"), "{refused}");
}

#[test]
fn users_are_named_by_the_part_of_the_certificate_that_the_settings_say() {
    let ca = Ca::new();
    let mut app = params("app");
    app.subject_alt_names = vec![
        rcgen::SanType::DnsName("one.example.com".try_into().unwrap()),
        rcgen::SanType::DnsName("two.example.com".try_into().unwrap()),
        rcgen::SanType::IpAddress("::1".parse().unwrap()),
        rcgen::SanType::Rfc822Name("app@example.com".try_into().unwrap()),
        rcgen::SanType::URI("urn:app".try_into().unwrap()),
        rcgen::SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 311, 20, 2, 3], "app@corp".into())),
    ];
    let signed = ca.sign(&app);
    let name = |part, san_type, san_index| {
        let tls = Tls::open(TlsSettings {
            login: LoginFrom {
                part,
                san_type,
                san_index,
            },
            ..verifying(&ca)
        });
        let known = outcome(&ca, &tls.unwrap(), Some(&signed)).unwrap();
        known.peer.unwrap().login_name().map(str::to_owned)
    };
    let ok = |name: &str| Ok(name.to_owned());
    let san = |of, index| name(CertLogin::SubjectAlternativeName, of, index);
    assert_eq!(
        name(CertLogin::DistinguishedName, SanType::Dns, 0),
        ok("CN=app")
    );
    assert_eq!(name(CertLogin::CommonName, SanType::Dns, 0), ok("app"));
    assert_eq!(san(SanType::Dns, 0), ok("one.example.com"));
    assert_eq!(san(SanType::Dns, 1), ok("two.example.com"));
    assert_eq!(
        san(SanType::Dns, 2),
        Err("no name found in the client's certificate: see ssl_cert_login_from")
    );
    assert_eq!(san(SanType::Ip, 0), ok("::1"));
    assert_eq!(san(SanType::Email, 0), ok("app@example.com"));
    assert_eq!(san(SanType::Uri, 0), ok("urn:app"));
    assert_eq!(san(SanType::OtherName, 0), ok("app@corp"));
}

#[test]
fn long_names_name_nobody() {
    let ca = Ca::new();
    let tls = Tls::open(TlsSettings {
        login: LoginFrom {
            part: CertLogin::CommonName,
            ..TlsSettings::default().login
        },
        ..verifying(&ca)
    })
    .unwrap();
    let named = |name: &str| {
        let peer = outcome(&ca, &tls, Some(&ca.sign(&params(name))))
            .unwrap()
            .peer
            .unwrap();
        assert!(peer.subject.len() < 1100);
        peer.login_name().map(str::to_owned)
    };
    assert_eq!(named(&"a".repeat(255)), Ok("a".repeat(255)));
    let long = "the name in the client's certificate has more than 255 bytes";
    assert_eq!(named(&"a".repeat(256)), Err(long));
    assert_eq!(named(&"a".repeat(5000)), Err(long));
    assert_eq!(
        named(""),
        Err("the name in the client's certificate is empty")
    );
}

#[test]
fn settings_that_do_not_fit_are_refused_with_what_is_missing() {
    let ca = Ca::new();
    let refused = |settings: TlsSettings| Tls::open(settings).unwrap_err().to_string();
    let none = TlsSettings::default;
    let verify = TlsSettings {
        verify: TlsVerify::Peer,
        ..ca.settings()
    };
    assert!(refused(verify).contains("tls_cacertfile has to name"));
    let required = TlsSettings {
        certificate_required: true,
        ..ca.settings()
    };
    assert!(refused(required).contains("no effect unless tls_verify is verify_peer"));
    let keys = TlsSettings {
        keys: vec!["a".into(), "b".into()],
        ..ca.settings()
    };
    assert!(refused(keys).starts_with("tls_keyfile names 2 files and tls_certfile 1"));
    let key = ca.write("other.key", &ca.server(&["localhost"]).key);
    let foreign = TlsSettings {
        keys: vec![key.clone()],
        ..ca.settings()
    };
    let error = Tls::open(foreign).unwrap_err();
    assert!(matches!(&error, TlsError::File { path, .. } if *path == key));
    assert!(
        error
            .to_string()
            .contains("does not belong to the first certificate")
    );
    assert!(Tls::open(none()).unwrap().server_config().is_none());
}

#[test]
fn a_client_without_tls_is_told_apart_from_a_closed_connection() {
    let plain = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
    let plain = io::Error::new(io::ErrorKind::InvalidData, plain);
    assert!(handshake_failure(&plain).starts_with("the client does not speak TLS"));
    let closed = io::Error::from(io::ErrorKind::UnexpectedEof);
    assert_eq!(
        handshake_failure(&closed),
        "the client closed the connection"
    );
}
