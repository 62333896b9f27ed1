//! The worker: runs orchestrations and activities for a scheduler.

mod cache;
mod frames;
mod registry;
mod session;
mod turns;

use std::sync::Arc;
use std::time::Duration;

use placet_proto::durabletask::{ActivityFilter, OrchestrationFilter, WorkItemFilters};
use placet_proto::placet::v1::Open;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::client::Client;
use crate::context::OrchestrationContext;
use crate::error::Failure;
use crate::trace::TraceContext;
pub use cache::CacheCounts;
pub use registry::Registry;
pub(crate) use registry::{Untyped, code_of};
use session::Session;
pub use turns::Turns;

/// Turns that a worker takes at once, if not told otherwise.
const ORCHESTRATIONS_MAX: i32 = 1_000;

/// Activities that it runs at once, if not told otherwise.
const ACTIVITIES_MAX: i32 = 256;

/// How long a worker that stops waits for what is running.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);

/// What an activity knows of its call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ActivityContext {
    /// The task hub that it belongs to.
    pub hub: String,
    /// The orchestration that called it.
    pub instance_id: String,
    /// The id of the call in it. The same activity may be called more than once under one id: retries.
    pub task_id: i32,
    /// The name under which it was called.
    pub name: String,
    /// The trace that the call belongs to, if any.
    pub trace: Option<TraceContext>,
}

/// Describes a worker. [`WorkerBuilder::start`] starts it.
#[must_use = "a worker does nothing before it is started"]
pub struct WorkerBuilder {
    client: Client,
    registry: Registry,
    open: Open,
    only_registered: bool,
}

impl std::fmt::Debug for WorkerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WorkerBuilder").field("open", &self.open).finish_non_exhaustive()
    }
}

impl WorkerBuilder {
    /// Registers an orchestration under a name.
    pub fn orchestration<I, O, F, R>(mut self, name: &str, code: F) -> WorkerBuilder
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(OrchestrationContext, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, Failure>> + Send + 'static,
    {
        self.registry.register(name, code);
        self
    }

    /// Registers an activity under a name.
    pub fn activity<I, O, F, R>(mut self, name: &str, code: F) -> WorkerBuilder
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(ActivityContext, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, Failure>> + Send + 'static,
    {
        self.registry.activities.insert(name.to_owned(), code_of(code));
        self
    }

    /// How many turns and how many activities it takes at once.
    pub fn limits(mut self, orchestrations_max: u16, activities_max: u16) -> WorkerBuilder {
        self.open.orchestrations_max = orchestrations_max.into();
        self.open.activities_max = activities_max.into();
        self
    }

    /// Takes only what is registered, and leaves the rest to other workers of the hub. (Else what is not
    /// registered fails.)
    pub fn only_registered(mut self) -> WorkerBuilder {
        self.only_registered = true;
        self
    }

    /// The hubs that it serves instead of its client's; "*" is every one.
    pub fn hubs(mut self, hubs: impl IntoIterator<Item = impl Into<String>>) -> WorkerBuilder {
        self.open.hubs = hubs.into_iter().map(Into::into).collect();
        self
    }

    /// For Placet's own worker: it takes what is named `placet.*`, and nothing else.
    pub fn built_in(mut self) -> WorkerBuilder {
        self.open.built_in = true;
        self
    }

    /// Starts the worker on the current tokio runtime. It connects, and connects again whenever it must.
    pub fn start(mut self) -> Worker {
        if self.only_registered {
            self.open.filters = Some(self.registry.filters());
        }
        let (stop, stopped) = watch::channel(false);
        let session = Session::new(self.client, Arc::new(self.registry), self.open, stopped);
        Worker { stop, task: tokio::spawn(session.run()) }
    }
}

impl Registry {
    fn filters(&self) -> WorkItemFilters {
        let orchestration = |name: &String| OrchestrationFilter { name: name.clone(), versions: Vec::new() };
        let activity = |name: &String| ActivityFilter { name: name.clone(), versions: Vec::new() };
        WorkItemFilters {
            orchestrations: self.orchestrations.keys().map(orchestration).collect(),
            activities: self.activities.keys().map(activity).collect(),
            entities: Vec::new(),
        }
    }
}

/// A running worker. Dropping it leaves it running; [`Worker::shutdown`] ends it.
#[derive(Debug)]
pub struct Worker {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Worker {
    /// Describes a worker for this client's scheduler and hub.
    pub fn builder(client: Client) -> WorkerBuilder {
        let open = Open {
            worker_id: format!("rust:{}:{}", std::process::id(), uuid::Uuid::new_v4().simple()),
            orchestrations_max: ORCHESTRATIONS_MAX,
            activities_max: ACTIVITIES_MAX,
            keeps_state: true,
            ..Open::default()
        };
        WorkerBuilder { client, registry: Registry::default(), open, only_registered: false }
    }

    /// Takes no more, finishes what runs (for ten seconds at most), and ends.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(error = &error as &dyn std::error::Error, "the worker did not end well");
        }
    }
}
