//! `TaskHubSidecarService`, method by method.

use placet_core::command::WaitFor;
use placet_proto::durabletask as pb;
use tonic::{Request, Response, Status};

use super::generated::durabletask::task_hub_sidecar_service_server::TaskHubSidecarService;
use super::status::status_of;
use super::{admission, deadline, history, metadata, work};
use crate::connections::Peer;
use crate::outgoing::{Lent, Ties};
use crate::scheduler::{CallError, Scheduler, Weighed};

type Answer<T> = Result<Response<T>, Status>;

/// The service.
#[derive(Debug)]
pub(super) struct Sidecar(pub(super) Scheduler);

/// Methods that answer UNIMPLEMENTED: what they are for, and what they would take and give.
macro_rules! not_implemented {
    ($($method:ident($request:ty) -> $response:ty, $what:literal;)*) => {
        $(fn $method<'life0, 'async_trait>(
            &'life0 self,
            _request: Request<$request>,
        ) -> std::pin::Pin<Box<dyn Future<Output = Answer<$response>> + Send + 'async_trait>>
        where
            'life0: 'async_trait,
            Self: 'async_trait,
        {
            Box::pin(async { Err(Status::unimplemented(concat!($what, " not implemented by this server yet"))) })
        })*
    };
}

#[tonic::async_trait]
impl TaskHubSidecarService for Sidecar {
    async fn hello(&self, _request: Request<()>) -> Answer<()> {
        Ok(Response::new(()))
    }

    async fn start_instance(&self, request: Request<pb::CreateInstanceRequest>) -> Answer<pb::CreateInstanceResponse> {
        let hub = metadata::hub(&self.0, &request)?;
        answer(self.0.start_instance(hub, request.into_inner()).await)
    }

    async fn get_instance(&self, request: Request<pb::GetInstanceRequest>) -> Answer<pb::GetInstanceResponse> {
        let (hub, peer) = (metadata::hub(&self.0, &request)?, metadata::peer(&request));
        let shares = admission::shares(&request);
        weighed(self.0.get_instance(hub, request.into_inner(), shares).await, peer.as_ref())
    }

    async fn wait_for_instance_start(
        &self,
        request: Request<pb::GetInstanceRequest>,
    ) -> Answer<pb::GetInstanceResponse> {
        self.wait(request, WaitFor::Start).await
    }

    async fn wait_for_instance_completion(
        &self,
        request: Request<pb::GetInstanceRequest>,
    ) -> Answer<pb::GetInstanceResponse> {
        self.wait(request, WaitFor::Completion).await
    }

    async fn raise_event(&self, request: Request<pb::RaiseEventRequest>) -> Answer<pb::RaiseEventResponse> {
        let (hub, caller) = (metadata::hub(&self.0, &request)?, metadata::caller(&request));
        let raised = self.0.raise_event(hub, request.into_inner(), caller).await;
        answer(raised.map(|()| pb::RaiseEventResponse {}))
    }

    async fn terminate_instance(&self, request: Request<pb::TerminateRequest>) -> Answer<pb::TerminateResponse> {
        let hub = metadata::hub(&self.0, &request)?;
        let told = self.0.terminate_instance(hub, request.into_inner()).await;
        answer(told.map(|()| pb::TerminateResponse {}))
    }

    async fn suspend_instance(&self, request: Request<pb::SuspendRequest>) -> Answer<pb::SuspendResponse> {
        let hub = metadata::hub(&self.0, &request)?;
        answer(self.0.suspend_instance(hub, request.into_inner()).await.map(|()| pb::SuspendResponse {}))
    }

    async fn resume_instance(&self, request: Request<pb::ResumeRequest>) -> Answer<pb::ResumeResponse> {
        let hub = metadata::hub(&self.0, &request)?;
        answer(self.0.resume_instance(hub, request.into_inner()).await.map(|()| pb::ResumeResponse {}))
    }

    async fn rewind_instance(&self, request: Request<pb::RewindInstanceRequest>) -> Answer<pb::RewindInstanceResponse> {
        let hub = metadata::hub(&self.0, &request)?;
        answer(self.0.rewind_instance(hub, request.into_inner()).await.map(|()| pb::RewindInstanceResponse {}))
    }

    async fn restart_instance(
        &self,
        request: Request<pb::RestartInstanceRequest>,
    ) -> Answer<pb::RestartInstanceResponse> {
        let hub = metadata::hub(&self.0, &request)?;
        answer(self.0.restart_instance(hub, request.into_inner()).await)
    }

    async fn query_instances(&self, request: Request<pb::QueryInstancesRequest>) -> Answer<pb::QueryInstancesResponse> {
        let (hub, peer) = (metadata::hub(&self.0, &request)?, metadata::peer(&request));
        weighed(self.0.query_instances(hub, request.into_inner()).await, peer.as_ref())
    }

    async fn list_instance_ids(
        &self,
        request: Request<pb::ListInstanceIdsRequest>,
    ) -> Answer<pb::ListInstanceIdsResponse> {
        let hub = metadata::hub(&self.0, &request)?;
        answer(self.0.list_instance_ids(hub, request.into_inner()).await)
    }

