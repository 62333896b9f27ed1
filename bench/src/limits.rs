//! The limits beside each figure: the same work with everything left out but the store, and with everything left
//! out but the disk.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use placet_core::rows::{Batch, InstanceRow};
use placet_store::Store as _;
use placet_store_sqlite::SqliteStore;

use crate::record::Committed;

/// How long a fresh store takes to commit these batches, in the same groups, one straight after the other. Those
/// before `from` are committed first, since the others stand on them, and are not counted.
pub(crate) fn store(folder: &Path, batches: &[Committed], from: usize) -> Result<Duration> {
    let folder = tempfile::tempdir_in(folder)?;
    let store = SqliteStore::open(&folder.path().join("placet.db"))?;
    store.claim()?;
    for committed in &batches[..from] {
        store.commit(&committed.batch).context("a batch of the warm-up")?;
    }
    let begun = Instant::now();
    for committed in &batches[from..] {
        store.commit(&committed.batch).context("a batch")?;
    }
    Ok(begun.elapsed())
}

/// How long the disk takes to append the bytes of these groups to a file, each group synced.
pub(crate) fn disk(folder: &Path, groups: &[usize]) -> Result<Duration> {
    let mut file = tempfile::tempfile_in(folder)?;
    let bytes = vec![0x5A; groups.iter().copied().max().unwrap_or(0)];
    let begun = Instant::now();
    for &group in groups {
        file.write_all(&bytes[..group])?;
        file.sync_data()?;
    }
    Ok(begun.elapsed())
}

/// How many rows a batch writes or deletes.
pub(crate) fn rows(batch: &Batch) -> usize {
    batch.instances_deleted.len()
        + batch.instances_inserted.len()
        + batch.instances_updated.len()
        + batch.history_dropped.len()
        + batch.history_appended.len()
        + batch.inbox_deleted.len()
        + batch.inbox_put.len()
        + batch.activities_deleted.len()
        + batch.activities_put.len()
        + batch.timers_deleted.len()
        + batch.timers_put.len()
        + batch.replies_put.len()
        + batch.published.len()
}

/// How many bytes a batch's rows are: payloads and texts, eight for each number, a key for each row deleted.
pub(crate) fn bytes(batch: &Batch) -> usize {
    const NUMBER: usize = 8;
    const KEY: usize = 2 * NUMBER;
    let instance = |row: &InstanceRow| 7 * NUMBER + row.id.as_str().len() + row.name.len() + row.body.len();
    let inserted = batch.instances_inserted.iter().map(instance);
    let updated = batch.instances_updated.iter().map(|(row, _)| instance(row));
    let history = batch.history_appended.iter().map(|row| KEY + NUMBER + row.events.len());
    let inbox = batch.inbox_put.iter().map(|row| KEY + row.data.len());
    let activities = batch.activities_put.iter().map(|row| KEY + row.data.len());
    let replies = batch
        .replies_put
        .iter()
        .map(|row| KEY + row.ask_id.len() + row.answer.as_ref().map_or(0, |answer| answer.len()));
    let published = batch
        .published
        .iter()
        .map(|row| KEY + row.kind.len() + row.key.len() + row.body.as_ref().map_or(0, |body| body.len()));
    let deleted = batch.instances_deleted.len()
        + batch.history_dropped.len()
        + batch.inbox_deleted.len()
        + batch.activities_deleted.len();
    let timers = batch.timers_deleted.len() + batch.timers_put.len();
    inserted.chain(updated).chain(history).chain(inbox).chain(activities).chain(replies).chain(published).sum::<usize>()
        + deleted * KEY
        + timers * (KEY + KEY)
}
