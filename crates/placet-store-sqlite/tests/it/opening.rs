//! Files that are not right: each is refused with the reason, and not a byte of anything is changed.

use std::fs;
use std::path::Path;

use placet_store::{OpenError, Store as _};
use placet_store_sqlite::{Options, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

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

/// Why it is not opened. Nothing but the lock file may have changed.
fn refused(folder: &Path, options: &Options) -> OpenError {
    let without_lock = |folder| {
        let mut contents = contents(folder);
        contents.remove("placet.lock");
        contents
    };
    let before = without_lock(folder);
    let error = SqliteStore::open_with(&folder.join("placet.db"), options).unwrap_err();
    let after = without_lock(folder);
    let names = |contents: &std::collections::BTreeMap<String, Vec<u8>>| contents.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&before), names(&after), "{error}");
    assert!(before == after, "a file was changed: {error}");
    error
}

#[test]
fn a_file_that_is_open_elsewhere_is_refused_with_the_holders_id() {
    let folder = closed();
    let _store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    let error = refused(folder.path(), &Options::default());
    let here = std::process::id();
    assert!(matches!(error, OpenError::Locked { holder: Some(holder), .. } if holder == here), "{error}");
}

#[test]
fn a_file_of_a_later_version_is_refused() {
    for folder in [closed(), killed()] {
        let connection = Connection::open(folder.path().join("placet.db")).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let error = refused(folder.path(), &Options::default());
        assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    }
}

#[test]
fn a_file_of_another_program_is_refused() {
    let folder = TempDir::new().unwrap();
    let connection = Connection::open(folder.path().join("placet.db")).unwrap();
    connection.execute_batch("CREATE TABLE recipe(name TEXT)").unwrap();
    drop(connection);
    assert!(matches!(refused(folder.path(), &Options::default()), OpenError::Foreign { .. }));
    fs::write(folder.path().join("placet.db"), "Dear diary, today nothing happened. ".repeat(200)).unwrap();
    assert!(matches!(refused(folder.path(), &Options::default()), OpenError::Damaged { .. }));
}

#[test]
fn a_damaged_file_is_refused() {
    let whole = closed();
    let bytes = fs::read(whole.path().join("placet.db")).unwrap();
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
    let error = refused(folder.path(), &Options { integrity_check: true });
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
fn a_folder_that_is_not_there_is_said_to_be_unwritable() {
    let folder = TempDir::new().unwrap();
    let error = SqliteStore::open(&folder.path().join("nowhere").join("placet.db")).unwrap_err();
    assert!(matches!(error, OpenError::Unwritable { .. }), "{error}");
}

#[test]
fn a_path_may_hold_what_looks_like_a_uri() {
    let folder = TempDir::new().unwrap();
    let odd = folder.path().join("what?mode=memory&x=%20#");
    fs::create_dir(&odd).unwrap();
    drop(SqliteStore::open(&odd.join("placet.db")).unwrap());
    assert!(odd.join("placet.db").exists());
}
