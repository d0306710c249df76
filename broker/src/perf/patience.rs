//! How long the broker may do nothing before a run fails, and a run that fails or is interrupted waits for it.

use super::interrupt::is_ending;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

/// The same when the run ends before its time: what is said around it still gets its answer, but not for long.
const CURT: Duration = Duration::from_secs(5);

/// A wait for the broker to do something.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    most: Duration,
    since: Option<Instant>,
}

impl Patience {
    /// The broker may do nothing for so long.
    pub(super) fn new(most: Duration) -> Self {
        Patience { most, since: None }
    }

    /// The broker has done something: the wait is over.
    pub(super) fn renew(&mut self) {
        self.since = None;
    }

    /// Returns whether to go on waiting: no when the run is to end and this takes long. The first call begins the wait.
    ///
    /// # Errors
    /// The broker has done nothing for too long; `undone` says what, as in "has not answered".
    pub(super) fn lasts(&mut self, undone: &str) -> io::Result<bool> {
        let waited = self.since.get_or_insert_with(Instant::now).elapsed();
        if is_ending() && waited > CURT {
            return Ok(false);
        }
        if waited <= self.most {
            return Ok(true);
        }
        let seconds = self.most.as_secs_f64();
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
