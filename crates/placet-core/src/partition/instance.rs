//! A hot instance.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use placet_proto::durabletask::OrchestrationStatus;
use placet_proto::durabletask::history_event::EventType;
use prost::Message as _;

use crate::body::{InboxMessage, InstanceBody, MessageKind, Outgoing, PendingActivity, PendingTimer, Told};
use crate::command::{Tell, is_terminal};
use crate::dispatch::{ItemId, ItemSpec, RESERVED_PREFIX};
use crate::ids::{Iid, InstanceId, InstanceKey, PartitionId, Seq, StreamId, Turn};
use crate::limits::Limits;
use crate::outcome::Outcome;
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{ActivityRow, InboxRow, InstanceRow, ReplyRow, TimerRow, Write};
use crate::time::{Now, Timestamp};
use crate::token::execution_digest;

use super::turn::TurnOut;

/// A payload that may have to be read from the history.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Known<T> {
    /// It stands in the history.
    InHistory,
    /// This is it.
    Is(T),
}

/// A message in an inbox.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) seq: Seq,
    pub(crate) message: InboxMessage,
}

/// A message that is yet to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Outbound {
    pub(crate) seq: Seq,
    pub(crate) to: InstanceId,
    /// An encoded [`Outgoing`].
    pub(crate) message: Bytes,
}

/// What is known of an instance that is in memory. Parts of it may not be durable yet.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) iid: Iid,
    pub(crate) key: InstanceKey,
    pub(crate) name: Arc<str>,
    pub(crate) status: OrchestrationStatus,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) completed_at: Option<Timestamp>,
    /// What no query looks at; `turn` is the number of the next turn.
    pub(crate) body: InstanceBody,
    /// Messages that no completed turn has consumed, in order of arrival.
    pub(crate) inbox: VecDeque<Message>,
    /// The asks among them.
    pub(crate) inbox_asks: BTreeSet<String>,
    pub(crate) activities: BTreeMap<Seq, PendingActivity>,
    /// The children whose results it waits for.
    pub(crate) children: BTreeMap<Seq, PendingActivity>,
    /// What it has yet to tell others, in order.
    pub(crate) outbox: VecDeque<Outbound>,
    /// What became of its asks, and its next turn when that was recorded.
    pub(crate) replies: BTreeMap<Arc<str>, (Turn, Option<Arc<str>>)>,
    pub(crate) input: Known<Option<String>>,
    pub(crate) output: Known<Ended>,
    /// The turn that a worker has.
    pub(crate) out: Option<TurnOut>,
    /// Its next turn is with the dispatch.
    pub(crate) offered: bool,
    /// Writes that are not durable yet.
    pub(crate) unsettled: u32,
    /// The latest time recorded in its history or inbox: later ones are not earlier.
    pub(crate) last_time: Timestamp,
    /// The stream whose worker keeps its state, if that turned out well the last time.
    pub(crate) sticky: Option<StreamId>,
    pub(crate) last_turn_took: Duration,
    /// The runs of this generation, if all of them are at hand.
    pub(crate) history: Option<Vec<Bytes>>,
    /// Bytes of its messages, of its activities, of its children, and of what it has to tell.
    pub(crate) inbox_bytes: usize,
    pub(crate) activity_bytes: usize,
    pub(crate) child_bytes: usize,
    pub(crate) outbox_bytes: usize,
    /// Bytes of its body, as last written.
    body_bytes: usize,
    /// Bytes of the replies to its asks.
    pub(crate) reply_bytes: usize,
    /// A termination is among its messages.
    pub(crate) terminating: bool,
    /// The end of a suspension is.
    pub(crate) resuming: bool,
    /// What its partition counted it for.
    pub(crate) counted: usize,
    /// What the store has, or will have once what was decided is durable.
    saved: Option<Saved>,
    changed: bool,
}

/// How an instance ended.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Ended {
    pub(crate) output: Option<String>,
    pub(crate) failure: Option<placet_proto::durabletask::TaskFailureDetails>,
}

