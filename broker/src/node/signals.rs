//! Signal handling: TERM, INT and QUIT stop the broker, HUP reloads its configuration. No other signal
//! ends it, except those that report a fault in the process itself.

use std::io;
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

/// Returns the signal that reloads the configuration, and makes the process ignore all signals that
/// must not end it. Call it before there is anything to lose.
///
/// # Errors
/// When the system refuses a handler.
pub fn install_reload() -> io::Result<Signal> {
    for number in ignored() {
        // The handler stays installed even though nothing listens.
        if let Err(error) = signal(SignalKind::from_raw(number)) {
            tracing::debug!(number, %error, "cannot install a handler for this signal");
        }
    }
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
