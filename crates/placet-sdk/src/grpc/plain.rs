//! Work by Microsoft's protocol, for schedulers that are not ours: a stream of items, a call for each
//! completion, made to look like a stream both ways.

use futures_util::StreamExt as _;
use futures_util::stream;
use placet_proto::durabletask::{
    AbandonActivityTaskRequest, AbandonOrchestrationTaskRequest, ActivityResponse, GetWorkItemsRequest,
    OrchestratorResponse, work_item::Request,
};
use placet_proto::placet::v1::{Ack, Completions, Open, SchedulerFrame, WorkEnvelope};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio_stream::wrappers::UnboundedReceiverStream;

use super::GrpcTransport;
use crate::transport::{CallResult, WorkStream};

impl GrpcTransport {
    pub(super) async fn plain_work(&self, hub: &str, open: &Open) -> CallResult<WorkStream> {
        self.sidecar().hello(self.request(hub, ())?).await?;
        let request = GetWorkItemsRequest {
            max_concurrent_orchestration_work_items: open.orchestrations_max,
            max_concurrent_activity_work_items: open.activities_max,
            work_item_filters: open.filters.clone(),
            ..GetWorkItemsRequest::default()
        };
        let items = self.sidecar().get_work_items(self.request(hub, request)?).await?.into_inner();
        let hub_name = hub.to_owned();
        let items = items.map(move |item| {
            let item = item?;
            let ping = matches!(item.request, Some(Request::HealthPing(_)) | None);
            let work = if ping { Vec::new() } else { vec![WorkEnvelope { item: Some(item), hub: hub_name.clone() }] };
            Ok(SchedulerFrame { work, acks: Vec::new() })
        });
        let (completions, mut outgoing) = unbounded_channel();
        let (acks, acknowledged) = unbounded_channel();
        let (transport, hub) = (self.clone(), hub.to_owned());
        tokio::spawn(async move {
            while let Some(completions) = outgoing.recv().await {
                transport.complete(&hub, completions, &acks);
            }
        });
        let acks = UnboundedReceiverStream::new(acknowledged);
        let acks = acks.map(|ack| Ok(SchedulerFrame { work: Vec::new(), acks: vec![ack] }));
        // The worker's half of the stream ends with the items, whether acknowledgements are awaited or not.
        let frames = stream::select(items.map(Some).chain(stream::iter([None])), acks.map(Some));
        let frames = frames.take_while(|frame| std::future::ready(frame.is_some())).filter_map(std::future::ready);
        Ok(WorkStream { frames: frames.boxed(), completions: completions.into() })
    }

    /// Makes the calls side by side; each is acknowledged when it is answered.
    fn complete(&self, hub: &str, completions: Completions, acks: &UnboundedSender<Ack>) {
        for turn in completions.turns {
            let response = turn.response.unwrap_or_default();
            let (transport, hub, acks) = (self.clone(), hub.to_owned(), acks.clone());
            tokio::spawn(async move { transport.complete_turn(&hub, response, &acks).await });
        }
        for response in completions.activities {
            let (transport, hub, acks) = (self.clone(), hub.to_owned(), acks.clone());
            tokio::spawn(async move { transport.complete_activity(&hub, response, &acks).await });
        }
        for token in completions.abandoned {
            let (transport, hub) = (self.clone(), hub.to_owned());
            // One of the two knows the token; the other ignores it.
            tokio::spawn(async move { drop(transport.abandon(&hub, token).await) });
        }
    }

    async fn abandon(&self, hub: &str, token: String) -> CallResult<()> {
        let turn = AbandonOrchestrationTaskRequest { completion_token: token.clone() };
        self.sidecar().abandon_task_orchestrator_work_item(self.request(hub, turn)?).await?;
        let activity = AbandonActivityTaskRequest { completion_token: token };
        self.sidecar().abandon_task_activity_work_item(self.request(hub, activity)?).await?;
        Ok(())
    }

    async fn complete_turn(&self, hub: &str, response: OrchestratorResponse, acks: &UnboundedSender<Ack>) {
        let token = response.completion_token.clone();
        let answer = async { Ok(self.sidecar().complete_orchestrator_task(self.request(hub, response)?).await?) };
        drop(acks.send(ack(token, answer.await.map(drop))));
    }

    async fn complete_activity(&self, hub: &str, response: ActivityResponse, acks: &UnboundedSender<Ack>) {
        let token = response.completion_token.clone();
        let answer = async { Ok(self.sidecar().complete_activity_task(self.request(hub, response)?).await?) };
        drop(acks.send(ack(token, answer.await.map(drop))));
    }
}

fn ack(completion_token: String, answer: CallResult<()>) -> Ack {
    let refused = answer.err().map(|error| error.to_string()).unwrap_or_default();
    Ack { completion_token, stale: false, refused }
}
