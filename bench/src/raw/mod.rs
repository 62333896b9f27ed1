//! A client and a worker that speak Microsoft's calls and nothing else, as any SDK would: written by hand on tonic,
//! without ours. What they cost is what gRPC costs.

mod item;
mod program;
mod worker;

use anyhow::Result;
use placet_proto::durabletask::{
    CreateInstanceRequest, CreateInstanceResponse, GetInstanceRequest, GetInstanceResponse, OrchestrationState,
    RaiseEventRequest, RaiseEventResponse,
};
use prost::Message;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

pub(crate) use program::{APPROVAL, APPROVAL_EVENT, SEQUENCE};
pub(crate) use worker::Switch;

/// A connection to a scheduler, in one of its hubs. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    grpc: Grpc<Channel>,
    hub: MetadataValue<Ascii>,
}

impl Connection {
    /// Connects when it is first used.
    pub(crate) fn to(endpoint: &str, hub: &str) -> Result<Connection> {
        let endpoint = Endpoint::from_shared(endpoint.to_owned())?
            .tcp_nodelay(true)
            .initial_connection_window_size(8 << 20)
            .initial_stream_window_size(2 << 20);
        let grpc = Grpc::new(endpoint.connect_lazy()).max_decoding_message_size(256 << 20);
        Ok(Connection { grpc, hub: hub.parse()? })
    }

    /// Starts an instance; the server makes the id.
    pub(crate) async fn start(&self, name: &str, input: &str) -> Result<String> {
        let request =
            CreateInstanceRequest { name: name.to_owned(), input: Some(input.to_owned()), ..Default::default() };
        let answer: CreateInstanceResponse = self.unary("/TaskHubSidecarService/StartInstance", request).await?;
        Ok(answer.instance_id)
    }

    pub(crate) async fn raise_event(&self, id: &str, name: &str, input: &str) -> Result<()> {
        let request =
            RaiseEventRequest { instance_id: id.to_owned(), name: name.to_owned(), input: Some(input.to_owned()) };
        let _: RaiseEventResponse = self.unary("/TaskHubSidecarService/RaiseEvent", request).await?;
        Ok(())
    }

    /// Waits until an instance has ended.
    pub(crate) async fn wait(&self, id: &str) -> Result<OrchestrationState> {
        let request = GetInstanceRequest { instance_id: id.to_owned(), get_inputs_and_outputs: true };
        let method = "/TaskHubSidecarService/WaitForInstanceCompletion";
        let answer: GetInstanceResponse = self.unary(method, request).await?;
        Ok(answer.orchestration_state.unwrap_or_default())
    }

    async fn unary<Q, A>(&self, method: &'static str, message: Q) -> Result<A, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        ready(&mut grpc).await?;
        let codec = ProstCodec::default();
        Ok(grpc.unary(self.request(message), PathAndQuery::from_static(method), codec).await?.into_inner())
    }

    async fn stream<Q, A>(&self, method: &'static str, message: Q) -> Result<Streaming<A>, Status>
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let mut grpc = self.grpc.clone();
        ready(&mut grpc).await?;
        let codec = ProstCodec::default();
        Ok(grpc.server_streaming(self.request(message), PathAndQuery::from_static(method), codec).await?.into_inner())
    }

    fn request<Q>(&self, message: Q) -> Request<Q> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("taskhub", self.hub.clone());
        request
    }
}

async fn ready(grpc: &mut Grpc<Channel>) -> Result<(), Status> {
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))
}
