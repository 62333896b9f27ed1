//! Old histories under today's code.

use placet_proto::durabletask::HistoryEvent;
use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Code, Orchestration};
use crate::context::OrchestrationContext;
use crate::error::Failure;
use crate::worker::code_of;

/// Replays a stored history, turn by turn, under this code: what the last turn completes the orchestration
/// with, as JSON, or nothing if it still waits. For tests that keep the histories of earlier releases.
///
/// # Errors
/// The failure that the orchestration ends with; of type `NonDeterminism` if the code does not do what the
/// history says that it did.
pub fn check_history<I, O, F, R>(code: F, history: Vec<HistoryEvent>) -> Result<Option<String>, Failure>
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(OrchestrationContext, I) -> R + Send + Sync + 'static,
    R: Future<Output = Result<O, Failure>> + Send + 'static,
{
    run(code_of(code), history)
}

fn run(code: Code, history: Vec<HistoryEvent>) -> Result<Option<String>, Failure> {
    let is_end = |event: &HistoryEvent| matches!(event.event_type, Some(EventType::ExecutionCompleted(_)));
    let recorded: Vec<HistoryEvent> = history.into_iter().filter(|event| !is_end(event)).collect();
    let last = recorded
        .iter()
        .rposition(|event| matches!(event.event_type, Some(EventType::OrchestratorStarted(_))))
        .unwrap_or(0);
    let mut past = recorded;
    let new = past.split_off(last);
    let turn = Orchestration::new(code).turn(past, new);
    for action in turn.actions {
        if let Some(Action::CompleteOrchestration(complete)) = action.orchestrator_action_type {
            return match complete.failure_details {
                Some(details) => Err(Failure::from_details(details)),
                None => Ok(complete.result),
            };
        }
    }
    Ok(None)
}
