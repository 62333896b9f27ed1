//! The store on a disk that loses power and fails: what was acknowledged is there, whole, and nothing else but what
//! nobody knows of (RELIABILITY.md, I1 to I3). The disk records the store's own calls, commits, checkpoints and reads
//! on all its connections; what it leaves is opened by the store as it ships.

mod compacting;
mod errors;
mod power;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use placet_core::rows::Batch;
use placet_store::conformance::Script;
use placet_store::dump::Dump;
use placet_store::{CommitError, OpenError, Overview, Store as _};
use placet_store_sqlite::{FileLimits, Options, SqliteStore};
use placet_test_disk::{Chance, Choice, Disk, Image, Moment};

use crate::files::{left_behind, quick_folder};

/// A log of some pages: it is copied into the file and begun anew all the time.
const SHORT_LOG: FileLimits =
    FileLimits { checkpoint: 8, restart: 40, payload: 300, sweep: 3, free: 1, give_back: 2, behind: 2, unplaced: 2 };

fn open(folder: &Path) -> Result<SqliteStore, OpenError> {
    SqliteStore::open_with(&folder.join("placet.db"), &Options { limits: SHORT_LOG, ..Options::default() })
}

/// Opens what a power cut left, as the store ships; what is wrong with what is found. It must be one of these, the
/// first of which is what was acknowledged, and it must go on.
fn examine(image: &Image, script: &Script, allowed: &[Dump]) -> Result<(), String> {
    let folder = quick_folder();
    image.put(folder.path());
    let path = folder.path().join("placet.db");
    let options = Options { integrity_check: true, ..Options::default() };
    let open = || SqliteStore::open_with(&path, &options).map_err(|error| format!("it is not opened: {error:?}"));
    let read = |store: &SqliteStore| script.read(store).map_err(|error| format!("it cannot be read: {error:?}"));
    let store = open()?;
    let found = read(&store)?;
    if !allowed.contains(&found) {
        return Err(format!("it holds\n{found}\nand what was acknowledged is\n{}", allowed[0]));
    }
    // What lay ahead of rows that never came is cleared away, what a deleted hub had left, and nothing else.
    store.claim().map_err(|error| format!("it is not claimed: {error:?}"))?;
    let mut pieces = 0;
    while store.sweep().map_err(|error| format!("it is not swept: {error:?}"))? {
        pieces += 1;
        if pieces > 10_000 {
            return Err("there is no end to sweeping it".to_owned());
        }
    }
    let left = left_behind(&path);
    if !left.is_empty() || read(&store)? != found {
        return Err(format!("swept, it holds\n{}\nand not\n{found}\nand {left:?}", read(&store)?));
    }
    let probe = probe();
    store.commit(&probe).map_err(|error| format!("it does not go on: {error:?}"))?;
    drop(store);
    let store = open()?;
    let went_on = read(&store)?;
    let mut hubs = found.hubs.clone();
    hubs.extend(probe.hubs_created);
    hubs.sort();
    let mut overviews = found.overviews.clone();
    // The last by its name, and empty.
    overviews.push(Overview::default());
    if went_on != (Dump { hubs, overviews, ..found }) {
        return Err(format!("after one more batch it holds\n{went_on}"));
    }
    Ok(())
}

/// A batch that no script has.
fn probe() -> Batch {
    Batch { hubs_created: vec![placet_core::ids::Hub::new("zzz")], ..Batch::default() }
}

/// Does it for so many numbers, on two threads.
fn for_each_of(count: u64, work: impl Fn(u64) + Sync) {
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count) {
                    work(number);
                }
            });
        }
    });
}
