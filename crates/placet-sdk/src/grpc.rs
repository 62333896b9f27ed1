//! The transport over gRPC.

use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use futures_util::{TryFutureExt as _, TryStreamExt as _};
use placet_proto::durabletask::{
    CreateInstanceRequest, CreateInstanceResponse, CreateTaskHubRequest, DeleteTaskHubRequest, GetInstanceRequest,
    GetInstanceResponse, HistoryEvent, PurgeInstancesRequest, PurgeInstancesResponse, QueryInstancesRequest,
    QueryInstancesResponse, RaiseEventRequest, RestartInstanceRequest, RestartInstanceResponse, ResumeRequest,
    RewindInstanceRequest, StreamInstanceHistoryRequest, SuspendRequest, TerminateRequest,
};
use placet_proto::placet::v1::{
    AcceptTimeRequest, AdvanceTimeRequest, AdvanceTimeResponse, AskRequest, AskResponse, BulkOperation,
    BulkResultsRequest, BulkResultsResponse, CancelBulkRequest, CheckpointRequest, CheckpointResponse, Completions,
    EraseEntriesRequest, GetBulkRequest, GetPublishedRequest, GetPublishedResponse, GetTimeRequest, GetTimeResponse,
    ListBulksRequest, ListBulksResponse, ListEntriesRequest, ListEntriesResponse, ListPublishedRequest,
    ListPublishedResponse, Open, RetryPoisonedRequest, StartBulkRequest, StartBulkResponse, WatchRequest, WhyRequest,
    WhyResponse, WorkerFrame, worker_frame::Frame,
};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::Request;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

use crate::generated::durabletask::task_hub_sidecar_service_client::TaskHubSidecarServiceClient;
use crate::generated::placet::admin_client::AdminClient;
use crate::generated::placet::client_client::ClientClient;
use crate::generated::placet::worker_client::WorkerClient;
use crate::transport::{BoxFuture, CallError, CallResult, Code, Held, Transport, WorkStream};

mod plain;

/// What one message may hold: more than any scheduler sends.
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// How long the attempt to connect may take. All calls wait for it meanwhile, and none has a deadline of its own.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// How long a scheduler may take to open a worker's stream: it answers at once, and a worker whose call was lost would
/// wait for ever.
const OPEN_TIME_MAX: Duration = Duration::from_secs(60);

/// What concerns no hub is asked in the one that is always there.
const HUB_NONE: &str = "default";

/// A scheduler at the other end of a gRPC channel. Connects when it is first used, and again when it must.
#[derive(Debug, Clone)]
pub struct GrpcTransport {
    channel: Channel,
    bearer: Option<MetadataValue<Ascii>>,
}

impl GrpcTransport {
    /// A transport to this endpoint: `http://host:port`, `grpc://host:port` or bare `host:port`.
    ///
    /// # Errors
    /// If the endpoint is none.
    pub fn new(endpoint: &str) -> Result<GrpcTransport, tonic::transport::Error> {
        let address = endpoint.strip_prefix("grpc://").unwrap_or(endpoint);
        let url = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
        let channel = Endpoint::from_shared(url)?
            .connect_timeout(CONNECT_TIME_MAX)
            .tcp_nodelay(true)
            .initial_connection_window_size(8 << 20)
            .initial_stream_window_size(2 << 20)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .keep_alive_while_idle(true)
            .connect_lazy();
        Ok(GrpcTransport { channel, bearer: None })
    }

    /// The same with a bearer token on every call.
    ///
    /// # Errors
    /// If the token is not printable ASCII.
    pub fn with_bearer(mut self, token: &str) -> Result<GrpcTransport, tonic::metadata::errors::InvalidMetadataValue> {
        self.bearer = Some(format!("Bearer {token}").parse()?);
        Ok(self)
    }

