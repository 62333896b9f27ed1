//! `placet.v1.Client`: asking an orchestration, and reading what it published.

use std::sync::Arc;
use std::time::Duration;

use placet_core::command::{Ask, Asked, CommandKind, Reply};
use placet_core::limits;
use placet_proto::placet::v1::{
    AskRequest, AskResponse, GetPublishedRequest, GetPublishedResponse, Recorded, ask_response::Outcome,
};
use prost::Message as _;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::generated::placet::client_server::Client;
use super::instances::key;
use super::metadata;
use super::status::status_of;
use crate::scheduler::Scheduler;

/// The longest that a caller may ask to wait: beyond it proxies cut the connection anyway.
const WAIT_MAX: Duration = Duration::from_secs(300);

/// The service.
#[derive(Debug)]
pub(super) struct ClientService(pub(super) Scheduler);

#[tonic::async_trait]
impl Client for ClientService {
    async fn ask(&self, request: Request<AskRequest>) -> Result<Response<AskResponse>, Status> {
        let key = key(&request, |request| &request.instance_id)?;
        let stamp = metadata::caller(&request);
        let request = request.into_inner();
        let bytes = request.encoded_len();
        let ask_id: Arc<str> =
            if request.ask_id.is_empty() { Uuid::new_v4().to_string().into() } else { request.ask_id.into() };
        let wait = match request.wait_ms {
            0 => limits::ASK_WAIT_DEFAULT,
            wait_ms => Duration::from_millis(wait_ms.into()).min(WAIT_MAX),
        };
        let (event_name, payload) = (request.event_name, Some(request.payload));
        let ask = Arc::new(Ask { ask_id: ask_id.clone(), event_name, payload, wait, stamp });
        let reply = self.0.command(key, CommandKind::Ask(ask), bytes).await.map_err(|e| status_of(&e))?;
        let Reply::Asked(asked) = reply else { return Err(Status::internal("an ask is answered with what became of it")) };
        let outcome = self.outcome(asked).await?;
        Ok(Response::new(AskResponse { ask_id: (*ask_id).to_owned(), outcome: Some(outcome) }))
    }

    async fn get_published(
        &self,
        request: Request<GetPublishedRequest>,
    ) -> Result<Response<GetPublishedResponse>, Status> {
        let hub = metadata::hub(&request)?;
        let GetPublishedRequest { kind, key } = request.into_inner();
        let body = self.0.published(hub, kind, key).await.map_err(|e| status_of(&e))?;
        Ok(Response::new(GetPublishedResponse { exists: body.is_some(), body: body.unwrap_or_default() }))
    }
}

impl ClientService {
    async fn outcome(&self, asked: Asked) -> Result<Outcome, Status> {
        Ok(match asked {
            Asked::Reply(answer) => Outcome::Reply((*answer).to_owned()),
            Asked::State(view) => {
                Outcome::State(self.0.complete_view(*view, true).await.map_err(|e| status_of(&e))?)
            }
            Asked::Ended(view) => {
                Outcome::Ended(self.0.complete_view(*view, true).await.map_err(|e| status_of(&e))?)
            }
            Asked::Recorded => Outcome::Recorded(Recorded {}),
        })
    }
}
