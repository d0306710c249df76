//! Signal handling: TERM, INT and QUIT stop the broker, HUP reloads its configuration. No other signal
//! ends it, except those that report a fault in the process itself.

use signal_hook::consts::SIGHUP;
use signal_hook::{flag, low_level};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Returns the signals, real-time ones included, that would end or stop a process without a handler. PIPE is not among
/// them, since Rust programs ignore it; nor is TSTP, since Ctrl-Z in a terminal is deliberate.
fn ignored() -> impl Iterator<Item = i32> {
    use rustix::process::Signal as S;
    let named = [
        S::USR1,
        S::USR2,
        S::ALARM,
        S::VTALARM,
        S::PROF,
        S::IO,
        S::XCPU,
        S::XFSZ,
        S::TTIN,
        S::TTOU,
        S::TRAP,
        S::SYS,
    ];
    #[cfg(target_os = "linux")]
    let more = [S::POWER.as_raw(), S::STKFLT.as_raw()]
        .into_iter()
        .chain(34..=64);
    #[cfg(not(target_os = "linux"))]
    let more = std::iter::empty();
    named.into_iter().map(S::as_raw).chain(more)
}

/// What has been done about signals since the process began.
#[derive(Debug)]
pub struct EarlySignals {
    hung_up: Arc<AtomicBool>,
    is_mortal: Arc<AtomicBool>,
}

impl EarlySignals {
    /// Makes the process survive all signals that must not end a broker. Call it first of all: whoever starts a broker may
    /// send one at once.
    pub fn survive() -> Self {
        let early = EarlySignals {
            hung_up: Arc::default(),
            is_mortal: Arc::default(),
        };
        // The system refuses only handlers of signals that do not exist.
        let _ = flag::register_conditional_default(SIGHUP, early.is_mortal.clone());
        let _ = flag::register(SIGHUP, early.hung_up.clone());
        let unused = Arc::new(AtomicBool::new(false));
        for number in ignored() {
            // The handler stays installed even though nothing looks.
            let _ = flag::register(number, unused.clone());
        }
        early
    }

    /// Makes SIGHUP end the process again: it is no broker, and its terminal is gone.
    pub fn end_on_hangup(&self) {
        self.is_mortal.store(true, Ordering::SeqCst);
        if self.hung_up() {
            // Not reached: the default is to end.
            let _ = low_level::emulate_default_handler(SIGHUP);
        }
    }

    /// Returns whether SIGHUP has come since the last call.
    pub fn hung_up(&self) -> bool {
        self.hung_up.swap(false, Ordering::SeqCst)
    }
}

/// Returns the signal that reloads the configuration.
///
/// # Errors
/// When the system refuses a handler.
pub fn hangups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}

/// The signals that stop the broker.
#[derive(Debug)]
pub struct StopSignals([(&'static str, Signal); 3]);

impl StopSignals {
    /// Installs the handlers: from now on these signals do not end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub fn install() -> io::Result<Self> {
        Ok(StopSignals([
            ("SIGTERM", signal(SignalKind::terminate())?),
            ("SIGINT", signal(SignalKind::interrupt())?),
            ("SIGQUIT", signal(SignalKind::quit())?),
        ]))
    }

    /// Waits for the next signal and returns its name.
    pub async fn next(&mut self) -> &'static str {
        let [term, int, quit] = &mut self.0;
        tokio::select! {
            _ = term.1.recv() => term.0,
            _ = int.1.recv() => int.0,
            _ = quit.1.recv() => quit.0,
        }
    }
}
