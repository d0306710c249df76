//! Starting and stopping the broker: what is opened in which order, and what to say when something cannot be had.

use crate::amqp::listener::Sessions;
use crate::config::Config;
use crate::control::server::AdminSocket;
use crate::domain::broker::Broker;
use crate::domain::recovery;
use crate::domain::shortage;
use crate::manage::definitions;
use crate::manage::{AdminContext, Settings, statistics};
use crate::net::tls::{self, Tls, TlsSettings};
use crate::net::{Bound, Service};
use crate::node::failure::Failure;
use crate::node::listeners::{Listeners, shown};
use crate::node::private;
use crate::node::reload::Reloader;
use crate::node::service::reporter::Report;
use crate::node::service::{self, Notifier, Reporter, Status, Watchdog};
use crate::node::signals::{self, EarlySignals, StopSignals};
use crate::plumbing::aside::Aside;
use crate::plumbing::log::Log;
use crate::plumbing::stopped;
use crate::plumbing::system;
use leveret_storage::{Options, Progress, Store};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::signal::unix::Signal;
use tokio::sync::watch;

/// How many tasks a busy worker polls before it polls the sockets again. Under load a connection runs
/// for up to a millisecond, and with tokio's default of 61 a quiet client waited behind a flood of
/// others: 60 ms at the 99th percentile.
const SOCKET_POLL_INTERVAL: u32 = 3;
/// How long tasks may take to end once the store is closed.
const LAST_TASKS: Duration = Duration::from_secs(2);

/// Runs the broker until it is told to stop. `started` is when the process started, for the log; `early` are the signals
/// that have come since.
///
/// # Errors
/// When it cannot start, or the store cannot be closed.
pub fn run(
    config: &Config,
    log: &Log,
    started: Instant,
    early: &EarlySignals,
) -> Result<(), Failure> {
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
    let outcome = runtime.block_on(serve(config, log, started, early));
    // What blocks there, such as a login that waits for another server, must not keep the process from ending.
    runtime.shutdown_timeout(LAST_TASKS);
    outcome
}

/// Returns the files that were read, for the log; `None` if there was none.
fn config_files(config: &Config) -> Option<String> {
    let files = config.config_files.iter();
    let files: Vec<String> = files.map(|path| path.display().to_string()).collect();
    (!files.is_empty()).then(|| files.join(","))
}

async fn serve(
    config: &Config,
    log: &Log,
    started: Instant,
    early: &EarlySignals,
) -> Result<(), Failure> {
    let hangups = signals::hangups()?;
    let notifier = Notifier::from_environment();
    private::restrict_permissions(&config.data_dir);
    let tls = Tls::open(TlsSettings::from(config))?;
    // Before the port is open: a broker without its data must not serve anybody.
    let broker = open_broker(config, &notifier)?;
    // Alarms are in force before the first publisher connects.
    shortage::check(&broker, &config.data_dir);
    tokio::spawn(shortage::watch(broker.clone(), config.data_dir.clone()));
    wake_connections_when_store_ends(&broker);
    let listeners = Listeners::bind(config, &tls)?;
    let _ = broker.service.addresses.set(listeners.addresses());
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
    let hurry = stop_on(StopSignals::install()?, stop);
    tokio::spawn(tls::watch(tls.clone()));
    log_ready(config, &bound, started);
    let status = Status::new(&notifier, &bound, broker.service.condition());
    status.ready();
    tokio::spawn(status.clone().follow());
    let reloader = Reloader::new(broker.clone(), config, settings, log.clone(), tls);
    tokio::spawn(reload_on(
        hangups,
        early.hung_up(),
        reloader,
        status,
        stopped.clone(),
    ));
    // If there can be no thread for it, the start fails: the service manager would end the broker later.
    let watchdog = Watchdog::start(&notifier, &broker)?;
    tokio::spawn(statistics::run(broker.clone()));
    tokio::spawn(broker.serve_timers(stopped.clone()));
    let admin_stopped = stopped.clone();
    let admin = tokio::spawn({
        let aside = aside.clone();
        async move { admin.serve(&aside, admin_stopped).await }
    });
    sessions.serve(listeners, stopped).await;
    service::say_goodbye(&notifier, &broker, &hurry).await;
    drop(watchdog);
    let finished = finish(&broker, &notifier);
    // Last: a client that asked the broker to stop takes the closing socket as its end.
    admin.abort();
    finished
}

/// Opens the store, which may take long, and restores everything from it.
fn open_broker(config: &Config, notifier: &Notifier) -> Result<Arc<Broker>, Failure> {
    let progress = Arc::new(Progress::default());
    let look = {
        let progress = progress.clone();
        move || {
            let step = progress.step();
            Report {
                text: format!("starting: {step}"),
                mark: step.done,
            }
        }
    };
    let say = |text: &str| tracing::info!("{text}");
    let _reporter = Reporter::start(notifier.clone(), look, say)?;
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
        progress,
        ..defaults
    })?;
    log_store_report(&opened.report);
    let broker = Arc::new(recovery::recover(config, opened)?);
    broker
        .statistics
        .set_interval(config.collect_statistics_interval);
    definitions::load_configured(&broker, config)?;
    broker.use_logins(broker.prepare_logins(config).map_err(Failure::Logins)?);
    Ok(broker)
}

/// Stops the broker on the first signal. The value that this returns becomes true when another one comes while the broker
/// stops already: whoever sends it does not want to wait for clients.
fn stop_on(mut signals: StopSignals, stop: Arc<watch::Sender<bool>>) -> watch::Receiver<bool> {
    let (hurry, hurried) = watch::channel(false);
    tokio::spawn(async move {
        loop {
            let name = signals.next().await;
            if stop.send_replace(true) {
                tracing::info!(
                    signal = name,
                    "asked to stop again: not waiting for clients"
                );
                hurry.send_replace(true);
            } else {
                tracing::info!(signal = name, "stopping");
            }
        }
    });
    hurried
}

fn log_ready(config: &Config, bound: &[Bound], started: Instant) {
    let shown = |service, tls| shown(bound, service, tls).map(tracing::field::display);
    tracing::info!(
        address = shown(Service::Amqp, false),
        tls = shown(Service::Amqp, true),
        management = shown(Service::Management, false),
        management_tls = shown(Service::Management, true),
        prometheus = shown(Service::Prometheus, false),
        prometheus_tls = shown(Service::Prometheus, true),
        data_dir = %config.data_dir.display(),
        startup_ms = started.elapsed().as_millis() as u64,
        "ready"
    );
}

/// Reloads the configuration on every signal, also on one that came before the broker could, until the broker stops.
async fn reload_on(
    mut hangups: Signal,
    mut hung_up: bool,
    mut reloader: Reloader,
    status: Status,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        if !std::mem::take(&mut hung_up) {
            tokio::select! {
                signal = hangups.recv() => if signal.is_none() { return },
                () = stopped(&mut stop) => return,
            }
        }
        status.reloading();
        let reloaded = tokio::task::spawn_blocking(move || {
            let loaded = Config::load_again(std::env::args_os());
            reloader.reload(loaded);
            reloader
        });
        let reloaded = reloaded.await;
        if !*stop.borrow() {
            status.ready();
        }
        reloader = match reloaded {
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

fn finish(broker: &Broker, notifier: &Notifier) -> Result<(), Failure> {
    if let Some(store) = &broker.store {
        service::close_store(notifier, store)?;
    }
    tracing::info!("stopped");
    Ok(())
}
