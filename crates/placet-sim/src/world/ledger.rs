//! What was written, as the batches said it: a second account of the store, kept by other means. After each batch the
//! two are held against each other where the batch touched them, after each start and at the end everywhere (I2, I5,
//! I13): a turn is written whole or not at all, and what the store gives back is what was acknowledged.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use placet_core::body::{InboxMessage, InstanceBody, MessageKind, PendingActivity};
use placet_core::command::is_terminal;
use placet_core::ids::{Hub, Iid, Seq, Turn};
use placet_core::rows::{Batch, InstanceRow, LoadedInstance, ReplyRow, TimerRow};
use placet_core::wire;
use placet_proto::durabletask::{HistoryEvent, history_event::EventType};
use placet_store::Store as _;
use placet_store::model::ModelStore;
use prost::Message as _;

use super::Violation;
use crate::checkers::answers;
use crate::trace::digest;

/// One life of an instance.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) row: InstanceRow,
    pub(super) body: InstanceBody,
    /// The events of this generation.
    pub(super) history: Rc<Vec<HistoryEvent>>,
    /// Its turns, each with the number of its events, its bytes and their digest.
    turns: Vec<(Turn, u32, u64, u64)>,
    /// Its messages, and what it has to tell others, as they are written.
    pub(super) inbox: BTreeMap<Seq, Bytes>,
    pub(super) outbox: BTreeMap<Seq, Bytes>,
    /// Likewise its activities, and the children that it waits for.
    pub(super) activities: BTreeMap<Seq, Bytes>,
    pub(super) children: BTreeMap<Seq, Bytes>,
    timers: BTreeSet<TimerRow>,
    /// What became of its asks, by their ids.
    pub(super) replies: BTreeMap<Arc<str>, ReplyRow>,
    /// When its end was written.
    pub(super) ended_at: Option<u64>,
}

/// What a batch did to histories and inboxes.
#[derive(Debug)]
pub(super) struct Wrote {
    /// Where new events stand in a history.
    pub(super) appended: Vec<(Iid, usize)>,
    /// Messages that were taken off an inbox.
    pub(super) unqueued: Vec<(Iid, Bytes)>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) lives: BTreeMap<Iid, Life>,
}

impl Ledger {
    /// A batch was written.
    ///
    /// # Errors
    /// What does not fit together.
    pub(super) fn wrote(&mut self, now: u64, batch: &Batch) -> Result<Wrote, Violation> {
        let mut touched = BTreeSet::new();
        for hub in &batch.hubs_deleted {
            self.forget_hub(hub);
        }
        for iid in &batch.instances_deleted {
            self.lives.remove(iid);
        }
        self.rows(now, batch, &mut touched)?;
        let appended = self.histories(batch, &mut touched)?;
        let unqueued = self.waiting(batch, &mut touched)?;
        for iid in touched {
            if let Some(life) = self.lives.get(&iid) {
                life.check().map_err(|what| format!("{} is half written: {what}", life.row.id))?;
                if life.row.active && !life.has_work() {
                    let what = format!("{} has no work, and each start would read it", life.row.id);
                    return Err(Violation { promise: "bounds", what });
                }
            }
        }
        Ok(Wrote { appended, unqueued })
    }

    fn forget_hub(&mut self, hub: &Hub) {
        self.lives.retain(|_, life| life.row.hub != *hub);
    }

    fn rows(&mut self, now: u64, batch: &Batch, touched: &mut BTreeSet<Iid>) -> Result<(), String> {
        let updated = batch.instances_updated.iter().map(|(row, _)| row);
        for row in batch.instances_inserted.iter().chain(updated) {
            let body = InstanceBody::decode(row.body.clone());
            let body = body.map_err(|error| format!("{} cannot be read: {error}", row.id))?;
            touched.insert(row.iid);
            let life = self.lives.entry(row.iid).or_insert_with(|| Life {
                row: row.clone(),
                body: InstanceBody::default(),
                history: Rc::default(),
                turns: Vec::new(),
                inbox: BTreeMap::new(),
                outbox: BTreeMap::new(),
                activities: BTreeMap::new(),
                children: BTreeMap::new(),
                timers: BTreeSet::new(),
                replies: BTreeMap::new(),
                ended_at: None,
            });
            life.row = row.clone();
            life.body = body;
            if is_terminal(row.status) {
                life.ended_at.get_or_insert(now);
            }
        }
        Ok(())
    }

