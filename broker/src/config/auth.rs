//! Who is asked about logins, and how passwords are stored.

use super::shown::Shown;
use serde::{Deserialize, Deserializer, de};
use std::str::FromStr;

/// Somebody who knows users.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthBackend {
    /// The broker itself.
    Internal,
    /// An authorization server: its tokens say what their users may do.
    OAuth2,
    /// An HTTP service.
    Http,
}

impl AuthBackend {
    /// All of them.
    pub const ALL: [AuthBackend; 3] = [
        AuthBackend::Internal,
        AuthBackend::OAuth2,
        AuthBackend::Http,
    ];

    /// Returns its name: RabbitMQ's short one.
    pub fn name(self) -> &'static str {
        match self {
            AuthBackend::Internal => "internal",
            AuthBackend::OAuth2 => "oauth2",
            AuthBackend::Http => "http",
        }
    }

    /// Returns the module that has the name in RabbitMQ, which its configuration accepts, too.
    fn module(self) -> &'static str {
        match self {
            AuthBackend::Internal => "rabbit_auth_backend_internal",
            AuthBackend::OAuth2 => "rabbit_auth_backend_oauth2",
            AuthBackend::Http => "rabbit_auth_backend_http",
        }
    }
}

/// Backends in the order in which they are asked, separated by commas. The file may also hold a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthBackends(pub Vec<AuthBackend>);

impl FromStr for AuthBackends {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |name: &str| {
            let name = name.trim();
            if matches!(name, "cache" | "rabbit_auth_backend_cache") {
                let advice = "the answers of http are always remembered: use http instead of cache";
                return Err(advice.to_owned());
            }
            let mut all = AuthBackend::ALL.into_iter();
            let found = all.find(|one| one.name() == name || one.module() == name);
            found.ok_or_else(|| {
                let names = AuthBackend::ALL.map(AuthBackend::name).join(", ");
                format!("'{name}' is not a backend: use {names}, separated by commas")
            })
        };
        let mut backends = Vec::new();
        for name in text.split(',') {
            let backend = one(name)?;
            if backends.contains(&backend) {
                return Err(format!("'{}' is there twice", name.trim()));
            }
            backends.push(backend);
        }
        Ok(AuthBackends(backends))
    }
}

impl<'de> Deserialize<'de> for AuthBackends {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "use a list of authentication backends")]
        enum Given {
            List(Vec<String>),
            Text(String),
        }
        let text = match Given::deserialize(source)? {
            Given::List(names) => names.join(","),
            Given::Text(text) => text,
        };
        text.parse().map_err(de::Error::custom)
    }
}

impl From<AuthBackends> for Vec<AuthBackend> {
    fn from(given: AuthBackends) -> Self {
        given.0
    }
}

impl Shown for Vec<AuthBackend> {
    fn shown(&self) -> String {
        let names: Vec<&str> = self.iter().map(|each| each.name()).collect();
        names.join(",")
    }
}

/// How new passwords are hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PasswordHashing {
    /// argon2id.
    #[default]
    Argon2id,
    /// RabbitMQ's default.
    Sha256,
    /// RabbitMQ's other one.
    Sha512,
    /// That of RabbitMQ before 3.6.
    Md5,
}

impl PasswordHashing {
    const ALL: [PasswordHashing; 4] = [
        PasswordHashing::Argon2id,
        PasswordHashing::Sha256,
        PasswordHashing::Sha512,
        PasswordHashing::Md5,
    ];

    /// Returns the name that definition files use.
    pub fn name(self) -> &'static str {
        match self {
            PasswordHashing::Argon2id => "leveret_password_hashing_argon2id",
            PasswordHashing::Sha256 => "rabbit_password_hashing_sha256",
            PasswordHashing::Sha512 => "rabbit_password_hashing_sha512",
            PasswordHashing::Md5 => "rabbit_password_hashing_md5",
        }
    }
}

impl FromStr for PasswordHashing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let given = text.trim();
        let mut all = Self::ALL.into_iter();
        all.find(|one| one.name() == given).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("'{text}' is not a hashing module: use one of {names}")
        })
    }
}

impl<'de> Deserialize<'de> for PasswordHashing {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let name = String::deserialize(source)?;
        name.parse().map_err(de::Error::custom)
    }
}

impl Shown for PasswordHashing {
    fn shown(&self) -> String {
        self.name().to_owned()
    }
}
