//! What is stored: the rows, and the batch in which they are committed. Data only; the store decides nothing.
//!
//! Payloads (`body`, `data`, `events`) are protobuf bytes that a store keeps and gives back unread.

use std::sync::Arc;

use bytes::Bytes;
pub use placet_proto::durabletask::OrchestrationStatus;

use crate::chain::{EntryRow, Erasure};
use crate::ids::{BatchId, Epoch, Hub, Iid, InstanceId, InstanceKey, PartitionId, RecordKey, Seq, Turn};
use crate::time::Timestamp;

/// One life of an instance. What queries look at are columns, the rest is in `body`. The input stands in the
/// first event of its history (or, before the first turn, in its inbox), the output in the last one: neither
/// is stored twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstanceRow {
    /// The key of this row.
    pub iid: Iid,
    /// The hub; unique together with `id`.
    pub hub: Hub,
    /// The instance id.
    pub id: InstanceId,
    /// The orchestration's name.
    pub name: Arc<str>,
    /// The protocol's status.
    pub status: OrchestrationStatus,
    /// Whether there is work to be found by recovery: a message not yet consumed, or an unfinished activity.
    pub active: bool,
    /// When the start was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// An encoded [`crate::body::InstanceBody`].
    pub body: Bytes,
}

impl InstanceRow {
    /// How clients name it.
    pub fn key(&self) -> InstanceKey {
        InstanceKey::new(self.hub.clone(), self.id.clone())
    }
}

/// The events of one turn, each written as field 3 of `OrchestratorRequest` (`pastEvents`), so that a turn's
/// history is sent to a worker by copying bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HistoryRow {
    /// Whose.
    pub iid: Iid,
    /// Which turn.
    pub turn: Turn,
    /// How many events `events` holds.
    pub count: u32,
    /// The events.
    pub events: Bytes,
}

/// A message that no committed turn has consumed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InboxRow {
    /// Whose.
    pub iid: Iid,
    /// Arrival order.
    pub seq: Seq,
    /// An encoded [`crate::body::InboxMessage`].
    pub data: Bytes,
}

/// An activity that was scheduled and has no recorded result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActivityRow {
    /// Whose.
    pub iid: Iid,
    /// Which scheduling.
    pub seq: Seq,
    /// An encoded [`crate::body::PendingActivity`].
    pub data: Bytes,
}

/// A timer that has not fired. Which of the instance's timers it is stands in the instance's body.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TimerRow {
    /// When it is due.
    pub fire_at: Timestamp,
    /// Whose.
    pub iid: Iid,
    /// Which of the instance's timers.
    pub seq: Seq,
    /// Where the instance lives.
    pub partition: PartitionId,
}

/// What became of an ask, for whoever asks again with the same id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplyRow {
    /// Who was asked.
    pub iid: Iid,
    /// The ask's id.
    pub ask_id: Arc<str>,
    /// Its instance's next turn when it was recorded: the oldest are dropped when they become many.
    pub turn: Turn,
    /// The orchestration's answer; absent if it consumed the question without one.
    pub answer: Option<Arc<str>>,
}

/// A row of a projection that an orchestration published with its turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublishedRow {
    /// The hub.
    pub hub: Hub,
    /// The projection.
    pub kind: Arc<str>,
    /// The row's key in it.
    pub key: Arc<str>,
    /// The id of the instance that published it last: purged, it takes the row along.
    pub owner: InstanceId,
    /// Its content; absent deletes the row.
    pub body: Option<Bytes>,
    /// What lists find it by, instead of those that it had before. Each once.
    pub terms: Vec<Term>,
}

/// What a published row is found by.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Term {
    /// What it says.
    pub text: String,
    /// The row's place among those that have it.
    pub order: i64,
}

/// What belongs to no instance: a row that is made, replaced and deleted by commands of its own, each of which says which
/// version it means.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordRow {
    /// Its name.
    pub key: RecordKey,
    /// One when it is made, one more with each replacement.
    pub version: u64,
    /// From then on it counts as absent, and is deleted before long; absent: never.
    pub expires_at: Option<Timestamp>,
    /// Its content, of at most [`crate::limits::RECORD_BYTES_MAX`].
    pub body: Bytes,
}