    async fn purge_instances(&self, request: Request<pb::PurgeInstancesRequest>) -> Answer<pb::PurgeInstancesResponse> {
        let hub = metadata::hub(&self.0, &request)?;
        let (call, _, request) = request.into_parts();
        deadline::within(&call, async { answer(self.0.purge_instances(hub, request).await) }).await
    }

    async fn skip_graceful_orchestration_terminations(
        &self,
        request: Request<pb::SkipGracefulOrchestrationTerminationsRequest>,
    ) -> Answer<pb::SkipGracefulOrchestrationTerminationsResponse> {
        let hub = metadata::hub(&self.0, &request)?;
        answer(self.0.end_instances(hub, request.into_inner()).await)
    }

    type GetWorkItemsStream = work::Items;

    async fn get_work_items(&self, request: Request<pb::GetWorkItemsRequest>) -> Answer<work::Items> {
        work::items(&self.0, &request)
    }

    async fn complete_activity_task(&self, request: Request<pb::ActivityResponse>) -> Answer<pb::CompleteTaskResponse> {
        work::complete_activity(&self.0, request).await
    }

    async fn complete_orchestrator_task(
        &self,
        request: Request<pb::OrchestratorResponse>,
    ) -> Answer<pb::CompleteTaskResponse> {
        work::complete_turn(&self.0, request).await
    }

    async fn abandon_task_activity_work_item(
        &self,
        request: Request<pb::AbandonActivityTaskRequest>,
    ) -> Answer<pb::AbandonActivityTaskResponse> {
        work::abandon(&self.0, &request.get_ref().completion_token).await?;
        Ok(Response::new(pb::AbandonActivityTaskResponse {}))
    }

    async fn abandon_task_orchestrator_work_item(
        &self,
        request: Request<pb::AbandonOrchestrationTaskRequest>,
    ) -> Answer<pb::AbandonOrchestrationTaskResponse> {
        work::abandon(&self.0, &request.get_ref().completion_token).await?;
        Ok(Response::new(pb::AbandonOrchestrationTaskResponse {}))
    }

    type StreamInstanceHistoryStream = history::Chunks;

    async fn stream_instance_history(
        &self,
        request: Request<pb::StreamInstanceHistoryRequest>,
    ) -> Answer<history::Chunks> {
        history::stream(&self.0, request).await
    }

    async fn create_task_hub(&self, request: Request<pb::CreateTaskHubRequest>) -> Answer<pb::CreateTaskHubResponse> {
        let hub = metadata::any_hub(&request)?;
        let again = request.get_ref().recreate_if_exists;
        self.0.create_hub(hub, again).await.map_err(|e| status_of(&e))?;
        Ok(Response::new(pb::CreateTaskHubResponse {}))
    }

    async fn delete_task_hub(&self, request: Request<pb::DeleteTaskHubRequest>) -> Answer<pb::DeleteTaskHubResponse> {
        let hub = metadata::any_hub(&request)?;
        self.0.delete_hub(hub).await.map_err(|e| status_of(&e))?;
        Ok(Response::new(pb::DeleteTaskHubResponse {}))
    }

    not_implemented! {
        complete_entity_task(pb::EntityBatchResult) -> pb::CompleteTaskResponse, "entities are";
        signal_entity(pb::SignalEntityRequest) -> pb::SignalEntityResponse, "entities are";
        get_entity(pb::GetEntityRequest) -> pb::GetEntityResponse, "entities are";
        query_entities(pb::QueryEntitiesRequest) -> pb::QueryEntitiesResponse, "entities are";
        clean_entity_storage(pb::CleanEntityStorageRequest) -> pb::CleanEntityStorageResponse, "entities are";
        abandon_task_entity_work_item(pb::AbandonEntityTaskRequest) -> pb::AbandonEntityTaskResponse, "entities are";
    }
}

impl Sidecar {
    async fn wait(&self, request: Request<pb::GetInstanceRequest>, what: WaitFor) -> Answer<pb::GetInstanceResponse> {
        let (hub, peer) = (metadata::hub(&self.0, &request)?, metadata::peer(&request));
        let shares = admission::shares(&request);
        let (metadata, _, request) = request.into_parts();
        let wait = async { weighed(self.0.wait_for_instance(hub, request, what, shares).await, peer.as_ref()) };
        deadline::within(&metadata, wait).await
    }
}

/// An answer that may be long: its share of the budget goes with it.
pub(super) fn weighed<T>(result: Result<Weighed<T>, CallError>, peer: Option<&Peer>) -> Answer<T> {
    let Weighed { value, bytes, share } = result.map_err(|error| status_of(&error))?;
    let mut answer = Response::new(value);
    if let Some(share) = share {
        let ties = Ties::default();
        ties.lend(Lent::new(share, bytes, peer));
        answer.extensions_mut().insert(ties);
    }
    Ok(answer)
}

fn answer<T>(result: Result<T, CallError>) -> Answer<T> {
    result.map(Response::new).map_err(|error| status_of(&error))
}
