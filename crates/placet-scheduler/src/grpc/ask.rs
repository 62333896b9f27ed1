//! `placet.v1.Client`: asking an orchestration, and reading what it published.

use futures_util::stream::{BoxStream, StreamExt as _};
use placet_proto::placet::v1::{
    AskRequest, AskResponse, GetPublishedRequest, GetPublishedResponse, ListEntriesRequest, ListEntriesResponse,
    ListPublishedRequest, ListPublishedResponse, WatchRequest, WatchResponse,
};
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
        let answer = self.0.published(hub, request.into_inner()).await;
        answer.map(Response::new).map_err(|error| status_of(&error))
    }

    async fn list_published(
        &self,
        request: Request<ListPublishedRequest>,
    ) -> Result<Response<ListPublishedResponse>, Status> {
        let (hub, peer) = (metadata::hub(&self.0, &request)?, metadata::peer(&request));
        let (metadata, _, request) = request.into_parts();
        let list = async { weighed(self.0.list_published(hub, request).await, peer.as_ref()) };
        deadline::within(&metadata, list).await
    }

    type WatchStream = BoxStream<'static, Result<WatchResponse, Status>>;

    async fn watch(&self, request: Request<WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let hub = metadata::hub(&self.0, &request)?;
        let watch = self.0.watch(hub, request.into_inner()).map_err(|error| status_of(&error))?;
        let changes = watch.changes().map(|()| Ok(WatchResponse {}));
        Ok(Response::new(changes.boxed()))
    }

    async fn list_entries(
        &self,
        request: Request<ListEntriesRequest>,
    ) -> Result<Response<ListEntriesResponse>, Status> {
        let (hub, peer) = (metadata::hub(&self.0, &request)?, metadata::peer(&request));
        let (metadata, _, request) = request.into_parts();
        let list = async { weighed(self.0.list_entries(hub, request).await, peer.as_ref()) };
        deadline::within(&metadata, list).await
    }
}
