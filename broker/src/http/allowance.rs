//! What answers hold while they are sent, memory or threads, bounded in all answers together.
//!
//! Whoever finds none left waits, in turn. An answer whose client does not go on reading gives way to them, the one that
//! has stood still for longest first: its connection breaks off as soon as the client reads again.

use super::error::{ApiError, ApiResult};
use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::{timeout, timeout_at};

/// How long a client that does not read its answer is safe.
const STALLED: Duration = Duration::from_secs(5);
/// How long a request waits for others.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// So much of something, shared by all requests.
#[derive(Clone, Debug)]
pub(super) struct Allowance(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    max: usize,
    holders: Mutex<Holders>,
    /// Notified when something becomes free, or an answer begins that may stand still.
    changed: Notify,
    /// Held by the request whose turn it is.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Holders {
    held: usize,
    by_id: BTreeMap<u64, Holder>,
    last_id: u64,
}

#[derive(Debug)]
struct Holder {
    amount: usize,
    /// When its answer was last read, and the answer; `None` while it is being made.
    answer: Option<(Instant, Weak<Mutex<Option<Body>>>)>,
}

impl Allowance {
    /// Returns an allowance of this size, in any unit.
    pub(super) fn new(max: usize) -> Self {
        Allowance(Arc::new(Shared {
            max,
            holders: Mutex::default(),
            changed: Notify::new(),
            turn: tokio::sync::Mutex::default(),
        }))
    }

    /// Waits for a share. More than there is at all counts as all.
    ///
    /// # Errors
    /// 503 when others read slowly, but do read.
    pub(super) async fn reserve(&self, amount: usize) -> ApiResult<Share> {
        self.reserve_until(Instant::now() + PATIENCE, amount).await
    }

    async fn reserve_until(&self, deadline: Instant, amount: usize) -> ApiResult<Share> {
        let busy = || ApiError::busy("too many large answers at a time: try again");
        let amount = amount.min(self.0.max);
        let turn = timeout_at(deadline.into(), self.0.turn.lock()).await;
        let _turn = turn.map_err(|_| busy())?;
        loop {
            let now = Instant::now();
            let wait = match self.try_reserve(amount, now) {
                Ok(share) => return Ok(share),
                Err(_) if now >= deadline => return Err(busy()),
                Err(wait) => wait.min(deadline - now),
            };
            // Woken or not, look again.
            let _ = timeout(wait, self.0.changed.notified()).await;
        }
    }

    /// Returns a share; or else how long to wait, unless something changes, until there may be one.
    fn try_reserve(&self, amount: usize, now: Instant) -> Result<Share, Duration> {
        let mut holders = self.0.holders.lock();
        // Dropped after the lock is released: they may be large.
        let mut given_way = Vec::new();
        while holders.held + amount > self.0.max {
            let stalled = holders.by_id.iter().filter_map(|(id, holder)| {
                let (since, answer) = holder.answer.as_ref()?;
                Some((*since, *id, answer.clone()))
            });
            let Some((since, id, answer)) = stalled.min_by_key(|(since, id, _)| (*since, *id))
            else {
                return Err(PATIENCE);
            };
            if since + STALLED > now {
                return Err(since + STALLED - now);
            }
            if let Some(holder) = holders.by_id.remove(&id) {
                holders.held -= holder.amount;
            }
            given_way.push(answer);
        }
        holders.held += amount;
        holders.last_id += 1;
        let id = holders.last_id;
        let holder = Holder {
            amount,
            answer: None,
        };
        holders.by_id.insert(id, holder);
        drop(holders);
        for answer in given_way.iter().filter_map(Weak::upgrade) {
            drop(answer.lock().take());
        }
        Ok(Share {
            shared: self.0.clone(),
            id,
        })
    }
}

/// What one request holds, until this is dropped or has given way.
#[derive(Debug)]
pub(super) struct Share {
    shared: Arc<Shared>,
    id: u64,
}

