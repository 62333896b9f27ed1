//! Operations on many instances at once (placet.v1 StartBulk and its kin): begun by a call, carried on by the server, also
//! after a restart, and told of for seven days.
//!
//! An operation is a record row (`stored.rs`), what came of it are others. Which instances it means is found by `meant.rs`,
//! what it does to each is in `act.rs`, and how it goes on in `run.rs`.

mod act;
mod meant;
mod run;
mod stored;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use placet_core::command::{Caller, RecordChange, Recorded, Refusal};
use placet_core::ids::Hub;
use placet_core::rows::RecordRow;
use placet_proto::placet::v1::bulk_action::Action;
use placet_proto::placet::v1::{
    BulkAction, BulkOperation, BulkResultsRequest, BulkResultsResponse, BulkStatus, CancelBulkRequest, GetBulkRequest,
    ListBulksResponse, StartBulkRequest, StartBulkResponse,
};
use placet_store::{Answer, Query, RecordList};
use prost::Message as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;
use uuid::Uuid;

use crate::budget::Share;
use crate::records::{BULK_OPERATION, BULK_RESULT};
use crate::scheduler::{CallError, Scheduler, Weighed, to_its_end};
use meant::{Count, Meant};
use run::Run;
use stored::{Stored, key_of};

/// Operations that act at a time; others wait for their turn.
const ACTING_MAX: usize = 2;

/// Operations of a hub that have not ended, at most: each more would only wait.
const UNENDED_MAX: usize = 16;

/// … and of all hubs: each is in memory with its texts, 64 KiB at most.
const ALL_UNENDED_MAX: usize = 256;

/// Operations that a list tells: as many as fit into an answer.
const LISTED_MAX: usize = 200;

/// Operations that are read at a time: two mebibytes at most.
const READ_AT_ONCE: usize = 32;

/// Pages of results in one answer.
const PAGES_PER_ANSWER: usize = 10;

/// What those, or the operations of a list, may come to, as rows and as an answer.
const ANSWER_BYTES: usize = 2 << 20;

/// How many ids of instances a dry run tells.
const FIRST_IDS: usize = 20;

/// How long instances are counted. Beyond it there may be more.
const COUNT_PATIENCE: Duration = Duration::from_secs(2);

/// The longest that a caller waits for a change in one call.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Bytes of an event's input, an output or a reason: they stand in the operation's row.
const TEXT_BYTES_MAX: usize = 16 << 10;

/// Characters of an id that its caller chose.
const ID_MAX: usize = 100;

/// The operations that this process carries on.
#[derive(Debug)]
pub(crate) struct Bulks {
    running: Mutex<BTreeMap<(Hub, String), Arc<Running>>>,
    turns: Arc<Semaphore>,
}

impl Default for Bulks {
    fn default() -> Bulks {
        Bulks { running: Mutex::default(), turns: Arc::new(Semaphore::new(ACTING_MAX)) }
    }
}

/// One of them, for those who wait for it or wish it to end.
#[derive(Debug)]
struct Running {
    version: watch::Sender<u64>,
    cancelled: watch::Sender<bool>,
}

impl Running {
    fn is_cancelled(&self) -> bool {
        *self.cancelled.borrow()
    }

    fn cancel(&self) {
        self.cancelled.send_replace(true);
    }

    fn changed(&self, version: u64) {
        self.version.send_replace(version);
    }

    /// A place among those that act; none for one that is to end, which needs none.
    async fn turn(&self, turns: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let mut cancelled = self.cancelled.subscribe();
        tokio::select! {
            turn = turns.acquire_owned() => turn.ok(),
            _ = cancelled.wait_for(|cancelled| *cancelled) => None,
        }
    }
}

/// A running operation's entry, which goes with it however it ends: who waits for a change looks again then.
struct Place {
    scheduler: Scheduler,
    name: (Hub, String),
}

impl Drop for Place {
    fn drop(&mut self) {
        self.scheduler.bulks().lock().remove(&self.name);
    }
}

impl Bulks {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<(Hub, String), Arc<Running>>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn running(&self, hub: &Hub, id: &str) -> Option<Arc<Running>> {
        self.lock().get(&(hub.clone(), id.to_owned())).cloned()
    }
}

