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

/// What settings say about logins, checked and not in force yet.
#[derive(Debug)]
pub struct PreparedLogins {
    verifier: Option<Verifier>,
    service: Option<HttpService>,
    backends: Vec<AuthBackend>,
}

impl Broker {
    /// Prepares to ask those whom the settings name. Keys are read from their files again.
    ///
    /// # Errors
    /// Which setting is missing or wrong.
    pub fn prepare_logins(&self, config: &Config) -> Result<PreparedLogins, String> {
        let wanted = |backend| config.auth_backends.contains(&backend);
        let before = self.login_sources.oauth2.get();
        let verifier = wanted(AuthBackend::OAuth2).then(|| Verifier::of(config, before.as_deref()));
        let service = wanted(AuthBackend::Http).then(|| HttpService::of(config));
        Ok(PreparedLogins {
            verifier: verifier.transpose()?,
            service: service.transpose()?,
            backends: config.auth_backends.clone(),
        })
    }

    /// Asks those who were prepared, from now on.
    pub fn use_logins(&self, prepared: PreparedLogins) {
        let LoginSources { oauth2, http } = &self.login_sources;
        if let Some(verifier) = prepared.verifier {
            oauth2.set(verifier);
        }
        if let Some(service) = prepared.service {
            http.set(service);
        }
        let source = |backend| match backend {
            AuthBackend::Internal => Source::Accounts,
            AuthBackend::OAuth2 => Source::Backend(Arc::new(OAuth2Backend(oauth2.clone()))),
            AuthBackend::Http => Source::Backend(Arc::new(HttpBackend(http.clone()))),
        };
        let sources = prepared.backends.into_iter().map(source);
        self.logins.set_sources(sources.collect());
    }
}