    fn histories(&mut self, batch: &Batch, touched: &mut BTreeSet<Iid>) -> Result<Vec<(Iid, usize)>, String> {
        for (iid, before) in &batch.history_dropped {
            if let Some(life) = self.lives.get_mut(iid) {
                let gone = life.turns.iter().take_while(|(turn, ..)| turn < before);
                let (turns, events) = (gone.clone().count(), gone.map(|(_, count, ..)| *count as usize).sum::<usize>());
                life.turns.drain(..turns);
                Rc::make_mut(&mut life.history).drain(..events);
                touched.insert(*iid);
            }
        }
        let mut appended = Vec::new();
        for row in &batch.history_appended {
            let life = self.lives.get_mut(&row.iid).ok_or("a turn of no instance is written")?;
            let history = Rc::make_mut(&mut life.history);
            appended.push((row.iid, history.len()));
            for bytes in wire::Events(&row.events) {
                let bytes = bytes.map_err(|error| error.to_string())?;
                let event = HistoryEvent::decode(bytes).map_err(|error| format!("history cannot be read: {error}"))?;
                history.push(event);
            }
            life.turns.push((row.turn, row.count, row.events.len() as u64, digest(&row.events)));
            touched.insert(row.iid);
        }
        Ok(appended)
    }

    /// Messages, activities, timers, and what became of asks. Gives the messages that are taken off an inbox.
    fn waiting(&mut self, batch: &Batch, touched: &mut BTreeSet<Iid>) -> Result<Vec<(Iid, Bytes)>, String> {
        let mut unqueued = Vec::new();
        for (iid, seq) in &batch.inbox_deleted {
            if let Some(life) = self.lives.get_mut(iid) {
                unqueued.extend(life.inbox.remove(seq).map(|message| (*iid, message)));
                life.outbox.remove(seq);
            }
            touched.insert(*iid);
        }
        for row in &batch.inbox_put {
            let life = self.lives.get_mut(&row.iid).ok_or("a message of no instance is written")?;
            let rows = if kind_of(&row.data)? == MessageKind::Outgoing { &mut life.outbox } else { &mut life.inbox };
            if rows.last_key_value().is_some_and(|(last, _)| *last >= row.seq) {
                return Err(format!("a message of {} is written out of order", life.row.id));
            }
            rows.insert(row.seq, row.data.clone());
            touched.insert(row.iid);
        }
        for (iid, seq) in &batch.activities_deleted {
            if let Some(life) = self.lives.get_mut(iid) {
                life.activities.remove(seq);
                life.children.remove(seq);
            }
            touched.insert(*iid);
        }
        for row in &batch.activities_put {
            let life = self.lives.get_mut(&row.iid).ok_or("an activity of no instance is written")?;
            let pending = PendingActivity::decode(row.data.clone()).map_err(|error| error.to_string())?;
            let rows = if pending.child.is_some() { &mut life.children } else { &mut life.activities };
            rows.insert(row.seq, row.data.clone());
            touched.insert(row.iid);
        }
        for row in &batch.timers_deleted {
            self.lives.get_mut(&row.iid).map(|life| life.timers.remove(row));
            touched.insert(row.iid);
        }
        for row in &batch.timers_put {
            let life = self.lives.get_mut(&row.iid).ok_or("a timer of no instance is written")?;
            life.timers.insert(*row);
            touched.insert(row.iid);
        }
        for (iid, before) in &batch.replies_dropped {
            if let Some(life) = self.lives.get_mut(iid) {
                life.replies.retain(|_, row| row.turn >= *before);
            }
        }
        for row in &batch.replies_put {
            let life = self.lives.get_mut(&row.iid).ok_or("what became of an ask of no instance is written")?;
            life.replies.insert(row.ask_id.clone(), row.clone());
        }
        Ok(unqueued)
    }

    /// Holds all of the store against what was written.
    ///
    /// # Errors
    /// Where they differ, or where what is there does not fit together.
    pub(super) fn compare(&self, store: &ModelStore) -> Result<(), String> {
        let dump = store.dump();
        if dump.instances.len() != self.lives.len() {
            return Err(format!(
                "{} instances are in the store, {} were written",
                dump.instances.len(),
                self.lives.len()
            ));
        }
        let timers: BTreeSet<TimerRow> = self.lives.values().flat_map(|life| life.timers.iter().copied()).collect();
        if !dump.timers.iter().eq(timers.iter()) {
            return Err("the timers in the store are not those that were written".to_owned());
        }
        for found in &dump.instances {
            let life = self.lives.get(&found.row.iid).ok_or_else(|| format!("{} was deleted", found.row.id))?;
            let turns = store.history(found.row.iid, Turn(0), usize::MAX).map_err(|error| error.to_string())?;
            let turns = turns.iter().map(|row| (row.turn, row.count, row.events.len() as u64, digest(&row.events)));
            let same = found.row == life.row
                && turns.eq(life.turns.iter().copied())
                && found.inbox.iter().map(|row| (&row.seq, &row.data)).eq(both(&life.inbox, &life.outbox))
                && found.activities.iter().map(|row| (&row.seq, &row.data)).eq(both(&life.activities, &life.children))
                && found.replies.iter().eq(life.replies.values());
            if !same {
                return Err(format!("{} is not what was written", found.row.id));
            }
            life.whole(found).map_err(|what| format!("{} does not fit together: {what}", found.row.id))?;
        }
        self.relatives()
    }
}

