//! Histories for tests, by hand, and the least of a server: it confirms what a turn asks for.

use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    CompleteOrchestrationAction, EventRaisedEvent, EventSentEvent, ExecutionCompletedEvent, ExecutionResumedEvent,
    ExecutionStartedEvent, ExecutionSuspendedEvent, ExecutionTerminatedEvent, HistoryEvent, OrchestrationInstance,
    OrchestratorAction, OrchestratorStartedEvent, SubOrchestrationInstanceCreatedEvent, TaskCompletedEvent,
    TaskFailedEvent, TaskFailureDetails, TaskScheduledEvent, TimerCreatedEvent, TimerFiredEvent,
};

use super::super::Orchestration;
use super::super::machine::TurnResult;
use crate::error::Failure;

pub(super) fn at(seconds: i64) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds, nanos: 0 }
}

pub(super) fn event(id: i32, event_type: EventType) -> HistoryEvent {
    HistoryEvent { event_id: id, timestamp: Some(at(0)), event_type: Some(event_type) }
}

pub(super) fn started(seconds: i64) -> HistoryEvent {
    let event_type = EventType::OrchestratorStarted(OrchestratorStartedEvent {});
    HistoryEvent { timestamp: Some(at(seconds)), ..event(-1, event_type) }
}

pub(super) fn start(input: &str, seconds: i64) -> HistoryEvent {
    let event_type = EventType::ExecutionStarted(ExecutionStartedEvent {
        name: "test".into(),
        input: Some(input.to_owned()),
        orchestration_instance: Some(OrchestrationInstance {
            instance_id: "instance".into(),
            execution_id: Some("execution".into()),
        }),
        ..ExecutionStartedEvent::default()
    });
    HistoryEvent { timestamp: Some(at(seconds)), ..event(-1, event_type) }
}

pub(super) fn completed(id: i32, result: &str) -> HistoryEvent {
    event(-1, EventType::TaskCompleted(TaskCompletedEvent { task_scheduled_id: id, result: Some(result.to_owned()) }))
}

pub(super) fn failed(id: i32, is_non_retriable: bool) -> HistoryEvent {
    let failure_details = Some(TaskFailureDetails {
        error_type: "Oops".into(),
        error_message: "no".into(),
        is_non_retriable,
        ..TaskFailureDetails::default()
    });
    event(-1, EventType::TaskFailed(TaskFailedEvent { task_scheduled_id: id, failure_details }))
}

pub(super) fn fired(id: i32) -> HistoryEvent {
    event(-1, EventType::TimerFired(TimerFiredEvent { timer_id: id, fire_at: None }))
}

pub(super) fn raised(name: &str, input: &str) -> HistoryEvent {
    let raised = EventRaisedEvent { name: name.to_owned(), input: Some(input.to_owned()), ..Default::default() };
    event(-1, EventType::EventRaised(raised))
}

pub(super) fn suspended() -> HistoryEvent {
    event(-1, EventType::ExecutionSuspended(ExecutionSuspendedEvent { input: None }))
}

pub(super) fn resumed() -> HistoryEvent {
    event(-1, EventType::ExecutionResumed(ExecutionResumedEvent { input: None }))
}

pub(super) fn terminated(output: &str) -> HistoryEvent {
    let terminated = ExecutionTerminatedEvent { input: Some(output.to_owned()), recurse: false };
    event(-1, EventType::ExecutionTerminated(terminated))
}

pub(super) fn end() -> EventType {
    EventType::ExecutionCompleted(ExecutionCompletedEvent::default())
}

/// The payload of an external event.
pub(super) fn payload(event: &HistoryEvent) -> &str {
    match &event.event_type {
        Some(EventType::EventRaised(raised)) => raised.input.as_deref().unwrap(),
        other => panic!("not an external event: {other:?}"),
    }
}

/// A turn that was run, and the history after it.
pub(super) struct Turn {
    pub(super) result: TurnResult,
    pub(super) history: Vec<HistoryEvent>,
    pub(super) now: i64,
}

