//! For tests: a store that does at will what a store does by chance.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

use placet_core::ids::{Iid, PartitionId, Turn};
use placet_core::rows::{Batch, HistoryRow, LoadedInstance, Lookup, TimerRow};
use placet_core::time::Timestamp;
use placet_store::model::ModelStore;
use placet_store::{ActivePage, Answer, Claim, CommitError, Query, ReadError, Store};

/// A store whose commits may be held up or fail, whose loads may panic, whose histories may be held up or be read before anything is in them, and in which hubs leave
/// behind what a test says.
#[derive(Default)]
pub(crate) struct TestStore {
    model: ModelStore,
    /// So many reads of a history see nothing yet.
    early_reads: AtomicUsize,
    /// So many loads panic.
    panics: AtomicUsize,
    /// So many commits fail.
    failures: AtomicUsize,
    /// So many pieces are left of deleted hubs.
    to_sweep: AtomicUsize,
    gate: Mutex<Gate>,
    moved: Condvar,
    /// The one of reads of histories.
    reads: Mutex<Gate>,
    read: Condvar,
}

#[derive(Default)]
struct Gate {
    is_closed: bool,
    waiting: usize,
}

impl TestStore {
    pub(crate) fn read_histories_early(&self, times: usize) {
        self.early_reads.store(times, Ordering::Relaxed);
    }

    pub(crate) fn panic_in_loads(&self, loads: usize) {
        self.panics.store(loads, Ordering::Relaxed);
    }

    pub(crate) fn fail_commits(&self, commits: usize) {
        self.failures.store(commits, Ordering::Relaxed);
    }

    pub(crate) fn leave_to_sweep(&self, pieces: usize) {
        self.to_sweep.store(pieces, Ordering::Relaxed);
    }

    pub(crate) fn left_to_sweep(&self) -> usize {
        self.to_sweep.load(Ordering::Relaxed)
    }

    pub(crate) fn close(&self) {
        self.gate.lock().unwrap().is_closed = true;
    }

    pub(crate) fn open(&self) {
        self.gate.lock().unwrap().is_closed = false;
        self.moved.notify_all();
    }

    pub(crate) fn close_histories(&self) {
        self.reads.lock().unwrap().is_closed = true;
    }

    pub(crate) fn open_histories(&self) {
        self.reads.lock().unwrap().is_closed = false;
        self.read.notify_all();
    }

    /// Whether reads of histories are held up.
    pub(crate) fn holds_up_a_history(&self) -> bool {
        self.reads.lock().unwrap().waiting > 0
    }

    /// Waits until a commit is held up.
    pub(crate) fn await_commit(&self) {
        let gate = self.gate.lock().unwrap();
        drop(self.moved.wait_while(gate, |gate| gate.waiting == 0).unwrap());
    }
}

/// Whether there was one left.
fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

impl Store for TestStore {
    fn claim(&self) -> Result<Claim, CommitError> {
        self.model.claim()
    }

    fn commit(&self, batch: &Batch) -> Result<Duration, CommitError> {
        let mut gate = self.gate.lock().unwrap();
        gate.waiting += 1;
        self.moved.notify_all();
        gate = self.moved.wait_while(gate, |gate| gate.is_closed).unwrap();
        gate.waiting -= 1;
        if take_one(&self.failures) {
            return Err(CommitError::Unavailable("a test says so".into()));
        }
        self.model.commit(batch)
    }

    fn sweep(&self) -> Result<bool, CommitError> {
        take_one(&self.to_sweep);
        Ok(self.left_to_sweep() > 0)
    }

    fn recover(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<Iid>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ActivePage, ReadError> {
        self.model.recover(partitions, after, limit, bytes_max)
    }

    fn load(&self, lookups: &[Lookup]) -> Result<Vec<Option<LoadedInstance>>, ReadError> {
        assert!(!take_one(&self.panics), "a test says so");
        self.model.load(lookups)
    }

    fn history(&self, iid: Iid, from: Turn, bytes_max: usize) -> Result<Vec<HistoryRow>, ReadError> {
        let mut gate = self.reads.lock().unwrap();
        gate.waiting += 1;
        gate = self.read.wait_while(gate, |gate| gate.is_closed).unwrap();
        gate.waiting -= 1;
        drop(gate);
        if take_one(&self.early_reads) { Ok(Vec::new()) } else { self.model.history(iid, from, bytes_max) }
    }

    fn due(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<TimerRow>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<TimerRow>, ReadError> {
        self.model.due(partitions, after, until, limit)
    }

    fn query(&self, query: &Query) -> Result<Answer, ReadError> {
        self.model.query(query)
    }
}
