//! Record rows, for whoever is no part of the core: which kinds there are, and how they are read and changed.

use std::time::Duration;

use placet_core::command::{RecordChange, RecordCommand, Recorded, Reply};
use placet_core::ids::RecordKey;
use placet_core::rows::RecordRow;
use placet_core::shard::Input;
use placet_store::{Answer, Query, RecordList};

use crate::scheduler::{CallError, Scheduler};

/// A kind of record rows.
#[derive(Debug)]
pub(crate) struct Kind {
    /// As it stands in the rows.
    pub(crate) name: &'static str,
    /// How long a row lasts after it was written last.
    pub(crate) lifetime: Duration,
}

const DAY: Duration = Duration::from_secs(24 * 3_600);

/// What was asked of many instances at once. Key: the operation's id. May be read by whoever may list the hub's instances.
pub(crate) const BULK_OPERATION: Kind = Kind { name: "bulk-operation", lifetime: DAY.saturating_mul(7) };

/// What became of some of its instances. Key: the operation's id, a slash, and the number of the page in twelve digits. May
/// be read by whoever may read the operation.
pub(crate) const BULK_RESULT: Kind = Kind { name: "bulk-result", lifetime: DAY.saturating_mul(7) };

/// What a hub's checkpoints are signed with, sealed. Key: `1`. May be read by nobody else.
pub(crate) const SIGNING_KEY: &str = "signing-key";

/// A hub's last checkpoint. Key: `last`. May be read by whoever may read the record.
pub(crate) const CHECKPOINT: &str = "checkpoint";

impl Scheduler {
    /// A record row, unless it has expired.
    pub(crate) async fn record(&self, key: RecordKey) -> Result<Option<RecordRow>, CallError> {
        let now = self.now();
        let found = self.read(move |store| match store.query(&Query::Record(key))? {
            Answer::Record(row) => Ok(row),
            _ => Ok(None),
        });
        Ok(found.await?.filter(|row| !row.has_expired(now)))
    }

    /// Record rows, with those that have expired.
    pub(crate) async fn records(&self, list: RecordList) -> Result<Vec<RecordRow>, CallError> {
        self.read(move |store| match store.query(&Query::Records(list))? {
            Answer::Records(rows) => Ok(rows),
            _ => Ok(Vec::new()),
        })
        .await
    }

    /// Makes, replaces or deletes a record row.
    pub(crate) async fn change_record(&self, key: RecordKey, change: RecordChange) -> Result<Recorded, CallError> {
        let input = |call| Input::Record(RecordCommand { key, change, call: Some(call) });
        match self.call(None, input).await? {
            Reply::Recorded(recorded) => Ok(recorded),
            _ => unreachable!("a command for a record is answered with what became of it"),
        }
    }
}
