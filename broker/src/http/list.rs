//! Lists: filtered, sorted, cut into pages, reduced to columns (`rabbit_mgmt_util`), and streamed.

use super::chunks::Chunks;
use super::effort::Effort;
use super::error::{ApiError, ApiResult};
use super::row::{compare, row, select, sort_key, to_value};
use super::state::Api;
use crate::manage::objects::Rates;
use crate::manage::statistics::{Ranges, Rounding};
use crate::text::pattern::{Filter, FilterTooSlow};
use axum::body::Body;
use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::convert::Infallible;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};
use utoipa::IntoParams;

/// RabbitMQ's default.
const DEFAULT_PAGE_SIZE: usize = 100;
/// RabbitMQ's maximum.
const MAX_PAGE_SIZE: usize = 500;
/// The length of a regular expression at most; RabbitMQ's.
const MAX_FILTER_LENGTH: usize = 1024;
/// The rows of a list that is made at once, not apart.
const SHORT: usize = 100;
/// The rows that are written at a time, if they are small.
const ROWS_PER_CHUNK: usize = 64;
/// Bytes after which no further row is written at a time.
const CHUNK: usize = 256 << 10;

/// The query parameters of a list.
#[derive(Clone, Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ListQuery {
    /// Which page, from 1. Without it the whole list is returned, and `name` does not filter.
    page: Option<String>,
    /// Rows per page, 1 to 500 (default: 100).
    page_size: Option<String>,
    /// Only rows whose name contains this text, whatever its case.
    name: Option<String>,
    /// `true`: `name` is a regular expression.
    use_regex: Option<String>,
    /// The key to sort by, with dots for keys of objects in it: `message_stats.publish_details.rate`.
    sort: Option<String>,
    /// `true`: in descending order.
    sort_reverse: Option<String>,
    /// The keys to return, separated by commas, with dots for keys of objects in them.
    columns: Option<String>,
    /// `true`: without statistics, which makes large lists cheaper.
    disable_stats: Option<String>,
    /// `true`: with the numbers of messages in spite of `disable_stats`.
    enable_queue_totals: Option<String>,
    /// Samples of numbers of messages: how many seconds back.
    lengths_age: Option<String>,
    /// Seconds between two of these samples.
    lengths_incr: Option<String>,
    /// Samples of what happens to messages: how many seconds back.
    msg_rates_age: Option<String>,
    /// Seconds between two of these samples.
    msg_rates_incr: Option<String>,
    /// Samples of the bytes of connections: how many seconds back.
    data_rates_age: Option<String>,
    /// Seconds between two of these samples.
    data_rates_incr: Option<String>,
    /// Samples of the node's figures: how many seconds back.
    node_stats_age: Option<String>,
    /// Seconds between two of these samples.
    node_stats_incr: Option<String>,
    /// What the answer may cost.
    #[serde(skip)]
    #[param(ignore)]
    effort: Effort,
}

impl FromRequestParts<Api> for ListQuery {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> ApiResult<Self> {
        match Query::from_request_parts(parts, api).await {
            Ok(Query(query)) => Ok(ListQuery {
                effort: api.effort().clone(),
                ..query
            }),
            Err(error) => Err(ApiError::bad_request(error.body_text())),
        }
    }
}

/// A page of a list.
#[derive(Debug, Serialize)]
struct Page {
    total_count: usize,
    item_count: usize,
    filtered_count: usize,
    page: usize,
    page_size: usize,
    page_count: usize,
    items: Vec<Value>,
}

impl ListQuery {
    /// Returns whether statistics are left out.
    pub fn disable_stats(&self) -> bool {
        self.disable_stats.as_deref() == Some("true")
    }

    /// Returns whether the numbers of messages are returned without statistics, too.
    pub fn enable_queue_totals(&self) -> bool {
        self.enable_queue_totals.as_deref() == Some("true")
    }

    /// Returns how counters are shown; `None` without statistics.
    ///
    /// # Errors
    /// 400 for a range that makes no sense.
    pub fn rates(&self) -> ApiResult<Option<Rates>> {
        if self.disable_stats() {
            return Ok(None);
        }
        let parameter = |name: &str| match name {
            "lengths_age" => self.lengths_age.as_deref(),
            "lengths_incr" => self.lengths_incr.as_deref(),
            "msg_rates_age" => self.msg_rates_age.as_deref(),
            "msg_rates_incr" => self.msg_rates_incr.as_deref(),
            "data_rates_age" => self.data_rates_age.as_deref(),
            "data_rates_incr" => self.data_rates_incr.as_deref(),
            "node_stats_age" => self.node_stats_age.as_deref(),
            "node_stats_incr" => self.node_stats_incr.as_deref(),
            _ => None,
        };
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
        let ranges = Ranges::of_query(parameter, now, Rounding::Up)
            .map_err(|error| ApiError::bad_request(error.to_string()))?;
        Ok(Some(Rates { ranges }))
    }

