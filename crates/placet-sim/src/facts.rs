//! What the world outside can see of a run: calls and their answers, work items, committed histories. The checkers
//! are told nothing else, so that they know the promises and not the code.

use std::collections::BTreeMap;

use placet_proto::durabletask::{HistoryEvent, OrchestrationStatus, history_event::EventType};

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    /// Its status.
    pub(crate) status: OrchestrationStatus,
    /// Its output, as JSON.
    pub(crate) output: Option<String>,
    /// Its failure: the type and the message.
    pub(crate) failure: Option<String>,
}

/// An instance as a client is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Which generation.
    pub(crate) execution: String,
    /// How it ended, if it has.
    pub(crate) outcome: Option<Outcome>,
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Start the instance, for the n-th time.
    Start {
        /// Which of its lives.
        life: u32,
        /// The execution's id.
        execution: String,
        /// When it is to start, if not at once.
        delay: u64,
        /// Whether it may end a life that has not ended.
        over_running: bool,
    },
    /// Raise an event.
    Raise {
        /// Its name.
        name: &'static str,
        /// What it says.
        id: String,
    },
    /// Ask a question.
    Ask {
        /// The event's name.
        name: &'static str,
        /// The question's id.
        id: String,
        /// What it says.
        what: String,
    },
    /// Wait for the end.
    Wait,
    /// Wait for the start.
    WaitStart,
    /// Terminate it.
    Terminate,
    /// Delete the instance's hub.
    DeleteHub,
    /// Empty the instance's hub.
    EmptyHub,
    /// Put what was set aside back to work.
    RetryPoisoned,
}

/// A call, as it was sent once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    /// Which call: sent again, it is another.
    pub(crate) number: u64,
    /// Which instance.
    pub(crate) slot: usize,
    /// What it asks for.
    pub(crate) what: What,
}

/// What a call was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It was done.
    Done,
    /// There is no such instance.
    Absent,
    /// How the instance stands.
    State(Seen),
    /// What the orchestration replied.
    Reply(String),
    /// How the instance stood after the turn that took the question.
    After(Seen),
    /// It ended without taking the question.
    Ended(Seen),
    /// The question is recorded.
    Recorded,
    /// The id is taken.
    Exists,
    /// Nothing was done: try again.
    TryLater,
    /// Whether it was done is not known.
    Unknown,
    /// No answer came.
    Lost,
    /// It was refused in a way that nothing here gives reason for.
    Wrong(String),
}

/// An instance as it stands in the store.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Stored {
    /// Which generation.
    pub(crate) execution: String,
    /// How it ended, if it has.
    pub(crate) outcome: Option<Outcome>,
    /// The events of this generation.
    pub(crate) history: Vec<HistoryEvent>,
    /// The events that wait.
    pub(crate) inbox: Vec<HistoryEvent>,
    /// What became of questions.
    pub(crate) replies: BTreeMap<String, Option<String>>,
    /// Something of it was set aside.
    pub(crate) poisoned: bool,
}

/// Something that was seen.
#[derive(Debug)]
pub(crate) enum Fact<'a> {
    /// A client sent a call.
    Sent(&'a Call),
    /// The server let an answer go; what it tells of must be in the store by now.
    Released(&'a Call, &'a Answer, Option<&'a Stored>),
    /// A client was told.
    Told(&'a Call, &'a Answer),
    /// A turn was sent to a worker: the slot, what is past (if it was sent), what is new.
    TurnSent(usize, &'a [HistoryEvent], &'a [HistoryEvent]),
    /// The server said that a turn's completion counts: the execution, and which turn.
    TurnAccepted(&'a str, u32),
    /// An activity was sent to a worker; whether the store has it.
    ActivitySent(usize, bool),
    /// A worker ran an activity: the slot, the execution, the step, and what came of it.
    ActivityRan(usize, &'a str, i32, &'a Result<String, String>),
    /// A timer's firing became history.
    Fired {
        /// When it was due.
        due: i64,
        /// When it was recorded.
        at: i64,
    },
    /// A timer is over, though it was due and nothing has been wrong since.
    TimerOver {
        /// How long after its time.
        late: u64,
    },
    /// An event was acknowledged, so long after it was taken, and the disk may have taken this much of it.
    Acknowledged {
        /// How long its sender waited.
        waited: u64,
        /// What the disk may have taken.
        disk: u64,
    },
    /// The server has had nothing to do for a while: how many instances are in memory, how many have work.
    Idle(usize, usize),
}

impl Outcome {
    /// What the last event of a history says of the end.
    pub(crate) fn of_history(history: &[HistoryEvent]) -> Option<Outcome> {
        let EventType::ExecutionCompleted(completed) = history.last()?.event_type.as_ref()? else { return None };
        Some(Outcome {
            status: completed.orchestration_status(),
            output: completed.result.clone(),
            failure: completed.failure_details.as_ref().map(|f| format!("{}: {}", f.error_type, f.error_message)),
        })
    }
}

/// The id that an external event of the workload carries: its input, or the id in it.
pub(crate) fn id_of(event: &HistoryEvent) -> Option<String> {
    let Some(EventType::EventRaised(raised)) = &event.event_type else { return None };
    let input: serde_json::Value = serde_json::from_str(raised.input.as_deref()?).ok()?;
    let id = input.get("id").unwrap_or(&input);
    id.as_str().map(str::to_owned)
}
