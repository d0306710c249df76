//! The values of the settings of the backends that are asked about logins.

use super::values::text_or_list;
use serde::{Deserialize, Deserializer, de};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Words separated by commas, or `none`. The file may also hold a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Words(pub Vec<String>);

impl Words {
    fn listed<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let words = words.into_iter().map(|word| word.trim().to_owned());
        let words: Vec<String> = words.collect();
        match words.iter().any(String::is_empty) {
            true => {
                Err("an entry is empty: separate entries with one comma, or use none".to_owned())
            }
            false => Ok(Words(words)),
        }
    }
}

impl FromStr for Words {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim() {
            super::NONE => Ok(Words::default()),
            text => Words::listed(text.split(',')),
        }
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let listed = |list: &[String]| Words::listed(list.iter().map(String::as_str));
        text_or_list(source, "use a list; [] for none", listed)
    }
}

/// The algorithms with which tokens may be signed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenAlgorithms(pub Vec<String>);

impl TokenAlgorithms {
    const ALL: [&str; 12] = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "HS256",
        "HS384", "HS512",
    ];
}

impl TryFrom<Words> for TokenAlgorithms {
    type Error = String;

    fn try_from(Words(names): Words) -> Result<Self, String> {
        match names
            .iter()
            .find(|name| !Self::ALL.contains(&name.as_str()))
        {
            None => Ok(TokenAlgorithms(names)),
            Some(name) => Err(format!(
                "'{name}' is not an algorithm for tokens: use some of {}",
                Self::ALL.join(", ")
            )),
        }
    }
}

impl FromStr for TokenAlgorithms {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<Words>()?.try_into()
    }
}

impl<'de> Deserialize<'de> for TokenAlgorithms {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let words = Words::deserialize(source)?;
        words.try_into().map_err(de::Error::custom)
    }
}

/// A file with keys for tokens: one key with its id, or several that have ids of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    /// The id of the key.
    pub id: Option<String>,
    /// The file.
    pub file: PathBuf,
}

/// Files with keys, as `ID=FILE` or `FILE`, separated by commas, or `none`. The file may also hold a list, or a table of
/// files by id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SigningKeys(pub Vec<SigningKey>);

impl SigningKeys {
    /// Takes relative paths as relative to a folder.
    pub(super) fn relative_to(&mut self, folder: &Path) {
        for key in &mut self.0 {
            key.file = folder.join(&key.file);
        }
    }
}

impl TryFrom<Pairs> for SigningKeys {
    type Error = String;

    fn try_from(Pairs(pairs): Pairs) -> Result<Self, String> {
        let key = |(id, file): (Option<String>, String)| match file.is_empty() {
            true => Err("a key has no file: use ID=FILE, or FILE for a set of keys".to_owned()),
            false => Ok(SigningKey {
                id,
                file: PathBuf::from(file),
            }),
        };
        pairs
            .into_iter()
            .map(key)
            .collect::<Result<_, _>>()
            .map(SigningKeys)
    }
}

/// Which scopes an alias stands for, as `ALIAS=SCOPE SCOPE`, separated by commas, or `none`. The file may also hold a
/// table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScopeAliases(pub Vec<(String, String)>);

impl TryFrom<Pairs> for ScopeAliases {
    type Error = String;

    fn try_from(Pairs(pairs): Pairs) -> Result<Self, String> {
        let alias = |(alias, scopes): (Option<String>, String)| match alias {
            Some(alias) if !scopes.trim().is_empty() => Ok((alias, scopes)),
            _ => Err(format!(
                "'{scopes}' is no alias with its scopes: use ALIAS=SCOPE, with a space between several scopes"
            )),
        };
        pairs
            .into_iter()
            .map(alias)
            .collect::<Result<_, _>>()
            .map(ScopeAliases)
    }
}

/// `NAME=VALUE` or `VALUE`, separated by commas.
struct Pairs(Vec<(Option<String>, String)>);

impl From<Words> for Pairs {
    fn from(Words(words): Words) -> Self {
        let pair = |word: String| match word.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                (Some(name.trim().to_owned()), value.trim().to_owned())
            }
            _ => (None, word),
        };
        Pairs(words.into_iter().map(pair).collect())
    }
}

/// How the file writes pairs.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenPairs {
    Table(BTreeMap<String, String>),
    Words(Words),
}

macro_rules! read_as_pairs {
    ($($kind:ty),*) => {$(
        impl FromStr for $kind {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                Pairs::from(text.parse::<Words>()?).try_into()
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
                let pairs = match WrittenPairs::deserialize(source) {
                    Ok(WrittenPairs::Table(table)) => {
                        Pairs(table.into_iter().map(|(name, value)| (Some(name), value)).collect())
                    }
                    Ok(WrittenPairs::Words(words)) => words.into(),
                    Err(_) => return Err(de::Error::custom("use a list or a table of texts")),
                };
                pairs.try_into().map_err(de::Error::custom)
            }
        }
    )*};
}

read_as_pairs!(SigningKeys, ScopeAliases);

/// How the HTTP service is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HttpMethod {
    /// Everything is in the URL.
    Get,
    /// Everything is in a form.
    Post,
}

macro_rules! convert_from_given {
    ($($given:ty => $value:ty;)*) => {$(
        impl From<$given> for $value {
            fn from(given: $given) -> Self {
                given.0
            }
        }
    )*};
}

convert_from_given! {
    Words => Vec<String>;
    TokenAlgorithms => Vec<String>;
    SigningKeys => Vec<SigningKey>;
    ScopeAliases => Vec<(String, String)>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_files_with_or_without_an_id() {
        let keys: SigningKeys = "a=/k/a.pem, /k/set.json".parse().unwrap();
        let key = |id: Option<&str>, file: &str| SigningKey {
            id: id.map(str::to_owned),
            file: file.into(),
        };
        assert_eq!(
            keys.0,
            [key(Some("a"), "/k/a.pem"), key(None, "/k/set.json")]
        );
        assert!("a=".parse::<SigningKeys>().is_err() && "a=b,,c".parse::<SigningKeys>().is_err());
        assert_eq!("none".parse::<SigningKeys>(), Ok(SigningKeys::default()));
    }

    #[test]
    fn an_alias_stands_for_scopes() {
        let aliases: ScopeAliases = "boss=r.tag:administrator r.read:*/*,dev=r.read:dev/*"
            .parse()
            .unwrap();
        let pair = |alias: &str, scopes: &str| (alias.to_owned(), scopes.to_owned());
        assert_eq!(
            aliases.0,
            [
                pair("boss", "r.tag:administrator r.read:*/*"),
                pair("dev", "r.read:dev/*")
            ]
        );
        assert!(
            "boss".parse::<ScopeAliases>().is_err() && "boss=".parse::<ScopeAliases>().is_err()
        );
    }

    #[test]
    fn algorithms_are_checked() {
        assert_eq!(
            "RS256,ES256".parse::<TokenAlgorithms>().unwrap().0,
            ["RS256", "ES256"]
        );
        assert!("none".parse::<TokenAlgorithms>().unwrap().0.is_empty());
        assert!(
            "rs256"
                .parse::<TokenAlgorithms>()
                .unwrap_err()
                .contains("use some of RS256")
        );
    }
}
