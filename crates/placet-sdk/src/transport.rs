//! How a client or worker reaches a scheduler. Two implementations, one contract: the program cannot tell
//! which one it has.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::stream::BoxStream;
use placet_proto::durabletask::{
    CreateInstanceRequest, CreateInstanceResponse, GetInstanceRequest, GetInstanceResponse, HistoryEvent,
    PurgeInstancesRequest, PurgeInstancesResponse, QueryInstancesRequest, QueryInstancesResponse, RaiseEventRequest,
    RestartInstanceRequest, RestartInstanceResponse, ResumeRequest, RewindInstanceRequest, SuspendRequest,
    TerminateRequest,
};
use placet_proto::placet::v1::{
    AdvanceTimeRequest, AdvanceTimeResponse, AskRequest, AskResponse, BulkOperation, BulkResultsRequest,
    BulkResultsResponse, CancelBulkRequest, CheckpointRequest, CheckpointResponse, Completions, EraseEntriesRequest,
    GetBulkRequest, GetPublishedRequest, GetPublishedResponse, GetTimeResponse, ListBulksResponse, ListEntriesRequest,
    ListEntriesResponse, ListPublishedRequest, ListPublishedResponse, Open, RetryPoisonedRequest, SchedulerFrame,
    StartBulkRequest, StartBulkResponse, WatchRequest, WhyRequest, WhyResponse,
};
use tokio::sync::mpsc::UnboundedSender;

#[cfg(test)]
pub(crate) mod scripted;

/// A future that can be kept behind a trait object.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The answer to a call.
pub type CallResult<T> = Result<T, CallError>;

