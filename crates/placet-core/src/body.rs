//! The stored form of what is no column: protobuf messages of our own, so that fields can be added.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use placet_proto::durabletask::{
    EventRaisedEvent, ExecutionTerminatedEvent, HistoryEvent, OrchestrationTraceContext, ParentInstanceInfo,
    TaskFailureDetails, TraceContext, history_event::EventType,
};
use prost::Message as _;

use crate::rows::Term;
use crate::time::Timestamp;
use crate::wire;

/// What an instance is beside its columns ([`crate::rows::InstanceRow::body`]).
#[derive(Clone, PartialEq, prost::Message)]
#[expect(missing_docs, reason = "the fields are those of `crate::partition::Instance`, documented there")]
pub struct InstanceBody {
    #[prost(string, optional, tag = "1")]
    pub version: Option<String>,
    #[prost(string, tag = "2")]
    pub execution_id: String,
    #[prost(btree_map = "string, string", tag = "3")]
    pub tags: BTreeMap<String, String>,
    #[prost(string, optional, tag = "4")]
    pub custom_status: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub parent: Option<ParentInstanceInfo>,
    #[prost(message, optional, tag = "6")]
    pub parent_trace: Option<TraceContext>,
    #[prost(message, optional, tag = "7")]
    pub turn_trace: Option<OrchestrationTraceContext>,
    #[prost(uint32, tag = "8")]
    pub turn: u32,
    #[prost(uint32, tag = "9")]
    pub turn_first: u32,
    #[prost(uint32, tag = "10")]
    pub events: u32,
    #[prost(uint64, tag = "11")]
    pub history_bytes: u64,
    #[prost(uint64, tag = "12")]
    pub seq: u64,
    #[prost(message, repeated, tag = "13")]
    pub timers: Vec<PendingTimer>,
    #[prost(message, optional, tag = "14")]
    pub scheduled_start: Option<prost_types::Timestamp>,
    #[prost(string, repeated, tag = "15")]
    pub open_asks: Vec<String>,
    #[prost(bool, tag = "16")]
    pub held: bool,
    #[prost(bool, tag = "17")]
    pub poisoned: bool,
    #[prost(bool, tag = "18")]
    pub suspended: bool,
    #[prost(uint64, tag = "19")]
    pub input_bytes: u64,
    #[prost(uint64, optional, tag = "20")]
    pub parent_seq: Option<u64>,
    #[prost(oneof = "KeptWaits", tags = "31, 33")]
    pub waits: Option<KeptWaits>,
    #[prost(message, optional, tag = "32")]
    pub suspension: Option<Suspension>,
}

/// What is kept of what an instance's code waits for, until somebody asks ([`KeptWaits::read`]).
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum KeptWaits {
    /// As it is seen from outside.
    #[prost(message, tag = "31")]
    Seen(Waits),
    /// As its worker told it.
    #[prost(message, tag = "33")]
    Told(ToldWaits),
}

/// What a worker told, as it told it: with every turn, and hardly anybody ever asks.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ToldWaits {
    /// The encoded `placet.v1.Waits`, of at most [`crate::limits::WAITS_BYTES_MAX`].
    #[prost(bytes = "vec", tag = "1")]
    pub waits: Vec<u8>,
    /// When, in microseconds since 1970.
    #[prost(int64, tag = "2")]
    pub at: i64,
    /// The same of each event that it awaits, in their order; nothing if it awaits them all since then.
    #[prost(int64, repeated, tag = "3")]
    pub since: Vec<i64>,
}

/// What an instance's code waits for since its last turn, beside what the server knows anyway: for people who ask
/// ([`crate::why`]), bounded (`limits::WAITS_*`), and never for a decision.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Waits {
    /// Its worker told: what is not here is not waited for. Else it was seen from outside.
    #[prost(bool, tag = "1")]
    pub told: bool,
    /// The events that it awaits, each since when. Only if it was told.
    #[prost(message, repeated, tag = "2")]
    pub events: Vec<Named>,
    /// So many more.
    #[prost(uint32, tag = "3")]
    pub events_more: u32,
    /// Events that came and that nobody awaits; if it was not told, those with which its code did nothing.
    #[prost(message, repeated, tag = "4")]
    pub unread: Vec<Named>,
    /// The ids of the actions whose results it awaits. Only if it was told.
    #[prost(sint32, repeated, tag = "5")]
    pub tasks: Vec<i32>,
    /// There are more than are kept: any may be awaited.
    #[prost(bool, tag = "6")]
    pub tasks_more: bool,
    /// The timers after which it tries something again.
    #[prost(message, repeated, tag = "7")]
    pub retries: Vec<PendingRetry>,
}

/// Something by its name, and when it came or began.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Named {
    /// The name, as it was written.
    #[prost(string, tag = "1")]
    pub name: String,
    /// In microseconds since 1970.
    #[prost(int64, tag = "2")]
    pub at: i64,
}

