//! What a shard is told, what it wants done, and what it says of itself.

use std::time::Duration;

use bytes::Bytes;

use super::{Advance, RecoverRead};
use crate::chain::Erasure;
use crate::clock::Doubt;
use crate::command::{Command, CompleteTurn, RecordCommand, Refusal, Reply};
use crate::dispatch::{ItemId, StreamSpec};
use crate::ids::{BatchId, CallId, Epoch, Hub, Iid, InstanceKey, PartitionId, RecordKey, StreamId};
use crate::item::Item;
use crate::outcome::HistoryRead;
use crate::rows::{AheadPiece, Batch, LoadedInstance, Lookup, ReadFailure, RecordRow, TimerRow};
use crate::tally::{DeliveriesByKind, Lateness};
use crate::time::Timestamp;
use crate::timers::DueRead;
use crate::token::Token;

/// What arrives at a shard.
#[derive(Debug)]
pub enum Input {
    /// The process started: recovery begins.
    Started,
    /// A client's command; its reply is an [`Output::Reply`].
    Call(CallId, Command),
    /// A command for a record row, whose `call` is answered.
    Record(RecordCommand),
    /// Something is to be erased in the record. Nothing need be known of the instance: it may be gone.
    Erase(CallId, Erasure),
    /// The caller does not wait any more for something that becomes of an instance of this partition.
    Cancelled(PartitionId, CallId),
    /// A task hub is to be made, or emptied and made again.
    CreateHub(CallId, Hub, bool),
    /// A task hub is to be deleted with all that is in it.
    DeleteHub(CallId, Hub),
    /// A worker's stream opened.
    StreamOpened(StreamId, StreamSpec),
    /// It closed; the flag says that it was in good order.
    StreamClosed(StreamId, bool),
    /// A stream's worker has read so many bytes of what it was sent.
    ItemsRead(StreamId, usize),
    /// A worker finished a turn.
    TurnCompleted(CallId, Box<CompleteTurn>),
    /// A worker finished an activity.
    ActivityCompleted(CallId, Token, Box<placet_proto::durabletask::ActivityResponse>),
    /// A worker that repeats no tokens finished the turn that this instance has out.
    TurnEnded(CallId, InstanceKey, Box<placet_proto::durabletask::OrchestratorResponse>),
    /// Likewise an activity of it, by the action's id.
    ActivityEnded(CallId, InstanceKey, Box<placet_proto::durabletask::ActivityResponse>),
    /// A worker gives an item back.
    Abandoned(CallId, Token),
    /// The batch is durable; how long that took.
    Committed(BatchId, Duration),
    /// It is not, or nobody knows.
    CommitFailed(BatchId, CommitFailure),
    /// The store's answer to the [`Output::WriteAhead`] of this number.
    WrittenAhead(u64, Result<(), CommitFailure>),
    /// The store's answer to [`Output::Load`].
    Loaded(LoadRead, Result<Option<LoadedInstance>, ReadFailure>),
    /// The store's answer to [`Output::ReadHistory`].
    HistoryRead(HistoryRead, Result<Vec<Bytes>, String>),
    /// The store's answer to [`Output::ReadTimers`].
    TimersRead(DueRead, Result<Vec<TimerRow>, String>),
    /// The store's answer to [`Output::Recover`].
    Recovered(RecoverRead, Result<(Vec<LoadedInstance>, Option<Iid>), String>),
    /// The store's answer to [`Output::LoadRecord`].
    RecordLoaded(Box<RecordRead>, Result<Option<RecordRow>, ReadFailure>),
    /// The store's answer to [`Output::FindExpired`].
    ExpiredFound(ExpiredRead, Result<Vec<RecordKey>, String>),
    /// The operator says that the wall clock is right.
    AcceptTime(CallId),
    /// A virtual clock is to go on; the reply says where it has come to. Refused if time is real.
    AdvanceTime(CallId, Advance),
    /// Its caller does not wait any more: it goes no further.
    AdvanceCancelled(CallId),
    /// A call begins at an edge that does not wait for something to happen. Told only to a shard on virtual time.
    CallOpened,
    /// Such a call has ended.
    CallClosed,
    /// The process is about to stop: who waits for an answer to an ask is told that it is recorded.
    Stopping,
    /// Time has passed.
    Tick,
}

