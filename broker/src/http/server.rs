//! The listeners of the management API and of the metrics: each accepts connections, as many as it can afford, and
//! serves them with hyper.

use super::api;
use super::foreign::Foreign;
use super::login::Client;
use super::metrics;
use super::state::Api;
use crate::config::Config;
use crate::domain::broker::Broker;
use crate::manage::AdminContext;
use crate::manage::metrics::Scraper;
use crate::net::{Acceptor, Arrival, Ends, Listener, Source, Stream, StreamService};
use crate::plumbing::aside::Aside;
use crate::plumbing::ports::Users;
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
use std::pin::{Pin, pin};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;
use tower::ServiceExt;

/// Connections served at a time. When there are more, one that has been idle or does not read its answer is closed.
const MAX_CONNECTIONS: usize = 512;
/// How long a client may take to send a request's headers, and how long a connection may be idle.
const HEADER_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one connection lasts; a request that runs then may still be answered in the same time.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(600);
/// Bytes that hyper buffers per connection in each direction.
const BUFFER: usize = 64 << 10;

/// What is served on some listeners, which share its connection slots. Copies are the same.
#[derive(Clone)]
pub struct Site {
    make: Arc<dyn Fn() -> Router + Send + Sync>,
    /// Made for the first client: a broker that nobody asks does without its memory.
    app: Arc<OnceLock<Router>>,
    slots: Arc<ConnectionSlots>,
    foreign: Arc<Foreign>,
}

impl Site {
    /// Returns the management API; `streams` serves AMQP over WebSocket, if that is wanted.
    pub fn management(
        context: AdminContext,
        config: &Config,
        streams: Option<Arc<dyn StreamService>>,
    ) -> Self {
        let config = config.clone();
        let broker = context.broker.clone();
        Site::new(broker, move || {
            let api = Api::new(context.clone());
            api::router(api, &config, streams.clone())
        })
    }

    /// Returns the metrics, for everybody.
    pub fn metrics(context: AdminContext) -> Self {
        let broker = context.broker.clone();
        Site::new(broker, move || metrics::open(Scraper::new(context.clone())))
    }

    fn new(broker: Arc<Broker>, make: impl Fn() -> Router + Send + Sync + 'static) -> Self {
        Site {
            make: Arc::new(make),
            app: Arc::default(),
            slots: ConnectionSlots::new(MAX_CONNECTIONS),
            foreign: Arc::new(Foreign::new(broker)),
        }
    }

    /// Serves a listener, aside, until `stop` becomes true.
    pub async fn serve(
        self,
        listener: Listener,
        context: AdminContext,
        aside: Arc<Aside>,
        stop: watch::Receiver<bool>,
    ) {
        let orders = context.broker.service.ports.add(Users::Operators);
        let serve = |source: Source, mut end: watch::Receiver<bool>| {
            let (site, aside) = (self.clone(), aside.clone());
            async move {
                let first = tokio::select! {
                    first = source.first() => first?,
                    () = stopped(&mut end) => return Ok(()),
                };
                let accepting = aside.spawn(async move {
                    let acceptor = source.acceptor()?;
                    let first = acceptor.attach(first)?;
                    site.accept(&acceptor, first, end).await;
                    io::Result::Ok(())
                })?;
                accepting.await.map_err(io::Error::other)?
            }
        };
        listener.run(orders, stop, serve).await;
    }

    /// Accepts clients, beginning with this one, until `stop` becomes true.
    async fn accept(&self, acceptor: &Acceptor, first: Arrival, stop: watch::Receiver<bool>) {
        let app = self.app.get_or_init(|| (self.make)());
        let mut stopping = stop.clone();
        let all = async {
            let mut arrival = first;
            loop {
                let slot = Arc::new(self.slots.take(arrival.socket()).await);
                let (app, mut stop) = (app.clone(), stop.clone());
                let foreign = self.foreign.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        () = serve_arrival(arrival, app, &slot, &foreign) => {}
                        () = slot.evicted() => {
                            tracing::debug!("HTTP connection closed to make room for others");
                        }
                        () = stopped(&mut stop) => {}
                    }
                });
                arrival = acceptor.accept().await;
            }
        };
        tokio::select! {
            () = all => {}
            () = stopped(&mut stopping) => {}
        }
    }
}

async fn serve_arrival(
    arrival: Arrival,
    app: Router,
    slot: &Arc<ConnectionSlot>,
    foreign: &Foreign,
) {
    let greeted = match arrival.into_plain() {
        Ok((socket, ends)) => {
            let has_begun = foreign.look(&socket, &ends.peer, HEADER_TIMEOUT).await;
            has_begun.then_some((Stream::Tcp(socket), ends))
        }
        Err(arrival) => arrival.greet().await,
    };
    if let Some((stream, ends)) = greeted {
        serve_connection(stream, ends, app, slot).await;
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

async fn serve_connection(stream: Stream, ends: Ends, app: Router, slot: &Arc<ConnectionSlot>) {
    let (asks, answers) = (slot.clone(), slot.clone());
    let peer = ends.peer.clone();
    let client = Client(Arc::new(ends));
    let service = app
        .map_request(move |mut request: Request<hyper::body::Incoming>| {
            // If it is too late, the connection ends at once.
            let _ = asks.request_started();
            request.extensions_mut().insert(client.clone());
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
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
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
