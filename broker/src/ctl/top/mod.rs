//! `leveretctl top`: a live view on a terminal, and the same as plain text or JSON anywhere else.
//!
//! The broker sorts and filters ([`manage::top`](crate::manage::top)), so that a hundred thousand queues cost one screen
//! of rows. [`choice`] is what the user wants to see and how keys change it, [`text`] how figures are written,
//! [`screen`] how they are laid out.

mod choice;
mod screen;
mod signals;
mod text;

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use crate::manage::request::{ErrorKind, Request, Response};
use crate::manage::top::Top;

use super::client::{Client, ClientError};
use super::options::CommandLine;
use super::render::Format;
use super::request::{Invalid, usage};
use choice::{Choice, Pressed};
use signals::Signals;

/// The time between two looks in seconds, unless `--interval` says otherwise.
const INTERVAL: u64 = 2;
/// How many rows are printed where there is no terminal, unless `--limit` says otherwise.
const ROWS: usize = 20;
/// How long the broker may take to answer, unless `--timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a signal may wait at most.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(200);

/// A valid command line of `top`.
#[derive(Debug)]
pub(super) struct Options {
    choice: Choice,
    interval: Duration,
    /// How often to print; `None` for a live view if there is a terminal.
    count: Option<u64>,
    /// How many rows to print.
    rows: usize,
    patience: Duration,
    json: bool,
}

/// Why it ended early.
#[derive(Debug)]
pub(super) enum Failure {
    /// The broker cannot be asked.
    Client(ClientError),
    /// The broker refuses to answer.
    Refused(ErrorKind, String),
    /// The terminal or the output is gone.
    Output(io::Error),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        Failure::Client(error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Failure::Output(error)
    }
}

impl Options {
    /// Checks the arguments of a command line.
    pub(super) fn of(line: &CommandLine, format: Format) -> Result<Self, Invalid> {
        let json = match format {
            Format::Table => false,
            Format::Json => true,
            _ => return Err(usage("top has the formatters table and json")),
        };
        let list = line.arguments.first().map(String::as_str);
        let filter = line.text("filter").unwrap_or_default();
        let interval = line.number("interval").unwrap_or(INTERVAL);
        if interval == 0 {
            return Err(usage("--interval must be at least 1 second"));
        }
        Ok(Options {
            choice: Choice::parse(list, line.text("sort"), filter).map_err(usage)?,
            interval: Duration::from_secs(interval),
            count: line.number("count"),
            rows: line.number("limit").map_or(ROWS, |rows| rows as usize),
            patience: line.number("timeout").map_or(PATIENCE, Duration::from_secs),
            json,
        })
    }
}

/// Shows the broker until the user has seen enough, or as often as was asked for.
pub(super) fn run(options: Options, data_dir: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let live = options.count.is_none()
        && !options.json
        && io::stdout().is_terminal()
        && io::stdin().is_terminal()
        && std::env::var_os("TERM").is_some_and(|terminal| terminal != "dumb");
    if !live {
        return print(&options, data_dir, out);
    }
    // Before the screen changes, so that a wrong data directory is an ordinary error.
    let first = fetch(&options, &options.choice, data_dir, 1)?;
    out.flush()?;
    let signals = Signals::watch()?;
    let terminal = ratatui::try_init()?;
    let ended = watch(options, first, data_dir, terminal, &signals);
    ratatui::try_restore()?;
    ended?;
    // The shell learns of the signal, as it would without a screen to leave.
    signals.die()?;
    Ok(())
}

/// Prints as often as was asked for, once without a number.
fn print(options: &Options, data_dir: &Path, out: &mut dyn Write) -> Result<(), Failure> {
    let count = options.count.unwrap_or(1);
    for n in 0..count {
        let top = fetch(options, &options.choice, data_dir, options.rows)?;
        if options.json {
            let line = serde_json::to_string(&top).map_err(io::Error::other)?;
            writeln!(out, "{line}")?;
        } else {
            let gap = if n == 0 { "" } else { "\n" };
            write!(out, "{gap}{}", text::plain(&top))?;
        }
        out.flush()?;
        if n + 1 < count {
            thread::sleep(options.interval);
        }
    }
    Ok(())
}

/// Asks the broker, on a connection of its own: it may have been restarted since the last time.
fn fetch(
    options: &Options,
    choice: &Choice,
    data_dir: &Path,
    limit: usize,
) -> Result<Top, Failure> {
    let mut client = Client::connect(data_dir, Some(Instant::now() + options.patience))?;
    client.send(&Request::Top {
        list: choice.list(),
        filter: choice.filter().to_owned(),
        limit,
    })?;
    match client.receive()? {
        Response::Top(top) => Ok(*top),
        Response::Error { kind, message } => Err(Failure::Refused(kind, message)),
        _ => {
            let text = "the broker gave another answer".to_owned();
            Err(Failure::Refused(ErrorKind::Software, text))
        }
    }
}

/// The live view: looks, shows, and waits for a key until it is time to look again.
fn watch(
    mut options: Options,
    mut top: Top,
    data_dir: &Path,
    mut terminal: DefaultTerminal,
    signals: &Signals,
) -> Result<(), Failure> {
    let (mut problem, mut looks_at) = (None, Instant::now());
    loop {
        if looks_at <= Instant::now() {
            let rows = screen::rows(terminal.size()?.height);
            match fetch(
                &options,
                &options.choice,
                data_dir,
                options.choice.wants(rows),
            ) {
                Ok(fresh) => (top, problem) = (fresh, None),
                // It may come back: what was known stays on the screen.
                Err(Failure::Client(error)) => problem = Some(error.to_string()),
                Err(Failure::Refused(ErrorKind::AppStopped, _)) => {
                    problem = Some("stop_app has stopped the service".to_owned());
                }
                Err(Failure::Refused(_, message)) => problem = Some(message),
                Err(other) => return Err(other),
            }
            options.choice.stay_within(&top, rows);
            looks_at = Instant::now() + options.interval;
        }
        if signals.end_it() {
            return Ok(());
        }
        if signals.suspend_it() {
            ratatui::try_restore()?;
            signals.suspend()?;
            terminal = ratatui::try_init()?;
        }
        terminal.draw(|frame| screen::draw(frame, &options.choice, &top, problem.as_deref()))?;
        let until = looks_at.saturating_duration_since(Instant::now());
        if !event::poll(until.min(SIGNAL_INTERVAL))? {
            continue;
        }
        match event::read()? {
            Event::Key(key) if key.kind != KeyEventKind::Release => {
                match options.choice.press(key) {
                    Pressed::Nothing => {}
                    Pressed::Changed => looks_at = Instant::now(),
                    Pressed::Suspend => signals.ask_to_suspend(),
                    Pressed::Quit => return Ok(()),
                }
            }
            Event::Resize(..) => looks_at = Instant::now(),
            _ => {}
        }
    }
}
