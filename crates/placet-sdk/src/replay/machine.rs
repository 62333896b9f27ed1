//! A live orchestration: its code, and what the history has made of it so far.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use placet_proto::durabletask::history_event::EventType;
use placet_proto::durabletask::orchestrator_action::OrchestratorActionType as Action;
use placet_proto::durabletask::{
    CompleteOrchestrationAction, ExecutionStartedEvent, HistoryEvent, OrchestrationStatus, OrchestratorAction,
};
use placet_proto::placet::v1::{AskReply, PublishedRow, Waits};
use prost::Message;

use super::rewind;
use super::shared::{Raised, Resolved, Shared, Step};
use crate::context::OrchestrationContext;
use crate::error::Failure;
use crate::transport::BoxFuture;
use crate::worker::Untyped;

/// The tag by which the scheduler says that a built-in orchestration's input was handed over by its last generation.
const CONTINUED_TAG: &str = "placet.continued";

/// An orchestration's code.
pub(crate) type Code = Untyped<OrchestrationContext>;

/// What a live orchestration takes before it is given anything: its future, and what it shares with its replay.
const STATE_BYTES: usize = 2 << 10;

/// What an event leaves behind, whatever it brings.
const EVENT_BYTES: usize = 64;

/// What a turn asks for.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct TurnResult {
    pub(crate) actions: Vec<OrchestratorAction>,
    pub(crate) custom_status: Option<String>,
    pub(crate) replies: Vec<AskReply>,
    pub(crate) publish: Vec<PublishedRow>,
    /// What the code waits for, unless it ended.
    pub(crate) waits: Option<Waits>,
    /// The state is of no use after this turn: the instance ended, or begins anew.
    pub(crate) ended: bool,
    /// How many events the history has after this turn.
    pub(crate) events: u32,
}

/// A live orchestration.
pub(crate) struct Orchestration {
    code: Code,
    shared: Shared,
    future: Option<BoxFuture<'static, Result<String, Failure>>>,
    /// How it ended, once it has.
    end: Option<End>,
    suspended: bool,
    /// It failed once, and what failed was taken out of its history: the code asks for it again.
    rewound: bool,
    /// What came while it was suspended.
    buffered: VecDeque<HistoryEvent>,
    events: u32,
    /// Bytes that the history has brought.
    given: usize,
    /// Something asked for another look at the code while it was looked at.
    woken: Arc<Woken>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Woken>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

enum End {
    Returned(Result<String, Failure>),
    Terminated(Option<String>),
    /// The code does not do what the history says that it did.
    Differs(Failure),
}

impl Orchestration {
    pub(crate) fn new(code: Code) -> Orchestration {
        Orchestration {
            code,
            shared: Shared::default(),
            future: None,
            end: None,
            suspended: false,
            rewound: false,
            buffered: VecDeque::new(),
            events: 0,
            given: 0,
            woken: Arc::default(),
        }
    }

    /// How many events of the history it has seen, this turn's confirmations included.
    pub(crate) fn events(&self) -> u32 {
        self.events
    }

    /// About how many bytes it holds, at most: what the code keeps of all that it was given, only the code knows.
    pub(crate) fn bytes(&self) -> usize {
        STATE_BYTES + self.given + self.shared.lock().custom_status.as_ref().map_or(0, String::len)
    }

    /// Runs a turn: first what is past, if the state is new, then what is new.
    pub(crate) fn turn(&mut self, past: Vec<HistoryEvent>, new: Vec<HistoryEvent>) -> TurnResult {
        if let Some(rewound) = rewind::rewound(&past, &new) {
            return TurnResult { actions: vec![rewound], ended: true, ..TurnResult::default() };
        }
        self.shared.lock().begin_replay(past.iter().chain(&new));
        self.events += count(past.len());
        for event in past {
            self.apply(event);
        }
        self.check_nothing_unrecorded();
        self.shared.lock().replaying = false;
        self.shared.lock().begin_turn();
        self.events += count(new.len());
        for event in new {
            self.apply(event);
        }
        self.result()
    }

    fn apply(&mut self, event: HistoryEvent) {
        self.given += EVENT_BYTES + payload_bytes(&event);
        self.take(event);
    }

