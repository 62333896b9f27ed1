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

use super::{GrpcTransport, opened};
use crate::transport::{CallResult, WorkStream};

impl GrpcTransport {
    pub(super) async fn plain_work(&self, hub: &str, open: &Open) -> CallResult<WorkStream> {
        opened(self.sidecar().hello(self.request(hub, ())?)).await?;
        let request = GetWorkItemsRequest {
            max_concurrent_orchestration_work_items: open.orchestrations_max,
            max_concurrent_activity_work_items: open.activities_max,
            work_item_filters: open.filters.clone(),
            ..GetWorkItemsRequest::default()
        };
        // A scheduler may say nothing before the first item: then an idle stream is opened anew, and nothing is lost by that.
        let items = opened(self.sidecar().get_work_items(self.request(hub, request)?)).await?.into_inner();
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;
    use crate::transport::Code;

    /// A scheduler that answers so many calls, and keeps the others waiting, though its connection is well. It tells when
    /// it is asked what it does not answer.
    async fn mute_after(answered: usize) -> (GrpcTransport, oneshot::Receiver<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let transport = GrpcTransport::new(&listener.local_addr().unwrap().to_string()).unwrap();
        let (asked, was_asked) = oneshot::channel();
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let (mut calls, mut asked, mut waiting) = (0, Some(asked), Vec::new());
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                calls += 1;
                if calls > answered {
                    waiting.push((request, respond));
                    asked.take().map(|asked| asked.send(()));
                    continue;
                }
                let head = http::Response::builder().header("content-type", "application/grpc").body(()).unwrap();
                let mut body = respond.send_response(head, false).unwrap();
                body.send_data(Bytes::from_static(&[0; 5]), false).unwrap();
                let status = http::HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
                body.send_trailers(status).unwrap();
            }
        });
        (transport, was_asked)
    }

    #[tokio::test]
    async fn a_scheduler_that_does_not_open_a_stream_is_not_waited_for_for_ever() {
        for answered in [0, 1] {
            let (transport, was_asked) = mute_after(answered).await;
            let opening =
                tokio::spawn(async move { transport.plain_work("default", &Open::default()).await.map(drop) });
            was_asked.await.unwrap();
            tokio::time::pause();
            let opened = timeout(Duration::from_secs(600), opening).await.expect("it gives up").unwrap();
            assert_eq!(opened.unwrap_err().code, Code::Unavailable);
            tokio::time::resume();
        }
    }
}