/// The indexed columns as last written, but for the time of its creation, which does not change.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Saved {
    status: OrchestrationStatus,
    active: bool,
    completed_at: Option<Timestamp>,
}

impl Instance {
    /// One that does not exist yet.
    pub(crate) fn new(iid: Iid, key: InstanceKey, name: &str, at: Timestamp, body: InstanceBody) -> Instance {
        Instance {
            iid,
            key,
            name: name.into(),
            status: OrchestrationStatus::Pending,
            created_at: at,
            updated_at: at,
            completed_at: None,
            body,
            inbox: VecDeque::new(),
            inbox_asks: BTreeSet::new(),
            activities: BTreeMap::new(),
            children: BTreeMap::new(),
            outbox: VecDeque::new(),
            replies: BTreeMap::new(),
            input: Known::InHistory,
            output: Known::InHistory,
            out: None,
            offered: false,
            unsettled: 0,
            last_time: at,
            sticky: None,
            last_turn_took: Duration::ZERO,
            history: Some(Vec::new()),
            inbox_bytes: 0,
            activity_bytes: 0,
            child_bytes: 0,
            outbox_bytes: 0,
            body_bytes: 0,
            reply_bytes: 0,
            terminating: false,
            resuming: false,
            counted: 0,
            saved: None,
            changed: true,
        }
    }

    /// One that comes from the store.
    ///
    /// # Errors
    /// If the rows are not what was written: what they say cannot be said, or cannot be.
    pub(crate) fn from_rows(
        row: InstanceRow,
        inbox: Vec<InboxRow>,
        activities: Vec<ActivityRow>,
        replies: Vec<ReplyRow>,
    ) -> Result<Instance, Damage> {
        let key = row.key();
        let body_bytes = row.body.len();
        let mut body = InstanceBody::decode(row.body)?;
        if planted::is(Plant::WaitsForgotten) {
            body.waits = None;
        }
        check_counts(&body, &inbox, &activities)?;
        let saved = Some(Saved { status: row.status, active: row.active, completed_at: row.completed_at });
        let mut instance =
            Instance { saved, body_bytes, ..Instance::new(row.iid, key, &row.name, row.updated_at, body) };
        instance.status = row.status;
        instance.created_at = row.created_at;
        instance.completed_at = row.completed_at;
        instance.changed = false;
        if instance.body.events > 0 {
            instance.history = None;
        }
        for row in inbox {
            let message = InboxMessage::decode(row.data)?;
            // A message alone does not write the instance's row: the counter is found again here.
            if !planted::is(Plant::NumberGivenAgain) {
                instance.body.seq = instance.body.seq.max(row.seq.0);
            }
            if message.kind() == MessageKind::Outgoing {
                let Outgoing { to, told } = Outgoing::decode(message.event.clone())?;
                if told.is_none() {
                    return Err(Damage::Impossible(format!("message {} says nothing", row.seq)));
                }
                instance.push_outbound(Outbound { seq: row.seq, to: InstanceId::new(to), message: message.event });
            } else {
                instance.last_time = instance.last_time.max(recorded_at(&message));
                instance.push_message(row.seq, message);
            }
        }
        for row in activities {
            instance.push_pending(row.seq, PendingActivity::decode(row.data)?);
        }
        for row in replies {
            instance.keep_reply(row.ask_id, row.turn, row.answer);
        }
        match instance.violated_invariant() {
            Some(what) => Err(Damage::Impossible(what)),
            None => Ok(instance),
        }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        is_terminal(self.status)
    }

    /// Whether only the world outside can make it go on.
    pub(crate) fn is_parked(&self) -> bool {
        let is_durable = self.unsettled == 0 || planted::is(Plant::ParkedBeforeDurable);
        is_durable && self.out.is_none() && !self.has_work()
    }

    fn has_work(&self) -> bool {
        (!self.inbox.is_empty() && !self.rests()) || !self.activities.is_empty() || !self.outbox.is_empty()
    }

