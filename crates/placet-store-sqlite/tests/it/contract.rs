//! The contract that every store keeps.

use std::sync::{Arc, Mutex, MutexGuard};

use placet_store::Store;
use placet_store::conformance::{Home, SCRIPTS, exercise, exercise_cases, exercise_scripts};
use placet_store_sqlite::{FileLimits, Options, SqliteStore};
use tempfile::TempDir;

use crate::files::{copy, quick_folder};

/// A folder; after a kill another one.
struct Folder(Mutex<TempDir>, FileLimits);

impl Folder {
    fn home() -> Box<dyn Home> {
        Box::new(Folder(Mutex::new(quick_folder()), FileLimits::default()))
    }

    /// Nearly all payloads are kept apart from their rows, next to nothing of a deleted hub is cleared away at a time, and indexes
    /// are written all the time.
    fn home_of_pieces() -> Box<dyn Home> {
        let limits = FileLimits { payload: 3, sweep: 2, behind: 2, unplaced: 3, ..FileLimits::default() };
        Box::new(Folder(Mutex::new(quick_folder()), limits))
    }

    fn place(&self) -> MutexGuard<'_, TempDir> {
        self.0.lock().unwrap()
    }
}

impl Home for Folder {
    fn open(&self) -> Arc<dyn Store> {
        let options = Options { limits: self.1, ..Options::default() };
        Arc::new(SqliteStore::open_with(&self.place().path().join("placet.db"), &options).unwrap())
    }

    fn kill(&self) {
        let left = quick_folder();
        let mut place = self.place();
        copy(place.path(), left.path());
        *place = left;
    }
}

#[test]
fn the_embedded_store_keeps_the_contract() {
    exercise(&Folder::home);
}

#[test]
fn so_it_does_when_payloads_are_too_long_for_their_rows_and_indexes_are_written_at_once() {
    exercise_cases(&Folder::home_of_pieces);
    exercise_scripts(&Folder::home_of_pieces, 0..scripts(SCRIPTS / 4));
}

/// As many random scripts as the environment says: a hundred thousand before a release.
fn scripts(otherwise: u64) -> u64 {
    std::env::var("PLACET_SCRIPTS").map_or(otherwise, |scripts| scripts.parse().unwrap())
}

#[test]
fn the_embedded_store_keeps_the_contract_in_many_scripts() {
    exercise_scripts(&Folder::home, SCRIPTS..scripts(SCRIPTS).max(SCRIPTS));
}
