//! `leveret`: the broker. Called by the name of leveretctl, or of one of RabbitMQ's tools, it is leveretctl.

use leveret::config::{Command, Config, ConfigError, Imported, TlsCommand};
use leveret::ctl;
use leveret::net::tls::{self, SelfSigned};
use leveret::node::signals::EarlySignals;
use leveret::node::{check_config, data_dir, logging, offline, private, start};
use leveret::text::escape::{Form, escaped};
use leveret::text::print::{complain, print};
use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// jemalloc returns free memory to the system and is faster here than glibc's allocator: docs/develop/performance.md,
/// "Allocator".
#[cfg(not(target_env = "msvc"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The settings that jemalloc reads before `main`: a background thread returns memory to the system
/// once it has been free for 50 ms.
#[cfg(not(target_env = "msvc"))]
#[allow(
    unsafe_code,
    reason = "jemalloc looks for this name, which nothing else uses, and for a NUL-terminated string"
)]
#[unsafe(export_name = "malloc_conf")]
pub static ALLOCATOR_SETTINGS: &[u8; 58] =
    b"background_thread:true,dirty_decay_ms:50,muzzy_decay_ms:0\0";

/// What errors begin with.
const PROGRAM: &str = "leveret";
/// How long the last lines of the log may take.
const LAST_LINES: Duration = Duration::from_secs(2);
/// The exit status of `leveret check` and `leveret repair` when they fail.
const COMMAND_FAILED: u8 = 2;

fn main() -> ExitCode {
    let started = Instant::now();
    private::restrict_umask();
    let called = std::env::args_os().next();
    if called.is_some_and(|program| ctl::is_known(&program.to_string_lossy())) {
        return ctl::run_process(std::env::args_os());
    }
    let early = EarlySignals::survive();
    let (config, command) = match Config::load(std::env::args_os()) {
        Ok(loaded) => loaded,
        Err(error) => return refuse(&error),
    };
    if let Some(command) = command {
        early.end_on_hangup();
        return match command {
            Command::CheckConfig => check_config(&config),
            Command::Backup { directory } => backup(directory, &config),
            Command::Tls { command } => make_certificates(command),
            Command::ImportConfig {
                path,
                output,
                without_advanced,
            } => import_config(&path, output.as_deref(), without_advanced),
            command => run_offline(&command, &config),
        };
    }
    // Before the log: its file may be in the data directory.
    if let Err(error) = data_dir::check(&config) {
        complain(PROGRAM, &error.to_string());
        return ExitCode::from(data_dir::UNUSABLE);
    }
    let log = logging::start(&config);
    let outcome = start::run(&config, &log, started, &early);
    // A reader that does not read must not keep the process from ending.
    log.flush(LAST_LINES);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // Plain text on the last line, whatever the log's format and level.
            complain(PROGRAM, &failure.to_string());
            ExitCode::from(failure.status())
        }
    }
}

/// Says whether a broker would start with this configuration.
fn check_config(config: &Config) -> ExitCode {
    match check_config::run(config) {
        Ok(report) => ExitCode::from(print(PROGRAM, &report, 0)),
        Err(failure) => {
            complain(PROGRAM, &failure.to_string());
            ExitCode::from(failure.status())
        }
    }
}

/// Runs `leveretctl backup`, for those who look for it here.
fn backup(directory: String, config: &Config) -> ExitCode {
    let data_dir = config.data_dir.clone().into_os_string();
    let words = [
        "leveretctl".into(),
        "--data-dir".into(),
        data_dir,
        "backup".into(),
        directory.into(),
    ];
    ctl::run_process(words.into_iter())
}

/// Prints or writes RabbitMQ's configuration as a file of our own.
fn import_config(path: &Path, output: Option<&Path>, without_advanced: bool) -> ExitCode {
    let imported = match Imported::read(path, without_advanced) {
        Ok(imported) => imported,
        Err(error) => return refuse(&error),
    };
    let Some(output) = output else {
        // A terminal must not be steered by it, a file needs every character.
        let text = match std::io::stdout().is_terminal() {
            true => escaped(&imported.text, Form::Lines),
            false => imported.text.as_str().into(),
        };
        return ExitCode::from(print(PROGRAM, &text, 0));
    };
    match imported.save(output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&error),
    }
}

/// Makes certificates to try TLS with.
fn make_certificates(command: TlsCommand) -> ExitCode {
    let TlsCommand::Selfsigned {
        directory,
        host,
        days,
    } = command;
    let hosts = match host.is_empty() {
        true => tls::own_hosts(),
        false => host,
    };
    let wanted = SelfSigned {
        directory,
        hosts,
        days,
    };
    match wanted.write() {
        Ok(report) => ExitCode::from(print(PROGRAM, &escaped(&report, Form::Lines), 0)),
        Err(error) => {
            complain(PROGRAM, &error.to_string());
            ExitCode::from(COMMAND_FAILED)
        }
    }
}

/// Runs a command on the store of a broker that is not running.
fn run_offline(command: &Command, config: &Config) -> ExitCode {
    // A check writes nothing.
    if *command == Command::Repair
        && let Err(error) = data_dir::refuse_root(&config.data_dir)
    {
        complain(PROGRAM, &error.to_string());
        return ExitCode::from(COMMAND_FAILED);
    }
    match offline::run(command, &config.data_dir) {
        Ok(outcome) => ExitCode::from(print(PROGRAM, &outcome.text, outcome.status)),
        Err(error) => {
            complain(PROGRAM, &error.to_string());
            ExitCode::from(COMMAND_FAILED)
        }
    }
}

fn refuse(error: &ConfigError) -> ExitCode {
    error.report(PROGRAM)
}