    /// Whether its messages wait for something else: its scheduled start, or the end of its suspension.
    fn rests(&self) -> bool {
        self.body.held || (self.body.suspended && !self.resuming && !self.terminating)
    }

    pub(crate) fn history_bytes(&self) -> usize {
        self.history.as_ref().map_or(0, |runs| runs.iter().map(Bytes::len).sum())
    }

    /// The time of something that happens now: never before what happened last.
    pub(crate) fn record_time(&mut self, now: Now) -> Timestamp {
        self.last_time = self.last_time.max(now.wall);
        self.last_time
    }

    /// What happens from now on happened then at the earliest.
    pub(crate) fn not_before(&mut self, at: Timestamp) {
        self.last_time = self.last_time.max(at);
    }

    pub(crate) fn touch(&mut self, at: Timestamp) {
        self.updated_at = self.updated_at.max(at);
        self.changed = true;
    }

    pub(crate) fn next_seq(&mut self) -> Seq {
        self.body.seq += 1;
        Seq(self.body.seq)
    }

    /// Puts a message at the end of the inbox, of something that happens to it.
    pub(crate) fn receive(
        &mut self,
        kind: MessageKind,
        at: Timestamp,
        event: EventType,
        ask_id: Option<&str>,
        outcome: &mut Outcome,
    ) {
        let (data, message) = InboxMessage::of_event(kind, at, event, ask_id);
        self.receive_row(data, message, outcome);
    }

    /// The same of one whose event is encoded.
    pub(crate) fn receive_encoded(&mut self, message: InboxMessage, outcome: &mut Outcome) {
        let data: Bytes = message.encode_to_vec().into();
        // Its event is a part of the row's bytes from now on, instead of a second copy.
        let message = InboxMessage::decode(data.clone()).expect("what was just encoded");
        self.receive_row(data, message, outcome);
    }

    fn receive_row(&mut self, data: Bytes, message: InboxMessage, outcome: &mut Outcome) {
        let seq = self.next_seq();
        outcome.writes.push(Write::PutInbox(InboxRow { iid: self.iid, seq, data }));
        self.push_message(seq, message);
    }

    /// Puts a message to another instance behind those that are yet to be sent. It is sent when the other one can hear it,
    /// which is known in the step of [`crate::shard::Shard`] that does both.
    pub(crate) fn tell(&mut self, partition: PartitionId, to: &str, told: Told, outcome: &mut Outcome) {
        let outgoing = Outgoing { to: to.to_owned(), told: Some(told) }.encode_to_vec();
        self.send(partition, InstanceId::new(to), outgoing.into(), outcome);
    }

    /// The same of a message that is encoded.
    pub(crate) fn send(&mut self, partition: PartitionId, to: InstanceId, message: Bytes, outcome: &mut Outcome) {
        let seq = self.next_seq();
        let row = InboxMessage { kind: MessageKind::Outgoing.into(), event: message, ask_id: None };
        let data: Bytes = row.encode_to_vec().into();
        // A part of the row's bytes, instead of a second copy.
        let message = InboxMessage::decode(data.clone()).expect("what was just encoded").event;
        outcome.writes.push(Write::PutInbox(InboxRow { iid: self.iid, seq, data }));
        self.push_outbound(Outbound { seq, to, message });
        self.offer_outbound(partition, self.outbox.len() - 1, outcome);
    }

    fn push_outbound(&mut self, outbound: Outbound) {
        self.outbox_bytes += outbound_bytes(&outbound);
        self.outbox.push_back(outbound);
    }

    /// Says to whom it has something to tell, from that message on.
    pub(crate) fn offer_outbound(&self, partition: PartitionId, from: usize, outcome: &mut Outcome) {
        outcome.tells.extend(self.outbox.iter().skip(from).map(|outbound| Tell {
            from: (partition, self.iid),
            seq: outbound.seq,
            to: InstanceKey::new(self.key.hub.clone(), outbound.to.clone()),
        }));
    }

