//! The keys that tokens are signed with: from PEM files, and from JSON Web Keys (RFC 7517).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey};
use serde_json::Value;
use std::collections::HashMap;

/// As many keys of one set are read; authorization servers have a handful.
const KEYS_MAX: usize = 256;
/// Shorter RSA keys are refused (RFC 7518, 3.3), in bytes.
const RSA_MIN: usize = 256;

/// Whether symmetric keys count: who can read one can make tokens, so they do not belong on the web.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A file of this machine.
    File,
    /// A URL that everybody may read.
    Web,
}

/// A key with the algorithms that it may be used with.
#[derive(Clone, Debug)]
pub(super) struct Key {
    key: DecodingKey,
    algorithms: Vec<Algorithm>,
}

impl Key {
    /// Returns the key, if it is for this algorithm.
    pub(super) fn for_algorithm(&self, algorithm: Algorithm) -> Option<&DecodingKey> {
        let fits = self.algorithms.contains(&algorithm) && self.key.family() == algorithm.family();
        fits.then_some(&self.key)
    }

    /// Reads a public key, or the one of a certificate.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn from_pem(pem: &str) -> Result<Self, String> {
        if pem.contains("PRIVATE KEY-----") {
            return Err("it holds a private key, and the broker needs the public one".to_owned());
        }
        let bytes = pem.as_bytes();
        let rsa = DecodingKey::from_rsa_pem(bytes);
        let key = rsa
            .or_else(|_| DecodingKey::from_ec_pem(bytes))
            .or_else(|_| DecodingKey::from_ed_pem(bytes))
            .map_err(|_| "it holds no public key of type RSA, EC or Ed25519 in PEM".to_owned())?;
        let length = key.try_get_as_bytes().map_or(0, <[u8]>::len);
        let algorithms = match key.family() {
            AlgorithmFamily::Rsa if length < RSA_MIN => return Err(too_short()),
            // An uncompressed point: a byte and two coordinates.
            AlgorithmFamily::Ec => match length {
                65 => vec![Algorithm::ES256],
                97 => vec![Algorithm::ES384],
                _ => return Err("its curve is neither P-256 nor P-384".to_owned()),
            },
            family => family.algorithms().to_vec(),
        };
        Ok(Key { key, algorithms })
    }

    /// Reads a JSON Web Key.
    ///
    /// # Errors
    /// Why it is none that can be used.
    fn from_jwk(value: &Value, origin: Origin) -> Result<Self, String> {
        let value = with_standard_names(value);
        let text = |name: &str| value.get(name).and_then(Value::as_str);
        let jwk: Jwk = serde_json::from_value(value.clone())
            .map_err(|_| "it lacks what its type needs".to_owned())?;
        if jwk.common.public_key_use == Some(PublicKeyUse::Encryption) {
            return Err("it is for encryption".to_owned());
        }
        let key = DecodingKey::from_jwk(&jwk)
            .map_err(|_| "its type is unknown, or it is damaged".to_owned())?;
        let fitting = match (text("kty"), text("crv")) {
            (Some("RSA"), _) => {
                let modulus = text("n").and_then(|n| URL_SAFE_NO_PAD.decode(n).ok());
                if modulus.is_none_or(|modulus| modulus.len() < RSA_MIN) {
                    return Err(too_short());
                }
                AlgorithmFamily::Rsa.algorithms().to_vec()
            }
            (Some("EC"), Some("P-256")) => vec![Algorithm::ES256],
            (Some("EC"), Some("P-384")) => vec![Algorithm::ES384],
            (Some("OKP"), Some("Ed25519")) => vec![Algorithm::EdDSA],
            (Some("oct"), _) if origin == Origin::Web => {
                return Err("it is symmetric, and everybody could read it".to_owned());
            }
            (Some("oct"), _) => AlgorithmFamily::Hmac.algorithms().to_vec(),
            _ => return Err("its type or curve is unknown".to_owned()),
        };
        let algorithms: Vec<Algorithm> = match jwk.common.key_algorithm {
            None => fitting,
            Some(only) => {
                let only = Algorithm::try_from(only).ok();
                fitting
                    .into_iter()
                    .filter(|one| Some(*one) == only)
                    .collect()
            }
        };
        match algorithms.is_empty() {
            true => Err("its algorithm is unknown, or does not fit its type".to_owned()),
            false => Ok(Key { key, algorithms }),
        }
    }
}

