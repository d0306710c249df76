//! `leveretperf`: load for any AMQP 0-9-1 broker.

use clap::Parser;
use leveret::perf::{Load, run};
use std::process::ExitCode;

fn main() -> ExitCode {
    let load = Load::parse();
    match run(&load) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("leveretperf: error: {error}");
            ExitCode::FAILURE
        }
    }
}