impl RecordRow {
    /// Whether it counts as absent by now.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// An instance as the store gives it back: without history, with all else that a decision needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoadedInstance {
    /// The instance itself.
    pub row: InstanceRow,
    /// Its unconsumed messages, by [`InboxRow::seq`].
    pub inbox: Vec<InboxRow>,
    /// Its unfinished activities, by [`ActivityRow::seq`].
    pub activities: Vec<ActivityRow>,
    /// What became of its asks.
    pub replies: Vec<ReplyRow>,
}

impl LoadedInstance {
    /// Bytes of what it is read with.
    pub fn payload_bytes(&self) -> usize {
        let inbox = self.inbox.iter().map(|row| row.data.len());
        let activities = self.activities.iter().map(|row| row.data.len());
        let replies = self.replies.iter().map(|row| row.ask_id.len() + row.answer.as_ref().map_or(0, |a| a.len()));
        self.row.body.len() + inbox.chain(activities).chain(replies).sum::<usize>()
    }
}

/// Which instance to load.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Lookup {
    /// The one that clients call so.
    Key(InstanceKey),
    /// The one stored so.
    Iid(Iid),
}

/// Why the store gave no answer to a load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadFailure {
    /// A row is not what was written, and will not be next time.
    Damaged(String),
    /// The store could not be read: it is asked again.
    Unavailable(String),
}

/// One write of the core, in the order in which it was decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Write {
    /// A new instance. An older life of the same id was deleted before.
    InsertInstance(InstanceRow),
    /// A changed instance, which keeps its key, its hub, its id and the time of its creation; the flag says whether a column that an
    /// index covers (status, active or the time of its end) changed.
    UpdateInstance(InstanceRow, bool),
    /// The instance with its history, inbox, activities and replies. Its timers are deleted one by one.
    DeleteInstance(Iid),
    /// An instance whose hub is deleted with the same batch, and its timers: what they have in it is not written, and the
    /// rest goes with the hub.
    DropInstance(Iid, Vec<TimerRow>),
    /// A turn's events.
    AppendHistory(HistoryRow),
    /// The history before this turn: continue-as-new.
    DropHistory(Iid, Turn),
    /// A message that waits for its turn.
    PutInbox(InboxRow),
    /// A message that a turn consumed.
    DeleteInbox(Iid, Seq),
    /// A scheduled activity.
    PutActivity(ActivityRow),
    /// A scheduled activity whose poisoning changed.
    UpdateActivity(ActivityRow),
    /// An activity that has its result, or that nobody waits for.
    DeleteActivity(Iid, Seq),
    /// A timer to come.
    PutTimer(TimerRow),
    /// A timer that fired or that nobody waits for.
    DeleteTimer(TimerRow),
    /// What became of an ask.
    PutReply(ReplyRow),
    /// What became of asks before this turn.
    DropReplies(Iid, Turn),
    /// A published row, or its deletion.
    Publish(PublishedRow),
    /// An entry of the record, at the end of its chain.
    Enter(EntryRow),
    /// What an instance's entries say, so far: their commitments stay.
    Erase(Erasure),
    /// A record row that is new or replaces the one before.
    PutRecord(RecordRow),
    /// A record row that is no more, or never was.
    DeleteRecord(RecordKey),
    /// All that instances of this key have published.
    Withdraw(InstanceKey),
    /// A task hub that exists though it holds nothing.
    CreateHub(Hub),
    /// A task hub with all that is in it. What is in memory of it was dropped before.
    DeleteHub(Hub),
}

impl Write {
    /// The payload of a new row that may be written ahead of it. Not that of a changed one: the old one lies in its place.
    pub fn payload(&self) -> Option<(PayloadKey, &Bytes)> {
        match self {
            Write::AppendHistory(row) => Some((PayloadKey::History(row.iid, row.turn), &row.events)),
            Write::PutInbox(row) => Some((PayloadKey::Inbox(row.iid, row.seq), &row.data)),
            Write::PutActivity(row) => Some((PayloadKey::Activity(row.iid, row.seq), &row.data)),
            _ => None,
        }
    }

    /// The instance that it is about, if it is about one.
    pub fn iid(&self) -> Option<Iid> {
        match self {
            Write::InsertInstance(row) | Write::UpdateInstance(row, _) => Some(row.iid),
            Write::DeleteInstance(iid)
            | Write::DropInstance(iid, _)
            | Write::DropHistory(iid, _)
            | Write::DeleteInbox(iid, _)
            | Write::DeleteActivity(iid, _)
            | Write::DropReplies(iid, _) => Some(*iid),
            Write::AppendHistory(row) => Some(row.iid),
            Write::PutInbox(row) => Some(row.iid),
            Write::PutActivity(row) | Write::UpdateActivity(row) => Some(row.iid),
            Write::PutTimer(row) | Write::DeleteTimer(row) => Some(row.iid),
            Write::PutReply(row) => Some(row.iid),
            Write::Publish(_)
            | Write::PutRecord(_)
            | Write::DeleteRecord(_)
            | Write::Withdraw(_)
            | Write::Enter(_)
            | Write::Erase(_)
            | Write::CreateHub(_)
            | Write::DeleteHub(_) => None,
        }
    }
}

