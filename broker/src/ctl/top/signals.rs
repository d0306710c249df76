//! Signals that end or suspend the live view: the terminal is left as it was before they take effect.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP};
use signal_hook::{flag, low_level};

/// The signals that have arrived.
pub(super) struct Signals {
    /// The last one that ends the process; 0 for none.
    ending: Arc<AtomicUsize>,
    suspending: Arc<AtomicBool>,
}

impl Signals {
    /// Takes note of signals from now on, instead of what they do.
    ///
    /// # Errors
    /// When the system refuses that.
    pub(super) fn watch() -> io::Result<Self> {
        let (ending, suspending) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        for signal in [SIGHUP, SIGINT, SIGQUIT, SIGTERM] {
            // The numbers of signals are small.
            flag::register_usize(signal, Arc::clone(&ending), signal as usize)?;
        }
        flag::register(SIGTSTP, Arc::clone(&suspending))?;
        Ok(Signals { ending, suspending })
    }

    /// Returns whether a signal ends the view.
    pub(super) fn end_it(&self) -> bool {
        self.ending.load(Ordering::Relaxed) != 0
    }

    /// Returns whether the view is to be suspended, once for each time.
    pub(super) fn suspend_it(&self) -> bool {
        self.suspending.swap(false, Ordering::Relaxed)
    }

    /// Has the view suspended as by the signal: raw mode takes the key that would send it.
    pub(super) fn ask_to_suspend(&self) {
        self.suspending.store(true, Ordering::Relaxed);
    }

    /// Stops the process, and returns when it goes on.
    ///
    /// # Errors
    /// When the system refuses that.
    pub(super) fn suspend(&self) -> io::Result<()> {
        low_level::emulate_default_handler(SIGTSTP)
    }

    /// Ends the process by the signal that has arrived, if one has.
    ///
    /// # Errors
    /// When the system refuses that.
    pub(super) fn die(&self) -> io::Result<()> {
        match self.ending.load(Ordering::Relaxed) {
            0 => Ok(()),
            signal => low_level::emulate_default_handler(signal as i32),
        }
    }
}
