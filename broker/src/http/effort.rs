//! What answers may cost all together: lists are made by few threads, and hold a bounded amount of memory.

use super::allowance::{Allowance, PATIENCE};
use super::error::{ApiError, ApiResult};
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What takes long is done for so many requests at a time.
const TURNS: usize = 2;
/// Lists that are made or wait for memory at a time.
const LISTS: usize = 8;
/// Bytes of answers on their way to clients.
const ALL_ANSWERS: usize = 64 << 20;
/// The size up to which an answer does not count.
const SMALL: usize = 32 << 10;

/// Threads and memory for answers, shared by all requests.
#[derive(Clone, Debug)]
pub(super) struct Effort {
    turns: Arc<Semaphore>,
    lists: Arc<Semaphore>,
    memory: Allowance,
    /// How long a request waits for others.
    patience: Duration,
}

impl Default for Effort {
    fn default() -> Self {
        Effort {
            turns: Arc::new(Semaphore::new(TURNS)),
            lists: Arc::new(Semaphore::new(LISTS)),
            memory: Allowance::new(ALL_ANSWERS),
            patience: PATIENCE,
        }
    }
}

/// An answer whose memory is reserved.
#[derive(Clone, Copy, Debug)]
struct Reserved;

impl Effort {
    /// Does what takes long, apart from the threads that serve connections.
    ///
    /// # Errors
    /// 503 when others take too long, 500 if it panics.
    pub(super) async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> ApiResult<T> {
        let turn = self.soon(self.turns.clone().acquire_owned()).await?;
        let work = move || {
            // Here, and not in the future: a client that hangs up ends that, but not the work.
            let _turn = turn;
            work()
        };
        let done = tokio::task::spawn_blocking(work).await;
        done.map_err(|error| ApiError::internal(error.to_string()))
    }

    /// Makes a list apart, which takes the returned number of bytes until it is sent.
    ///
    /// # Errors
    /// Those of `make`, and 503 when other answers take too long, or have all the memory.
    pub(super) async fn list(
        &self,
        make: impl FnOnce() -> ApiResult<(Response, usize)> + Send + 'static,
    ) -> ApiResult<Response> {
        let _made = self.soon(self.lists.acquire()).await?;
        let (response, bytes) = self.apart(make).await??;
        self.reserve(response, bytes).await
    }

    /// Waits for what others have, but not for ever.
    async fn soon<T>(&self, free: impl Future<Output = T>) -> ApiResult<T> {
        let free = timeout(self.patience, free).await;
        free.map_err(|_| ApiError::busy("too many large requests at a time: try again"))
    }

    /// Like [`Effort::list`], for one that takes no time.
    ///
    /// # Errors
    /// The same.
    pub(super) async fn short_list(
        &self,
        make: impl FnOnce() -> ApiResult<(Response, usize)>,
    ) -> ApiResult<Response> {
        let (response, bytes) = make()?;
        self.reserve(response, bytes).await
    }

    async fn reserve(&self, mut response: Response, bytes: usize) -> ApiResult<Response> {
        response.extensions_mut().insert(Reserved);
        if bytes <= SMALL {
            return Ok(response);
        }
        let share = self.memory.reserve(bytes).await?;
        Ok(response.map(|body| share.send(body)))
    }

    /// Reserves memory for answers whose size is known.
    pub(super) async fn bound(
        State(effort): State<Effort>,
        request: Request,
        next: Next,
    ) -> Response {
        let response = next.run(request).await;
        let size = response.body().size_hint().exact();
        match size.and_then(|size| usize::try_from(size).ok()) {
            Some(bytes) if response.extensions().get::<Reserved>().is_none() => {
                let reserved = effort.reserve(response, bytes).await;
                reserved.unwrap_or_else(IntoResponse::into_response)
            }
            _ => response,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn work_that_its_client_no_longer_waits_for_keeps_its_turn() {
        let effort = Effort::default();
        let (go_on, waits) = mpsc::channel::<()>();
        let (begins, begun) = tokio::sync::oneshot::channel();
        let request = tokio::spawn({
            let effort = effort.clone();
            async move {
                let work = move || {
                    begins.send(()).unwrap();
                    let _ = waits.recv();
                };
                effort.apart(work).await.unwrap_or_default();
            }
        });
        begun.await.unwrap();
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        assert_eq!(effort.turns.available_permits(), TURNS - 1);
        drop(go_on);
        let all = effort.turns.acquire_many(TURNS as u32);
        assert!(timeout(PATIENCE, all).await.is_ok());
    }

    #[tokio::test]
    async fn a_list_does_not_wait_for_others_for_ever() {
        let effort = Effort {
            patience: Duration::from_millis(10),
            ..Effort::default()
        };
        let others = effort.lists.acquire_many(LISTS as u32).await;
        let list = effort.list(|| Ok((Response::default(), 0)));
        let answer = timeout(PATIENCE, list).await.unwrap();
        let refused = answer.unwrap_err().reason().clone();
        let reason = "too many large requests at a time: try again";
        assert_eq!(refused.as_str(), Some(reason));
        drop(others);
        let list = effort.list(|| Ok((Response::default(), 0)));
        assert!(list.await.is_ok());
    }
}