    /// A call in this hub. One that cannot be named in a header must not end in the hub `default`.
    fn request<T>(&self, hub: &str, message: T) -> CallResult<Request<T>> {
        let mut request = Request::new(message);
        let hub = hub
            .parse()
            .map_err(|_| CallError::new(Code::InvalidArgument, format!("taskhub: {hub:?} is not a hub's name")))?;
        request.metadata_mut().insert("taskhub", hub);
        if let Some(bearer) = &self.bearer {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }

    fn sidecar(&self) -> TaskHubSidecarServiceClient<Channel> {
        TaskHubSidecarServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn client(&self) -> ClientClient<Channel> {
        ClientClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn admin(&self) -> AdminClient<Channel> {
        AdminClient::new(self.channel.clone())
    }

    async fn placet_work(&self, hub: &str, open: Open) -> CallResult<WorkStream> {
        let (completions, outgoing) = unbounded_channel::<Completions>();
        let first = stream::iter([WorkerFrame { frame: Some(Frame::Open(open)) }]);
        let outgoing = UnboundedReceiverStream::new(outgoing)
            .map(|completions| WorkerFrame { frame: Some(Frame::Completions(completions)) });
        let mut worker = WorkerClient::new(self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let response = opened(worker.work(self.request(hub, first.chain(outgoing))?)).await?;
        let frames = response.into_inner().map(|frame| frame.map_err(CallError::from)).boxed();
        Ok(WorkStream { frames, completions: completions.into() })
    }
}

/// What opens a worker's stream, if it is answered in time.
async fn opened<T>(call: impl Future<Output = Result<T, tonic::Status>>) -> CallResult<T> {
    let unanswered = |_| CallError::new(Code::Unavailable, "the scheduler does not open the stream");
    Ok(timeout(OPEN_TIME_MAX, call).await.map_err(unanswered)??)
}

macro_rules! sidecar_call {
    ($method:ident($request:ty) -> $response:ty as $rpc:ident) => {
        fn $method<'a>(&'a self, hub: &'a str, request: $request) -> BoxFuture<'a, CallResult<$response>> {
            Box::pin(async move { Ok(self.sidecar().$rpc(self.request(hub, request)?).await?.into_inner().into()) })
        }
    };
    ($method:ident($request:ty) as $rpc:ident) => {
        fn $method<'a>(&'a self, hub: &'a str, request: $request) -> BoxFuture<'a, CallResult<()>> {
            Box::pin(async move {
                self.sidecar().$rpc(self.request(hub, request)?).await.map(drop).map_err(CallError::from)
            })
        }
    };
}

impl Transport for GrpcTransport {
    sidecar_call!(start_instance(CreateInstanceRequest) -> CreateInstanceResponse as start_instance);
    sidecar_call!(get_instance(GetInstanceRequest) -> Held<GetInstanceResponse> as get_instance);
    sidecar_call!(wait_for_start(GetInstanceRequest) -> Held<GetInstanceResponse> as wait_for_instance_start);
    sidecar_call!(wait_for_completion(GetInstanceRequest) -> Held<GetInstanceResponse> as wait_for_instance_completion);

    sidecar_call!(raise_event(RaiseEventRequest) as raise_event);
    sidecar_call!(terminate(TerminateRequest) as terminate_instance);
    sidecar_call!(suspend(SuspendRequest) as suspend_instance);
    sidecar_call!(resume(ResumeRequest) as resume_instance);
    sidecar_call!(rewind(RewindInstanceRequest) as rewind_instance);
    sidecar_call!(restart(RestartInstanceRequest) -> RestartInstanceResponse as restart_instance);
    sidecar_call!(query(QueryInstancesRequest) -> Held<QueryInstancesResponse> as query_instances);
    sidecar_call!(purge(PurgeInstancesRequest) -> PurgeInstancesResponse as purge_instances);

    fn history<'a>(&'a self, hub: &'a str, instance_id: &'a str) -> BoxStream<'a, CallResult<Vec<HistoryEvent>>> {
        let chunks = async move {
            let request = StreamInstanceHistoryRequest {
                instance_id: instance_id.to_owned(),
                ..StreamInstanceHistoryRequest::default()
            };
            Ok(self.sidecar().stream_instance_history(self.request(hub, request)?).await?.into_inner())
        };
        let pages = chunks.map_ok(|chunks| chunks.map_ok(|chunk| chunk.events).map_err(CallError::from));
        pages.try_flatten_stream().boxed()
    }

    fn create_hub<'a>(&'a self, hub: &'a str, recreate: bool) -> BoxFuture<'a, CallResult<()>> {
        Box::pin(async move {
            let request = CreateTaskHubRequest { recreate_if_exists: recreate };
            self.sidecar().create_task_hub(self.request(hub, request)?).await?;
            Ok(())
        })
    }

    fn delete_hub<'a>(&'a self, hub: &'a str) -> BoxFuture<'a, CallResult<()>> {
        Box::pin(async move {
            self.sidecar().delete_task_hub(self.request(hub, DeleteTaskHubRequest {})?).await?;
            Ok(())
        })
    }

    fn hello(&self) -> BoxFuture<'_, CallResult<()>> {
        Box::pin(async move {
            self.sidecar().hello(()).await?;
            Ok(())
        })
    }

    fn accept_time(&self) -> BoxFuture<'_, CallResult<()>> {
        Box::pin(async move {
            let request = self.request(HUB_NONE, AcceptTimeRequest {})?;
            AdminClient::new(self.channel.clone()).accept_time(request).await?;
            Ok(())
        })
    }

