//! A store on its home, with the calls that the cases are written in: what must succeed, and what comes back.

use std::sync::Arc;

use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey, RecordKey, Turn};
use placet_core::rows::{Batch, HistoryRow, LoadedInstance, Lookup, RecordRow, TimerRow};
use placet_core::time::Timestamp;

use super::Home;
use crate::dump::{Dump, Extent};
use crate::{ActivePage, Answer, CommitError, Found, List, Overview, Page, Query, RecordList, Search, Store};

/// The highest key that a case's instances have.
const IID_MAX: Iid = Iid(100);

pub(super) struct Stage {
    home: Box<dyn Home>,
    /// Absent only while it is opened again.
    store: Option<Arc<dyn Store>>,
}

impl Stage {
    pub(super) fn new(home: Box<dyn Home>) -> Stage {
        let store = Some(home.open());
        Stage { home, store }
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.store.as_deref().expect("a store is open")
    }

    /// Closes the store and opens it again.
    pub(super) fn reopen(&mut self) {
        self.store = None;
        self.store = Some(self.home.open());
    }

    /// Opens the store on what a killed process leaves.
    pub(super) fn kill(&mut self) {
        self.home.kill();
        self.reopen();
    }

    pub(super) fn commit(&self, batch: Batch) {
        self.store().commit(&batch).expect("the batch is committed");
    }

    /// Clears away what deleted hubs have left behind, to the end.
    pub(super) fn sweep(&self) {
        let pieces = (0..10_000).find(|_| !self.store().sweep().expect("what is left is cleared away"));
        assert!(pieces.is_some(), "there is no end to it");
    }

    /// Commits what must be refused, and sees that nothing of it was written.
    pub(super) fn refused(&self, batch: Batch) -> CommitError {
        let before = self.dump(&batch);
        let error = self.store().commit(&batch).expect_err("the batch is refused");
        assert_eq!(self.dump(&batch), before, "a refused batch wrote something");
        error
    }

    /// All rows; published ones as far as the batch names them.
    pub(super) fn dump(&self, names: &Batch) -> Dump {
        let extent = Extent { iid_max: IID_MAX, published: &names.published, terms: &[] };
        Dump::read(self.store(), &extent).expect("the store can be read")
    }

    pub(super) fn load(&self, lookups: &[Lookup]) -> Vec<Option<LoadedInstance>> {
        self.store().load(lookups).expect("the store can be read")
    }

    pub(super) fn by_name(&self, hub: &str, id: &str) -> Option<LoadedInstance> {
        let key = InstanceKey::new(Hub::new(hub), InstanceId::new(id));
        self.load(&[Lookup::Key(key)]).pop().expect("one question, one answer")
    }

    pub(super) fn by_iid(&self, iid: u64) -> Option<LoadedInstance> {
        self.load(&[Lookup::Iid(Iid(iid))]).pop().expect("one question, one answer")
    }

    /// The instance, which is there.
    pub(super) fn instance(&self, iid: u64) -> LoadedInstance {
        self.by_iid(iid).expect("the instance is there")
    }

    pub(super) fn history(&self, iid: u64, from: u32, bytes_max: usize) -> Vec<HistoryRow> {
        self.store().history(Iid(iid), Turn(from), bytes_max).expect("the store can be read")
    }

    /// The numbers of its turns.
    pub(super) fn turns(&self, iid: u64, from: u32, bytes_max: usize) -> Vec<u32> {
        self.history(iid, from, bytes_max).iter().map(|row| row.turn.0).collect()
    }

    pub(super) fn recover(&self, after: Option<u64>, limit: usize) -> ActivePage {
        self.store().recover(&|_| true, after.map(Iid), limit, usize::MAX).expect("the store can be read")
    }

    /// The keys of all active instances.
    pub(super) fn active(&self) -> Vec<u64> {
        self.recover(None, usize::MAX).instances.iter().map(|instance| instance.row.iid.0).collect()
    }

    pub(super) fn due(&self, after: Option<TimerRow>, until: i64, limit: usize) -> Vec<TimerRow> {
        self.store().due(&|_| true, after, Timestamp(until), limit).expect("the store can be read")
    }

    pub(super) fn hubs(&self) -> Vec<String> {
        match self.store().query(&Query::Hubs).expect("the store can be read") {
            Answer::Hubs(hubs) => hubs.iter().map(Hub::to_string).collect(),
            answer => panic!("asked for hubs, answered {answer:?}"),
        }
    }

    pub(super) fn published(&self, hub: &str, kind: &str, key: &str) -> Option<Vec<u8>> {
        let query = Query::Published { hub: Hub::new(hub), kind: kind.into(), key: key.into() };
        match self.store().query(&query).expect("the store can be read") {
            Answer::Published(body) => body.map(Vec::from),
            answer => panic!("asked for a published row, answered {answer:?}"),
        }
    }

    pub(super) fn record(&self, key: &RecordKey) -> Option<RecordRow> {
        match self.store().query(&Query::Record(key.clone())).expect("the store can be read") {
            Answer::Record(record) => record,
            answer => panic!("asked for a record, answered {answer:?}"),
        }
    }

    pub(super) fn records(&self, list: &RecordList) -> Vec<RecordRow> {
        match self.store().query(&Query::Records(list.clone())).expect("the store can be read") {
            Answer::Records(records) => records,
            answer => panic!("asked for records, answered {answer:?}"),
        }
    }

    pub(super) fn expired(&self, until: i64, limit: usize) -> Vec<RecordKey> {
        let query = Query::Expired { until: Timestamp(until), limit };
        match self.store().query(&query).expect("the store can be read") {
            Answer::Expired(keys) => keys,
            answer => panic!("asked for what has expired, answered {answer:?}"),
        }
    }

    pub(super) fn list(&self, list: &List) -> Page {
        match self.store().query(&Query::Instances(list.clone())).expect("the store can be read") {
            Answer::Instances(page) => page,
            answer => panic!("asked for a list, answered {answer:?}"),
        }
    }

    pub(super) fn search(&self, search: &Search) -> Found {
        match self.store().query(&Query::Search(Box::new(search.clone()))).expect("the store can be read") {
            Answer::Found(found) => found,
            answer => panic!("asked for a search, answered {answer:?}"),
        }
    }

    pub(super) fn overview(&self, hub: &str) -> Overview {
        match self.store().query(&Query::Overview(Hub::new(hub))).expect("the store can be read") {
            Answer::Overview(overview) => overview,
            answer => panic!("asked for an overview, answered {answer:?}"),
        }
    }
}