    fn take(&mut self, event: HistoryEvent) {
        if self.suspended
            && !matches!(
                event.event_type,
                Some(
                    EventType::ExecutionResumed(_)
                        | EventType::ExecutionTerminated(_)
                        | EventType::OrchestratorStarted(_)
                        // Of what was asked for in the turn that suspended it.
                        | EventType::TaskScheduled(_)
                        | EventType::TimerCreated(_)
                        | EventType::SubOrchestrationInstanceCreated(_)
                        | EventType::EventSent(_)
                )
            )
        {
            self.buffered.push_back(event);
            return;
        }
        if let Some(EventType::EventRaised(raised)) = &event.event_type {
            let (name, raised) = (raised.name.clone(), Raised::new(&event, raised));
            self.shared.lock().raise(&name, raised);
            self.poll();
            return;
        }
        let id = event.event_id;
        match event.event_type {
            Some(EventType::OrchestratorStarted(_)) => self.shared.lock().now = event.timestamp,
            Some(EventType::ExecutionStarted(started)) => self.start(started, event.timestamp),
            Some(EventType::TaskScheduled(task)) => self.confirm(id, "activity", &task.name),
            Some(EventType::TimerCreated(_)) => self.confirm(id, "timer", ""),
            Some(EventType::SubOrchestrationInstanceCreated(child)) => {
                self.confirm(id, "sub-orchestration", &child.name);
            }
            Some(EventType::EventSent(sent)) => self.confirm(id, "event", &sent.name),
            Some(EventType::TaskCompleted(task)) => {
                self.resolve(task.task_scheduled_id, Resolved::Completed(task.result));
            }
            Some(EventType::TaskFailed(task)) => {
                let details = task.failure_details.unwrap_or_default();
                self.resolve(task.task_scheduled_id, Resolved::Failed(details));
            }
            Some(EventType::SubOrchestrationInstanceCompleted(child)) => {
                self.resolve(child.task_scheduled_id, Resolved::Completed(child.result));
            }
            Some(EventType::SubOrchestrationInstanceFailed(child)) => {
                let details = child.failure_details.unwrap_or_default();
                self.resolve(child.task_scheduled_id, Resolved::Failed(details));
            }
            Some(EventType::TimerFired(timer)) => self.resolve(timer.timer_id, Resolved::Fired),
            Some(EventType::ExecutionTerminated(terminated)) => self.terminate(terminated.input, event.timestamp),
            Some(EventType::ExecutionSuspended(_)) => self.suspended = true,
            Some(EventType::ExecutionResumed(_)) => self.resume(),
            Some(EventType::ExecutionRewound(_)) => self.rewound = true,
            // What concerns the scheduler's own bookkeeping, and what this SDK never asks for.
            _ => {}
        }
    }

    fn start(&mut self, started: ExecutionStartedEvent, at: Option<prost_types::Timestamp>) {
        let mut state = self.shared.lock();
        let instance = started.orchestration_instance.unwrap_or_default();
        state.instance_id = instance.instance_id;
        state.execution_id = instance.execution_id.unwrap_or_default();
        state.name = started.name;
        state.version = started.version;
        state.started_at = at;
        state.parent = started.parent_instance;
        state.trace = started.parent_trace_context;
        state.is_continued = started.tags.contains_key(CONTINUED_TAG);
        drop(state);
        let context = OrchestrationContext::new(self.shared.clone());
        match catch_unwind(AssertUnwindSafe(|| (self.code)(context, started.input))) {
            Ok(future) => self.future = Some(future),
            Err(panic) => self.end = Some(End::Returned(Err(panicked(&*panic)))),
        }
        self.poll();
    }

    /// It ends so, whatever its code does; which may do something about it, if it wants to know.
    fn terminate(&mut self, reason: Option<String>, at: Option<prost_types::Timestamp>) {
        if self.end.is_some() {
            return;
        }
        if self.shared.lock().terminate(reason.clone(), at) {
            self.poll();
        }
        if !matches!(self.end, Some(End::Differs(_))) {
            self.end = Some(End::Terminated(reason));
        }
        self.future = None;
    }

    fn resume(&mut self) {
        self.suspended = false;
        for event in std::mem::take(&mut self.buffered) {
            self.take(event);
        }
    }

    fn resolve(&mut self, id: i32, resolved: Resolved) {
        self.shared.lock().resolve(id, resolved);
        self.poll();
    }

    /// Lets the code go on as far as it can.
    fn poll(&mut self) {
        if self.end.is_some() {
            return;
        }
        let Some(future) = &mut self.future else { return };
        let waker = Waker::from(self.woken.clone());
        let mut context = Context::from_waker(&waker);
        let result = loop {
            self.woken.0.store(false, Ordering::Relaxed);
            match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
                // A wait that was given up may have left its event to one that was looked at before.
                Ok(Poll::Pending) if self.woken.0.load(Ordering::Relaxed) => {}
                Ok(Poll::Pending) => return,
                Ok(Poll::Ready(result)) => break result,
                Err(panic) => break Err(panicked(&*panic)),
            }
        };
        self.end = Some(End::Returned(result));
        self.future = None;
    }

