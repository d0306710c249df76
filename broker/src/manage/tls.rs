//! The requests about TLS. Their responses are JSON, in the form of RabbitMQ's tools.

use super::AdminContext;
use super::objects::Listener;
use super::operations::{OperationResult, Operations};
use super::request::{ErrorKind, Request, Response};
use crate::net::tls::{MAC, Role, Suite, VERSIONS, Validity};
use crate::text::names::NODE_NAME;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

impl Operations {
    /// Performs a request about TLS; returns any other request unchanged.
    pub(super) fn tls_operation(&mut self, request: Request) -> Result<OperationResult, Request> {
        Ok(match request {
            Request::ReloadTls => self.reload_tls(),
            Request::ListCertificates => {
                Ok(Response::Text(certificates(&self.context).to_string()))
            }
            Request::ListCipherSuites => Ok(Response::Text(cipher_suites().to_string())),
            Request::ListTlsVersions => Ok(Response::Text(json!(VERSIONS).to_string())),
            other => return Err(other),
        })
    }

    fn reload_tls(&self) -> OperationResult {
        let tls = &self.context.tls;
        if tls.server_config().is_none() {
            let reason = "there are no certificates: tls_certfile is not set";
            return Err(Response::refused_because(ErrorKind::Refused, reason));
        }
        match tls.reload() {
            Ok(()) => Ok(Response::Ok),
            Err(error) => {
                let reason = format!("{error}; the old certificates stay in force");
                Err(Response::refused_because(ErrorKind::Refused, reason))
            }
        }
    }
}

/// Returns what each listener with TLS has for certificates: those of the broker, and the authorities of clients'.
fn certificates(context: &AdminContext) -> Value {
    let validity = context.tls.validity();
    let settings = context.tls.settings();
    let listeners = Listener::all(context).into_iter();
    let described = listeners.filter(|listener| listener.tls).map(|listener| {
        let of = |role: Role| validity.iter().filter(move |one| one.role == role).map(certificate);
        let asks_clients = listener.protocol == "amqp/ssl";
        let authorities = asks_clients.then(|| of(Role::Authority).collect::<Vec<_>>());
        json!({
            "node": NODE_NAME,
            "protocol": listener.protocol,
            "interface": listener.ip_address,
            "port": listener.port,
            "purpose": listener.purpose,
            "certfile": joined(&settings.certificates),
            "cacertfile": settings.authorities.as_deref().filter(|_| asks_clients).map(Path::to_string_lossy),
            "certificates": of(Role::Certificate).collect::<Vec<_>>(),
            "authorities": authorities.unwrap_or_default(),
        })
    });
    described.collect()
}

fn certificate(validity: &Validity) -> Value {
    let [from_text, until_text] = validity.texts();
    json!({
        "from": validity.from,
        "until": validity.until,
        "from_text": from_text,
        "until_text": until_text,
        "pem": validity.pem(),
    })
}

fn joined(paths: &[PathBuf]) -> String {
    let paths: Vec<_> = paths.iter().map(|path| path.to_string_lossy()).collect();
    paths.join(",")
}

fn cipher_suites() -> Value {
    let described = Suite::all().into_iter().map(|suite| {
        json!({
            "openssl": suite.openssl,
            "key_exchange": suite.key_exchange,
            "cipher": suite.cipher,
            "mac": MAC,
            "prf": suite.prf,
        })
    });
    described.collect()
}
