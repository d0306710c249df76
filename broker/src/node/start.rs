//! Starting and stopping the broker: what is opened in which order, and what to say when something cannot be had.

use crate::amqp::listener::Sessions;
use crate::config::Config;
use crate::control::server::AdminSocket;
use crate::domain::broker::Broker;
use crate::domain::recovery::{self, RecoveryError};
use crate::domain::shortage;
use crate::manage::definitions::{self, LoadError};
use crate::manage::{AdminContext, Settings, statistics};
use crate::net::Service;
use crate::net::tls::{self, Tls, TlsError, TlsSettings};
use crate::node::listeners::{Listeners, shown};
use crate::node::private;
use crate::node::reload::Reloader;
use crate::node::signals::{self, StopSignals};
use crate::plumbing::aside::Aside;
use crate::plumbing::log::Log;
use crate::plumbing::system;
use leveret_storage::{Options, Store};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

/// How many tasks a busy worker polls before it polls the sockets again. Under load a connection runs
/// for up to a millisecond, and with tokio's default of 61 a quiet client waited behind a flood of
/// others: 60 ms at the 99th percentile.
const SOCKET_POLL_INTERVAL: u32 = 3;

/// Why the broker did not start, or did not stop cleanly: one line each.
#[derive(Debug, Error)]
pub enum Failure {
    /// The store does not open or close.
    #[error(transparent)]
    Storage(#[from] leveret_storage::StorageError),
    /// What is stored cannot be restored.
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    /// See [`definitions::load_configured`].
    #[error("cannot load definitions: {0}")]
    Definitions(#[from] LoadError),
    /// Certificates or keys cannot be used.
    #[error("cannot set up TLS: {0}")]
    Tls(#[from] TlsError),
    /// Nobody could log in as the settings say.
    #[error("cannot start: {0}")]
    Logins(String),
    /// A port cannot be had.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address and port.
        address: String,
        /// Why, and what to do.
        reason: String,
    },
    /// The socket for leveretctl cannot be had.
    #[error("cannot open the admin socket {path}: {reason}")]
    Admin {
        /// The data directory.
        path: String,
        /// The system's error.
        reason: std::io::Error,
    },
    /// Everything else.
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// Runs the broker until it is told to stop. `started` is when the process started, for the log.
///
/// # Errors
/// When it cannot start, or the store cannot be closed.
pub fn run(config: &Config, log: &Log, started: Instant) -> Result<(), Failure> {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        data_dir = %config.data_dir.display(),
        config_files = config_files(config).map(tracing::field::display),
        "leveret starting"
    );
    for note in &config.notes {
        tracing::warn!("{note}");
    }
    for (variable, setting) in &config.rabbitmq_variables {
        tracing::info!(
            variable,
            setting,
            "taking a setting from a variable of RabbitMQ"
        );
    }
    let unknown = Config::unknown_variables();
    if !unknown.is_empty() {
        let variables = unknown.join(", ");
        tracing::warn!(
            variables,
            "these environment variables are no settings and have no effect"
        );
    }
    let file_limit = system::raise_file_limit();
    tracing::info!(file_limit, "file descriptor limit");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(SOCKET_POLL_INTERVAL)
        .build()?;
    runtime.block_on(serve(config, log, started))
}

/// Returns the files that were read, for the log; `None` if there was none.
fn config_files(config: &Config) -> Option<String> {
    let files = config.config_files.iter();
    let files: Vec<String> = files.map(|path| path.display().to_string()).collect();
    (!files.is_empty()).then(|| files.join(","))
}

async fn serve(config: &Config, log: &Log, started: Instant) -> Result<(), Failure> {
    let hangups = signals::install_reload()?;
    private::restrict_permissions(&config.data_dir);
    let tls = Tls::open(TlsSettings::from(config))?;
    // Before the port is open: a broker without its data must not serve anybody.
    let defaults = Options::new(config.data_dir.join("store"));
    // If one thread serves all connections, none of them may block it.
    let single_threaded = tokio::runtime::Handle::current().metrics().num_workers() < 2;
    let opened = Store::open(Options {
        weigh: crate::engine::queue::body_bytes,
        fast_sync: if single_threaded {
            Duration::ZERO
        } else {
            defaults.fast_sync
        },
        ..defaults
    })?;
    log_store_report(&opened.report);
    let broker = Arc::new(recovery::recover(config, opened)?);
    broker
        .statistics
        .set_interval(config.collect_statistics_interval);
    definitions::load_configured(&broker, config)?;
    broker.use_logins(broker.prepare_logins(config).map_err(Failure::Logins)?);
    // Alarms are in force before the first publisher connects.
    shortage::check(&broker, &config.data_dir);
    tokio::spawn(shortage::watch(broker.clone(), config.data_dir.clone()));
    wake_connections_when_store_ends(&broker);
    let listeners = Listeners::bind(config, &tls)?;
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    let settings: Settings = Arc::new(Mutex::new(config.settings()));
    let context = AdminContext {
        broker: broker.clone(),
        data_dir: config.data_dir.clone(),
        settings: settings.clone(),
        config: Arc::new(config.clone()),
        listeners: listeners.bound(),
        tls: tls.clone(),
        log: log.clone(),
        stop: stop.clone(),
    };
    let admin = AdminSocket::bind(context.clone()).map_err(|reason| Failure::Admin {
        path: config.data_dir.display().to_string(),
        reason,
    })?;
    let aside = Arc::new(Aside::default());
    let sessions = Sessions::new(broker.clone());
    let bound = context.listeners.clone();
    let listeners = listeners.serve_http(&context, &sessions, &aside, &stopped);
    let mut stop_signals = StopSignals::install()?;
    tokio::spawn(async move {
        let name = stop_signals.next().await;
        tracing::info!(signal = name, "stopping");
        stop.send_replace(true);
    });
    tokio::spawn(tls::watch(tls.clone()));
    tokio::spawn(reload_on(
        hangups,
        Reloader::new(broker.clone(), config, settings, log.clone(), tls),
    ));
    tracing::info!(
        address = shown(&bound, Service::Amqp, false).map(tracing::field::display),
        tls = shown(&bound, Service::Amqp, true).map(tracing::field::display),
        management = shown(&bound, Service::Management, false).map(tracing::field::display),
        management_tls = shown(&bound, Service::Management, true).map(tracing::field::display),
        prometheus = shown(&bound, Service::Prometheus, false).map(tracing::field::display),
        prometheus_tls = shown(&bound, Service::Prometheus, true).map(tracing::field::display),
        data_dir = %config.data_dir.display(),
        startup_ms = started.elapsed().as_millis() as u64,
        "ready"
    );
    tokio::spawn(statistics::run(broker.clone()));
    tokio::spawn(broker.serve_timers(stopped.clone()));
    let admin_stopped = stopped.clone();
    let admin = tokio::spawn({
        let aside = aside.clone();
        async move { admin.serve(&aside, admin_stopped).await }
    });
    sessions.serve(listeners, stopped).await;
    let finished = finish(&broker);
    // Last: a client that asked the broker to stop takes the closing socket as its end.
    admin.abort();
    finished
}

/// Reloads the configuration on every signal.
async fn reload_on(mut hangups: Signal, mut reloader: Reloader) {
    while hangups.recv().await.is_some() {
        let reloaded = tokio::task::spawn_blocking(move || {
            let loaded = Config::load(std::env::args_os()).map(|(config, _)| config);
            reloader.reload(loaded);
            reloader
        });
        reloader = match reloaded.await {
            Ok(reloader) => reloader,
            // It panicked, which is in the log; from now on the signal does nothing.
            Err(_) => return,
        };
    }
}

/// Logs what the store found, as far as operators should know.
fn log_store_report(report: &leveret_storage::Report) {
    for repair in &report.repairs {
        tracing::warn!("store: {repair}");
    }
    for loss in &report.losses {
        tracing::error!("store: {loss}");
    }
    tracing::info!(
        created = report.created,
        clean = report.clean,
        replayed_bytes = report.replayed_bytes,
        elapsed_ms = report.elapsed.as_millis() as u64,
        "store opened"
    );
}

/// Wakes all connections when the store ends, so that those that wait for it give up.
fn wake_connections_when_store_ends(broker: &Arc<Broker>) {
    if let Some(store) = &broker.store {
        let broker = Arc::downgrade(broker);
        store.on_end(move || {
            if let Some(broker) = broker.upgrade() {
                broker.connections.wake_all();
            }
        });
    }
}

fn finish(broker: &Broker) -> Result<(), Failure> {
    if let Some(store) = &broker.store {
        store.close()?;
    }
    tracing::info!("stopped");
    Ok(())
}
