//! `placet.v1.Admin`: what an operator does by hand.

use placet_proto::placet::v1::{
    AcceptTimeRequest, AcceptTimeResponse, AdvanceTimeRequest, AdvanceTimeResponse, GetTimeRequest, GetTimeResponse,
    ListPoisonedRequest, ListPoisonedResponse, RetryPoisonedRequest, RetryPoisonedResponse, WhyRequest, WhyResponse,
};
use tonic::{Request, Response, Status};

use super::deadline::within;
use super::generated::placet::admin_server::Admin;
use super::metadata;
use super::status::status_of;
use crate::scheduler::Scheduler;

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
}
