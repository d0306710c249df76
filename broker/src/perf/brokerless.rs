//! Measurements without a broker: the most that this generator can measure, and the latency of a
//! process that only forwards bytes.

use super::consumer::Consumer;
use super::meter::Shared;
use super::options::Load;
use super::progress::Progress;
use super::publisher::Publisher;
use super::script::{Script, SendAs};
use super::summary::{Rate, Summary};
use super::throughput::{POLL_INTERVAL, all_done, join};
use crate::client::Client;
use crate::client::interrupt::interrupted;
use crate::client::transport::{Stream, prepared};
use bytes::BytesMut;
use leveret_protocol::{ChannelId, DeliveryTag, method};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

/// The size in bytes of the buffers for forwarding.
const BUFFER: usize = 256 * 1024;
/// The default rate, in messages per second, for measuring the latency of a relay.
const RELAY_RATE: u64 = 1000;

/// The sockets of a publisher and a consumer and, if the relay is one of our threads, its two ends.
struct Pair {
    publisher: TcpStream,
    consumer: Option<TcpStream>,
    relay: Option<(TcpStream, Option<TcpStream>)>,
}

/// Sends messages from each publisher through a thread that forwards them to a consumer, or drops
/// them if there are no consumers, and confirms them if confirms are requested.
pub(super) fn ceiling(load: &Load) -> io::Result<Summary> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let both_ends = || -> io::Result<(TcpStream, TcpStream)> {
        let near = TcpStream::connect(listener.local_addr()?)?;
        let (far, _) = listener.accept()?;
        far.set_nodelay(true)?;
        Ok((near, far))
    };
    let pairs = (0..load.publishers).map(|n| {
        let (publisher, from) = both_ends()?;
        let ends = (n < load.consumers).then(both_ends).transpose()?;
        let (consumer, to) = ends.unzip();
        Ok(Pair {
            publisher,
            consumer,
            relay: Some((from, to)),
        })
    });
    let pairs = pairs.collect::<io::Result<Vec<_>>>()?;
    run_pairs(load, pairs)
}

/// Sends messages from one publisher to one consumer through a tokio process.
pub(super) fn relay(load: &Load) -> io::Result<Summary> {
    let load = Load {
        publishers: 1,
        consumers: 1,
        confirm: 0,
        ack: false,
        multi_ack_every: None,
        measure_latency: true,
        rate: load.rate.or(Some(RELAY_RATE)),
        ..load.clone()
    };
    let (mut server, address) = start_server()?;
    let connected = TcpStream::connect(&address).and_then(|publisher| {
        let consumer = TcpStream::connect(&address)?;
        let (consumer, relay) = (Some(consumer), None);
        Ok(Pair {
            publisher,
            consumer,
            relay,
        })
    });
    let result = connected.and_then(|pair| run_pairs(&load, vec![pair]));
    // It ends when its sockets are closed; if it does not, it is killed here.
    let _ = server.kill();
    let _ = server.wait();
    result
}

fn start_server() -> io::Result<(Child, String)> {
    let mut server = Command::new(std::env::current_exe()?)
        .arg("relay-server")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut address = String::new();
    if let Some(stdout) = server.stdout.take() {
        BufReader::new(stdout).read_line(&mut address)?;
    }
    match address.trim() {
        "" => Err(io::Error::other("the relay did not start")),
        address => Ok((server, address.to_owned())),
    }
}

/// Forwards what the first connection sends to the second, in a task on a regular tokio runtime, as
/// an empty broker would. Prints the address it listens on.
pub(super) fn serve_relay() -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_io()
        .build()?;
    let served = runtime.spawn(async {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?);
        let (mut from, _) = listener.accept().await?;
        let (mut to, _) = listener.accept().await?;
        to.set_nodelay(true)?;
        let mut buffer = vec![0; BUFFER];
        loop {
            match from.read(&mut buffer).await? {
                0 => return Ok(()),
                bytes => to.write_all(&buffer[..bytes]).await?,
            }
        }
    });
    runtime.block_on(served).map_err(io::Error::other)?
}

fn run_pairs(load: &Load, pairs: Vec<Pair>) -> io::Result<Summary> {
    let (shared, mut progress) = (Shared::default(), Progress::new(load)?);
    let shared = &shared;
    thread::scope(|threads| {
        let (mut publishers, mut consumers) = (Vec::new(), Vec::new());
        for (pair, n) in pairs.into_iter().zip(0..) {
            let client = over(pair.publisher, load)?;
            let script = Script::new(load, n, client.frame_max(), SendAs::Deliver);
            if let Some((from, to)) = pair.relay {
                let confirm = (load.confirm > 0).then_some(script.message_len());
                threads.spawn(move || forward(from, to, confirm));
            }
            if let Some(socket) = pair.consumer {
                let consumer = Consumer::new(load, n, over(socket, load)?, shared);
                consumers.push(
                    threads.spawn(move || shared.fail_on_error(|| consumer.run_without_close())),
                );
            }
            let publisher = Publisher::new(load, n, load.pmessages, client, script, shared);
            publishers.push(
                threads.spawn(move || shared.fail_on_error(|| publisher.run_without_close())),
            );
        }
        progress.begin();
        let started = Instant::now();
        let limit = load.time_limit();
        let mut ticked = Ok(());
        while ticked.is_ok() && !interrupted() && !shared.has_failed() {
            let counts = shared.counts();
            let over = limit.is_some_and(|limit| started.elapsed().as_secs_f64() >= limit);
            let through = consumers.is_empty() || counts.consumed >= counts.published;
            if over || all_done(&publishers) && through {
                break;
            }
            thread::sleep(POLL_INTERVAL);
            ticked = progress.tick(shared);
        }
        let (seconds, counts) = (started.elapsed().as_secs_f64(), shared.counts());
        shared.stop_publishing.store(true, Ordering::Relaxed);
        let published = publishers.into_iter().try_for_each(join);
        shared.end();
        consumers.into_iter().try_for_each(join)?;
        published?;
        ticked?;
        Ok(Summary::new(load.mode, shared)
            .with("published", counts.published, Rate::Over(seconds))
            .with("confirmed", counts.confirmed, Rate::Over(seconds))
            .with("consumed", counts.consumed, Rate::Over(seconds))
            .lasted(seconds))
    })
}

/// Creates a client on a connected socket.
fn over(socket: TcpStream, load: &Load) -> io::Result<Client> {
    socket.set_nodelay(true)?;
    let socket = prepared(socket.into())?;
    Ok(Client::over(Stream::Plain(socket), load.patience()))
}

/// Reads and writes until either side hangs up. With `confirm`, the length of a message, confirms
/// every complete message.
fn forward(mut from: TcpStream, to: Option<TcpStream>, confirm: Option<usize>) -> io::Result<()> {
    // Reads the acknowledgements of the consumer, or its socket would fill up.
    if let Some(to) = &to {
        let mut acks = to.try_clone()?;
        thread::spawn(move || {
            let mut buffer = vec![0; BUFFER];
            while !matches!(acks.read(&mut buffer), Ok(0) | Err(_)) {}
        });
    }
    let mut buffer = vec![0; BUFFER];
    let (mut came, mut confirmed) = (0, 0);
    loop {
        let bytes = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Some(mut to) = to.as_ref() {
            to.write_all(&buffer[..bytes])?;
        }
        came += bytes as u64;
        if let Some(len) = confirm
            && came / len as u64 > confirmed
        {
            confirmed = came / len as u64;
            let mut out = BytesMut::new();
            method::encode_ack(&mut out, ChannelId(1), DeliveryTag(confirmed), true);
            from.write_all(&out)?;
        }
    }
}
