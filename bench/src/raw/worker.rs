//! The worker: items come in a stream, each result goes out by a call of its own. As a good SDK it keeps the state of
//! its orchestrations between their turns; or it replays the whole history each time, as most do.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anyhow::{Result, ensure};
use placet_proto::durabletask::{
    ActivityResponse, CompleteTaskResponse, GetWorkItemsRequest, HistoryEvent, OrchestratorAction,
    OrchestratorResponse, orchestrator_action::OrchestratorActionType,
};
use prost::Message as _;

use super::Connection;
use super::item::{Item, Turn};
use super::program::{Program, add};

const ORCHESTRATIONS_MAX: i32 = 1_000;
const ACTIVITIES_MAX: i32 = 256;

/// What is told to a worker that runs, and what it tells. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switch(Arc<Switched>);

#[derive(Debug, Default)]
struct Switched {
    replaying: AtomicBool,
    turns: AtomicU64,
}

impl Switch {
    /// From now on it replays each history, or does not.
    pub(crate) fn replay(&self, replaying: bool) {
        self.0.replaying.store(replaying, Ordering::Relaxed);
    }

    /// How many turns it has run.
    pub(crate) fn turns(&self) -> u64 {
        self.0.turns.load(Ordering::Relaxed)
    }
}

impl Connection {
    /// Works, in tasks of its own, until the connection ends.
    pub(crate) async fn work(&self, switch: Switch) -> Result<()> {
        let request = GetWorkItemsRequest {
            max_concurrent_orchestration_work_items: ORCHESTRATIONS_MAX,
            max_concurrent_activity_work_items: ACTIVITIES_MAX,
            ..GetWorkItemsRequest::default()
        };
        let mut items = self.stream("/TaskHubSidecarService/GetWorkItems", request).await?;
        let connection = self.clone();
        tokio::spawn(async move {
            let mut programs = Programs { kept: HashMap::new(), switch };
            while let Ok(Some(item)) = items.message().await {
                if let Err(error) = connection.take(&mut programs, item) {
                    panic!("the raw worker cannot do this: {error:#}");
                }
            }
        });
        Ok(())
    }

    fn take(&self, programs: &mut Programs, item: Item) -> Result<()> {
        let Item { turn, activity, completion_token } = item;
        if let Some(turn) = turn {
            let instance_id = turn.instance_id.clone();
            let actions = programs.turn(turn)?;
            let response = OrchestratorResponse { instance_id, actions, completion_token, ..Default::default() };
            self.send("/TaskHubSidecarService/CompleteOrchestratorTask", response);
        } else if let Some(activity) = activity {
            let response = ActivityResponse {
                instance_id: activity.orchestration_instance.unwrap_or_default().instance_id,
                task_id: activity.task_id,
                result: Some(add(activity.input.as_deref())),
                completion_token,
                ..ActivityResponse::default()
            };
            self.send("/TaskHubSidecarService/CompleteActivityTask", response);
        }
        Ok(())
    }

    /// Calls, and lets nobody wait for the answer. A call that fails shows as a caller who waits for ever: it ends
    /// with the server.
    fn send(&self, method: &'static str, response: impl prost::Message + 'static) {
        let connection = self.clone();
        tokio::spawn(async move {
            let _: Result<CompleteTaskResponse, _> = connection.unary(method, response).await;
        });
    }
}

struct Programs {
    kept: HashMap<String, Program>,
    switch: Switch,
}

impl Programs {
    fn turn(&mut self, turn: Turn) -> Result<Vec<OrchestratorAction>> {
        self.switch.0.turns.fetch_add(1, Ordering::Relaxed);
        let kept = self.kept.remove(&turn.instance_id);
        let mut program = match kept {
            Some(program) if !self.switch.0.replaying.load(Ordering::Relaxed) => program,
            _ => replayed(&turn)?,
        };
        let mut actions = Vec::new();
        turn.new_events.iter().for_each(|event| program.take(event, &mut actions));
        if !actions.iter().any(is_end) {
            self.kept.insert(turn.instance_id, program);
        }
        Ok(actions)
    }
}

fn replayed(turn: &Turn) -> Result<Program> {
    let mut program = Program::default();
    let mut known = Vec::new();
    for event in &turn.past_events {
        program.take(&HistoryEvent::decode(event.clone())?, &mut known);
        known.clear();
    }
    ensure!(!turn.past_events.is_empty() || !turn.new_events.is_empty(), "a turn without events");
    Ok(program)
}

fn is_end(action: &OrchestratorAction) -> bool {
    matches!(action.orchestrator_action_type, Some(OrchestratorActionType::CompleteOrchestration(_)))
}
