//! How an operation goes on: it writes down what it is about to do, does it, writes down what came of it, and looks for more.
//!
//! It is a task like a client's: what it does are commands, some at a time, between those of others.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use placet_core::command::{Caller, RecordChange, RecordContent, Recorded, Refusal};
use placet_core::ids::{Hub, Iid, RecordKey};
use placet_proto::placet::v1::{BulkAction, BulkOutcome, BulkResult, BulkResultsResponse, BulkStatus};
use prost::Message as _;

use super::act::Doing;
use super::meant::Meant;
use super::stored::{Item, Stored, key_of, page_of, results_expire};
use super::{Place, Running};
use crate::scheduler::{CallError, Scheduler};

/// Instances that something is done to before it is written down what came of it.
const STEP: usize = 100;

/// … so many of them at a time: their commands share commits, and others' come between them.
const AT_ONCE: usize = 32;

/// How long instances are looked for at a time.
const LOOK: Duration = Duration::from_millis(100);

/// When what the store refused is tried again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Why an operation does not go on in this process.
#[derive(Debug)]
enum Stop {
    /// It is the next one's.
    Stopping,
    /// Its row is gone with its hub, or somebody else's.
    Gone,
}

/// An operation under way.
pub(super) struct Run {
    scheduler: Scheduler,
    hub: Hub,
    stored: Stored,
    version: u64,
    running: Arc<Running>,
    meant: Meant,
    doing: Arc<Doing>,
}

impl Run {
    /// One that goes on from here; none if its row makes no sense.
    pub(super) fn new(
        scheduler: &Scheduler,
        hub: &Hub,
        (stored, version): (Stored, u64),
        running: Arc<Running>,
    ) -> Option<Run> {
        let operation = &stored.operation;
        let filter = operation.filter.clone().unwrap_or_default();
        let meant = Meant::new(hub.clone(), &filter, Iid(stored.iid_last)).ok()?;
        let Some(BulkAction { action: Some(action) }) = operation.action.clone() else { return None };
        let doing = Arc::new(Doing {
            scheduler: scheduler.clone(),
            hub: hub.clone(),
            operation: operation.id.as_str().into(),
            action,
            caller: Caller { principal: stored.principal.clone(), proof: stored.proof.clone() },
            seed: u128::from_le_bytes(stored.seed.as_slice().try_into().ok()?),
        });
        Some(Run { scheduler: scheduler.clone(), hub: hub.clone(), stored, version, running, meant, doing })
    }

    /// Goes on to the end, or as far as the process does.
    pub(super) async fn go_on(mut self, _place: Place) {
        let turn = self.scheduler.bulks().turns.clone();
        let turn = self.running.turn(turn).await;
        let ended = self.steps().await;
        drop(turn);
        if let Err(Stop::Gone) = ended {
            let operation = &*self.stored.operation.id;
            tracing::warn!(operation, hub = %self.hub, "a bulk operation ends, since its row is gone");
        }
    }

