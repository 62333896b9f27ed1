//! The store: a small trait that commits *data* and decides nothing. Nine calls and no more without a reason;
//! a list that grows means that decisions leak out of the core.
//!
//! The rows are the core's ([`placet_core::rows`]); what a list may ask is a typed [`Query`]; what every
//! implementation must keep is the conformance suite ([`conformance`]), adopted in one call.

pub mod conformance;
pub mod dump;
mod error;
mod listing;
pub mod model;
mod query;
pub mod rows;
mod search;

pub use error::{CommitError, OpenError, ReadError, Remedy};
use std::time::Duration;

pub use listing::{Along, IndexedRow, Listed, ListedRow, Listing, Place, TermIndex, TermMatch};
use placet_core::ids::{Iid, PartitionId, Turn};
use placet_core::rows::{AheadPiece, Batch, HistoryRow, LoadedInstance, Lookup, TimerRow};
use placet_core::time::Timestamp;
pub use query::{Answer, EntryList, List, Order, Page, Query, RecordList};
pub use search::{Column, Facts, Filter, Found, Needle, Overview, Ranking, Search, Sort, Status};

/// What a process learns when it takes the store into use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Claim {
    /// How often the store was claimed, this time included: no two processes ever share one.
    pub incarnation: u32,
    /// The highest key ever given to an instance that is still there, or zero. New ones go above it.
    pub iid_max: Iid,
    /// The newest committed time that the store knows of (written at most once a second).
    pub newest: Timestamp,
}

/// A page of the instances that have work, in the order of their keys.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ActivePage {
    /// The instances.
    pub instances: Vec<LoadedInstance>,
    /// Where the next page begins (after this key); absent at the end.
    pub next: Option<Iid>,
}

/// A durable store of instances. Calls block; each may come from any thread, `commit`, `write_ahead` and `sweep` from one at a time.
///
/// What a read returns includes every batch whose `commit` returned before the read began.
pub trait Store: Send + Sync + 'static {
    /// Takes the store into use for this process: counts the incarnation, durably.
    ///
    /// # Errors
    /// If the count could not be written.
    fn claim(&self) -> Result<Claim, CommitError>;

    /// Writes the whole batch, synced, or nothing of it. Tells how much of the time that this took was spent on making it
    /// durable.
    ///
    /// # Errors
    /// See [`CommitError`]; each variant says whether the batch may have been written.
    fn commit(&self, batch: &Batch) -> Result<Duration, CommitError>;

    /// Writes a piece of a payload whose row comes with a later batch, synced, so that nobody has to wait for all of it
    /// there. Nothing of it is read before that batch is committed, which names it in [`Batch::ahead`]. What was left of
    /// payloads whose rows never came is cleared away by `claim`, before it says which keys were given. A store may as well do
    /// nothing: a batch has its rows whole.
    ///
    /// # Errors
    /// See [`CommitError`]: nothing that can be read has changed.
    fn write_ahead(&self, piece: &AheadPiece) -> Result<(), CommitError> {
        let _ = piece;
        Ok(())
    }

    /// Clears away a piece of what deleted hubs have left behind, synced, and tells whether there is more. A hub that is
    /// deleted with a batch is gone with it, however large: none of its rows is read any more, and its name is free. What
    /// takes long is done here, in pieces that hold up no commit; it goes on after a restart. Until then its instances'
    /// keys are not given again, and a claim counts them. When nothing is left, a store that has much room to spare, since
    /// much was deleted, gives a piece of it back to the system.
    ///
    /// # Errors
    /// See [`CommitError`]: nothing that can be read has changed. It is to be tried again later.
    fn sweep(&self) -> Result<bool, CommitError>;

    /// The next page of instances with `active` set, of these partitions, after this key: at most `limit` of
    /// them, and as many as have `bytes_max` in their messages and activities together (the first one excepted). Rows
    /// that no decision needs (history) are left out, and so are damaged instances, which the store writes down: those
    /// that are well do not wait for them.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn recover(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<Iid>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ActivePage, ReadError>;

    /// The instances asked for, in the order of the question; absent ones are `None`.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    fn load(&self, lookups: &[Lookup]) -> Result<Vec<Option<LoadedInstance>>, ReadError>;

    /// The turns of an instance from this one on, as many as fit in `bytes_max` (at least one).
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    fn history(&self, iid: Iid, from: Turn, bytes_max: usize) -> Result<Vec<HistoryRow>, ReadError>;

    /// The timers due until this time (included), of these partitions, after this one: the earliest `limit`. A damaged one
    /// is left out, which the store writes down.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn due(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<TimerRow>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<TimerRow>, ReadError>;

    /// Answers a typed query.
    ///
    /// # Errors
    /// If the store cannot be read or a row is damaged.
    fn query(&self, query: &Query) -> Result<Answer, ReadError>;
}
