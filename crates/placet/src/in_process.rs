//! A transport to the scheduler in the same process: no socket, and no message put into bytes on the way in.

use futures_util::TryFutureExt as _;
use futures_util::stream::{self, BoxStream, StreamExt as _};
use placet_core::command::{Caller, WaitFor};
use placet_core::ids::{Hub, Turn};
use placet_core::wire::Events;
use placet_proto::durabletask::{
    CreateInstanceRequest, CreateInstanceResponse, GetInstanceRequest, GetInstanceResponse, HistoryEvent,
    PurgeInstancesRequest, PurgeInstancesResponse, QueryInstancesRequest, QueryInstancesResponse, RaiseEventRequest,
    RestartInstanceRequest, RestartInstanceResponse, ResumeRequest, RewindInstanceRequest, SuspendRequest,
    TerminateRequest, WorkItem,
};
use placet_proto::placet::v1::{
    AdvanceTimeRequest, AdvanceTimeResponse, AskRequest, AskResponse, BulkOperation, BulkResultsRequest,
    BulkResultsResponse, CancelBulkRequest, CheckpointRequest, CheckpointResponse, EraseEntriesRequest, GetBulkRequest,
    GetPublishedRequest, GetPublishedResponse, GetTimeResponse, ListBulksResponse, ListEntriesRequest,
    ListEntriesResponse, ListPublishedRequest, ListPublishedResponse, Open, RetryPoisonedRequest, SchedulerFrame,
    StartBulkRequest, StartBulkResponse, WatchRequest, WhyRequest, WhyResponse, WorkEnvelope,
};
use placet_scheduler::grpc::{status_of, stream_spec};
use placet_scheduler::{Generation, Page, Scheduler, Share, StreamOut, Weighed, WorkerStream};
use placet_sdk::{BoxFuture, CallError, CallResult, Code, Completer, Held, Room, Transport, WorkStream};
use prost::Message as _;

/// Items and acknowledgements handed over at once.
const FRAME_ITEMS_MAX: usize = 64;

/// The transport. `Client::over(Arc::new(InProcess::new(scheduler)), "default")` is a client over it.
#[derive(Debug, Clone)]
pub struct InProcess(Scheduler);

impl InProcess {
    /// A transport to this scheduler.
    pub fn new(scheduler: Scheduler) -> InProcess {
        InProcess(scheduler)
    }

    async fn call<T>(
        &self,
        hub: &str,
        call: impl AsyncFnOnce(&Scheduler, Hub) -> Result<T, placet_scheduler::CallError>,
    ) -> CallResult<T> {
        let hub = self.0.hub(hub).map_err(|error| told(&error.into()))?;
        call(&self.0, hub).await.map_err(|error| told(&error))
    }

    /// A call that brings something: it has a share of the budget until it is answered.
    async fn bring<T>(
        &self,
        hub: &str,
        bytes: usize,
        call: impl AsyncFnOnce(&Scheduler, Hub) -> Result<T, placet_scheduler::CallError>,
    ) -> CallResult<T> {
        let _share = self.share(bytes).await?;
        self.call(hub, call).await
    }

    async fn share(&self, bytes: usize) -> CallResult<Share> {
        let share = self.0.budget().share(bytes).await;
        share.map_err(|placet_scheduler::Busy| told(&placet_scheduler::CallError::Busy))
    }
}

/// A history that is being read. Of the budget it has a page's share, for as long as somebody looks at that page.
struct Reading<'a> {
    scheduler: &'a Scheduler,
    of: Generation,
    /// What was read to begin with.
    first: Option<Page>,
    /// Where to read on.
    next: Turn,
    _share: Option<Share>,
}

impl Reading<'_> {
    async fn page(mut self) -> CallResult<Option<(Vec<HistoryEvent>, Self)>> {
        self._share = None;
        let page = match self.first.take() {
            Some(page) => page,
            None => self.scheduler.history(&self.of, self.next).await.map_err(|error| told(&error))?,
        };
        let Page { rows, share } = page;
        let Some(last) = rows.last() else { return Ok(None) };
        self.next = last.turn.next();
        self._share = Some(share);
        let damaged = |error: &dyn std::error::Error| CallError::new(Code::DataLoss, error.to_string());
        let events = rows.iter().flat_map(|row| Events(&row.events));
        let events = events.map(|event| HistoryEvent::decode(event.map_err(|e| damaged(&e))?).map_err(|e| damaged(&e)));
        Ok(Some((events.collect::<CallResult<_>>()?, self)))
    }
}

