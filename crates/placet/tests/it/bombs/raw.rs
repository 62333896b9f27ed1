//! The protocol without an SDK: for what no SDK would do.

use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use placet_proto::durabletask::{GetWorkItemsRequest, WorkItem};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// A connection of its own.
pub(super) async fn channel(endpoint: &str) -> Channel {
    Endpoint::from_shared(endpoint.to_owned()).unwrap().tcp_nodelay(true).connect().await.unwrap()
}

/// A call of the sidecar service.
pub(super) async fn call<Q, A>(channel: &Channel, method: &str, request: Q) -> Result<A, Status>
where
    Q: prost::Message + Default + Send + Sync + 'static,
    A: prost::Message + Default + Send + Sync + 'static,
{
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| Status::unknown(error.to_string()))?;
    let path = PathAndQuery::try_from(format!("/TaskHubSidecarService/{method}")).unwrap();
    Ok(grpc.unary(Request::new(request), path, ProstCodec::<Q, A>::default()).await?.into_inner())
}

/// A worker's stream that takes whatever there is.
pub(super) async fn work_items(channel: &Channel, request: GetWorkItemsRequest) -> Streaming<WorkItem> {
    let mut grpc = Grpc::new(channel.clone()).max_decoding_message_size(usize::MAX);
    grpc.ready().await.unwrap();
    let path = PathAndQuery::from_static("/TaskHubSidecarService/GetWorkItems");
    let codec = ProstCodec::<GetWorkItemsRequest, WorkItem>::default();
    grpc.server_streaming(Request::new(request), path, codec).await.unwrap().into_inner()
}

/// A call whose body is these bytes, piece by piece, each with its frame or without: what comes back, status included.
pub(super) async fn pieces(
    channel: &Channel,
    path: &str,
    body: impl futures_util::Stream<Item = Bytes> + Send + 'static,
) -> Status {
    use futures_util::StreamExt as _;
    use tonic::codegen::Service as _;
    let frames = body.map(|bytes| Ok::<_, Status>(http_body::Frame::data(bytes)));
    let body = tonic::body::Body::new(http_body_util::StreamBody::new(frames));
    let request = http::Request::post(path).header("content-type", "application/grpc").header("te", "trailers");
    let mut channel = channel.clone();
    std::future::poll_fn(|cx| channel.poll_ready(cx)).await.unwrap();
    match channel.call(request.body(body).unwrap()).await {
        Err(error) => Status::from_error(error.into()),
        Ok(answer) => match Status::from_header_map(answer.headers()) {
            Some(status) => status,
            None => {
                let collected = http_body_util::BodyExt::collect(answer.into_body()).await;
                match collected {
                    Err(status) => status,
                    Ok(collected) => {
                        let trailers = collected.trailers().cloned().unwrap_or_default();
                        Status::from_header_map(&trailers).unwrap_or_else(|| Status::ok(""))
                    }
                }
            }
        },
    }
}

/// A program that is the server with so many descriptors and no more.
pub(super) fn with_descriptors(folder: &std::path::Path, number: u32) -> std::path::PathBuf {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("placet-with-few-descriptors");
    let mut script = std::fs::File::create(&path).unwrap();
    write!(script, "#!/bin/sh\nulimit -n {number}\nexec {} \"$@\"\n", crate::PLACET).unwrap();
    script.set_permissions(std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// A connection whose answers are taken as slowly as its owner likes.
pub(super) struct Reluctant {
    client: h2::client::SendRequest<Bytes>,
    connection: JoinHandle<Result<(), h2::Error>>,
    authority: String,
}

impl Reluctant {
    /// It lets the server send so much of each answer before any of it is taken.
    pub(super) async fn connect(endpoint: &str, window: u32) -> Reluctant {
        let authority = endpoint.trim_start_matches("http://").to_owned();
        let stream = TcpStream::connect(&authority).await.unwrap();
        let mut builder = h2::client::Builder::new();
        let (client, connection) = builder.initial_window_size(window).handshake(stream).await.unwrap();
        Reluctant { client, connection: tokio::spawn(connection), authority }
    }

    /// Calls. Nothing if the server has ended the connection.
    pub(super) async fn call(&mut self, method: &str, request: &impl prost::Message) -> Option<ResponseFuture> {
        let mut message = vec![0];
        message.extend(u32::try_from(request.encoded_len()).unwrap().to_be_bytes());
        message.extend(request.encode_to_vec());
        let call = http::Request::post(format!("http://{}/TaskHubSidecarService/{method}", self.authority));
        let call = call.header("content-type", "application/grpc").header("te", "trailers");
        self.client = self.client.clone().ready().await.ok()?;
        let (answer, mut body) = self.client.send_request(call.body(()).unwrap(), false).ok()?;
        body.send_data(message.into(), true).ok()?;
        Some(answer)
    }

    /// Waits until the server has ended it.
    pub(super) async fn ended(self) {
        // Held until then: without it the connection would end by itself.
        let _client = self.client;
        let _ended = self.connection.await.unwrap();
    }
}

/// Reads an answer, a byte each time that `rest` ends, after what the window let through. Ends when the server does.
pub(super) async fn read_slowly(mut body: RecvStream, rest: impl AsyncFn()) {
    while let Some(Ok(data)) = body.data().await {
        for _ in 0..data.len() {
            rest().await;
            if body.flow_control().release_capacity(1).is_err() || body.is_end_stream() {
                return;
            }
        }
    }
}
