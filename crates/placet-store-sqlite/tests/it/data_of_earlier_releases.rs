//! Data folders that earlier versions made (`examples/keep_data.rs`), kept in `tests/data/` of the workspace:
//! today's store opens each, brings it up to date, and finds all that is in it.

use std::fs;
use std::path::{Path, PathBuf};

use placet_core::ids::{Hub, InstanceId};
use placet_core::rows::PublishedRow;
use placet_store::Store as _;
use placet_store::dump::{Dump, Extent};
use placet_store_sqlite::{Options, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::files::{copy, instance};

/// What the rows of these are found by.
const TERMS: [&str; 2] = ["s:open", "w:expense"];

fn kept() -> Vec<PathBuf> {
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data");
    fs::read_dir(all).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()).collect()
}

#[test]
fn the_data_of_every_version_is_opened_and_all_of_it_is_there() {
    for issue in [
        "issue-3",
        "issue-4",
        "issue-4-schema-3",
        "issue-5-schema-4",
        "issue-5-schema-5",
        "issue-5-schema-7",
        "issue-6-schema-9",
        "issue-6-schema-10",
    ] {
        assert!(kept().iter().any(|folder| folder.ends_with(issue)), "{issue}");
    }
    for kept in kept() {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("placet.db");
        copy(&kept, folder.path());
        let published = published(&path);
        let store = SqliteStore::open_with(&path, &Options { integrity_check: true, ..Options::default() }).unwrap();
        let claim = store.claim().unwrap();
        let dump =
            Dump::read(&store, &Extent { iid_max: claim.iid_max, published: &published, terms: &TERMS }).unwrap();
        let name = kept.file_name().unwrap().to_str().unwrap();
        insta::assert_snapshot!(name, format!("{claim:?}\n{dump}"));
        // And it is a store like any other.
        store.commit(&instance(claim.iid_max.0 + 1)).unwrap();
    }
}

/// The names of what was published, which a store does not list.
fn published(path: &Path) -> Vec<PublishedRow> {
    let connection = Connection::open(path).unwrap();
    let names = "SELECT name, kind, key FROM published JOIN hub USING(hub)";
    let mut names = connection.prepare(names).unwrap();
    let rows = names.query_map([], |row| {
        let (hub, kind, key): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let owner = InstanceId::new(key.as_str());
        Ok(PublishedRow {
            hub: Hub::new(&hub),
            kind: kind.into(),
            key: key.into(),
            owner,
            body: None,
            terms: Vec::new(),
        })
    });
    rows.unwrap().map(Result::unwrap).collect()
}
