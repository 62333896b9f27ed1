//! The protocol's calls, whichever way they come in: over gRPC or from the same process. Each checks,
//! translates, gives one command, and translates the reply (PROTOCOL.md §4).

use std::sync::Arc;
use std::time::Duration;

use placet_core::command::{
    Ask, Asked, Caller, CommandKind, RaiseEvent, Refusal, Reply, StartInstance, Terminate, WaitFor,
};
use placet_core::ids::{Hub, InstanceId, InstanceKey};
use placet_core::limits;
use placet_proto::durabletask::{
    CreateInstanceRequest, CreateInstanceResponse, GetInstanceRequest, GetInstanceResponse, OrchestrationStatus,
    RaiseEventRequest, TerminateRequest,
};
use placet_proto::placet::v1::{AskRequest, AskResponse, Recorded, ask_response::Outcome};
use uuid::Uuid;

use crate::scheduler::{CallError, Scheduler, Weighed};

/// The longest that a caller of an ask may wait: beyond it proxies cut the connection anyway.
const ASK_WAIT_MAX: Duration = Duration::from_secs(300);

impl Scheduler {
    /// StartInstance.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn start_instance(
        &self,
        hub: Hub,
        request: CreateInstanceRequest,
    ) -> Result<CreateInstanceResponse, CallError> {
        let id = if request.instance_id.is_empty() { new_id() } else { request.instance_id };
        let start = StartInstance {
            name: request.name,
            version: request.version,
            input: request.input,
            scheduled_start: request.scheduled_start_timestamp,
            reuse: request.orchestration_id_reuse_policy.map(|policy| statuses(&policy.replaceable_status)),
            execution_id: request.execution_id.filter(|id| !id.is_empty()).unwrap_or_else(new_id),
            tags: request.tags,
            parent_trace: request.parent_trace_context,
        };
        let key = InstanceKey::new(hub, InstanceId::new(id.as_str()));
        self.command(key, CommandKind::Start(Box::new(start))).await?;
        Ok(CreateInstanceResponse { instance_id: id })
    }

    /// GetInstance.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn get_instance(
        &self,
        hub: Hub,
        request: GetInstanceRequest,
    ) -> Result<Weighed<GetInstanceResponse>, CallError> {
        let key = key(hub, &request.instance_id)?;
        let state = self.instance(key, request.get_inputs_and_outputs).await?;
        Ok(state.map(|state| GetInstanceResponse { exists: state.is_some(), orchestration_state: state }))
    }

    /// WaitForInstanceStart and WaitForInstanceCompletion: without a deadline of their own; the caller's
    /// going ends them (PROTOCOL.md §1, rule 5).
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn wait_for_instance(
        &self,
        hub: Hub,
        request: GetInstanceRequest,
        what: WaitFor,
    ) -> Result<Weighed<GetInstanceResponse>, CallError> {
        let key = key(hub, &request.instance_id)?;
        let Reply::Instance(Some(view)) = self.command(key, CommandKind::Wait(what)).await? else {
            return Ok(Weighed::light(GetInstanceResponse { exists: false, orchestration_state: None }));
        };
        let state = self.complete_view(view, request.get_inputs_and_outputs).await?;
        Ok(state.map(|state| GetInstanceResponse { exists: true, orchestration_state: Some(state) }))
    }

    /// RaiseEvent.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn raise_event(&self, hub: Hub, request: RaiseEventRequest, caller: Caller) -> Result<(), CallError> {
        let key = key(hub, &request.instance_id)?;
        let event = RaiseEvent { name: request.name, input: request.input, stamp: caller };
        self.command(key, CommandKind::RaiseEvent(event)).await.map(drop)
    }

    /// TerminateInstance.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn terminate_instance(&self, hub: Hub, request: TerminateRequest) -> Result<(), CallError> {
        let key = key(hub, &request.instance_id)?;
        let terminate = Terminate { output: request.output, recurse: request.recursive };
        self.command(key, CommandKind::Terminate(terminate)).await.map(drop)
    }

    /// placet.v1 Ask.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ask(&self, hub: Hub, request: AskRequest, caller: Caller) -> Result<Weighed<AskResponse>, CallError> {
        let key = key(hub, &request.instance_id)?;
        let ask_id: Arc<str> =
            if request.ask_id.is_empty() { Uuid::new_v4().to_string().into() } else { request.ask_id.into() };
        let wait = match request.wait_ms {
            0 => limits::ASK_WAIT_DEFAULT,
            wait_ms => Duration::from_millis(wait_ms.into()).min(ASK_WAIT_MAX),
        };
        let (event_name, payload) = (request.event_name, Some(request.payload));
        let ask = Arc::new(Ask { ask_id: ask_id.clone(), event_name, payload, wait, stamp: caller });
        let outcome = match self.command(key, CommandKind::Ask(ask)).await? {
            Reply::Asked(Asked::Reply(answer)) => {
                self.weigh((*answer).to_owned(), answer.len()).await?.map(Outcome::Reply)
            }
            Reply::Asked(Asked::State(view)) => self.complete_view(view, true).await?.map(Outcome::State),
            Reply::Asked(Asked::Ended(view)) => self.complete_view(view, true).await?.map(Outcome::Ended),
            Reply::Asked(Asked::Recorded) => Weighed::light(Outcome::Recorded(Recorded {})),
            Reply::Done | Reply::Started(_) | Reply::Instance(_) | Reply::Stale | Reply::Retried(_) => {
                unreachable!("an ask is answered with what became of it")
            }
        };
        Ok(outcome.map(|outcome| AskResponse { ask_id: (*ask_id).to_owned(), outcome: Some(outcome) }))
    }

    /// placet.v1 RetryPoisoned: how many items were put back to work.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn retry_poisoned(&self, hub: Hub, instance_id: &str) -> Result<u32, CallError> {
        let key = key(hub, instance_id)?;
        let reply = self.command(key, CommandKind::RetryPoisoned).await?;
        Ok(if let Reply::Retried(retried) = reply { retried } else { 0 })
    }
}

/// The instance that a call means.
pub(crate) fn key(hub: Hub, instance_id: &str) -> Result<InstanceKey, CallError> {
    if instance_id.is_empty() {
        return Err(Refusal::InvalidArgument("instanceId: must not be empty".into()).into());
    }
    Ok(InstanceKey::new(hub, InstanceId::new(instance_id)))
}

/// An id as the SDKs make them: 32 hex digits.
fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

fn statuses(numbers: &[i32]) -> Vec<OrchestrationStatus> {
    numbers.iter().filter_map(|number| OrchestrationStatus::try_from(*number).ok()).collect()
}