/// The caller's own process: nothing is proved, and nothing needs to be.
fn caller() -> Caller {
    Caller { principal: String::new(), proof: "none".to_owned() }
}

impl Transport for InProcess {
    fn start_instance<'a>(
        &'a self,
        hub: &'a str,
        request: CreateInstanceRequest,
    ) -> BoxFuture<'a, CallResult<CreateInstanceResponse>> {
        let bytes = request.encoded_len();
        Box::pin(self.bring(hub, bytes, async |scheduler, hub| scheduler.start_instance(hub, request).await))
    }

    fn get_instance<'a>(
        &'a self,
        hub: &'a str,
        request: GetInstanceRequest,
    ) -> BoxFuture<'a, CallResult<Held<GetInstanceResponse>>> {
        Box::pin(
            self.call(hub, async |scheduler, hub| scheduler.get_instance(hub, request, Vec::new()).await.map(held)),
        )
    }

    fn wait_for_start<'a>(
        &'a self,
        hub: &'a str,
        request: GetInstanceRequest,
    ) -> BoxFuture<'a, CallResult<Held<GetInstanceResponse>>> {
        Box::pin(self.call(hub, async |scheduler, hub| {
            scheduler.wait_for_instance(hub, request, WaitFor::Start, Vec::new()).await.map(held)
        }))
    }

    fn wait_for_completion<'a>(
        &'a self,
        hub: &'a str,
        request: GetInstanceRequest,
    ) -> BoxFuture<'a, CallResult<Held<GetInstanceResponse>>> {
        Box::pin(self.call(hub, async |scheduler, hub| {
            scheduler.wait_for_instance(hub, request, WaitFor::Completion, Vec::new()).await.map(held)
        }))
    }

    fn raise_event<'a>(&'a self, hub: &'a str, request: RaiseEventRequest) -> BoxFuture<'a, CallResult<()>> {
        let bytes = request.encoded_len();
        Box::pin(self.bring(hub, bytes, async |scheduler, hub| scheduler.raise_event(hub, request, caller()).await))
    }

    fn terminate<'a>(&'a self, hub: &'a str, request: TerminateRequest) -> BoxFuture<'a, CallResult<()>> {
        let bytes = request.encoded_len();
        Box::pin(self.bring(hub, bytes, async |scheduler, hub| scheduler.terminate_instance(hub, request).await))
    }

    fn suspend<'a>(&'a self, hub: &'a str, request: SuspendRequest) -> BoxFuture<'a, CallResult<()>> {
        let bytes = request.encoded_len();
        Box::pin(self.bring(hub, bytes, async |scheduler, hub| scheduler.suspend_instance(hub, request).await))
    }

    fn resume<'a>(&'a self, hub: &'a str, request: ResumeRequest) -> BoxFuture<'a, CallResult<()>> {
        let bytes = request.encoded_len();
        Box::pin(self.bring(hub, bytes, async |scheduler, hub| scheduler.resume_instance(hub, request).await))
    }

    fn rewind<'a>(&'a self, hub: &'a str, request: RewindInstanceRequest) -> BoxFuture<'a, CallResult<()>> {
        let bytes = request.encoded_len();
        Box::pin(self.bring(hub, bytes, async |scheduler, hub| scheduler.rewind_instance(hub, request).await))
    }

    fn restart<'a>(
        &'a self,
        hub: &'a str,
        request: RestartInstanceRequest,
    ) -> BoxFuture<'a, CallResult<RestartInstanceResponse>> {
        Box::pin(self.call(hub, async |scheduler, hub| scheduler.restart_instance(hub, request).await))
    }

    fn query<'a>(
        &'a self,
        hub: &'a str,
        request: QueryInstancesRequest,
    ) -> BoxFuture<'a, CallResult<Held<QueryInstancesResponse>>> {
        Box::pin(self.call(hub, async |scheduler, hub| scheduler.query_instances(hub, request).await.map(held)))
    }

    fn purge<'a>(
        &'a self,
        hub: &'a str,
        request: PurgeInstancesRequest,
    ) -> BoxFuture<'a, CallResult<PurgeInstancesResponse>> {
        Box::pin(self.call(hub, async |scheduler, hub| scheduler.purge_instances(hub, request).await))
    }

    fn history<'a>(&'a self, hub: &'a str, instance_id: &'a str) -> BoxStream<'a, CallResult<Vec<HistoryEvent>>> {
        let reading = async move {
            let found =
                self.call(hub, async |scheduler, hub| scheduler.first_page(hub, instance_id, None).await).await?;
            let reading = found.map(|(of, first)| {
                let (next, first) = (of.first, Some(first));
                Reading { scheduler: &self.0, of, first, next, _share: None }
            });
            Ok(stream::try_unfold(reading, async |reading| match reading {
                Some(reading) => Ok(reading.page().await?.map(|(page, reading)| (page, Some(reading)))),
                None => Ok(None),
            }))
        };
        reading.try_flatten_stream().boxed()
    }

    fn create_hub<'a>(&'a self, hub: &'a str, recreate: bool) -> BoxFuture<'a, CallResult<()>> {
        Box::pin(self.call(hub, async move |scheduler, hub| scheduler.create_hub(hub, recreate).await))
    }

    fn delete_hub<'a>(&'a self, hub: &'a str) -> BoxFuture<'a, CallResult<()>> {
        Box::pin(self.call(hub, async |scheduler, hub| scheduler.delete_hub(hub).await))
    }

    fn hello(&self) -> BoxFuture<'_, CallResult<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn accept_time(&self) -> BoxFuture<'_, CallResult<()>> {
        Box::pin(async { self.0.accept_time().await.map_err(|error| told(&error)) })
    }

    fn get_time(&self) -> BoxFuture<'_, CallResult<GetTimeResponse>> {
        Box::pin(std::future::ready(Ok(self.0.get_time())))
    }

    fn advance_time(&self, request: AdvanceTimeRequest) -> BoxFuture<'_, CallResult<AdvanceTimeResponse>> {
        Box::pin(async move { self.0.advance_time(request).await.map_err(|error| told(&error)) })
    }

    fn start_bulk<'a>(
        &'a self,
        hub: &'a str,
        request: StartBulkRequest,
    ) -> BoxFuture<'a, CallResult<StartBulkResponse>> {
        Box::pin(self.call(hub, async move |scheduler, hub| scheduler.start_bulk(hub, request, caller()).await))
    }

    fn get_bulk<'a>(&'a self, hub: &'a str, request: GetBulkRequest) -> BoxFuture<'a, CallResult<BulkOperation>> {
        Box::pin(self.call(hub, async move |scheduler, hub| scheduler.get_bulk(hub, request).await))
    }

    fn cancel_bulk<'a>(&'a self, hub: &'a str, request: CancelBulkRequest) -> BoxFuture<'a, CallResult<BulkOperation>> {
        Box::pin(self.call(hub, async move |scheduler, hub| scheduler.cancel_bulk(hub, request).await))
    }

    fn list_bulks<'a>(&'a self, hub: &'a str) -> BoxFuture<'a, CallResult<ListBulksResponse>> {
        Box::pin(self.call(hub, async |scheduler, hub| Ok(scheduler.list_bulks(hub).await?.value)))
    }

    fn bulk_results<'a>(
        &'a self,
        hub: &'a str,
        request: BulkResultsRequest,
    ) -> BoxFuture<'a, CallResult<BulkResultsResponse>> {
        Box::pin(self.call(hub, async move |scheduler, hub| Ok(scheduler.bulk_results(hub, request).await?.value)))
    }

    fn why<'a>(&'a self, hub: &'a str, request: WhyRequest) -> BoxFuture<'a, CallResult<WhyResponse>> {
        Box::pin(self.call(hub, async move |scheduler, hub| scheduler.why(hub, &request.instance_id).await))
    }

    fn retry_poisoned<'a>(&'a self, hub: &'a str, request: RetryPoisonedRequest) -> BoxFuture<'a, CallResult<u32>> {
        Box::pin(self.call(hub, async move |scheduler, hub| scheduler.retry_poisoned(hub, &request.instance_id).await))
    }

    fn ask<'a>(&'a self, hub: &'a str, request: AskRequest) -> BoxFuture<'a, CallResult<Held<AskResponse>>> {
        Box::pin(async move {
            let shares = vec![self.share(request.encoded_len()).await?];
            self.call(hub, async |scheduler, hub| scheduler.ask(hub, request, caller(), shares).await.map(held)).await
        })
    }

    fn published<'a>(
        &'a self,
        hub: &'a str,
        request: GetPublishedRequest,
    ) -> BoxFuture<'a, CallResult<GetPublishedResponse>> {
        Box::pin(self.call(hub, async |scheduler, hub| scheduler.published(hub, request).await))
    }

    fn list_published<'a>(
        &'a self,
        hub: &'a str,
        request: ListPublishedRequest,
    ) -> BoxFuture<'a, CallResult<Held<ListPublishedResponse>>> {
        Box::pin(self.call(hub, async |scheduler, hub| scheduler.list_published(hub, request).await.map(held)))
    }

    fn watch<'a>(
        &'a self,
        hub: &'a str,
        request: WatchRequest,
    ) -> BoxFuture<'a, CallResult<BoxStream<'static, CallResult<()>>>> {
        Box::pin(self.call(hub, async |scheduler, hub| {
            let changes = scheduler.watch(hub, request)?.changes().map(Ok);
            Ok(changes.boxed())
        }))
    }

    fn list_entries<'a>(
        &'a self,
        hub: &'a str,
        request: ListEntriesRequest,
    ) -> BoxFuture<'a, CallResult<Held<ListEntriesResponse>>> {
        Box::pin(self.call(hub, async |scheduler, hub| scheduler.list_entries(hub, request).await.map(held)))
    }

    fn erase_entries<'a>(&'a self, hub: &'a str, request: EraseEntriesRequest) -> BoxFuture<'a, CallResult<()>> {
        Box::pin(self.call(hub, async |scheduler, hub| scheduler.erase_entries(hub, request).await.map(drop)))
    }

    fn checkpoint<'a>(
        &'a self,
        hub: &'a str,
        request: CheckpointRequest,
    ) -> BoxFuture<'a, CallResult<CheckpointResponse>> {
        Box::pin(self.call(hub, async move |scheduler, hub| scheduler.checkpoint(hub, request).await))
    }

    fn work<'a>(&'a self, hub: &'a str, open: Open) -> BoxFuture<'a, CallResult<WorkStream>> {
        Box::pin(async move {
            let hub = self.0.hub(hub).map_err(|error| told(&error.into()))?;
            let spec = stream_spec(hub, &open).map_err(|error| told(&error))?;
            let worker = self.0.open_stream(spec).map_err(|error| told(&error))?;
            let sender = worker.sender();
            let completions = Completer::new(move |completions| {
                sender.complete(completions, Vec::new());
                Ok(())
            });
            let frames = stream::unfold((worker, Read::default()), |(mut worker, mut read)| async move {
                let frame = read.next(&mut worker).await?;
                Some((frame, (worker, read)))
            });
            Ok(WorkStream { frames: frames.boxed(), completions })
        })
    }
}

