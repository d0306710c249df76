//! Names the protocol of a client that does not speak AMQP 0-9-1, for the log.

use crate::domain::addresses::Addresses;

/// The bytes of an unknown protocol that are shown.
const SHOWN: usize = 8;
/// The first bytes of version 2 of the PROXY protocol.
const PROXY_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Returns what a client that began with these bytes seems to want, as a sentence.
pub(super) fn described(input: &[u8]) -> String {
    let known = match input {
        [0x16, 3, ..] => "the client began a TLS handshake, but this port is without TLS",
        [b'A', b'M', b'Q', b'P', _, 1, 0, 0, ..] => {
            "the client speaks AMQP 1.0, but this is a broker of AMQP 0-9-1"
        }
        [b'A', b'M', b'Q', b'P', ..] => {
            "the client speaks another version of AMQP, but this is a broker of AMQP 0-9-1"
        }
        _ if is_http(input) => {
            "the client speaks HTTP, but this is the port of AMQP; see management_port"
        }
        _ if input.starts_with(b"PROXY ") || input.starts_with(PROXY_V2) => {
            "the client sent a PROXY protocol header, which this listener does not expect: see proxy_protocol"
        }
        _ if is_mqtt(input) => "the client speaks MQTT, which is not supported",
        _ if input.starts_with(b"CONNECT\n") || input.starts_with(b"STOMP\n") => {
            "the client speaks STOMP, which is not supported"
        }
        _ => {
            let shown = &input[..input.len().min(SHOWN)];
            let bytes: Vec<String> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
            return format!(
                "the client does not speak AMQP: it began with the bytes {}",
                bytes.join(" ")
            );
        }
    };
    known.to_owned()
}

/// Returns where such a client should connect instead, as the rest of that sentence; empty if nobody knows.
pub(super) fn elsewhere(input: &[u8], addresses: &Addresses) -> String {
    let (what, place) = match input {
        [0x16, 3, ..] => ("AMQP with TLS", &addresses.amqps),
        _ if is_http(input) => (
            "the HTTP API",
            match addresses.http {
                Some(_) => &addresses.http,
                None => &addresses.https,
            },
        ),
        _ => return String::new(),
    };
    match place {
        Some(place) => format!("; {what} is at {place}"),
        None => format!("; {what} is served nowhere here"),
    }
}

fn is_http(input: &[u8]) -> bool {
    const METHODS: [&[u8]; 7] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"PRI * HTTP",
    ];
    METHODS.iter().any(|method| input.starts_with(method))
}

/// Returns whether it is an MQTT CONNECT packet: a length of one to four bytes, then the protocol's name.
fn is_mqtt(input: &[u8]) -> bool {
    let Some((0x10, rest)) = input.split_first() else {
        return false;
    };
    let length = rest.iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let name = rest.get(length..).unwrap_or_default();
    name.starts_with(b"\0\x04MQTT") || name.starts_with(b"\0\x06MQIsdp")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn common_protocols_are_named() {
        for (input, named) in [
            (&b"\x16\x03\x01\x02\0\x01"[..], "TLS"),
            (b"GET / HTTP/1.1\r\n", "HTTP"),
            (b"PROXY TCP4 1.2.3.4 ", "PROXY"),
            (b"\r\n\r\n\0\r\nQUIT\n\x21", "PROXY"),
            (b"AMQP\0\x01\0\0", "AMQP 1.0"),
            (b"AMQP\x03\x01\0\0", "AMQP 1.0"),
            (b"AMQP\x01\x01\x09\x01", "another version of AMQP"),
            (b"\x10\x0c\0\x04MQTT\x04\x02", "MQTT"),
            (b"\x10\x80\x01\0\x06MQIsdp\x03", "MQTT"),
            (b"CONNECT\naccept-version:1.2\n", "STOMP"),
            (b"SSH-2.0-OpenSSH", "bytes 53 53 48 2d 32 2e 30 2d"),
            (b"\x10", "bytes 10"),
            (b"", "bytes "),
        ] {
            let sentence = described(input);
            assert!(sentence.contains(named), "{input:?}: {sentence}");
        }
    }

    #[test]
    fn the_right_port_is_named() {
        let addresses = Addresses {
            http: Some("127.0.0.1:15672".to_owned()),
            ..Addresses::default()
        };
        let told = |input| elsewhere(input, &addresses);
        assert_eq!(
            told(b"GET / HTTP/1.1"),
            "; the HTTP API is at 127.0.0.1:15672"
        );
        assert_eq!(
            told(b"\x16\x03\x01\x02"),
            "; AMQP with TLS is served nowhere here"
        );
        assert_eq!(told(b"SSH-2.0"), "");
    }

    proptest! {
        #[test]
        fn anything_is_described_in_a_short_line(input in prop::collection::vec(any::<u8>(), 0..40)) {
            let sentence = described(&input);
            prop_assert!(sentence.len() < 120 && sentence.is_ascii());
        }
    }
}
