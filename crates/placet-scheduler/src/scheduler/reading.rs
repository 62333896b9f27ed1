//! What is read for callers: an instance's row, and its history, page by page.

use std::sync::Arc;

use placet_core::body::InstanceBody;
use placet_core::command::InstanceView;
use placet_core::ids::{Hub, Iid, InstanceKey, Turn};
use placet_core::rows::{HistoryRow, InstanceRow};
use placet_proto::durabletask::OrchestrationState;
use placet_store::{Answer, Query, ReadError, Store};

use super::{CallError, Scheduler};
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

/// How often an instance that goes on as new all the time is looked at for a page that is whole.
const LOOKS_MAX: usize = 32;

impl Scheduler {
    /// An instance's current generation, with the first page of its history. One that goes on as new while it is read is looked
    /// at again, unless this execution of it is wanted and no other. Absent: it is not there.
    ///
    /// # Errors
    /// See [`Scheduler::history`].
    pub async fn first_page(
        &self,
        hub: Hub,
        instance_id: &str,
        execution_id: Option<&str>,
    ) -> Result<Option<(Generation, Page)>, CallError> {
        let mut looks = 0;
        loop {
            looks += 1;
            let of = self.generation(hub.clone(), instance_id).await?;
            let of = of.filter(|of| execution_id.is_none_or(|wanted| wanted == of.execution_id));
            let Some(of) = of else { return Ok(None) };
            match self.history(&of, of.first).await {
                Err(CallError::ContinuedAsNew) if execution_id.is_none() && looks < LOOKS_MAX => {}
                page => return Ok(Some((of, page?))),
            }
        }
    }
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