/// A scheduler, as a client or worker sees it. Each method is one call of the protocol; `hub` is the task hub.
pub trait Transport: Send + Sync + std::fmt::Debug + 'static {
    /// StartInstance.
    fn start_instance<'a>(
        &'a self,
        hub: &'a str,
        request: CreateInstanceRequest,
    ) -> BoxFuture<'a, CallResult<CreateInstanceResponse>>;
    /// GetInstance.
    fn get_instance<'a>(
        &'a self,
        hub: &'a str,
        request: GetInstanceRequest,
    ) -> BoxFuture<'a, CallResult<Held<GetInstanceResponse>>>;
    /// WaitForInstanceStart.
    fn wait_for_start<'a>(
        &'a self,
        hub: &'a str,
        request: GetInstanceRequest,
    ) -> BoxFuture<'a, CallResult<Held<GetInstanceResponse>>>;
    /// WaitForInstanceCompletion.
    fn wait_for_completion<'a>(
        &'a self,
        hub: &'a str,
        request: GetInstanceRequest,
    ) -> BoxFuture<'a, CallResult<Held<GetInstanceResponse>>>;
    /// RaiseEvent.
    fn raise_event<'a>(&'a self, hub: &'a str, request: RaiseEventRequest) -> BoxFuture<'a, CallResult<()>>;
    /// TerminateInstance.
    fn terminate<'a>(&'a self, hub: &'a str, request: TerminateRequest) -> BoxFuture<'a, CallResult<()>>;
    /// SuspendInstance.
    fn suspend<'a>(&'a self, hub: &'a str, request: SuspendRequest) -> BoxFuture<'a, CallResult<()>>;
    /// ResumeInstance.
    fn resume<'a>(&'a self, hub: &'a str, request: ResumeRequest) -> BoxFuture<'a, CallResult<()>>;
    /// RewindInstance.
    fn rewind<'a>(&'a self, hub: &'a str, request: RewindInstanceRequest) -> BoxFuture<'a, CallResult<()>>;
    /// RestartInstance.
    fn restart<'a>(
        &'a self,
        hub: &'a str,
        request: RestartInstanceRequest,
    ) -> BoxFuture<'a, CallResult<RestartInstanceResponse>>;
    /// QueryInstances.
    fn query<'a>(
        &'a self,
        hub: &'a str,
        request: QueryInstancesRequest,
    ) -> BoxFuture<'a, CallResult<Held<QueryInstancesResponse>>>;
    /// PurgeInstances.
    fn purge<'a>(
        &'a self,
        hub: &'a str,
        request: PurgeInstancesRequest,
    ) -> BoxFuture<'a, CallResult<PurgeInstancesResponse>>;
    /// StreamInstanceHistory: page after page.
    fn history<'a>(&'a self, hub: &'a str, instance_id: &'a str) -> BoxStream<'a, CallResult<Vec<HistoryEvent>>>;
    /// CreateTaskHub.
    fn create_hub<'a>(&'a self, hub: &'a str, recreate: bool) -> BoxFuture<'a, CallResult<()>>;
    /// DeleteTaskHub.
    fn delete_hub<'a>(&'a self, hub: &'a str) -> BoxFuture<'a, CallResult<()>>;
    /// Hello: whether the scheduler is there.
    fn hello(&self) -> BoxFuture<'_, CallResult<()>>;
    /// placet.v1 AcceptTime.
    fn accept_time(&self) -> BoxFuture<'_, CallResult<()>>;
    /// placet.v1 GetTime.
    fn get_time(&self) -> BoxFuture<'_, CallResult<GetTimeResponse>>;
    /// placet.v1 AdvanceTime.
    fn advance_time(&self, request: AdvanceTimeRequest) -> BoxFuture<'_, CallResult<AdvanceTimeResponse>>;
    /// placet.v1 StartBulk.
    fn start_bulk<'a>(
        &'a self,
        hub: &'a str,
        request: StartBulkRequest,
    ) -> BoxFuture<'a, CallResult<StartBulkResponse>>;
    /// placet.v1 GetBulk.
    fn get_bulk<'a>(&'a self, hub: &'a str, request: GetBulkRequest) -> BoxFuture<'a, CallResult<BulkOperation>>;
    /// placet.v1 CancelBulk.
    fn cancel_bulk<'a>(&'a self, hub: &'a str, request: CancelBulkRequest) -> BoxFuture<'a, CallResult<BulkOperation>>;
    /// placet.v1 ListBulks.
    fn list_bulks<'a>(&'a self, hub: &'a str) -> BoxFuture<'a, CallResult<ListBulksResponse>>;
    /// placet.v1 BulkResults.
    fn bulk_results<'a>(
        &'a self,
        hub: &'a str,
        request: BulkResultsRequest,
    ) -> BoxFuture<'a, CallResult<BulkResultsResponse>>;
    /// placet.v1 Why.
    fn why<'a>(&'a self, hub: &'a str, request: WhyRequest) -> BoxFuture<'a, CallResult<WhyResponse>>;
    /// placet.v1 RetryPoisoned: how many items were put back to work.
    fn retry_poisoned<'a>(&'a self, hub: &'a str, request: RetryPoisonedRequest) -> BoxFuture<'a, CallResult<u32>>;
    /// placet.v1 Ask.
    fn ask<'a>(&'a self, hub: &'a str, request: AskRequest) -> BoxFuture<'a, CallResult<Held<AskResponse>>>;
    /// placet.v1 GetPublished.
    fn published<'a>(
        &'a self,
        hub: &'a str,
        request: GetPublishedRequest,
    ) -> BoxFuture<'a, CallResult<GetPublishedResponse>>;
    /// placet.v1 ListPublished.
    fn list_published<'a>(
        &'a self,
        hub: &'a str,
        request: ListPublishedRequest,
    ) -> BoxFuture<'a, CallResult<Held<ListPublishedResponse>>>;
    /// placet.v1 Watch: one for each time when there is something new. What is committed once this is answered is told of.
    fn watch<'a>(
        &'a self,
        hub: &'a str,
        request: WatchRequest,
    ) -> BoxFuture<'a, CallResult<BoxStream<'static, CallResult<()>>>>;
    /// placet.v1 ListEntries.
    fn list_entries<'a>(
        &'a self,
        hub: &'a str,
        request: ListEntriesRequest,
    ) -> BoxFuture<'a, CallResult<Held<ListEntriesResponse>>>;
    /// placet.v1 EraseEntries.
    fn erase_entries<'a>(&'a self, hub: &'a str, request: EraseEntriesRequest) -> BoxFuture<'a, CallResult<()>>;
    /// placet.v1 Checkpoint.
    fn checkpoint<'a>(
        &'a self,
        hub: &'a str,
        request: CheckpointRequest,
    ) -> BoxFuture<'a, CallResult<CheckpointResponse>>;
    /// Opens a worker's stream: placet.v1 Work, or GetWorkItems with a scheduler that has only that.
    fn work<'a>(&'a self, hub: &'a str, open: Open) -> BoxFuture<'a, CallResult<WorkStream>>;
}

/// Room that an answer has where it was made, for as long as anything of it is in use: it is given back when the last of
/// these is dropped. What comes over a network has none.
#[derive(Clone, Default)]
pub struct Room(Option<Arc<dyn Any + Send + Sync>>);

