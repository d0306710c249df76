//! From the bytes of a token to its user: signature first, claims afterwards.

use super::claims::Claims;
use super::keys::KeySet;
use super::refused::TokenRefused;
use super::rules::Rules;
use super::scope::Scopes;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Algorithm;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

/// Longer tokens are not looked at, in bytes.
const TOKEN_MAX: usize = 64 << 10;

/// A token that was verified: its user, and what it permits until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The name of the user.
    pub(super) user: String,
    /// What it permits.
    pub(super) scopes: Scopes,
    /// When it expires, in seconds since 1970; `None` for never.
    pub(super) expires: Option<i64>,
}

/// The part of a header that decides how a token is verified.
#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    /// Extensions that a reader has to know: there are none here (RFC 7515, 4.1.11).
    #[serde(default)]
    crit: Option<IgnoredAny>,
}

/// Verifies a token at a time, in seconds since 1970.
///
/// # Errors
/// Why it is refused.
pub(super) fn verify(
    token: &str,
    keys: &KeySet,
    default_key: Option<&str>,
    rules: &Rules,
    now: i64,
) -> Result<Token, TokenRefused> {
    if token.len() > TOKEN_MAX {
        return Err(TokenRefused::TooLong(TOKEN_MAX));
    }
    let claims = verified_claims(token, keys, default_key, rules)?;
    claims.check_audience(rules)?;
    claims.check_issuer(rules)?;
    Ok(Token {
        expires: claims.expiry(rules, now)?,
        user: claims.user(rules)?,
        scopes: claims.scopes(rules)?,
    })
}

/// Returns the claims, if the signature is that of the key which the header names.
fn verified_claims(
    token: &str,
    keys: &KeySet,
    default_key: Option<&str>,
    rules: &Rules,
) -> Result<Claims, TokenRefused> {
    let malformed = || TokenRefused::Malformed;
    let (message, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
    let (header, payload) = message.split_once('.').ok_or_else(malformed)?;
    let Header { alg, kid, crit } = decoded(header)?;
    if crit.is_some() {
        return Err(TokenRefused::Malformed);
    }
    let not_accepted = || TokenRefused::algorithm(&alg);
    let algorithm: Algorithm = alg.parse().map_err(|_| not_accepted())?;
    if !rules.algorithms.is_empty() && !rules.algorithms.contains(&algorithm) {
        return Err(not_accepted());
    }
    let id = kid.as_deref().or(default_key);
    let key = keys.get(id);
    let key = key.ok_or_else(|| TokenRefused::UnknownKey(id.map(str::to_owned)))?;
    let key = key.for_algorithm(algorithm);
    let key = key.ok_or_else(|| TokenRefused::OtherKeyType(alg.clone()))?;
    let verified = jsonwebtoken::crypto::verify(signature, message.as_bytes(), key, algorithm);
    match verified {
        Ok(true) => Claims::from_value(decoded(payload)?).ok_or_else(malformed),
        Ok(false) | Err(_) => Err(TokenRefused::Signature),
    }
}

/// Reads JSON in the encoding of tokens.
fn decoded<T: DeserializeOwned>(part: &str) -> Result<T, TokenRefused> {
    let json = URL_SAFE_NO_PAD.decode(part).ok();
    let value = json.and_then(|json| serde_json::from_slice(&json).ok());
    value.ok_or(TokenRefused::Malformed)
}

#[cfg(test)]
mod tests;