    /// The message of this number, if it is yet to be sent, to this instance.
    pub(crate) fn outbound(&self, seq: Seq, to: &InstanceId) -> Option<Bytes> {
        let mut outbox = self.outbox.iter();
        outbox.find(|outbound| outbound.seq == seq && outbound.to == *to).map(|outbound| outbound.message.clone())
    }

    /// A message is sent: the one of this number, if it is yet to be, to this instance.
    pub(crate) fn take_outbound(&mut self, seq: Seq, to: &InstanceId, outcome: &mut Outcome) {
        let at = self.outbox.iter().position(|outbound| outbound.seq == seq && outbound.to == *to);
        let Some(outbound) = at.and_then(|at| self.outbox.remove(at)) else { return };
        self.outbox_bytes -= outbound_bytes(&outbound);
        outcome.writes.push(Write::DeleteInbox(self.iid, seq));
    }

    /// It waits for this, too.
    pub(crate) fn push_pending(&mut self, seq: Seq, pending: PendingActivity) {
        let bytes = activity_bytes(&pending);
        if pending.child.is_some() {
            self.child_bytes += bytes;
            self.children.insert(seq, pending);
        } else {
            self.activity_bytes += bytes;
            self.activities.insert(seq, pending);
        }
    }

    /// It does not wait for this child any more.
    pub(crate) fn take_child(&mut self, seq: Seq, outcome: &mut Outcome) -> Option<PendingActivity> {
        let child = self.children.remove(&seq)?;
        self.child_bytes -= activity_bytes(&child);
        outcome.writes.push(Write::DeleteActivity(self.iid, seq));
        Some(child)
    }

    fn push_message(&mut self, seq: Seq, message: InboxMessage) {
        self.inbox_bytes += message_bytes(&message);
        self.terminating |= message.kind() == MessageKind::Terminated;
        self.resuming |= message.kind() == MessageKind::Resumed;
        self.inbox_asks.extend(message.ask_id.clone());
        self.inbox.push_back(Message { seq, message });
    }

    /// Empties the inbox.
    pub(crate) fn take_messages(&mut self, outcome: &mut Outcome) -> VecDeque<Message> {
        self.inbox_bytes = 0;
        self.inbox_asks.clear();
        (self.terminating, self.resuming) = (false, false);
        outcome.writes.extend(self.inbox.iter().map(|entry| Write::DeleteInbox(self.iid, entry.seq)));
        std::mem::take(&mut self.inbox)
    }

    /// Keeps what became of an ask, for whoever asks again.
    pub(crate) fn keep_reply(&mut self, ask_id: Arc<str>, turn: Turn, answer: Option<Arc<str>>) {
        self.reply_bytes += reply_bytes(&ask_id, answer.as_deref());
        self.replies.insert(ask_id, (turn, answer));
    }

    /// Drops what became of the oldest asks if there are twice as many as are kept, or if they are too long: to half of that.
    /// What became of an ask in the last turn stays.
    pub(crate) fn drop_old_replies(&mut self, limits: &Limits, outcome: &mut Outcome) {
        let (kept, most) = (limits.replies_kept, limits.reply_bytes);
        if self.replies.len() < 2 * kept && self.reply_bytes <= most {
            return;
        }
        let mut turns: BTreeMap<Turn, (usize, usize)> = BTreeMap::new();
        for (ask_id, (turn, answer)) in &self.replies {
            let (count, bytes) = turns.entry(*turn).or_default();
            *count += 1;
            *bytes += reply_bytes(ask_id, answer.as_deref());
        }
        let (mut count, mut bytes) = (0, 0);
        let newest = turns.into_iter().rev().take_while(|(_, (more, longer))| {
            let stays = count == 0 || (count < kept && bytes + longer <= most / 2);
            (count, bytes) = (count + more, bytes + longer);
            stays
        });
        let Some((before, _)) = newest.last() else { return };
        let dropped = self.replies.extract_if(.., |_, (turn, _)| *turn < before);
        let bytes: usize = dropped.map(|(ask_id, (_, answer))| reply_bytes(&ask_id, answer.as_deref())).sum();
        if bytes > 0 {
            self.reply_bytes -= bytes;
            outcome.writes.push(Write::DropReplies(self.iid, before));
        }
    }

