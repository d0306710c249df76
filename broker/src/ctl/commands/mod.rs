//! The verbs by theme: each file turns the arguments of its verbs into requests, and has the lines
//! that announce them, the banners.
//!
//! What is the same for all verbs is in `../request.rs`: a new verb of a theme touches the file of
//! its theme only. Only a new theme is listed here.
//!
//! The verbs that show a response in their own way (`cluster`, `facts`, `health`, `plugins`,
//! `replication`, `tls`) are functions that their declarations in `../verbs/` name.

pub(super) mod cluster;
mod connections;
pub(super) mod definitions;
pub(super) mod facts;
pub(super) mod health;
mod limits;
mod listings;
mod logs;
mod node;
mod parameters;
pub(super) mod plugins;
mod policies;
mod queues;
pub(super) mod replication;
mod resources;
mod service;
pub(super) mod tls;
mod users;
mod vhosts;

use crate::manage::request::Request;
use crate::text::escape::{Form, escaped};

use super::options::CommandLine;
use super::request::{Invalid, usage};

/// A theme: it returns the request of a verb, or `None` for a verb of another theme.
type Theme = fn(&str, &CommandLine) -> Result<Option<Request>, Invalid>;

/// Every theme. A verb belongs to one of them, so their order does not matter.
const THEMES: [Theme; 14] = [
    listings::request,
    users::request,
    limits::request,
    resources::request,
    policies::request,
    node::request,
    service::request,
    parameters::request,
    vhosts::request,
    queues::request,
    connections::request,
    definitions::request,
    logs::request,
    tls::request,
];

/// Returns the request of a command line whose options and number of arguments have been checked.
pub(super) fn request(verb: &str, line: &CommandLine) -> Result<Request, Invalid> {
    for theme in THEMES {
        if let Some(request) = theme(verb, line)? {
            return Ok(request);
        }
    }
    Err(usage(format!("'{verb}' is not a request to a broker")))
}

/// Returns the line that is printed before the response and announces the request, without a line
/// feed. Recorded from rabbitmqctl 3.10.8.
/// Names are escaped, so that none of them adds a line.
pub(super) fn banner(
    verb: &str,
    line: &CommandLine,
    request: &Request,
    timeout_seconds: Option<u64>,
) -> Option<String> {
    let seconds = timeout_seconds.unwrap_or_default();
    let banner = service::banner(verb, request, seconds)
        .or_else(|| node::banner(verb, request, seconds))
        .or_else(|| resources::banner(verb, request))
        .or_else(|| listings::banner(request, seconds))
        .or_else(|| users::banner(request))
        .or_else(|| limits::banner(request))
        .or_else(|| policies::banner(request))
        .or_else(|| parameters::banner(line, request))
        .or_else(|| vhosts::banner(verb, request))
        .or_else(|| queues::banner(verb, request))
        .or_else(|| connections::banner(request))
        .or_else(|| definitions::banner(line, request))
        .or_else(|| logs::banner(request))
        .or_else(|| tls::banner(request))?;
    // The only banner of two lines.
    let lines = match request {
        Request::ListQueues { .. } => 2,
        _ => 1,
    };
    let escaped = banner
        .splitn(lines, '\n')
        .map(|line| escaped(line, Form::Line));
    Some(escaped.collect::<Vec<_>>().join("\n"))
}