impl Scheduler {
    /// placet.v1 StartBulk: begins an operation, or tells what it would come to.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`] naming the field; [`Refusal::FailedPrecondition`] if too many have not ended; if there is
    /// no such hub.
    pub async fn start_bulk(
        &self,
        hub: Hub,
        request: StartBulkRequest,
        caller: Caller,
    ) -> Result<StartBulkResponse, CallError> {
        let filter = request.filter.unwrap_or_default();
        let action = request.action.unwrap_or_default();
        check_action(&action)?;
        let id = operation_id(request.operation_id)?;
        let iid_last = self.iid_last().await?;
        let meant = Meant::new(hub.clone(), &filter, iid_last)?;
        let count = {
            let _place = self.place_to_search().await?;
            self.read(move |store| meant.count(store, FIRST_IDS, COUNT_PATIENCE)).await?
        };
        let Count { matched, is_least, first } = count;
        let told =
            |operation| StartBulkResponse { operation, matched, matched_is_least: is_least, first_instance_ids: first };
        if request.dry_run {
            return Ok(told(None));
        }
        self.is_known(&hub)?;
        self.has_room_for_a_bulk(&hub)?;
        let operation = BulkOperation {
            id,
            status: BulkStatus::Running.into(),
            filter: Some(filter),
            action: Some(action),
            began_at: Some(self.now().to_proto()),
            total: matched,
            total_is_least: is_least,
            ..BulkOperation::default()
        };
        let stored = Stored {
            operation,
            iid_last: iid_last.0,
            seed: Uuid::new_v4().as_u128().to_le_bytes().to_vec(),
            principal: caller.principal,
            proof: caller.proof,
            ..Stored::default()
        };
        // Though its caller has gone meanwhile: what is written down is carried on.
        let scheduler = self.clone();
        let begun = to_its_end(async move { scheduler.begin_bulk(&hub, stored).await }).await?;
        Ok(told(Some(begun)))
    }

    /// Writes an operation down and begins it; one of the same id that is there is told as it stands.
    async fn begin_bulk(&self, hub: &Hub, stored: Stored) -> Result<BulkOperation, CallError> {
        let key = key_of(hub, &stored.operation.id);
        let content = stored.content(self.now());
        let made = match self.change_record(key.clone(), RecordChange::Create(content.clone())).await {
            Err(CallError::Refused(Refusal::Unknown)) => {
                // It may be there all the same, and nobody else would carry it on.
                let there = self.record(key).await?.filter(|row| row.body == content.body);
                Recorded::Version(there.ok_or(Refusal::Unknown)?.version)
            }
            made => made?,
        };
        match made {
            Recorded::Version(version) => {
                self.carry_on(hub, stored.clone(), version);
                Ok(stored.told(version))
            }
            Recorded::Conflict(_) | Recorded::Deleted => {
                let (there, asked) = (self.bulk(hub, &stored.operation.id).await?, stored.operation);
                if (&there.filter, &there.action) != (&asked.filter, &asked.action) {
                    let what = format!("operation_id: there is another operation {}", asked.id);
                    return Err(Refusal::InvalidArgument(what).into());
                }
                Ok(there)
            }
        }
    }

    fn has_room_for_a_bulk(&self, hub: &Hub) -> Result<(), CallError> {
        let (all, here) = {
            let running = self.bulks().lock();
            (running.len(), running.keys().filter(|(of, _)| of == hub).count())
        };
        let what = match (here < UNENDED_MAX, all < ALL_UNENDED_MAX) {
            (true, true) => return Ok(()),
            (false, _) => format!("{here} bulk operations of hub {hub} have not ended, as many as it may have"),
            (true, false) => format!("{all} bulk operations of this server have not ended, as many as it may have"),
        };
        Err(Refusal::FailedPrecondition(what).into())
    }

    /// Carries an operation on in a task of its own, unless that is done already.
    fn carry_on(&self, hub: &Hub, stored: Stored, version: u64) {
        let name = (hub.clone(), stored.operation.id.clone());
        let running = Arc::new(Running { version: watch::channel(version).0, cancelled: watch::channel(false).0 });
        {
            let mut all = self.bulks().lock();
            if all.contains_key(&name) {
                return;
            }
            all.insert(name.clone(), running.clone());
        }
        let place = Place { scheduler: self.clone(), name };
        match Run::new(self, hub, (stored, version), running) {
            Some(run) => drop(tokio::spawn(run.go_on(place))),
            None => tracing::error!(operation = place.name.1, "a bulk operation is not one, and is left as it is"),
        }
    }

