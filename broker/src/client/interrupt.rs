//! Ends a run early: on Ctrl-C, with a summary, or because it failed.

use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

/// The number of the signal that was received, or 0.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
static FAILED: AtomicBool = AtomicBool::new(false);

/// Returns whether SIGINT, SIGTERM or SIGHUP was received.
pub(crate) fn interrupted() -> bool {
    signal() != 0
}

/// Returns the number of the signal that was received, or 0.
pub(crate) fn signal() -> i32 {
    SIGNAL.load(Ordering::Relaxed)
}

/// Records that the run has failed, so that nobody waits long for the broker any more.
pub(crate) fn fail() {
    FAILED.store(true, Ordering::Relaxed);
}

/// Returns whether the run is to end early.
pub(crate) fn is_ending() -> bool {
    interrupted() || FAILED.load(Ordering::Relaxed)
}

/// Starts to listen for signals, in a thread that lives as long as the process. A second signal
/// kills the process.
pub(crate) fn listen() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build();
    let Ok(runtime) = runtime else {
        return;
    };
    std::thread::spawn(move || runtime.block_on(wait()));
}

#[cfg(unix)]
async fn wait() {
    use rustix::process::{Signal, getpid, kill_process};
    use tokio::signal::unix::{SignalKind, signal};
    // Installing a handler would undo nohup(1).
    let mut hangup = match ignores_hangup() {
        true => None,
        false => signal(SignalKind::hangup()).ok(),
    };
    let mut closed = async || match &mut hangup {
        Some(hangup) => hangup.recv().await,
        None => std::future::pending().await,
    };
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    loop {
        let received = tokio::select! {
            _ = interrupt.recv() => Signal::INT,
            _ = terminate.recv() => Signal::TERM,
            _ = closed() => Signal::HUP,
        };
        if SIGNAL.swap(received.as_raw(), Ordering::Relaxed) != 0 {
            // Interrupted twice: something delays the summary.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}

/// Returns whether SIGHUP is ignored, as by nohup(1). Only Linux says so.
#[cfg(unix)]
fn ignores_hangup() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 != 0)
}
