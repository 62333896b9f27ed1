//! The embedded store, for a batch as it comes under load: 64 instances, each a step further; and for the reading of as
//! many that have left memory.

use anyhow::{Context as _, Result, ensure};
use placet_core::ids::{Iid, InstanceId, Seq, Turn};
use placet_core::rows::{Batch, InstanceRow, Lookup, OrchestrationStatus};
use placet_store::Store as _;
use placet_store_sqlite::SqliteStore;

use crate::rig::Rig;
use crate::sequence;

const INSTANCES: u64 = 64;

pub(crate) fn run(units: u32) -> Result<()> {
    let (born, step) = batches()?;
    let folder = tempfile::tempdir()?;
    let store = store_with(&born, &folder)?;
    for unit in 0..units {
        store.commit(&later(&step, unit))?;
    }
    Ok(())
}

/// What a status costs: so many begin, run and end, each in a batch with the others.
pub(crate) fn lives(units: u32) -> Result<()> {
    let (born, step) = batches()?;
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(&folder.path().join("placet.db"))?;
    store.claim()?;
    for unit in 0..u64::from(units) {
        let of_unit = |row: &InstanceRow, status: OrchestrationStatus| {
            let iid = Iid(row.iid.0 + unit * INSTANCES);
            InstanceRow { iid, id: InstanceId::new(format!("life-{:08}", iid.0)), status, ..row.clone() }
        };
        let begin = born.instances_inserted.iter().map(|row| of_unit(row, OrchestrationStatus::Pending)).collect();
        store.commit(&Batch { instances_inserted: begin, newest: born.newest, ..Batch::default() })?;
        for status in [OrchestrationStatus::Running, OrchestrationStatus::Completed] {
            let changed = born.instances_inserted.iter().map(|row| (of_unit(row, status), true)).collect();
            store.commit(&Batch { instances_updated: changed, newest: step.newest, ..Batch::default() })?;
        }
    }
    Ok(())
}

/// Each is loaded, with its history, as when an event comes for it.
pub(crate) fn load(units: u32) -> Result<()> {
    let (born, step) = batches()?;
    let folder = tempfile::tempdir()?;
    let store = store_with(&born, &folder)?;
    store.commit(&step)?;
    let lookups: Vec<Lookup> = born.instances_inserted.iter().map(|row| Lookup::Key(row.key())).collect();
    for _ in 0..units {
        let found = store.load(&lookups)?;
        ensure!(found.iter().flatten().count() == lookups.len(), "all are there");
        for instance in found.into_iter().flatten() {
            let history = store.history(instance.row.iid, Turn(0), usize::MAX)?;
            ensure!(!history.is_empty(), "a history");
        }
    }
    Ok(())
}

fn store_with(born: &Batch, folder: &tempfile::TempDir) -> Result<SqliteStore> {
    let store = SqliteStore::open(&folder.path().join("placet.db"))?;
    store.claim()?;
    store.commit(born)?;
    Ok(store)
}

/// What the core writes for a sequence's start and for its second step, for many sequences.
fn batches() -> Result<(Batch, Batch)> {
    let mut rig = Rig::new(false);
    rig.keep_batches();
    sequence::begin(&mut rig, 1);
    rig.turn(sequence::call())?;
    let born = rig.last.take().context("a batch")?;
    rig.activity("1")?;
    rig.turn(sequence::call())?;
    let step = rig.last.take().context("a batch")?;
    Ok((many(&born), many(&step)))
}

fn many(one: &Batch) -> Batch {
    let mut many = Batch { id: one.id, newest: one.newest, ..Batch::default() };
    for iid in (1..=INSTANCES).map(Iid) {
        let row = |row: &InstanceRow| InstanceRow {
            iid,
            id: InstanceId::new(format!("sequence-{:08}", iid.0)),
            ..row.clone()
        };
        many.instances_inserted.extend(one.instances_inserted.iter().map(row));
        many.instances_updated.extend(one.instances_updated.iter().map(|(old, indexed)| (row(old), *indexed)));
        many.history_appended.extend(one.history_appended.iter().cloned().map(|mut row| {
            row.iid = iid;
            row
        }));
        many.activities_put.extend(one.activities_put.iter().cloned().map(|mut row| {
            row.iid = iid;
            row
        }));
        many.activities_deleted.extend(one.activities_deleted.iter().map(|(_, seq)| (iid, *seq)));
    }
    many
}

/// The same step, so many steps later.
fn later(step: &Batch, steps: u32) -> Batch {
    let mut later = step.clone();
    for row in &mut later.history_appended {
        row.turn = Turn(row.turn.0 + steps);
    }
    for row in &mut later.activities_put {
        row.seq = Seq(row.seq.0 + u64::from(steps));
    }
    for (_, seq) in &mut later.activities_deleted {
        *seq = Seq(seq.0 + u64::from(steps));
    }
    later
}
