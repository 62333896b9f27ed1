//! `placet.v1.Admin`: what an operator does by hand.

use placet_proto::placet::v1::{
    AcceptTimeRequest, AcceptTimeResponse, ListPoisonedRequest, ListPoisonedResponse, RetryPoisonedRequest,
    RetryPoisonedResponse,
};
use tonic::{Request, Response, Status};

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
}