/// What the last frame left behind.
#[derive(Default)]
struct Read {
    /// Room for what comes next: as much of it as there was at most.
    buffer: Vec<StreamOut>,
    /// Of the budget, which whoever asks for the next frame gives back.
    shares: Vec<Share>,
}

impl Read {
    async fn next(&mut self, worker: &mut WorkerStream) -> Option<CallResult<SchedulerFrame>> {
        self.shares.clear();
        self.buffer.clear();
        if worker.recv_many(&mut self.buffer, FRAME_ITEMS_MAX).await == 0 {
            return None;
        }
        let mut frame = SchedulerFrame { work: Vec::with_capacity(self.buffer.len()), acks: Vec::new() };
        for out in self.buffer.drain(..) {
            drop(worker.unread(&out));
            match out {
                StreamOut::Item { hub, item, share } => match WorkItem::decode(item) {
                    Ok(item) => {
                        frame.work.push(WorkEnvelope { item: Some(item), hub: hub.as_str().to_owned() });
                        self.shares.extend(share);
                    }
                    Err(error) => return Some(Err(CallError::new(Code::DataLoss, error.to_string()))),
                },
                StreamOut::Ack(ack) => frame.acks.push(ack),
                StreamOut::Ping => {}
                // What came with it is done again by whoever connects next: nothing of it was promised.
                StreamOut::Closed => return None,
            }
        }
        Some(Ok(frame))
    }
}

