//! What extractors and handlers work on: the broker, and what all requests share.
//!
//! How an operation is awaited and how much all requests may take together belongs here; what a path does, and how a
//! request is read, does not.

use super::allowance::Allowance;
use super::effort::Effort;
use super::error::{ApiError, ApiResult};
use super::session::Sessions;
use crate::domain::broker::Broker;
use crate::domain::operations::Caller;
use crate::domain::vhost::Vhost;
use crate::engine::queue::Effects;
use crate::manage::AdminContext;
use crate::manage::access::{NoVhost, Principal};
use crate::manage::audit::Change;
use crate::manage::metrics::Scraper;
use crate::manage::perform::Refusal;
use crate::manage::request::{Request, Response};
use axum::extract::FromRef;
use leveret_protocol::AmqpError;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Operations performed at a time; further ones wait. Each may wait for the disk on a thread of its own.
const OPERATIONS: usize = 16;
/// Definition files written at a time, each by a thread that waits for its reader.
const EXPORTS: usize = 4;
/// Bytes of bodies in memory at a time, in all requests together.
const ALL_BODIES: usize = 128 << 20;
/// Bytes of messages in one answer; RabbitMQ has no limit.
pub(super) const ANSWER_MAX: u32 = 64 << 20;
/// Bytes of messages in all answers at a time.
const ALL_ANSWERS: usize = 2 * ANSWER_MAX as usize;

/// The memory for request bodies, shared by all requests.
#[derive(Clone, Debug)]
pub(super) struct BodyMemory(Arc<Semaphore>);

impl Default for BodyMemory {
    fn default() -> Self {
        BodyMemory(Arc::new(Semaphore::new(ALL_BODIES)))
    }
}

impl BodyMemory {
    /// Takes memory for this many bytes.
    ///
    /// # Errors
    /// 503 when other requests have it.
    pub(super) fn reserve(&self, bytes: u32) -> ApiResult<OwnedSemaphorePermit> {
        let memory = self.0.clone().try_acquire_many_owned(bytes);
        memory.map_err(|_| ApiError::busy("too many large requests at a time: try again"))
    }
}

/// What handlers work on.
#[derive(Clone)]
pub struct Api {
    context: AdminContext,
    body_memory: BodyMemory,
    scraper: Scraper,
    operations: Arc<Semaphore>,
    effort: Effort,
    answer_memory: Allowance,
    imports: Arc<Semaphore>,
    exports: Allowance,
    sessions: Arc<Sessions>,
}

impl Api {
    /// Returns the state of the API of a broker.
    pub fn new(context: AdminContext) -> Self {
        let minutes = context.config.management_login_session_timeout;
        let lifetime = Duration::from_secs(60) * minutes;
        Api {
            sessions: Arc::new(Sessions::new(lifetime)),
            scraper: Scraper::new(context.clone()),
            context,
            body_memory: BodyMemory::default(),
            operations: Arc::new(Semaphore::new(OPERATIONS)),
            effort: Effort::default(),
            answer_memory: Allowance::new(ALL_ANSWERS),
            imports: Arc::new(Semaphore::new(1)),
            exports: Allowance::new(EXPORTS),
        }
    }

    /// Returns the broker.
    pub fn broker(&self) -> &Arc<Broker> {
        &self.context.broker
    }

    /// Returns the broker and its process.
    pub fn context(&self) -> &AdminContext {
        &self.context
    }

    pub(super) fn body_memory(&self) -> &BodyMemory {
        &self.body_memory
    }

    pub(super) fn answer_memory(&self) -> &Allowance {
        &self.answer_memory
    }

    /// Returns the turn of definition files on their way in.
    pub(super) fn imports(&self) -> &Arc<Semaphore> {
        &self.imports
    }

    /// Returns the turns of definition files on their way out.
    pub(super) fn exports(&self) -> &Allowance {
        &self.exports
    }

    /// Returns who has signed in to the management page.
    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// Returns what answers may cost.
    pub(super) fn effort(&self) -> &Effort {
        &self.effort
    }

    /// Performs an operation and returns once its changes are on disk.
    ///
    /// # Errors
    /// When the caller may not do it, or it is refused.
    pub async fn perform(&self, principal: Principal, request: Request) -> ApiResult<Response> {
        let operation = move |context: AdminContext| context.perform(&principal, request);
        Ok(self.blocking(operation).await??)
    }

    /// Does what AMQP clients do, as this user, and returns once it is on disk, and in the log if it is a `change`.
    ///
    /// # Errors
    /// When the principal may not enter the virtual host, or the operation is refused.
    pub async fn as_client<T: Send + 'static>(
        &self,
        principal: Principal,
        vhost: String,
        change: impl Into<Option<Change>>,
        operation: impl FnOnce(&mut Caller, &mut Effects) -> Result<T, AmqpError> + Send + 'static,
    ) -> ApiResult<T> {
        Ok(self
            .try_as_client(principal, vhost, change, operation)
            .await??)
    }

    /// Like [`Api::as_client`], for operations whose refusal is answered in a way of its own.
    ///
    /// # Errors
    /// When it cannot be done at all.
    pub async fn try_as_client<T: Send + 'static>(
        &self,
        principal: Principal,
        vhost: String,
        change: impl Into<Option<Change>>,
        operation: impl FnOnce(&mut Caller, &mut Effects) -> Result<T, AmqpError> + Send + 'static,
    ) -> ApiResult<Result<T, Refusal>> {
        let change = change.into();
        self.blocking(move |context| context.as_client(&principal, &vhost, change, operation))
            .await
    }

    /// Returns a virtual host in which the principal wants to change something.
    ///
    /// # Errors
    /// 404 if there is none, or not for the principal.
    pub fn vhost_to_change(&self, principal: &Principal, name: &str) -> ApiResult<Arc<Vhost>> {
        match principal.vhost(self.broker(), name) {
            Err(NoVhost::Missing) => Err(ApiError::no_vhost()),
            other => Ok(other?),
        }
    }

    /// Runs what waits for the disk on a thread of its own.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(AdminContext) -> T + Send + 'static,
    ) -> ApiResult<T> {
        let turn = self.operations.clone().acquire_owned().await;
        let context = self.context.clone();
        let operation = move || {
            // Until it is done, even if its client hangs up.
            let _turn = turn;
            operation(context)
        };
        let done = tokio::task::spawn_blocking(operation).await;
        done.map_err(|error| ApiError::internal(error.to_string()))
    }
}

impl FromRef<Api> for Arc<Broker> {
    fn from_ref(api: &Api) -> Self {
        api.broker().clone()
    }
}

impl FromRef<Api> for Scraper {
    fn from_ref(api: &Api) -> Self {
        api.scraper.clone()
    }
}
