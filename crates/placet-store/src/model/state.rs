//! The rows in ordered maps, what a batch makes of them, and what each read finds.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{RangeBounds, RangeInclusive};
use std::sync::Arc;

use bytes::Bytes;
use placet_core::body::Shown;
use placet_core::chain::{Entry, EntryRow, Head};
use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey, PartitionId, RecordKey, Seq, Turn};
use placet_core::rows::{
    ActivityRow, Batch, HistoryRow, InboxRow, InstanceRow, LoadedInstance, Lookup, PublishedRow, RecordRow, ReplyRow,
    Term, TimerRow,
};
use placet_core::time::Timestamp;

use super::check::{Contradiction, contradiction};
use crate::dump::{ByTerm, Dump, ListedByTerm};
use crate::search::{Facts, Found, Overview, Ranking, Search, Status};
use crate::{ActivePage, Answer, Claim, EntryList, List, Listed, ListedRow, Listing, Order, Page, Place, Query};

/// All rows of a store.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    pub(super) hubs: BTreeSet<Hub>,
    pub(super) instances: BTreeMap<Iid, InstanceRow>,
    pub(super) iids: BTreeMap<InstanceKey, Iid>,
    pub(super) history: BTreeMap<(Iid, Turn), HistoryRow>,
    pub(super) inbox: BTreeMap<(Iid, Seq), InboxRow>,
    activities: BTreeMap<(Iid, Seq), ActivityRow>,
    timers: BTreeSet<TimerRow>,
    replies: BTreeMap<Iid, BTreeMap<Arc<str>, ReplyRow>>,
    published: BTreeMap<PublishedKey, Published>,
    /// How many published rows have had a number.
    numbered: i64,
    records: BTreeMap<RecordKey, RecordRow>,
    /// Each chain of a hub.
    chains: BTreeMap<(Hub, PartitionId), Vec<Entry>>,
    incarnation: u32,
    newest: Timestamp,
}

