//! The header of the PROXY protocol, versions 1 and 2, with which a load balancer says whom it speaks for.

use super::endpoint::Endpoint;
use ppp::{v1, v2};
use std::net::SocketAddr;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt};

/// Bytes that are in every header: `PROXY UNKNOWN` and a line's end. Nothing behind a header is read.
const SHORTEST: usize = 15;
/// The longest line of version 1.
const LONGEST_LINE: usize = 107;
const LINE_START: &[u8] = b"PROXY ";
/// The bytes of version 2 that come before its addresses.
const FIXED: usize = 16;
/// The longest version 2 that is read: addresses, and what balancers add to them.
const LONGEST: usize = 4096;

/// Why a header was refused.
#[derive(Debug, Error)]
pub enum ProxyError {
    /// It is something else.
    #[error("it did not begin with a header of the PROXY protocol")]
    Missing,
    /// It is one, but wrong.
    #[error("its header of the PROXY protocol is malformed")]
    Malformed,
    /// It is too long.
    #[error("its header of the PROXY protocol exceeds {LONGEST} bytes")]
    TooLong,
    /// The socket has failed or ended.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

/// The client's address, and the one that it has dialled.
pub type Addresses = (Endpoint, Endpoint);

/// Reads a header, and not a byte more. Returns `None` if the proxy speaks for itself, or does not know for whom.
///
/// # Errors
/// When there is no valid header.
pub async fn read_header(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<Addresses>, ProxyError> {
    let mut header = Vec::with_capacity(LONGEST_LINE);
    while header.len() < SHORTEST {
        read_up_to(stream, &mut header, SHORTEST).await?;
        // Whoever waits for an answer has said already that it is no proxy.
        let begins = |with: &[u8]| {
            let common = with.len().min(header.len());
            with[..common] == header[..common]
        };
        if !begins(LINE_START) && !begins(v2::PROTOCOL_PREFIX) {
            return Err(ProxyError::Missing);
        }
    }
    match header.starts_with(LINE_START) {
        true => read_line(stream, header).await,
        false => read_binary(stream, header).await,
    }
}

/// Reads at least a byte, so that there are this many at most.
async fn read_up_to(
    stream: &mut (impl AsyncRead + Unpin),
    header: &mut Vec<u8>,
    length: usize,
) -> Result<(), ProxyError> {
    let missing = length.saturating_sub(header.len()) as u64;
    match stream.take(missing).read_buf(header).await? {
        0 => Err(ProxyError::Io(std::io::ErrorKind::UnexpectedEof.into())),
        _ => Ok(()),
    }
}

async fn read_line(
    stream: &mut (impl AsyncRead + Unpin),
    mut line: Vec<u8>,
) -> Result<Option<Addresses>, ProxyError> {
    while line.last() != Some(&b'\n') {
        if line.len() >= LONGEST_LINE {
            return Err(ProxyError::Malformed);
        }
        // What comes after the line is not ours.
        let next = line.len() + 1;
        read_up_to(stream, &mut line, next).await?;
    }
    let parsed = v1::Header::try_from(line.as_slice());
    let header = parsed.map_err(|_| ProxyError::Malformed)?;
    Ok(match header.addresses {
        v1::Addresses::Unknown => None,
        v1::Addresses::Tcp4(ip) => addresses(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
        v1::Addresses::Tcp6(ip) => addresses(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
    })
}

async fn read_binary(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> Result<Option<Addresses>, ProxyError> {
    while header.len() < FIXED {
        read_up_to(stream, &mut header, FIXED).await?;
    }
    let length = usize::from(u16::from_be_bytes([header[14], header[15]])) + FIXED;
    if length > LONGEST {
        return Err(ProxyError::TooLong);
    }
    while header.len() < length {
        read_up_to(stream, &mut header, length).await?;
    }
    let parsed = v2::Header::try_from(header.as_slice());
    let header = parsed.map_err(|_| ProxyError::Malformed)?;
    Ok(match (header.command, header.addresses) {
        (v2::Command::Proxy, v2::Addresses::IPv4(ip)) => addresses(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
        (v2::Command::Proxy, v2::Addresses::IPv6(ip)) => addresses(
            (ip.source_address, ip.source_port),
            (ip.destination_address, ip.destination_port),
        ),
        // A health check of the proxy itself, or a client without an IP address.
        _ => None,
    })
}

fn addresses(peer: impl Into<SocketAddr>, local: impl Into<SocketAddr>) -> Option<Addresses> {
    Some((peer.into().into(), local.into().into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use tokio::io::ReadBuf;

    /// Bytes that come in pieces of these sizes, over and over.
    struct Pieces {
        bytes: Vec<u8>,
        at: usize,
        sizes: Vec<usize>,
        turn: usize,
    }

    impl AsyncRead for Pieces {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<std::io::Result<()>> {
            let size = self.sizes[self.turn % self.sizes.len()];
            self.turn += 1;
            let size = size.min(self.bytes.len() - self.at).min(buffer.remaining());
            buffer.put_slice(&self.bytes[self.at..self.at + size]);
            self.at += size;
            Poll::Ready(Ok(()))
        }
    }

    /// Returns what was read of these bytes, and how much of them is left.
    fn read(bytes: &[u8], sizes: &[usize]) -> (Result<Option<Addresses>, ProxyError>, usize) {
        let mut pieces = Pieces {
            bytes: bytes.to_vec(),
            at: 0,
            sizes: sizes.to_vec(),
            turn: 0,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let result = runtime.block_on(read_header(&mut pieces));
        (result, bytes.len() - pieces.at)
    }

    fn line(peer: SocketAddr, local: SocketAddr) -> Vec<u8> {
        let family = if peer.is_ipv4() { "TCP4" } else { "TCP6" };
        format!(
            "PROXY {family} {} {} {} {}\r\n",
            peer.ip(),
            local.ip(),
            peer.port(),
            local.port()
        )
        .into_bytes()
    }

    /// Version 2, written by hand: the library must not be its own witness.
    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
        header.extend([0x20 | command, family]);
        header.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
        header.extend(rest);
        header
    }

    fn ipv4(peer: ([u8; 4], u16), local: ([u8; 4], u16)) -> Vec<u8> {
        let mut rest = [peer.0, local.0].concat();
        rest.extend(peer.1.to_be_bytes());
        rest.extend(local.1.to_be_bytes());
        rest
    }

    fn shown((peer, local): Addresses) -> String {
        format!("{peer} -> {local}")
    }

    #[test]
    fn whom_a_proxy_speaks_for_is_read_and_nothing_else() {
        let four = ipv4(([192, 0, 2, 1], 4000), ([192, 0, 2, 9], 5672));
        // With an addition (NOOP) behind the addresses.
        let long = [four.clone(), vec![4, 0, 2, 0, 0]].concat();
        let both = Some("192.0.2.1:4000 -> 192.0.2.9:5672");
        let six = "PROXY TCP6 2001:db8::1 2001:db8::9 4000 5672\r\n";
        for (header, expected) in [
            (
                b"PROXY TCP4 192.0.2.1 192.0.2.9 4000 5672\r\n".to_vec(),
                both,
            ),
            (six.into(), Some("[2001:db8::1]:4000 -> [2001:db8::9]:5672")),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
            (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".to_vec(), None),
            (binary(1, 0x11, &four), both),
            (binary(1, 0x11, &long), both),
            (binary(0, 0x11, &four), None),
            (binary(0, 0, &[]), None),
            (binary(1, 0, &[]), None),
            (binary(1, 0x31, &[0; 216]), None),
        ] {
            let sent = [header.as_slice(), b"AMQP\0\0\x09\x01"].concat();
            let (read, left) = read(&sent, &[1 << 20]);
            let read = read.unwrap_or_else(|error| panic!("{error}: {header:?}"));
            assert_eq!(read.map(shown).as_deref(), expected, "{header:?}");
            assert_eq!(left, 8);
        }
    }

    #[test]
    fn everything_else_is_refused_at_once() {
        let wrong = |bytes: &[u8]| read(bytes, &[1 << 20]).0.unwrap_err().to_string();
        let missing = ProxyError::Missing.to_string();
        assert_eq!(wrong(b"AMQP\0\0\x09\x01"), missing);
        assert_eq!(wrong(b"P\x16\x03\x01"), missing);
        assert_eq!(wrong(b"\x16\x03\x01\x02\0"), missing);
        let malformed = ProxyError::Malformed.to_string();
        assert_eq!(
            wrong(b"PROXY TCP4 1.2.3 192.0.2.9 4000 5672\r\n"),
            malformed
        );
        assert_eq!(
            wrong(b"PROXY TCP4 192.0.2.1 192.0.2.9 4000 70000\r\n"),
            malformed
        );
        assert_eq!(
            wrong(&[b"PROXY TCP4 ".as_slice(), &[b'1'; 200]].concat()),
            malformed
        );
        assert_eq!(wrong(&binary(1, 0x11, &[0; 4])), malformed);
        assert_eq!(wrong(&binary(7, 0x11, &[0; 12])), malformed);
        let long = binary(1, 0x11, &[0; 8000]);
        assert_eq!(wrong(&long), ProxyError::TooLong.to_string());
    }

    proptest! {
        #[test]
        fn any_addresses_in_any_pieces(
            peer: ([u8; 4], u16), local: ([u8; 4], u16),
            sizes in prop::collection::vec(1_usize..40, 1..8),
            rest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let expected = format!(
                "{} -> {}", SocketAddr::from(peer), SocketAddr::from(local)
            );
            for header in [
                line(peer.into(), local.into()),
                binary(1, 0x11, &ipv4(peer, local)),
            ] {
                let sent = [header.as_slice(), &rest].concat();
                let (result, left) = read(&sent, &sizes);
                let addresses = result.unwrap().map(shown);
                prop_assert_eq!(addresses.as_deref(), Some(expected.as_str()));
                prop_assert_eq!(left, rest.len());
                // Cut off anywhere, it is an end and never an address.
                for cut in 0..header.len() {
                    prop_assert!(read(&header[..cut], &sizes).0.is_err());
                }
            }
        }

        #[test]
        fn arbitrary_bytes_do_no_harm(
            bytes in prop::collection::vec(any::<u8>(), 0..600),
            sizes in prop::collection::vec(1_usize..40, 1..8),
            start in 0..3,
        ) {
            let start: &[u8] = match start {
                0 => b"",
                1 => b"PROXY ",
                _ => b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0",
            };
            let sent = [start, &bytes].concat();
            // Whole or in pieces, it means the same.
            let (whole, left) = read(&sent, &[1 << 20]);
            let (pieces, left_of_pieces) = read(&sent, &sizes);
            match (whole, pieces) {
                (Ok(whole), Ok(pieces)) => {
                    prop_assert_eq!(whole, pieces);
                    prop_assert_eq!(left, left_of_pieces);
                }
                (Err(whole), Err(pieces)) => prop_assert_eq!(whole.to_string(), pieces.to_string()),
                (whole, pieces) => prop_assert!(false, "{whole:?} and {pieces:?}"),
            }
        }
    }
}
