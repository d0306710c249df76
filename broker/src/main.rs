//! `leveret`: the broker.

use leveret::amqp::listener::Listener;
use leveret::config::{Command, Config, ConfigError, Environment};
use leveret::control::server::AdminSocket;
use leveret::ctl::{self, Terminal};
use leveret::domain::broker::Broker;
use leveret::domain::recovery::{self, RecoveryError};
use leveret::domain::shortage;
use leveret::manage::Surroundings;
use leveret::node::logging::{self, LogLevel};
use leveret::node::private;
use leveret::node::reload::Reloader;
use leveret::node::signals::{self, Stops};
use leveret::plumbing::system;
use leveret::plumbing::timers;
use leveret::text::escape::{Form, escaped};
use leveret_storage::{Options, Store};
use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

/// jemalloc gives back what is free, and is faster here than glibc's allocator: docs/develop/performance.md, "Allocator".
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What jemalloc reads before `main`: what has been free for 50 ms goes back to the system, on a
/// thread of its own.
#[cfg(not(target_env = "msvc"))]
#[allow(
    unsafe_code,
    reason = "jemalloc looks for this name, which is nobody else's, and for a text that ends with a zero"
)]
#[unsafe(export_name = "malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8; 58] =
    b"background_thread:true,dirty_decay_ms:50,muzzy_decay_ms:0\0";

/// The exit status of `leveret check` and `leveret repair` when they could not do their work.
const NOT_DONE: u8 = 2;

/// Why the broker did not start, or did not stop as it should: one line each.
#[derive(Debug, Error)]
enum Failure {
    #[error(transparent)]
    Storage(#[from] leveret_storage::StorageError),
    #[error(transparent)]
    Recovery(#[from] RecoveryError),
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        address: std::net::SocketAddr,
        reason: String,
    },
    #[error("cannot open the admin socket {path}: {reason}")]
    Admin {
        path: String,
        reason: std::io::Error,
    },
    #[error("cannot start: {0}")]
    System(#[from] std::io::Error),
}

/// A worker that is never idle looks at the sockets again after so many turns of connections. A turn
/// under load is up to a millisecond long, and tokio's own 61 of them is what a quiet client's message
/// had to wait beside a flood: 60 ms at the 99th percentile.
const SOCKETS_EVERY: u32 = 3;

fn main() -> ExitCode {
    let started = Instant::now();
    private::from_now_on();
    let (config, command) = match Config::load(std::env::args_os()) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error),
    };
    if let Some(command) = command {
        return match command {
            Command::Backup { directory } => backup(directory, &config),
            command => offline(&command, &config),
        };
    }
    let log_level = logging::start(&config);
    match run(&config, log_level, started) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Plain, last and alone on its line, whatever the log's format and level.
            let failure = failure.to_string();
            eprintln!("leveret: error: {}", escaped(&failure, Form::Line));
            ExitCode::FAILURE
        }
    }
}

/// `leveretctl backup`, for whoever looks for it here.
fn backup(directory: String, config: &Config) -> ExitCode {
    let data_dir = config.data_dir.to_string_lossy().into_owned();
    let words = [
        "--data-dir".to_owned(),
        data_dir,
        "backup".to_owned(),
        directory,
    ];
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    let mut terminal = Terminal {
        bold: out.is_terminal() && err.is_terminal(),
        out: &mut out,
        err: &mut err,
        environment: Environment::of_process(),
    };
    ExitCode::from(ctl::main(words.to_vec(), &mut terminal))
}

/// Work on the store while no broker runs.
fn offline(command: &Command, config: &Config) -> ExitCode {
    match leveret::node::offline::run(command, &config.data_dir) {
        Ok(outcome) => {
            print!("{}", outcome.text);
            ExitCode::from(outcome.status)
        }
        Err(error) => {
            let error = error.to_string();
            eprintln!("leveret: error: {}", escaped(&error, Form::Line));
            ExitCode::from(NOT_DONE)
        }
    }
}

fn refuse(error: &ConfigError) -> ExitCode {
    error.report("leveret")
}

