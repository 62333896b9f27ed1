//! The record: placet.v1's ListEntries, EraseEntries and Checkpoint. Entries are written by the core, in the commit of what they
//! tell of; here they are read, and the ends of their chains are signed.

mod checkpoint;
mod keys;
mod note;
mod published;

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
    ChainedEntry, CheckpointRequest, CheckpointResponse, EraseEntriesRequest, EraseEntriesResponse, ListEntriesRequest,
    ListEntriesResponse,
};
use placet_store::{Answer, EntryList, Query};
use prost::Message as _;
use tokio::sync::Notify;

use crate::records::{CHECKPOINT, SIGNING_KEY};
use crate::scheduler::{CallError, Scheduler, Weighed};
use note::Signer;

pub use checkpoint::Checkpoint;
use keys::HubKey;
pub use keys::{KeyError, MasterKey};
pub use note::{NoteError, NoteKey};
pub use published::Published;

/// Entries of a page if nobody says, and at most.
const ENTRIES_DEFAULT: usize = 100;
const ENTRIES_MAX: usize = 1_000;

/// About what a page may have: it ends with the entry that reaches a mebibyte, and one may have eight.
const PAGE_BYTES_MAX: usize = 9 << 20;

/// The row of a hub's key.
const KEY_ROW: &str = "1";

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

    /// These are still, or again, in none.
    fn put_back(&self, hubs: impl IntoIterator<Item = Hub>) {
        let mut all = self.hubs.lock().unwrap_or_else(PoisonError::into_inner);
        all.extend(hubs);
        if !all.is_empty() {
            self.any.notify_one();
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
    /// [`CallError::NothingEntered`] if nothing was ever entered, [`CallError::Key`] if the hub cannot sign, and
    /// [`CallError::RecordBroken`] or [`CallError::NotItsCheckpoint`] where what was signed before does not fit.
    pub async fn checkpoint(&self, hub: Hub, request: CheckpointRequest) -> Result<CheckpointResponse, CallError> {
        let _alone = self.record_keeping().making.lock().await;
        let key = RecordKey::new(hub.clone(), CHECKPOINT, "last");
        loop {
            let last = self.record(key.clone()).await?;
            let heads = self.heads(hub.clone()).await?;
            if last.is_none() && heads.is_empty() {
                return Err(CallError::NothingEntered(hub));
            }
            let (signer, fresh) = self.signer(&hub, request.anew).await?;
            let told = |note: String| CheckpointResponse { note, key: signer.verifier().to_string() };
            let note = last.as_ref().and_then(|row| std::str::from_utf8(&row.body).ok());
            let is_its = |note: &&str| signer.verifier().open(note).is_ok();
            let before = note.filter(is_its).and_then(|note| Some((note, Checkpoint::of_note(note)?)));
            if let Some((note, before)) = &before
                && before.heads == heads
            {
                let note = (*note).to_owned();
                self.has_signed(&hub, fresh).await?;
                return Ok(told(note));
            }
            // Nothing is signed that what was signed before does not fit: else whoever cuts off the end of a chain would have
            // that signed a minute later.
            let fits = match &before {
                Some((_, before)) => self.still_has(before, &heads).await,
                None if fresh.is_some() && last.is_none() => Ok(()),
                None => Err(CallError::NotItsCheckpoint(hub.clone())),
            };
            let before = match fits {
                Ok(()) => before,
                Err(CallError::RecordBroken { .. } | CallError::NotItsCheckpoint(_)) if request.anew => None,
                Err(error) => return Err(error),
            };
            let number = before.as_ref().map_or(1, |(_, before)| before.number + 1);
            let before = before.map(|(note, _)| checkpoint::hash_of(note));
            let next = Checkpoint { hub: hub.clone(), number, at: self.now(), before, heads };
            let note = signer.sign(&next.text());
            let content = RecordContent { expires_at: None, body: note.clone().into_bytes().into() };
            let change = match last {
                Some(RecordRow { version, .. }) => RecordChange::Replace(version, content),
                None => RecordChange::Create(content),
            };
            // Another process may have made one meanwhile.
            if let Recorded::Version(_) = self.change_record(key.clone(), change).await? {
                tracing::info!(hub = %hub, number, entries = entries_of(&next), "a checkpoint of the record was signed");
                self.has_signed(&hub, fresh).await?;
                return Ok(told(note));
            }
        }
    }

    /// Whether all that a checkpoint says is still so.
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
        // An earlier process may have been killed before it made one. What has not changed costs a look.
        entered.put_back(self.hubs_known());
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
            let mut failed = Vec::new();
            for hub in entered.take() {
                match self.checkpoint(hub.clone(), CheckpointRequest::default()).await {
                    // It has gone, or nothing was entered in it.
                    Ok(_) | Err(CallError::NothingEntered(_)) => {}
                    Err(error) => {
                        let cause: &dyn std::error::Error = &error;
                        tracing::error!(hub = %hub, error = cause, "no checkpoint of the record was made");
                        failed.push(hub);
                    }
                }
            }
            entered.put_back(failed);
        }
    }

    /// What the hub's notes are signed with.
    pub(crate) async fn note_key(&self, hub: &Hub) -> Result<String, CallError> {
        Ok(self.signer(hub, false).await?.0.verifier().to_string())
    }

    /// The hub's word that this is published there, and its key.
    pub(crate) async fn sign_published(
        &self,
        hub: &Hub,
        [kind, key]: [&str; 2],
        body: &[u8],
    ) -> Result<(String, String), CallError> {
        // Each has a line: nothing that is published can say something in another's place.
        let body =
            std::str::from_utf8(body).ok().filter(|body| ![kind, key, body].iter().any(|line| line.contains('\n')));
        let Some(body) = body else {
            let what = "signed: only what is text, and has one line, is signed".to_owned();
            return Err(Refusal::InvalidArgument(what).into());
        };
        let signer = self.signer(hub, false).await?.0;
        let note = signer.sign(&published::text(hub, [kind, key, body]));
        Ok((note, signer.verifier().to_string()))
    }

    async fn heads(&self, hub: Hub) -> Result<BTreeMap<PartitionId, Head>, CallError> {
        let heads = self.read(move |store| match store.query(&Query::Heads(hub))? {
            Answer::Heads(heads) => Ok(heads),
            _ => Ok(Vec::new()),
        });
        Ok(heads.await?.into_iter().collect())
    }

    /// What a hub signs with, which is made when it is wanted first, or where another is wanted since this one cannot be had; and
    /// the key, with the version of its row, as long as it has signed no checkpoint.
    async fn signer(&self, hub: &Hub, anew: bool) -> Result<(Signer, Option<(HubKey, u64)>), CallError> {
        let master = &self.record_keeping().master;
        let row = RecordKey::new(hub.clone(), SIGNING_KEY, KEY_ROW);
        let signer = |key: &HubKey| Signer::new(format!("placet/{hub}"), &key.seed);
        loop {
            let there = self.record(row.clone()).await?;
            let opened = there.as_ref().map(|there| (master.open(hub, &there.body), there.version));
            match opened {
                Some((Ok(key), version)) => return Ok((signer(&key), key.is_fresh.then_some((key, version)))),
                Some((Err(error), _)) if !anew => return Err(error.into()),
                Some((Err(_), _)) | None => {}
            }
            let (key, sealed) = master.new_key(hub)?;
            let content = RecordContent { expires_at: None, body: sealed.into() };
            let change = match there {
                Some(there) => RecordChange::Replace(there.version, content),
                None => RecordChange::Create(content),
            };
            if let Recorded::Version(version) = self.change_record(row.clone(), change).await? {
                return Ok((signer(&key), Some((key, version))));
            }
        }
    }

    /// A checkpoint that a fresh key has signed is in the store: from now on one is to be found.
    async fn has_signed(&self, hub: &Hub, fresh: Option<(HubKey, u64)>) -> Result<(), CallError> {
        let Some((key, version)) = fresh else { return Ok(()) };
        let sealed = self.record_keeping().master.seal(hub, &HubKey { is_fresh: false, ..key })?;
        let content = RecordContent { expires_at: None, body: sealed.into() };
        let row = RecordKey::new(hub.clone(), SIGNING_KEY, KEY_ROW);
        // Another process may have done so meanwhile.
        self.change_record(row, RecordChange::Replace(version, content)).await.map(drop)
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