    /// The history confirms an action: the code must have asked for the same one.
    fn confirm(&mut self, id: i32, kind: &'static str, name: &str) {
        let recorded = Step { kind, name: name.to_owned() };
        let asked = self.shared.lock().actions.remove(&id).map(|(step, _)| step);
        if asked.as_ref() != Some(&recorded) {
            let asked = asked.map_or_else(|| "nothing".to_owned(), |step| format!("{step}"));
            self.differs(&format!("step {id} was {recorded} when it was recorded, and is {asked} now"));
        }
    }

    /// After the past, all that the code asked for must have been confirmed.
    fn check_nothing_unrecorded(&mut self) {
        let extra = {
            let state = self.shared.lock();
            state.actions.first_key_value().map(|(id, (step, _))| (*id, step.clone()))
        };
        if let Some((id, step)) = extra
            && !self.rewound
            && self.end.as_ref().is_none_or(|end| matches!(end, End::Returned(_)))
        {
            self.differs(&format!("step {id} is {step} now, and was nothing when it was recorded"));
        }
    }

    fn differs(&mut self, what: &str) {
        if matches!(self.end, Some(End::Differs(_))) {
            return; // the first difference tells; the others follow from it
        }
        let message = format!(
            "the orchestration's code is not what it was when its history was recorded: {what}. \
             Put the old code back, or give the changed one a new name or version"
        );
        self.end = Some(End::Differs(Failure::new("NonDeterminism", message).non_retriable()));
        self.future = None;
    }

    fn result(&mut self) -> TurnResult {
        let mut state = self.shared.lock();
        state.recorded_first = None;
        let mut actions: Vec<OrchestratorAction> = match &self.end {
            // What differs must not be done; what was asked for on the way to an end must be.
            Some(End::Differs(_)) => Vec::new(),
            _ => std::mem::take(&mut state.actions).into_values().map(|(_, action)| action).collect(),
        };
        let confirmations = count(actions.len());
        actions.append(&mut state.unconfirmed);
        if self.end.is_none() {
            // Asked for now, confirmed in the history right after this turn: not to be asked for again.
            self.events += confirmations;
        }
        let ended = self.end.is_some();
        if let Some(end) = &self.end {
            let id = state.next_id();
            let complete = completion(end, &mut state);
            actions.push(OrchestratorAction {
                id,
                orchestrator_action_type: Some(Action::CompleteOrchestration(complete)),
            });
        }
        TurnResult {
            actions,
            custom_status: state.custom_status.clone(),
            replies: state.take_replies(),
            publish: std::mem::take(&mut state.publish),
            waits: (!ended).then(|| state.waits()),
            ended,
            events: self.events,
        }
    }
}

fn completion(end: &End, state: &mut super::shared::State) -> CompleteOrchestrationAction {
    let (status, result, failure) = match end {
        End::Returned(Ok(_)) if state.next_input.is_some() => {
            return CompleteOrchestrationAction {
                orchestration_status: OrchestrationStatus::ContinuedAsNew.into(),
                result: state.next_input.take(),
                carryover_events: state.unconsumed(),
                ..CompleteOrchestrationAction::default()
            };
        }
        End::Returned(Ok(output)) => (OrchestrationStatus::Completed, Some(output.clone()), None),
        End::Returned(Err(failure)) | End::Differs(failure) => {
            (OrchestrationStatus::Failed, None, Some(failure.clone().into_details()))
        }
        End::Terminated(output) => (OrchestrationStatus::Terminated, output.clone(), None),
    };
    CompleteOrchestrationAction {
        orchestration_status: status.into(),
        result,
        failure_details: failure,
        ..CompleteOrchestrationAction::default()
    }
}

/// What an event brings to the code.
fn payload_bytes(event: &HistoryEvent) -> usize {
    let payload = match &event.event_type {
        Some(EventType::ExecutionStarted(started)) => &started.input,
        // The event itself is kept beside it, for as long as it may have to be carried over.
        Some(EventType::EventRaised(raised)) => return 2 * raised.input.as_ref().map_or(0, String::len),
        Some(EventType::TaskCompleted(task)) => &task.result,
        Some(EventType::SubOrchestrationInstanceCompleted(child)) => &child.result,
        Some(EventType::TaskFailed(task)) => return task.failure_details.as_ref().map_or(0, Message::encoded_len),
        Some(EventType::SubOrchestrationInstanceFailed(child)) => {
            return child.failure_details.as_ref().map_or(0, Message::encoded_len);
        }
        _ => &None,
    };
    payload.as_ref().map_or(0, String::len)
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let message = panic.downcast_ref::<String>().map(String::as_str);
    let message = message.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
    Failure::new("Panic", format!("the orchestration panicked: {message}"))
}

fn count(events: usize) -> u32 {
    u32::try_from(events).expect("a history is counted in thousands")
}