/// A long answer has its share of the budget for as long as anything of it is in use.
fn held<T>(answer: Weighed<T>) -> Held<T> {
    Held { value: answer.value, room: answer.share.map(Room::new).unwrap_or_default() }
}

fn told(error: &placet_scheduler::CallError) -> CallError {
    CallError::from(status_of(error))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::FutureExt as _;
    use placet_sdk::{Answer, Client, OrchestrationContext, Result, Worker};
    use placet_store::model::ModelStore;

    use super::*;

    const LONG: usize = 3 << 20;

    async fn wait(ctx: OrchestrationContext, _: String) -> Result<()> {
        Ok(ctx.external_event("end").await?)
    }

    /// A scheduler with an instance that was given much.
    async fn scheduler() -> (Scheduler, Client) {
        let scheduler = Scheduler::start(Arc::new(ModelStore::default())).unwrap();
        let client = Client::over(Arc::new(InProcess::new(scheduler.clone())), "default");
        let worker = Worker::builder(client.clone()).orchestration("wait", wait).start();
        client.start("wait", &"x".repeat(LONG)).id("i").await.unwrap();
        client.wait_for_start("i").await.unwrap();
        worker.shutdown().await;
        (scheduler, client)
    }

    /// Whether nobody has anything of the budget for what is large.
    fn is_free(scheduler: &Scheduler) -> bool {
        scheduler.budget().share(1 << 30).now_or_never().is_some()
    }

    async fn stop(scheduler: Scheduler) {
        tokio::task::spawn_blocking(move || scheduler.stop()).await.unwrap();
    }

    #[tokio::test]
    async fn a_page_of_history_counts_until_the_next_one_is_asked_for() {
        let (scheduler, client) = scheduler().await;
        let mut pages = client.transport().history("default", "i");
        assert!(pages.next().await.unwrap().unwrap().len() > 1);
        assert!(!is_free(&scheduler));
        assert!(pages.next().await.is_none());
        assert!(is_free(&scheduler));
        assert_eq!(client.first_event("i", "end").await.unwrap(), None);
        assert_eq!(client.history("none").await.unwrap(), []);
        stop(scheduler).await;
    }

    #[tokio::test]
    async fn a_long_state_counts_for_as_long_as_anything_of_it_is_in_use() {
        let (scheduler, client) = scheduler().await;
        let ask = async || client.ask("i", "asked", &()).wait(std::time::Duration::from_millis(1)).await.unwrap();
        assert_eq!(ask().await, Answer::Recorded);
        client.terminate("i", &()).await.unwrap();
        let worker = Worker::builder(client.clone()).orchestration("wait", wait).start();
        let state = client.wait_for_completion("i").await.unwrap();
        assert!(!is_free(&scheduler));
        drop(state);
        assert!(is_free(&scheduler));
        let state = client.get("i").await.unwrap().unwrap();
        let room = state.room().clone();
        drop(state);
        assert!(!is_free(&scheduler));
        drop(room);
        assert!(is_free(&scheduler));
        let answer = ask().await;
        assert!(matches!(answer, Answer::Ended(_)), "{answer:?}");
        assert!(!is_free(&scheduler));
        drop(answer);
        assert!(is_free(&scheduler));

        // There is room for the answer, and not for the question besides.
        let _others = scheduler.budget().share(62 << 20).await.unwrap();
        let long = client.ask("i", "asked", &"x".repeat(2 << 20));
        let answer = tokio::time::timeout(std::time::Duration::from_secs(20), async { long.await }).await;
        assert!(matches!(answer, Ok(Ok(Answer::Ended(_)))), "{answer:?}");
        worker.shutdown().await;
        stop(scheduler).await;
    }
}
