//! Files that are not right: each is refused with the reason, and not a byte of anything is changed.

use std::fs;
use std::path::Path;

use placet_core::ids::Iid;
use placet_store::{OpenError, Store as _};
use placet_store_sqlite::{Options, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::child;
use crate::files::{contents, copy, instance};

/// A file with some instances in it, closed in good order.
fn closed() -> TempDir {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    for iid in 1..=100 {
        store.commit(&instance(iid)).unwrap();
    }
    folder
}

/// The same as a killed process leaves it, with changes in the log that are not in the file.
fn killed() -> TempDir {
    let (folder, copied) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    for iid in 1..=100 {
        store.commit(&instance(iid)).unwrap();
    }
    copy(folder.path(), copied.path());
    copied
}

/// Why it is not opened. No file may have come, gone or changed.
fn refused(folder: &Path, options: &Options) -> OpenError {
    let before = contents(folder);
    let error = SqliteStore::open_with(&folder.join("placet.db"), options).unwrap_err();
    let after = contents(folder);
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{error}");
    assert!(before == after, "a file was changed: {error}");
    assert!(!error.hint().is_empty());
    error
}

/// Changes the version so that the change is only in the log, which is all that is left of the process.
fn of_a_later_version_in_the_log() -> TempDir {
    let (folder, copied) = (killed(), TempDir::new().unwrap());
    let connection = Connection::open(folder.path().join("placet.db")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    copy(folder.path(), copied.path());
    copied
}

#[test]
fn a_file_that_is_open_in_this_process_is_refused() {
    let folder = closed();
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    let error = refused(folder.path(), &Options::default());
    let here = std::process::id();
    assert!(matches!(error, OpenError::Locked { holder: Some(holder), .. } if holder == here), "{error}");
    store.commit(&instance(101)).unwrap();
}

#[test]
fn a_file_that_is_open_in_another_process_is_refused_with_its_id() {
    if let Some(folder) = child::folder() {
        let store = SqliteStore::open(&folder.join("placet.db")).unwrap();
        println!("open");
        child::wait_for_parent();
        store.commit(&instance(101)).unwrap();
        return;
    }
    let folder = closed();
    let this = "opening::a_file_that_is_open_in_another_process_is_refused_with_its_id";
    let mut other = child::start(&[], this, folder.path());
    other.told("open").unwrap();
    let error = refused(folder.path(), &Options::default());
    assert!(matches!(error, OpenError::Locked { holder: Some(holder), .. } if holder == other.id()), "{error}");
    other.end();
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    assert_eq!(store.claim().unwrap().iid_max, Iid(101));
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    let newer = |folder: TempDir| {
        let connection = Connection::open(folder.path().join("placet.db")).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        folder
    };
    for folder in [newer(closed()), newer(killed()), of_a_later_version_in_the_log()] {
        let error = refused(folder.path(), &Options::default());
        assert!(matches!(error, OpenError::Newer { found: 99, known: 10, .. }), "{error}");
        for unneeded in ["placet.db-shm", "placet.lock"] {
            drop(fs::remove_file(folder.path().join(unneeded)));
            let error = refused(folder.path(), &Options::default());
            assert!(matches!(error, OpenError::Newer { found: 99, known: 10, .. }), "{error}");
        }
    }
}

#[test]
fn a_file_of_another_program_is_refused() {
    for settings in ["", "PRAGMA journal_mode = WAL;"] {
        let (folder, copied) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let connection = Connection::open(folder.path().join("placet.db")).unwrap();
        connection.execute_batch(&format!("{settings} CREATE TABLE recipe(name TEXT)")).unwrap();
        copy(folder.path(), copied.path());
        drop(connection);
        assert!(matches!(refused(folder.path(), &Options::default()), OpenError::Foreign { .. }));
        // While it is in use there, or as a power cut leaves it.
        assert!(matches!(refused(copied.path(), &Options::default()), OpenError::Foreign { .. }));
    }
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("placet.db"), "Dear diary, today nothing happened. ".repeat(200)).unwrap();
    assert!(matches!(refused(folder.path(), &Options::default()), OpenError::Damaged { .. }));
}

#[test]
fn a_damaged_file_is_refused() {
    let whole = closed();
    let bytes = fs::read(whole.path().join("placet.db")).unwrap();
    let log = fs::read(killed().path().join("placet.db-wal")).unwrap();
    let mut zeroed = bytes.clone();
    zeroed[100..4_096].fill(0);
    let mut halved = bytes.clone();
    halved.truncate(bytes.len() / 2);
    let mut torn = bytes.clone();
    torn.truncate(bytes.len() - 1_000);
    for (name, damaged) in [("the schema zeroed", zeroed), ("half of it", halved), ("torn at the end", torn)] {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("placet.db"), damaged).unwrap();
        let error = refused(folder.path(), &Options::default());
        assert!(matches!(error, OpenError::Damaged { .. }), "{name}: {error}");
        // With a log that has nothing of this file.
        fs::write(folder.path().join("placet.db-wal"), &log[..100]).unwrap();
        let error = refused(folder.path(), &Options::default());
        assert!(matches!(error, OpenError::Damaged { .. }), "{name}, with a log: {error}");
    }
}