/// What is tried again once a timer has fired.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct PendingRetry {
    /// The action that created the timer.
    #[prost(sint32, tag = "1")]
    pub timer_id: i32,
    /// The activity's or child's name; empty if it was not told.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Which attempt comes then; 0 if it was not told.
    #[prost(uint32, tag = "3")]
    pub attempt: u32,
    /// … of how many.
    #[prost(uint32, tag = "4")]
    pub attempts_max: u32,
    /// The type of the error that the last attempt failed with.
    #[prost(string, tag = "5")]
    pub error: String,
}

/// Since when an instance is suspended, and why.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Suspension {
    /// In microseconds since 1970.
    #[prost(int64, tag = "1")]
    pub at: i64,
    /// The reason, unless it is long.
    #[prost(string, optional, tag = "2")]
    pub reason: Option<String>,
}

/// Of an [`InstanceBody`] what a search may ask for: of all else in it no value is made.
#[derive(Clone, PartialEq, prost::Message)]
#[expect(missing_docs, reason = "the fields are those of `InstanceBody`")]
pub struct Shown {
    #[prost(string, optional, tag = "1")]
    pub version: Option<String>,
    #[prost(btree_map = "string, string", tag = "3")]
    pub tags: BTreeMap<String, String>,
    #[prost(message, optional, tag = "14")]
    pub scheduled_start: Option<prost_types::Timestamp>,
}

impl Shown {
    /// From the bytes of a body; what is none shows nothing.
    pub fn read(body: &[u8]) -> Shown {
        prost::Message::decode(body).unwrap_or_default()
    }

    /// When the instance was to start, if its creator said so.
    pub fn started(&self) -> Option<Timestamp> {
        self.scheduled_start.as_ref().map(Timestamp::from_proto)
    }
}

/// A timer that has not fired.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct PendingTimer {
    /// Its key within the instance.
    #[prost(uint64, tag = "1")]
    pub seq: u64,
    /// The action that created it; absent for the start of an instance that was scheduled for later.
    #[prost(sint32, optional, tag = "2")]
    pub timer_id: Option<i32>,
    /// When it is due, exactly as the worker wrote it: the event repeats it.
    #[prost(message, optional, tag = "3")]
    pub fire_at: Option<prost_types::Timestamp>,
}

/// What kind of message waits in an inbox: what the server itself must know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum MessageKind {
    /// The start of a generation.
    Started = 0,
    /// An external event: kept by continue-as-new.
    Raised = 1,
    /// An activity's result: meant for one generation.
    Result = 2,
    /// A timer: meant for one generation.
    Timer = 3,
    /// A termination.
    Terminated = 4,
    /// A suspension.
    Suspended = 5,
    /// The end of one.
    Resumed = 6,
    /// Not received, but yet to be sent: an [`Outgoing`] in place of the event.
    Outgoing = 7,
    /// A rewind: its turn holds nothing else.
    Rewound = 8,
    /// No event at all: a turn is due though nothing happened.
    Nudge = 9,
}

/// A message that waits for a turn ([`crate::rows::InboxRow::data`]).
#[derive(Clone, PartialEq, prost::Message)]
pub struct InboxMessage {
    /// What it is.
    #[prost(enumeration = "MessageKind", tag = "1")]
    pub kind: i32,
    /// The encoded `HistoryEvent`, with the time at which the message was recorded.
    #[prost(bytes = "bytes", tag = "2")]
    pub event: Bytes,
    /// The ask that it belongs to.
    #[prost(string, optional, tag = "3")]
    pub ask_id: Option<String>,
}

impl InboxMessage {
    /// A message of something that happens to an instance, and its row: the event lies in the row's bytes, and is put there once,
    /// since it may be long.
    pub(crate) fn of_event(
        kind: MessageKind,
        at: Timestamp,
        event: EventType,
        ask_id: Option<&str>,
    ) -> (Bytes, InboxMessage) {
        let before = InboxMessage { kind: kind.into(), ..InboxMessage::default() };
        let after = InboxMessage { ask_id: ask_id.map(str::to_owned), ..InboxMessage::default() };
        let event = HistoryEvent { event_id: -1, timestamp: Some(at.to_proto()), event_type: Some(event) };
        let length = event.encoded_len();
        let whole = before.encoded_len() + wire::pushed_len(length) + after.encoded_len();
        let mut data = BytesMut::with_capacity(whole);
        before.encode_raw(&mut data);
        wire::push_head(&mut data, wire::MESSAGE_EVENT, length);
        let event = {
            let begin = data.len();
            event.encode_raw(&mut data);
            begin..data.len()
        };
        after.encode_raw(&mut data);
        let data = data.freeze();
        let message = InboxMessage { kind: before.kind, event: data.slice(event), ask_id: after.ask_id };
        (data, message)
    }
}

/// What an instance has yet to tell another one of its hub.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Outgoing {
    /// The other one's id.
    #[prost(string, tag = "1")]
    pub to: String,
    /// What it is told.
    #[prost(oneof = "Told", tags = "2, 3, 4, 5, 6")]
    pub told: Option<Told>,
}

