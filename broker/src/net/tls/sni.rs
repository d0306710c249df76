//! Which certificate a client gets: by the name that it asks for (RFC 6066: "Server Name Indication"), or the first.

use super::names::host_names;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::sync::Arc;

/// A certificate with its key, and the hosts that it is for.
#[derive(Debug)]
struct Choice {
    key: Arc<CertifiedKey>,
    /// In lower case; `*.example.com` for any host in that domain.
    hosts: Vec<String>,
}

/// The broker's certificates.
#[derive(Debug)]
pub(super) struct Choices(Vec<Choice>);

impl Choices {
    /// Returns the choice between certificates, of which the first is the default.
    pub(super) fn new(keys: impl IntoIterator<Item = Arc<CertifiedKey>>) -> Self {
        let choice = |key: Arc<CertifiedKey>| {
            let hosts = key.cert.first().map(|der| host_names(der));
            let hosts = hosts.unwrap_or_default();
            Choice { key, hosts }
        };
        Choices(keys.into_iter().map(choice).collect())
    }

    /// Returns the first certificate for this host that `usable` accepts; without one, the first that it accepts.
    fn choose(
        &self,
        host: Option<&str>,
        usable: impl Fn(&CertifiedKey) -> bool,
    ) -> Option<&Arc<CertifiedKey>> {
        let usable: Vec<&Choice> = self.0.iter().filter(|choice| usable(&choice.key)).collect();
        let host = host.map(|host| host.trim_end_matches('.').to_ascii_lowercase());
        let named = host.and_then(|host| {
            let exact = usable.iter().find(|choice| choice.hosts.contains(&host));
            exact.or_else(|| {
                let (_, domain) = host.split_once('.')?;
                let any = format!("*.{domain}");
                usable.iter().find(|choice| choice.hosts.contains(&any))
            })
        });
        named.or(usable.first()).map(|choice| &choice.key)
    }
}

impl ResolvesServerCert for Choices {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes = hello.signature_schemes();
        let usable = |key: &CertifiedKey| key.key.choose_scheme(schemes).is_some();
        self.choose(hello.server_name(), usable).cloned()
    }
}
