//! Asks over HTTP/1.1, a new connection per request, and follows no redirects.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ureq::Agent;
use ureq::http;

use super::reply::{Body, Reply, is_compared};
use super::script::Request;

const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Client {
    agent: Agent,
    base: String,
}

impl Client {
    /// `base` is `http://127.0.0.1:15672`.
    pub(super) fn new(base: &str) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(0)
            .timeout_global(Some(PATIENCE))
            .proxy(None)
            .build();
        Client {
            agent: Agent::new_with_config(config),
            base: base.trim_end_matches('/').to_owned(),
        }
    }

    /// Asks as `user:password`, or as nobody. A request without an `authorization` header of its own gets one; one
    /// with a body and no `content-type` gets JSON's.
    pub(super) fn ask(&self, user: Option<&str>, request: &Request) -> Result<Reply, String> {
        let wrong =
            |error: &dyn std::fmt::Display| format!("{} {}: {error}", request.method, request.path);
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(format!("{}{}", self.base, request.path));
        for (name, value) in &request.headers {
            builder = builder.header(name, value);
        }
        let has = |wanted: &str| {
            let mut names = request.headers.iter().map(|(name, _)| name);
            names.any(|name| name.eq_ignore_ascii_case(wanted))
        };
        if let Some(user) = user.filter(|_| !has("authorization")) {
            builder = builder.header("authorization", format!("Basic {}", STANDARD.encode(user)));
        }
        if request.body.is_some() && !has("content-type") {
            builder = builder.header("content-type", "application/json");
        }
        let carries = ["PUT", "POST", "PATCH"].contains(&request.method.as_str());
        let response = match &request.body {
            None if !carries => {
                let request = builder.body(()).map_err(|error| wrong(&error))?;
                self.agent.run(request)
            }
            body => {
                let body = body.clone().unwrap_or_default();
                let request = builder.body(body).map_err(|error| wrong(&error))?;
                self.agent.run(request)
            }
        };
        let mut response = response.map_err(|error| wrong(&error))?;
        let headers = response.headers().iter().filter_map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            is_compared(name.as_str()).then(|| (name.to_string(), value))
        });
        let headers = headers.collect();
        let body = response.body_mut().with_config().limit(64 << 20);
        let body = body.read_to_string().map_err(|error| wrong(&error))?;
        Ok(Reply {
            status: response.status().as_u16(),
            headers,
            body: Body::read(&body),
        })
    }
}
