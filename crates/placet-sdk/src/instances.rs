//! What a client does to instances from outside: lists them, lets them rest, ends them with their children, lets them try
//! again, deletes them.

use std::collections::VecDeque;
use std::time::SystemTime;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use placet_proto::durabletask::purge_instances_request::Request as Purge;
use placet_proto::durabletask::{
    InstanceQuery, PurgeInstanceFilter, PurgeInstancesRequest, QueryInstancesRequest, RestartInstanceRequest,
    ResumeRequest, RewindInstanceRequest, SuspendRequest, TerminateRequest,
};
use placet_proto::placet::v1::{RetryPoisonedRequest, WhyRequest, WhyResponse};
use serde::Serialize;

use crate::client::{Client, json};
use crate::state::{InstanceState, Status, timestamp};
use crate::transport::{CallError, Held};

/// Which instances are meant. All of a hub's by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Filter {
    /// With one of these statuses; with any, if there is none.
    pub statuses: Vec<Status>,
    /// Created then or later.
    pub created_from: Option<SystemTime>,
    /// Created before.
    pub created_to: Option<SystemTime>,
    /// With an id that begins so. (Only for lists.)
    pub id_prefix: Option<String>,
    /// Lists tell inputs and outputs, too.
    pub payloads: bool,
}

/// What became of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// How many instances were deleted.
    pub count: u32,
    /// Whether that is all that was meant.
    pub is_complete: bool,
}

