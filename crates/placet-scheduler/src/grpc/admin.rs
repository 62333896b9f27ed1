//! `placet.v1.Admin`: what an operator does by hand.

use placet_proto::placet::v1::{
    AcceptTimeRequest, AcceptTimeResponse, AdvanceTimeRequest, AdvanceTimeResponse, BulkOperation, BulkResultsRequest,
    BulkResultsResponse, CancelBulkRequest, CheckpointRequest, CheckpointResponse, EraseEntriesRequest,
    EraseEntriesResponse, GetBulkRequest, GetTimeRequest, GetTimeResponse, ListBulksRequest, ListBulksResponse,
    ListPoisonedRequest, ListPoisonedResponse, RetryPoisonedRequest, RetryPoisonedResponse, StartBulkRequest,
    StartBulkResponse, WhyRequest, WhyResponse,
};
use tonic::{Request, Response, Status};

use super::deadline::within;
use super::generated::placet::admin_server::Admin;
use super::metadata;
use super::sidecar::weighed;
use super::status::status_of;
use crate::scheduler::{CallError, Scheduler};

/// The service.
#[derive(Debug)]
pub(super) struct AdminService(pub(super) Scheduler);

#[tonic::async_trait]
impl Admin for AdminService {
    async fn list_poisoned(
        &self,
        _request: Request<ListPoisonedRequest>,
    ) -> Result<Response<ListPoisonedResponse>, Status> {
        Err(Status::unimplemented("listing what was set aside is not implemented yet"))
    }

    async fn retry_poisoned(
        &self,
        request: Request<RetryPoisonedRequest>,
    ) -> Result<Response<RetryPoisonedResponse>, Status> {
        let hub = metadata::hub(&self.0, &request)?;
        let retried = self.0.retry_poisoned(hub, &request.get_ref().instance_id).await.map_err(|e| status_of(&e))?;
        Ok(Response::new(RetryPoisonedResponse { retried }))
    }

    async fn accept_time(&self, _request: Request<AcceptTimeRequest>) -> Result<Response<AcceptTimeResponse>, Status> {
        self.0.accept_time().await.map_err(|e| status_of(&e))?;
        Ok(Response::new(AcceptTimeResponse {}))
    }

    async fn get_time(&self, _request: Request<GetTimeRequest>) -> Result<Response<GetTimeResponse>, Status> {
        Ok(Response::new(self.0.get_time()))
    }

    async fn advance_time(
        &self,
        request: Request<AdvanceTimeRequest>,
    ) -> Result<Response<AdvanceTimeResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        let advance = async { self.0.advance_time(request).await.map(Response::new).map_err(|e| status_of(&e)) };
        within(&metadata, advance).await
    }

    async fn why(&self, request: Request<WhyRequest>) -> Result<Response<WhyResponse>, Status> {
        let hub = metadata::hub(&self.0, &request)?;
        self.0.why(hub, &request.get_ref().instance_id).await.map(Response::new).map_err(|e| status_of(&e))
    }

    async fn start_bulk(&self, request: Request<StartBulkRequest>) -> Result<Response<StartBulkResponse>, Status> {
        let (hub, caller) = (metadata::hub(&self.0, &request)?, metadata::caller(&request));
        let (metadata, _, request) = request.into_parts();
        within(&metadata, answer(self.0.start_bulk(hub, request, caller))).await
    }

    async fn get_bulk(&self, request: Request<GetBulkRequest>) -> Result<Response<BulkOperation>, Status> {
        let hub = metadata::hub(&self.0, &request)?;
        let (metadata, _, request) = request.into_parts();
        within(&metadata, answer(self.0.get_bulk(hub, request))).await
    }

    async fn cancel_bulk(&self, request: Request<CancelBulkRequest>) -> Result<Response<BulkOperation>, Status> {
        let hub = metadata::hub(&self.0, &request)?;
        let (metadata, _, request) = request.into_parts();
        within(&metadata, answer(self.0.cancel_bulk(hub, request))).await
    }

    async fn list_bulks(&self, request: Request<ListBulksRequest>) -> Result<Response<ListBulksResponse>, Status> {
        let (hub, peer) = (metadata::hub(&self.0, &request)?, metadata::peer(&request));
        weighed(self.0.list_bulks(hub).await, peer.as_ref())
    }

    async fn bulk_results(
        &self,
        request: Request<BulkResultsRequest>,
    ) -> Result<Response<BulkResultsResponse>, Status> {
        let (hub, peer) = (metadata::hub(&self.0, &request)?, metadata::peer(&request));
        weighed(self.0.bulk_results(hub, request.into_inner()).await, peer.as_ref())
    }

    async fn checkpoint(&self, request: Request<CheckpointRequest>) -> Result<Response<CheckpointResponse>, Status> {
        let hub = metadata::hub(&self.0, &request)?;
        let (metadata, _, request) = request.into_parts();
        within(&metadata, answer(self.0.checkpoint(hub, request))).await
    }

    async fn erase_entries(
        &self,
        request: Request<EraseEntriesRequest>,
    ) -> Result<Response<EraseEntriesResponse>, Status> {
        let hub = metadata::hub(&self.0, &request)?;
        let (metadata, _, request) = request.into_parts();
        within(&metadata, answer(self.0.erase_entries(hub, request))).await
    }
}

/// What a call comes to, as this service says it.
async fn answer<T>(call: impl Future<Output = Result<T, CallError>>) -> Result<Response<T>, Status> {
    call.await.map(Response::new).map_err(|error| status_of(&error))
}
