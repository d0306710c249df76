//! The log, for the management page: its last lines, and those that have come since.

use crate::http::error::{ApiError, ApiResult};
use crate::http::list::json;
use crate::http::state::Api;
use crate::manage::access::{Principal, Right};
use crate::plumbing::log::Excerpt;
use axum::extract::{Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Lines in an answer, at most, and how many there are if nobody says.
const MOST_LINES: usize = 1000;
const LINES: usize = 200;
/// Bytes of lines in an answer, at most; a longer line comes alone.
const MOST_BYTES: usize = 256 << 10;

/// Tells this process from the one before a restart, whose lines had the same numbers.
static PROCESS: LazyLock<u32> = LazyLock::new(rand::random);

/// The paths of this file.
pub(super) fn router() -> OpenApiRouter<Api> {
    OpenApiRouter::new().routes(routes!(log))
}

/// Which lines.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct LogQuery {
    /// The last lines, 1 to 1000 (default: 200).
    lines: Option<String>,
    /// Instead, those after an earlier answer, whose `next` this is.
    after: Option<String>,
}

/// Some lines of the log.
#[derive(Debug, Serialize, ToSchema)]
struct LogLines {
    /// The lines, in order: 1000 or 256 KiB at most.
    lines: Vec<String>,
    /// What to ask with, as `after`, for the lines that follow.
    next: String,
    /// How many lines between the earlier answer and these are not in memory any more.
    missed: u64,
}

impl From<Excerpt> for LogLines {
    fn from(excerpt: Excerpt) -> Self {
        LogLines {
            lines: excerpt.lines,
            next: format!("{:08x}-{}", *PROCESS, excerpt.next),
            missed: excerpt.missed,
        }
    }
}

/// The log: the last lines that are in memory, or those since an earlier answer. Leveret's own.
#[utoipa::path(get, path = "/log", params(LogQuery), responses((status = 200, body = LogLines)))]
async fn log(
    principal: Principal,
    State(api): State<Api>,
    Query(query): Query<LogQuery>,
) -> ApiResult<Response> {
    principal.require(Right::Administrator)?;
    let log = &api.context().log;
    let excerpt = match (&query.after, &query.lines) {
        (Some(after), _) => {
            let (process, number) = cursor(after)
                .ok_or_else(|| ApiError::bad_request("after is not the next of an answer"))?;
            let number = if process == *PROCESS { number } else { 0 };
            let since = log.since(number, MOST_LINES, MOST_BYTES);
            since.ok_or_else(|| ApiError::bad_request("after is not the next of an answer"))?
        }
        (None, lines) => log.last(count(lines.as_deref())?, MOST_BYTES),
    };
    json(&LogLines::from(excerpt))
}

fn count(lines: Option<&str>) -> ApiResult<usize> {
    let Some(lines) = lines else { return Ok(LINES) };
    let count = lines.parse().ok();
    let count = count.filter(|count| (1..=MOST_LINES).contains(count));
    count.ok_or_else(|| ApiError::bad_request(format!("lines must be 1 to {MOST_LINES}")))
}

/// Reads a cursor: the process, and the number of its next line.
fn cursor(text: &str) -> Option<(u32, u64)> {
    let (process, number) = text.split_once('-')?;
    let is_process = process.len() == 8;
    let process = u32::from_str_radix(process, 16)
        .ok()
        .filter(|_| is_process)?;
    Some((process, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_one_that_was_answered() {
        let next = LogLines::from(Excerpt {
            lines: Vec::new(),
            next: 7,
            missed: 0,
        });
        assert_eq!(cursor(&next.next), Some((*PROCESS, 7)));
        for wrong in [
            "",
            "7",
            "-7",
            "0000000g-7",
            "1-7",
            "00000000-",
            "00000000--1",
            "00000000-x",
        ] {
            assert_eq!(cursor(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_number_of_lines_has_a_bound() {
        assert_eq!(count(None).unwrap(), LINES);
        assert_eq!(count(Some("1000")).unwrap(), 1000);
        for wrong in ["0", "1001", "-1", "", "x"] {
            assert!(count(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
