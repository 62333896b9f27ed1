//! A store that keeps what it is given to commit, so that the same can be written again as fast as it goes.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use placet_core::ids::{Iid, PartitionId, Turn};
use placet_core::rows::{Batch, HistoryRow, LoadedInstance, Lookup, TimerRow};
use placet_core::time::Timestamp;
use placet_store::{ActivePage, Answer, Claim, CommitError, Query, ReadError, Store};

/// A batch that was committed.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) at: Instant,
    /// How long the store took.
    pub(crate) took: Duration,
    /// How long it took to keep it: what recording costs the run.
    pub(crate) kept_in: Duration,
    pub(crate) batch: Batch,
}

/// What was committed, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Records(Arc<Mutex<Vec<Committed>>>);

impl Records {
    pub(crate) fn take(&self) -> Vec<Committed> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The store.
pub(crate) struct Recorder<S> {
    pub(crate) store: S,
    pub(crate) records: Records,
}

impl<S: Store> Store for Recorder<S> {
    fn claim(&self) -> Result<Claim, CommitError> {
        self.store.claim()
    }

    fn commit(&self, batch: &Batch) -> Result<Duration, CommitError> {
        let begun = Instant::now();
        let durable = self.store.commit(batch)?;
        let at = Instant::now();
        let batch = batch.clone();
        let committed = Committed { at, took: at - begun, kept_in: at.elapsed(), batch };
        self.records.0.lock().unwrap_or_else(PoisonError::into_inner).push(committed);
        Ok(durable)
    }

    fn sweep(&self) -> Result<bool, CommitError> {
        self.store.sweep()
    }

    fn recover(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<Iid>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ActivePage, ReadError> {
        self.store.recover(partitions, after, limit, bytes_max)
    }

    fn load(&self, lookups: &[Lookup]) -> Result<Vec<Option<LoadedInstance>>, ReadError> {
        self.store.load(lookups)
    }

    fn history(&self, iid: Iid, from: Turn, bytes_max: usize) -> Result<Vec<HistoryRow>, ReadError> {
        self.store.history(iid, from, bytes_max)
    }

    fn due(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<TimerRow>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<TimerRow>, ReadError> {
        self.store.due(partitions, after, until, limit)
    }

    fn query(&self, query: &Query) -> Result<Answer, ReadError> {
        self.store.query(query)
    }
}
