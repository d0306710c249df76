//! What certificates say, as RabbitMQ 3.10.8 shows it.

use super::ca::{Ca, params};
use crate::net::tls::names::host_names;
use crate::net::tls::{LoginFrom, PeerCertificate, TlsSettings};
use proptest::prelude::*;
use rcgen::{DistinguishedName, DnType, DnValue};

fn login() -> LoginFrom {
    TlsSettings::default().login
}

fn subject(parts: &[(DnType, DnValue)]) -> String {
    let mut params = params("x");
    params.distinguished_name = DistinguishedName::new();
    for (of, value) in parts {
        params.distinguished_name.push(of.clone(), value.clone());
    }
    let signed = Ca::new().sign(&params);
    PeerCertificate::read(&signed.der(), login())
        .unwrap()
        .subject
}

/// Recorded: `openssl req -utf8 -subj '/C=DE/ST=Some, State/O=Acme \+ Co/OU=Bücher/CN=app/emailAddress=app@example.com'`.
#[test]
fn names_are_written_as_rabbitmq_writes_them() {
    let text = |text: &str| DnValue::Utf8String(text.to_owned());
    let email = DnType::CustomDnType(vec![1, 2, 840, 113_549, 1, 9, 1]);
    let parts = [
        (
            DnType::CountryName,
            DnValue::PrintableString("DE".try_into().unwrap()),
        ),
        (DnType::StateOrProvinceName, text("Some, State")),
        (DnType::OrganizationName, text("Acme + Co")),
        (DnType::OrganizationalUnitName, text("Bücher")),
        (DnType::CommonName, text("app")),
        (
            email,
            DnValue::Ia5String("app@example.com".try_into().unwrap()),
        ),
    ];
    let expected =
        "EMAILADDRESS=app@example.com,CN=app,OU=B\\C3\\BCcher,O=Acme \\+ Co,ST=Some\\, State,C=DE";
    assert_eq!(subject(&parts), expected);
}

#[test]
fn characters_with_a_meaning_are_escaped() {
    let common =
        |text: &str| subject(&[(DnType::CommonName, DnValue::Utf8String(text.to_owned()))]);
    assert_eq!(common(" a "), "CN=\\ a\\ ");
    assert_eq!(common("#a#"), "CN=\\#a#");
    assert_eq!(common("a\"+,;<>\\b"), "CN=a\\\"\\+\\,\\;\\<\\>\\\\b");
    assert_eq!(common("a\n\u{1b}~\u{202e}"), "CN=a\\0A\\1B\\7E\\E2\\80\\AE");
    let unknown = DnType::CustomDnType(vec![1, 2, 3, 4]);
    assert_eq!(
        subject(&[(unknown, DnValue::Utf8String("x".to_owned()))]),
        "1.2.3.4=x"
    );
    let wide = DnValue::BmpString("Ä".try_into().unwrap());
    assert_eq!(subject(&[(DnType::CommonName, wide)]), "CN=\\C3\\84");
}

#[test]
fn validity_is_written_as_rabbitmq_writes_it() {
    let mut params = params("x");
    params.not_before = rcgen::date_time_ymd(2026, 1, 2);
    params.not_after = rcgen::date_time_ymd(2051, 12, 31);
    let signed = Ca::new().sign(&params);
    let read = PeerCertificate::read(&signed.der(), login()).unwrap();
    assert_eq!(read.validity, "2026-01-02T00:00:00Z - 2051-12-31T00:00:00Z");
}

/// A certificate to change bytes of.
fn certificate() -> Vec<u8> {
    let mut params = params("app");
    params.subject_alt_names = vec![
        rcgen::SanType::DnsName("a.example.com".try_into().unwrap()),
        rcgen::SanType::IpAddress("10.0.0.1".parse().unwrap()),
        rcgen::SanType::OtherName((vec![1, 2, 3], "x".into())),
    ];
    Ca::new().sign(&params).der().to_vec()
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
        PeerCertificate::read(&bytes, login());
        host_names(&bytes);
    }

    #[test]
    fn a_changed_certificate_is_read_without_harm_and_shown_without_control_characters(
        changes in prop::collection::vec((0..2000_usize, any::<u8>()), 1..8),
    ) {
        let mut bytes = certificate();
        for (at, byte) in changes {
            let at = at % bytes.len();
            bytes[at] = byte;
        }
        host_names(&bytes);
        if let Some(read) = PeerCertificate::read(&bytes, login()) {
            for text in [&read.subject, &read.issuer, &read.validity] {
                prop_assert!(text.len() <= 1028, "{text}");
                prop_assert!(text.bytes().all(|byte| (32..127).contains(&byte)), "{text:?}");
            }
        }
    }

    #[test]
    fn any_name_is_written_in_printable_characters_from_which_it_can_be_told(
        text in "\\PC{1,40}", other in "\\PC{1,40}",
    ) {
        let common = |text: &str| subject(&[(DnType::CommonName, DnValue::Utf8String(text.to_owned()))]);
        let (one, two) = (common(&text), common(&other));
        prop_assert!(one.bytes().all(|byte| (32..126).contains(&byte)));
        prop_assert_eq!(one == two, text == other);
    }
}
