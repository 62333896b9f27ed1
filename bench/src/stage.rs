//! What a case runs on: a scheduler over a fresh data folder, and the runtimes around it. The server's sockets and
//! the callers have a pool of threads each, so that what the kernel says of a thread tells whose it was.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use axum::serve::ListenerExt as _;
use placet::InProcess;
use placet_api::{Api, Metrics, Operations, Reach};
use placet_scheduler::{Scheduler, grpc, rest};
use placet_sdk::Client;
use placet_store_sqlite::SqliteStore;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::cpu::{CLIENT, SERVER};
use crate::record::{Recorder, Records};

/// The task hub.
pub(crate) const HUB: &str = "default";

pub(crate) struct Stage {
    pub(crate) scheduler: Scheduler,
    pub(crate) records: Records,
    pub(crate) server: Runtime,
    pub(crate) client: Runtime,
    _folder: TempDir,
}

impl Stage {
    pub(crate) fn set(folder: &Path) -> Result<Stage> {
        let folder = tempfile::tempdir_in(folder)?;
        let records = Records::default();
        let store = SqliteStore::open(&folder.path().join("placet.db"))?;
        let store = Arc::new(Recorder { store, records: records.clone() });
        let scheduler = Scheduler::start(store)?;
        Ok(Stage { scheduler, records, server: runtime(SERVER)?, client: runtime(CLIENT)?, _folder: folder })
    }

    /// A client of the SDK in the scheduler's process.
    pub(crate) fn in_process(&self) -> Client {
        Client::over(Arc::new(InProcess::new(self.scheduler.clone())), HUB)
    }

    /// Opens the gRPC port and says where it is.
    pub(crate) fn serve_grpc(&self) -> Result<String> {
        let listener = self.server.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        // Nobody speaks HTTP/1 there.
        let beside = grpc::Beside { http2: rest::data(self.scheduler.clone()), http1: Box::new(drop) };
        let serve = grpc::serve(self.scheduler.clone(), beside, vec![listener], std::future::pending());
        self.server.spawn(async move { serve.await.expect("the gRPC port is served") });
        Ok(endpoint)
    }

    /// Opens the HTTP port, as `placet serve` does, and says where it is.
    pub(crate) fn serve_http(&self) -> Result<std::net::SocketAddr> {
        let listener = self.server.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let address = listener.local_addr()?;
        let readiness = Arc::new(|| Box::pin(std::future::ready(Vec::new())) as _);
        let exposition = Arc::new(|| Box::pin(std::future::ready(String::new())) as _);
        let operations = Operations { readiness, exposition };
        let (client, reach) = (self.in_process(), Reach::ThisComputer);
        let budget = self.scheduler.budget().clone();
        let intake = Arc::new(move |bytes| budget.small_now(bytes).map(|share| Box::new(share) as _));
        let api = Api {
            client,
            operations,
            metrics: Metrics::default(),
            reach,
            configuration: placet_approval::nobody(),
            intake,
        };
        let listener = listener.tap_io(|connection| drop(connection.set_nodelay(true)));
        let serve = axum::serve(listener, placet_api::product(api));
        self.server.spawn(async move { serve.await.expect("the HTTP port is served") });
        Ok(address)
    }

    /// Ends everything. What was committed stays in the records.
    pub(crate) fn strike(self) {
        self.client.shutdown_background();
        self.scheduler.stop();
        self.server.shutdown_background();
    }
}

pub(crate) fn runtime(name: &str) -> Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().thread_name(name).enable_all().build().context("threads")
}