fn too_short() -> String {
    format!("RSA keys must have at least {} bits", RSA_MIN * 8)
}

/// Turns the names that UAA uses into those of the standards (RabbitMQ: `uaa_jwt_jwk`).
fn with_standard_names(value: &Value) -> Value {
    let mut value = value.clone();
    if value.get("kty").and_then(Value::as_str) == Some("MAC")
        && let Some(secret) = value.get("value").and_then(Value::as_str)
    {
        let encoded = URL_SAFE_NO_PAD.encode(secret);
        value["kty"] = "oct".into();
        value["k"] = encoded.into();
    }
    let standard = match value.get("alg").and_then(Value::as_str) {
        Some("HMACSHA256") => "HS256",
        Some("HMACSHA384") => "HS384",
        Some("HMACSHA512") => "HS512",
        Some("SHA256withRSA") => "RS256",
        Some("SHA512withRSA") => "RS512",
        _ => return value,
    };
    value["alg"] = standard.into();
    value
}

/// Keys by their ids. A key without an id is for tokens that name none.
#[derive(Clone, Debug, Default)]
pub(super) struct KeySet(HashMap<Option<String>, Key>);

impl KeySet {
    /// Returns the key with this id.
    pub(super) fn get(&self, id: Option<&str>) -> Option<&Key> {
        self.0.get(&id.map(str::to_owned))
    }

    /// Returns the number of keys.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds other keys, which replace those with the same ids.
    pub(super) fn extend(&mut self, others: &KeySet) {
        let others = others.0.iter();
        self.0
            .extend(others.map(|(id, key)| (id.clone(), key.clone())));
    }

    /// Adds the keys of a file: those of a JSON text under their own ids, a PEM key under the one that the settings give.
    ///
    /// # Errors
    /// When it holds no key that can be used.
    pub(super) fn add_file(&mut self, id: Option<&str>, text: &str) -> Result<(), String> {
        if !text.trim_start().starts_with('{') {
            self.0.insert(id.map(str::to_owned), Key::from_pem(text)?);
            return Ok(());
        }
        let value: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match (id, value.get("keys")) {
            (None, Some(_)) => {
                let set = KeySet::from_jwks(&value, Origin::File)?;
                self.0.extend(set.0);
                Ok(())
            }
            (Some(_), Some(_)) => {
                Err("it is a key set, which has the ids of its keys in it".to_owned())
            }
            (id, None) => {
                let key = Key::from_jwk(&value, Origin::File)?;
                let own = value.get("kid").and_then(Value::as_str);
                self.0.insert(id.or(own).map(str::to_owned), key);
                Ok(())
            }
        }
    }