/// A hub, a projection of it, and a key in that.
type PublishedKey = (Hub, Arc<str>, Arc<str>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Published {
    /// Greater than those of all that were published before it.
    number: i64,
    /// Who published it last.
    owner: InstanceId,
    body: Bytes,
    terms: Vec<Term>,
}

impl State {
    /// Writes a batch, all of it or, if it contradicts what is there, nothing.
    ///
    /// # Errors
    /// If a row that is new is there already, or one that is changed is not.
    ///
    /// # Panics
    /// If an update says that no indexed column changed and one did: a store would leave it as it was.
    pub fn apply(&mut self, batch: &Batch) -> Result<(), Contradiction> {
        contradiction(self, batch)?;
        batch.hubs_deleted.iter().for_each(|hub| self.delete_hub(hub));
        self.delete(batch);
        self.insert(batch);
        batch.instances_updated.iter().for_each(|(row, indexed)| self.update_instance(row, *indexed));
        self.newest = self.newest.max(batch.newest);
        Ok(())
    }

    /// Counts an incarnation.
    pub fn claim(&mut self) -> Claim {
        self.incarnation += 1;
        let iid_max = self.instances.keys().next_back().copied().unwrap_or(Iid(0));
        Claim { incarnation: self.incarnation, iid_max, newest: self.newest }
    }

    /// All rows.
    pub fn dump(&self) -> Dump {
        let published = self.published.iter().map(|((hub, kind, key), row)| PublishedRow {
            hub: hub.clone(),
            kind: kind.clone(),
            key: key.clone(),
            // As a store can be asked for it: whose it is, only a withdrawal shows.
            owner: InstanceId::new(&**key),
            body: Some(row.body.clone()),
            terms: Vec::new(),
        });
        Dump {
            hubs: self.hubs.iter().cloned().collect(),
            overviews: self.hubs.iter().map(|hub| self.overview(hub)).collect(),
            instances: self.instances.values().map(|row| self.whole(row)).collect(),
            history: self.history.values().cloned().collect(),
            timers: self.timers.iter().copied().collect(),
            published: published.collect(),
            listed: self.listed_by_each_term(),
            entries: self
                .chains
                .iter()
                .flat_map(|((hub, _), chain)| chain.iter().map(|one| (hub.clone(), one.clone())))
                .collect(),
            records: self.records.values().cloned().collect(),
        }
    }

    pub(super) fn recover(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<Iid>,
        limit: usize,
        bytes_max: usize,
    ) -> ActivePage {
        let later = self.instances.values().filter(|row| Some(row.iid) > after);
        let wanted = later.filter(|row| row.active && partitions(row.key().partition()));
        let mut bytes = 0_usize;
        let mut full = false;
        let mut instances: Vec<LoadedInstance> = Vec::new();
        for row in wanted.take(limit) {
            let whole = self.whole(row);
            bytes = bytes.saturating_add(whole.payload_bytes());
            full = bytes > bytes_max && !instances.is_empty();
            if full {
                break;
            }
            instances.push(whole);
        }
        let next = if full || instances.len() == limit { instances.last().map(|last| last.row.iid) } else { None };
        ActivePage { instances, next }
    }

    pub(super) fn load(&self, lookup: &Lookup) -> Option<LoadedInstance> {
        let iid = match lookup {
            Lookup::Key(key) => self.iids.get(key)?,
            Lookup::Iid(iid) => iid,
        };
        self.instances.get(iid).map(|row| self.whole(row))
    }

    pub(super) fn history(&self, iid: Iid, from: Turn, bytes_max: usize) -> Vec<HistoryRow> {
        let mut bytes = 0_usize;
        let turns = self.history.range((iid, from)..=(iid, Turn(u32::MAX))).map(|(_, row)| row);
        let page = turns.enumerate().take_while(|(at, row)| {
            bytes = bytes.saturating_add(row.events.len());
            *at == 0 || bytes <= bytes_max
        });
        page.map(|(_, row)| row.clone()).collect()
    }

    pub(super) fn due(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<TimerRow>,
        until: Timestamp,
        limit: usize,
    ) -> Vec<TimerRow> {
        let later = self.timers.iter().filter(|row| Some(**row) > after);
        let due = later.take_while(|row| row.fire_at <= until);
        due.filter(|row| partitions(row.partition)).take(limit).copied().collect()
    }

    pub(super) fn query(&self, query: &Query) -> Answer {
        match query {
            Query::Hubs => Answer::Hubs(self.hubs.iter().cloned().collect()),
            Query::Published { hub, kind, key } => {
                let found = self.published.get(&(hub.clone(), kind.clone(), key.clone()));
                Answer::Published(found.map(|row| row.body.clone()))
            }
            Query::Listing(listing) => Answer::Listed(self.page_of_published(listing)),
            Query::Heads(hub) => {
                let chains = self.chains.iter().filter(|((of, _), _)| of == hub);
                Answer::Heads(
                    chains.map(|((hub, partition), chain)| (*partition, end_of(hub, *partition, chain))).collect(),
                )
            }
            Query::Entries(list) => Answer::Entries(self.entries(list)),
            Query::Instances(list) => Answer::Instances(self.list(list)),
            Query::Search(search) => Answer::Found(self.search(search)),
            Query::Overview(hub) => Answer::Overview(self.overview(hub)),
            Query::Record(key) => Answer::Record(self.records.get(key).cloned()),
            Query::Records(list) => {
                let found = self.records.values().filter(|row| list.holds(&row.key));
                Answer::Records(found.take(list.limit).cloned().collect())
            }
            Query::Expired { until, limit } => {
                let mut found: Vec<&RecordRow> = self.records.values().filter(|row| row.has_expired(*until)).collect();
                found.sort_by_key(|row| row.expires_at);
                Answer::Expired(found.into_iter().take(*limit).map(|row| row.key.clone()).collect())
            }
            Query::Instance(key) => {
                Answer::Instance(self.iids.get(key).and_then(|iid| self.instances.get(iid)).cloned().map(Box::new))
            }
        }
    }

    /// Every row is looked at, and the page is full.
    fn page_of_published(&self, listing: &Listing) -> Listed {
        let mut found: Vec<(Place, ListedRow)> = Vec::new();
        for ((hub, kind, key), row) in &self.published {
            let place = listing.place_of(row.number, &row.terms).filter(|place| listing.along().holds(*place));
            if let Some(place) = place.filter(|_| (hub, kind) == (&listing.hub, &listing.kind)) {
                found.push((place, ListedRow { key: key.clone(), body: row.body.clone() }));
            }
        }
        found.sort_by_key(|(place, _)| *place);
        if listing.descending {
            found.reverse();
        }
        let next = found.len() > listing.limit;
        found.truncate(listing.limit);
        let next = found.last().filter(|_| next).map(|(place, _)| *place);
        Listed { rows: found.into_iter().map(|(_, row)| row).collect(), next }
    }

    fn listed_by_each_term(&self) -> Vec<ListedByTerm> {
        let mut terms: BTreeMap<ByTerm, Vec<(i64, i64, Arc<str>)>> = BTreeMap::new();
        for ((hub, kind, key), row) in &self.published {
            for term in &row.terms {
                let of = (hub.clone(), kind.clone(), Arc::from(term.text.as_str()));
                terms.entry(of).or_default().push((term.order, row.number, key.clone()));
            }
        }
        let in_order = |mut rows: Vec<(i64, i64, Arc<str>)>| {
            rows.sort();
            rows.into_iter().map(|(_, _, key)| key).collect()
        };
        terms.into_iter().map(|(of, rows)| (of, in_order(rows))).collect()
    }

    fn search(&self, search: &Search) -> Found {
        let mut ranking = Ranking::new(search);
        for row in self.instances.values().filter(|row| row.hub == search.hub) {
            ranking.bring(&Facts {
                iid: row.iid,
                id: row.id.as_str(),
                name: &row.name,
                status: row.status,
                created_at: row.created_at,
                updated_at: row.updated_at,
                completed_at: row.completed_at,
                shown: Shown::read(&row.body),
            });
        }
        let (matched, overview) = (ranking.matched(), self.overview(&search.hub));
        let rows = ranking.into_wanted().iter().map(|iid| self.instances[iid].clone()).collect();
        Found { rows, matched, is_all: true, is_exact: true, overview }
    }

    pub(super) fn overview(&self, hub: &Hub) -> Overview {
        let mut overview = Overview::default();
        for row in self.instances.values().filter(|row| row.hub == *hub) {
            *overview.counts.entry(Status(row.status.into())).or_default() += 1;
            let (first, last) = overview.created.unwrap_or((row.created_at, row.created_at));
            overview.created = Some((first.min(row.created_at), last.max(row.created_at)));
        }
        overview
    }

    fn list(&self, list: &List) -> Page {
        let of_hub = self.instances.values().filter(|row| row.hub == list.hub);
        // What an index has of it is looked at, and no more; what that does not tell is asked of the row.
        let mut looked: Vec<&InstanceRow> = match &list.order {
            Order::Created(after) => {
                let after = |row: &InstanceRow| after.is_none_or(|after| (row.created_at, row.iid) > after);
                of_hub.filter(|row| list.holds(row) && after(row)).collect()
            }
            Order::Id { prefix, after } => {
                let after = |row: &InstanceRow| after.as_ref().is_none_or(|after| row.id > *after);
                of_hub.filter(|row| row.id.as_str().starts_with(prefix) && after(row)).collect()
            }
            Order::Ended { within, after } => {
                let ended = |row: &InstanceRow| row.completed_at.filter(|at| within.contains(at));
                let after = |row: &InstanceRow, at| after.is_none_or(|after| (at, row.iid) > after);
                of_hub.filter(|row| ended(row).is_some_and(|at| after(row, at))).collect()
            }
        };
        match &list.order {
            Order::Created(_) => looked.sort_by_key(|row| (row.created_at, row.iid)),
            Order::Id { .. } => looked.sort_by(|a, b| a.id.cmp(&b.id)),
            Order::Ended { .. } => looked.sort_by_key(|row| (row.completed_at, row.iid)),
        }
        looked.truncate(list.limit);
        let next = looked.last().filter(|_| looked.len() == list.limit).map(|last| list.order.behind(last));
        Page { rows: looked.into_iter().filter(|row| list.holds(row)).cloned().collect(), next }
    }

    fn whole(&self, row: &InstanceRow) -> LoadedInstance {
        LoadedInstance {
            row: row.clone(),
            inbox: self.inbox.range(rows_of(row.iid)).map(|(_, row)| row.clone()).collect(),
            activities: self.activities.range(rows_of(row.iid)).map(|(_, row)| row.clone()).collect(),
            replies: self.replies.get(&row.iid).into_iter().flat_map(BTreeMap::values).cloned().collect(),
        }
    }

    fn delete_hub(&mut self, hub: &Hub) {
        let gone: BTreeSet<Iid> = self.instances.values().filter(|row| row.hub == *hub).map(|row| row.iid).collect();
        gone.iter().for_each(|iid| self.delete_instance(*iid));
        self.timers.retain(|row| !gone.contains(&row.iid));
        self.published.retain(|(of, ..), _| of != hub);
        self.records.retain(|key, _| key.hub != *hub);
        self.chains.retain(|(of, _), _| of != hub);
        self.hubs.remove(hub);
    }

    fn delete_instance(&mut self, iid: Iid) {
        if let Some(row) = self.instances.remove(&iid) {
            self.iids.remove(&row.key());
        }
        remove_range(&mut self.history, (iid, Turn(0))..=(iid, Turn(u32::MAX)));
        remove_range(&mut self.inbox, rows_of(iid));
        remove_range(&mut self.activities, rows_of(iid));
        self.replies.remove(&iid);
    }

    fn delete(&mut self, batch: &Batch) {
        batch.instances_deleted.iter().for_each(|iid| self.delete_instance(*iid));
        for (iid, before) in &batch.history_dropped {
            remove_range(&mut self.history, (*iid, Turn(0))..(*iid, *before));
        }
        for (iid, before) in &batch.replies_dropped {
            if let Some(replies) = self.replies.get_mut(iid) {
                replies.retain(|_, row| row.turn >= *before);
            }
        }
        for key in &batch.inbox_deleted {
            self.inbox.remove(key);
        }
        for key in &batch.activities_deleted {
            self.activities.remove(key);
        }
        for row in &batch.timers_deleted {
            self.timers.remove(row);
        }
        for key in &batch.records_deleted {
            self.records.remove(key);
        }
        for erasure in &batch.erased {
            let key = &erasure.key;
            let chain = self.chains.get_mut(&(key.hub.clone(), key.partition()));
            for entry in chain.into_iter().flatten().filter(|entry| entry.owner == key.id) {
                erasure.erase(&mut entry.said);
            }
        }
        for key in &batch.withdrawn {
            self.published.retain(|(hub, ..), row| *hub != key.hub || row.owner != key.id);
        }
    }

    fn insert(&mut self, batch: &Batch) {
        self.hubs.extend(batch.hubs_created.iter().cloned());
        for row in &batch.instances_inserted {
            self.hubs.insert(row.hub.clone());
            self.iids.insert(row.key(), row.iid);
            self.instances.insert(row.iid, row.clone());
        }
        self.history.extend(batch.history_appended.iter().map(|row| ((row.iid, row.turn), row.clone())));
        self.inbox.extend(batch.inbox_put.iter().map(|row| ((row.iid, row.seq), row.clone())));
        self.activities.extend(batch.activities_put.iter().map(|row| ((row.iid, row.seq), row.clone())));
        self.timers.extend(batch.timers_put.iter().copied());
        for row in &batch.replies_put {
            self.replies.entry(row.iid).or_default().insert(row.ask_id.clone(), row.clone());
        }
        batch.published.iter().for_each(|row| self.publish(row));
        batch.entries.iter().for_each(|row| self.enter(row));
        self.hubs.extend(batch.records_put.iter().map(|row| row.key.hub.clone()));
        self.records.extend(batch.records_put.iter().map(|row| (row.key.clone(), row.clone())));
    }

    fn enter(&mut self, row: &EntryRow) {
        let (hub, partition) = (&row.hub, row.partition());
        self.hubs.insert(hub.clone());
        let chain = self.chains.entry((hub.clone(), partition)).or_default();
        let Head { number, link } = end_of(hub, partition, chain).and(&row.owner, &row.said.commitment());
        chain.push(Entry { partition, number, link, owner: row.owner.clone(), said: row.said.clone() });
    }

    fn entries(&self, list: &EntryList) -> Vec<Entry> {
        let chain = self.chains.get(&(list.hub.clone(), list.partition)).map(Vec::as_slice).unwrap_or_default();
        let is_meant =
            |entry: &&Entry| entry.number > list.after && list.owner.as_ref().is_none_or(|owner| *owner == entry.owner);
        let mut bytes = 0;
        let has_room = |entry: &&Entry| {
            let before = bytes;
            bytes += entry.said.bytes();
            before < EntryList::PAGE_BYTES
        };
        chain.iter().filter(is_meant).take(list.limit).take_while(has_room).cloned().collect()
    }

    fn publish(&mut self, row: &PublishedRow) {
        let key = (row.hub.clone(), row.kind.clone(), row.key.clone());
        match &row.body {
            Some(body) => {
                self.hubs.insert(row.hub.clone());
                let number = self.published.get(&key).map(|row| row.number);
                let number = number.unwrap_or_else(|| {
                    self.numbered += 1;
                    self.numbered
                });
                let (owner, body, terms) = (row.owner.clone(), body.clone(), row.terms.clone());
                self.published.insert(key, Published { number, owner, body, terms });
            }
            None => {
                self.published.remove(&key);
            }
        }
    }

    fn update_instance(&mut self, row: &InstanceRow, indexed: bool) {
        let before = self.instances.insert(row.iid, row.clone()).expect("checked before anything was written");
        let covered = |row: &InstanceRow| (row.status, row.active, row.completed_at);
        let same = covered(&before) == covered(row);
        assert!(indexed || same, "instance {}: a column of an index changed and the update does not say so", row.iid);
    }
}

fn rows_of(iid: Iid) -> RangeInclusive<(Iid, Seq)> {
    (iid, Seq(0))..=(iid, Seq(u64::MAX))
}

fn remove_range<K: Ord + Clone, V>(rows: &mut BTreeMap<K, V>, range: impl RangeBounds<K>) {
    let keys: Vec<K> = rows.range(range).map(|(key, _)| key.clone()).collect();
    for key in keys {
        rows.remove(&key);
    }
}

fn end_of(hub: &Hub, partition: PartitionId, chain: &[Entry]) -> Head {
    chain.last().map_or(Head::none(hub, partition), |last| Head { number: last.number, link: last.link })
}
