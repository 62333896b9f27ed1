//! The contract that every store keeps.

use std::sync::Arc;

use placet_store::Store;
use placet_store::conformance::{Home, exercise};
use placet_store_sqlite::SqliteStore;
use tempfile::TempDir;

struct Folder(TempDir);

impl Home for Folder {
    fn open(&self) -> Arc<dyn Store> {
        Arc::new(SqliteStore::open(&self.0.path().join("placet.db")).unwrap())
    }
}

#[test]
fn the_embedded_store_keeps_the_contract() {
    exercise(&|| Box::new(Folder(TempDir::new().unwrap())));
}