    /// Reads a JSON Web Key Set. Keys that cannot be used, for example because they are for encryption, are left out.
    ///
    /// # Errors
    /// When it is none, or no key is left.
    pub(super) fn from_jwks(value: &Value, origin: Origin) -> Result<Self, String> {
        let keys = value.get("keys").and_then(Value::as_array);
        let keys = keys.ok_or("it is no JSON Web Key Set: it has no list \"keys\"")?;
        let mut set = KeySet::default();
        let mut reasons = Vec::new();
        for value in keys.iter().take(KEYS_MAX) {
            let id = match value.get("kid") {
                None => None,
                Some(Value::String(id)) => Some(id.clone()),
                Some(_) => continue,
            };
            match Key::from_jwk(value, origin) {
                Ok(key) => {
                    set.0.insert(id, key);
                }
                Err(reason) => reasons.push(reason),
            }
        }
        match (set.len(), reasons.pop()) {
            (0, Some(reason)) => Err(format!("none of its keys can be used: {reason}")),
            (0, None) => Err("it has no keys".to_owned()),
            _ => Ok(set),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_keys::{self, SECRET};
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn algorithms(key: &Key) -> Vec<Algorithm> {
        let families = [
            AlgorithmFamily::Rsa,
            AlgorithmFamily::Ec,
            AlgorithmFamily::Ed,
            AlgorithmFamily::Hmac,
        ];
        let all = families.iter().flat_map(|family| family.algorithms());
        all.copied()
            .filter(|one| key.for_algorithm(*one).is_some())
            .collect()
    }

    fn only(value: Value, origin: Origin) -> Result<Vec<Algorithm>, String> {
        let set = KeySet::from_jwks(&json!({ "keys": [value] }), origin)?;
        Ok(algorithms(set.0.values().next().unwrap()))
    }

    #[test]
    fn a_key_is_for_the_algorithms_of_its_type() {
        use Algorithm::{ES256, ES384, EdDSA, RS256};
        let rsa = algorithms(&Key::from_pem(test_keys::RSA_PUBLIC).unwrap());
        assert_eq!(rsa, AlgorithmFamily::Rsa.algorithms());
        for (pem, expected) in [
            (test_keys::P256_PUBLIC, ES256),
            (test_keys::P384_PUBLIC, ES384),
            (test_keys::ED25519_PUBLIC, EdDSA),
        ] {
            assert_eq!(
                algorithms(&Key::from_pem(pem).unwrap()),
                [expected],
                "{pem}"
            );
        }
        let rsa = |more: Value| {
            let mut value = test_keys::rsa_jwk("a");
            value
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            only(value, Origin::Web)
        };
        assert_eq!(rsa(json!({})).unwrap(), AlgorithmFamily::Rsa.algorithms());
        assert_eq!(rsa(json!({"alg": "RS256", "use": "sig"})), Ok(vec![RS256]));
        assert_eq!(rsa(json!({"alg": "SHA256withRSA"})), Ok(vec![RS256]));
        assert!(rsa(json!({"use": "enc"})).is_err() && rsa(json!({"alg": "RSA-OAEP"})).is_err());
        assert!(rsa(json!({"alg": "HS256"})).is_err() && rsa(json!({"alg": "none"})).is_err());
        assert!(rsa(json!({"n": "AQAB"})).unwrap_err().contains("2048 bits"));
    }

    #[test]
    fn symmetric_keys_come_from_files_only() {
        let key = json!({"kty": "oct", "kid": "s", "k": URL_SAFE_NO_PAD.encode(SECRET)});
        assert_eq!(
            only(key.clone(), Origin::File).unwrap(),
            AlgorithmFamily::Hmac.algorithms()
        );
        assert!(only(key, Origin::Web).unwrap_err().contains("symmetric"));
        let uaa = json!({"kty": "MAC", "alg": "HMACSHA256", "value": SECRET});
        assert_eq!(only(uaa.clone(), Origin::File), Ok(vec![Algorithm::HS256]));
        assert!(only(uaa, Origin::Web).is_err());
        let empty = json!({"kty": "oct", "k": ""});
        assert!(only(empty, Origin::File).is_err());
    }

    #[test]
    fn a_set_without_usable_keys_is_refused() {
        let read = |value: Value| KeySet::from_jwks(&value, Origin::Web).map(|set| set.len());
        for wrong in [
            json!([]),
            json!({}),
            json!({"keys": {}}),
            json!({"keys": []}),
            json!({"keys": [7, null, {}]}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        let mixed = json!({"keys": [7, {"kty": "EC", "crv": "P-521"}, test_keys::rsa_jwk("a"), {"kid": 7}]});
        assert_eq!(read(mixed), Ok(1));
    }

    #[test]
    fn files_are_pem_or_json() {
        let mut set = KeySet::default();
        set.add_file(Some("pem"), test_keys::RSA_PUBLIC).unwrap();
        set.add_file(None, test_keys::P256_PUBLIC).unwrap();
        set.add_file(
            None,
            &json!({"keys": [test_keys::rsa_jwk("jwks")]}).to_string(),
        )
        .unwrap();
        set.add_file(None, &test_keys::rsa_jwk("own").to_string())
            .unwrap();
        set.add_file(Some("given"), &test_keys::rsa_jwk("own2").to_string())
            .unwrap();
        for id in [Some("pem"), None, Some("jwks"), Some("own"), Some("given")] {
            assert!(set.get(id).is_some(), "{id:?}");
        }
        assert!(set.get(Some("own2")).is_none());
        for (text, reason) in [
            (test_keys::RSA_PRIVATE, "private key"),
            ("nonsense", "no public key"),
            ("", "no public key"),
            ("{", "EOF"),
            ("{\"kty\":\"RSA\"}", "type"),
        ] {
            let error = set.add_file(Some("x"), text).unwrap_err();
            assert!(error.contains(reason), "{text}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_file_causes_a_panic(text in ".{0,60}", json in r#"\{"k(ty|eys)":(\[\{"kty":"RSA"\}\]|"[a-zA-Z]{0,4}")\}"#) {
            let mut set = KeySet::default();
            let _ = set.add_file(Some("a"), &text);
            let _ = set.add_file(None, &json);
        }
    }
}
