//! Makes connections to the broker, with what is prepared once: whom to log in as, and whom to trust.

use super::client::{Client, with_context};
use super::options::Load;
use super::patience::Patience;
use super::transport::{Handshakes, Stream, Trust, dial};
use super::uri::Target;
use std::io;
use std::time::Duration;

pub(super) struct Dialer {
    target: Target,
    trust: Option<Trust>,
    patience: Duration,
}

impl Dialer {
    /// Prepares to connect.
    ///
    /// # Errors
    /// A file of certificates or of a key cannot be used.
    pub(super) fn new(load: &Load) -> io::Result<Self> {
        let target = load.target().map_err(io::Error::other)?;
        let trust = match &target.tls {
            Some(settings) => Some(Trust::new(settings, target.address.host())?),
            None => None,
        };
        if trust.as_ref().is_some_and(|trust| !trust.verified()) {
            eprintln!("the broker's certificate is not checked");
        }
        Ok(Dialer {
            target,
            trust,
            patience: load.patience(),
        })
    }

    /// Connects, logs in and opens channel 1.
    pub(super) fn connect(&self) -> io::Result<Client> {
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
        client.login(&self.target)?;
        client.open_channel(1)?;
        Ok(client)
    }

    /// Returns the TLS handshakes so far, or `None` without TLS.
    pub(super) fn handshakes(&self) -> Option<Handshakes> {
        self.trust.as_ref().map(Trust::handshakes)
    }
}
