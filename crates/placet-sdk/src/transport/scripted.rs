//! For tests: a transport without a scheduler, which answers waits and opens streams as a test says.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::stream::{self, StreamExt as _};

use super::*;

type Answering<T> = Box<dyn Fn(usize) -> BoxFuture<'static, CallResult<T>> + Send + Sync>;

/// What becomes of the calls of each kind, by how many of them came before.
pub(crate) struct Scripted {
    pub(crate) wait: Answering<Held<GetInstanceResponse>>,
    pub(crate) work: Answering<WorkStream>,
    pub(crate) history: Vec<CallResult<Vec<HistoryEvent>>>,
    pub(crate) waits: AtomicUsize,
    pub(crate) works: AtomicUsize,
}

impl Default for Scripted {
    fn default() -> Scripted {
        let (wait, work) = (Box::new(|_| never()) as Answering<_>, Box::new(|_| never()) as Answering<_>);
        Scripted { wait, work, history: Vec::new(), waits: AtomicUsize::new(0), works: AtomicUsize::new(0) }
    }
}

impl std::fmt::Debug for Scripted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Scripted").finish_non_exhaustive()
    }
}

/// A call that is lost.
pub(crate) fn never<T: Send + 'static>() -> BoxFuture<'static, CallResult<T>> {
    Box::pin(std::future::pending())
}

macro_rules! not_scripted {
    ($($method:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        $(fn $method<'a>(&'a self, $($argument: $type),*) -> BoxFuture<'a, CallResult<$answer>> {
            unreachable!(concat!("no script calls ", stringify!($method)))
        })*
    };
}

impl Transport for Scripted {
    fn wait_for_start<'a>(
        &'a self,
        hub: &'a str,
        request: GetInstanceRequest,
    ) -> BoxFuture<'a, CallResult<Held<GetInstanceResponse>>> {
        self.wait_for_completion(hub, request)
    }

    fn wait_for_completion<'a>(
        &'a self,
        _hub: &'a str,
        _request: GetInstanceRequest,
    ) -> BoxFuture<'a, CallResult<Held<GetInstanceResponse>>> {
        (self.wait)(self.waits.fetch_add(1, Ordering::Relaxed))
    }

    fn work<'a>(&'a self, _hub: &'a str, _open: Open) -> BoxFuture<'a, CallResult<WorkStream>> {
        (self.work)(self.works.fetch_add(1, Ordering::Relaxed))
    }

    fn history<'a>(&'a self, _hub: &'a str, _id: &'a str) -> BoxStream<'a, CallResult<Vec<HistoryEvent>>> {
        stream::iter(self.history.clone()).boxed()
    }

    not_scripted! {
        start_instance(_hub: &'a str, _request: CreateInstanceRequest) -> CreateInstanceResponse;
        get_instance(_hub: &'a str, _request: GetInstanceRequest) -> Held<GetInstanceResponse>;
        raise_event(_hub: &'a str, _request: RaiseEventRequest) -> ();
        terminate(_hub: &'a str, _request: TerminateRequest) -> ();
        suspend(_hub: &'a str, _request: SuspendRequest) -> ();
        resume(_hub: &'a str, _request: ResumeRequest) -> ();
        rewind(_hub: &'a str, _request: RewindInstanceRequest) -> ();
        restart(_hub: &'a str, _request: RestartInstanceRequest) -> RestartInstanceResponse;
        query(_hub: &'a str, _request: QueryInstancesRequest) -> Held<QueryInstancesResponse>;
        purge(_hub: &'a str, _request: PurgeInstancesRequest) -> PurgeInstancesResponse;
        create_hub(_hub: &'a str, _recreate: bool) -> ();
        delete_hub(_hub: &'a str) -> ();
        hello() -> ();
        accept_time() -> ();
        get_time() -> GetTimeResponse;
        advance_time(_request: AdvanceTimeRequest) -> AdvanceTimeResponse;
        start_bulk(_hub: &'a str, _request: StartBulkRequest) -> StartBulkResponse;
        get_bulk(_hub: &'a str, _request: GetBulkRequest) -> BulkOperation;
        cancel_bulk(_hub: &'a str, _request: CancelBulkRequest) -> BulkOperation;
        list_bulks(_hub: &'a str) -> ListBulksResponse;
        bulk_results(_hub: &'a str, _request: BulkResultsRequest) -> BulkResultsResponse;
        why(_hub: &'a str, _request: WhyRequest) -> WhyResponse;
        retry_poisoned(_hub: &'a str, _request: RetryPoisonedRequest) -> u32;
        ask(_hub: &'a str, _request: AskRequest) -> Held<AskResponse>;
        published(_hub: &'a str, _request: GetPublishedRequest) -> GetPublishedResponse;
        list_published(_hub: &'a str, _request: ListPublishedRequest) -> Held<ListPublishedResponse>;
        watch(_hub: &'a str, _request: WatchRequest) -> BoxStream<'static, CallResult<()>>;
        list_entries(_hub: &'a str, _request: ListEntriesRequest) -> Held<ListEntriesResponse>;
        erase_entries(_hub: &'a str, _request: EraseEntriesRequest) -> ();
        checkpoint(_hub: &'a str, _request: CheckpointRequest) -> CheckpointResponse;
    }
}
