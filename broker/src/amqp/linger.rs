//! Closing a socket that we close first.

use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long a peer may keep sending after our last output.
const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes that are read and discarded at once.
const SINK_SIZE: usize = 8 * 1024;

/// Closes a socket such that the peer can still read what was written last.
///
/// A client may still be writing when it is answered: amqplib sends what its channels have buffered
/// after connection.close. Closing a socket with unread input makes the system send a reset, on
/// which the peer's system discards our close-ok and everything else it has not read. So we close
/// only our direction and discard input until the peer closes its own.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(mut socket: S) {
    let drained = async {
        socket.shutdown().await?;
        // On the heap: an array would enlarge the task of every connection for its whole life.
        let mut sink = vec![0; SINK_SIZE];
        while socket.read(&mut sink).await? > 0 {}
        std::io::Result::Ok(())
    };
    match timeout(LINGER_TIMEOUT, drained).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the peer closed the connection with an error"),
        Err(_) => tracing::debug!("the peer did not close its socket"),
    }
}

#[cfg(test)]
mod tests {
    use crate::amqp::listener::Sessions;
    use crate::config::{Config, Limits};
    use crate::domain::broker::Broker;
    use crate::net::tls::Tls;
    use crate::net::{Listener, Service, SocketOptions};
    use leveret_protocol::frame::PROTOCOL_HEADER;
    use std::sync::Arc;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio::sync::watch;

    /// More than both systems' buffers take while nobody reads.
    const MUCH: usize = 32 << 20;

    #[tokio::test]
    async fn a_peer_that_goes_on_sending_still_reads_our_last_words() {
        let broker = Arc::new(Broker::new(Limits::default(), Vec::new(), None));
        let spec = "127.0.0.1:0".parse().expect("a listener");
        let options = SocketOptions::new(&Config::with_data_dir(".".into()), Tls::default());
        let listeners = Listener::bind(Service::Amqp, &spec, &options).expect("a free port");
        let address = listeners[0].bound().endpoint.to_string();
        let (_stop, stopped) = watch::channel(false);
        let server = tokio::spawn(Sessions::new(broker).serve(listeners, stopped));

        let mut peer = TcpStream::connect(address).await.expect("it listens");
        // Not AMQP: answered with the version that we speak, and the end.
        let sent = peer.write_all(&vec![b'x'; MUCH]).await;
        assert!(sent.is_ok(), "{sent:?}");
        peer.shutdown().await.expect("still open");
        let mut heard = Vec::new();
        let end = peer.read_to_end(&mut heard).await;
        assert!(end.is_ok(), "{end:?}");
        assert_eq!(heard, PROTOCOL_HEADER);
        server.abort();
    }
}
