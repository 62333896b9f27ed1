//! What was committed is there, whatever becomes of the process, and what is damaged is not believed.

use placet_core::ids::{Iid, Turn};
use placet_core::rows::{Batch, Lookup};
use placet_store::{CommitError, Store as _};
use placet_store_sqlite::{FileLimits, Options, SqliteStore};
use tempfile::TempDir;

#[cfg(unix)]
use crate::child;
use crate::files::{copy, instance};

#[test]
fn what_was_committed_is_in_the_files_as_a_killed_process_leaves_them() {
    let (folder, after_kill) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    store.claim().unwrap();
    for iid in 1..=50 {
        store.commit(&instance(iid)).unwrap();
    }
    copy(folder.path(), after_kill.path());
    let reopened = SqliteStore::open(&after_kill.path().join("placet.db")).unwrap();
    let claim = reopened.claim().unwrap();
    assert_eq!((claim.incarnation, claim.iid_max), (2, Iid(50)));
    for iid in (1..=50).map(Iid) {
        let lookups = [Lookup::Iid(iid)];
        assert_eq!(reopened.load(&lookups).unwrap(), store.load(&lookups).unwrap());
        assert_eq!(reopened.history(iid, Turn(0), 1).unwrap(), store.history(iid, Turn(0), 1).unwrap());
    }
}

#[test]
fn a_log_that_outgrows_its_bound_is_begun_anew_and_nothing_is_lost() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("placet.db");
    // It is to have a mebibyte, and no more than four, though nothing rests while all of these come.
    let limits = FileLimits { checkpoint: 64, restart: 256, ..FileLimits::default() };
    let store = SqliteStore::open_with(&path, &Options { limits, ..Options::default() }).unwrap();
    for iid in 1..=100 {
        let mut batch = instance(iid);
        batch.history_appended[0].events = vec![7; 1 << 20].into();
        store.commit(&batch).unwrap();
    }
    let log = std::fs::metadata(folder.path().join("placet.db-wal")).unwrap().len();
    assert!(log < 6 << 20, "the log has {log} bytes");
    for iid in 1..=100 {
        assert_eq!(store.history(Iid(iid), Turn(0), 1).unwrap()[0].events.len(), 1 << 20);
    }
}

#[test]
fn what_does_not_fit_is_refused_whole_and_the_store_goes_on() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("placet.db");
    let store = SqliteStore::open(&path).unwrap();
    store.commit(&instance(1)).unwrap();
    let mut large = instance(2);
    // SQLite takes no row beyond a billion bytes.
    large.instances_inserted[0].body = vec![0; 1_000_000_100].into();
    let error = store.commit(&large).unwrap_err();
    assert!(matches!(error, CommitError::Unavailable(_)), "{error}");
    assert_eq!(store.load(&[Lookup::Iid(Iid(2))]).unwrap(), [None]);
    store.commit(&instance(3)).unwrap();
    store.commit(&Batch::default()).unwrap();
    assert!(store.load(&[Lookup::Iid(Iid(3))]).unwrap()[0].is_some());
}

/// A disk that takes no more, in the middle of a batch: the system refuses to let a file grow beyond a limit.
#[cfg(unix)]
#[test]
fn a_write_that_fails_takes_nothing_back_and_the_store_goes_on_reading() {
    if let Some(folder) = child::folder() {
        let store = SqliteStore::open(&folder.join("placet.db")).unwrap();
        let failed = (1..).find_map(|iid| store.commit(&large(iid)).err().map(|error| (iid, error)));
        let (iid, error) = failed.unwrap();
        assert!(!matches!(error, CommitError::Fenced { .. }), "{error}");
        store.commit(&large(iid)).unwrap_err();
        for iid in 1..iid {
            assert!(store.load(&[Lookup::Iid(Iid(iid))]).unwrap()[0].is_some(), "{iid} was committed");
        }
        assert_eq!(store.load(&[Lookup::Iid(Iid(iid))]).unwrap(), [None]);
        println!("failed {iid}");
        return;
    }
    let folder = TempDir::new().unwrap();
    let this = "durability::a_write_that_fails_takes_nothing_back_and_the_store_goes_on_reading";
    let limited = ["sh", "-c", "trap '' XFSZ; ulimit -f 4096; exec \"$@\"", "sh"];
    let mut process = child::start(&limited, this, folder.path());
    let failed: u64 = process.told("failed").unwrap().parse().unwrap();
    process.end();
    assert!(failed > 1, "some were committed");
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    for iid in 1..failed {
        assert!(store.load(&[Lookup::Iid(Iid(iid))]).unwrap()[0].is_some(), "{iid} was committed");
    }
    assert_eq!(store.load(&[Lookup::Iid(Iid(failed))]).unwrap(), [None]);
    store.commit(&large(failed)).unwrap();
}

/// An instance with some hundred kilobytes.
#[cfg(unix)]
fn large(iid: u64) -> Batch {
    let mut batch = instance(iid);
    batch.history_appended[0].events = vec![7; 300_000].into();
    batch
}
