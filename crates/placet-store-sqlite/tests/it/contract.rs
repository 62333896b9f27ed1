//! The contract that every store keeps.

use std::sync::{Arc, Mutex, MutexGuard};

use placet_store::Store;
use placet_store::conformance::{Home, SCRIPTS, exercise, exercise_scripts};
use placet_store_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::files::{copy, quick_folder};

/// A folder; after a kill another one.
struct Folder(Mutex<TempDir>);

impl Folder {
    fn home() -> Box<dyn Home> {
        Box::new(Folder(Mutex::new(quick_folder())))
    }

    fn place(&self) -> MutexGuard<'_, TempDir> {
        self.0.lock().unwrap()
    }
}

impl Home for Folder {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.place().path().join("placet.db")).unwrap())
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

/// More random scripts, as many as the environment says: a hundred thousand before a release.
#[test]
fn the_embedded_store_keeps_the_contract_in_many_scripts() {
    let scripts = std::env::var("PLACET_SCRIPTS").map_or(SCRIPTS, |scripts| scripts.parse().unwrap());
    exercise_scripts(&Folder::home, SCRIPTS..scripts.max(SCRIPTS));
}
