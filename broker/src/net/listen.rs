//! Listeners: what they are, and how operators close and open them.

use super::accept::{Acceptor, Detached, Shared};
use super::bind::{self, BindError, Opened, Socket};
use super::endpoint::Endpoint;
use super::tls::Tls;
use crate::config::{Config, ListenerSpec};
use crate::plumbing::ports::PortOrder;
use crate::plumbing::stopped;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::watch;

/// What a listener serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// AMQP 0-9-1.
    Amqp,
    /// The management HTTP API.
    Management,
    /// The metrics, to everybody.
    Prometheus,
}

/// A listener as shown to operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    /// What it serves.
    pub service: Service,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// Where it listens.
    pub endpoint: Endpoint,
}

/// What all listeners have in common.
#[derive(Clone, Debug)]
pub struct SocketOptions {
    backlog: u32,
    keepalive: Option<Duration>,
    tls: Tls,
}

impl SocketOptions {
    /// Returns what is configured.
    pub fn new(config: &Config, tls: Tls) -> Self {
        let keepalive = u64::from(config.tcp_keepalive);
        SocketOptions {
            backlog: config.tcp_backlog,
            keepalive: (keepalive > 0).then(|| Duration::from_secs(keepalive)),
            tls,
        }
    }

    /// Returns after how long a silent peer is asked whether it is there; `None` for never.
    pub(super) fn keepalive(&self) -> Option<Duration> {
        self.keepalive
    }

    /// Returns the certificates.
    pub(super) fn tls(&self) -> &Tls {
        &self.tls
    }
}

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    bound: Bound,
    spec: Arc<ListenerSpec>,
    options: SocketOptions,
    /// `None` while an operator has closed it.
    opened: Option<Opened>,
}

impl Listener {
    /// Listens where this says: on every address of a name that this machine has.
    ///
    /// # Errors
    /// The first address that cannot be had.
    pub fn bind(
        service: Service,
        spec: &ListenerSpec,
        options: &SocketOptions,
    ) -> Result<Vec<Self>, BindError> {
        let endpoints = bind::endpoints(&spec.place)?;
        let spec = Arc::new(spec.clone());
        let (mut listeners, mut elsewhere) = (Vec::new(), None);
        let several = endpoints.len() > 1;
        for endpoint in endpoints {
            match bind::listen(&endpoint, &spec, options.backlog) {
                Ok((opened, endpoint)) => listeners.push(Listener {
                    bound: Bound {
                        service,
                        tls: spec.tls,
                        endpoint,
                    },
                    spec: spec.clone(),
                    options: options.clone(),
                    opened: Some(opened),
                }),
                Err(error) => {
                    let place = endpoint.to_string();
                    let error = BindError { place, error };
                    if !several || !bind::is_elsewhere(&error.error) {
                        return Err(error);
                    }
                    tracing::info!("{error}: skipped, as the name has other addresses");
                    elsewhere = Some(error);
                }
            }
        }
        match elsewhere {
            Some(error) if listeners.is_empty() => Err(error),
            _ => Ok(listeners),
        }
    }

    /// Returns what it is, and where it listens.
    pub fn bound(&self) -> &Bound {
        &self.bound
    }

    /// Serves with `serve`, which is told when to end, until `stop` becomes true; not while an operator has closed the
    /// listener.
    pub async fn run<F>(
        mut self,
        mut orders: UnboundedReceiver<PortOrder>,
        mut stop: watch::Receiver<bool>,
        serve: impl Fn(Source, watch::Receiver<bool>) -> F,
    ) where
        F: Future<Output = io::Result<()>>,
    {
        loop {
            let source = self.source();
            let is_open = source.is_some();
            let (end, ended) = watch::channel(false);
            let mut serving = pin!(async {
                match source {
                    Some(source) => serve(source?, ended).await,
                    None => std::future::pending().await,
                }
            });
            let order = loop {
                let order = tokio::select! {
                    served = &mut serving => {
                        if let Err(error) = served {
                            let listener = &self.bound.endpoint;
                            tracing::error!(%error, %listener, "this listener has failed");
                        }
                        return stopped(&mut stop).await;
                    }
                    () = stopped(&mut stop) => {
                        end.send_replace(true);
                        return;
                    }
                    order = orders.recv() => order,
                };
                match order {
                    None => return stopped(&mut stop).await,
                    Some(order) if order.open == is_open => order.done(Ok(())),
                    Some(order) => break order,
                }
            };
            if is_open {
                end.send_replace(true);
                let _ = serving.await;
            }
            let result = self.obey(order.open);
            order.done(result);
        }
    }

    /// Listens where it did, or closes the socket.
    fn obey(&mut self, open: bool) -> io::Result<()> {
        if !open {
            self.opened = None;
        } else if self.opened.is_none() {
            let (endpoint, backlog) = (&self.bound.endpoint, self.options.backlog);
            let listening = bind::listen(endpoint, &self.spec, backlog).map_err(|error| {
                let (kind, place) = (error.kind(), endpoint.to_string());
                io::Error::new(kind, BindError { place, error })
            });
            self.opened = Some(listening?.0);
        }
        Ok(())
    }

    /// Returns another handle of its socket, unless that is closed.
    fn source(&self) -> Option<io::Result<Source>> {
        let socket = &self.opened.as_ref()?.socket;
        let shared = Shared::new(
            self.bound.endpoint.clone(),
            self.spec.clone(),
            self.options.clone(),
            self.bound.service != Service::Amqp,
        );
        let shared = Arc::new(shared);
        Some(socket.try_clone().map(|socket| Source { socket, shared }))
    }
}

/// A listening socket that belongs to no runtime yet.
#[derive(Debug)]
pub struct Source {
    socket: Socket,
    shared: Arc<Shared>,
}

impl Source {
    /// Waits for the first connection, which another runtime may serve.
    ///
    /// # Errors
    /// When this runtime does not take the socket.
    pub async fn first(&self) -> io::Result<Detached> {
        let acceptor = Acceptor::new(self.socket.try_clone()?, self.shared.clone())?;
        loop {
            match acceptor.accept().await.detach() {
                Ok(first) => return Ok(first),
                Err(error) => tracing::debug!(%error, "connection lost"),
            }
        }
    }

    /// Accepts from now on, in the runtime that this is called in.
    ///
    /// # Errors
    /// When the runtime does not take it.
    pub fn acceptor(self) -> io::Result<Acceptor> {
        Acceptor::new(self.socket, self.shared)
    }
}
