//! Measurements without a broker: what this generator could measure at most, and how long
//! octets take through a process that only passes them on.

use super::client::Client;
use super::consumer::Consumer;
use super::interrupt::interrupted;
use super::meter::Shared;
use super::options::Load;
use super::progress::Progress;
use super::publisher::Publisher;
use super::script::{As, Script};
use super::summary::{Rate, Summary};
use super::throughput::{LOOK, all_done, joined};
use bytes::BytesMut;
use leveret_protocol::{ChannelId, DeliveryTag, method};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Instant;

/// Octets passed on at a time.
const BUFFER: usize = 256 * 1024;
/// Messages per second for the latency of a relay, unless another rate is asked for.
const CALM: u64 = 1000;

/// A publisher's socket, a consumer's, and between them what passes octets on, if that is a
/// thread of ours.
struct Pair {
    publisher: TcpStream,
    consumer: Option<TcpStream>,
    relay: Option<(TcpStream, Option<TcpStream>)>,
}

/// Octets from each publisher through a thread that passes them on to a consumer, or drops them
/// where there are no consumers, and confirms them where confirms are asked for.
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
    carry(load, pairs)
}

/// One publisher, one consumer, and a tokio process between them.
pub(super) fn relay(load: &Load) -> io::Result<Summary> {
    let load = Load {
        publishers: 1,
        consumers: 1,
        confirm: 0,
        ack: false,
        multi_ack_every: None,
        measure_latency: true,
        rate: load.rate.or(Some(CALM)),
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
    let result = connected.and_then(|pair| carry(&load, vec![pair]));
    // It ends by itself when its sockets do; if it does not, it is ours to end.
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

/// Passes what the first connection sends on to the second, from a task on tokio's usual
/// runtime, as an empty broker would. Says where it listens.
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
                octets => to.write_all(&buffer[..octets]).await?,
            }
        }
    });
    runtime.block_on(served).map_err(io::Error::other)?
}

fn carry(load: &Load, pairs: Vec<Pair>) -> io::Result<Summary> {
    let (shared, mut progress) = (Shared::default(), Progress::new(load)?);
    let shared = &shared;
    thread::scope(|threads| {
        let (mut publishers, mut consumers) = (Vec::new(), Vec::new());
        for (pair, n) in pairs.into_iter().zip(0..) {
            let client = Client::bare(pair.publisher, load)?;
            let script = Script::new(load, n, client.frame_max(), As::Deliver);
            if let Some((from, to)) = pair.relay {
                let confirm = (load.confirm > 0).then_some(script.message_len());
                threads.spawn(move || pass_on(from, to, confirm));
            }
            if let Some(socket) = pair.consumer {
                let consumer = Consumer::new(load, n, Client::bare(socket, load)?, shared);
                consumers.push(threads.spawn(move || shared.watched(|| consumer.run_bare())));
            }
            let publisher = Publisher::new(load, n, load.pmessages, client, script, shared);
            publishers.push(threads.spawn(move || shared.watched(|| publisher.run_bare())));
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
            thread::sleep(LOOK);
            ticked = progress.tick(shared);
        }
        let (seconds, counts) = (started.elapsed().as_secs_f64(), shared.counts());
        shared.stop_publishing.store(true, Ordering::Relaxed);
        let published = publishers.into_iter().try_for_each(joined);
        shared.end();
        consumers.into_iter().try_for_each(joined)?;
        published?;
        ticked?;
        Ok(Summary::new(load.mode, shared)
            .with("published", counts.published, Rate::Over(seconds))
            .with("confirmed", counts.confirmed, Rate::Over(seconds))
            .with("consumed", counts.consumed, Rate::Over(seconds))
            .lasted(seconds))
    })
}

/// Reads and writes until either side hangs up. With `confirm`, the length of a message, every
/// message that has come whole is confirmed.
fn pass_on(mut from: TcpStream, to: Option<TcpStream>, confirm: Option<usize>) -> io::Result<()> {
    // Acknowledgements of the consumer are read, or its socket would fill up.
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
        let octets = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(octets) => octets,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if let Some(mut to) = to.as_ref() {
            to.write_all(&buffer[..octets])?;
        }
        came += octets as u64;
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
