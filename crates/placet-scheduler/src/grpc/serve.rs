//! Serves the gRPC services on listeners that are open already.

use std::time::Duration;

use futures_util::stream::{StreamExt as _, select_all};
use placet_proto::DESCRIPTOR_SET;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::transport::Server;

use super::admin::AdminService;
use super::admission::{Admission, MESSAGE_BYTES_MAX};
use super::ask::ClientService;
use super::count::CountCalls;
use super::generated::durabletask::task_hub_sidecar_service_server::TaskHubSidecarServiceServer;
use super::generated::placet::admin_server::AdminServer;
use super::generated::placet::client_server::ClientServer;
use super::generated::placet::worker_server::{Worker, WorkerServer};
use super::sidecar::Sidecar;
use super::work_stream::{self, Frames};
use crate::connections::accept;
use crate::scheduler::Scheduler;

/// What a connection may send that nobody has looked at yet, and one call of it.
const CONNECTION_WINDOW: u32 = 4 << 20;
const STREAM_WINDOW: u32 = 1 << 20;

/// Calls under way on one connection. Waits are calls, too.
const STREAMS_MAX: u32 = 1_000;

/// What the headers of one call may hold.
const HEADERS_MAX: u32 = 16 << 10;

/// Why serving ended otherwise than by request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The transport failed.
    #[error("the gRPC server failed")]
    Transport(#[from] tonic::transport::Error),
    /// Reflection could not be built from the descriptors.
    #[error("the descriptors cannot be served")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Serves until `shutdown` is ready and the calls under way have ended.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    scheduler: Scheduler,
    listeners: Vec<TcpListener>,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), ServeError> {
    let (reporter, health) = tonic_health::server::health_reporter();
    reporter.set_serving::<TaskHubSidecarServiceServer<Sidecar>>().await;
    let reflected = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // The older version is what Python's and older tools speak.
    let (reflection, reflection_alpha) = (reflected().build_v1()?, reflected().build_v1alpha()?);
    let incoming = select_all(listeners.into_iter().map(|listener| accept(listener).boxed()));
    Server::builder()
        .layer(CountCalls::new(scheduler.clone()))
        .layer(Admission(scheduler.budget().clone()))
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_MAX)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .add_routes(services(scheduler))
        .add_service(health)
        .add_service(reflection)
        .add_service(reflection_alpha)
        .serve_with_incoming_shutdown(incoming, shutdown)
        .await?;
    Ok(())
}

/// The protocol's services and ours, without what stands around them.
pub(crate) fn services(scheduler: Scheduler) -> Routes {
    let sidecar = TaskHubSidecarServiceServer::new(Sidecar(scheduler.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    let client = ClientServer::new(ClientService(scheduler.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    let worker = WorkerServer::new(WorkerService(scheduler.clone()))
        .max_decoding_message_size(MESSAGE_BYTES_MAX)
        .max_encoding_message_size(usize::MAX);
    let mut services = Routes::builder();
    services.add_service(sidecar).add_service(client).add_service(worker);
    services.add_service(AdminServer::new(AdminService(scheduler)));
    services.routes()
}

/// `placet.v1.Worker`.
#[derive(Debug)]
struct WorkerService(Scheduler);

#[tonic::async_trait]
impl Worker for WorkerService {
    type WorkStream = Frames;

    async fn work(
        &self,
        request: tonic::Request<tonic::Streaming<placet_proto::placet::v1::WorkerFrame>>,
    ) -> Result<tonic::Response<Frames>, tonic::Status> {
        work_stream::work(&self.0, request).await
    }
}
