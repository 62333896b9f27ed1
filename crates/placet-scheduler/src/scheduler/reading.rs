//! What is read for callers: an instance's row, and its history, page by page.

use std::sync::Arc;

use placet_core::body::InstanceBody;
use placet_core::command::InstanceView;
use placet_core::ids::{Iid, InstanceKey, Turn};
use placet_core::rows::{HistoryRow, InstanceRow};
use placet_proto::durabletask::OrchestrationState;
use placet_store::{Answer, Query, ReadError, Store};

use crate::budget::Share;

/// Turns of a history, and their share of the budget until they are sent.
#[derive(Debug)]
pub struct Page {
    /// The turns.
    pub rows: Vec<HistoryRow>,
    /// Their share.
    pub share: Share,
}

/// A page that was read; or the bytes of its whole history, if any turn of that may be too long to be read as a page.
pub(super) enum Turns {
    Read(Vec<HistoryRow>),
    Long(usize),
}

pub(super) fn bytes_of(rows: &[HistoryRow]) -> usize {
    rows.iter().map(|row| row.events.len()).sum()
}

/// What was read at once, and what must wait for room.
pub(super) enum Read {
    Done(Box<OrchestrationState>),
    Long(Arc<InstanceView>),
}

/// One life of an instance between two times that it continued as new, as the store has it.
#[derive(Debug, Clone)]
pub struct Generation {
    pub(super) key: InstanceKey,
    pub(super) iid: Iid,
    /// Its first turn.
    pub first: Turn,
    /// Its execution.
    pub execution_id: String,
    /// Of its history.
    pub(super) bytes: usize,
}

pub(super) fn generation_of(store: &dyn Store, key: InstanceKey) -> Result<Option<Generation>, ReadError> {
    let Some(row) = row_of(store, key.clone())? else { return Ok(None) };
    let body = <InstanceBody as prost::Message>::decode(row.body).map_err(|error| damaged(&error))?;
    let bytes = usize::try_from(body.history_bytes).unwrap_or(usize::MAX);
    Ok(Some(Generation { key, iid: row.iid, first: Turn(body.turn_first), execution_id: body.execution_id, bytes }))
}

pub(crate) fn damaged(error: &impl ToString) -> ReadError {
    ReadError::Damaged { table: "instance", what: error.to_string() }
}

pub(crate) fn row_of(store: &dyn Store, key: InstanceKey) -> Result<Option<InstanceRow>, ReadError> {
    match store.query(&Query::Instance(key))? {
        Answer::Instance(row) => Ok(row.map(|row| *row)),
        _ => Ok(None),
    }
}
