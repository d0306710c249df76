//! The listeners of the management API and of the metrics: each accepts connections, as many as it can afford, and
//! serves them with hyper.

use super::api;
use super::login::Peer;
use super::metrics;
use super::state::Api;
use crate::config::Config;
use crate::manage::AdminContext;
use crate::manage::metrics::Scraper;
use crate::plumbing::aside::Aside;
use crate::plumbing::ports::PortOrder;
use crate::plumbing::slots::{ConnectionSlot, ConnectionSlots};
use crate::plumbing::stopped;
use axum::Router;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{Request, Response, Uri};
use hyper::body::{Frame, SizeHint};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;
use tower::ServiceExt;

/// Connections served at a time. When there are more, one that has been idle or does not read its answer is closed.
const MAX_CONNECTIONS: usize = 512;
/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;
/// How long a client may take to send a request's headers, and how long a connection may be idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one connection lasts; a request that runs then may still be answered in the same time.
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

    /// Serves the management API, aside, until `stop` becomes true.
    pub async fn serve_management(
        self,
        context: AdminContext,
        config: &Config,
        aside: &Aside,
        stop: watch::Receiver<bool>,
    ) {
        let orders = context.broker.service.ports.add();
        let app = || api::router(Api::new(context.clone()), config);
        self.serve(app, aside, orders, stop).await;
    }

    /// Serves the metrics to everybody, aside, until `stop` becomes true.
    pub async fn serve_metrics(
        self,
        context: AdminContext,
        aside: &Aside,
        stop: watch::Receiver<bool>,
    ) {
        let orders = context.broker.service.ports.add();
        let app = || metrics::open(Scraper::new(context.clone()));
        self.serve(app, aside, orders, stop).await;
    }

    /// Serves, except while an operator has closed the port, until `stop` becomes true.
    async fn serve(
        self,
        app: impl Fn() -> Router,
        aside: &Aside,
        mut orders: UnboundedReceiver<PortOrder>,
        mut stop: watch::Receiver<bool>,
    ) {
        let address = self.address();
        let mut listener = Some(self);
        loop {
            let (is_open, now) = (listener.is_some(), listener.take());
            let (end, ended) = watch::channel(false);
            let mut serving = pin!(async {
                match now {
                    Some(listener) => listener.serve_until(&app, aside, ended).await,
                    None => std::future::pending().await,
                }
            });
            let order = tokio::select! {
                served = &mut serving => {
                    if let Err(error) = served {
                        tracing::error!(%error, "HTTP is not served any more");
                    }
                    return stopped(&mut stop).await;
                }
                () = stopped(&mut stop) => {
                    end.send_replace(true);
                    return;
                }
                order = orders.recv() => order,
            };
            let Some(order) = order else {
                return stopped(&mut stop).await;
            };
            if is_open {
                // Its connections end, too.
                end.send_replace(true);
                let _ = serving.await;
            }
            let opened = match (order.open, &address) {
                (false, _) => Ok(None),
                (true, Ok(address)) => HttpListener::bind(*address).map(Some),
                (true, Err(error)) => Err(error.kind().into()),
            };
            let (reopened, result) = match opened {
                Ok(reopened) => (reopened, Ok(())),
                Err(error) => (None, Err(error)),
            };
            listener = reopened;
            order.done(result);
        }
    }

    /// Serves until `end` becomes true. `app` is made for the first client: a broker that nobody asks does without its
    /// memory.
    async fn serve_until(
        self,
        app: &impl Fn() -> Router,
        aside: &Aside,
        mut end: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let first = tokio::select! {
            first = self.next() => first,
            () = stopped(&mut end) => return Ok(()),
        };
        let (listener, app) = (self.0.into_std()?, app());
        let (first, peer) = (first.0.into_std()?, first.1);
        let accepting = aside.spawn(async move {
            let first = TcpStream::from_std(first)?;
            let listener = HttpListener(TcpListener::from_std(listener)?);
            listener.accept((first, peer), app, end).await;
            Ok(())
        })?;
        accepting.await.map_err(io::Error::other)?
    }

    /// Accepts clients, beginning with this one, until `stop` becomes true.
    async fn accept(
        &self,
        first: (TcpStream, SocketAddr),
        app: Router,
        stop: watch::Receiver<bool>,
    ) {
        let slots = ConnectionSlots::new(MAX_CONNECTIONS);
        let mut stopping = stop.clone();
        let all = async {
            let mut client = first;
            loop {
                let (socket, peer) = client;
                let slot = Arc::new(slots.take(&socket).await);
                let (app, mut stop) = (app.clone(), stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve_connection(socket, peer, app, &slot) => {}
                        () = slot.evicted() => {
                            tracing::debug!(%peer, "HTTP connection closed to make room for others");
                        }
                        () = stopped(&mut stop) => {}
                    }
                });
                client = self.next().await;
            }
        };
        tokio::select! {
            () = all => {}
            () = stopped(&mut stopping) => {}
        }
    }

    /// Waits for the next client.
    async fn next(&self) -> (TcpStream, SocketAddr) {
        loop {
            match self.0.accept().await {
                Ok(client) => return client,
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
    slot: &Arc<ConnectionSlot>,
) {
    // Small answers must not be delayed by Nagle's algorithm; without the option they are slower.
    let _ = socket.set_nodelay(true);
    let (asks, answers) = (slot.clone(), slot.clone());
    let service = app
        .map_request(move |mut request: Request<hyper::body::Incoming>| {
            // If it is too late, the connection ends at once.
            let _ = asks.request_started();
            request.extensions_mut().insert(Peer(peer));
            if let Some(trimmed) = without_trailing_slash(request.uri()) {
                *request.uri_mut() = trimmed;
            }
            let slot = asks.clone();
            request.map(|body| Body::new(Question { body, slot }))
        })
        .map_response(move |response: Response<Body>| {
            answers.sending_response();
            let slot = answers.clone();
            response.map(|body| Answer { body, slot })
        });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(socket), TowerToHyperService::new(service));
    let mut connection = pin!(connection);
    let mut ended = tokio::time::timeout(CONNECTION_TIMEOUT, connection.as_mut()).await;
    if ended.is_err() {
        connection.as_mut().graceful_shutdown();
        ended = tokio::time::timeout(CONNECTION_TIMEOUT, connection).await;
    }
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, %peer, "HTTP connection lost"),
        Err(_) => tracing::debug!(%peer, "HTTP connection closed: it took too long"),
    }
}

/// The body of a request, which tells the connection's slot how much of it has arrived.
struct Question {
    body: hyper::body::Incoming,
    slot: Arc<ConnectionSlot>,
}

impl HttpBody for Question {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        match &polled {
            Poll::Pending => self.slot.awaiting_body(),
            Poll::Ready(Some(Ok(_))) if self.body.is_end_stream() => self.slot.body_received(),
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                self.slot.receiving_body(bytes);
            }
            Poll::Ready(_) => self.slot.body_received(),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Question {
    /// What is missing is not wanted any more.
    fn drop(&mut self) {
        self.slot.body_received();
    }
}

/// The body of an answer, which tells the connection's slot how far it has been taken.
struct Answer {
    body: Body,
    slot: Arc<ConnectionSlot>,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if matches!(polled, Poll::Ready(Some(_))) {
            self.slot.sending_response();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.slot.response_sent();
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
