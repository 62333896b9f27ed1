//! Serves the gRPC services on listeners that are open already.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use futures_util::stream::{Stream, StreamExt as _, select_all};
use placet_proto::DESCRIPTOR_SET;
use tokio::net::TcpListener;
use tonic::Status;
use tonic::service::Routes;
use tonic::transport::Server;

use super::admin::AdminService;
use super::admission::{Admission, MESSAGE_BYTES_MAX, is_grpc};
use super::ask::ClientService;
use super::count::CountCalls;
use super::generated::durabletask::task_hub_sidecar_service_server::TaskHubSidecarServiceServer;
use super::generated::placet::admin_server::AdminServer;
use super::generated::placet::client_server::ClientServer;
use super::generated::placet::worker_server::{Worker, WorkerServer};
use super::sidecar::Sidecar;
use super::work_stream::{self, Frames};
use crate::connections::{CONNECTIONS_MAX, Connection, accept};
use crate::rest;
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

/// Who answers on the same port what is not gRPC's.
pub struct Beside {
    /// Calls over HTTP/2, where gRPC's come, too. It has no fallback of its own.
    pub http2: Router,
    /// Connections that speak HTTP/1, on which there is no gRPC.
    pub http1: Box<dyn Fn(Connection) + Send + Sync>,
}

impl std::fmt::Debug for Beside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Beside").finish_non_exhaustive()
    }
}

/// Serves until `shutdown` is ready and the calls under way have ended.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    scheduler: Scheduler,
    beside: Beside,
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
    let Beside { http2, http1 } = beside;
    let incoming = over_http2(select_all(listeners.into_iter().map(|listener| accept(listener).boxed())), http1);
    let grpc = services(scheduler.clone()).add_service(health).add_service(reflection).add_service(reflection_alpha);
    Server::builder()
        .layer(CountCalls::new(scheduler.clone()))
        .layer(Admission(scheduler.budget().clone()))
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .http2_max_header_list_size(HEADERS_MAX)
        .http2_keepalive_interval(Some(Duration::from_secs(30)))
        .http2_keepalive_timeout(Some(Duration::from_secs(20)))
        .add_routes(merged(grpc, http2))
        .serve_with_incoming_shutdown(incoming, shutdown)
        .await?;
    Ok(())
}

/// The connections that speak HTTP/2; those that do not go elsewhere. None waits for the first words of another.
fn over_http2(
    connections: impl Stream<Item = io::Result<Connection>> + Send,
    http1: Box<dyn Fn(Connection) + Send + Sync>,
) -> impl Stream<Item = io::Result<Connection>> + Send {
    let heard = connections.map(async |connection: io::Result<Connection>| {
        let mut connection = connection?;
        let speaks_http2 = connection.speaks_http2().await?;
        Ok((speaks_http2, connection))
    });
    heard.buffer_unordered(CONNECTIONS_MAX).filter_map(move |heard: io::Result<(bool, Connection)>| {
        std::future::ready(match heard {
            Ok((true, connection)) => Some(Ok(connection)),
            Ok((false, connection)) => {
                http1(connection);
                None
            }
            // It ended, or said nothing.
            Err(_) => None,
        })
    })
}

/// Both on one port. What neither has is answered in the language of its caller.
fn merged(grpc: Routes, http2: Router) -> Routes {
    let both = grpc.into_axum_router().merge(http2).fallback(async |call: Request| {
        if is_grpc(call.headers()) {
            Status::unimplemented("this server has no such method").into_http()
        } else {
            rest::nothing_here()
        }
    });
    both.into()
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
    ) -> Result<tonic::Response<Frames>, Status> {
        work_stream::work(&self.0, request).await
    }
}
