//! What a worker can run, with the types taken off.

use std::collections::BTreeMap;
use std::sync::Arc;

use placet_proto::durabletask::ActivityRequest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ActivityContext;
use crate::context::OrchestrationContext;
use crate::error::{Failure, read};
use crate::replay::Code;
use crate::trace::TraceContext;
use crate::transport::BoxFuture;

/// Code with the types taken off: from its context and input to its output, as JSON.
pub(crate) type Untyped<C> =
    Arc<dyn Fn(C, Option<String>) -> BoxFuture<'static, Result<String, Failure>> + Send + Sync>;

/// An activity's code.
pub(super) type Activity = Untyped<ActivityContext>;

/// Orchestrations and activities, by name.
#[derive(Default)]
pub struct Registry {
    pub(super) orchestrations: BTreeMap<String, Code>,
    pub(super) activities: BTreeMap<String, Activity>,
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (orchestrations, activities) = (self.orchestrations.keys(), self.activities.keys());
        f.debug_struct("Registry")
            .field("orchestrations", &orchestrations.collect::<Vec<_>>())
            .field("activities", &activities.collect::<Vec<_>>())
            .finish()
    }
}

impl Registry {
    /// Registers an orchestration under a name.
    pub fn register<I, O, F, R>(&mut self, name: &str, code: F)
    where
        I: DeserializeOwned + Send + 'static,
        O: Serialize + Send + 'static,
        F: Fn(OrchestrationContext, I) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, Failure>> + Send + 'static,
    {
        self.orchestrations.insert(name.to_owned(), code_of(code));
    }

    /// The orchestration of this name; one that fails as Microsoft's SDKs do if there is none.
    pub(super) fn orchestration(&self, name: &str) -> Code {
        self.orchestrations.get(name).cloned().unwrap_or_else(|| {
            let name = name.to_owned();
            Arc::new(move |_, _| {
                let message = format!("a worker has no orchestration {name:?}; register it, or start its worker");
                Box::pin(std::future::ready(Err(Failure::new("OrchestratorNotRegisteredError", message))))
            })
        })
    }

    /// Runs an activity.
    pub(super) async fn run(&self, hub: String, request: ActivityRequest) -> Result<String, Failure> {
        let Some(activity) = self.activities.get(&request.name) else {
            let message = format!("a worker has no activity {:?}; register it, or start its worker", request.name);
            return Err(Failure::new("ActivityNotRegisteredError", message));
        };
        let context = ActivityContext {
            hub,
            instance_id: request.orchestration_instance.unwrap_or_default().instance_id,
            task_id: request.task_id,
            name: request.name,
            trace: request.parent_trace_context.map(TraceContext::from),
        };
        activity(context, request.input).await
    }
}

/// Takes the types off the code of an orchestration, or of an activity.
pub(crate) fn code_of<C, I, O, F, R>(code: F) -> Untyped<C>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(C, I) -> R + Send + Sync + 'static,
    R: Future<Output = Result<O, Failure>> + Send + 'static,
{
    Arc::new(move |context, input| match read("the input", input.as_deref()) {
        Ok(input) => {
            let output = code(context, input);
            Box::pin(async move { Ok(serde_json::to_string(&output.await?)?) })
        }
        Err(error) => Box::pin(std::future::ready(Err(Failure::from(error).non_retriable()))),
    })
}
