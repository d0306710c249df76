//! Users whom an HTTP service knows, asked as `rabbitmq_auth_backend_http` asks, with its answers remembered as by
//! `rabbitmq_auth_backend_cache`.

mod cache;
mod service;

pub use service::HttpService;

use super::Access;
use super::backend::{AskingLimit, Attempt, Authority, Backend, Known, Resource, Verdict};
use form_urlencoded::Serializer;
use parking_lot::RwLock;
use service::{Decision, Path};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// Operations that may wait for an answer at a time.
static WAITING: AskingLimit = AskingLimit::new(64, 256, Duration::from_secs(15));

/// The service, which the settings may change. Connections ask the one that is set.
#[derive(Debug, Default)]
pub struct HttpAuth {
    service: RwLock<Option<Arc<HttpService>>>,
}

impl HttpAuth {
    /// Sets who is asked from now on.
    pub fn set(&self, service: HttpService) {
        *self.service.write() = Some(Arc::new(service));
    }

    fn service(&self) -> Option<Arc<HttpService>> {
        self.service.read().clone()
    }
}

/// A shared [`HttpAuth`], as a backend.
#[derive(Clone, Debug)]
pub struct HttpBackend(pub Arc<HttpAuth>);

/// Returns a form with these fields, in RabbitMQ's order.
fn form(fields: &[(&str, &str)]) -> String {
    Serializer::new(String::new()).extend_pairs(fields).finish()
}

impl HttpBackend {
    fn login_form(attempt: &Attempt) -> String {
        let password = attempt.password.expose();
        form(&[("username", &attempt.user), ("password", password)])
    }

    fn verdict(&self, attempt: &Attempt, decision: &Decision) -> Verdict {
        match decision {
            Decision::Allow(tags) => Ok(Known {
                name: attempt.user.as_str().into(),
                tags: tags.clone(),
                authority: Arc::new(HttpAuthority {
                    user: attempt.user.clone(),
                    tags: tags.join(" "),
                    address: attempt.peer.to_canonical(),
                    auth: self.0.clone(),
                }),
            }),
            Decision::Deny => Err("Denied by the backing HTTP service".to_owned()),
            Decision::Failed(reason) => {
                Err(format!("the backing HTTP service did not decide: {reason}"))
            }
        }
    }
}

/// There is no service: the backend was not configured.
fn not_configured() -> String {
    "the HTTP auth backend is not configured".to_owned()
}

impl Backend for HttpBackend {
    fn name(&self) -> &'static str {
        "http"
    }

    fn authenticate_at_once(&self, attempt: &Attempt) -> Option<Verdict> {
        let Some(service) = self.0.service() else {
            return Some(Err(not_configured()));
        };
        let decision = service.remembered(Path::User, &Self::login_form(attempt))?;
        Some(self.verdict(attempt, &decision))
    }

    fn authenticate(&self, attempt: &Attempt) -> Verdict {
        let service = self.0.service().ok_or_else(not_configured)?;
        let decision = service.ask(Path::User, &Self::login_form(attempt));
        self.verdict(attempt, &decision)
    }
}

/// What the service permits a user.
#[derive(Debug)]
struct HttpAuthority {
    user: String,
    /// As they are sent.
    tags: String,
    address: IpAddr,
    auth: Arc<HttpAuth>,
}

impl HttpAuthority {
    fn allows(&self, path: Path, form: &str) -> bool {
        let Some(service) = self.auth.service() else {
            return false;
        };
        let decision = match service.remembered(path, form) {
            Some(decision) => decision,
            None => match WAITING.ask(|| service.ask(path, form)) {
                Ok(decision) => decision,
                Err(reason) => {
                    tracing::error!(user = %self.user, %reason, "the HTTP auth backend was not asked: refused");
                    return false;
                }
            },
        };
        matches!(*decision, Decision::Allow(_))
    }
}

impl Authority for HttpAuthority {
    fn may_enter(&self, vhost: &str) -> bool {
        let address = self.address.to_string();
        let fields = [
            ("username", &*self.user),
            ("vhost", vhost),
            ("ip", &address),
            ("tags", &self.tags),
        ];
        self.allows(Path::Vhost, &form(&fields))
    }

    fn permits(&self, access: Access, resource: Resource<'_>) -> bool {
        let fields = [
            ("username", &*self.user),
            ("vhost", resource.vhost),
            ("resource", resource.kind.as_str()),
            ("name", resource.name),
            ("permission", access.as_str()),
            ("tags", &self.tags),
        ];
        self.allows(Path::Resource, &form(&fields))
    }

    fn permits_topic(&self, access: Access, exchange: Resource<'_>, routing_key: &str) -> bool {
        let fields = [
            ("username", &*self.user),
            ("vhost", exchange.vhost),
            ("resource", "topic"),
            ("name", exchange.name),
            ("permission", access.as_str()),
            ("tags", &self.tags),
            ("routing_key", routing_key),
            ("variable_map.username", &self.user),
            ("variable_map.vhost", exchange.vhost),
        ];
        self.allows(Path::Topic, &form(&fields))
    }

    fn generation(&self) -> u64 {
        self.auth
            .service()
            .map_or(0, |service| service.generation())
    }
}
