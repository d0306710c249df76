//! `leveretperf`: a load generator for any AMQP 0-9-1 broker.

use clap::{CommandFactory, Parser, error::ErrorKind};
use leveret::perf::{Load, run};
use leveret::text::escape::{Form, escaped};
use std::process::ExitCode;

fn main() -> ExitCode {
    let load = Load::parse();
    if let Err(why) = load.check() {
        Load::command()
            .error(ErrorKind::ArgumentConflict, why)
            .exit();
    }
    match run(&load) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(summary)) => {
            match (load.json, load.csv) {
                (true, _) => println!("{}", summary.json()),
                (_, true) => println!("{}", summary.csv()),
                _ => println!("{summary}"),
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            let error = error.to_string();
            eprintln!("leveretperf: error: {}", escaped(&error, Form::Lines));
            ExitCode::FAILURE
        }
    }
}
