//! The listeners of the management API and of the metrics: each accepts connections, as many as it can afford, and
//! serves them with hyper.

use super::api::{self, Api};
use super::login::Peer;
use super::metrics;
use crate::config::Config;
use crate::manage::AdminContext;
use crate::manage::metrics::Scraper;
use crate::plumbing::stopped;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, Uri};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tower::ServiceExt;

/// Connections served at a time; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 512;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long a client may take to send a request's headers, and how long a connection may be idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one connection may last: a client that does not read its answer is cut off.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes that hyper buffers per connection in each direction.
const BUFFER: usize = 64 << 10;
/// The pause after a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listening socket.
#[derive(Debug)]
pub struct HttpListener(TcpListener);

impl HttpListener {
    /// Binds `address`; port 0 picks a free one.
    ///
    /// # Errors
    /// The system's error.
    pub fn bind(address: SocketAddr) -> io::Result<Self> {
        let socket = match address.is_ipv4() {
            true => TcpSocket::new_v4()?,
            false => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        Ok(HttpListener(socket.listen(BACKLOG)?))
    }

    /// Returns the bound address.
    ///
    /// # Errors
    /// The system's error.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves the management API until `stop` becomes true.
    pub async fn serve_management(
        self,
        context: AdminContext,
        config: &Config,
        stop: watch::Receiver<bool>,
    ) {
        self.serve(api::router(Api::new(context), config), stop)
            .await;
    }

    /// Serves the metrics to everybody until `stop` becomes true.
    pub async fn serve_metrics(self, context: AdminContext, stop: watch::Receiver<bool>) {
        self.serve(metrics::open(Scraper::new(context)), stop).await;
    }

    async fn serve(self, app: Router, mut stop: watch::Receiver<bool>) {
        let connections_stop = stop.clone();
        tokio::select! {
            () = self.accept(app, &connections_stop) => {}
            () = stopped(&mut stop) => {}
        }
    }

    async fn accept(&self, app: Router, stop: &watch::Receiver<bool>) {
        let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let Ok(slot) = slots.clone().acquire_owned().await else {
                return;
            };
            match self.0.accept().await {
                Ok((socket, peer)) => {
                    let (app, stop) = (app.clone(), stop.clone());
                    tokio::spawn(async move {
                        serve_connection(socket, peer, app, stop).await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept an HTTP connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Returns the address without a slash at the end of its path, if it has one: as in RabbitMQ, both name the same.
fn without_trailing_slash(uri: &Uri) -> Option<Uri> {
    let path = uri
        .path()
        .strip_suffix('/')
        .filter(|path| !path.is_empty())?;
    let trimmed = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    trimmed.parse().ok()
}

async fn serve_connection(
    socket: TcpStream,
    peer: SocketAddr,
    app: Router,
    mut stop: watch::Receiver<bool>,
) {
    // Small answers must not be delayed by Nagle's algorithm; without the option they are slower.
    let _ = socket.set_nodelay(true);
    let service = app.map_request(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        if let Some(trimmed) = without_trailing_slash(request.uri()) {
            *request.uri_mut() = trimmed;
        }
        request.map(Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    let ended = tokio::select! {
        ended = tokio::time::timeout(CONNECTION_TIMEOUT, connection) => ended,
        () = stopped(&mut stop) => return,
    };
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, %peer, "HTTP connection lost"),
        Err(_) => tracing::debug!(%peer, "HTTP connection closed: it took too long"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_at_the_end_is_nothing() {
        let trimmed = |uri: &str| {
            let trimmed = without_trailing_slash(&uri.parse().unwrap());
            trimmed.map(|uri| uri.to_string())
        };
        assert_eq!(trimmed("/api/users/").as_deref(), Some("/api/users"));
        assert_eq!(trimmed("/api/?page=1").as_deref(), Some("/api?page=1"));
        for same in ["/", "/api/users", "/api/queues/%2F", "/api?path=/"] {
            assert_eq!(trimmed(same), None);
        }
    }
}
