//! What a partition can be told, and what it answers.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use placet_proto::durabletask::{
    ActivityResponse, OrchestrationState, OrchestrationStatus, OrchestratorResponse, ParentInstanceInfo, TraceContext,
};
use placet_proto::placet::v1::{AskReply, PublishedRow};

use crate::ids::{CallId, Iid, InstanceId, InstanceKey, PartitionId, RecordKey, Seq, StreamId, Turn};
use crate::limits;
use crate::rows::{Lookup, TimerRow};
use crate::shard::Arrival;
use crate::time::Timestamp;
use crate::token::Token;
use crate::why::Explanation;

/// A command: whom it concerns, what it is, and who waits for the answer.
#[derive(Debug, Clone)]
pub struct Command {
    /// The instance.
    pub target: Lookup,
    /// What is to be done.
    pub kind: CommandKind,
    /// The call that is answered; absent if nobody waits.
    pub call: Option<CallId>,
}

impl Command {
    /// Bytes that a client's command brings to be kept.
    pub(crate) fn payload_bytes(&self) -> usize {
        let payload = match &self.kind {
            CommandKind::Start(start) => start.input.as_ref(),
            CommandKind::RaiseEvent(event) => event.input.as_ref(),
            CommandKind::Terminate(terminate) => terminate.output.as_ref(),
            CommandKind::Suspend(suspend) => suspend.reason.as_ref(),
            CommandKind::Ask(ask) => ask.payload.as_ref(),
            _ => None,
        };
        payload.map_or(0, String::len)
    }

    /// The call is not answered any more, if it is this one.
    pub(crate) fn forget(&mut self, call: CallId) {
        if self.call == Some(call) {
            self.call = None;
        }
    }
}

/// A command for a record row: which, what is to be done, and who waits for the answer.
#[derive(Debug, Clone)]
pub struct RecordCommand {
    /// The row.
    pub key: RecordKey,
    /// What is to be done.
    pub change: RecordChange,
    /// The call that is answered; absent if nobody waits.
    pub call: Option<CallId>,
}

/// What is to be done with a record row. One that has expired counts as absent.
#[derive(Debug, Clone)]
pub enum RecordChange {
    /// Make it, with version 1, if it is absent.
    Create(RecordContent),
    /// Replace it if it has this version: it has the next one then.
    Replace(u64, RecordContent),
    /// Delete it if it has this version; whichever it has, if none is named.
    Delete(Option<u64>),
    /// Delete it if it has expired.
    Expire,
}

/// What a record row is to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordContent {
    /// When it counts as absent; never, if absent.
    pub expires_at: Option<Timestamp>,
    /// At most [`limits::RECORD_BYTES_MAX`].
    pub body: Bytes,
}

impl RecordCommand {
    /// Bytes that it brings to be kept.
    pub(crate) fn payload_bytes(&self) -> usize {
        match &self.change {
            RecordChange::Create(content) | RecordChange::Replace(_, content) => content.body.len(),
            RecordChange::Delete(_) | RecordChange::Expire => 0,
        }
    }
}

/// What became of a record row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// It has this version now.
    Version(u64),
    /// It is there no more.
    Deleted,
    /// Nothing was done: it has this version, or is absent.
    Conflict(Option<u64>),
}

/// What is to be done. Each has its file in `commands/`.
#[derive(Debug, Clone)]
pub enum CommandKind {
    /// Create an instance (StartInstance).
    Start(Box<StartInstance>),
    /// Deliver an external event (RaiseEvent).
    RaiseEvent(RaiseEvent),
    /// Deliver a termination (TerminateInstance).
    Terminate(Terminate),
    /// Suspend an instance, or let it go on (SuspendInstance, ResumeInstance).
    Suspend(Suspend),
    /// End an instance without asking a worker (SkipGracefulOrchestrationTerminations).
    End {
        /// What its output is to be.
        reason: Option<String>,
    },
    /// Let a failed instance try again what failed (RewindInstance).
    Rewind {
        /// Why.
        reason: Option<String>,
    },
    /// Delete an instance that has ended, with all that it has (PurgeInstances).
    Purge,
    /// Delete an instance that has been kept for as long as it was to be (DESIGN.md §4, "Retention").
    Expire(Expiry),
    /// Answer once the instance has started or ended (WaitForInstanceStart, WaitForInstanceCompletion).
    Wait(WaitFor),
    /// Deliver a question and answer with what became of it (placet.v1 Ask).
    Ask(Arc<Ask>),
    /// Another instance has something to tell this one.
    Hear(Tell),
    /// Answer once what was decided of the instance is durable, and whether there is one.
    Settle,
    /// A timer of the instance is due.
    FireTimer(TimerRow),
    /// A worker finished a turn (CompleteOrchestratorTask).
    CompleteTurn(Box<CompleteTurn>),
    /// A worker finished an activity (CompleteActivityTask).
    CompleteActivity(Box<CompleteActivity>),
    /// A worker that repeats no tokens finished an activity: the oldest one of this action's id.
    EndActivity(Box<ActivityResponse>),
    /// Put what was set aside back to work (placet.v1 RetryPoisoned).
    RetryPoisoned,
    /// Tell why it waits (placet.v1 Why); with what its parent was explained to wait for, if the question is about that.
    Why(Option<Box<Explanation>>),
    /// An item was delivered too often: set it aside.
    SetAside(Option<Seq>),
    /// An item of so many bytes is too long for its workers: it fails.
    FailTooLong(Option<Seq>, usize),
}

