//! The protocol's calls, whichever way they come in: over gRPC or from the same process. Each checks,
//! translates, gives one command, and translates the reply (PROTOCOL.md §4).
//!
//! A call whose answer may be long is given the shares of the budget that its request took, and gives them back as soon as
//! what it asks for is done: an answer that waits for its room must hold none, or two of them may wait for each other.

use std::sync::Arc;
use std::time::Duration;

use placet_core::command::{
    Ask, Asked, Caller, CommandKind, RaiseEvent, Refusal, Reply, StartInstance, Suspend, Terminate, WaitFor,
};
use placet_core::ids::{Hub, InstanceId, InstanceKey};
use placet_core::limits;
use placet_proto::durabletask::{
    CreateInstanceRequest, CreateInstanceResponse, GetInstanceRequest, GetInstanceResponse, OrchestrationIdReusePolicy,
    OrchestrationStatus, RaiseEventRequest, ResumeRequest, SuspendRequest, TerminateRequest,
};
use placet_proto::placet::v1::{AskRequest, AskResponse, Recorded, ask_response::Outcome};
use uuid::Uuid;

use crate::budget::Share;
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
        let (reuse, keep) = policy(request.orchestration_id_reuse_policy);
        let start = StartInstance {
            name: request.name,
            version: request.version,
            input: request.input,
            scheduled_start: request.scheduled_start_timestamp,
            reuse,
            keep,
            execution_id: request.execution_id.filter(|id| !id.is_empty()).unwrap_or_else(new_id),
            tags: request.tags,
            parent_trace: request.parent_trace_context,
            parent: None,
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
        shares: Vec<Share>,
    ) -> Result<Weighed<GetInstanceResponse>, CallError> {
        let key = key(hub, &request.instance_id)?;
        drop(shares);
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
        shares: Vec<Share>,
    ) -> Result<Weighed<GetInstanceResponse>, CallError> {
        let key = key(hub, &request.instance_id)?;
        let mut shares = Some(shares);
        loop {
            let reply = self.command(key.clone(), CommandKind::Wait(what)).await?;
            shares.take();
            let Reply::Instance(Some(view)) = reply else {
                return Ok(Weighed::light(GetInstanceResponse { exists: false, orchestration_state: None }));
            };
            // One that was begun anew since is waited for again.
            if let Some(state) = self.complete_view(view, request.get_inputs_and_outputs).await? {
                return Ok(state.map(|state| GetInstanceResponse { exists: true, orchestration_state: Some(state) }));
            }
        }
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
        self.terminate(key, terminate).await.map(drop)
    }

    /// SuspendInstance.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn suspend_instance(&self, hub: Hub, request: SuspendRequest) -> Result<(), CallError> {
        let suspend = Suspend { reason: request.reason, resume: false };
        self.command(key(hub, &request.instance_id)?, CommandKind::Suspend(suspend)).await.map(drop)
    }

    /// ResumeInstance.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn resume_instance(&self, hub: Hub, request: ResumeRequest) -> Result<(), CallError> {
        let suspend = Suspend { reason: request.reason, resume: true };
        self.command(key(hub, &request.instance_id)?, CommandKind::Suspend(suspend)).await.map(drop)
    }

    /// placet.v1 Ask.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn ask(
        &self,
        hub: Hub,
        request: AskRequest,
        caller: Caller,
        shares: Vec<Share>,
    ) -> Result<Weighed<AskResponse>, CallError> {
        let key = key(hub, &request.instance_id)?;
        let ask_id: Arc<str> =
            if request.ask_id.is_empty() { Uuid::new_v4().to_string().into() } else { request.ask_id.into() };
        let wait = match request.wait_ms {
            0 => limits::ASK_WAIT_DEFAULT,
            wait_ms => Duration::from_millis(wait_ms.into()).min(ASK_WAIT_MAX),
        };
        let (event_name, payload) = (request.event_name, Some(request.payload));
        // Whoever passes a question on says for whom; he is believed, as everybody is who reaches this port.
        let (principal, proof) = (request.principal, request.proof);
        let stamp = if principal.is_empty() { caller } else { Caller { principal, proof } };
        let ask = Arc::new(Ask { ask_id: ask_id.clone(), event_name, payload, wait, stamp });
        let reply = self.command(key.clone(), CommandKind::Ask(ask)).await?;
        drop(shares);
        let outcome = match reply {
            Reply::Asked(Asked::Reply(answer)) => {
                told_or_recorded(self.weigh(answer.len(), || (*answer).to_owned()).await, Outcome::Reply)?
            }
            Reply::Asked(Asked::State(view)) => match self.complete_view(view, true).await.transpose() {
                Some(state) => told_or_recorded(state, Outcome::State)?,
                None => Weighed::light(Outcome::Recorded(Recorded {})),
            },
            // A question that found its instance ended did nothing: what else is refused may be refused.
            Reply::Asked(Asked::Ended(view)) => {
                let state = self.complete_view(view, true).await?;
                state.ok_or(Refusal::NotFound(key))?.map(Outcome::Ended)
            }
            Reply::Asked(Asked::Recorded) => Weighed::light(Outcome::Recorded(Recorded {})),
            Reply::Done
            | Reply::Nothing
            | Reply::Started(_)
            | Reply::Instance(_)
            | Reply::Stale
            | Reply::Retried(_)
            | Reply::Arrived(_)
            | Reply::Recorded(_)
            | Reply::Why(_) => {
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

/// The answer to a question that was taken, or that it is recorded, if there is no room for the answer: a refusal would
/// promise that nothing was done. Whoever asks again with the same id is told it then.
fn told_or_recorded<T>(
    answer: Result<Weighed<T>, CallError>,
    outcome: impl FnOnce(T) -> Outcome,
) -> Result<Weighed<Outcome>, CallError> {
    match answer {
        Ok(answer) => Ok(answer.map(outcome)),
        Err(CallError::Busy | CallError::Stopping) => Ok(Weighed::light(Outcome::Recorded(Recorded {}))),
        Err(error) => Err(error),
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

/// Which statuses are replaced, if it is said, and which are left as they are.
fn policy(policy: Option<OrchestrationIdReusePolicy>) -> (Option<Vec<OrchestrationStatus>>, Vec<OrchestrationStatus>) {
    const LEAVE: i32 = 1;
    const REPLACE: i32 = 2;
    let Some(policy) = policy else { return (None, Vec::new()) };
    let mut named = statuses(&policy.replaceable_status);
    match policy.action {
        LEAVE => (Some(Vec::new()), named),
        REPLACE => {
            // That it is terminated for it is what the action says.
            named.push(OrchestrationStatus::Terminated);
            (Some(named), Vec::new())
        }
        _ => (Some(named), Vec::new()),
    }
}

fn statuses(numbers: &[i32]) -> Vec<OrchestrationStatus> {
    numbers.iter().filter_map(|number| OrchestrationStatus::try_from(*number).ok()).collect()
}