/// A row's payload, as far as it may lie in the store before its row does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PayloadKey {
    /// A turn's events.
    History(Iid, Turn),
    /// A message.
    Inbox(Iid, Seq),
    /// An activity.
    Activity(Iid, Seq),
}

/// A piece of a payload that is written ahead of its row. They come in order; the first one takes the place of all that
/// lies there of an earlier attempt, and leaves nothing there if it is empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AheadPiece {
    /// Of which payload.
    pub of: PayloadKey,
    /// Which one, from 0 on.
    pub part: u32,
    /// What stands in it.
    pub data: Bytes,
}

/// One transaction: merged from the writes of many commands, rows that were born and died within it left
/// out. A store applies hub deletions first, then deletions, then insertions, then updates, all or nothing, synced.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[expect(missing_docs, reason = "each list is named for its rows and what happens to them")]
pub struct Batch {
    pub id: Option<BatchId>,
    /// How many commands it was merged from.
    pub commands: usize,
    /// The partitions that it writes, with the epoch that each was written in.
    pub fences: Vec<(PartitionId, Epoch)>,
    /// The newest time among its rows.
    pub newest: Timestamp,
    pub hubs_deleted: Vec<Hub>,
    pub hubs_created: Vec<Hub>,
    pub instances_deleted: Vec<Iid>,
    pub instances_inserted: Vec<InstanceRow>,
    /// The flag says whether a column that an index covers changed ([`Write::UpdateInstance`]).
    pub instances_updated: Vec<(InstanceRow, bool)>,
    /// Before this turn.
    pub history_dropped: Vec<(Iid, Turn)>,
    pub history_appended: Vec<HistoryRow>,
    pub inbox_deleted: Vec<(Iid, Seq)>,
    pub inbox_put: Vec<InboxRow>,
    pub activities_deleted: Vec<(Iid, Seq)>,
    /// Inserted, or replaced if the key is there.
    pub activities_put: Vec<ActivityRow>,
    pub timers_deleted: Vec<TimerRow>,
    pub timers_put: Vec<TimerRow>,
    /// Before this turn.
    pub replies_dropped: Vec<(Iid, Turn)>,
    pub replies_put: Vec<ReplyRow>,
    /// Instances whose published rows are deleted, before others are inserted.
    pub withdrawn: Vec<InstanceKey>,
    /// Inserted, replaced or (without a body) deleted.
    pub published: Vec<PublishedRow>,
    /// What is erased in the record, before entries are written.
    pub erased: Vec<Erasure>,
    /// At the ends of their chains, in this order: the store gives each its number and link.
    pub entries: Vec<EntryRow>,
    pub records_deleted: Vec<RecordKey>,
    /// Inserted, or replaced if the key is there.
    pub records_put: Vec<RecordRow>,
    /// Of the rows that are put, those whose payloads lie in the store already, in their order. A store that keeps no
    /// payload ahead of its row writes them whole.
    pub ahead: Vec<PayloadKey>,
    /// Payloads that lie in the store and whose rows never come.
    pub ahead_dropped: Vec<PayloadKey>,
}

impl Batch {
    /// How many rows it writes or deletes; those of a hub or a generation that go together count as one.
    pub fn rows(&self) -> usize {
        self.hubs_deleted.len()
            + self.hubs_created.len()
            + self.instances_deleted.len()
            + self.instances_inserted.len()
            + self.instances_updated.len()
            + self.history_dropped.len()
            + self.history_appended.len()
            + self.inbox_deleted.len()
            + self.inbox_put.len()
            + self.activities_deleted.len()
            + self.activities_put.len()
            + self.timers_deleted.len()
            + self.timers_put.len()
            + self.replies_dropped.len()
            + self.replies_put.len()
            + self.withdrawn.len()
            + self.published.len()
            + self.erased.len()
            + self.entries.len()
            + self.records_deleted.len()
            + self.records_put.len()
            + self.ahead_dropped.len()
    }
}
