//! The types of the settings for TLS.

use super::NONE;
use super::shown::Shown;
use super::values::text_or_list;
use serde::{Deserialize, Deserializer, de};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Paths separated by commas, or `none`. The file may also hold a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths(pub Vec<PathBuf>);

impl Paths {
    fn listed<'a>(paths: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let one = |path: &str| match path.trim() {
            "" => Err("a path is empty: use paths separated by commas, or none".to_owned()),
            path => Ok(PathBuf::from(path)),
        };
        paths.map(one).collect::<Result<_, _>>().map(Paths)
    }

    /// Makes relative paths relative to this folder.
    pub(super) fn join(&mut self, folder: &Path) {
        for path in &mut self.0 {
            *path = folder.join(&*path);
        }
    }
}

impl FromStr for Paths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            NONE => Ok(Paths(Vec::new())),
            text => Paths::listed(text.split(',')),
        }
    }
}

impl<'de> Deserialize<'de> for Paths {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let listed = |list: &[String]| Paths::listed(list.iter().map(String::as_str));
        text_or_list(
            source,
            "expected a path or a list of paths; [] for none",
            listed,
        )
    }
}

impl From<Paths> for Vec<PathBuf> {
    fn from(given: Paths) -> Self {
        given.0
    }
}

impl Shown for Vec<PathBuf> {
    fn shown(&self) -> String {
        if self.is_empty() {
            return NONE.to_owned();
        }
        let paths: Vec<String> = self.iter().map(Shown::shown).collect();
        paths.join(",")
    }
}

/// Declares a setting whose values are words.
macro_rules! declare_words {
    ($(#[$doc:meta])* $name:ident, $what:literal, $($(#[$word_doc:meta])* $word:ident = $text:literal,)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$word_doc])* $word,)*
        }

        impl $name {
            const ALL: &[(&'static str, $name)] = &[$(($text, $name::$word),)*];

            /// Returns the word for it.
            pub fn name(self) -> &'static str {
                match self {
                    $($name::$word => $text,)*
                }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let found = Self::ALL.iter().find(|(name, _)| *name == text.trim());
                found.map(|(_, value)| *value).ok_or_else(|| {
                    let names: Vec<&str> = Self::ALL.iter().map(|(name, _)| *name).collect();
                    format!("'{text}' is no {}: use {}", $what, names.join(" or "))
                })
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                String::deserialize(source)?.parse().map_err(de::Error::custom)
            }
        }

        impl Shown for $name {
            fn shown(&self) -> String {
                self.name().to_owned()
            }
        }
    };
}

declare_words! {
    /// Whether clients are asked for a certificate.
    TlsVerify, "way to verify clients",
    /// They are not.
    None = "verify_none",
    /// They are, and one that they send has to be valid.
    Peer = "verify_peer",
}

declare_words! {
    /// A version of TLS.
    TlsVersion, "version of TLS that is supported",
    /// TLS 1.3 (RFC 8446).
    V13 = "tlsv1.3",
    /// TLS 1.2 (RFC 5246).
    V12 = "tlsv1.2",
}

declare_words! {
    /// What of a client's certificate is the name of the user for EXTERNAL.
    CertLogin, "part of a certificate to take the user's name from",
    /// The whole subject, such as `CN=app,O=Example`.
    DistinguishedName = "distinguished_name",
    /// The common name of the subject.
    CommonName = "common_name",
    /// One of the alternative names.
    SubjectAlternativeName = "subject_alternative_name",
}

declare_words! {
    /// A type of alternative names.
    SanType, "type of alternative names",
    /// A host's name.
    Dns = "dns",
    /// An IP address.
    Ip = "ip",
    /// An e-mail address.
    Email = "email",
    /// A URI.
    Uri = "uri",
    /// Anything else, if it is text.
    OtherName = "other_name",
}

/// Versions of TLS separated by commas. The file may also hold a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsVersions(pub Vec<TlsVersion>);

impl TlsVersions {
    fn listed<'a>(versions: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let versions: Vec<TlsVersion> = versions.map(str::parse).collect::<Result<_, _>>()?;
        match versions.is_empty() {
            true => Err("nobody could connect: use tlsv1.3, tlsv1.2 or both".to_owned()),
            false => Ok(TlsVersions(versions)),
        }
    }
}

impl FromStr for TlsVersions {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        TlsVersions::listed(text.split(','))
    }
}

impl<'de> Deserialize<'de> for TlsVersions {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let listed = |list: &[String]| TlsVersions::listed(list.iter().map(String::as_str));
        text_or_list(source, "use a list of versions of TLS", listed)
    }
}

impl From<TlsVersions> for Vec<TlsVersion> {
    fn from(given: TlsVersions) -> Self {
        given.0
    }
}

impl Shown for Vec<TlsVersion> {
    fn shown(&self) -> String {
        let names: Vec<&str> = self.iter().map(|each| each.name()).collect();
        names.join(",")
    }
}
