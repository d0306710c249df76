//! Ends a run early: on Ctrl-C, with a summary, or because it failed.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static FAILED: AtomicBool = AtomicBool::new(false);

/// Returns whether SIGINT or SIGTERM was received.
pub(super) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Records that the run has failed, so that nobody waits long for the broker any more.
pub(super) fn fail() {
    FAILED.store(true, Ordering::Relaxed);
}

/// Returns whether the run is to end early.
pub(super) fn is_ending() -> bool {
    interrupted() || FAILED.load(Ordering::Relaxed)
}

/// Starts to listen for signals, in a thread that lives as long as the process. A second signal
/// kills the process.
pub(super) fn listen() {
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
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            // Interrupted twice: something delays the summary.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}
