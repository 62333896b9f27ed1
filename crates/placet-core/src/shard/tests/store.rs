//! The least that a store is: rows in maps. The real ones have their conformance suite.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::ids::{Iid, RecordKey, Seq, Turn};
use crate::rows::{
    ActivityRow, AheadPiece, Batch, HistoryRow, InboxRow, InstanceRow, LoadedInstance, Lookup, PayloadKey, RecordRow,
    ReplyRow, TimerRow,
};
use crate::time::Timestamp;

#[derive(Debug, Default)]
pub(super) struct MiniStore {
    instances: BTreeMap<Iid, InstanceRow>,
    history: BTreeMap<(Iid, Turn), HistoryRow>,
    inbox: BTreeMap<(Iid, Seq), InboxRow>,
    activities: BTreeMap<(Iid, Seq), ActivityRow>,
    replies: BTreeMap<(Iid, String), ReplyRow>,
    timers: BTreeSet<TimerRow>,
    records: BTreeMap<RecordKey, RecordRow>,
    /// What lies there of payloads whose rows are not there.
    ahead: BTreeMap<PayloadKey, Vec<u8>>,
}

impl MiniStore {
    pub(super) fn write_ahead(&mut self, piece: &AheadPiece) {
        if piece.part == 0 {
            self.ahead.remove(&piece.of);
        }
        if !piece.data.is_empty() {
            self.ahead.entry(piece.of).or_default().extend(&piece.data);
        }
    }

    /// How many payloads lie there whose rows are not there.
    pub(super) fn left_ahead(&self) -> usize {
        self.ahead.len()
    }

    /// The process ended: what belongs to nobody is cleared away.
    pub(super) fn claim(&mut self) {
        self.ahead.clear();
    }

    fn take_ahead(&mut self, batch: &Batch) {
        let history = batch.history_appended.iter().map(|row| (PayloadKey::History(row.iid, row.turn), &row.events));
        let inbox = batch.inbox_put.iter().map(|row| (PayloadKey::Inbox(row.iid, row.seq), &row.data));
        let activities = batch.activities_put.iter().map(|row| (PayloadKey::Activity(row.iid, row.seq), &row.data));
        let mut taken = 0;
        for (of, payload) in history.chain(inbox).chain(activities) {
            if batch.ahead.binary_search(&of).is_ok() {
                assert_eq!(self.ahead.remove(&of).as_deref(), Some(&payload[..]), "it lies there whole: {of:?}");
                taken += 1;
            }
        }
        assert_eq!(taken, batch.ahead.len(), "their rows are put");
        for of in &batch.ahead_dropped {
            self.ahead.remove(of).expect("it lies there");
        }
    }

    pub(super) fn apply(&mut self, batch: &Batch) {
        self.take_ahead(batch);
        let hub_deleted = !batch.hubs_deleted.is_empty();
        for hub in &batch.hubs_deleted {
            let gone: Vec<Iid> = self.instances.values().filter(|row| row.hub == *hub).map(|row| row.iid).collect();
            self.timers.retain(|row| !gone.contains(&row.iid));
            for iid in gone {
                self.delete(iid);
            }
            self.records.retain(|key, _| key.hub != *hub);
        }
        for iid in &batch.instances_deleted {
            assert!(self.delete(*iid) || hub_deleted, "what is deleted is there");
        }
        for (iid, before) in &batch.history_dropped {
            self.history.retain(|(owner, turn), _| owner != iid || turn >= before);
        }
        for key in &batch.inbox_deleted {
            self.inbox.remove(key).expect("what is deleted is there");
        }
        for key in &batch.activities_deleted {
            self.activities.remove(key).expect("what is deleted is there");
        }
        for row in &batch.timers_deleted {
            assert!(self.timers.remove(row) || hub_deleted, "what is deleted is there");
        }
        for row in &batch.instances_inserted {
            let same = self.instances.values().any(|other| other.key() == row.key());
            assert!(!same, "an id is there once");
            self.instances.insert(row.iid, row.clone());
        }
        for (row, _) in &batch.instances_updated {
            self.instances.insert(row.iid, row.clone()).expect("what is updated is there");
        }
        self.history.extend(batch.history_appended.iter().map(|row| ((row.iid, row.turn), row.clone())));
        self.inbox.extend(batch.inbox_put.iter().map(|row| ((row.iid, row.seq), row.clone())));
        self.activities.extend(batch.activities_put.iter().map(|row| ((row.iid, row.seq), row.clone())));
        self.timers.extend(batch.timers_put.iter().copied());
        for (iid, before) in &batch.replies_dropped {
            self.replies.retain(|(owner, _), row| owner != iid || row.turn >= *before);
        }
        for key in &batch.records_deleted {
            self.records.remove(key);
        }
        self.records.extend(batch.records_put.iter().map(|row| (row.key.clone(), row.clone())));
        let replies = batch.replies_put.iter().map(|row| ((row.iid, row.ask_id.to_string()), row.clone()));
        self.replies.extend(replies);
    }