    fn get_time(&self) -> BoxFuture<'_, CallResult<GetTimeResponse>> {
        Box::pin(async move {
            let request = self.request(HUB_NONE, GetTimeRequest {})?;
            Ok(AdminClient::new(self.channel.clone()).get_time(request).await?.into_inner())
        })
    }

    fn advance_time(&self, request: AdvanceTimeRequest) -> BoxFuture<'_, CallResult<AdvanceTimeResponse>> {
        Box::pin(async move {
            let request = self.request(HUB_NONE, request)?;
            Ok(AdminClient::new(self.channel.clone()).advance_time(request).await?.into_inner())
        })
    }

    fn start_bulk<'a>(
        &'a self,
        hub: &'a str,
        request: StartBulkRequest,
    ) -> BoxFuture<'a, CallResult<StartBulkResponse>> {
        Box::pin(async move { Ok(self.admin().start_bulk(self.request(hub, request)?).await?.into_inner()) })
    }

    fn get_bulk<'a>(&'a self, hub: &'a str, request: GetBulkRequest) -> BoxFuture<'a, CallResult<BulkOperation>> {
        Box::pin(async move { Ok(self.admin().get_bulk(self.request(hub, request)?).await?.into_inner()) })
    }

    fn cancel_bulk<'a>(&'a self, hub: &'a str, request: CancelBulkRequest) -> BoxFuture<'a, CallResult<BulkOperation>> {
        Box::pin(async move { Ok(self.admin().cancel_bulk(self.request(hub, request)?).await?.into_inner()) })
    }

    fn list_bulks<'a>(&'a self, hub: &'a str) -> BoxFuture<'a, CallResult<ListBulksResponse>> {
        Box::pin(
            async move { Ok(self.admin().list_bulks(self.request(hub, ListBulksRequest {})?).await?.into_inner()) },
        )
    }

    fn bulk_results<'a>(
        &'a self,
        hub: &'a str,
        request: BulkResultsRequest,
    ) -> BoxFuture<'a, CallResult<BulkResultsResponse>> {
        Box::pin(async move { Ok(self.admin().bulk_results(self.request(hub, request)?).await?.into_inner()) })
    }

    fn why<'a>(&'a self, hub: &'a str, request: WhyRequest) -> BoxFuture<'a, CallResult<WhyResponse>> {
        Box::pin(async move {
            let request = self.request(hub, request)?;
            Ok(self.admin().why(request).await?.into_inner())
        })
    }

    fn retry_poisoned<'a>(&'a self, hub: &'a str, request: RetryPoisonedRequest) -> BoxFuture<'a, CallResult<u32>> {
        Box::pin(async move {
            let request = self.request(hub, request)?;
            Ok(self.admin().retry_poisoned(request).await?.into_inner().retried)
        })
    }

    fn ask<'a>(&'a self, hub: &'a str, request: AskRequest) -> BoxFuture<'a, CallResult<Held<AskResponse>>> {
        Box::pin(async move { Ok(self.client().ask(self.request(hub, request)?).await?.into_inner().into()) })
    }

    fn published<'a>(
        &'a self,
        hub: &'a str,
        request: GetPublishedRequest,
    ) -> BoxFuture<'a, CallResult<GetPublishedResponse>> {
        Box::pin(async move { Ok(self.client().get_published(self.request(hub, request)?).await?.into_inner()) })
    }

    fn list_published<'a>(
        &'a self,
        hub: &'a str,
        request: ListPublishedRequest,
    ) -> BoxFuture<'a, CallResult<Held<ListPublishedResponse>>> {
        Box::pin(
            async move { Ok(self.client().list_published(self.request(hub, request)?).await?.into_inner().into()) },
        )
    }

    fn watch<'a>(
        &'a self,
        hub: &'a str,
        request: WatchRequest,
    ) -> BoxFuture<'a, CallResult<BoxStream<'static, CallResult<()>>>> {
        Box::pin(async move {
            let changes = self.client().watch(self.request(hub, request)?).await?.into_inner();
            Ok(changes.map(|change| change.map(drop).map_err(CallError::from)).boxed())
        })
    }

    fn list_entries<'a>(
        &'a self,
        hub: &'a str,
        request: ListEntriesRequest,
    ) -> BoxFuture<'a, CallResult<Held<ListEntriesResponse>>> {
        Box::pin(async move { Ok(self.client().list_entries(self.request(hub, request)?).await?.into_inner().into()) })
    }

    fn erase_entries<'a>(&'a self, hub: &'a str, request: EraseEntriesRequest) -> BoxFuture<'a, CallResult<()>> {
        Box::pin(async move {
            self.admin().erase_entries(self.request(hub, request)?).await?;
            Ok(())
        })
    }

    fn checkpoint<'a>(
        &'a self,
        hub: &'a str,
        request: CheckpointRequest,
    ) -> BoxFuture<'a, CallResult<CheckpointResponse>> {
        Box::pin(async move { Ok(self.admin().checkpoint(self.request(hub, request)?).await?.into_inner()) })
    }

    fn work<'a>(&'a self, hub: &'a str, open: Open) -> BoxFuture<'a, CallResult<WorkStream>> {
        Box::pin(async move {
            match self.placet_work(hub, open.clone()).await {
                Err(error) if error.code == Code::Unimplemented => self.plain_work(hub, &open).await,
                answer => answer,
            }
        })
    }
}
