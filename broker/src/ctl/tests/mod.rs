//! leveretctl as a user sees it, against a fake broker with canned responses. The texts and statuses were
//! recorded from rabbitmqctl 3.10.8, except where the texts name leveretctl or a directory.

mod changes;
mod checks;
mod limits;
pub(super) mod listings;
mod logs;
mod mistakes;
mod policies;
mod tls;
mod tools;

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::thread::{self, JoinHandle};

use super::*;
use crate::config::Environment;
use crate::control::socket::SocketPath;
use crate::control::wire;
use crate::manage::request::{Request, Response};

/// The output of a command, and its exit status.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    status: u8,
    out: String,
    err: String,
}

fn outcome(status: u8, out: &str, err: &str) -> Outcome {
    Outcome {
        status,
        out: out.to_owned(),
        err: err.to_owned(),
    }
}

/// Runs leveretctl with the data directory in its environment.
fn ctl_in(data_dir: &Path, words: &[&str]) -> Outcome {
    called_in("leveretctl", data_dir, words)
}

/// Runs leveretctl by another name, with the data directory in its environment.
fn called_in(program: &str, data_dir: &Path, words: &[&str]) -> Outcome {
    let variable =
        |name: &str| (name == "LEVERET_DATA_DIR").then(|| OsString::from(data_dir.as_os_str()));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let environment = Environment {
        variable: &variable,
        uid: 1000,
        default_folder: Path::new("/nonexistent"),
    };
    let mut terminal = Terminal {
        out: &mut out,
        err: &mut err,
        bold: false,
        environment,
    };
    let status = main(
        program,
        words.iter().copied().map(str::to_owned).collect(),
        &mut terminal,
    );
    let text = |octets| String::from_utf8(octets).unwrap();
    Outcome {
        status,
        out: text(out),
        err: text(err),
    }
}

/// Starts a fake broker that answers one request with these responses. Whoever only looks whether it is there is none.
fn broker(data_dir: &Path, answer: Vec<Response>) -> JoinHandle<Request> {
    let socket = UnixListener::bind(SocketPath::of(data_dir).unwrap().path()).unwrap();
    thread::spawn(move || {
        let (mut stream, line) = loop {
            let (stream, _) = socket.accept().unwrap();
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            if stream.read_line(&mut line).is_ok_and(|length| length > 0) {
                break (stream, line);
            }
        };
        for response in answer {
            let line = serde_json::to_string(&response).unwrap();
            writeln!(stream.get_mut(), "{line}").unwrap();
        }
        wire::decode_request(line.as_bytes()).unwrap()
    })
}

/// Runs leveretctl against a fake broker; returns the request and the outcome.
fn ctl(words: &[&str], answer: Vec<Response>) -> (Request, Outcome) {
    let folder = tempfile::tempdir().unwrap();
    let broker = broker(folder.path(), answer);
    let outcome = ctl_in(folder.path(), words);
    (broker.join().unwrap(), outcome)
}

/// Runs leveretctl without a broker.
fn alone(words: &[&str]) -> Outcome {
    ctl_in(Path::new("/nonexistent"), words)
}

/// Runs leveretctl by another name, without a broker.
fn called(program: &str, words: &[&str]) -> Outcome {
    called_in(program, Path::new("/nonexistent"), words)
}

fn text(text: &str) -> String {
    text.to_owned()
}
