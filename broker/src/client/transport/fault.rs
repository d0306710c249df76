//! What went wrong with TLS, in words that say what to do about it.

use rustls::{AlertDescription, CertificateError, Error};
use std::io;

/// Returns what is wrong. `received` is what could not be processed, if anything.
pub(super) fn explain(error: &Error, received: &[u8]) -> io::Error {
    let text = match error {
        Error::InvalidMessage(_) | Error::InappropriateMessage { .. } => not_tls(error, received),
        Error::InvalidCertificate(fault) => certificate(fault),
        Error::NoCertificatesPresented => "the broker has no certificate".to_owned(),
        Error::AlertReceived(alert) => refused(*alert),
        Error::PeerIncompatible(_) => {
            format!(
                "the broker and this program have no version of TLS or cipher in common: {error}"
            )
        }
        error => format!("TLS: {error}"),
    };
    io::Error::other(text)
}

fn not_tls(error: &Error, received: &[u8]) -> String {
    match received {
        [b'A', b'M', b'Q', b'P', ..] => {
            "the broker expects AMQP without TLS on this port: use amqp://, or leave out --tls"
                .to_owned()
        }
        _ => format!("the broker does not speak TLS on this port: {error}"),
    }
}

fn certificate(fault: &CertificateError) -> String {
    match fault {
        CertificateError::UnknownIssuer => {
            "the broker's certificate is not signed by a known authority: --cacert FILE names the \
             authority's certificate"
                .to_owned()
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => {
            let names: Vec<&str> = presented.iter().map(|name| bare(name)).collect();
            let names = match names.as_slice() {
                [] => "for no name at all".to_owned(),
                names => format!("for {}", names.join(", ")),
            };
            format!(
                "the broker's certificate is {names}, not for {}: --server-name NAME checks for another \
                 name",
                expected.to_str()
            )
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the broker's certificate has expired".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the broker's certificate is not valid yet".to_owned()
        }
        CertificateError::Other(other) => {
            format!("the broker's certificate cannot be accepted: {other}")
        }
        fault => format!("the broker's certificate cannot be accepted: {fault}"),
    }
}

/// Takes a name out of `DnsName("localhost")`.
fn bare(name: &str) -> &str {
    let quoted = name.split_once('(').map_or(name, |(_, rest)| rest);
    quoted.trim_end_matches(')').trim_matches('"')
}

/// Returns why the broker has ended the handshake.
fn refused(alert: AlertDescription) -> String {
    use AlertDescription as Alert;
    let why = match alert {
        Alert::CertificateRequired | Alert::NoCertificate => {
            "the broker wants a client certificate: --cert FILE and --key FILE"
        }
        Alert::UnknownCA => {
            "the broker does not know the authority that signed the client certificate"
        }
        Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown => "the broker does not accept the client certificate",
        Alert::ProtocolVersion => "the broker does not speak this version of TLS",
        Alert::HandshakeFailure => {
            "the broker refuses the handshake: it may want a client certificate (--cert, --key), or \
             other versions or ciphers"
        }
        Alert::UnrecognisedName => {
            "the broker has no certificate for this name: --server-name NAME asks for another"
        }
        _ => "the broker has ended TLS",
    };
    format!("{why} (alert {alert:?})")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::InvalidMessage;
    use rustls::pki_types::ServerName;

    #[test]
    fn a_port_without_tls_is_told_apart() {
        let error = Error::InvalidMessage(InvalidMessage::InvalidContentType);
        let said = explain(&error, b"AMQP\x00\x00\x09\x01").to_string();
        assert!(said.contains("use amqp://"), "{said}");
        let said = explain(&error, b"HTTP/1.1 400").to_string();
        assert!(said.contains("does not speak TLS"), "{said}");
    }

    #[test]
    fn the_names_of_a_wrong_certificate_are_listed() {
        let fault = |presented: &[&str]| {
            let expected = ServerName::try_from("broker.example").expect("a name");
            let presented = presented.iter().map(|&name| name.to_owned()).collect();
            let fault = CertificateError::NotValidForNameContext {
                expected,
                presented,
            };
            explain(&Error::InvalidCertificate(fault), &[]).to_string()
        };
        let said = fault(&["DnsName(\"a.example\")", "IpAddress(127.0.0.1)"]);
        assert!(
            said.contains("is for a.example, 127.0.0.1, not for broker.example"),
            "{said}"
        );
        let said = fault(&[]);
        assert!(said.contains("for no name at all"), "{said}");
    }
}
