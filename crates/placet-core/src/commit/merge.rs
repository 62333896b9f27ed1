//! Merges the writes of many commands into one batch. Rows that are born and die within it are never written
//! (STORAGE.md, "What write elision buys"); of a row that changes several times the last state is.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeBounds;
use std::sync::Arc;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use crate::chain::Erasure;
use crate::ids::{Epoch, Hub, Iid, InstanceKey, PartitionId, RecordKey, Seq, Turn};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{
    ActivityRow, Batch, HistoryRow, InboxRow, InstanceRow, PayloadKey, PublishedRow, RecordRow, ReplyRow, TimerRow,
    Write,
};

type Map<K, V> = HashMap<K, V, FxBuildHasher>;

/// What becomes of one instance's row in this batch.
#[derive(Debug)]
enum InstanceChange {
    Insert(InstanceRow),
    Update(InstanceRow, bool),
}

/// What becomes of a keyed row in this batch.
#[derive(Debug)]
enum RowChange<T> {
    /// New: if it dies in this batch, nothing was ever there.
    Put(T),
    /// Changed: the store has an older one.
    Replace(T),
    Delete,
}

#[derive(Debug, Default)]
pub(super) struct Merge {
    fences: Map<PartitionId, Epoch>,
    instances: Map<Iid, InstanceChange>,
    instances_deleted: Vec<Iid>,
    /// These in the order in which they are written, so that those of an instance are found without a look at all others.
    history: BTreeMap<(Iid, Turn), HistoryRow>,
    history_dropped: Map<Iid, Turn>,
    replies_dropped: Map<Iid, Turn>,
    inbox: BTreeMap<(Iid, Seq), RowChange<InboxRow>>,
    activities: BTreeMap<(Iid, Seq), RowChange<ActivityRow>>,
    timers: BTreeMap<TimerRow, RowChange<()>>,
    replies: BTreeMap<(Iid, Arc<str>), ReplyRow>,
    /// None: it is deleted, if it is there.
    records: BTreeMap<RecordKey, Option<RecordRow>>,
    /// Payloads that lie in the store already.
    ahead: BTreeSet<PayloadKey>,
    rest: Batch,
    bytes: usize,
}

impl Merge {
    pub(super) fn add(&mut self, (partition, epoch): (PartitionId, Epoch), writes: impl Iterator<Item = Write>) {
        self.fences.insert(partition, epoch);
        for write in writes {
            self.bytes += if self.lies_ahead(&write) { ROW_BYTES } else { size(&write) };
            self.write(write);
        }
    }

    /// These payloads lie in the store; their rows are about to be added.
    pub(super) fn lie_ahead(&mut self, payloads: impl Iterator<Item = PayloadKey>) {
        self.ahead.extend(payloads);
    }

    /// The payloads that lie in the store already.
    pub(super) fn ahead(&self) -> impl Iterator<Item = PayloadKey> {
        self.ahead.iter().copied()
    }

