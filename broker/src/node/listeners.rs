//! Everything that the broker listens on: all of it, or the broker does not start.

use super::failure::Failure;
use crate::amqp::listener::{Forwarded, Sessions};
use crate::config::{Config, ListenerSpec, Place};
use crate::domain::addresses::Addresses;
use crate::http::server::Site;
use crate::manage::AdminContext;
use crate::net::tls::Tls;
use crate::net::{BindError, Bound, Listener, Service, SocketOptions, StreamService, endpoints};
use crate::plumbing::aside::Aside;
use std::io::ErrorKind;
use std::sync::Arc;
use tokio::sync::watch;

/// All listeners.
pub(super) struct Listeners(Vec<Listener>);

impl Listeners {
    /// Binds everything that is configured. With the default port of the management HTTP API another broker on this machine
    /// may have it: then this one works without.
    ///
    /// # Errors
    /// The first listener that cannot be had.
    pub(super) fn bind(config: &Config, tls: &Tls) -> Result<Self, Failure> {
        let certified = tls.server_config().is_some();
        let options = SocketOptions::new(config, tls.clone());
        let mut listeners = Vec::new();
        for (service, specs) in [
            (Service::Amqp, config.amqp_listeners(certified)),
            (Service::Management, config.management_listeners(certified)),
            (Service::Prometheus, config.prometheus_listeners()),
        ] {
            for spec in specs {
                if spec.tls && !certified {
                    return Err(no_certificate(&spec));
                }
                match Listener::bind(service, &spec, &options) {
                    Ok(bound) => listeners.extend(bound),
                    Err(error) if may_be_missing(config, service, &spec, &error) => {
                        let setting = setting(config, service, &spec, "port");
                        tracing::warn!(
                            address = error.place,
                            "the management HTTP API is not served here because its default port is in use; choose \
                             another with {setting}"
                        );
                    }
                    Err(error) => {
                        return Err(Failure::Listen {
                            reason: reason(config, service, &spec, &error),
                            address: error.place,
                        });
                    }
                }
            }
        }
        Ok(Listeners(listeners))
    }

    /// Returns what they are.
    pub(super) fn bound(&self) -> Arc<[Bound]> {
        self.0.iter().map(|one| one.bound().clone()).collect()
    }

    /// Returns where they are, for messages to clients at the wrong one.
    pub(super) fn addresses(&self) -> Addresses {
        let bound = self.bound();
        let at = |service, tls| shown(&bound, service, tls);
        Addresses {
            amqp: at(Service::Amqp, false),
            amqps: at(Service::Amqp, true),
            http: at(Service::Management, false),
            https: at(Service::Management, true),
        }
    }

    /// Serves HTTP on its listeners, aside, until `stop` becomes true. Returns the listeners for AMQP.
    pub(super) fn serve_http(
        self,
        context: &AdminContext,
        sessions: &Sessions,
        aside: &Arc<Aside>,
        stop: &watch::Receiver<bool>,
    ) -> Vec<Listener> {
        let config = &context.config;
        let forwarded = config.amqp_websocket.then(|| {
            let forwarded: Arc<dyn StreamService> = Arc::new(Forwarded::new(sessions.clone()));
            forwarded
        });
        let management = Site::management(context.clone(), config, forwarded);
        let metrics = Site::metrics(context.clone());
        let mut amqp = Vec::new();
        for listener in self.0 {
            let site = match listener.bound().service {
                Service::Amqp => {
                    amqp.push(listener);
                    continue;
                }
                Service::Management => management.clone(),
                Service::Prometheus => metrics.clone(),
            };
            tokio::spawn(site.serve(listener, context.clone(), aside.clone(), stop.clone()));
        }
        amqp
    }
}

/// Checks what can be checked of the listeners without opening any: that there is a certificate for those with TLS, and
/// that names have addresses.
///
/// # Errors
/// The first listener that could not be had.
pub(super) fn check(config: &Config, tls: &Tls) -> Result<(), Failure> {
    let certified = tls.server_config().is_some();
    let mut specs = config.amqp_listeners(certified);
    specs.extend(config.management_listeners(certified));
    specs.extend(config.prometheus_listeners());
    for spec in specs {
        if spec.tls && !certified {
            return Err(no_certificate(&spec));
        }
        endpoints(&spec.place).map_err(|error| Failure::Listen {
            reason: error.error.to_string(),
            address: error.place,
        })?;
    }
    Ok(())
}

fn no_certificate(spec: &ListenerSpec) -> Failure {
    Failure::Listen {
        address: spec.place.to_string(),
        reason: "there is no certificate for TLS; set tls_certfile and tls_keyfile".to_owned(),
    }
}

/// Returns where a service listens, for the log; `None` if it does not.
pub(super) fn shown(listeners: &[Bound], service: Service, tls: bool) -> Option<String> {
    let those = listeners
        .iter()
        .filter(|bound| (bound.service, bound.tls) == (service, tls));
    let places: Vec<String> = those.map(|bound| bound.endpoint.to_string()).collect();
    (!places.is_empty()).then(|| places.join(","))
}

/// Returns whether the broker starts without this listener.
fn may_be_missing(
    config: &Config,
    service: Service,
    spec: &ListenerSpec,
    error: &BindError,
) -> bool {
    service == Service::Management
        && error.error.kind() == ErrorKind::AddrInUse
        && config.is_default_management(spec)
}

/// Returns the flag that names a listener, or its `part`: `bind` or `port`.
fn setting(config: &Config, service: Service, spec: &ListenerSpec, part: &str) -> String {
    let (prefix, listed) = match service {
        Service::Amqp => ("", &config.listeners),
        Service::Management => ("management-", &config.management_listeners),
        Service::Prometheus => ("prometheus-", &config.prometheus_listeners),
    };
    match (listed.is_empty(), part) {
        (false, _) => format!("--{prefix}listeners"),
        (true, "port") if spec.tls => format!("--{prefix}tls-port"),
        (true, part) => format!("--{prefix}{part}"),
    }
}

/// Says what to do about a listener that cannot be had.
fn reason(config: &Config, service: Service, spec: &ListenerSpec, error: &BindError) -> String {
    let setting = |part| setting(config, service, spec, part);
    let is_unix = matches!(spec.place, Place::Unix(_));
    match error.error.kind() {
        ErrorKind::AddrInUse if is_unix => {
            "somebody listens there, perhaps another broker; stop it or choose another path"
                .to_owned()
        }
        ErrorKind::AddrInUse => format!(
            "the port is in use, perhaps by another broker; stop it or choose another with {}",
            setting("port")
        ),
        ErrorKind::NotFound if is_unix => "its directory does not exist".to_owned(),
        ErrorKind::PermissionDenied if is_unix => {
            "no permission to make a socket in its directory".to_owned()
        }
        ErrorKind::PermissionDenied => format!(
            "no permission to use this port; choose one above 1023 with {}",
            setting("port")
        ),
        ErrorKind::AddrNotAvailable => format!(
            "this machine does not have that address; choose another with {}",
            setting("bind")
        ),
        _ => error.error.to_string(),
    }
}