    /// Returns the query of a list that RabbitMQ has no pages of: it is always returned whole.
    pub fn whole(&self) -> Self {
        ListQuery {
            page: None,
            page_size: None,
            ..self.clone()
        }
    }

    /// Answers with a single object, reduced to the chosen columns.
    ///
    /// # Errors
    /// 500 if it cannot be written as JSON.
    pub fn one(&self, object: impl Serialize) -> ApiResult<Response> {
        match self.columns() {
            None => json(&object),
            Some(columns) => json(&select(to_value(&object)?, &columns)),
        }
    }

    /// Answers with a list. `items` are in their default order; `name` returns what the filter looks at, and
    /// `describe` the row of an item. Without a page the list is streamed; what it holds meanwhile counts as much as twice
    /// its text.
    ///
    /// # Errors
    /// 400 for a page that does not exist or an invalid filter, 503 when other answers have all the memory.
    pub async fn respond<T, D>(
        &self,
        items: Vec<T>,
        name: impl Fn(&T) -> &str + Send + 'static,
        describe: impl Fn(&T) -> D + Send + 'static,
    ) -> ApiResult<Response>
    where
        T: Send + 'static,
        D: Serialize,
    {
        let (query, is_short) = (self.clone(), items.len() <= SHORT);
        let make = move || {
            let weight: ApiResult<usize> = items.iter().map(|item| length(&describe(item))).sum();
            query.make(items, 2 * weight?, name, |_, _| None, describe)
        };
        match is_short {
            true => self.effort.short_list(make).await,
            false => self.effort.list(make).await,
        }
    }

    /// Like [`ListQuery::respond`], for items that are no more than references; `collect` returns them.
    ///
    /// # Errors
    /// The same.
    pub async fn respond_with<T, D>(
        &self,
        collect: impl FnOnce() -> Vec<T> + Send + 'static,
        name: impl Fn(&T) -> &str + Send + 'static,
        describe: impl Fn(&T) -> D + Send + 'static,
    ) -> ApiResult<Response>
    where
        T: Send + 'static,
        D: Serialize,
    {
        self.respond_by(collect, name, |_, _| None, describe).await
    }

    /// Like [`ListQuery::respond_with`], for lists that are long and often asked for: `key` returns the value at a path of
    /// an item's row without describing all of it, if it knows a way.
    ///
    /// # Errors
    /// The same.
    pub async fn respond_by<T, D>(
        &self,
        collect: impl FnOnce() -> Vec<T> + Send + 'static,
        name: impl Fn(&T) -> &str + Send + 'static,
        key: impl Fn(&T, &[&str]) -> Option<Value> + Send + 'static,
        describe: impl Fn(&T) -> D + Send + 'static,
    ) -> ApiResult<Response>
    where
        T: Send + 'static,
        D: Serialize,
    {
        let query = self.clone();
        let make = move || {
            let items = collect();
            let weight = items.len() * size_of::<T>();
            query.make(items, weight, name, key, describe)
        };
        self.effort.list(make).await
    }