/// Why a commit failed, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitFailure {
    /// Nothing was written: there is no room.
    Full,
    /// It may have been written.
    Unknown,
}

/// What a shard wants done. Order matters between outputs of the same kind only.
#[derive(Debug)]
pub enum Output {
    /// Commit this; the answer is [`Input::Committed`] or [`Input::CommitFailed`].
    Commit(Box<Batch>),
    /// Store this piece of a row's payload, between two commits; the answer is [`Input::WrittenAhead`]. There is one of them at a
    /// time.
    WriteAhead(u64, Box<AheadPiece>),
    /// Load this instance; the answer is [`Input::Loaded`].
    Load(LoadRead),
    /// Read this instance's history; the answer is [`Input::HistoryRead`].
    ReadHistory(HistoryRead),
    /// Read the due timers; the answer is [`Input::TimersRead`].
    ReadTimers(DueRead),
    /// Read a page of active instances; the answer is [`Input::Recovered`].
    Recover(RecoverRead),
    /// Read this record row; the answer is [`Input::RecordLoaded`].
    LoadRecord(Box<RecordRead>),
    /// Find record rows that have expired; the answer is [`Input::ExpiredFound`].
    FindExpired(ExpiredRead),
    /// Answer a call.
    Reply(CallId, Result<Reply, Refusal>),
    /// Send an encoded `WorkItem` on a stream.
    Send(StreamId, Hub, Item),
    /// Send a health ping on a stream.
    Ping(StreamId),
    /// The virtual clock says this from now on. Whoever keeps it comes back with that time at once.
    SetClock(Timestamp),
    /// Write down that an item was delivered too often, and of which instance it is, if that is in memory.
    SetAside(ItemId, Option<InstanceKey>),
}

/// A load: of one instance of a partition, in one of its epochs. Of one, so that what is damaged fails alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadRead {
    /// Where.
    pub partition: PartitionId,
    /// An answer from an earlier epoch is void.
    pub epoch: Epoch,
    /// What.
    pub lookup: Lookup,
    /// It is a timer that asks, and no caller.
    pub for_timer: bool,
}

/// A record row that a partition wants to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRead {
    /// Where.
    pub partition: PartitionId,
    /// An answer from an earlier epoch is void.
    pub epoch: Epoch,
    /// The question's number in that epoch: the answer to an earlier one is void, too.
    pub number: u64,
    /// Which.
    pub key: RecordKey,
}

/// Which record rows are looked for to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpiredRead {
    /// Those that had expired by then.
    pub until: Timestamp,
    /// So many of them.
    pub limit: usize,
}

/// What keeps a shard from its work.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Trouble {
    /// The wall clock is not believed: timers are held.
    pub clock_doubt: Option<Doubt>,
    /// The disk is full: new work is refused.
    pub refusing: bool,
}

/// What an operator wants to know of a shard.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "named for what they count")]
pub struct ShardStatus {
    pub recovering: bool,
    pub refusing: bool,
    pub hot_instances: usize,
    /// Those of the hot ones that wait and are kept for their next event. At most: one may be counted twice.
    pub parked_instances: usize,
    pub near_timers: usize,
    pub ready_turns: usize,
    pub ready_activities: usize,
    pub held_items: usize,
    pub streams: usize,
    pub uncommitted_bytes: usize,
    pub hot_bytes: usize,
    pub unread_bytes: usize,
    pub waiting_asks: usize,
    pub deliveries: DeliveriesByKind,
    pub timers_late: Lateness,
}
