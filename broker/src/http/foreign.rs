//! Tells operators of clients that speak something else than HTTP: their own log says nothing that helps.

use crate::domain::addresses::Addresses;
use crate::domain::broker::Broker;
use crate::net::Endpoint;
use crate::plumbing::log::LineLimit;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;

/// The bytes that are looked at.
const SEEN: usize = 4;

/// Logs such clients, and not too many of them.
pub(super) struct Foreign {
    broker: Arc<Broker>,
    limit: LineLimit,
}

impl Foreign {
    pub(super) fn new(broker: Arc<Broker>) -> Self {
        Foreign {
            broker,
            limit: LineLimit::default(),
        }
    }

    /// Waits for a client's first bytes, and leaves them where they are. Logs what it is if it does not speak HTTP.
    /// Returns false if it has sent nothing for so long.
    pub(super) async fn look(
        &self,
        socket: &TcpStream,
        peer: &Endpoint,
        patience: Duration,
    ) -> bool {
        let mut bytes = [0; SEEN];
        match tokio::time::timeout(patience, socket.peek(&mut bytes)).await {
            Ok(Ok(length)) => self.tell(&bytes[..length], peer),
            // Whoever reads next gets the same error.
            Ok(Err(_)) => {}
            Err(_) => return false,
        }
        true
    }

    fn tell(&self, bytes: &[u8], peer: &Endpoint) {
        let unknown = Addresses::default();
        let addresses = self.broker.service.addresses.get().unwrap_or(&unknown);
        let Some(what) = described(bytes, addresses) else {
            return;
        };
        if let Some(suppressed) = self.limit.admit(Instant::now()) {
            let suppressed = (suppressed > 0).then_some(suppressed);
            tracing::warn!(%peer, suppressed, "closing HTTP connection: {what}");
        }
    }
}

/// Returns what a client that began with these bytes wants and where that is; `None` for HTTP and whatever is not known.
fn described(bytes: &[u8], addresses: &Addresses) -> Option<String> {
    let (wrong, what, place) = match bytes {
        b"AMQP" => (
            "the client speaks AMQP, but this is a port of HTTP",
            "AMQP",
            &addresses.amqp,
        ),
        [0x16, 3, ..] => (
            "the client began a TLS handshake, but this port is without TLS",
            "the HTTP API with TLS",
            &addresses.https,
        ),
        _ => return None,
    };
    Some(match place {
        Some(place) => format!("{wrong}; {what} is at {place}"),
        None => format!("{wrong}; {what} is served nowhere here"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn amqp_and_tls_are_recognised() {
        let addresses = Addresses {
            amqp: Some("127.0.0.1:5672".to_owned()),
            ..Addresses::default()
        };
        assert_eq!(
            described(b"AMQP", &addresses).as_deref(),
            Some("the client speaks AMQP, but this is a port of HTTP; AMQP is at 127.0.0.1:5672")
        );
        let tls = described(b"\x16\x03\x01\x02", &addresses).unwrap();
        assert!(tls.ends_with("TLS is served nowhere here"), "{tls}");
        for http in [&b"GET "[..], b"PRI ", b"", b"A"] {
            assert_eq!(described(http, &addresses), None);
        }
    }

    proptest! {
        #[test]
        fn anything_can_come_first(bytes in prop::collection::vec(any::<u8>(), 0..=SEEN)) {
            let told = described(&bytes, &Addresses::default());
            prop_assert!(told.is_none_or(|told| told.is_ascii()));
        }
    }
}