    /// Goes on with the operations that an earlier process left. Call it once, in a runtime.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn resume_bulks(&self) -> Result<(), CallError> {
        let hubs = self.read(|store| match store.query(&Query::Hubs)? {
            Answer::Hubs(hubs) => Ok(hubs),
            _ => Ok(Vec::new()),
        });
        for hub in hubs.await? {
            let mut after = None;
            while let Some((rows, last)) = self.bulk_rows(&hub, after).await? {
                for row in rows {
                    if let Some(stored) = Stored::of(&row).filter(Stored::is_running) {
                        self.carry_on(&hub, stored, row.version);
                    }
                }
                after = Some(last);
            }
        }
        Ok(())
    }

    /// placet.v1 GetBulk: an operation as it stands, or as soon as it has changed.
    ///
    /// # Errors
    /// [`CallError::NoOperation`].
    pub async fn get_bulk(&self, hub: Hub, request: GetBulkRequest) -> Result<BulkOperation, CallError> {
        let id = &request.operation_id;
        // First, so that no change is missed.
        let running = self.bulks().running(&hub, id);
        let found = self.bulk(&hub, id).await?;
        let Some(running) = running.filter(|_| found.version == request.known_version && is_unended(&found)) else {
            return Ok(found);
        };
        let _place = self.place_to_wait()?;
        let mut version = running.version.subscribe();
        drop(running);
        let wait = Duration::from_millis(request.wait_ms.into()).min(WAIT_MAX);
        // However that ends: with a change, with the operation, or with the time.
        drop(timeout(wait, version.wait_for(|version| *version != request.known_version)).await);
        self.bulk(&hub, id).await
    }

    /// placet.v1 CancelBulk: ends an operation after what is under way, and tells how it stands then.
    ///
    /// # Errors
    /// [`CallError::NoOperation`].
    ///
    /// # Cancel safety
    /// The operation ends all the same.
    pub async fn cancel_bulk(&self, hub: Hub, request: CancelBulkRequest) -> Result<BulkOperation, CallError> {
        let id = &request.operation_id;
        if let Some(running) = self.bulks().running(&hub, id) {
            let _place = self.place_to_wait()?;
            let mut version = running.version.subscribe();
            running.cancel();
            drop(running);
            while version.changed().await.is_ok() {}
        }
        self.bulk(&hub, id).await
    }

    /// placet.v1 ListBulks: the operations of a hub, those that began last first.
    ///
    /// # Errors
    /// See [`CallError`].
    pub async fn list_bulks(&self, hub: Hub) -> Result<Weighed<ListBulksResponse>, CallError> {
        let share = self.room_to_read().await?;
        let mut operations: Vec<BulkOperation> = Vec::new();
        let mut after = None;
        while let Some((rows, last)) = self.bulk_rows(&hub, after).await? {
            operations.extend(rows.iter().filter_map(|row| Some(in_short(Stored::of(row)?.told(row.version)))));
            let began = |operation: &BulkOperation| operation.began_at.map(|at| (at.seconds, at.nanos));
            operations.sort_by_key(|operation| std::cmp::Reverse(began(operation)));
            operations.truncate(LISTED_MAX);
            after = Some(last);
        }
        let value = ListBulksResponse { operations };
        Ok(Weighed { bytes: value.encoded_len(), value, share: Some(share) })
    }

    /// The room that an answer has, and what is read for it.
    async fn room_to_read(&self) -> Result<Share, CallError> {
        self.budget().large(ANSWER_BYTES).await.map_err(|_| CallError::Busy)
    }

    /// placet.v1 BulkResults: what became of an operation's instances, some pages of it.
    ///
    /// # Errors
    /// [`CallError::NoOperation`]; [`Refusal::InvalidArgument`] if the token is none of ours.
    pub async fn bulk_results(
        &self,
        hub: Hub,
        BulkResultsRequest { operation_id: id, page_token }: BulkResultsRequest,
    ) -> Result<Weighed<BulkResultsResponse>, CallError> {
        let refused = |_| Refusal::InvalidArgument("page_token: not one that this server gave".to_owned());
        let from: u64 = if page_token.is_empty() { 0 } else { page_token.parse().map_err(refused)? };
        let share = self.room_to_read().await?;
        // First: what it has written by then is read below.
        let is_unended = is_unended(&self.bulk(&hub, &id).await?);
        let after = from.checked_sub(1).map(|page| (BULK_RESULT.name.into(), format!("{id}/{page:012}").into()));
        let list = RecordList {
            hub,
            kind: Some(BULK_RESULT.name.into()),
            starts: format!("{id}/"),
            after,
            limit: PAGES_PER_ANSWER,
        };
        let rows = self.records(list).await?;
        let is_full = rows.len() == PAGES_PER_ANSWER;
        let next = from + rows.len() as u64;
        let pages = rows.iter().filter_map(|row| BulkResultsResponse::decode(&row.body[..]).ok());
        let results = pages.flat_map(|page| page.results).collect();
        let next_page_token = if is_full || is_unended { next.to_string() } else { String::new() };
        let value = BulkResultsResponse { results, next_page_token };
        Ok(Weighed { bytes: value.encoded_len(), value, share: Some(share) })
    }

    /// The rows of some operations behind this key, without those that have expired, and the last key that was looked at.
    async fn bulk_rows(
        &self,
        hub: &Hub,
        after: Option<Arc<str>>,
    ) -> Result<Option<(Vec<RecordRow>, Arc<str>)>, CallError> {
        let kind: Arc<str> = BULK_OPERATION.name.into();
        let after = after.map(|key| (kind.clone(), key));
        let list = RecordList { hub: hub.clone(), kind: Some(kind), starts: String::new(), after, limit: READ_AT_ONCE };
        let (mut rows, now) = (self.records(list).await?, self.now());
        let last = rows.last().map(|row| row.key.key.clone());
        rows.retain(|row| !row.has_expired(now));
        Ok(last.map(|last| (rows, last)))
    }

    async fn bulk(&self, hub: &Hub, id: &str) -> Result<BulkOperation, CallError> {
        let row = self.record(key_of(hub, id)).await?;
        let found = row.and_then(|row| Some(Stored::of(&row)?.told(row.version)));
        found.ok_or_else(|| CallError::NoOperation(id.to_owned()))
    }
}

