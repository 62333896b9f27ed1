//! Rewind: the history of a failed orchestration, written anew without its failures (PROTOCOL.md §6.11). The scheduler takes
//! it in place of the old one, and the code asks again for what failed.

use std::collections::BTreeSet;

use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{ExecutionRewoundEvent, HistoryEvent, OrchestratorAction, RewindOrchestrationAction};
use uuid::Uuid;

/// The id that the action has: it is none of the code's.
const REWIND_ID: i32 = -1;

/// What a turn asks for that rewinds; nothing if it is none.
pub(super) fn rewound(past: &[HistoryEvent], new: &[HistoryEvent]) -> Option<OrchestratorAction> {
    let rewound = new.iter().find_map(|event| match &event.event_type {
        Some(EventType::ExecutionRewound(rewound)) => Some(rewound),
        _ => None,
    })?;
    if !past.iter().any(|event| matches!(event.event_type, Some(EventType::ExecutionCompleted(_)))) {
        return None;
    }
    let events = || past.iter().chain(new);
    let failed: BTreeSet<i32> = events()
        .filter_map(|event| match &event.event_type {
            Some(EventType::TaskFailed(failed)) => Some(failed.task_scheduled_id),
            _ => None,
        })
        .collect();
    let new_history = events().filter_map(|event| kept(event, &failed, rewound)).collect();
    let action = Action::RewindOrchestration(RewindOrchestrationAction { new_history });
    Some(OrchestratorAction { id: REWIND_ID, orchestrator_action_type: Some(action) })
}

/// An event as the new history has it, if it does.
fn kept(event: &HistoryEvent, failed: &BTreeSet<i32>, rewound: &ExecutionRewoundEvent) -> Option<HistoryEvent> {
    let mut event = event.clone();
    match event.event_type.as_mut()? {
        EventType::TaskFailed(_) | EventType::SubOrchestrationInstanceFailed(_) | EventType::ExecutionCompleted(_) => {
            return None;
        }
        EventType::TaskScheduled(_) if failed.contains(&event.event_id) => return None,
        EventType::ExecutionStarted(started) => {
            let instance = started.orchestration_instance.get_or_insert_default();
            // Of a turn that runs twice both completions say the same.
            let execution = instance.execution_id.as_deref().unwrap_or_default();
            let seed = format!("{}/{execution}/rewound", instance.instance_id);
            let next = Uuid::new_v8(xxhash_rust::xxh3::xxh3_128(seed.as_bytes()).to_be_bytes());
            instance.execution_id = Some(next.simple().to_string());
            if let Some(parent) = &mut started.parent_instance
                && let Some(execution) = &rewound.parent_execution_id
            {
                parent.orchestration_instance.get_or_insert_default().execution_id = Some(execution.clone());
            }
        }
        _ => {}
    }
    Some(event)
}
