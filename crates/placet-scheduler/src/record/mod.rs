//! The record: placet.v1's ListEntries, EraseEntries and Checkpoint. Entries are written by the core, in the commit of what they
//! tell of; here they are read, and the ends of their chains are signed.

mod checkpoint;
mod keys;
mod note;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use placet_core::chain::{Entry, EntryRow, Erasure, Head};
use placet_core::command::{RecordChange, RecordContent, Recorded, Refusal};
use placet_core::ids::{Hub, InstanceId, InstanceKey, PartitionId, RecordKey};
use placet_core::rows::RecordRow;
use placet_core::shard::Input;
use placet_proto::placet::v1::list_entries_request::Of;
use placet_proto::placet::v1::{
    ChainedEntry, CheckpointResponse, EraseEntriesRequest, EraseEntriesResponse, ListEntriesRequest,
    ListEntriesResponse,
};
use placet_store::{Answer, EntryList, Query};
use prost::Message as _;
use tokio::sync::Notify;

use crate::records::{CHECKPOINT, SIGNING_KEY};
use crate::scheduler::{CallError, Scheduler, Weighed};
use note::Signer;

pub use checkpoint::Checkpoint;
pub use keys::{KeyError, MasterKey};
pub use note::{NoteError, NoteKey};

/// Entries of a page if nobody says, and at most.
const ENTRIES_DEFAULT: usize = 100;
const ENTRIES_MAX: usize = 1_000;

/// About what a page may have: it ends with the entry that reaches a mebibyte, and one may have four.
const PAGE_BYTES_MAX: usize = 5 << 20;

/// While entries are written, checkpoints are made this often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(60);

/// Of which hubs something was entered that is in no checkpoint yet.
#[derive(Debug, Default)]
pub(crate) struct Entered {
    hubs: Mutex<BTreeSet<Hub>>,
    any: Notify,
}

impl Entered {
    /// These were committed.
    pub(crate) fn note(&self, rows: &[EntryRow]) {
        if rows.is_empty() {
            return;
        }
        let mut hubs = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        for row in rows {
            if !hubs.contains(&row.hub) {
                hubs.insert(row.hub.clone());
                self.any.notify_one();
            }
        }
    }