/// Which end of an instance is meant, and for how long it is kept after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// When it ended. If it has begun again meanwhile, it stays.
    pub ended_at: Timestamp,
    /// For so long, by the wall clock.
    pub kept_for: Duration,
}

/// A child whose parent waits for no result carries this tag (`OrchestrationTags.FireAndForget` of the .NET SDK).
pub const FIRE_AND_FORGET: &str = "FireAndForget";

/// `CreateInstanceRequest`, as far as it has a meaning here.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "the fields are the message's")]
pub struct StartInstance {
    pub name: String,
    pub version: Option<String>,
    pub input: Option<String>,
    pub scheduled_start: Option<prost_types::Timestamp>,
    /// The statuses that may be replaced; absent: any terminal one. Present and empty: none.
    pub reuse: Option<Vec<OrchestrationStatus>>,
    /// The statuses in which an instance is left as it is, and the start is done.
    pub keep: Vec<OrchestrationStatus>,
    pub execution_id: String,
    pub tags: std::collections::BTreeMap<String, String>,
    pub parent_trace: Option<TraceContext>,
    /// Whose child it is, if it is one.
    pub parent: Option<Parent>,
}

/// Whose child an instance is.
#[derive(Debug, Clone, Default)]
pub struct Parent {
    /// As its history tells it.
    pub info: ParentInstanceInfo,
    /// Under which number the parent waits for it; absent if it does not.
    pub seq: Option<Seq>,
}

/// Something that one instance has to tell another: by name, since what it is is taken from the one at the moment when the
/// other can hear it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tell {
    /// Who tells.
    pub from: (PartitionId, Iid),
    /// Which of the messages that he has yet to send.
    pub seq: Seq,
    /// Whom.
    pub to: InstanceKey,
}

/// An external event.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the message's")]
pub struct RaiseEvent {
    pub name: String,
    pub input: Option<String>,
    /// Who called, as the edge knows it.
    pub stamp: Caller,
}

/// Who called, by what proof; stamped on events, never read from their payload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Caller {
    /// The principal, empty if unknown.
    pub principal: String,
    /// "none" if nothing was proved.
    pub proof: String,
}

/// A termination.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields are the message's")]
pub struct Terminate {
    pub output: Option<String>,
    pub recurse: bool,
}

/// A suspension, or its end.
#[derive(Debug, Clone)]
pub struct Suspend {
    /// Why.
    pub reason: Option<String>,
    /// It ends.
    pub resume: bool,
}

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// The first committed turn, or the end.
    Start,
    /// The end.
    Completion,
}

/// A question to an orchestration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Who asks again with the same id is told the same; the event is delivered once.
    pub ask_id: Arc<str>,
    /// The external event that carries it.
    pub event_name: String,
    /// The event's input.
    pub payload: Option<String>,
    /// How long the caller waits.
    pub wait: Duration,
    /// Who asks.
    pub stamp: Caller,
}

/// A finished turn.
#[derive(Debug, Clone)]
pub struct CompleteTurn {
    /// Of which delivery.
    pub token: Token,
    /// The stream that brought it, if it was a stream, and keeps its state.
    pub sticky: Option<StreamId>,
    /// The worker's answer.
    pub response: OrchestratorResponse,
    /// Rows to be written with the turn.
    pub publish: Vec<PublishedRow>,
    /// What became of the asks that the code took in this turn; absent if the worker does not know of asks.
    pub replies: Option<Vec<AskReply>>,
    /// What the code waits for now, an encoded `placet.v1.Waits`; absent if the worker does not tell.
    pub waits: Option<Vec<u8>>,
}