/// For a list: without what may be long.
fn in_short(mut operation: BulkOperation) -> BulkOperation {
    match operation.action.as_mut().and_then(|action| action.action.as_mut()) {
        Some(Action::Terminate(terminate)) => terminate.output = None,
        Some(Action::RaiseEvent(event)) => event.input = None,
        Some(Action::Suspend(suspend)) => suspend.reason = None,
        Some(Action::Resume(resume)) => resume.reason = None,
        Some(Action::Rewind(rewind)) => rewind.reason = None,
        Some(Action::Restart(_) | Action::Purge(_)) | None => {}
    }
    operation
}

fn is_unended(operation: &BulkOperation) -> bool {
    operation.status() == BulkStatus::Running
}

/// The id that its caller chose, or a new one. A new one begins with the time, so that operations lie in their order.
fn operation_id(chosen: String) -> Result<String, Refusal> {
    if chosen.is_empty() {
        return Ok(Uuid::now_v7().simple().to_string());
    }
    let letters = chosen.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if letters && chosen.len() <= ID_MAX {
        return Ok(chosen);
    }
    let what = format!("operation_id: at most {ID_MAX} letters, digits, '-', '_' and '.'");
    Err(Refusal::InvalidArgument(what))
}

fn check_action(action: &BulkAction) -> Result<(), Refusal> {
    let text = match &action.action {
        None => return Err(Refusal::InvalidArgument("action: says nothing".to_owned())),
        Some(Action::RaiseEvent(event)) if event.name.is_empty() => {
            return Err(Refusal::InvalidArgument("action.raise_event.name: must not be empty".to_owned()));
        }
        Some(Action::RaiseEvent(event)) => event.name.len() + event.input.as_deref().map_or(0, str::len),
        Some(Action::Terminate(terminate)) => terminate.output.as_deref().map_or(0, str::len),
        Some(Action::Suspend(suspend)) => suspend.reason.as_deref().map_or(0, str::len),
        Some(Action::Resume(resume)) => resume.reason.as_deref().map_or(0, str::len),
        Some(Action::Rewind(rewind)) => rewind.reason.as_deref().map_or(0, str::len),
        Some(Action::Restart(_) | Action::Purge(_)) => 0,
    };
    if text > TEXT_BYTES_MAX {
        return Err(Refusal::InvalidArgument(format!("action: {text} bytes of texts, {TEXT_BYTES_MAX} at most")));
    }
    Ok(())
}