impl Turn {
    /// Runs the first turn of an orchestration whose input is nothing.
    pub(super) fn first(live: &mut Orchestration) -> Turn {
        Turn::run(live, Vec::new(), vec![start("null", 0)], 0)
    }

    /// Runs the next one.
    pub(super) fn next(self, live: &mut Orchestration, events: Vec<HistoryEvent>) -> Turn {
        Turn::run(live, self.history, events, self.now + 100)
    }

    fn run(live: &mut Orchestration, mut history: Vec<HistoryEvent>, events: Vec<HistoryEvent>, now: i64) -> Turn {
        let new: Vec<HistoryEvent> = [started(now)].into_iter().chain(events).collect();
        let result = live.turn(Vec::new(), new.clone());
        history.extend(new);
        history.extend(result.actions.iter().filter_map(confirmation));
        Turn { result, history, now }
    }
}

/// What the history says of an action.
pub(super) fn confirmation(action: &OrchestratorAction) -> Option<HistoryEvent> {
    let event_type = match action.orchestrator_action_type.clone()? {
        Action::ScheduleTask(task) => {
            EventType::TaskScheduled(TaskScheduledEvent { name: task.name, ..TaskScheduledEvent::default() })
        }
        Action::CreateTimer(timer) => EventType::TimerCreated(TimerCreatedEvent { fire_at: timer.fire_at }),
        Action::CreateSubOrchestration(child) => {
            EventType::SubOrchestrationInstanceCreated(SubOrchestrationInstanceCreatedEvent {
                name: child.name,
                ..SubOrchestrationInstanceCreatedEvent::default()
            })
        }
        Action::SendEvent(sent) => EventType::EventSent(EventSentEvent {
            name: sent.name,
            instance_id: sent.instance.unwrap_or_default().instance_id,
            input: sent.data,
        }),
        Action::CompleteOrchestration(_) => return None,
        other => panic!("not asked for by this SDK: {other:?}"),
    };
    Some(event(action.id, event_type))
}

/// What a turn asks for, the end excepted.
pub(super) fn names(turn: &TurnResult) -> Vec<String> {
    let name = |action: &OrchestratorAction| match action.orchestrator_action_type.as_ref().unwrap() {
        Action::ScheduleTask(task) => Some(format!("activity {}", task.name)),
        Action::CreateTimer(_) => Some("timer".to_owned()),
        Action::CompleteOrchestration(_) => None,
        other => Some(format!("{other:?}")),
    };
    turn.actions.iter().filter_map(name).collect()
}

pub(super) fn completion(turn: &TurnResult) -> Option<&CompleteOrchestrationAction> {
    turn.actions.iter().find_map(|action| match action.orchestrator_action_type.as_ref().unwrap() {
        Action::CompleteOrchestration(complete) => Some(complete),
        _ => None,
    })
}

/// How the orchestration ended in this turn, if it did: its output or its failure.
pub(super) fn outcome(turn: &TurnResult) -> Option<Result<String, Failure>> {
    let complete = completion(turn)?;
    Some(match complete.failure_details.clone() {
        Some(details) => Err(Failure::from_details(details)),
        None => Ok(complete.result.clone().unwrap_or_default()),
    })
}

pub(super) fn result(turn: &TurnResult) -> Option<String> {
    completion(turn)?.result.clone()
}

pub(super) fn status(turn: &TurnResult) -> &'static str {
    let status = completion(turn).expect("it ends").orchestration_status();
    status.as_str_name().trim_start_matches("ORCHESTRATION_STATUS_")
}

/// The payloads of the events that go over into the next generation.
pub(super) fn carried(turn: &TurnResult) -> String {
    let payloads: Vec<&str> = completion(turn).expect("it ends").carryover_events.iter().map(payload).collect();
    payloads.join(" ")
}

/// When the first timer that a turn asks for is due.
pub(super) fn fire_at(turn: &TurnResult) -> i64 {
    let timer = turn.actions.iter().find_map(|action| match action.orchestrator_action_type.as_ref().unwrap() {
        Action::CreateTimer(timer) => timer.fire_at.as_ref().map(|at| at.seconds),
        _ => None,
    });
    timer.expect("it asks for a timer")
}