    pub(crate) fn timer_row(&self, partition: PartitionId, timer: &PendingTimer) -> TimerRow {
        let fire_at = timer.fire_at.as_ref().map_or(Timestamp(0), Timestamp::from_proto);
        TimerRow { fire_at, iid: self.iid, seq: Seq(timer.seq), partition }
    }

    pub(crate) fn add_timer(
        &mut self,
        partition: PartitionId,
        timer_id: Option<i32>,
        fire_at: prost_types::Timestamp,
        outcome: &mut Outcome,
    ) {
        let timer = PendingTimer { seq: self.next_seq().0, timer_id, fire_at: Some(fire_at) };
        let row = self.timer_row(partition, &timer);
        self.body.timers.push(timer);
        outcome.writes.push(Write::PutTimer(row));
        outcome.timers.push(row);
        self.changed = true;
    }

    /// What it is while it waits.
    pub(crate) fn status_between_turns(&self) -> OrchestrationStatus {
        if self.body.suspended { OrchestrationStatus::Suspended } else { OrchestrationStatus::Running }
    }

    /// Whether it is suspended once its messages are taken.
    pub(crate) fn will_be_suspended(&self) -> bool {
        let kinds = self.inbox.iter().rev().map(|entry| entry.message.kind());
        let last = kinds.into_iter().find(|kind| matches!(kind, MessageKind::Suspended | MessageKind::Resumed));
        last.map_or(self.body.suspended, |kind| kind == MessageKind::Suspended)
    }

    /// Deletes what only this generation waits for: its timers, its activities and its children.
    pub(crate) fn drop_pending(&mut self, partition: PartitionId, outcome: &mut Outcome) {
        for timer in std::mem::take(&mut self.body.timers) {
            let row = self.timer_row(partition, &timer);
            outcome.writes.push(Write::DeleteTimer(row));
        }
        let activities = std::mem::take(&mut self.activities).into_keys();
        for seq in activities.chain(std::mem::take(&mut self.children).into_keys()) {
            outcome.writes.push(Write::DeleteActivity(self.iid, seq));
        }
        (self.activity_bytes, self.child_bytes) = (0, 0);
        self.body.waits = None;
        self.changed = true;
    }

    /// Keeps its input at hand, unless it is long: then how long it is.
    pub(crate) fn take_input(&mut self, input: &Option<String>) {
        (self.input, self.body.input_bytes) = match input {
            Some(long) if !kept(input) => (Known::InHistory, long.len() as u64),
            _ => (Known::Is(input.clone()), 0),
        };
    }

    /// About how much memory it takes; its cached history has a bound of its own.
    pub(crate) fn bytes(&self) -> usize {
        let input = match &self.input {
            Known::Is(Some(input)) => input.len(),
            Known::Is(None) | Known::InHistory => 0,
        };
        let output = match &self.output {
            Known::Is(ended) => ended.output.as_ref().map_or(0, String::len),
            Known::InHistory => 0,
        };
        let out = self.out.as_ref().map_or(0, |out| out.pieces.bytes());
        INSTANCE_BYTES
            + self.body_bytes
            + self.inbox_bytes
            + self.pending_bytes()
            + self.outbox_bytes
            + self.reply_bytes
            + input
            + output
            + out
    }

    /// How many bytes the messages of its next turn have at least: what turns out to be less than was reserved for it
    /// would leave room that nobody looks for.
    fn turn_bytes(&self, limits: &Limits) -> usize {
        self.inbox.iter().take(self.messages_of_turn(limits)).map(|entry| entry.message.event.len()).sum()
    }