/// A finished activity.
#[derive(Debug, Clone)]
pub struct CompleteActivity {
    /// Of which scheduling.
    pub seq: Seq,
    /// The digest of the execution that scheduled it ([`Token::Activity`]).
    pub execution: u32,
    /// The worker's answer.
    pub response: ActivityResponse,
}

/// An instance as its caller is told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct InstanceView {
    /// The store's key, for reading what is not filled in.
    pub iid: Iid,
    /// Bytes of the history that its input and output may have to be read from.
    pub history_bytes: u64,
    /// The number of its next turn: one that ended has its end in the turn before.
    pub turn: Turn,
    /// The protocol's state. `input` is filled in only if `input_known`, `output` and `failure_details` only
    /// if `output_known`: otherwise they stand in the history.
    pub state: OrchestrationState,
    /// Whether `state.input` is what the instance was started with.
    pub input_known: bool,
    /// Whether `state.output` and `state.failure_details` are what it ended with.
    pub output_known: bool,
}

/// What a call is answered once everything it tells of is durable.
#[derive(Debug, Clone, PartialEq)]
pub enum Reply {
    /// It was done.
    Done,
    /// It was not done, since there is no such instance, or it is not in the state for it.
    Nothing,
    /// The instance was created.
    Started(InstanceId),
    /// What the waiter waited for; absent: there is no such instance.
    Instance(Option<Arc<InstanceView>>),
    /// What became of the ask.
    Asked(Asked),
    /// The completion changed nothing: it was out of date.
    Stale,
    /// This many items were put back to work.
    Retried(u32),
    /// The virtual clock has gone on.
    Arrived(Arrival),
    /// What became of a record row.
    Recorded(Recorded),
    /// Why an instance waits.
    Why(Box<Explanation>),
}

/// What became of an ask.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    /// The orchestration replied.
    Reply(Arc<str>),
    /// It took the event without a reply: the state after that turn.
    State(Arc<InstanceView>),
    /// It ended without taking the event.
    Ended(Arc<InstanceView>),
    /// The event is recorded, and not yet taken.
    Recorded,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// There is no such instance.
    #[error("there is no instance {0}")]
    NotFound(InstanceKey),
    /// The id is taken.
    #[error("orchestration instance already exists: {key}, with status {status}")]
    AlreadyExists {
        /// The instance.
        key: InstanceKey,
        /// Its status.
        status: &'static str,
    },
    /// The call is wrong in itself.
    #[error("{0}")]
    InvalidArgument(String),
    /// The call does not fit the instance's state.
    #[error("{0}")]
    FailedPrecondition(String),
    /// Too much is waiting, or the disk is full: nothing was done.
    #[error("{what}; try again in {} ms", retry_after.as_millis())]
    Exhausted {
        /// Of what there is not enough.
        what: &'static str,
        /// When to try again.
        retry_after: Duration,
    },
    /// A commit failed after the call was taken: it may or may not have been done. Asking again is safe.
    #[error("the commit failed; whether the call was carried out is unknown")]
    Unknown,
    /// The row that the call concerns cannot be read.
    #[error("the store did not answer: {0}")]
    Unreadable(String),
}

/// [`Refusal::Exhausted`], of a disk that has no room. The store is tried again by itself.
pub const DISK_FULL: &str = "the disk is full";

impl Refusal {
    /// An instance's messages wait for a worker, and more of them must not.
    pub(crate) fn inbox_full() -> Refusal {
        let what = "the instance's inbox is full: its messages wait for a worker, or for it to be resumed";
        Refusal::Exhausted { what, retry_after: limits::REFUSE_AFTER_FAILURE }
    }

    /// When the same may be asked again, if that is why it was refused.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Refusal::Exhausted { retry_after, .. } => Some(*retry_after),
            _ => None,
        }
    }
}

/// The protocol's name of a status, as people write it.
pub fn status_name(status: OrchestrationStatus) -> &'static str {
    status.as_str_name().trim_start_matches("ORCHESTRATION_STATUS_")
}

/// Whether an instance with this status has ended.
pub fn is_terminal(status: OrchestrationStatus) -> bool {
    match status {
        OrchestrationStatus::Completed
        | OrchestrationStatus::Failed
        | OrchestrationStatus::Canceled
        | OrchestrationStatus::Terminated => true,
        OrchestrationStatus::Running
        | OrchestrationStatus::ContinuedAsNew
        | OrchestrationStatus::Pending
        | OrchestrationStatus::Suspended => false,
    }
}