impl Life {
    /// Whether a worker has something to do for it, or it has something to tell.
    pub(super) fn has_work(&self) -> bool {
        (!self.inbox.is_empty() && !self.rests()) || !self.activities.is_empty() || !self.outbox.is_empty()
    }

    /// Whether its messages wait for its start, or for the end of its suspension.
    fn rests(&self) -> bool {
        let ends_it = |data| matches!(kind_of(data), Ok(MessageKind::Resumed | MessageKind::Terminated));
        self.body.held || (self.body.suspended && !self.inbox.values().any(ends_it))
    }

    /// Whether its rows agree with each other.
    fn check(&self) -> Result<(), String> {
        let Life { body, turns, .. } = self;
        let numbers = turns.iter().map(|(turn, ..)| turn.0);
        if !numbers.eq(body.turn_first..body.turn) {
            return Err(format!("turns {} to {} are counted, {turns:?} are there", body.turn_first, body.turn));
        }
        let (events, bytes) = turns.iter().fold((0, 0), |(events, bytes), turn| (events + turn.1, bytes + turn.2));
        if (events, bytes, events as usize) != (body.events, body.history_bytes, self.history.len()) {
            return Err(format!("{} events are counted, {events} are there", body.events));
        }
        let mut timers = body.timers.iter().map(|timer| Seq(timer.seq)).collect::<Vec<_>>();
        timers.sort_unstable();
        let mut rows = self.timers.iter().map(|row| row.seq).collect::<Vec<_>>();
        rows.sort_unstable();
        if timers != rows {
            return Err(format!("timers {timers:?} are counted, {rows:?} are there"));
        }
        if self.has_work() && !self.row.active {
            return Err("it has work, and no start would find it".to_owned());
        }
        if is_terminal(self.row.status) && !self.inbox.is_empty() {
            return Err("it has ended, and messages are left".to_owned());
        }
        Ok(())
    }

    /// Whether each step that waits has what it waits for, and nothing else is there: the result's activity or the
    /// timer, or its message.
    fn whole(&self, found: &LoadedInstance) -> Result<(), String> {
        if is_terminal(self.row.status) {
            return Ok(()); // activities of the last turn may still run, and nobody waits for them
        }
        let mut waits: BTreeSet<i32> = BTreeSet::new();
        for event in self.history.iter() {
            match &event.event_type {
                Some(EventType::TaskScheduled(_) | EventType::TimerCreated(_)) => drop(waits.insert(event.event_id)),
                Some(EventType::SubOrchestrationInstanceCreated(child)) if child.tags.is_empty() => {
                    waits.insert(event.event_id);
                }
                Some(kind) => drop(answers(kind).map(|step| waits.remove(&step))),
                None => {}
            }
        }
        let mut comes: BTreeSet<i32> = self.body.timers.iter().filter_map(|timer| timer.timer_id).collect();
        for row in &found.activities {
            let pending = PendingActivity::decode(row.data.clone()).map_err(|error| error.to_string())?;
            comes.insert(pending.task_id);
        }
        for row in &found.inbox {
            let message = InboxMessage::decode(row.data.clone()).map_err(|error| error.to_string())?;
            if !holds_event(&message) {
                continue;
            }
            let event = HistoryEvent::decode(message.event).map_err(|error| error.to_string())?;
            comes.extend(event.event_type.as_ref().and_then(answers));
        }
        if waits == comes { Ok(()) } else { Err(format!("steps {waits:?} wait, and {comes:?} are to come")) }
    }
}

/// What kind of message a row holds.
fn kind_of(data: &Bytes) -> Result<MessageKind, String> {
    InboxMessage::decode(data.clone()).map(|message| message.kind()).map_err(|error| error.to_string())
}

/// Whether it is one that becomes history.
pub(super) fn holds_event(message: &InboxMessage) -> bool {
    !matches!(message.kind(), MessageKind::Outgoing | MessageKind::Nudge)
}

/// Two kinds of rows that stand in one table, in its order.
fn both<'a>(some: &'a BTreeMap<Seq, Bytes>, others: &'a BTreeMap<Seq, Bytes>) -> BTreeMap<&'a Seq, &'a Bytes> {
    some.iter().chain(others).collect()
}
