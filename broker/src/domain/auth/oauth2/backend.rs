//! Tokens behind the seam for credentials.

use super::key_store::KeyStore;
use super::refused::TokenRefused;
use super::remote::{Location, RemoteOptions};
use super::rules::Rules;
use super::token::{Token, verify};
use crate::config::{Config, Secret};
use crate::domain::auth::Access;
use crate::domain::auth::backend::{
    AskingLimit, Attempt, Authority, Backend, Known, Resource, TooManyAsked, Verdict,
};
use crate::net::web_client::PlainHttp;
use parking_lot::RwLock;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Renewals that may wait for keys at a time.
static WAITING_RENEWALS: AskingLimit = AskingLimit::new(8, 32, Duration::from_secs(15));

/// Verifies tokens: what the settings make of it.
#[derive(Debug)]
pub struct Verifier {
    rules: Rules,
    default_key: Option<String>,
    keys: KeyStore,
}

impl Verifier {
    /// Reads keys, and begins to fetch others, as the settings say. Until they are there, those of the verifier `before` count.
    ///
    /// # Errors
    /// Which setting is missing or wrong.
    pub fn of(config: &Config, before: Option<&Verifier>) -> Result<Self, String> {
        let rules = Rules::of(config)?;
        let issuer = config.auth_oauth2_issuer.clone().map(Location::Issuer);
        let files = &config.auth_oauth2_signing_keys;
        let location = match config.auth_oauth2_jwks_url.clone().map(Location::KeySet) {
            Some(url) => Some(url),
            None => issuer.filter(|_| files.is_empty()),
        };
        if location.is_none() && files.is_empty() {
            return Err(
                "auth_oauth2_jwks_url, auth_oauth2_issuer or auth_oauth2_signing_keys: \
                 the backend oauth2 needs keys to verify tokens with"
                    .to_owned(),
            );
        }
        let setting = match location {
            Some(Location::Issuer(_)) => "auth_oauth2_issuer",
            _ => "auth_oauth2_jwks_url",
        };
        let remote = location.map(|location| RemoteOptions {
            location,
            plain: match config.auth_oauth2_allow_http {
                true => PlainHttp::Anywhere,
                false => PlainHttp::Loopback,
            },
            cacertfile: config.auth_oauth2_https_cacertfile.clone(),
        });
        let has_remote = remote.is_some();
        let keys =
            KeyStore::new(files, remote, before.map(|before| &before.keys)).map_err(|reason| {
                match has_remote {
                    true if !reason.starts_with("auth_") => format!("{setting}: {reason}"),
                    _ => reason,
                }
            })?;
        Ok(Verifier {
            rules,
            default_key: config.auth_oauth2_default_key.clone(),
            keys,
        })
    }

    /// Verifies a token with the keys that are there.
    fn verify(&self, token: &str) -> Result<Token, TokenRefused> {
        let (keys, default) = (self.keys.current(), self.default_key.as_deref());
        verify(token, &keys, default, &self.rules, now()).map_err(|refused| {
            match (refused, self.keys.url()) {
                (TokenRefused::UnknownKey(id), Some(url)) if !self.keys.has_fetched() => {
                    let url = url.to_owned();
                    TokenRefused::NoKeysYet { id, url }
                }
                (refused, _) => refused,
            }
        })
    }

    /// Returns whether the token may be taken with keys that are yet to be fetched.
    fn may_be_taken_later(&self, judged: &Result<Token, TokenRefused>) -> bool {
        let unknown = matches!(
            judged,
            Err(TokenRefused::UnknownKey(_) | TokenRefused::NoKeysYet { .. })
        );
        unknown && self.keys.may_change()
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs() as i64)
}

/// The users who show tokens. The connections of these users keep to it when the settings change.
#[derive(Debug, Default)]
pub struct OAuth2 {
    verifier: RwLock<Option<Arc<Verifier>>>,
}

impl OAuth2 {
    /// Sets what tokens are verified with from now on.
    pub fn set(&self, verifier: Verifier) {
        *self.verifier.write() = Some(Arc::new(verifier));
    }

    /// Returns what tokens are verified with.
    pub fn get(&self) -> Option<Arc<Verifier>> {
        self.verifier.read().clone()
    }

    fn verifier(&self) -> Result<Arc<Verifier>, String> {
        self.get()
            .ok_or_else(|| "OAuth 2 is not configured".to_owned())
    }
}

