//! Makes connections to the broker, with what is prepared once: whom to log in as, and whom to trust.

use super::connection::{Client, with_context};
use super::patience::Patience;
use super::transport::{Handshakes, Stream, Trust, dial};
use super::uri::Target;
use std::io;
use std::time::Duration;

/// How the program is known to the broker.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Program {
    /// Its name.
    pub(crate) product: &'static str,
    /// What its connections are for.
    pub(crate) connection_name: Option<&'static str>,
}

pub(crate) struct Dialer {
    program: Program,
    target: Target,
    trust: Option<Trust>,
    patience: Duration,
}

impl Dialer {
    /// Prepares to connect.
    ///
    /// # Errors
    /// A file of certificates or of a key cannot be used.
    pub(crate) fn new(target: Target, patience: Duration, program: Program) -> io::Result<Self> {
        let trust = match &target.tls {
            Some(settings) => Some(Trust::new(settings, target.address.host())?),
            None => None,
        };
        Ok(Dialer {
            program,
            target,
            trust,
            patience,
        })
    }

    /// Connects, logs in and opens channel 1.
    pub(crate) fn connect(&self) -> io::Result<Client> {
        let connected = dial(&self.target.address, self.patience);
        let connected = connected.and_then(|socket| match &self.trust {
            None => Ok(Stream::Plain(socket)),
            Some(trust) => {
                let tls = trust.handshake(socket, Patience::new(self.patience))?;
                Ok(Stream::Tls(Box::new(tls)))
            }
        });
        let stream = connected.map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => error,
            _ => with_context(
                &format!("cannot connect to {}", self.target.address),
                &error,
            ),
        })?;
        let mut client = Client::over(stream, self.patience);
        client.login(&self.target, self.program)?;
        client.open_channel(1)?;
        Ok(client)
    }

    /// Returns whether any certificate of the broker is accepted.
    pub(crate) fn trusts_anyone(&self) -> bool {
        self.trust.as_ref().is_some_and(|trust| !trust.verified())
    }

    /// Returns the TLS handshakes so far, or `None` without TLS.
    pub(crate) fn handshakes(&self) -> Option<Handshakes> {
        self.trust.as_ref().map(Trust::handshakes)
    }
}