#[test]
fn damage_within_a_table_is_found_by_an_integrity_check() {
    let whole = closed();
    let mut bytes = fs::read(whole.path().join("placet.db")).unwrap();
    let middle = bytes.len() / 2 / 4_096 * 4_096;
    bytes[middle..middle + 4_096].fill(0xAB);
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("placet.db"), bytes).unwrap();
    let error = refused(folder.path(), &Options { integrity_check: true, ..Options::default() });
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn a_log_without_its_file_is_not_taken_for_nothing() {
    let folder = killed();
    fs::remove_file(folder.path().join("placet.db")).unwrap();
    let error = refused(folder.path(), &Options::default());
    assert!(matches!(error, OpenError::Damaged { .. }), "{error}");
}

#[test]
fn what_cannot_be_written_is_refused() {
    let folder = TempDir::new().unwrap();
    let error = SqliteStore::open(&folder.path().join("nowhere").join("placet.db")).unwrap_err();
    assert!(matches!(error, OpenError::Unwritable { .. }), "no folder: {error}");
    for directory in ["placet.db", "placet.lock", "placet.db-new"] {
        let folder = TempDir::new().unwrap();
        fs::create_dir(folder.path().join(directory)).unwrap();
        let error = SqliteStore::open(&folder.path().join("placet.db")).unwrap_err();
        assert!(matches!(error, OpenError::Unwritable { .. }), "a folder in its place: {error}");
    }
}

#[cfg(unix)]
#[test]
fn what_may_not_be_written_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;

    for forbidden in ["placet.db", "."] {
        let folder = closed();
        fs::remove_file(folder.path().join("placet.lock")).unwrap();
        let path = folder.path().join(forbidden);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode & !0o222)).unwrap();
        if rustix::process::geteuid().is_root() {
            // Root may write everything.
            drop(SqliteStore::open(&folder.path().join("placet.db")).unwrap());
        } else {
            let error = refused(folder.path(), &Options::default());
            assert!(matches!(error, OpenError::Unwritable { .. }), "{forbidden}: {error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// What a crash left while a new file was being made is no obstacle.
#[test]
fn a_file_that_was_half_made_is_made_again() {
    let folder = TempDir::new().unwrap();
    for leftover in ["placet.db-new", "placet.db-new-journal", "placet.db-new-wal", "placet.db-new-shm"] {
        fs::write(folder.path().join(leftover), "half a database").unwrap();
    }
    drop(SqliteStore::open(&folder.path().join("placet.db")).unwrap());
    assert_eq!(contents(folder.path()).into_keys().collect::<Vec<_>>(), ["placet.db", "placet.lock"]);
}

/// An operator looks at the file with a tool of his own while the server starts after a crash.
#[test]
fn a_file_that_another_program_reads_is_opened() {
    let folder = killed();
    let operator = Connection::open(folder.path().join("placet.db")).unwrap();
    operator.execute_batch("BEGIN").unwrap();
    let count = |from: &Connection| from.query_row("SELECT count(*) FROM instance", [], |row| row.get::<_, i64>(0));
    assert_eq!(count(&operator).unwrap(), 100);
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    store.commit(&instance(101)).unwrap();
    assert_eq!(count(&operator).unwrap(), 100);
    operator.execute_batch("COMMIT").unwrap();
    assert_eq!(count(&operator).unwrap(), 101);
}

#[test]
fn a_path_may_hold_what_looks_like_a_uri() {
    let folder = TempDir::new().unwrap();
    let odd = folder.path().join("what?mode=memory&x=%20#");
    fs::create_dir(&odd).unwrap();
    // The second time it is inspected first.
    for _ in 0..2 {
        drop(SqliteStore::open(&odd.join("placet.db")).unwrap());
    }
    assert_eq!(contents(&odd).into_keys().collect::<Vec<_>>(), ["placet.db", "placet.lock"]);
    fs::remove_file(odd.join("placet.lock")).unwrap();
    Connection::open(odd.join("placet.db")).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(refused(&odd, &Options::default()), OpenError::Newer { .. }));
    let double = Path::new("/").join(format!("/{}", odd.display()));
    assert!(matches!(refused(&double, &Options::default()), OpenError::Newer { .. }));
}
