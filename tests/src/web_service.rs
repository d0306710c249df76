//! A small HTTP service on this machine, in place of those that the broker asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;

/// A request that the service got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceRequest {
    /// Such as `GET`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The query, or the body of a POST.
    pub form: String,
}

type Respond = dyn Fn(&ServiceRequest) -> (u16, String) + Send + Sync;

/// The service. It ends when it is dropped.
pub struct WebService {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<ServiceRequest>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for WebService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebService")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl WebService {
    /// Starts a service on a free port.
    pub fn start(
        respond: impl Fn(&ServiceRequest) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        Self::serve(listener, Arc::new(respond))
    }

    /// Starts a service on a port that is known to be free.
    pub fn start_at(
        address: SocketAddr,
        respond: impl Fn(&ServiceRequest) -> (u16, String) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).expect("the port is free");
        Self::serve(listener, Arc::new(respond))
    }

    fn serve(listener: TcpListener, respond: Arc<Respond>) -> Self {
        let address = listener.local_addr().expect("an address");
        let requests: Arc<Mutex<Vec<ServiceRequest>>> = Arc::default();
        let stopped = Arc::new(AtomicBool::new(false));
        let (seen, is_over) = (requests.clone(), stopped.clone());
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if is_over.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let (seen, respond) = (seen.clone(), respond.clone());
                std::thread::spawn(move || {
                    let _ = answer(&stream, &seen, &*respond);
                });
            }
        });
        WebService {
            address,
            requests,
            stopped,
            thread: Some(thread),
        }
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the URL of a path.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Returns the requests so far.
    pub fn requests(&self) -> Vec<ServiceRequest> {
        self.requests.lock().clone()
    }
}

impl Drop for WebService {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread, which then closes the port.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn answer(
    stream: &TcpStream,
    seen: &Mutex<Vec<ServiceRequest>>,
    respond: &Respond,
) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        if header.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let request = ServiceRequest {
        form: match length {
            0 => query.to_owned(),
            _ => String::from_utf8_lossy(&body).into_owned(),
        },
        path: path.to_owned(),
        method,
    };
    seen.lock().push(request.clone());
    let (status, body) = respond(&request);
    let mut stream = stream;
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}