/// What one instance tells another.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Told {
    /// It is to be, as a child.
    #[prost(message, tag = "2")]
    Start(ChildStart),
    /// A child of it has ended.
    #[prost(message, tag = "3")]
    Result(ChildResult),
    /// An event.
    #[prost(message, tag = "4")]
    Event(EventRaisedEvent),
    /// It is to end.
    #[prost(message, tag = "5")]
    Terminate(ExecutionTerminatedEvent),
    /// Its parent was rewound and waits for it again: what the child would be started with, and the rewind's reason.
    #[prost(message, tag = "6")]
    Rewind(ChildRewind),
}

/// A child to be started. Its id is that of the [`Outgoing`] message.
#[derive(Clone, PartialEq, prost::Message)]
#[expect(missing_docs, reason = "the fields are those of `crate::command::StartInstance`, documented there")]
pub struct ChildStart {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, optional, tag = "2")]
    pub version: Option<String>,
    #[prost(string, optional, tag = "3")]
    pub input: Option<String>,
    #[prost(btree_map = "string, string", tag = "4")]
    pub tags: BTreeMap<String, String>,
    #[prost(message, optional, tag = "5")]
    pub trace: Option<TraceContext>,
    #[prost(string, tag = "6")]
    pub execution_id: String,
    #[prost(message, optional, tag = "7")]
    pub parent: Option<ParentInstanceInfo>,
    #[prost(uint64, optional, tag = "8")]
    pub parent_seq: Option<u64>,
}

/// A child whose parent was rewound.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChildRewind {
    /// As which it began, and begins again if it is gone.
    #[prost(message, optional, tag = "1")]
    pub start: Option<ChildStart>,
    /// Why.
    #[prost(string, optional, tag = "2")]
    pub reason: Option<String>,
}

/// What became of a child.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ChildResult {
    /// The execution of the parent that waits for it.
    #[prost(string, tag = "1")]
    pub execution_id: String,
    /// Under which number that does ([`PendingActivity`]).
    #[prost(uint64, tag = "2")]
    pub seq: u64,
    /// Its output.
    #[prost(string, optional, tag = "3")]
    pub output: Option<String>,
    /// Why it failed, if it did.
    #[prost(message, optional, tag = "4")]
    pub failure: Option<TaskFailureDetails>,
}

/// What was scheduled and has no result: an activity, or a child ([`crate::rows::ActivityRow::data`]).
#[derive(Clone, PartialEq, prost::Message)]
pub struct PendingActivity {
    /// The action's id, by which the worker knows it.
    #[prost(sint32, tag = "1")]
    pub task_id: i32,
    /// What is to be run.
    #[prost(string, tag = "2")]
    pub name: String,
    /// Its version, if the action has one.
    #[prost(string, optional, tag = "3")]
    pub version: Option<String>,
    /// Its input.
    #[prost(string, optional, tag = "4")]
    pub input: Option<String>,
    /// Its tags.
    #[prost(btree_map = "string, string", tag = "5")]
    pub tags: BTreeMap<String, String>,
    /// The trace that it belongs to.
    #[prost(message, optional, tag = "6")]
    pub trace: Option<TraceContext>,
    /// It was set aside after too many failed deliveries.
    #[prost(bool, tag = "7")]
    pub poisoned: bool,
    /// It is a child, with this instance id. Of those only `task_id`, `name` and `scheduled_at` are kept besides.
    #[prost(string, optional, tag = "8")]
    pub child: Option<String>,
    /// When, in microseconds since 1970; absent if it was before this was kept.
    #[prost(int64, optional, tag = "9")]
    pub scheduled_at: Option<i64>,
}

/// The terms of a published row: by their order, since most of them have the same.
#[derive(Clone, PartialEq, prost::Message)]
pub struct StoredTerms {
    /// In the order of their orders.
    #[prost(message, repeated, tag = "1")]
    groups: Vec<TermGroup>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TermGroup {
    #[prost(sint64, tag = "1")]
    order: i64,
    #[prost(string, repeated, tag = "2")]
    texts: Vec<String>,
}

impl StoredTerms {
    /// As they are stored.
    pub fn new<'a>(terms: impl IntoIterator<Item = &'a Term>) -> StoredTerms {
        let mut by_order: BTreeMap<i64, BTreeSet<&str>> = BTreeMap::new();
        for term in terms {
            by_order.entry(term.order).or_default().insert(&term.text);
        }
        let group = |(order, texts): (i64, BTreeSet<&str>)| TermGroup {
            order,
            texts: texts.into_iter().map(str::to_owned).collect(),
        };
        StoredTerms { groups: by_order.into_iter().map(group).collect() }
    }

    /// Each with its order.
    pub fn terms(&self) -> impl Iterator<Item = (&str, i64)> {
        self.groups.iter().flat_map(|group| group.texts.iter().map(|text| (text.as_str(), group.order)))
    }
}