    /// How many bytes of history a worker without its state is sent.
    pub(crate) fn past_bytes(&self) -> usize {
        usize::try_from(self.body.history_bytes).unwrap_or(usize::MAX)
    }

    /// About how much memory that takes which it waits for: its activities, children and timers.
    pub(crate) fn pending_bytes(&self) -> usize {
        self.activity_bytes + self.child_bytes + self.body.timers.len() * TIMER_BYTES
    }

    /// How much that would be with these as well, and what it has to tell others, if it is more than may be.
    pub(crate) fn pending_with(
        &self,
        more: &[PendingActivity],
        timers: usize,
        messages: usize,
        limits: &Limits,
    ) -> Option<usize> {
        let more: usize = more.iter().map(activity_bytes).sum();
        let bytes = self.pending_bytes() + self.outbox_bytes + more + timers * TIMER_BYTES + messages;
        (bytes > 2 * limits.pending_bytes).then_some(bytes)
    }

    /// Whether its next turn waits until some of the activities that it has begun are done: the turn might begin more. Not
    /// if what is done would find no room in the inbox, or if it is to end. Nor for timers: those come when they are due,
    /// and what they were to guard may long have happened.
    pub(crate) fn has_too_many_activities(&self, limits: &Limits) -> bool {
        let waits =
            self.activity_bytes > limits.pending_bytes && self.inbox_bytes <= limits.inbox_bytes && !self.terminating;
        if waits {
            reach(Corner::TurnWaitedForPending);
        }
        waits
    }

    /// Writes the instance if it changed.
    pub(crate) fn save(&mut self, outcome: &mut Outcome) {
        let active = self.has_work() || (planted::is(Plant::ParkedMarkedActive) && !self.is_terminal());
        let saved = Saved { status: self.status, active, completed_at: self.completed_at };
        let changed = self.changed && !planted::is(Plant::WriteElided);
        if !changed && self.saved == Some(saved) {
            return;
        }
        let body: Bytes = self.body.encode_to_vec().into();
        self.body_bytes = body.len();
        let row = InstanceRow {
            iid: self.iid,
            hub: self.key.hub.clone(),
            id: self.key.id.clone(),
            name: self.name.clone(),
            status: self.status,
            active: saved.active,
            created_at: self.created_at,
            updated_at: self.updated_at,
            completed_at: self.completed_at,
            body,
        };
        outcome.writes.push(match self.saved {
            None => Write::InsertInstance(row),
            Some(before) => Write::UpdateInstance(row, before != saved),
        });
        self.saved = Some(saved);
        self.changed = false;
    }

    /// Says that the next turn is ready, if it is and nobody knows yet.
    pub(crate) fn offer(&mut self, partition: PartitionId, limits: &Limits, outcome: &mut Outcome) {
        if self.is_ready() && !self.offered && !self.has_too_many_activities(limits) {
            self.offered = true;
            outcome.ready.push(self.turn_spec(partition, limits));
        }
    }

    /// Whether it waits for a worker to take its turn.
    pub(crate) fn is_ready(&self) -> bool {
        self.out.is_none() && !self.inbox.is_empty() && !self.rests() && !self.body.poisoned && !self.is_terminal()
    }

    pub(crate) fn turn_spec(&self, partition: PartitionId, limits: &Limits) -> ItemSpec {
        ItemSpec {
            id: ItemId::Turn(partition, self.iid),
            hub: self.key.hub.clone(),
            name: self.name.clone(),
            version: self.body.version.as_deref().map(Arc::from),
            sticky: self.sticky,
            bytes: self.turn_bytes(limits),
            past: self.past_bytes(),
            // An approval is ended by its rules, which keep the record of it: it waits for their worker.
            terminating: self.terminating && !self.name.starts_with(RESERVED_PREFIX),
        }
    }

