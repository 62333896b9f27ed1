//! `placet.v1.Client`: asking an orchestration, and reading what it published.

use placet_proto::placet::v1::{AskRequest, AskResponse, GetPublishedRequest, GetPublishedResponse};
use tonic::{Request, Response, Status};

use super::generated::placet::client_server::Client;
use super::sidecar::weighed;
use super::status::status_of;
use super::{admission, deadline, metadata};
use crate::scheduler::Scheduler;

/// The service.
#[derive(Debug)]
pub(super) struct ClientService(pub(super) Scheduler);

#[tonic::async_trait]
impl Client for ClientService {
    async fn ask(&self, request: Request<AskRequest>) -> Result<Response<AskResponse>, Status> {
        let (hub, caller, peer) =
            (metadata::hub(&self.0, &request)?, metadata::caller(&request), metadata::peer(&request));
        let shares = admission::shares(&request);
        let (metadata, _, request) = request.into_parts();
        let ask = async { weighed(self.0.ask(hub, request, caller, shares).await, peer.as_ref()) };
        deadline::within(&metadata, ask).await
    }

    async fn get_published(
        &self,
        request: Request<GetPublishedRequest>,
    ) -> Result<Response<GetPublishedResponse>, Status> {
        let hub = metadata::hub(&self.0, &request)?;
        let GetPublishedRequest { kind, key } = request.into_inner();
        let body = self.0.published(hub, kind, key).await.map_err(|e| status_of(&e))?;
        Ok(Response::new(GetPublishedResponse { exists: body.is_some(), body: body.unwrap_or_default() }))
    }
}
