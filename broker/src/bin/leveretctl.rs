//! leveretctl: asks a running broker what it holds, and tells it what to do.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use leveret::config::Environment;
use leveret::ctl::{self, Terminal};
use leveret::node::private;

fn main() -> ExitCode {
    // What it writes for an operator holds what the broker keeps.
    private::from_now_on();
    let mut err = io::stderr();
    let words: Result<Vec<String>, _> = std::env::args_os()
        .skip(1)
        .map(std::ffi::OsString::into_string)
        .collect();
    let Ok(words) = words else {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(
            err,
            "Error: an argument is not UTF-8, as every name in AMQP is"
        );
        return ExitCode::from(ctl::exit::USAGE);
    };
    let bold = io::stdout().is_terminal() && io::stderr().is_terminal();
    let mut out = BufWriter::new(io::stdout());
    let environment = Environment::of_process();
    let mut terminal = Terminal {
        out: &mut out,
        err: &mut err,
        bold,
        environment,
    };
    ExitCode::from(ctl::main(words, &mut terminal))
}
