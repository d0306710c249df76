//! What ends a run before its time: Ctrl-C, with a summary, and a failure.

use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static FAILED: AtomicBool = AtomicBool::new(false);

/// Whether Ctrl-C or a wish to terminate came.
pub(super) fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// The run has failed: nobody waits for the broker for long any more.
pub(super) fn fail() {
    FAILED.store(true, Ordering::Relaxed);
}

/// Whether the run is to end before its time.
pub(super) fn is_ending() -> bool {
    interrupted() || FAILED.load(Ordering::Relaxed)
}

/// Listens for them from now on, in a thread that ends with the process. The second ends the
/// process as it would have without this.
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
            // Asked twice: something holds the summary up.
            let _ = kill_process(getpid(), Signal::KILL);
        }
    }
}
