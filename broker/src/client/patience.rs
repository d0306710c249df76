//! Limits how long the broker may be idle before a run fails.

use super::interrupt::is_ending;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// The limit once the run has failed or was interrupted: pending requests may still be answered,
/// but not for long.
const PATIENCE_WHEN_ENDING: Duration = Duration::from_secs(5);

/// Measures how long the broker has been idle.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    max: Duration,
    since: Option<Instant>,
}

impl Patience {
    /// Creates a limit of `max`.
    pub(crate) fn new(max: Duration) -> Self {
        Patience { max, since: None }
    }

    /// Records that the broker has done something.
    pub(crate) fn renew(&mut self) {
        self.since = None;
    }

    /// Returns whether to keep waiting: false if the run is ending and this takes long. The first
    /// call starts the clock.
    ///
    /// # Errors
    /// The broker has been idle for too long. `undone` says what it has not done, as in "has not
    /// answered".
    pub(crate) fn lasts(&mut self, undone: &str) -> io::Result<bool> {
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        if is_ending() && waited > PATIENCE_WHEN_ENDING {
            return Ok(false);
        }
        if waited <= self.max {
            return Ok(true);
        }
        let seconds = self.max.as_secs_f64();
        let text = format!("the broker {undone} for {seconds} seconds");
        Err(io::Error::new(ErrorKind::TimedOut, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_ends_with_what_was_waited_for_and_is_renewed_by_anything() {
        let mut patience = Patience::new(Duration::from_millis(10));
        assert!(patience.lasts("has done nothing").unwrap());
        std::thread::sleep(Duration::from_millis(20));
        let error = patience.lasts("has done nothing").unwrap_err();
        let text = "the broker has done nothing for 0.01 seconds";
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (ErrorKind::TimedOut, text)
        );
        patience.renew();
        assert!(patience.lasts("has done nothing").unwrap());
    }
}
