//! leveretctl: inspects and controls a running broker. Called by the name of one of RabbitMQ's tools, it is that tool.

use std::process::ExitCode;

use leveret::ctl;
use leveret::node::private;

fn main() -> ExitCode {
    // Its output may contain the broker's data.
    private::restrict_umask();
    ctl::run_process(std::env::args_os())
}
