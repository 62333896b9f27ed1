//! What the world outside can see of a run: calls and their answers, work items, committed histories. The checkers
//! are told nothing else, so that they know the promises and not the code.

use std::collections::BTreeMap;
use std::rc::Rc;

use placet_approval::Entry;
use placet_core::body::InstanceBody;
use placet_core::ids::Iid;
use placet_core::why::Explanation;
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
    Terminate {
        /// And its children, and theirs.
        recurse: bool,
    },
    /// Let it rest.
    Suspend,
    /// Let it go on.
    Resume,
    /// Let it try again what failed, which is repaired.
    Rewind,
    /// Delete it, if it has ended.
    Purge,
    /// Delete the instance's hub.
    DeleteHub,
    /// Empty the instance's hub.
    EmptyHub,
    /// Put what was set aside back to work.
    RetryPoisoned,
    /// Tell why it waits.
    Why,
    /// Change a record row, which is no instance's.
    Record {
        /// Which.
        row: u8,
        /// How.
        change: RowChange,
        /// The version that it is thought to have.
        version: u64,
    },
}

/// How a record row is to be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowChange {
    /// It is to be made.
    Create,
    /// It is to be replaced.
    Replace,
    /// It is to be deleted.
    Delete,
}

/// A record row as it stands in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Row {
    /// Its version.
    pub(crate) version: u64,
    /// The call that wrote it.
    pub(crate) by: u64,
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
    /// Why it waits.
    Why(Rc<Explanation>),
    /// The id is taken.
    Exists,
    /// It is not such that this could be done.
    Unfit,
    /// A row has this version now; how it stands in the store at that moment.
    Written(u64, Option<Row>),
    /// A row was left as it is: with this version, or absent.
    Conflict(Option<u64>),
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
    pub(crate) history: Rc<Vec<HistoryEvent>>,
    /// The events that wait.
    pub(crate) inbox: Vec<HistoryEvent>,
    /// What became of questions.
    pub(crate) replies: BTreeMap<String, Option<String>>,
}

/// How an instance stands in the store, as far as it is told why it waits.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Standing {
    /// Its key in the store.
    pub(crate) iid: Iid,
    pub(crate) status: OrchestrationStatus,
    pub(crate) body: InstanceBody,
    /// How many messages wait for its turn, and whether the end of a suspension, or a termination, is among them.
    pub(crate) messages: usize,
    pub(crate) ends_rest: bool,
    /// The ids of the actions that scheduled its activities and its children.
    pub(crate) activities: Vec<i32>,
    pub(crate) children: Vec<i32>,
    /// What it has yet to tell others.
    pub(crate) outbox: usize,
    /// The events of this generation.
    pub(crate) history: Rc<Vec<HistoryEvent>>,
}

/// What a server holds that has had nothing to do for a while.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Idle {
    /// Instances in memory.
    pub(crate) hot: usize,
    /// Instances with work.
    pub(crate) active: usize,
    /// Timers in memory.
    pub(crate) timers: usize,
    /// Timers that are due soon, or were dropped not long ago.
    pub(crate) timers_near: usize,
    /// Questions that somebody waits for.
    pub(crate) asks: usize,
    /// Calls that somebody waits for.
    pub(crate) calls: usize,
    /// Bytes that wait to be written.
    pub(crate) bytes: usize,
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
    /// A worker ran a turn of this slot and execution: the events that were new, and if it continues as new those that it
    /// hands on to the next generation.
    TurnRan(usize, &'a str, &'a [String], Option<&'a [HistoryEvent]>),
    /// A batch takes an event off the inbox of an instance that goes on: the slot, the execution as it is now, the event,
    /// and whether it is in the history or came into the inbox anew.
    Unqueued(usize, &'a str, &'a str, bool),
    /// A turn was sent to a worker with this token.
    TurnGivenOut(&'a str),
    /// An item broke the stream of its worker, once more.
    BrokeStream {
        /// Whose turn it is.
        id: &'a str,
        /// How often it has, in this process.
        times: u32,
        /// How often the server may have had reason not to count it: a commit that failed took the turn back before.
        void: u32,
    },
    /// The server said that a turn's completion counts: the slot, the execution, which turn, and whether it is stored.
    TurnAccepted(usize, &'a str, u32, bool),
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
        /// How much later than usual it may be, since few are taken at once.
        slack: u64,
    },
    /// An event was acknowledged, so long after it was taken, and the disk may have taken this much of it.
    Acknowledged {
        /// How long its sender waited.
        waited: u64,
        /// What the disk may have taken.
        disk: u64,
    },
    /// The server has had nothing to do for a while.
    Idle(&'a Idle),
    /// A start has found the work again: how many instances it read, and how many had work.
    Recovered {
        /// Instances read.
        read: usize,
        /// Pages read that did not end by their bytes.
        pages: usize,
        /// Instances with work.
        active: usize,
        /// Instances on a page.
        page: usize,
    },
    /// An instance has had work for long, workers have room, and nothing is wrong.
    Stuck {
        /// Which.
        id: &'a str,
        /// For how long.
        for_seconds: u64,
    },
    /// A call is not answered, and nothing is wrong.
    Silence(&'a Call),
    /// Why an instance waits, and how it stood when it was asked and when that was told.
    Explained(&'a Explanation, &'a Standing),
    /// A list shows a request so: the slot, and its outcome.
    Shown(usize, Option<&'a str>),
    /// A request's record has an entry more.
    Entered(usize, &'a Entry),
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

/// The id that an external event of the workload carries: its input, or the id in it. The inputs are our own, and
/// plain, so that they need not be parsed: this is asked of every event of every turn.
pub(crate) fn id_of(event: &HistoryEvent) -> Option<&str> {
    let Some(EventType::EventRaised(raised)) = &event.event_type else { return None };
    let input = raised.input.as_deref()?;
    let from = match input.strip_prefix('"') {
        Some(id) => id,
        None => ["\"id\":\"", "\"approver\":\""].iter().find_map(|name| Some(input.split_once(name)?.1))?,
    };
    from.split_once('"').map(|(id, _)| id)
}
