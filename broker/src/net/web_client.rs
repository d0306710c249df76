//! Asking HTTP services: one request, a bounded answer, and never longer than a timeout. Blocks.

use crate::net::tls::PemFile;
use rustls::crypto::ring;
use std::fmt;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use ureq::http::{self, Uri};
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};
use ureq::{Agent, Error};

/// How many connections are kept open for the next request.
const IDLE_CONNECTIONS: usize = 16;

/// How services are asked.
#[derive(Clone, Debug)]
pub struct WebClientOptions {
    /// How long a whole request may take.
    pub timeout: Duration,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// The longest answer that is read, in bytes.
    pub answer_max: u64,
    /// The authorities that are trusted; `None` for the system's.
    pub cacertfile: Option<PathBuf>,
    /// The certificate to show, and its key, which may be in the same file.
    pub client_certificate: Option<(PathBuf, PathBuf)>,
}

/// A client of HTTP services. Follows no redirects and no proxy settings of the environment.
pub struct WebClient {
    agent: Agent,
    answer_max: u64,
}

impl fmt::Debug for WebClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebClient").finish_non_exhaustive()
    }
}

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    /// The status, such as 200.
    pub status: u16,
    /// The text, in which what is not UTF-8 was replaced.
    pub body: String,
}

impl WebClient {
    /// Returns a client.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn new(options: &WebClientOptions) -> Result<Self, String> {
        let roots = match &options.cacertfile {
            Some(path) => certificates(path)?,
            None => system_certificates(),
        };
        let certificate = match &options.client_certificate {
            Some((chain, key)) => Some(client_certificate(chain, key)?),
            None => None,
        };
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::Specific(Arc::new(roots)))
            .client_cert(certificate)
            .unversioned_rustls_crypto_provider(Arc::new(ring::default_provider()))
            .build();
        let agent = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(options.timeout))
            .timeout_connect(Some(options.connect_timeout))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .user_agent(concat!("leveret/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .build()
            .new_agent();
        Ok(WebClient {
            agent,
            answer_max: options.answer_max,
        })
    }

    /// Gets a URL.
    ///
    /// # Errors
    /// Why there is no answer, without the URL, which may hold a password.
    pub fn get(&self, url: &str) -> Result<Answer, String> {
        self.read(self.agent.get(url).call())
    }

    /// Posts a form.
    ///
    /// # Errors
    /// See [`WebClient::get`].
    pub fn post(&self, url: &str, form: &str) -> Result<Answer, String> {
        let request = self.agent.post(url);
        let request = request.header("Content-Type", "application/x-www-form-urlencoded");
        self.read(request.send(form))
    }

    fn read(&self, response: Result<http::Response<ureq::Body>, Error>) -> Result<Answer, String> {
        let mut response = response.map_err(|error| reason(&error))?;
        let body = response.body_mut().with_config().limit(self.answer_max);
        let body = body.read_to_vec().map_err(|error| reason(&error))?;
        Ok(Answer {
            status: response.status().as_u16(),
            body: String::from_utf8_lossy(&body).into_owned(),
        })
    }
}

/// Says why there is no answer.
fn reason(error: &Error) -> String {
    match error {
        Error::HostNotFound => "its host name is unknown".to_owned(),
        Error::Timeout(_) => "it did not answer in time".to_owned(),
        Error::ConnectionFailed => "it does not accept connections".to_owned(),
        Error::Io(error) => error.to_string(),
        Error::Rustls(error) => format!("TLS: {error}"),
        Error::BodyExceedsLimit(limit) => format!("its answer is longer than {limit} bytes"),
        Error::LargeResponseHeader(..) => "the headers of its answer are too long".to_owned(),
        Error::Protocol(_) => "its answer is not HTTP".to_owned(),
        // These would show the URL.
        Error::BadUri(_) | Error::Http(_) | Error::RequireHttpsOnly(_) => {
            "its URL is not valid".to_owned()
        }
        other => other.to_string(),
    }
}

/// Whether a service may be asked without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// On any machine.
    Anywhere,
    /// On this machine only.
    Loopback,
}

/// Checks the URL of a service; returns whether others can read what is asked there, because it is on another machine and
/// without TLS.
///
/// # Errors
/// What is wrong with it.
pub fn check_url(url: &str, plain: PlainHttp) -> Result<bool, String> {
    let parsed: Uri = url.parse().map_err(|_| format!("'{url}' is not a URL"))?;
    let host = parsed.host().unwrap_or_default();
    if host.is_empty() {
        return Err(format!(
            "'{url}' names no host: use one such as https://example.com/path"
        ));
    }
    match parsed.scheme_str() {
        Some("https") => Ok(false),
        Some("http") if is_loopback(host) => Ok(false),
        Some("http") if plain == PlainHttp::Anywhere => Ok(true),
        Some("http") => Err(format!("'{url}' is on another machine: use https")),
        _ => Err(format!("'{url}' is neither http nor https")),
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let address: Option<IpAddr> = address.parse().ok();
    host == "localhost" || address.is_some_and(|address| address.to_canonical().is_loopback())
}

fn system_certificates() -> Vec<Certificate<'static>> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a certificate of the system cannot be used");
    }
    let certificates = found.certs.iter();
    certificates
        .map(|der| Certificate::from_der(der).to_owned())
        .collect()
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, String> {
    let found = PemFile::read(path).and_then(|file| file.certificates());
    let found = found.map_err(|error| error.to_string())?;
    let found = found.iter();
    Ok(found
        .map(|der| Certificate::from_der(der).to_owned())
        .collect())
}

fn client_certificate(chain: &Path, key: &Path) -> Result<ClientCert, String> {
    let failed = |error: String| format!("{}: {error}", key.display());
    let pem = std::fs::read(key).map_err(|error| failed(error.to_string()))?;
    let key = PrivateKey::from_pem(&pem).map_err(|error| failed(error.to_string()))?;
    Ok(ClientCert::new_with_certs(&certificates(chain)?, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_without_tls_are_for_this_machine() {
        let check = |url: &str| check_url(url, PlainHttp::Loopback);
        for local in [
            "https://id.example/keys",
            "http://localhost:8000/auth/user",
            "http://127.0.0.1/",
            "http://[::1]:8080/x",
        ] {
            assert_eq!(check(local), Ok(false), "{local}");
        }
        for wrong in [
            "http://id.example/keys",
            "http://localhost.example/",
            "ftp://localhost/",
            "",
            "/auth/user",
            "localhost:8000",
            "http://",
        ] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
        assert_eq!(
            check_url("http://id.example/keys", PlainHttp::Anywhere),
            Ok(true)
        );
    }

    #[test]
    fn no_reason_shows_the_url() {
        let client = WebClient::new(&WebClientOptions {
            timeout: Duration::from_secs(1),
            connect_timeout: Duration::from_secs(1),
            answer_max: 10,
            cacertfile: None,
            client_certificate: None,
        });
        let client = client.unwrap();
        for url in [
            "http://exa mple/?password=hush",
            "http://127.0.0.1:1/?password=hush",
            "x://y/?password=hush",
        ] {
            let reason = client.get(url).unwrap_err();
            assert!(!reason.contains("hush"), "{reason}");
        }
    }
}