    pub(super) fn load(&self, lookup: &Lookup) -> Option<LoadedInstance> {
        let row = match lookup {
            Lookup::Key(key) => self.instances.values().find(|row| row.key() == *key)?,
            Lookup::Iid(iid) => self.instances.get(iid)?,
        };
        Some(self.whole(row))
    }

    pub(super) fn active(&self, after: Option<Iid>) -> Vec<LoadedInstance> {
        let active = self.instances.values().filter(|row| row.active && Some(row.iid) > after);
        active.map(|row| self.whole(row)).collect()
    }

    pub(super) fn history(&self, iid: Iid, from: Turn) -> Vec<Bytes> {
        self.history.range((iid, from)..=(iid, Turn(u32::MAX))).map(|(_, row)| row.events.clone()).collect()
    }

    pub(super) fn due(&self, after: Option<TimerRow>, until: Timestamp, limit: usize) -> Vec<TimerRow> {
        self.timers.iter().filter(|row| row.fire_at <= until && Some(**row) > after).take(limit).copied().collect()
    }

    pub(super) fn record(&self, key: &RecordKey) -> Option<RecordRow> {
        self.records.get(key).cloned()
    }

    pub(super) fn expired(&self, until: Timestamp, limit: usize) -> Vec<RecordKey> {
        let expired = self.records.values().filter(|row| row.has_expired(until));
        expired.take(limit).map(|row| row.key.clone()).collect()
    }

    /// The record rows: key, version and body of each.
    pub(super) fn records(&self) -> String {
        let told = |row: &RecordRow| format!("{} v{} {}", row.key.key, row.version, String::from_utf8_lossy(&row.body));
        let all: Vec<String> = self.records.values().map(told).collect();
        format!("records: {}", if all.is_empty() { "none".to_owned() } else { all.join(", ") })
    }

    pub(super) fn iid_max(&self) -> Iid {
        self.instances.keys().next_back().copied().unwrap_or_default()
    }

    /// How many rows there are of each kind.
    pub(super) fn count(&self) -> String {
        format!(
            "rows: {} instances, {} turns, {} messages, {} activities, {} timers, {} replies",
            self.instances.len(),
            self.history.len(),
            self.inbox.len(),
            self.activities.len(),
            self.timers.len(),
            self.replies.len()
        )
    }

    fn delete(&mut self, iid: Iid) -> bool {
        self.history.retain(|(owner, _), _| *owner != iid);
        self.inbox.retain(|(owner, _), _| *owner != iid);
        self.activities.retain(|(owner, _), _| *owner != iid);
        self.replies.retain(|(owner, _), _| *owner != iid);
        self.instances.remove(&iid).is_some()
    }

    fn whole(&self, row: &InstanceRow) -> LoadedInstance {
        let of = |iid| (iid, Seq(0))..=(iid, Seq(u64::MAX));
        LoadedInstance {
            row: row.clone(),
            inbox: self.inbox.range(of(row.iid)).map(|(_, row)| row.clone()).collect(),
            activities: self.activities.range(of(row.iid)).map(|(_, row)| row.clone()).collect(),
            replies: self.replies.values().filter(|reply| reply.iid == row.iid).cloned().collect(),
        }
    }
}