    /// Returns the answer, and the bytes that it takes until it is sent if that takes `weight` for the whole list.
    fn make<T, D>(
        &self,
        mut items: Vec<T>,
        weight: usize,
        name: impl Fn(&T) -> &str,
        key: impl Fn(&T, &[&str]) -> Option<Value>,
        describe: impl Fn(&T) -> D + Send + 'static,
    ) -> ApiResult<(Response, usize)>
    where
        T: Send + 'static,
        D: Serialize,
    {
        let paging = self.paging()?;
        let total_count = items.len();
        if paging.is_some() {
            self.filter(&mut items, name)?;
        }
        self.sort(&mut items, key, &describe)?;
        let columns = self.columns();
        let Some((page, page_size)) = paging else {
            return Ok((stream(items, columns, describe), weight));
        };
        let filtered_count = items.len();
        let skipped = (page - 1).saturating_mul(page_size);
        if skipped > filtered_count {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "page_out_of_range",
                format!(
                    "Page out of range, page: {page} page size: {page_size}, len: {filtered_count}"
                ),
            ));
        }
        let rows = items.iter().skip(skipped).take(page_size);
        let items = rows
            .map(|item| row(&describe(item), columns.as_deref()))
            .collect::<ApiResult<Vec<_>>>()?;
        let page = to_json(&Page {
            total_count,
            item_count: items.len(),
            filtered_count,
            page,
            page_size,
            page_count: filtered_count.div_ceil(page_size),
            items,
        })?;
        let bytes = page.len();
        Ok((with_type(Body::from(page)), bytes))
    }

    /// Returns page and page size, if a page is asked for.
    fn paging(&self) -> ApiResult<Option<(usize, usize)>> {
        let invalid = || {
            let reason = "Pagination parameters are invalid";
            ApiError::new(StatusCode::BAD_REQUEST, "bad_request", reason)
        };
        let number = |text: &Option<String>| match text {
            None => Ok(None),
            Some(text) => text.parse::<i64>().map(Some).map_err(|_| invalid()),
        };
        let (page, size) = (number(&self.page)?, number(&self.page_size)?);
        let Some(page) = page else {
            return Ok(None);
        };
        let size = size.unwrap_or(DEFAULT_PAGE_SIZE as i64);
        match (usize::try_from(page), usize::try_from(size)) {
            (Ok(page @ 1..), Ok(size @ 1..=MAX_PAGE_SIZE)) => Ok(Some((page, size))),
            _ => Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "invalid_pagination_parameters",
                format!("Invalid pagination parameters: page number {page}, page size {size}"),
            )),
        }
    }

    fn filter<T>(&self, items: &mut Vec<T>, name: impl Fn(&T) -> &str) -> ApiResult<()> {
        let Some(wanted) = self.name.as_deref().filter(|wanted| !wanted.is_empty()) else {
            return Ok(());
        };
        if self.use_regex.as_deref() == Some("true") {
            let Some(filter) = regex(wanted)? else {
                items.clear();
                return Ok(());
            };
            let mut complete = Ok(());
            items.retain(|item| {
                let accepted = complete.and_then(|()| filter.accepts(name(item)));
                accepted.unwrap_or_else(|slow: FilterTooSlow| {
                    complete = Err(slow);
                    false
                })
            });
            complete.map_err(|slow| invalid_filter(&slow.to_string()))?;
        } else {
            let wanted = wanted.to_lowercase();
            items.retain(|item| name(item).to_lowercase().contains(&wanted));
        }
        Ok(())
    }

    fn sort<T, D: Serialize>(
        &self,
        items: &mut Vec<T>,
        key: impl Fn(&T, &[&str]) -> Option<Value>,
        describe: impl Fn(&T) -> D,
    ) -> ApiResult<()> {
        if let Some(path) = self.sort.as_deref().filter(|path| !path.is_empty()) {
            let keys: Vec<&str> = path.split('.').filter(|key| !key.is_empty()).collect();
            let mut keyed = Vec::with_capacity(items.len());
            for item in items.drain(..) {
                let key = match key(&item, &keys) {
                    Some(key) => key,
                    None => sort_key(to_value(&describe(&item))?, &keys),
                };
                keyed.push((key, item));
            }
            keyed.sort_by(|(a, _), (b, _)| compare(a, b));
            items.extend(keyed.into_iter().map(|(_, item)| item));
        }
        if self.sort_reverse.as_deref() == Some("true") {
            items.reverse();
        }
        Ok(())
    }

    /// Returns whether a key of a row matters: it is returned, as a whole or in part, or sorted by.
    pub fn needs(&self, key: &str) -> bool {
        let sort = self.sort.as_deref().unwrap_or_default();
        if sort.split('.').find(|key| !key.is_empty()) == Some(key) {
            return true;
        }
        self.columns().is_none_or(|columns| {
            let mut shown = columns.iter().filter_map(|path| path.first());
            shown.any(|shown| shown == key)
        })
    }

    /// Returns the paths of the chosen columns.
    fn columns(&self) -> Option<Vec<Vec<String>>> {
        let columns = self.columns.as_deref()?;
        let path = |column: &str| {
            let keys = column.split('.').filter(|key| !key.is_empty());
            keys.map(str::to_owned).collect()
        };
        let columns = columns.split(',').filter(|column| !column.is_empty());
        Some(columns.map(path).collect())
    }
}

/// Compiles a filter; `None` for one that does not compile and matches nothing, as in RabbitMQ.
fn regex(pattern: &str) -> ApiResult<Option<Filter>> {
    if pattern.len() > MAX_FILTER_LENGTH {
        return Err(invalid_filter("name filter regex is too long"));
    }
    Ok(Filter::compile(pattern, true).ok())
}

fn invalid_filter(reason: &str) -> ApiError {
    let error = "invalid_pagination_parameters";
    ApiError::new(StatusCode::BAD_REQUEST, error, reason)
}

