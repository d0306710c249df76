//! What certificates say about whose they are, as text. A client chooses what its certificate says: nothing here fails or
//! grows without bounds.

use std::net::{Ipv4Addr, Ipv6Addr};
use x509_parser::asn1_rs::{Any, Tag};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;
use x509_parser::time::ASN1Time;
use x509_parser::x509::{AttributeTypeAndValue, X509Name};

/// RabbitMQ's words for the types of attributes (`rabbit_cert_info`); others are shown as their numbers.
const ATTRIBUTES: &[(&str, &str)] = &[
    ("2.5.4.4", "SN"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.43", "INITIALS"),
    ("2.5.4.44", "GENERATIONQUALIFIER"),
    (COMMON_NAME, "CN"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "TITLE"),
    ("2.5.4.6", "C"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.65", "PSEUDONYM"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
    ("0.9.2342.19200300.100.1.1", "UID"),
];
const COMMON_NAME: &str = "2.5.4.3";

/// Parses a certificate.
pub(super) fn parsed(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der)
        .ok()
        .map(|(_, certificate)| certificate)
}

/// Returns a name as RFC 4514 and RabbitMQ write it: `CN=app,OU=Billing,O=Example`.
pub(super) fn distinguished(name: &X509Name<'_>) -> String {
    let groups: Vec<String> = name
        .iter_rdn()
        .map(|group| {
            let parts: Vec<String> = group.iter().map(attribute).collect();
            parts.join("+")
        })
        .collect();
    let groups: Vec<&str> = groups.iter().rev().map(String::as_str).collect();
    groups.join(",")
}

/// Returns the common names of a subject, joined by commas as RabbitMQ does; `None` without any.
pub(super) fn common_name(name: &X509Name<'_>) -> Option<String> {
    let names: Vec<String> = name
        .iter_attributes()
        .filter(|one| one.attr_type().to_id_string() == COMMON_NAME)
        .map(|one| text_of(one.attr_value()).unwrap_or_default())
        .collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// Returns `2026-01-01T00:00:00Z - 2027-01-01T00:00:00Z`.
pub(super) fn validity(certificate: &X509Certificate<'_>) -> String {
    let validity = certificate.validity();
    let (from, to) = (validity.not_before, validity.not_after);
    format!("{} - {}", time(from), time(to))
}

/// Returns a time as RabbitMQ writes it: `2026-01-01T00:00:00Z`.
pub(super) fn time(time: ASN1Time) -> String {
    let at = time.to_datetime();
    let (year, month, day) = (at.year(), u8::from(at.month()), at.day());
    let (hour, minute, second) = at.to_hms();
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Returns the hosts that a server's certificate is for, in lower case: the alternative names, or without any of them the
/// common name.
pub(super) fn host_names(der: &[u8]) -> Vec<String> {
    let Some(certificate) = parsed(der) else {
        return Vec::new();
    };
    let alternative = alternative_names(&certificate, |name| match name {
        GeneralName::DNSName(host) => Some(host.to_ascii_lowercase()),
        _ => None,
    });
    if !alternative.is_empty() {
        return alternative;
    }
    let common = common_name(certificate.subject());
    common
        .into_iter()
        .map(|name| name.to_ascii_lowercase())
        .collect()
}

/// Returns what `then` makes of the alternative names of a certificate.
pub(super) fn alternative_names<T>(
    certificate: &X509Certificate<'_>,
    then: impl Fn(&GeneralName<'_>) -> Option<T>,
) -> Vec<T> {
    match certificate.subject_alternative_name() {
        Ok(Some(names)) => names.value.general_names.iter().filter_map(then).collect(),
        _ => Vec::new(),
    }
}

/// Returns an IP address of a certificate as text.
pub(super) fn ip_address(bytes: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    let sixteen = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(sixteen).to_string())
}

/// Returns the text in the value of an alternative name of a type of its own: `[0] EXPLICIT` around one of ASN.1's types of
/// strings.
pub(super) fn other_name(der: &[u8]) -> Option<String> {
    let (_, explicit) = Any::from_der(der).ok()?;
    let (_, value) = Any::from_der(explicit.data).ok()?;
    text_of(&value)
}

/// Returns the text of one of ASN.1's types of strings.
fn text_of(value: &Any<'_>) -> Option<String> {
    let bytes = value.data;
    match value.tag() {
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => Some(String::from_utf8_lossy(bytes).into_owned()),
        // Latin-1, as RabbitMQ takes it.
        Tag::T61String => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
        Tag::BmpString => {
            let units = bytes
                .chunks_exact(2)
                .map(|two| u16::from_be_bytes([two[0], two[1]]));
            Some(
                char::decode_utf16(units)
                    .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
            )
        }
        Tag::UniversalString => {
            let code = |four: &[u8]| u32::from_be_bytes([four[0], four[1], four[2], four[3]]);
            let units = bytes.chunks_exact(4).map(code);
            Some(
                units
                    .map(|c| char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
            )
        }
        _ => None,
    }
}

/// Returns `CN=app`.
fn attribute(attribute: &AttributeTypeAndValue<'_>) -> String {
    let number = attribute.attr_type().to_id_string();
    let known = ATTRIBUTES.iter().find(|(known, _)| *known == number);
    let name = known.map_or(number.as_str(), |(_, name)| name);
    match text_of(attribute.attr_value()) {
        Some(value) => format!("{name}={}", escaped(&value)),
        // RFC 4514, section 2.4: a value without a string form.
        None => {
            let hex = attribute
                .as_slice()
                .iter()
                .map(|byte| format!("{byte:02x}"));
            format!("{name}=#{}", hex.collect::<String>())
        }
    }
}

/// Escapes a value as RFC 4514 says, and everything but printable ASCII as RabbitMQ does.
fn escaped(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = String::with_capacity(bytes.len());
    for (index, byte) in bytes.iter().copied().enumerate() {
        let (first, last) = (index == 0, index + 1 == bytes.len());
        match byte {
            b' ' if first || last => out.push_str("\\ "),
            b'#' if first => out.push_str("\\#"),
            b'"' | b'+' | b',' | b';' | b'<' | b'>' | b'\\' => {
                out.push('\\');
                out.push(char::from(byte));
            }
            32..=125 => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\{byte:02X}")),
        }
    }
    out
}
