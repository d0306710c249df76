//! Changes of the log: its level, and its file.

use super::operations::{OperationResult, Operations};
use super::request::{ErrorKind, Request, Response};
use crate::config::LogFilter;

impl Operations {
    /// Performs a request about the log; returns any other request unchanged.
    pub(super) fn log_operation(&mut self, request: Request) -> Result<OperationResult, Request> {
        let log = &self.context.log;
        let done = match request {
            Request::SetLogLevel { level } => {
                let filter = level.parse::<LogFilter>();
                filter.map(|filter| log.set_filter(&filter))
            }
            Request::RotateLogs => log.rotate().map_err(|error| error.to_string()),
            other => return Err(other),
        };
        Ok(match done {
            Ok(()) => Ok(Response::Ok),
            Err(reason) => Err(Response::refused_because(ErrorKind::Refused, reason)),
        })
    }
}
