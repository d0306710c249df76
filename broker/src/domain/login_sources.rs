//! Who is asked about logins, as the settings say.

use crate::config::{AuthBackend, Config};
use crate::domain::auth::http_backend::{HttpAuth, HttpBackend, HttpService};
use crate::domain::auth::oauth2::{OAuth2, OAuth2Backend, Verifier};
use crate::domain::broker::Broker;
use crate::domain::logins::Source;
use std::sync::Arc;

/// The backends that settings configure. Their users' connections stay with them when the settings change.
#[derive(Debug, Default)]
pub struct LoginSources {
    oauth2: Arc<OAuth2>,
    http: Arc<HttpAuth>,
}

impl Broker {
    /// Asks those whom the settings name, from now on. Keys are read from their files again.
    ///
    /// # Errors
    /// Which setting is missing or wrong. Then nothing has changed.
    pub fn configure_logins(&self, config: &Config) -> Result<(), String> {
        let wanted = |backend| config.auth_backends.contains(&backend);
        let LoginSources { oauth2, http } = &self.login_sources;
        let before = oauth2.get();
        let verifier = wanted(AuthBackend::OAuth2).then(|| Verifier::of(config, before.as_deref()));
        let verifier = verifier.transpose()?;
        let service = wanted(AuthBackend::Http).then(|| HttpService::of(config));
        let service = service.transpose()?;
        if let Some(verifier) = verifier {
            oauth2.set(verifier);
        }
        if let Some(service) = service {
            http.set(service);
        }
        let source = |backend: &AuthBackend| match backend {
            AuthBackend::Internal => Source::Accounts,
            AuthBackend::OAuth2 => Source::Backend(Arc::new(OAuth2Backend(oauth2.clone()))),
            AuthBackend::Http => Source::Backend(Arc::new(HttpBackend(http.clone()))),
        };
        let sources = config.auth_backends.iter().map(source);
        self.logins.set_sources(sources.collect());
        Ok(())
    }
}