/// Answers with an object.
pub fn json(object: &impl Serialize) -> ApiResult<Response> {
    Ok(with_type(Body::from(to_json(object)?)))
}

fn to_json(object: &impl Serialize) -> ApiResult<Vec<u8>> {
    serde_json::to_vec(object).map_err(|error| ApiError::internal(error.to_string()))
}

/// Returns the length of a value's JSON in bytes.
fn length(object: &impl Serialize) -> ApiResult<usize> {
    struct Length(usize);
    impl io::Write for Length {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut length = Length(0);
    let written = serde_json::to_writer(&mut length, object);
    written.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(length.0)
}

fn with_type(body: Body) -> Response {
    let kind = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, kind)], body).into_response()
}

/// Answers with a list that is written while it is sent.
pub(super) fn stream<T, D>(
    items: Vec<T>,
    columns: Option<Vec<Vec<String>>>,
    describe: impl Fn(&T) -> D + Send + 'static,
) -> Response
where
    T: Send + 'static,
    D: Serialize,
{
    let mut items = items.into_iter().peekable();
    let mut first = true;
    let mut ended = false;
    let chunks = std::iter::from_fn(move || {
        if ended {
            return None;
        }
        let mut chunk = Vec::new();
        for item in items.by_ref().take(ROWS_PER_CHUNK) {
            chunk.push(if first { b'[' } else { b',' });
            first = false;
            let start = chunk.len();
            let written = match &columns {
                None => serde_json::to_writer(&mut chunk, &describe(&item)),
                Some(columns) => serde_json::to_value(describe(&item))
                    .and_then(|row| serde_json::to_writer(&mut chunk, &select(row, columns))),
            };
            if let Err(error) = written {
                // The status is sent: the row stays a hole that every client can read.
                tracing::error!(%error, "cannot write a row of an HTTP response");
                chunk.truncate(start);
                chunk.extend_from_slice(b"{}");
            }
            if chunk.len() >= CHUNK {
                break;
            }
        }
        if items.peek().is_none() {
            ended = true;
            chunk.extend_from_slice(if first { b"[]" } else { b"]" });
        }
        Some(Ok::<_, Infallible>(Bytes::from(chunk)))
    });
    with_type(Body::from_stream(Chunks::new(chunks)))
}
#[cfg(test)]
mod tests {
    use super::*;

    fn filtered(pattern: &str, name: &str, count: usize) -> ApiResult<usize> {
        let query = ListQuery {
            page: Some("1".to_owned()),
            name: Some(pattern.to_owned()),
            use_regex: Some("true".to_owned()),
            ..ListQuery::default()
        };
        let mut items = vec![name; count];
        query.filter(&mut items, |name| name)?;
        Ok(items.len())
    }

    #[test]
    fn what_is_neither_shown_nor_sorted_by_does_not_matter() {
        let query = |sort: &str, columns: Option<&str>| ListQuery {
            sort: Some(sort.to_owned()),
            columns: columns.map(str::to_owned),
            ..ListQuery::default()
        };
        let columns = Some("name,message_stats.publish");
        assert!(query("", None).needs("messages_details"));
        assert!(!query("", columns).needs("messages_details"));
        assert!(query("", columns).needs("message_stats"));
        assert!(query(".messages_details.rate", columns).needs("messages_details"));
        assert!(query("name", Some("")).needs("name"));
        assert!(!query("name", Some("")).needs("vhost"));
    }

    #[test]
    fn rows_are_sorted_in_the_same_way_with_and_without_a_short_cut() {
        let query = ListQuery {
            sort: Some("a.b".to_owned()),
            sort_reverse: Some("true".to_owned()),
            ..ListQuery::default()
        };
        let row = |n: &i32| serde_json::json!({"a": {"b": n % 7}, "n": n});
        let sorted = |key: &dyn Fn(&i32, &[&str]) -> Option<Value>| {
            let mut items: Vec<i32> = (0..100).collect();
            query.sort(&mut items, key, row).unwrap();
            items
        };
        let known = sorted(&|n, path| (path == ["a", "b"]).then(|| (n % 7).into()));
        assert_eq!(known, sorted(&|_, _| None));
    }

    #[test]
    fn a_costly_filter_of_many_names_is_refused_soon() {
        let name = "a".repeat(255);
        assert_eq!(filtered("A", &name, 3).unwrap(), 3);
        assert_eq!(filtered("(", &name, 3).unwrap(), 0);
        let before = std::time::Instant::now();
        let refused = filtered(r"(a*)*\1b", &name, 1_000_000).unwrap_err();
        assert_eq!(refused.into_response().status(), StatusCode::BAD_REQUEST);
        assert!(before.elapsed().as_secs() < 10);
    }
}
