//! The client's calls that concern one instance (PROTOCOL.md §4).

use placet_core::command::{CommandKind, RaiseEvent, Reply, StartInstance, Terminate, WaitFor};
use placet_core::ids::{InstanceId, InstanceKey};
use placet_proto::durabletask::{
    CreateInstanceRequest, CreateInstanceResponse, GetInstanceRequest, GetInstanceResponse, OrchestrationStatus,
    RaiseEventRequest, RaiseEventResponse, TerminateRequest, TerminateResponse,
};
use prost::Message as _;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::metadata;
use super::status::status_of;
use crate::scheduler::Scheduler;

type Answer<T> = Result<Response<T>, Status>;

pub(super) async fn start(
    scheduler: &Scheduler,
    request: Request<CreateInstanceRequest>,
) -> Answer<CreateInstanceResponse> {
    let hub = metadata::hub(&request)?;
    let request = request.into_inner();
    let bytes = request.encoded_len();
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
    let key = InstanceKey::new(hub, InstanceId::new(id.clone()));
    scheduler.command(key, CommandKind::Start(Box::new(start)), bytes).await.map_err(|e| status_of(&e))?;
    Ok(Response::new(CreateInstanceResponse { instance_id: id }))
}

pub(super) async fn get(scheduler: &Scheduler, request: Request<GetInstanceRequest>) -> Answer<GetInstanceResponse> {
    let key = key(&request, |request| &request.instance_id)?;
    let payloads = request.get_ref().get_inputs_and_outputs;
    let state = scheduler.instance(key, payloads).await.map_err(|e| status_of(&e))?;
    Ok(Response::new(GetInstanceResponse { exists: state.is_some(), orchestration_state: state }))
}

/// Waits without a deadline of its own: the caller's `grpc-timeout` ends it, or the caller's going (rule 5).
pub(super) async fn wait(
    scheduler: &Scheduler,
    request: Request<GetInstanceRequest>,
    what: WaitFor,
) -> Answer<GetInstanceResponse> {
    let key = key(&request, |request| &request.instance_id)?;
    let payloads = request.get_ref().get_inputs_and_outputs;
    let reply = scheduler.command(key, CommandKind::Wait(what), 0).await.map_err(|e| status_of(&e))?;
    let Reply::Instance(Some(view)) = reply else {
        return Ok(Response::new(GetInstanceResponse { exists: false, orchestration_state: None }));
    };
    let state = scheduler.complete_view(*view, payloads).await.map_err(|e| status_of(&e))?;
    Ok(Response::new(GetInstanceResponse { exists: true, orchestration_state: Some(state) }))
}

pub(super) async fn raise_event(
    scheduler: &Scheduler,
    request: Request<RaiseEventRequest>,
) -> Answer<RaiseEventResponse> {
    let key = key(&request, |request| &request.instance_id)?;
    let stamp = metadata::caller(&request);
    let request = request.into_inner();
    let bytes = request.encoded_len();
    let event = RaiseEvent { name: request.name, input: request.input, stamp };
    scheduler.command(key, CommandKind::RaiseEvent(event), bytes).await.map_err(|e| status_of(&e))?;
    Ok(Response::new(RaiseEventResponse {}))
}

pub(super) async fn terminate(
    scheduler: &Scheduler,
    request: Request<TerminateRequest>,
) -> Answer<TerminateResponse> {
    let key = key(&request, |request| &request.instance_id)?;
    let request = request.into_inner();
    let bytes = request.encoded_len();
    let terminate = Terminate { output: request.output, recurse: request.recursive };
    scheduler.command(key, CommandKind::Terminate(terminate), bytes).await.map_err(|e| status_of(&e))?;
    Ok(Response::new(TerminateResponse {}))
}

/// The instance that a call means.
pub(super) fn key<T>(request: &Request<T>, id: impl Fn(&T) -> &String) -> Result<InstanceKey, Status> {
    let hub = metadata::hub(request)?;
    let id = id(request.get_ref());
    if id.is_empty() {
        return Err(Status::invalid_argument("instanceId: must not be empty"));
    }
    Ok(InstanceKey::new(hub, InstanceId::new(id.as_str())))
}

/// An id as the SDKs make them: 32 hex digits.
fn new_id() -> String {
    Uuid::new_v4().simple().to_string()
}

fn statuses(numbers: &[i32]) -> Vec<OrchestrationStatus> {
    numbers.iter().filter_map(|number| OrchestrationStatus::try_from(*number).ok()).collect()
}
