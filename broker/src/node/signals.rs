//! What signals do: TERM, INT and QUIT stop the broker, HUP has it read its configuration again, and
//! no other ends it, unless it tells of a fault in the process itself.

use std::io;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Those that would end or stop a process that does not take them, real-time ones included. PIPE is not among
/// them: Rust's programs ignore it. TSTP is not, either: Ctrl-Z in a terminal is somebody's wish.
fn harmless() -> impl Iterator<Item = i32> {
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

/// The signals that have the broker read its configuration again. Takes all others that are not to
/// end it, and lets them do nothing: call it before anything can be lost.
///
/// # Errors
/// What the system says.
pub fn hangups() -> io::Result<Signal> {
    for number in harmless() {
        // Once taken it is taken for good: nobody has to listen.
        if let Err(error) = signal(SignalKind::from_raw(number)) {
            tracing::debug!(number, %error, "this signal cannot be taken");
        }
    }
    signal(SignalKind::hangup())
}

/// The signals that stop the broker.
#[derive(Debug)]
pub struct Stops([(&'static str, Signal); 3]);

impl Stops {
    /// From now on they do not end the process by themselves.
    ///
    /// # Errors
    /// What the system says.
    pub fn take() -> io::Result<Self> {
        Ok(Stops([
            ("SIGTERM", signal(SignalKind::terminate())?),
            ("SIGINT", signal(SignalKind::interrupt())?),
            ("SIGQUIT", signal(SignalKind::quit())?),
        ]))
    }

    /// The name of the next one.
    pub async fn next(&mut self) -> &'static str {
        let [term, int, quit] = &mut self.0;
        tokio::select! {
            _ = term.1.recv() => term.0,
            _ = int.1.recv() => int.0,
            _ = quit.1.recv() => quit.0,
        }
    }
}
