//! The SDK, for a turn whose 49 events before it are replayed.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType;
use placet_proto::durabletask::{
    ExecutionStartedEvent, HistoryEvent, OrchestratorRequest, OrchestratorStartedEvent, TaskCompletedEvent,
    TaskScheduledEvent,
};
use placet_sdk::OrchestrationContext;
use placet_sdk::sans_io::{Registry, Turns};

const EVENTS: usize = 50;

pub(crate) fn run(units: u32) -> Result<()> {
    let mut registry = Registry::default();
    registry.register("sequence", sequence);
    let turns = Turns::new(Arc::new(registry));
    let request = long_history(&turns)?;
    for _ in 0..units {
        let completion = turns.replay(request.clone(), "token".to_owned());
        ensure!(completion.response.is_some_and(|response| response.actions.len() == 1), "one more activity");
    }
    Ok(())
}

async fn sequence(ctx: OrchestrationContext, mut sum: u32) -> placet_sdk::Result<u32> {
    loop {
        sum = ctx.activity("add", &sum).await?;
    }
}

/// The last turn of a history that was made by living it.
fn long_history(turns: &Turns) -> Result<OrchestratorRequest> {
    let started = ExecutionStartedEvent {
        name: "sequence".to_owned(),
        input: Some("0".to_owned()),
        ..ExecutionStartedEvent::default()
    };
    let mut request = OrchestratorRequest {
        instance_id: "sequence-1".to_owned(),
        execution_id: Some("e".repeat(32)),
        new_events: vec![turn_started(), event(-1, EventType::ExecutionStarted(started))],
        ..OrchestratorRequest::default()
    };
    while request.past_events.len() + request.new_events.len() < EVENTS {
        let completion = turns.replay(request.clone(), "token".to_owned());
        let action =
            completion.response.and_then(|response| response.actions.into_iter().next()).context("an action")?;
        let Some(OrchestratorActionType::ScheduleTask(task)) = action.orchestrator_action_type else {
            anyhow::bail!("an activity is called each time")
        };
        let scheduled = TaskScheduledEvent { name: task.name, input: task.input.clone(), ..Default::default() };
        let completed = TaskCompletedEvent { task_scheduled_id: action.id, result: task.input };
        request.past_events.append(&mut request.new_events);
        request.past_events.push(event(action.id, EventType::TaskScheduled(scheduled)));
        request.new_events = vec![turn_started(), event(-1, EventType::TaskCompleted(completed))];
    }
    Ok(request)
}

fn turn_started() -> HistoryEvent {
    event(-1, EventType::OrchestratorStarted(OrchestratorStartedEvent::default()))
}

fn event(event_id: i32, event_type: EventType) -> HistoryEvent {
    HistoryEvent { event_id, event_type: Some(event_type), ..HistoryEvent::default() }
}