impl Share {
    /// Keeps no more than this.
    pub(super) fn keep(&self, amount: usize) {
        let mut holders = self.shared.holders.lock();
        let Holders { held, by_id, .. } = &mut *holders;
        if let Some(holder) = by_id.get_mut(&self.id) {
            *held -= holder.amount.saturating_sub(amount);
            holder.amount = holder.amount.min(amount);
        }
        drop(holders);
        self.shared.changed.notify_one();
    }

    /// Returns a body that holds the share while it is sent.
    pub(super) fn send(self, body: Body) -> Body {
        let body = Arc::new(Mutex::new(Some(body)));
        self.read(Arc::downgrade(&body));
        self.shared.changed.notify_one();
        Body::new(Sent { body, share: self })
    }

    fn read(&self, answer: Weak<Mutex<Option<Body>>>) {
        if let Some(holder) = self.shared.holders.lock().by_id.get_mut(&self.id) {
            holder.answer = Some((Instant::now(), answer));
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut holders = self.shared.holders.lock();
        if let Some(holder) = holders.by_id.remove(&self.id) {
            holders.held -= holder.amount;
        }
        drop(holders);
        self.shared.changed.notify_one();
    }
}

/// A body that has a share.
struct Sent {
    /// `None` after it gave way to others.
    body: Arc<Mutex<Option<Body>>>,
    share: Share,
}

impl HttpBody for Sent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.body.lock();
        let Some(open) = &mut *body else {
            let gave_way = io::Error::other("the answer was not read, and others needed its place");
            return Poll::Ready(Some(Err(axum::Error::new(gave_way))));
        };
        let polled = Pin::new(open).poll_frame(context);
        drop(body);
        // Whether there is something or not, the client has room for it.
        self.share.read(Arc::downgrade(&self.body));
        polled
    }

    fn is_end_stream(&self) -> bool {
        let body = self.body.lock();
        body.as_ref().is_some_and(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        let body = self.body.lock();
        body.as_ref()
            .map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[tokio::test]
    async fn who_has_not_read_for_longest_gives_way() {
        let allowance = Allowance::new(4);
        let now = Instant::now();
        let made = allowance.try_reserve(2, now).unwrap();
        let first = allowance.try_reserve(1, now).unwrap();
        let mut first = first.send(Body::from("first"));
        let second = allowance.try_reserve(1, now).unwrap();
        let mut second = second.send(Body::from_stream(chunks()));
        let third = second.frame().await.unwrap();
        assert_eq!(third.unwrap().into_data().unwrap(), "chunk");
        let wait = allowance.try_reserve(1, Instant::now()).unwrap_err();
        assert!(wait <= STALLED);
        let later = Instant::now() + STALLED;
        let _next = allowance.try_reserve(1, later).unwrap();
        assert!(first.frame().await.unwrap().is_err(), "it gave way");
        assert!(second.frame().await.unwrap().is_ok());
        // Its answer is not there yet: the client is not to blame.
        let _others = allowance.try_reserve(1, later + STALLED).unwrap();
        assert_eq!(
            allowance.try_reserve(1, later + STALLED).unwrap_err(),
            PATIENCE
        );
        made.keep(1);
        made.keep(2);
        let share = allowance.try_reserve(1, now).unwrap();
        drop((made, share));
        assert_eq!(allowance.0.holders.lock().held, 2);
    }

    fn chunks() -> impl futures_core::Stream<Item = io::Result<Bytes>> + Send + 'static {
        let chunks = std::iter::repeat_with(|| Ok(Bytes::from("chunk")));
        super::super::chunks::Chunks::new(chunks)
    }

    #[tokio::test]
    async fn who_waits_has_its_turn_or_is_told() {
        let allowance = Allowance::new(2);
        let one = allowance.reserve(1).await.unwrap();
        let soon = Instant::now() + Duration::from_millis(1);
        let refused = allowance.reserve_until(soon, 9).await.unwrap_err();
        let reason = refused.reason().as_str();
        assert_eq!(reason, Some("too many large answers at a time: try again"));
        let waiting = tokio::spawn({
            let allowance = allowance.clone();
            async move { allowance.reserve(9).await }
        });
        tokio::task::yield_now().await;
        drop(one);
        assert!(waiting.await.unwrap().is_ok());
    }
}