impl Room {
    /// What gives it back when it is dropped.
    pub fn new(room: impl Any + Send + Sync) -> Room {
        Room(Some(Arc::new(room)))
    }

    /// Whether there is any.
    pub fn is_some(&self) -> bool {
        self.0.is_some()
    }
}

impl std::fmt::Debug for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Room").field(&self.is_some()).finish()
    }
}

/// An answer that may be long, and its room.
#[derive(Debug, Default)]
pub struct Held<T> {
    /// The answer.
    pub value: T,
    /// Its room.
    pub room: Room,
}

impl<T> From<T> for Held<T> {
    fn from(value: T) -> Held<T> {
        Held { value, room: Room::default() }
    }
}

/// A worker's stream, both ways. Dropping it closes it: what the worker holds goes to others.
pub struct WorkStream {
    /// Work items and acknowledgements.
    pub frames: BoxStream<'static, CallResult<SchedulerFrame>>,
    /// Where completions go; each is acknowledged by its token.
    pub completions: Completer,
}

impl std::fmt::Debug for WorkStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkStream").finish_non_exhaustive()
    }
}

/// The way back of a worker's stream. Sending never waits: how much is under way is bounded by what the scheduler
/// hands out.
pub struct Completer(Box<dyn Fn(Completions) -> Result<(), Closed> + Send + Sync>);

/// The stream has ended: what was to be sent was not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the stream has ended")]
pub struct Closed;

impl Completer {
    /// A way back that gives completions to this function.
    pub fn new(give: impl Fn(Completions) -> Result<(), Closed> + Send + Sync + 'static) -> Completer {
        Completer(Box::new(give))
    }

    /// Sends completions.
    ///
    /// # Errors
    /// If the stream has ended.
    pub fn send(&self, completions: Completions) -> Result<(), Closed> {
        (self.0)(completions)
    }
}

impl From<UnboundedSender<Completions>> for Completer {
    fn from(sender: UnboundedSender<Completions>) -> Completer {
        Completer::new(move |completions| sender.send(completions).map_err(|_| Closed))
    }
}

impl std::fmt::Debug for Completer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Completer").finish_non_exhaustive()
    }
}

/// Why a call was not answered with what it asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({code:?})")]
pub struct CallError {
    /// The kind.
    pub code: Code,
    /// In words.
    pub message: String,
    /// The name of the cause, where one code stands for several: `disk-full`.
    pub reason: Option<String>,
}

/// The kinds of [`CallError`]: gRPC's status codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "https://grpc.io/docs/guides/status-codes/")]
pub enum Code {
    Cancelled,
    Unknown,
    InvalidArgument,
    DeadlineExceeded,
    NotFound,
    AlreadyExists,
    PermissionDenied,
    ResourceExhausted,
    FailedPrecondition,
    Aborted,
    OutOfRange,
    Unimplemented,
    Internal,
    Unavailable,
    DataLoss,
    Unauthenticated,
}

impl CallError {
    /// An error of this kind.
    pub fn new(code: Code, message: impl Into<String>) -> CallError {
        CallError { code, message: message.into(), reason: None }
    }
}

impl From<tonic::Status> for CallError {
    fn from(status: tonic::Status) -> CallError {
        let reason = status.metadata().get("placet-reason").and_then(|reason| reason.to_str().ok());
        CallError { reason: reason.map(str::to_owned), ..CallError::new(status.code().into(), status.message()) }
    }
}

impl From<tonic::Code> for Code {
    fn from(code: tonic::Code) -> Code {
        match code {
            tonic::Code::Cancelled => Code::Cancelled,
            tonic::Code::Ok | tonic::Code::Unknown => Code::Unknown,
            tonic::Code::InvalidArgument => Code::InvalidArgument,
            tonic::Code::DeadlineExceeded => Code::DeadlineExceeded,
            tonic::Code::NotFound => Code::NotFound,
            tonic::Code::AlreadyExists => Code::AlreadyExists,
            tonic::Code::PermissionDenied => Code::PermissionDenied,
            tonic::Code::ResourceExhausted => Code::ResourceExhausted,
            tonic::Code::FailedPrecondition => Code::FailedPrecondition,
            tonic::Code::Aborted => Code::Aborted,
            tonic::Code::OutOfRange => Code::OutOfRange,
            tonic::Code::Unimplemented => Code::Unimplemented,
            tonic::Code::Internal => Code::Internal,
            tonic::Code::Unavailable => Code::Unavailable,
            tonic::Code::DataLoss => Code::DataLoss,
            tonic::Code::Unauthenticated => Code::Unauthenticated,
        }
    }
}
