//! The same contract in memory: what the simulator runs on, and what the conformance suite holds every other
//! store against. Deterministic: ordered maps, no clock, no chance.
//!
//! Rows are in a [`State`], a value: clone it, compare it, compute what a batch makes of it, and write that or
//! not. The simulator injects its faults so; here nothing ever fails but a batch that contradicts the state.

mod check;
mod state;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use placet_core::ids::{Iid, PartitionId, Turn};
use placet_core::rows::{Batch, HistoryRow, LoadedInstance, Lookup, TimerRow};
use placet_core::time::Timestamp;

pub use check::Contradiction;
pub use state::State;

use crate::dump::Dump;
use crate::{ActivePage, Answer, Claim, CommitError, Query, ReadError, Store};

/// A store that forgets when the process ends.
#[derive(Debug, Default)]
pub struct ModelStore(Mutex<State>);

impl ModelStore {
    /// A store that holds these rows: one that was closed and is opened again.
    pub fn new(state: State) -> ModelStore {
        ModelStore(Mutex::new(state))
    }

    /// What is committed, as a value.
    pub fn state(&self) -> State {
        self.lock().clone()
    }

    /// All rows.
    pub fn dump(&self) -> Dump {
        self.lock().dump()
    }

    /// A panic in another thread leaves the state whole: it changes only after the last check.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for ModelStore {
    fn claim(&self) -> Result<Claim, CommitError> {
        Ok(self.lock().claim())
    }

    fn commit(&self, batch: &Batch) -> Result<Duration, CommitError> {
        self.lock().apply(batch).map_err(|contradiction| CommitError::Unavailable(contradiction.into()))?;
        Ok(Duration::ZERO)
    }

    /// A deleted hub leaves nothing behind here.
    fn sweep(&self) -> Result<bool, CommitError> {
        Ok(false)
    }

    fn recover(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<Iid>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ActivePage, ReadError> {
        Ok(self.lock().recover(partitions, after, limit, bytes_max))
    }

    fn load(&self, lookups: &[Lookup]) -> Result<Vec<Option<LoadedInstance>>, ReadError> {
        let state = self.lock();
        Ok(lookups.iter().map(|lookup| state.load(lookup)).collect())
    }

    fn history(&self, iid: Iid, from: Turn, bytes_max: usize) -> Result<Vec<HistoryRow>, ReadError> {
        Ok(self.lock().history(iid, from, bytes_max))
    }

    fn due(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<TimerRow>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<TimerRow>, ReadError> {
        Ok(self.lock().due(partitions, after, until, limit))
    }

    fn query(&self, query: &Query) -> Result<Answer, ReadError> {
        Ok(self.lock().query(query))
    }
}
