//! An authorization server as far as brokers know it: its keys and its tokens.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use serde_json::{Value, json};

/// A key of the server, made for one test.
pub struct Issuer {
    id: String,
    key: KeyPair,
}

impl std::fmt::Debug for Issuer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Issuer")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Returns the time in seconds since 1970, this many later.
pub fn in_seconds(seconds: i64) -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time after 1970");
    since.as_secs() as i64 + seconds
}

impl Issuer {
    /// Makes a key with this id.
    pub fn new(id: &str) -> Self {
        Issuer {
            id: id.to_owned(),
            key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key"),
        }
    }

    /// Returns the public key in PEM.
    pub fn public_pem(&self) -> String {
        self.key.public_key_pem()
    }

    /// Returns the public key as a JSON Web Key.
    pub fn jwk(&self) -> Value {
        // An uncompressed point.
        let point = self.key.der_bytes();
        let (x, y) = point[1..].split_at(32);
        let [x, y] = [x, y].map(|part| URL_SAFE_NO_PAD.encode(part));
        json!({"kty": "EC", "crv": "P-256", "use": "sig", "kid": self.id, "x": x, "y": y})
    }

    /// Signs claims as they are.
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.id.clone());
        self.sign_with(&header, claims)
    }

    /// Signs claims under a header.
    pub fn sign_with(&self, header: &Header, claims: &Value) -> String {
        let key = EncodingKey::from_ec_pem(self.key.serialize_pem().as_bytes());
        encode(header, claims, &key.expect("a private key")).expect("a token")
    }

    /// Returns a token of a user for the resource server `rabbitmq` that expires in so many seconds.
    pub fn token(&self, user: &str, scopes: &str, seconds: i64) -> String {
        self.sign(&json!({
            "sub": user,
            "aud": ["rabbitmq", "other"],
            "scope": scopes,
            "exp": in_seconds(seconds),
        }))
    }
}
