use super::*;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::task::Waker;

/// A socket whose other side is the test: what was sent comes in pieces, and only so many bytes are taken at a time.
#[derive(Default)]
struct Wire {
    input: Vec<u8>,
    at: usize,
    ended: bool,
    output: Vec<u8>,
    /// Sizes of the next reads and writes; 0 is not ready.
    sizes: VecDeque<usize>,
}

impl Wire {
    fn size(&mut self) -> usize {
        self.sizes.pop_front().unwrap_or(usize::MAX)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.input.len() - self.at;
        let size = self.size().min(left).min(buffer.remaining());
        if size == 0 && !(left == 0 && self.ended) {
            return Poll::Pending;
        }
        buffer.put_slice(&self.input[self.at..self.at + size]);
        self.at += size;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.size().min(bytes.len()) {
            0 => Poll::Pending,
            size => {
                self.output.extend_from_slice(&bytes[..size]);
                Poll::Ready(Ok(size))
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let all: Vec<u8> = slices.iter().flat_map(|slice| slice.to_vec()).collect();
        self.poll_write(cx, &all)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Returns a frame as a client sends it.
fn masked(first: u8, payload: &[u8], mask: [u8; 4]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ 0..126 => frame.push(0x80 | length as u8),
        length @ 126..65536 => {
            frame.push(0x80 | 126);
            frame.extend((length as u16).to_be_bytes());
        }
        length => {
            frame.push(0x80 | 127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(mask);
    let bytes = payload.iter().zip(mask.iter().cycle());
    frame.extend(bytes.map(|(byte, mask)| byte ^ mask));
    frame
}

fn websocket(wire: Wire) -> WebSocket<Wire> {
    WebSocket::new(wire, b"")
}

/// Reads until the end, or until nothing more comes.
fn read_all(socket: &mut WebSocket<Wire>, size: usize) -> Vec<u8> {
    let mut cx = Context::from_waker(Waker::noop());
    let (mut read, mut idle) = (Vec::new(), 0);
    // The wire may be not ready several times in a row.
    while idle < 200 {
        let mut bytes = vec![0; size];
        let mut buffer = ReadBuf::new(&mut bytes);
        match Pin::new(&mut *socket).poll_read(&mut cx, &mut buffer) {
            Poll::Ready(Ok(())) if buffer.filled().is_empty() => break,
            Poll::Ready(Ok(())) => read.extend_from_slice(buffer.filled()),
            Poll::Ready(Err(error)) => panic!("{error}"),
            Poll::Pending => idle += 1,
        }
    }
    read
}

/// Splits what the server has sent into frames.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut frames = Vec::new();
    while let [first, length, rest @ ..] = bytes {
        let (length, rest) = match length {
            126 => (u16::from_be_bytes([rest[0], rest[1]]) as usize, &rest[2..]),
            127 => {
                let length: [u8; 8] = rest[..8].try_into().unwrap();
                (u64::from_be_bytes(length) as usize, &rest[8..])
            }
            length => (usize::from(*length), rest),
        };
        frames.push((*first, rest[..length].to_vec()));
        bytes = &rest[length..];
    }
    assert!(bytes.is_empty());
    frames
}

fn answer_to(input: Vec<u8>) -> (Vec<u8>, Vec<(u8, Vec<u8>)>) {
    let mut socket = websocket(Wire {
        input,
        ended: true,
        ..Wire::default()
    });
    let read = read_all(&mut socket, 100);
    (read, frames(&socket.socket.output))
}

const MASK: [u8; 4] = [1, 2, 3, 4];

#[test]
fn what_breaks_the_protocol_is_told_and_ends_the_stream() {
    let good = masked(0x82, b"good", MASK);
    let told = |bad: Vec<u8>| {
        let after = masked(0x82, b"never read", MASK);
        let (read, frames) = answer_to([good.clone(), bad, after].concat());
        assert_eq!(read, b"good");
        let [(0x88, payload)] = &frames[..] else {
            panic!("{frames:?}");
        };
        u16::from_be_bytes([payload[0], payload[1]])
    };
    let mut unmasked = masked(0x82, b"", MASK);
    unmasked[1] = 0;
    assert_eq!(told(unmasked), 1002);
    assert_eq!(told(masked(0xc2, b"compressed", MASK)), 1002);
    assert_eq!(told(masked(0x80, b"continues nothing", MASK)), 1002);
    assert_eq!(told(masked(0x83, b"", MASK)), 1002);
    assert_eq!(told(masked(0x81, b"text", MASK)), 1003);
    assert_eq!(told(masked(0x09, b"a ping in parts", MASK)), 1002);
    assert_eq!(told(masked(0x89, &[0; 126], MASK)), 1002);
    let twice = [masked(0x02, b"", MASK), masked(0x82, b"", MASK)].concat();
    assert_eq!(told(twice), 1002);
    let endless = [&[0x82, 0xff][..], &[0xff; 8], &MASK].concat();
    assert_eq!(told(endless), 1002);
    // A client that closes is answered with its own code.
    let (read, frames) = answer_to(masked(0x88, &[0x03, 0xe9, b'x'], MASK));
    assert_eq!((read.len(), frames), (0, vec![(0x88, vec![0x03, 0xe9])]));
}

#[test]
fn a_client_that_pings_and_reads_nothing_costs_nothing() {
    let pings = masked(0x89, &[7; 125], MASK).repeat(10_000);
    let mut wire = Wire {
        input: pings,
        ..Wire::default()
    };
    // Reads whatever there is, and takes nothing.
    wire.sizes = [usize::MAX, 0].into_iter().cycle().take(100_000).collect();
    let mut socket = websocket(wire);
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..1000 {
        let mut bytes = [0; 64];
        let mut buffer = ReadBuf::new(&mut bytes);
        let _ = Pin::new(&mut socket).poll_read(&mut cx, &mut buffer);
        assert!(socket.buffered_here() < 64 << 10);
    }
}

impl WebSocket<Wire> {
    fn buffered_here(&self) -> usize {
        self.input.capacity() + self.head.capacity()
    }
}

#[test]
fn closing_first_sends_a_close_frame_and_reads_to_the_clients() {
    let mut cx = Context::from_waker(Waker::noop());
    let mut socket = websocket(Wire::default());
    let shut = Pin::new(&mut socket).poll_shutdown(&mut cx);
    assert!(matches!(shut, Poll::Ready(Ok(()))));
    assert_eq!(frames(&socket.socket.output), [(0x88, vec![0x03, 0xe8])]);
    let late = [
        masked(0x82, b"on its way", MASK),
        masked(0x88, &[0x03, 0xe8], MASK),
    ];
    socket.socket.input = late.concat();
    assert_eq!(read_all(&mut socket, 100), b"on its way");
    assert!(socket.is_over);
    assert_eq!(frames(&socket.socket.output).len(), 1, "answered once");
}

/// What a client sends.
#[derive(Clone, Debug)]
enum Sent {
    Binary(Vec<u8>, Vec<usize>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
}

fn sent() -> impl Strategy<Value = Sent> {
    let bytes = |length| prop::collection::vec(any::<u8>(), 0..length);
    prop_oneof![
        (bytes(300), prop::collection::vec(0_usize..300, 0..4))
            .prop_map(|(payload, cuts)| Sent::Binary(payload, cuts)),
        bytes(126).prop_map(Sent::Ping),
        bytes(126).prop_map(Sent::Pong),
    ]
}

proptest! {
    #[test]
    fn the_payload_of_all_frames_is_the_stream(
        all in prop::collection::vec(sent(), 0..12),
        mask in any::<[u8; 4]>(),
        sizes in prop::collection::vec(0_usize..60, 0..80),
        size in 1_usize..400,
    ) {
        let (mut input, mut stream, mut pings) = (Vec::new(), Vec::new(), Vec::new());
        for sent in &all {
            match sent {
                Sent::Ping(payload) => {
                    input.extend(masked(0x89, payload, mask));
                    pings.push(payload.clone());
                }
                Sent::Pong(payload) => input.extend(masked(0x8a, payload, mask)),
                Sent::Binary(payload, cuts) => {
                    stream.extend_from_slice(payload);
                    let mut cuts: Vec<usize> =
                        cuts.iter().map(|cut| cut % (payload.len() + 1)).collect();
                    cuts.sort_unstable();
                    let (mut from, mut opcode) = (0, 2);
                    for cut in cuts {
                        input.extend(masked(opcode, &payload[from..cut], mask));
                        // A ping may come between the frames of a message.
                        input.extend(masked(0x8a, b"between", mask));
                        (from, opcode) = (cut, 0);
                    }
                    input.extend(masked(0x80 | opcode, &payload[from..], mask));
                }
            }
        }
        let mut socket = websocket(Wire { input, sizes: sizes.into(), ..Wire::default() });
        prop_assert_eq!(read_all(&mut socket, size), stream);
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..200 {
            let _ = Pin::new(&mut socket).poll_flush(&mut cx);
        }
        let pongs: Vec<Vec<u8>> = frames(&socket.socket.output)
            .into_iter()
            .map(|(first, payload)| { assert_eq!(first, 0x8a); payload })
            .collect();
        // Some may be skipped, in order, but not the last.
        prop_assert_eq!(pongs.last(), pings.last());
        let mut asked = pings.iter();
        prop_assert!(pongs.iter().all(|pong| asked.any(|ping| ping == pong)));
    }

    #[test]
    fn what_is_written_arrives_in_frames(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..400), 1..8),
        sizes in prop::collection::vec(0_usize..60, 0..120),
        pings in prop::collection::vec(0_usize..8, 0..3),
    ) {
        let mut socket = websocket(Wire { sizes: sizes.into(), ..Wire::default() });
        let mut cx = Context::from_waker(Waker::noop());
        for (at, piece) in pieces.iter().enumerate() {
            if pings.contains(&at) {
                socket.answer = Some(control(10, b"ping"));
            }
            let mut written = 0;
            while written < piece.len() {
                let (one, two) = piece[written..].split_at((piece.len() - written) / 2);
                let slices = [IoSlice::new(one), IoSlice::new(two)];
                if let Poll::Ready(more) = Pin::new(&mut socket).poll_write_vectored(&mut cx, &slices) {
                    written += more.unwrap();
                }
            }
        }
        socket.socket.sizes.clear();
        let flushed = Pin::new(&mut socket).poll_flush(&mut cx);
        prop_assert!(matches!(flushed, Poll::Ready(Ok(()))));
        let arrived: Vec<u8> = frames(&socket.socket.output)
            .into_iter()
            .filter(|(first, _)| *first == 0x82)
            .flat_map(|(_, payload)| payload)
            .collect();
        prop_assert_eq!(arrived, pieces.concat());
    }

    #[test]
    fn arbitrary_bytes_do_no_harm(
        input in prop::collection::vec(any::<u8>(), 0..600),
        sizes in prop::collection::vec(0_usize..60, 0..80),
    ) {
        let mut pieces = websocket(Wire {
            input: input.clone(),
            ended: true,
            sizes: sizes.into(),
            ..Wire::default()
        });
        let mut whole = websocket(Wire { input, ended: true, ..Wire::default() });
        let (read, expected) = (read_all(&mut pieces, 50), read_all(&mut whole, 1000));
        prop_assert_eq!(read, expected);
    }
}
