//! What a verb does, and the answers of verbs that are more than one request and its listing.

use serde_json::{Value as Json, json};

use crate::manage::request::{Request, Response};
use crate::manage::status::Status;
use crate::manage::value::Row;

use super::exit;
use super::options::CommandLine;
use super::request::Invalid;

/// What a verb does.
#[derive(Clone, Copy)]
pub(super) enum Action {
    /// Its theme in `commands/` makes a request, and the response is shown as that kind of response
    /// always is.
    Themed,
    /// Asks the broker, and shows what the verb makes of the response.
    Ask(Ask),
    /// Needs no broker.
    Local(fn(&CommandLine) -> Result<Answer, Invalid>),
    /// Does nothing here: says why in one line, and ends with this status.
    Nothing(u8, &'static str),
    /// Handled in `run.rs`: help, version, and verbs that run other verbs or wait.
    Special,
}

/// A request with a rendering of its own.
#[derive(Clone, Copy)]
pub(super) struct Ask {
    /// The request of a command line.
    pub(super) request: fn(&CommandLine) -> Result<Request, Invalid>,
    /// The line that announces it; none if empty.
    pub(super) banner: fn(&CommandLine) -> String,
    /// What is shown.
    pub(super) answer: fn(&Reply, &CommandLine) -> Answer,
}

/// The request of verbs that show a part of the broker's status.
pub(super) fn status(_: &CommandLine) -> Result<Request, Invalid> {
    Ok(Request::Status)
}

/// The request of verbs that show whether the application runs.
pub(super) fn running(_: &CommandLine) -> Result<Request, Invalid> {
    Ok(Request::IsRunning)
}

/// What the broker replied, with the rows of all its lines.
#[derive(Debug, Default)]
pub(super) struct Reply {
    /// The rows of a listing.
    pub(super) rows: Vec<Row>,
    /// A text.
    pub(super) text: String,
    /// The application is stopped, which is what [`running`] asks for.
    pub(super) is_stopped: bool,
    status: Option<Box<Status>>,
}

impl Reply {
    /// Takes another response; returns false if it is none of a reply's.
    pub(super) fn take(&mut self, response: Response) -> bool {
        match response {
            Response::Rows(rows) => self.rows.extend(rows),
            Response::Text(text) => self.text = text,
            Response::Status(status) => self.status = Some(status),
            Response::Ok => {}
            _ => return false,
        }
        true
    }

    /// Returns the answer that is made of a status. Brokers of this version send one if asked for it.
    pub(super) fn of_status(&self, answer: impl Fn(&Status) -> Answer) -> Answer {
        match &self.status {
            Some(status) => answer(status),
            None => Answer::failed("Error:\nthe broker sent no status"),
        }
    }
}

/// What is printed, in a format that suits everybody, and in JSON.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) body: Body,
    pub(super) json: Json,
    /// The exit status. Unless it is 0, the answer goes to stderr.
    pub(super) status: u8,
}

/// The answer in other formats than JSON.
#[derive(Debug)]
pub(super) enum Body {
    Nothing,
    /// Lines, without the last line feed.
    Text(String),
    /// A listing.
    Rows {
        columns: Vec<&'static str>,
        rows: Vec<Row>,
        /// Whether it has borders unless another format is asked for.
        bordered: bool,
    },
}

impl Answer {
    /// A text that is the `message` of the JSON object.
    pub(super) fn message(text: impl Into<String>) -> Self {
        let text = text.into();
        Answer {
            json: json!({ "message": text }),
            body: Body::Text(text),
            status: exit::OK,
        }
    }

    /// A text that is the `value` of the JSON object.
    pub(super) fn value(text: impl Into<String>) -> Self {
        let text = text.into();
        let json = json!({ "result": "ok", "value": text });
        Answer::message(text).with_json(json)
    }

    /// Nothing, or in JSON that it went well.
    pub(super) fn done() -> Self {
        Answer {
            body: Body::Nothing,
            json: json!({ "result": "ok" }),
            status: exit::OK,
        }
    }

    /// A listing.
    pub(super) fn rows(columns: Vec<&'static str>, rows: Vec<Row>) -> Self {
        let bordered = false;
        Answer {
            body: Body::Rows {
                columns,
                rows,
                bordered,
            },
            ..Answer::done()
        }
    }

    /// A listing with borders unless another format is asked for.
    pub(super) fn bordered(columns: Vec<&'static str>, rows: Vec<Row>) -> Self {
        let bordered = true;
        Answer {
            body: Body::Rows {
                columns,
                rows,
                bordered,
            },
            ..Answer::done()
        }
    }

    /// A check that failed, or what cannot be done.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        let text = text.into();
        let json = json!({ "result": "error", "message": text });
        Answer {
            status: exit::UNAVAILABLE,
            ..Answer::message(text).with_json(json)
        }
    }

    pub(super) fn with_json(mut self, json: Json) -> Self {
        self.json = json;
        self
    }

    pub(super) fn with_status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// Returns the answer of a check, which `--silent` leaves to the exit status.
    pub(super) fn unless_silent(mut self, line: &CommandLine) -> Self {
        if line.has("silent") {
            self.body = Body::Nothing;
        }
        self
    }
}