    fn lies_ahead(&self, write: &Write) -> bool {
        !self.ahead.is_empty() && write.payload().is_some_and(|(of, _)| self.ahead.contains(&of))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn partitions(&self) -> impl Iterator<Item = PartitionId> {
        self.fences.keys().copied()
    }

    fn write(&mut self, write: Write) {
        match write {
            Write::InsertInstance(row) => {
                self.instances.insert(row.iid, InstanceChange::Insert(row));
            }
            Write::UpdateInstance(row, indexed) => self.update_instance(row, indexed),
            Write::DeleteInstance(iid) => self.delete_instance(iid),
            Write::DropInstance(iid, timers) => {
                self.instances.remove(&iid);
                self.forget_rows(iid);
                for timer in timers {
                    self.timers.remove(&timer);
                }
            }
            Write::AppendHistory(row) => {
                let before = self.history.insert((row.iid, row.turn), row);
                assert!(before.is_none(), "a turn is appended once");
            }
            Write::DropHistory(iid, before) => self.drop_history(iid, before),
            Write::PutInbox(row) => {
                self.inbox.insert((row.iid, row.seq), RowChange::Put(row));
            }
            Write::DeleteInbox(iid, seq) => delete(&mut self.inbox, (iid, seq)),
            Write::PutActivity(row) => {
                self.activities.insert((row.iid, row.seq), RowChange::Put(row));
            }
            Write::UpdateActivity(row) => self.update_activity(row),
            Write::DeleteActivity(iid, seq) => delete(&mut self.activities, (iid, seq)),
            Write::PutTimer(row) => {
                self.timers.insert(row, RowChange::Put(()));
            }
            Write::DeleteTimer(row) => delete(&mut self.timers, row),
            Write::PutReply(row) => {
                self.replies.insert((row.iid, row.ask_id.clone()), row);
            }
            Write::DropReplies(iid, before) => self.drop_replies(iid, before),
            Write::Publish(row) => self.rest.published.push(row),
            Write::Enter(row)
                if planted::is(Plant::EntryForgotten)
                    && self.rest.entries.iter().any(|other| other.owner == row.owner) => {}
            Write::Enter(row) => self.rest.entries.push(row),
            Write::Erase(erasure) => self.erase(erasure),
            Write::PutRecord(row) => {
                self.records.insert(row.key.clone(), Some(row));
            }
            Write::DeleteRecord(key) => {
                self.records.insert(key, None);
            }
            Write::Withdraw(key) => self.withdraw(key),
            Write::CreateHub(hub) => self.rest.hubs_created.push(hub),
            Write::DeleteHub(hub) => self.delete_hub(hub),
        }
    }

    fn update_instance(&mut self, row: InstanceRow, indexed: bool) {
        let replaced = match self.instances.get_mut(&row.iid) {
            Some(InstanceChange::Insert(inserted)) => std::mem::replace(inserted, row),
            Some(InstanceChange::Update(updated, changed)) => {
                *changed |= indexed;
                std::mem::replace(updated, row)
            }
            None => {
                self.instances.insert(row.iid, InstanceChange::Update(row, indexed));
                return;
            }
        };
        // It is in memory no longer: one instance that changes often must not look like a full batch.
        self.bytes -= ROW_BYTES + instance_bytes(&replaced);
    }

    fn update_activity(&mut self, row: ActivityRow) {
        let key = (row.iid, row.seq);
        // What lies ahead is what it was before: it is written whole.
        self.ahead.remove(&PayloadKey::Activity(row.iid, row.seq));
        let change = match self.activities.remove(&key) {
            Some(RowChange::Put(_)) => RowChange::Put(row),
            Some(RowChange::Replace(_) | RowChange::Delete) | None => RowChange::Replace(row),
        };
        self.activities.insert(key, change);
    }

    /// Of an instance that was born in this batch nothing is ever written; of another, all that it has.
    fn delete_instance(&mut self, iid: Iid) {
        let change = self.instances.remove(&iid);
        let is_elided = planted::is(Plant::DeletionElided) && change.is_some();
        if !is_elided && !matches!(change, Some(InstanceChange::Insert(_))) {
            self.instances_deleted.push(iid);
        }
        self.forget_rows(iid);
    }

    /// Of an instance that is deleted no row is written.
    fn forget_rows(&mut self, iid: Iid) {
        forget(&mut self.history, (iid, Turn(0))..=(iid, Turn(u32::MAX)));
        self.history_dropped.remove(&iid);
        self.replies_dropped.remove(&iid);
        forget(&mut self.inbox, (iid, Seq(0))..=(iid, Seq(u64::MAX)));
        forget(&mut self.activities, (iid, Seq(0))..=(iid, Seq(u64::MAX)));
        forget(&mut self.replies, replies_of(iid));
    }

    fn drop_history(&mut self, iid: Iid, before: Turn) {
        forget(&mut self.history, (iid, Turn(0))..(iid, before));
        if !matches!(self.instances.get(&iid), Some(InstanceChange::Insert(_))) {
            self.history_dropped.insert(iid, before);
        }
    }

    fn drop_replies(&mut self, iid: Iid, before: Turn) {
        let old = self.replies.range(replies_of(iid)).filter(|(_, row)| row.turn < before);
        for key in old.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.replies.remove(&key);
        }
        if !matches!(self.instances.get(&iid), Some(InstanceChange::Insert(_))) {
            self.replies_dropped.insert(iid, before);
        }
    }

    /// What it published in this batch is deleted, too: it may stand over what another has published before.
    fn withdraw(&mut self, key: InstanceKey) {
        let owned = |row: &&mut PublishedRow| row.hub == key.hub && row.owner == key.id;
        for row in self.rest.published.iter_mut().filter(owned) {
            row.terms.clear();
            if row.body.take().is_some() && !self.rest.hubs_created.contains(&row.hub) {
                // It has made its hub, if that was not there.
                self.rest.hubs_created.push(row.hub.clone());
            }
        }
        if !self.rest.withdrawn.contains(&key) {
            self.rest.withdrawn.push(key);
        }
    }

    /// What was entered in this batch is written as erased: its place in the chain stays.
    fn erase(&mut self, erasure: Erasure) {
        for row in self.rest.entries.iter_mut().filter(|row| row.hub == erasure.key.hub && row.owner == erasure.key.id)
        {
            erasure.erase(&mut row.said);
        }
        if !self.rest.erased.contains(&erasure) {
            self.rest.erased.push(erasure);
        }
    }

    /// The hub's partitions have deleted what they held in memory; the rest is in the store.
    fn delete_hub(&mut self, hub: Hub) {
        self.rest.hubs_created.retain(|created| *created != hub);
        self.rest.published.retain(|row| row.hub != hub);
        self.rest.entries.retain(|row| row.hub != hub);
        self.rest.erased.retain(|erasure| erasure.key.hub != hub);
        self.records.retain(|key, _| key.hub != hub);
        if !self.rest.hubs_deleted.contains(&hub) {
            self.rest.hubs_deleted.push(hub);
        }
    }

    /// Whether the row of a payload is written with the batch.
    fn is_put(&self, payload: &PayloadKey) -> bool {
        match *payload {
            PayloadKey::History(iid, turn) => self.history.contains_key(&(iid, turn)),
            PayloadKey::Inbox(iid, seq) => matches!(self.inbox.get(&(iid, seq)), Some(RowChange::Put(_))),
            PayloadKey::Activity(iid, seq) => matches!(self.activities.get(&(iid, seq)), Some(RowChange::Put(_))),
        }
    }