    fn take(&self) -> BTreeSet<Hub> {
        std::mem::take(&mut self.hubs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What a scheduler keeps for its record.
#[derive(Debug)]
pub(crate) struct Keeping {
    entered: Arc<Entered>,
    master: MasterKey,
    /// One checkpoint at a time.
    making: tokio::sync::Mutex<()>,
}

impl Keeping {
    pub(crate) fn new(master: MasterKey) -> Keeping {
        Keeping { entered: Arc::default(), master, making: tokio::sync::Mutex::default() }
    }

    pub(crate) fn entered(&self) -> Arc<Entered> {
        self.entered.clone()
    }
}

impl Scheduler {
    /// placet.v1 ListEntries.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`] if it does not say which.
    pub async fn list_entries(
        &self,
        hub: Hub,
        request: ListEntriesRequest,
    ) -> Result<Weighed<ListEntriesResponse>, CallError> {
        let list = list_of(hub, request)?;
        let mut share = self.budget().large(PAGE_BYTES_MAX).await.map_err(|_| CallError::Busy)?;
        let page = self.read(move |store| match store.query(&Query::Entries(list))? {
            Answer::Entries(page) => Ok(page),
            _ => Ok(Vec::new()),
        });
        let entries = page.await?.into_iter().map(|entry| ChainedEntry {
            partition: entry.partition.0.into(),
            number: entry.number,
            link: entry.link.to_vec().into(),
            instance_id: entry.owner.as_str().to_owned(),
            said: Some((&entry.said).into()),
        });
        let value = ListEntriesResponse { entries: entries.collect() };
        let bytes = value.encoded_len();
        share.shrink_to(bytes);
        Ok(Weighed { value, bytes, share: Some(share) })
    }

    /// placet.v1 EraseEntries.
    ///
    /// # Errors
    /// [`Refusal::InvalidArgument`] if it names nobody.
    pub async fn erase_entries(
        &self,
        hub: Hub,
        request: EraseEntriesRequest,
    ) -> Result<EraseEntriesResponse, CallError> {
        if request.instance_id.is_empty() {
            return Err(Refusal::InvalidArgument("instance_id: must name an instance".to_owned()).into());
        }
        let key = InstanceKey::new(hub, InstanceId::new(request.instance_id));
        let erasure = Erasure { key, person: request.person.map(Into::into) };
        self.call(None, |call| Input::Erase(call, erasure)).await?;
        Ok(EraseEntriesResponse {})
    }

    /// placet.v1 Checkpoint: the last one, if nothing was entered since.
    ///
    /// # Errors
    /// [`CallError::Key`] if the hub cannot sign.
    pub async fn checkpoint(&self, hub: Hub) -> Result<CheckpointResponse, CallError> {
        let _alone = self.record_keeping().making.lock().await;
        let signer = self.signer(&hub).await?;
        let told = |note: String| CheckpointResponse { note, key: signer.verifier().to_string() };
        let key = RecordKey::new(hub.clone(), CHECKPOINT, "last");
        loop {
            let last = self.record(key.clone()).await?;
            let heads = self.heads(hub.clone()).await?;
            let note = last.as_ref().and_then(|row| std::str::from_utf8(&row.body).ok());
            let before = note.and_then(Checkpoint::of_note);
            if let (Some(note), Some(before)) = (note, &before)
                && before.heads == heads
                && signer.verifier().open(note).is_ok()
            {
                return Ok(told(note.to_owned()));
            }
            if let Some(before) = &before {
                self.still_has(before, &heads).await?;
            }
            let number = before.map_or(1, |before| before.number + 1);
            let next =
                Checkpoint { hub: hub.clone(), number, at: self.now(), before: note.map(checkpoint::hash_of), heads };
            let note = signer.sign(&next.text());
            let content = RecordContent { expires_at: None, body: note.clone().into_bytes().into() };
            let change = match last {
                Some(RecordRow { version, .. }) => RecordChange::Replace(version, content),
                None => RecordChange::Create(content),
            };
            // Another process may have made one meanwhile.
            if let Recorded::Version(_) = self.change_record(key.clone(), change).await? {
                tracing::info!(hub = %hub, number, entries = entries_of(&next), "a checkpoint of the record was signed");
                return Ok(told(note));
            }
        }
    }

    /// Nothing is signed that what was signed before does not fit: else whoever cuts off the end of a chain would have that
    /// signed a minute later.
    async fn still_has(&self, last: &Checkpoint, heads: &BTreeMap<PartitionId, Head>) -> Result<(), CallError> {
        for (partition, signed) in &last.heads {
            if heads.get(partition) == Some(signed) {
                continue;
            }
            let (hub, partition, after) = (last.hub.clone(), *partition, signed.number.saturating_sub(1));
            let list = EntryList { hub, partition, owner: None, after, limit: 1 };
            let entries = self.read(move |store| match store.query(&Query::Entries(list))? {
                Answer::Entries(entries) => Ok(entries),
                _ => Ok(Vec::new()),
            });
            let is_it = |entry: &Entry| entry.number == signed.number && entry.link == signed.link;
            if !entries.await?.first().is_some_and(is_it) {
                return Err(CallError::RecordBroken { partition, entry: signed.number, checkpoint: last.number });
            }
        }
        Ok(())
    }

    /// Makes checkpoints while entries are written, until `stop`, and then of what is in none yet.
    pub async fn keep_checkpoints(&self, stop: impl Future<Output = ()>) {
        let entered = self.record_keeping().entered();
        let mut stop = std::pin::pin!(stop);
        let mut stopping = false;
        while !stopping {
            tokio::select! {
                () = entered.any.notified() => {}
                () = &mut stop => stopping = true,
            }
            if !stopping {
                stopping = tokio::time::timeout(CHECKPOINT_EVERY, &mut stop).await.is_ok();
            }
            for hub in entered.take() {
                if let Err(error) = self.checkpoint(hub.clone()).await {
                    tracing::error!(hub = %hub, error = &error as &dyn std::error::Error, "no checkpoint of the record was made");
                }
            }
        }
    }

    async fn heads(&self, hub: Hub) -> Result<BTreeMap<PartitionId, Head>, CallError> {
        let heads = self.read(move |store| match store.query(&Query::Heads(hub))? {
            Answer::Heads(heads) => Ok(heads),
            _ => Ok(Vec::new()),
        });
        Ok(heads.await?.into_iter().collect())
    }

    /// What a hub signs with; it is made when it is wanted first.
    async fn signer(&self, hub: &Hub) -> Result<Signer, CallError> {
        let master = &self.record_keeping().master;
        let key = RecordKey::new(hub.clone(), SIGNING_KEY, "1");
        let name = format!("placet/{hub}");
        loop {
            if let Some(row) = self.record(key.clone()).await? {
                return Ok(Signer::new(name, &master.open(hub, &row.body)?));
            }
            let (seed, sealed) = master.new_key(hub)?;
            let content = RecordContent { expires_at: None, body: sealed.into() };
            if let Recorded::Version(_) = self.change_record(key.clone(), RecordChange::Create(content)).await? {
                return Ok(Signer::new(name, &seed));
            }
        }
    }
}

fn entries_of(checkpoint: &Checkpoint) -> u64 {
    checkpoint.heads.values().map(|head| head.number).sum()
}

fn list_of(hub: Hub, ListEntriesRequest { of, after, limit }: ListEntriesRequest) -> Result<EntryList, Refusal> {
    let invalid = |what: &str| Refusal::InvalidArgument(what.to_owned());
    let (partition, owner) = match of {
        Some(Of::InstanceId(id)) => {
            let owner = InstanceId::new(id);
            (InstanceKey::new(hub.clone(), owner.clone()).partition(), Some(owner))
        }
        Some(Of::Partition(partition)) => {
            let partition = u8::try_from(partition).map_err(|_| invalid("partition: 0 to 255"))?;
            (PartitionId(partition), None)
        }
        None => return Err(invalid("of: must name an instance or a partition")),
    };
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let limit = if limit == 0 { ENTRIES_DEFAULT } else { limit.min(ENTRIES_MAX) };
    Ok(EntryList { hub, partition, owner, after, limit })
}
