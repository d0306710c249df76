//! Definition files.

use std::path::Path;

use crate::manage::request::Request;

use super::super::options::CommandLine;
use super::super::request::{Invalid, bad_argument};

/// Returns the request of a verb of this theme; `None` for other verbs.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Option<Request>, Invalid> {
    let request = match verb {
        "export_definitions" => Request::ExportDefinitions {
            compatible_hashes: line.has("compatible-hashes"),
        },
        // How many bytes there are is known when the file has been read.
        "import_definitions" => Request::ImportDefinitions {
            bytes: 0,
            skip_if_unchanged: line.has("skip-if-unchanged"),
        },
        _ => return Ok(None),
    };
    match line.text("format") {
        None | Some("json" | "JSON") => {}
        Some("erlang") => {
            return Err(bad_argument(
                ": Erlang's term format is not supported, use json",
            ));
        }
        Some(_) => return Err(bad_argument(": Format should be json")),
    }
    check_path(&request, line)?;
    Ok(Some(request))
}

/// Checks that there is a file to import, or a directory to export to.
fn check_path(request: &Request, line: &CommandLine) -> Result<(), Invalid> {
    let Some(path) = path(line) else {
        return Ok(());
    };
    let directory = match Path::new(path).parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    if !matches!(request, Request::ExportDefinitions { .. }) {
        return match Path::new(path).exists() {
            true => Ok(()),
            false => Err(bad_argument(&format!(": File {path} does not exist"))),
        };
    }
    match directory.exists() {
        true => Ok(()),
        false => {
            let directory = directory.display();
            Err(bad_argument(&format!(
                ": Directory {directory} does not exist"
            )))
        }
    }
}

/// Returns the path of the file; `None` for standard input or output.
pub(in crate::ctl) fn path(line: &CommandLine) -> Option<&str> {
    let path = line.arguments.first().map(String::as_str);
    path.filter(|path| *path != "-")
}

/// Returns the banner of a request of this theme; `None` for other requests.
pub(super) fn banner(line: &CommandLine, request: &Request) -> Option<String> {
    match (request, path(line)) {
        (Request::ExportDefinitions { .. }, Some(path)) => Some(format!(
            "Exporting definitions in JSON to a file at \"{path}\" ..."
        )),
        (Request::ImportDefinitions { .. }, Some(path)) => Some(format!(
            "Importing definitions in JSON from a file at \"{path}\" ..."
        )),
        (Request::ImportDefinitions { .. }, None) if line.arguments.is_empty() => {
            Some("Importing definitions in JSON from standard input ...".to_owned())
        }
        _ => None,
    }
}
