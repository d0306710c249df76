//! Runs a command from its words to its exit status.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use crate::client::uri::without_password;
use crate::config::{ConfigError, Environment, locate_data_dir};
use crate::manage::request::Request;
use crate::text::escape::{Escaped, Form};
use crate::text::names::NODE_NAME;
use crate::text::version::FULL_VERSION;

use super::action::{Action, Answer};
use super::client::{Client, ClientError};
use super::commands::definitions;
use super::definitions as definition_files;
use super::discovery::Machine;
use super::options::CommandLine;
use super::program::Program;
use super::render::Format;
use super::report;
use super::request::{self, Command, Invalid};
use super::show::{ask, export, show_answer, show_response, wrong_file};
use super::verbs::Verb;
use super::{commands, confirm, exit, help, password, several, shovel, top};

/// The pause between two attempts to reach a broker that is starting.
const STARTUP_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// The streams and the environment of a command.
pub struct Terminal<'a> {
    /// Standard output.
    pub out: &'a mut dyn Write,
    /// Standard error.
    pub err: &'a mut dyn Write,
    /// Whether headings are bold.
    pub bold: bool,
    /// The environment that names the data directory.
    pub environment: Environment<'a>,
}

/// Why a command stops early.
pub(super) enum EarlyExit {
    /// With a message on stderr and an exit status.
    Message(String, u8),
    /// Because the output cannot be written.
    Output(io::Error),
}

impl From<io::Error> for EarlyExit {
    fn from(error: io::Error) -> Self {
        EarlyExit::Output(error)
    }
}

/// Runs a command on the streams of the process, given the name or path that the program was called by
/// and the words after it.
pub fn run_process(words: impl Iterator<Item = OsString>) -> ExitCode {
    let (stdout, mut err) = (io::stdout(), io::stderr());
    let words: Result<Vec<String>, _> = words.map(OsString::into_string).collect();
    let Ok(mut words) = words else {
        // If stderr is gone there is nowhere to report that.
        let _ = writeln!(
            err,
            "Error: arguments must be UTF-8, as all names in AMQP are"
        );
        return ExitCode::from(exit::USAGE);
    };
    let program = match words.is_empty() {
        true => String::new(),
        false => words.remove(0),
    };
    let bold = stdout.is_terminal() && err.is_terminal();
    let mut out = BufWriter::new(stdout);
    let mut terminal = Terminal {
        out: &mut out,
        err: &mut err,
        bold,
        environment: Environment::of_process(),
    };
    ExitCode::from(main(&program, words, &mut terminal))
}

