//! Data folders of earlier versions, kept in `tests/data/`: today's store opens each and finds all that is in it.

use std::fs;
use std::path::{Path, PathBuf};

use placet_store::Store as _;
use placet_store::dump::Dump;
use placet_store_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::files::{copy, instance};

fn kept() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data")
}

#[test]
fn the_data_of_every_version_is_opened_and_all_of_it_is_there() {
    let mut seen = 0;
    for entry in fs::read_dir(kept()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let folder = TempDir::new().unwrap();
        copy(&kept().join(&name), folder.path());
        let store = SqliteStore::open_with(
            &folder.path().join("placet.db"),
            &placet_store_sqlite::Options { integrity_check: true },
        );
        let dump = Dump::read(
            &store.unwrap(),
            &placet_store::dump::Extent { iid_max: placet_core::ids::Iid(9), published: &[] },
        )
        .unwrap();
        insta::assert_snapshot!(name, dump.to_string());
        seen += 1;
    }
    assert!(seen > 0, "{} is empty", kept().display());
}

/// Makes the folder of this version: `PLACET_KEEP_DATA=issue-3 cargo test -p placet-store-sqlite --test it keep`.
#[test]
fn data_is_kept_when_it_is_asked_for() {
    let Some(name) = std::env::var_os("PLACET_KEEP_DATA") else { return };
    let folder = kept().join(name);
    fs::create_dir_all(&folder).unwrap();
    let store = SqliteStore::open(&folder.join("placet.db")).unwrap();
    store.claim().unwrap();
    for iid in 1..=3 {
        store.commit(&instance(iid)).unwrap();
    }
}
