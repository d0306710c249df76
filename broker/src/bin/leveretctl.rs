//! leveretctl: inspects and controls a running broker.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::process::ExitCode;

use leveret::config::Environment;
use leveret::ctl::{self, Terminal};
use leveret::node::private;

fn main() -> ExitCode {
    // Its output may contain the broker's data.
    private::restrict_umask();
    let mut err = io::stderr();
    let words: Result<Vec<String>, _> = std::env::args_os()
        .skip(1)
        .map(std::ffi::OsString::into_string)
        .collect();
    let Ok(words) = words else {
        // If stderr is gone there is nowhere to report that.
        let _ = writeln!(
            err,
            "Error: arguments must be UTF-8, as all names in AMQP are"
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