    async fn steps(&mut self) -> Result<(), Stop> {
        let mut again = !self.stored.pending.is_empty();
        while self.stored.is_running() {
            // A clock that goes by itself waits for it.
            let _open = self.scheduler.open_call();
            self.act(again).await?;
            again = false;
            self.look().await?;
            if self.stored.pending.is_empty() {
                let is_cancelled = !self.stored.is_exhausted;
                let status = if is_cancelled { BulkStatus::Cancelled } else { BulkStatus::Completed };
                self.stored.operation.status = status.into();
                self.stored.operation.ended_at = Some(self.scheduler.now().to_proto());
            }
            self.write().await?;
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    /// Does what it is about to do, and writes down what came of it: before that is counted, so that results are never fewer
    /// than they are said to be.
    async fn act(&mut self, again: bool) -> Result<(), Stop> {
        let pending = std::mem::take(&mut self.stored.pending);
        let meant = pending.len();
        if meant == 0 {
            return Ok(());
        }
        let page = page_of(&self.hub, &self.stored.operation.id, self.stored.pages);
        let results = match if again { self.results_of(&page).await? } else { None } {
            Some(results) => results, // the server ended right after it was written
            None => {
                let results = self.do_to(pending, again).await?;
                self.write_results(page, &results).await?;
                results
            }
        };
        if results.len() < meant {
            // It is cancelled before it came to all, or was so when the server ended.
            self.running.cancel();
            self.stored.is_exhausted = false;
        }
        if !results.is_empty() {
            self.stored.pages += 1;
        }
        let count = |outcome| results.iter().filter(|result| result.outcome() == outcome).count() as u64;
        self.stored.operation.done += count(BulkOutcome::Done);
        self.stored.operation.skipped += count(BulkOutcome::Skipped);
        self.stored.operation.failed += count(BulkOutcome::Failed);
        Ok(())
    }

    /// Does it to some instances; to those that are not begun when it is cancelled, not.
    async fn do_to(&self, items: Vec<Item>, again: bool) -> Result<Vec<BulkResult>, Stop> {
        let acts = items.into_iter().map(|item| {
            let (running, doing) = (self.running.clone(), self.doing.clone());
            async move {
                // What may have been begun before the server ended is brought to its end.
                if running.is_cancelled() && !again { None } else { Some(doing.to(&item, again).await) }
            }
        });
        let mut acts = stream::iter(acts).buffered(AT_ONCE);
        let mut results = Vec::new();
        while let Some(result) = acts.next().await {
            match result {
                Some(Ok(result)) => results.push(result),
                Some(Err(_)) => return Err(Stop::Stopping),
                None => {}
            }
        }
        Ok(results)
    }

    /// Looks for the next instances, unless it is cancelled.
    async fn look(&mut self) -> Result<(), Stop> {
        while self.stored.pending.is_empty() && !self.stored.is_exhausted && !self.running.is_cancelled() {
            let (meant, cursor) = (self.meant.clone(), self.stored.cursor.clone());
            let found = self.scheduler.read(move |store| meant.page(store, &cursor, STEP, LOOK)).await;
            let found = match found {
                Ok(found) => found,
                Err(error) => {
                    self.rest(&error).await?;
                    continue;
                }
            };
            let items = found.rows.iter().map(|row| Item { id: row.id.as_str().to_owned(), iid: row.iid.0 });
            self.stored.pending = items.collect();
            self.stored.is_exhausted = found.next.is_none();
            self.stored.cursor = found.next.unwrap_or_default();
        }
        Ok(())
    }

    /// Writes down how far it is, and tells whoever waits for that.
    async fn write(&mut self) -> Result<(), Stop> {
        let content = self.stored.content(self.scheduler.now());
        let key = key_of(&self.hub, &self.stored.operation.id);
        self.version = self.change(key, RecordChange::Replace(self.version, content)).await?;
        self.running.changed(self.version);
        Ok(())
    }

    async fn write_results(&self, page: RecordKey, results: &[BulkResult]) -> Result<(), Stop> {
        if results.is_empty() {
            return Ok(());
        }
        let expires_at = Some(results_expire(self.scheduler.now()));
        let body = BulkResultsResponse { results: results.to_vec(), ..BulkResultsResponse::default() };
        let content = RecordContent { expires_at, body: body.encode_to_vec().into() };
        self.change(page, RecordChange::Create(content)).await.map(drop)
    }

    async fn results_of(&self, page: &RecordKey) -> Result<Option<Vec<BulkResult>>, Stop> {
        loop {
            match self.scheduler.record(page.clone()).await {
                Ok(row) => {
                    let read = row.and_then(|row| BulkResultsResponse::decode(&row.body[..]).ok());
                    return Ok(read.map(|page| page.results));
                }
                Err(error) => self.rest(&error).await?,
            }
        }
    }

    /// Changes a row until it is known to be changed. The version that it has then.
    async fn change(&self, key: RecordKey, change: RecordChange) -> Result<u64, Stop> {
        let (expected, body) = match &change {
            RecordChange::Replace(version, content) => (version + 1, content.body.clone()),
            RecordChange::Create(content) => (1, content.body.clone()),
            RecordChange::Delete(_) | RecordChange::Expire => unreachable!("an operation deletes nothing"),
        };
        loop {
            match self.scheduler.change_record(key.clone(), change.clone()).await {
                Ok(Recorded::Version(version)) => return Ok(version),
                Ok(Recorded::Conflict(Some(version))) if version == expected => {
                    // Written by us, if the answer got lost with a commit of which nobody knew what became.
                    match self.scheduler.record(key.clone()).await {
                        Ok(Some(row)) if row.version == expected && row.body == body => return Ok(version),
                        Ok(_) => return Err(Stop::Gone),
                        Err(error) => self.rest(&error).await?,
                    }
                }
                Ok(Recorded::Conflict(_) | Recorded::Deleted) => return Err(Stop::Gone),
                Err(error) => self.rest(&error).await?,
            }
        }
    }

    /// What the store refuses is tried again, for as long as the process lives.
    async fn rest(&self, error: &CallError) -> Result<(), Stop> {
        if matches!(error, CallError::Stopping) {
            return Err(Stop::Stopping);
        }
        if !matches!(error, CallError::Refused(Refusal::Exhausted { .. })) {
            tracing::warn!(error = error as &dyn std::error::Error, "a bulk operation waits for the store");
        }
        tokio::time::sleep(AGAIN_AFTER).await;
        Ok(())
    }
}