fn run(config: &Config, log_level: LogLevel, started: Instant) -> Result<(), Failure> {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        pid = std::process::id(),
        data_dir = %config.data_dir.display(),
        "leveret starting"
    );
    let file_limit = system::raise_file_limit();
    tracing::info!(file_limit, "files and sockets that may be open");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .event_interval(SOCKETS_EVERY)
        .build()?;
    runtime.block_on(serve(config, log_level, started))
}

async fn serve(config: &Config, log_level: LogLevel, started: Instant) -> Result<(), Failure> {
    let hangups = signals::hangups()?;
    private::mend(&config.data_dir);
    // Before the port is open: nobody may be served by a broker that turns out to have no data.
    let defaults = Options::new(config.data_dir.join("store"));
    // Where one thread serves all connections, none of them may hold it up.
    let alone = tokio::runtime::Handle::current().metrics().num_workers() < 2;
    let opened = Store::open(Options {
        weigh: leveret::engine::queue::body_bytes,
        fast_sync: if alone {
            Duration::ZERO
        } else {
            defaults.fast_sync
        },
        ..defaults
    })?;
    report(&opened.report);
    let broker = Arc::new(recovery::recover(config, opened)?);
    // Alarms are in force before the first publisher comes.
    shortage::check(&broker, &config.data_dir);
    tokio::spawn(shortage::watch(broker.clone(), config.data_dir.clone()));
    tell_when_store_ends(&broker);
    let address = config.listen_address();
    let listener = Listener::bind(broker.clone(), address).map_err(|error| Failure::Listen {
        address,
        reason: listen_reason(&error),
    })?;
    let bound = listener.address()?;
    let (stop, stopped) = watch::channel(false);
    let stop = Arc::new(stop);
    let surroundings = Surroundings {
        broker: broker.clone(),
        data_dir: config.data_dir.clone(),
        config_files: config.config_file.iter().cloned().collect(),
        address: bound,
        stop: stop.clone(),
    };
    let admin = AdminSocket::bind(surroundings).map_err(|reason| Failure::Admin {
        path: config.data_dir.display().to_string(),
        reason,
    })?;
    let mut stops = Stops::take()?;
    tokio::spawn(async move {
        let name = stops.next().await;
        tracing::info!(signal = name, "stopping");
        stop.send_replace(true);
    });
    tokio::spawn(reload_on(
        hangups,
        Reloader::new(broker.clone(), config, log_level),
    ));
    tracing::info!(
        address = %bound,
        data_dir = %config.data_dir.display(),
        startup_ms = started.elapsed().as_millis() as u64,
        "ready"
    );
    tokio::spawn(timers::serve(broker.timer_context(), stopped.clone()));
    let admin = tokio::spawn(admin.serve(stopped.clone()));
    listener.serve(stopped).await;
    let finished = finish(&broker);
    // Last: whoever asked the broker to stop sees it gone when its socket closes.
    admin.abort();
    finished
}

/// Reads the configuration again as often as a signal comes.
async fn reload_on(mut hangups: Signal, mut reloader: Reloader) {
    while hangups.recv().await.is_some() {
        let reloaded = tokio::task::spawn_blocking(move || {
            let loaded = Config::load(std::env::args_os()).map(|(config, _)| config);
            reloader.reload(loaded);
            reloader
        });
        reloader = match reloaded.await {
            Ok(reloader) => reloader,
            // It panicked, which the log says; from now on the signal does nothing.
            Err(_) => return,
        };
    }
}

/// What the store found, where an operator should know.
fn report(report: &leveret_storage::Report) {
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
        "store open"
    );
}

fn listen_reason(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            "the port is in use, perhaps by another broker; stop that or choose --port".to_owned()
        }
        std::io::ErrorKind::PermissionDenied => {
            "no permission for this port; choose one above 1023 with --port".to_owned()
        }
        std::io::ErrorKind::AddrNotAvailable => {
            "this machine has no such address; choose one of its own with --bind".to_owned()
        }
        _ => error.to_string(),
    }
}

/// Whoever waits for the store when it ends learns that nothing more will come of it.
fn tell_when_store_ends(broker: &Arc<Broker>) {
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