    pub(crate) fn activity_spec(&self, partition: PartitionId, seq: Seq, pending: &PendingActivity) -> ItemSpec {
        let version = pending.version.as_deref().or(self.body.version.as_deref());
        ItemSpec {
            id: ItemId::Activity(partition, self.iid, seq),
            hub: self.key.hub.clone(),
            name: pending.name.as_str().into(),
            version: version.map(Arc::from),
            sticky: None,
            bytes: pending.input.as_ref().map_or(0, String::len),
            past: 0,
            terminating: false,
        }
    }

    pub(crate) fn execution_digest(&self) -> u32 {
        execution_digest(&self.body.execution_id)
    }

    pub(crate) fn turn(&self) -> Turn {
        Turn(self.body.turn)
    }

    pub(crate) fn violated_invariant(&self) -> Option<String> {
        let Instance { iid, inbox, .. } = self;
        // Activities that it began with its last turn may still run: they are done, and nobody hears of it.
        if self.is_terminal() && (self.out.is_some() || !inbox.is_empty()) {
            return Some(format!("instance {iid} ended with messages left"));
        }
        if self.is_terminal() && !self.body.timers.is_empty() {
            return Some(format!("instance {iid} ended with timers left"));
        }
        if self.terminating != inbox.iter().any(|entry| entry.message.kind() == MessageKind::Terminated) {
            return Some(format!("instance {iid} does not know whether it is to end"));
        }
        if self.resuming != inbox.iter().any(|entry| entry.message.kind() == MessageKind::Resumed) {
            return Some(format!("instance {iid} does not know whether it is to go on"));
        }
        if inbox.iter().zip(inbox.iter().skip(1)).any(|(a, b)| a.seq >= b.seq) {
            return Some(format!("the inbox of instance {iid} is out of order"));
        }
        None
    }
}

/// What an instance takes beside its payloads.
const INSTANCE_BYTES: usize = 1 << 10;

/// What a message, an activity or a reply takes beside its payload.
const ENTRY_BYTES: usize = 160;

/// What a timer takes: in the instance, as a row of its own, and among those that are near.
const TIMER_BYTES: usize = 160;

pub(crate) fn reply_bytes(ask_id: &str, answer: Option<&str>) -> usize {
    ENTRY_BYTES + ask_id.len() + answer.map_or(0, str::len)
}

pub(crate) fn message_bytes(message: &InboxMessage) -> usize {
    ENTRY_BYTES + message.event.len()
}

fn outbound_bytes(outbound: &Outbound) -> usize {
    ENTRY_BYTES + outbound.message.len()
}

pub(crate) fn activity_bytes(pending: &PendingActivity) -> usize {
    // That it is set aside comes and goes while it is counted.
    let set_aside = PendingActivity { poisoned: pending.poisoned, ..PendingActivity::default() };
    2 * ENTRY_BYTES + pending.encoded_len() - set_aside.encoded_len()
}

/// A payload that is kept at hand, unless it is long: then it is read from the history.
pub(crate) fn kept(payload: &Option<String>) -> bool {
    payload.as_ref().is_none_or(|payload| payload.len() <= crate::limits::PAYLOAD_KEPT_BYTES)
}

/// The time at which a message was recorded. What else its event says is passed over and not copied: it may be long.
fn recorded_at(message: &InboxMessage) -> Timestamp {
    /// As much of a `HistoryEvent` as this asks for.
    #[derive(Clone, PartialEq, prost::Message)]
    struct Recorded {
        #[prost(message, optional, tag = "2")]
        timestamp: Option<prost_types::Timestamp>,
    }
    let recorded = Recorded::decode(message.event.clone());
    recorded.ok().and_then(|event| event.timestamp).map_or(Timestamp(0), |at| Timestamp::from_proto(&at))
}

/// Why rows are none of an instance.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// They are no messages.
    #[error(transparent)]
    Undecodable(#[from] prost::DecodeError),
    /// What they say cannot be.
    #[error("{0}")]
    Impossible(String),
}

/// No instance comes to have as many turns or events …
const SHORT_COUNT_MAX: u32 = 1 << 31;
/// … or messages or bytes. What is within may be added to without looking.
const COUNT_MAX: u64 = 1 << 60;