    pub(super) fn into_batch(mut self) -> Batch {
        let ahead = std::mem::take(&mut self.ahead);
        // Of a row that is born and dies within the batch nothing is written, but its payload.
        let (ahead, dropped) = ahead.into_iter().partition(|payload| self.is_put(payload));
        let mut batch = self.rest;
        (batch.ahead, batch.ahead_dropped) = (ahead, dropped);
        batch.fences = sorted(self.fences.into_iter());
        for (_, change) in sorted_by_key(self.instances) {
            match change {
                InstanceChange::Insert(row) => batch.instances_inserted.push(row),
                InstanceChange::Update(row, indexed) => batch.instances_updated.push((row, indexed)),
            }
        }
        let rows = batch.instances_inserted.iter().chain(batch.instances_updated.iter().map(|(row, _)| row));
        batch.newest = rows.map(|row| row.updated_at).max().unwrap_or_default();
        batch.instances_deleted = self.instances_deleted;
        batch.history_appended = self.history.into_values().collect();
        batch.replies_put = self.replies.into_values().collect();
        batch.history_dropped = sorted(self.history_dropped.into_iter());
        batch.replies_dropped = sorted(self.replies_dropped.into_iter());
        (batch.inbox_put, batch.inbox_deleted) = split(self.inbox);
        (batch.activities_put, batch.activities_deleted) = split(self.activities);
        for (key, row) in self.records {
            match row {
                Some(row) => batch.records_put.push(row),
                None => batch.records_deleted.push(key),
            }
        }
        for (row, change) in self.timers {
            match change {
                RowChange::Put(()) | RowChange::Replace(()) => batch.timers_put.push(row),
                RowChange::Delete => batch.timers_deleted.push(row),
            }
        }
        batch
    }
}

/// Deletes a row: one that was born in this batch is never written, another is deleted from the store. Keys
/// are never given twice, so no row comes after its deletion.
fn delete<K: Ord, T>(rows: &mut BTreeMap<K, RowChange<T>>, key: K) {
    if matches!(rows.remove(&key), Some(RowChange::Put(_))) {
        reach(Corner::RowElided);
    } else {
        rows.insert(key, RowChange::Delete);
    }
}

/// The rows in this range are not written.
fn forget<K: Ord, T>(rows: &mut BTreeMap<K, T>, range: impl RangeBounds<K>) {
    rows.extract_if(range, |_, _| true).for_each(drop);
}

fn split<K, T>(rows: BTreeMap<K, RowChange<T>>) -> (Vec<T>, Vec<K>) {
    let (mut put, mut deleted) = (Vec::new(), Vec::new());
    for (key, change) in rows {
        match change {
            RowChange::Put(row) | RowChange::Replace(row) => put.push(row),
            RowChange::Delete => deleted.push(key),
        }
    }
    (put, deleted)
}

/// Sorted, so that rows are appended at the right edge of their tables and a run can be repeated.
fn sorted_by_key<K: Ord, V>(map: Map<K, V>) -> Vec<(K, V)> {
    let mut entries: Vec<(K, V)> = map.into_iter().collect();
    entries.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    entries
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort_unstable();
    items
}

fn replies_of(iid: Iid) -> std::ops::Range<(Iid, Arc<str>)> {
    (iid, "".into())..(iid.next(), "".into())
}

/// What a write occupies beside its payload.
const ROW_BYTES: usize = 64;

fn instance_bytes(row: &InstanceRow) -> usize {
    row.body.len() + row.id.as_str().len()
}

/// About how many bytes a write occupies until it is durable.
fn size(write: &Write) -> usize {
    ROW_BYTES
        + match write {
            Write::InsertInstance(row) | Write::UpdateInstance(row, _) => instance_bytes(row),
            Write::AppendHistory(row) => row.events.len(),
            Write::PutInbox(row) => row.data.len(),
            Write::PutActivity(row) | Write::UpdateActivity(row) => row.data.len(),
            Write::PutReply(row) => row.answer.as_ref().map_or(0, |answer| answer.len()),
            Write::Publish(row) => {
                let terms = row.terms.iter().map(|term| ROW_BYTES + term.text.len());
                row.body.as_ref().map_or(0, bytes::Bytes::len) + terms.sum::<usize>()
            }
            Write::Enter(row) => row.said.bytes(),
            Write::PutRecord(row) => row.body.len() + row.key.key.len(),
            Write::DeleteInstance(_)
            | Write::DropInstance(..)
            | Write::DropHistory(..)
            | Write::DropReplies(..)
            | Write::DeleteInbox(..)
            | Write::DeleteActivity(..)
            | Write::PutTimer(_)
            | Write::DeleteTimer(_)
            | Write::DeleteRecord(_)
            | Write::Withdraw(_)
            | Write::Erase(_)
            | Write::CreateHub(_)
            | Write::DeleteHub(_) => 0,
        }
}
