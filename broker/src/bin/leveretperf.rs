//! `leveretperf`: a load generator for any AMQP 0-9-1 broker.

use clap::{CommandFactory, Parser, error::ErrorKind};
use leveret::perf::{Load, hint, run};
use leveret::text::escape::{Form, escaped};
use std::process::ExitCode;

fn main() -> ExitCode {
    let load = match Load::try_parse() {
        Ok(load) => load,
        Err(error) => {
            let is_mistake = error.exit_code() != 0;
            // If the terminal is gone there is nowhere to report that.
            let _ = error.print();
            if let Some(hint) = hint(std::env::args().skip(1)).filter(|_| is_mistake) {
                eprintln!("\n{}", escaped(&hint, Form::Lines));
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
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