/// Whether the numbers in the rows are such as an instance can have.
///
/// # Errors
/// If they are not.
pub(super) fn check_counts(body: &InstanceBody, inbox: &[InboxRow], activities: &[ActivityRow]) -> Result<(), Damage> {
    let InstanceBody { turn, turn_first, events, history_bytes, seq, input_bytes, .. } = *body;
    let numbers = inbox.iter().map(|row| row.seq.0).chain(activities.iter().map(|row| row.seq.0));
    let most = numbers.chain([seq, history_bytes, input_bytes]).max().unwrap_or(0);
    if most > COUNT_MAX || turn.max(events) > SHORT_COUNT_MAX || turn_first > turn {
        let what = format!("turn {turn} from {turn_first} on, {events} events, numbers and bytes up to {most}");
        return Err(Damage::Impossible(what));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Hub, InstanceId};
    use crate::partition::view_of_row;
    use crate::wire;
    use placet_proto::durabletask::{EventRaisedEvent, history_event::EventType};

    fn row(status: OrchestrationStatus, body: &InstanceBody) -> InstanceRow {
        InstanceRow {
            iid: Iid(1),
            hub: Hub::new("hub"),
            id: InstanceId::new("id"),
            name: "name".into(),
            status,
            active: true,
            created_at: Timestamp(0),
            updated_at: Timestamp(0),
            completed_at: None,
            body: body.encode_to_vec().into(),
        }
    }

    fn message(seq: u64, event: Bytes) -> InboxRow {
        let message = InboxMessage { kind: MessageKind::Raised.into(), event, ask_id: None };
        InboxRow { iid: Iid(1), seq: Seq(seq), data: message.encode_to_vec().into() }
    }

    /// What is wrong with the rows of an instance, if anything is.
    fn damage(status: OrchestrationStatus, body: &InstanceBody, inbox: Vec<InboxRow>) -> Option<String> {
        let read = Instance::from_rows(row(status, body), inbox, Vec::new(), Vec::new());
        read.err().map(|damage| damage.to_string())
    }

    #[test]
    fn rows_that_say_what_cannot_be_are_damaged_and_no_instance_comes_of_them() {
        use OrchestrationStatus::{Completed, Running};
        let sound = InstanceBody { turn: 2, turn_first: 1, seq: 3, ..InstanceBody::default() };
        let raised = || wire::event(-1, Timestamp(5), EventType::EventRaised(EventRaisedEvent::default()));
        assert_eq!(damage(Running, &sound, vec![message(4, raised())]), None);
        assert_eq!(damage(Completed, &sound, Vec::new()), None);
        let counts = [
            InstanceBody { seq: u64::MAX, ..sound.clone() },
            InstanceBody { history_bytes: u64::MAX, ..sound.clone() },
            InstanceBody { input_bytes: u64::MAX, ..sound.clone() },
            InstanceBody { turn: u32::MAX, ..sound.clone() },
            InstanceBody { events: u32::MAX, ..sound.clone() },
            InstanceBody { turn_first: 3, ..sound.clone() },
        ];
        for body in counts {
            assert!(damage(Running, &body, Vec::new()).unwrap().starts_with("turn "), "{body:?}");
            assert!(view_of_row(&row(Running, &body)).is_err(), "{body:?}");
        }
        assert!(damage(Running, &sound, vec![message(u64::MAX >> 1, raised())]).unwrap().starts_with("turn "));
        let waits = InstanceBody { timers: vec![PendingTimer::default()], ..sound.clone() };
        assert_eq!(damage(Completed, &waits, Vec::new()).unwrap(), "instance 1 ended with timers left");
        let left = damage(Completed, &sound, vec![message(4, raised())]);
        assert_eq!(left.unwrap(), "instance 1 ended with messages left");
        assert_eq!(damage(Running, &sound, vec![message(4, Bytes::from_static(b"\xff"))]), None);
    }
}
