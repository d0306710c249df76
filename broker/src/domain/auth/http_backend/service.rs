//! The service that is asked: its URLs, and what its answers mean.

use super::cache::{Cache, Question};
use crate::config::{Config, HttpMethod};
use crate::net::web_client::{Answer, PlainHttp, WebClient, WebClientOptions, check_url};
use crate::plumbing::log::LineLimit;
use crate::text::shorten::shortened;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The longest answer that is read, in bytes.
const ANSWER_MAX: u64 = 64 << 10;
/// For this long a refusal holds, or that the service did not answer: long enough for clients that try again at once.
const BRIEFLY: Duration = Duration::from_secs(1);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    User,
    Vhost,
    Resource,
    Topic,
}

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    Allow(Vec<String>),
    Deny,
    /// There is no decision: the service cannot be asked, or says something else.
    Failed(String),
}

/// The service, as the settings describe it.
#[derive(Debug)]
pub struct HttpService {
    method: HttpMethod,
    urls: [String; 4],
    client: WebClient,
    ttl: Duration,
    refusal_ttl: Duration,
    cache: Cache<Arc<Decision>>,
    started: Instant,
    failures: LineLimit,
}

impl HttpService {
    /// Prepares to ask the service.
    ///
    /// # Errors
    /// Which setting is wrong.
    pub fn of(config: &Config) -> Result<Self, String> {
        let urls = [
            ("auth_http_user_path", &config.auth_http_user_path),
            ("auth_http_vhost_path", &config.auth_http_vhost_path),
            ("auth_http_resource_path", &config.auth_http_resource_path),
            ("auth_http_topic_path", &config.auth_http_topic_path),
        ];
        for (setting, url) in urls {
            let checked = check_url(url, PlainHttp::Anywhere);
            let readable = checked.map_err(|reason| format!("{setting}: {reason}"))?;
            if readable && setting == "auth_http_user_path" {
                tracing::warn!(
                    setting,
                    %url,
                    "passwords go to another machine without TLS: use https"
                );
            }
        }
        let certificate = config.auth_http_ssl_options_certfile.clone();
        let key = config.auth_http_ssl_options_keyfile.clone();
        let client = WebClient::new(&WebClientOptions {
            timeout: config.auth_http_request_timeout,
            connect_timeout: config.auth_http_connection_timeout,
            answer_max: ANSWER_MAX,
            cacertfile: config.auth_http_ssl_options_cacertfile.clone(),
            client_certificate: certificate.map(|file| {
                let key = key.unwrap_or_else(|| file.clone());
                (file, key)
            }),
        });
        let ttl = config.auth_cache_cache_ttl;
        Ok(HttpService {
            method: config.auth_http_http_method,
            urls: urls.map(|(_, url)| url.clone()),
            client: client.map_err(|reason| format!("auth_http_ssl_options: {reason}"))?,
            ttl,
            refusal_ttl: match config.auth_cache_cache_refusals {
                true => ttl,
                false => ttl.min(BRIEFLY),
            },
            cache: Cache::new(),
            started: Instant::now(),
            failures: LineLimit::default(),
        })
    }

    /// Returns a number that changes when the answers so far hold no longer.
    pub(super) fn generation(&self) -> u64 {
        (self.started.elapsed().as_nanos() / self.ttl.as_nanos().max(1)) as u64
    }

    fn url(&self, path: Path) -> &str {
        &self.urls[path as usize]
    }

    fn question(&self, path: Path, form: &str) -> Question {
        self.cache.question(self.url(path), form)
    }

    /// Returns a decision that still holds.
    pub(super) fn remembered(&self, path: Path, form: &str) -> Option<Arc<Decision>> {
        self.cache.get(&self.question(path, form), Instant::now())
    }

    /// Asks the service. Blocks for as long as the settings allow.
    pub(super) fn ask(&self, path: Path, form: &str) -> Arc<Decision> {
        let question = self.question(path, form);
        // Somebody else may have asked the same meanwhile.
        if let Some(decision) = self.cache.get(&question, Instant::now()) {
            return decision;
        }
        let url = self.url(path);
        let answer = match self.method {
            HttpMethod::Get => {
                let separator = if url.contains('?') { '&' } else { '?' };
                self.client.get(&format!("{url}{separator}{form}"))
            }
            HttpMethod::Post => self.client.post(url, form),
        };
        let decision = match answer {
            Ok(answer) => read(&answer, path),
            Err(reason) => Decision::Failed(reason),
        };
        let ttl = match &decision {
            Decision::Allow(_) => self.ttl,
            Decision::Deny => self.refusal_ttl,
            Decision::Failed(reason) => {
                if let Some(suppressed) = self.failures.admit(Instant::now()) {
                    tracing::error!(
                        url,
                        %reason,
                        suppressed,
                        "the HTTP auth backend did not decide: refused"
                    );
                }
                BRIEFLY
            }
        };
        let decision = Arc::new(decision);
        self.cache
            .put(question, decision.clone(), Instant::now() + ttl);
        decision
    }
}

/// Reads an answer as RabbitMQ does: the status 200 or 201, `deny`, `allow`, and for a user its tags behind `allow`.
fn read(answer: &Answer, path: Path) -> Decision {
    if !matches!(answer.status, 200 | 201) {
        return Decision::Failed(format!("it answered with status {}", answer.status));
    }
    let text = answer.body.trim().to_lowercase();
    let mut words = text.split_whitespace();
    match (words.next(), path) {
        (Some("deny"), _) => Decision::Deny,
        (Some("allow"), Path::User) => Decision::Allow(words.map(str::to_owned).collect()),
        (Some("allow"), _) if text == "allow" => Decision::Allow(Vec::new()),
        _ => Decision::Failed(format!(
            "it answered neither allow nor deny: '{}'",
            shortened(&text, 64)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decided(status: u16, body: &str, path: Path) -> Decision {
        let body = body.to_owned();
        read(&Answer { status, body }, path)
    }

    #[test]
    fn answers_mean_what_they_mean_in_rabbitmq() {
        let tags =
            |tags: &[&str]| Decision::Allow(tags.iter().map(|tag| (*tag).to_owned()).collect());
        assert_eq!(decided(200, "allow", Path::User), tags(&[]));
        assert_eq!(
            decided(201, " Allow Administrator  management\n", Path::User),
            tags(&["administrator", "management"])
        );
        assert_eq!(decided(200, "deny", Path::User), Decision::Deny);
        assert_eq!(decided(200, "deny because", Path::Vhost), Decision::Deny);
        assert_eq!(decided(200, "allow\n", Path::Topic), tags(&[]));
        for (status, body, path) in [
            (200, "", Path::User),
            (200, "allowed", Path::User),
            (200, "yes", Path::User),
            (204, "allow", Path::User),
            (302, "allow", Path::User),
            (500, "allow", Path::User),
            (200, "allow management", Path::Resource),
            (200, "{\"allow\": true}", Path::Vhost),
            (200, "not allow", Path::Vhost),
        ] {
            assert!(
                matches!(decided(status, body, path), Decision::Failed(_)),
                "{status} {body}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_but_allow_allows(body in ".{0,20}", status in 100..600_u16) {
            let allowed = matches!(decided(status, &body, Path::Resource), Decision::Allow(_));
            prop_assert_eq!(allowed, (status == 200 || status == 201) && body.trim().to_lowercase() == "allow");
        }
    }
}