/// A shared [`OAuth2`], as a backend.
#[derive(Clone, Debug)]
pub struct OAuth2Backend(pub Arc<OAuth2>);

impl OAuth2Backend {
    fn known(&self, token: Token) -> Known {
        Known {
            name: token.user.as_str().into(),
            tags: token.scopes.tags().to_vec(),
            authority: Arc::new(TokenAuthority {
                token,
                backend: self.clone(),
            }),
        }
    }

    fn verdict(&self, judged: Result<Token, TokenRefused>, given: &str) -> Verdict {
        let refused = match judged {
            Ok(token) => return Ok(self.known(token)),
            Err(refused) => refused,
        };
        let reason = refusal(&refused);
        // If another backend is asked next, the log will have that one's reason.
        if looks_like_token(given) {
            tracing::warn!("{reason}");
        }
        Err(reason)
    }

    /// Verifies a token, if need be with keys that are fetched first.
    fn wait_for(&self, verifier: &Verifier, token: &str) -> Result<Token, TokenRefused> {
        let judged = verifier.verify(token);
        if !verifier.may_be_taken_later(&judged) {
            return judged;
        }
        verifier.keys.refresh();
        verifier.verify(token)
    }
}

/// Words a refusal as RabbitMQ does.
fn refusal(refused: &TokenRefused) -> String {
    format!("Authentication using an OAuth 2/JWT token failed: {refused}")
}

/// Returns whether a password was meant to be a token: it begins with the encoded `{"`.
fn looks_like_token(password: &str) -> bool {
    password.starts_with("eyJ") && password.contains('.')
}

impl Backend for OAuth2Backend {
    fn name(&self) -> &'static str {
        "oauth2"
    }

    fn authenticate_at_once(&self, attempt: &Attempt) -> Option<Verdict> {
        let token = attempt.password.expose();
        let verifier = match self.0.verifier() {
            Ok(verifier) => verifier,
            Err(reason) => return Some(Err(reason)),
        };
        let judged = verifier.verify(token);
        match verifier.may_be_taken_later(&judged) {
            true => None,
            false => Some(self.verdict(judged, token)),
        }
    }

    fn authenticate(&self, attempt: &Attempt) -> Verdict {
        let token = attempt.password.expose();
        let judged = self.wait_for(&*self.0.verifier()?, token);
        self.verdict(judged, token)
    }
}

/// What a token permits, until it expires.
#[derive(Debug)]
struct TokenAuthority {
    token: Token,
    backend: OAuth2Backend,
}

impl TokenAuthority {
    fn is_valid(&self) -> bool {
        self.token.expires.is_none_or(|at| now() < at)
    }
}

impl Authority for TokenAuthority {
    fn may_enter(&self, vhost: &str) -> bool {
        self.is_valid() && self.token.scopes.permit_vhost(vhost)
    }

    fn permits(&self, access: Access, resource: Resource<'_>) -> bool {
        let scopes = &self.token.scopes;
        self.is_valid() && scopes.permit(resource.vhost, access, resource.name)
    }

    fn permits_topic(&self, access: Access, exchange: Resource<'_>, routing_key: &str) -> bool {
        let scopes = &self.token.scopes;
        self.is_valid() && scopes.permit_topic(exchange.vhost, access, exchange.name, routing_key)
    }

    /// A token does not change, and its connection is closed when it expires.
    fn generation(&self) -> u64 {
        0
    }

    fn expires_at(&self) -> Option<SystemTime> {
        let at = u64::try_from(self.token.expires?).unwrap_or(0);
        UNIX_EPOCH.checked_add(Duration::from_secs(at))
    }

    fn renewed(&self, secret: &Secret) -> Result<Option<Known>, String> {
        // As in RabbitMQ, a token that never expires is not renewed.
        if self.token.expires.is_none() {
            return Ok(None);
        }
        let verifier = self.backend.0.verifier()?;
        let mut judged = verifier.verify(secret.expose());
        if verifier.may_be_taken_later(&judged) {
            let waited = WAITING_RENEWALS.ask(|| self.backend.wait_for(&verifier, secret.expose()));
            judged = waited.map_err(|TooManyAsked| TooManyAsked.to_string())?;
        }
        let token = judged.map_err(|refused| refusal(&refused))?;
        match token.user == self.token.user {
            true => Ok(Some(self.backend.known(token))),
            false => Err(TokenRefused::OtherUser.to_string()),
        }
    }
}