/// Runs a command, given the name or path that the program was called by and the words after it, and
/// returns its exit status.
pub fn main(program: &str, words: Vec<String>, terminal: &mut Terminal<'_>) -> u8 {
    let mut line = CommandLine::parse(Program::called(program), words);
    line.bold = terminal.bold;
    let text = match terminal.bold {
        true => Form::BoldLines,
        false => Form::Lines,
    };
    let exports = line.verb.as_deref() == Some("export_definitions");
    let form = match line.text("formatter") {
        Some("json") => Form::Json,
        _ if exports && definitions::path(&line).is_none() => Form::Json,
        _ => text,
    };
    // All output is escaped here, because clients choose names and reasons.
    let terminal = &mut Terminal {
        out: &mut Escaped::new(&mut *terminal.out, form),
        err: &mut Escaped::new(&mut *terminal.err, text),
        bold: terminal.bold,
        environment: terminal.environment,
    };
    let result = run(&line, terminal).and_then(|status| {
        terminal.out.flush()?;
        Ok(status)
    });
    match result {
        Ok(status) => status,
        Err(EarlyExit::Message(text, status)) => {
            // Earlier output comes first. If stderr is gone there is nowhere to report that.
            let _ = terminal.out.flush();
            let _ = writeln!(terminal.err, "{text}");
            status
        }
        // As with `leveretctl list_queues | head`.
        Err(EarlyExit::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => exit::OK,
        Err(EarlyExit::Output(error)) => {
            let _ = writeln!(terminal.err, "Error: cannot write the output: {error}");
            exit::IO
        }
    }
}

/// Runs a command on a terminal that escapes what it is given.
pub(super) fn run(line: &CommandLine, terminal: &mut Terminal<'_>) -> Result<u8, EarlyExit> {
    let Some(name) = line.verb.as_deref() else {
        return match (line.has("version"), line.has("help")) {
            (true, _) => version(line, terminal),
            (false, true) => show(terminal, &help::overview(line)),
            (false, false) => Err(EarlyExit::Message(
                help::overview(line).trim_end_matches('\n').to_owned(),
                exit::USAGE,
            )),
        };
    };
    let Some(verb) = Verb::find(name, line.program.tool) else {
        return Err(EarlyExit::Message(unknown_verb(name, line), exit::USAGE));
    };
    if line.has("help") {
        return show(terminal, &help::for_verb(verb, line));
    }
    perform(verb, line, terminal)
}

fn perform(
    verb: &'static Verb,
    line: &CommandLine,
    terminal: &mut Terminal<'_>,
) -> Result<u8, EarlyExit> {
    let wrong = |invalid: Invalid| usage_error(verb, line, &invalid);
    let format = match verb.action {
        // Whatever its options are, they would not help.
        Action::Nothing(status, why) => {
            let format = Format::parse(line.text("formatter")).unwrap_or_default();
            let answer = match status {
                exit::OK => Answer::message(why),
                _ => Answer::failed(format!("Error: {why}")).with_status(status),
            };
            return show_answer(answer, format, line, terminal);
        }
        _ => request::check(verb, line).map_err(wrong)?,
    };
    if line.has("dry-run") {
        return Ok(exit::OK);
    }
    match (verb.name, verb.action) {
        (_, Action::Local(answer)) => {
            let answer = answer(line).map_err(wrong)?;
            show_answer(answer, format, line, terminal)
        }
        (_, Action::Ask(how)) => {
            let request = (how.request)(line).map_err(wrong)?;
            let mut session = Session::open(verb, line, terminal)?;
            let banner = (how.banner)(line);
            if !banner.is_empty() && is_chatty(line, format) {
                writeln!(terminal.out, "{banner}")?;
                terminal.out.flush()?;
            }
            let failed = |error| failure(verb, session.timeout, error);
            ask(
                &how,
                (&request, format),
                line,
                &mut session.client,
                terminal,
                &failed,
            )
        }
        ("help", _) => help_of(line, terminal),
        ("version", _) => version(line, terminal),
        ("shovel", _) => {
            let options = shovel::Options::of(line, format, &terminal.environment);
            shovel::run(&options.map_err(wrong)?, terminal)
        }
        ("top", _) => top(verb, line, format, terminal),
        ("wait", _) => several::wait(line, terminal),
        ("report", _) => several::report(line, terminal),
        _ => {
            let command = Command::of(verb, line, commands::request).map_err(wrong)?;
            execute(verb, command, line, terminal)
        }
    }
}

/// Runs the live view, or prints what it would show.
fn top(
    verb: &Verb,
    line: &CommandLine,
    format: Format,
    terminal: &mut Terminal<'_>,
) -> Result<u8, EarlyExit> {
    let options = top::Options::of(line, format);
    let options = options.map_err(|invalid| usage_error(verb, line, &invalid))?;
    check_node(line)?;
    let data_dir = data_dir(line, &terminal.environment)?;
    match top::run(options, &data_dir, terminal.out) {
        Ok(()) => Ok(exit::OK),
        Err(top::Failure::Client(error)) => Err(failure(verb, line.number("timeout"), error)),
        Err(top::Failure::Refused(kind, message)) => {
            let program = &line.program.name;
            let (text, status) = report::refusal(program, &Request::Status, kind, &message);
            Err(EarlyExit::Message(text, status))
        }
        Err(top::Failure::Output(error)) => Err(error.into()),
    }
}

/// Returns whether informational lines are printed.
fn is_chatty(line: &CommandLine, format: Format) -> bool {
    !line.is_quiet() && !format.is_for_programs()
}

fn show(terminal: &mut Terminal<'_>, text: &str) -> Result<u8, EarlyExit> {
    terminal.out.write_all(text.as_bytes())?;
    Ok(exit::OK)
}

/// Shows the version. RabbitMQ's tools show a number alone, which scripts compare.
fn version(line: &CommandLine, terminal: &mut Terminal<'_>) -> Result<u8, EarlyExit> {
    let Program { name, tool } = &line.program;
    let text = match tool {
        Some(_) => format!("{}\n", env!("CARGO_PKG_VERSION")),
        None => format!("{name} {FULL_VERSION}\n"),
    };
    show(terminal, &text)
}

fn help_of(line: &CommandLine, terminal: &mut Terminal<'_>) -> Result<u8, EarlyExit> {
    let text = match line.arguments.first() {
        _ if line.has("list-commands") => help::list(line),
        None => help::overview(line),
        Some(name) => match Verb::find(name, line.program.tool) {
            Some(verb) => help::for_verb(verb, line),
            None => {
                let text = unknown_verb(name, line);
                let text = format!("Error:\n{}", text.trim_end_matches('\n'));
                return Err(EarlyExit::Message(text, exit::USAGE));
            }
        },
    };
    show(terminal, &text)
}

/// Returns what is said of an unknown verb: what may be meant, or which tool has it.
fn unknown_verb(name: &str, line: &CommandLine) -> String {
    let Program {
        name: program,
        tool,
    } = &line.program;
    let hint = match (Verb::similar_to(name, *tool), Verb::find(name, None)) {
        (Some(similar), _) => format!("Did you mean '{similar}'? \n"),
        (None, Some(verb)) => {
            let tools: Vec<&str> = verb.tools.iter().map(|tool| tool.name()).collect();
            format!("It is a command of {}", tools.join(", "))
        }
        (None, None) => format!("See '{program} help'"),
    };
    format!("\nCommand '{name}' not found. \n{hint}")
}

fn usage_error(verb: &Verb, line: &CommandLine, invalid: &Invalid) -> EarlyExit {
    let Invalid {
        reason,
        status,
        is_usage,
    } = invalid;
    if !is_usage {
        return EarlyExit::Message(format!("Error:\n{reason}"), *status);
    }
    let given: Vec<String> = line
        .given
        .iter()
        .map(|word| without_password(word))
        .collect();
    let (given, usage) = (given.join(" "), help::usage(verb, line));
    let heading = help::heading("Usage", line.bold);
    let text = format!(
        "Error (argument validation): {reason}\nArguments given:\n\t{given}\n\n{heading}\n\n{usage}"
    );
    EarlyExit::Message(text, *status)
}

/// Returns the timeout of a verb in seconds: the given one, or rabbitmqctl's; `None` for no limit.
fn timeout(verb: &Verb, line: &CommandLine) -> Option<u64> {
    line.number("timeout").or(match verb.name {
        "list_queues" | "ping" => Some(60),
        "await_startup" => Some(300),
        "await_online_quorum_plus_one" | "await_online_synchronized_mirror" => Some(120),
        // There is no response until all is done, however slow the disk: a day.
        "backup" | "import_definitions" | "export_definitions" => Some(24 * 60 * 60),
        _ => None,
    })
}

/// A connection to the broker, and how long everything on it may take.
struct Session {
    client: Client,
    data_dir: PathBuf,
    timeout: Option<u64>,
    deadline: Option<Instant>,
}

impl Session {
    fn open(verb: &Verb, line: &CommandLine, terminal: &Terminal<'_>) -> Result<Self, EarlyExit> {
        check_node(line)?;
        let timeout = timeout(verb, line);
        let deadline = timeout.map(|seconds| Instant::now() + Duration::from_secs(seconds));
        let place = || data_dir(line, &terminal.environment);
        let data_dir = match verb.name {
            "await_startup" => wait_for_broker(place, deadline)?,
            _ => place()?,
        };
        let connected = Client::connect(&data_dir, deadline);
        Ok(Session {
            client: connected.map_err(|error| failure(verb, timeout, error))?,
            data_dir,
            timeout,
            deadline,
        })
    }

    /// Connects again.
    fn reconnect(&mut self, verb: &Verb) -> Result<(), EarlyExit> {
        let connected = Client::connect(&self.data_dir, self.deadline);
        self.client = connected.map_err(|error| failure(verb, self.timeout, error))?;
        Ok(())
    }
}

/// Refuses to talk to another node than the one of the data directory.
pub(super) fn check_node(line: &CommandLine) -> Result<(), EarlyExit> {
    match line.text("node") {
        Some(node) if !line.is_this_node(node) => Err(EarlyExit::Message(
            format!(
                "Error: unable to perform an operation on node '{node}': the broker of the data \
                 directory is {NODE_NAME}, name another one's directory with --data-dir"
            ),
            exit::UNAVAILABLE,
        )),
        _ => Ok(()),
    }
}

/// Sends the request to the broker and shows the response.
fn execute(
    verb: &Verb,
    mut command: Command,
    line: &CommandLine,
    terminal: &mut Terminal<'_>,
) -> Result<u8, EarlyExit> {
    let mut session = match Session::open(verb, line, terminal) {
        Err(EarlyExit::Message(_, exit::UNAVAILABLE))
            if verb.name == "stop" && line.has("idempotent") && check_node(line).is_ok() =>
        {
            writeln!(terminal.out, "Node {NODE_NAME} is no longer running")?;
            return Ok(exit::OK);
        }
        other => other?,
    };
    if command.request == Request::Reset
        && let Some(confirmed) = confirm::reset(terminal.out, &session.data_dir)?
    {
        if !confirmed {
            let text = "Nothing was deleted.".to_owned();
            return Err(EarlyExit::Message(text, exit::USAGE));
        }
        // While the user thought, the broker may have closed the connection.
        session.reconnect(verb)?;
    }
    let timeout = session.timeout;
    let failed = |error| failure(verb, timeout, error);
    let banner = commands::banner(verb.name, line, &command.request, timeout);
    if let Some(banner) = banner.filter(|_| is_chatty(line, command.format)) {
        writeln!(terminal.out, "{banner}")?;
    }
    if command.prompts_for_password {
        let given = password::prompt(terminal.out)?;
        command.set_password(given.ok_or_else(|| no_password(verb))?);
        // While the user typed, the broker may have closed the connection.
        session.reconnect(verb)?;
    }
    terminal.out.flush()?;
    let client = &mut session.client;
    if let Request::ImportDefinitions { bytes, .. } = &mut command.request {
        let file = definition_files::read(definitions::path(line)).map_err(wrong_file)?;
        *bytes = file.len() as u64;
        client.send(&command.request).map_err(failed)?;
        client.send_file(&file).map_err(failed)?;
    } else {
        client.send(&command.request).map_err(failed)?;
    }
    if matches!(command.request, Request::ExportDefinitions { .. }) {
        return export(&command, line, client, terminal, &failed);
    }
    show_response(verb, &command, line, client, terminal, &failed)
}

/// Returns the data directory of the broker that is meant.
///
/// # Errors
/// With the status `UNAVAILABLE` when nobody has named it, and no broker was found or several.
pub(super) fn data_dir(
    line: &CommandLine,
    environment: &Environment<'_>,
) -> Result<PathBuf, EarlyExit> {
    let path = |long| line.text(long).map(PathBuf::from);
    let failed = |error: ConfigError| EarlyExit::Message(format!("Error: {error}"), error.status());
    let found = locate_data_dir(path("data-dir"), path("config"), environment).map_err(failed)?;
    if !found.is_chosen {
        let broker = Machine::of_process(environment).find(&found);
        return broker
            .map_err(|text| EarlyExit::Message(format!("Error: {text}"), exit::UNAVAILABLE));
    }
    found.path.ok_or_else(|| failed(ConfigError::NoDataDir))
}

/// Returns the data directory once a broker answers there, or the deadline has passed.
fn wait_for_broker(
    place: impl Fn() -> Result<PathBuf, EarlyExit>,
    deadline: Option<Instant>,
) -> Result<PathBuf, EarlyExit> {
    loop {
        let is_over = deadline.is_some_and(|at| Instant::now() >= at);
        match place() {
            Ok(path) if is_over || Client::reach(&path).is_ok() => return Ok(path),
            Err(EarlyExit::Message(_, exit::UNAVAILABLE)) if !is_over => {}
            Ok(_) => {}
            Err(other) => return Err(other),
        }
        thread::sleep(STARTUP_POLL_INTERVAL);
    }
}

fn no_password(verb: &Verb) -> EarlyExit {
    let text = "Error:\nPassword is not provided via argument or stdin".to_owned();
    // These are rabbitmqctl's statuses, although they differ.
    EarlyExit::Message(
        text,
        if verb.name == "change_password" {
            exit::SOFTWARE
        } else {
            exit::DATA
        },
    )
}

fn failure(verb: &Verb, timeout: Option<u64>, error: ClientError) -> EarlyExit {
    match error {
        ClientError::Unreachable(text) => {
            EarlyExit::Message(format!("Error: {text}"), exit::UNAVAILABLE)
        }
        ClientError::TimedOut => {
            let milliseconds = timeout.unwrap_or(60) * 1000;
            let text = format!(
                "Error: operation {} timed out. Timeout value used: {milliseconds}",
                verb.name
            );
            EarlyExit::Message(text, exit::TIMED_OUT)
        }
        ClientError::Broken(text) => EarlyExit::Message(format!("Error: {text}"), exit::SOFTWARE),
    }
}
