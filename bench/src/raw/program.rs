//! The orchestrations, as an SDK would run them: events in, actions out.

use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    CompleteOrchestrationAction, CreateTimerAction, HistoryEvent, OrchestrationStatus, OrchestratorAction,
    ScheduleTaskAction,
};

/// As many activities, one after the other, as its input says.
pub(crate) const SEQUENCE: &str = "raw_sequence";

/// Waits for [`APPROVAL_EVENT`], or for a day.
pub(crate) const APPROVAL: &str = "raw_approval";
pub(crate) const APPROVAL_EVENT: &str = "approval";

const ACTIVITY: &str = "raw_add";
const DAY_SECONDS: i64 = 24 * 3_600;

/// A running orchestration.
#[derive(Debug, Default)]
pub(super) struct Program {
    kind: Kind,
    /// Activities that are still to be called.
    left: u32,
    next_id: i32,
}

#[derive(Debug, Default, PartialEq)]
enum Kind {
    #[default]
    NotStarted,
    Sequence,
    Approval,
}

impl Program {
    /// What it does when this happens.
    pub(super) fn take(&mut self, event: &HistoryEvent, actions: &mut Vec<OrchestratorAction>) {
        match &event.event_type {
            Some(EventType::ExecutionStarted(started)) if started.name == SEQUENCE => {
                self.kind = Kind::Sequence;
                self.left = started.input.as_deref().and_then(|count| count.parse().ok()).unwrap_or(0);
                self.call_next("0".to_owned(), actions);
            }
            Some(EventType::ExecutionStarted(_)) => {
                self.kind = Kind::Approval;
                let mut fire_at = event.timestamp.unwrap_or_default();
                fire_at.seconds += DAY_SECONDS;
                self.act(Action::CreateTimer(CreateTimerAction { fire_at: Some(fire_at) }), actions);
            }
            Some(EventType::TaskCompleted(completed)) => {
                self.call_next(completed.result.clone().unwrap_or_default(), actions);
            }
            Some(EventType::EventRaised(raised)) if self.kind == Kind::Approval && raised.name == APPROVAL_EVENT => {
                self.complete(raised.input.clone(), actions);
            }
            Some(EventType::TimerFired(_)) => self.complete(Some("timeout".to_owned()), actions),
            _ => {}
        }
    }

    fn call_next(&mut self, sum: String, actions: &mut Vec<OrchestratorAction>) {
        match self.left.checked_sub(1) {
            None => self.complete(Some(sum), actions),
            Some(left) => {
                self.left = left;
                let task = ScheduleTaskAction { name: ACTIVITY.to_owned(), input: Some(sum), ..Default::default() };
                self.act(Action::ScheduleTask(task), actions);
            }
        }
    }

    fn complete(&mut self, result: Option<String>, actions: &mut Vec<OrchestratorAction>) {
        let orchestration_status = OrchestrationStatus::Completed.into();
        let complete = CompleteOrchestrationAction { orchestration_status, result, ..Default::default() };
        self.act(Action::CompleteOrchestration(complete), actions);
    }

    fn act(&mut self, action: Action, actions: &mut Vec<OrchestratorAction>) {
        actions.push(OrchestratorAction { id: self.next_id, orchestrator_action_type: Some(action) });
        self.next_id += 1;
    }
}

/// The activity.
pub(super) fn add(input: Option<&str>) -> String {
    let sum: u32 = input.and_then(|sum| sum.parse().ok()).unwrap_or(0);
    (sum + 1).to_string()
}