impl Client {
    /// Instances, in the order of their creation (or of their ids, if they are to begin alike), read page by page as they are
    /// taken.
    ///
    /// # Errors
    /// The stream ends with the call that fails.
    pub fn list(&self, filter: Filter) -> BoxStream<'static, Result<InstanceState, CallError>> {
        let reading = Reading { client: self.clone(), filter, next: Some(None), page: VecDeque::new() };
        stream::try_unfold(reading, |mut reading| async move {
            loop {
                if let Some(state) = reading.page.pop_front() {
                    return Ok(Some((state, reading)));
                }
                let Some(token) = reading.next.take() else { return Ok(None) };
                reading.read(token).await?;
            }
        })
        .boxed()
    }

    /// Tells an instance to rest: what comes meanwhile waits, and timers go on.
    ///
    /// # Errors
    /// If the call fails; with [`crate::Code::NotFound`] if there is no such instance.
    pub async fn suspend(&self, id: &str, reason: &str) -> Result<(), CallError> {
        let request = SuspendRequest { instance_id: id.to_owned(), reason: Some(reason.to_owned()) };
        self.transport().suspend(self.hub(), request).await
    }

    /// Lets a suspended instance go on.
    ///
    /// # Errors
    /// If the call fails; with [`crate::Code::NotFound`] if there is no such instance.
    pub async fn resume(&self, id: &str, reason: &str) -> Result<(), CallError> {
        let request = ResumeRequest { instance_id: id.to_owned(), reason: Some(reason.to_owned()) };
        self.transport().resume(self.hub(), request).await
    }

    /// Tells an instance to end with this output, and the children that it waits for, and theirs.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn terminate_with_children(&self, id: &str, output: &(impl Serialize + ?Sized)) -> Result<(), CallError> {
        let request = TerminateRequest { instance_id: id.to_owned(), output: Some(json(output)?), recursive: true };
        self.transport().terminate(self.hub(), request).await
    }

    /// Why an instance waits, and what lets it go on. One that has ended says so.
    ///
    /// ```no_run
    /// # async fn run(client: placet_sdk::Client) -> Result<(), placet_sdk::CallError> {
    /// // waits for event `approval_response` since 3 h 12 m, until 17:00 UTC
    /// println!("{}", client.why("order-7").await?.sentence);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If the call fails; with [`crate::Code::NotFound`] if there is no such instance.
    pub async fn why(&self, id: &str) -> Result<WhyResponse, CallError> {
        self.transport().why(self.hub(), WhyRequest { instance_id: id.to_owned() }).await
    }

    /// Puts back to work what was set aside of an instance after it failed its workers too often: how many items.
    ///
    /// # Errors
    /// If the call fails; with [`crate::Code::NotFound`] if there is no such instance.
    pub async fn retry_poisoned(&self, id: &str) -> Result<u32, CallError> {
        let request = RetryPoisonedRequest { instance_id: id.to_owned() };
        self.transport().retry_poisoned(self.hub(), request).await
    }

    /// Lets a failed instance try again what failed; what succeeded stays.
    ///
    /// # Errors
    /// If the call fails; with [`crate::Code::FailedPrecondition`] if it has not failed.
    pub async fn rewind(&self, id: &str, reason: &str) -> Result<(), CallError> {
        let request = RewindInstanceRequest { instance_id: id.to_owned(), reason: Some(reason.to_owned()) };
        self.transport().rewind(self.hub(), request).await
    }

    /// Starts an instance that has ended again as it was started, under its own id.
    ///
    /// # Errors
    /// If the call fails; with [`crate::Code::FailedPrecondition`] if it has not ended.
    pub async fn restart(&self, id: &str) -> Result<(), CallError> {
        self.restarted(id, false).await.map(drop)
    }

    /// Starts another instance as this one was started: its id.
    ///
    /// # Errors
    /// If the call fails; with [`crate::Code::NotFound`] if there is no such instance.
    pub async fn restart_as_new(&self, id: &str) -> Result<String, CallError> {
        self.restarted(id, true).await
    }

    async fn restarted(&self, id: &str, new_id: bool) -> Result<String, CallError> {
        let request = RestartInstanceRequest { instance_id: id.to_owned(), restart_with_new_instance_id: new_id };
        Ok(self.transport().restart(self.hub(), request).await?.instance_id)
    }

    /// Deletes an instance that has ended, with its history: whether there was one.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn purge(&self, id: &str) -> Result<bool, CallError> {
        Ok(self.purged(Purge::InstanceId(id.to_owned()), false).await?.count > 0)
    }

    /// Deletes an instance that has ended, its children and theirs: how many instances that were.
    ///
    /// # Errors
    /// If the call fails.
    pub async fn purge_with_children(&self, id: &str) -> Result<u32, CallError> {
        Ok(self.purged(Purge::InstanceId(id.to_owned()), true).await?.count)
    }

    /// Deletes the instances that a filter means, as far as they have ended.
    ///
    /// # Errors
    /// If the call fails; what was deleted by then stays so.
    pub async fn purge_where(&self, filter: &Filter) -> Result<Purged, CallError> {
        let filter = PurgeInstanceFilter {
            created_time_from: filter.created_from.map(timestamp),
            created_time_to: filter.created_to.map(timestamp),
            runtime_status: filter.statuses.iter().map(|status| status.number()).collect(),
            timeout: None,
        };
        self.purged(Purge::PurgeInstanceFilter(filter), false).await
    }

    async fn purged(&self, what: Purge, recursive: bool) -> Result<Purged, CallError> {
        let request = PurgeInstancesRequest { request: Some(what), recursive, is_orchestration: true };
        let answer = self.transport().purge(self.hub(), request).await?;
        let count = u32::try_from(answer.deleted_instance_count).unwrap_or(0);
        Ok(Purged { count, is_complete: answer.is_complete.unwrap_or(true) })
    }
}

/// A list that is being read.
struct Reading {
    client: Client,
    filter: Filter,
    /// Where the next page begins, if there is one.
    next: Option<Option<String>>,
    page: VecDeque<InstanceState>,
}

impl Reading {
    async fn read(&mut self, continuation_token: Option<String>) -> Result<(), CallError> {
        let query = InstanceQuery {
            runtime_status: self.filter.statuses.iter().map(|status| status.number()).collect(),
            created_time_from: self.filter.created_from.map(timestamp),
            created_time_to: self.filter.created_to.map(timestamp),
            instance_id_prefix: self.filter.id_prefix.clone(),
            fetch_inputs_and_outputs: self.filter.payloads,
            continuation_token,
            ..InstanceQuery::default()
        };
        let request = QueryInstancesRequest { query: Some(query) };
        let Held { value: answer, room } = self.client.transport().query(self.client.hub(), request).await?;
        let states = answer.orchestration_state.into_iter();
        self.page.extend(states.map(|state| InstanceState::new(state, room.clone())));
        self.next = answer.continuation_token.filter(|token| !token.is_empty()).map(Some);
        Ok(())
    }
}
