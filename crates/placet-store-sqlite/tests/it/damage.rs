//! What is damaged is not believed: a read that succeeds gives what was written.

use std::fs;
use std::path::{Path, PathBuf};

use placet_core::ids::Iid;
use placet_core::rows::{Batch, Lookup, PublishedRow, TimerRow};
use placet_core::time::Timestamp;
use placet_store::dump::{Dump, Extent};
use placet_store::rows::{Column, Kind, TABLES, Table};
use placet_store::{ReadError, Store as _};
use placet_store_sqlite::SqliteStore;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::files::instance;

/// A closed store with some instances.
fn closed(instances: u64) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("placet.db");
    let store = SqliteStore::open(&path).unwrap();
    for iid in 1..=instances {
        store.commit(&instance(iid)).unwrap();
    }
    (folder, path)
}

fn names() -> Vec<PublishedRow> {
    (1..=30).flat_map(|iid| instance(iid).published).collect()
}

/// All that can be read, or the first error.
fn read(path: &Path) -> Result<Dump, Unread> {
    let store = SqliteStore::open(path).map_err(|_| Unread::NotOpened)?;
    Dump::read(&store, &Extent { iid_max: Iid(60), published: &names(), terms: &["s:open"] }).map_err(Unread::NotRead)
}

#[derive(Debug)]
enum Unread {
    NotOpened,
    NotRead(ReadError),
}

/// Another value of the same kind.
fn other_value(table: &Table, column: &Column) -> String {
    let name = column.name;
    match (name, column.kind) {
        ("iid", _) if table.name == "instance" => "iid + 10".to_owned(),
        ("active", _) => "1 - active".to_owned(),
        (_, Kind::Integer) => format!("ifnull({name}, 0) + 1"),
        (_, Kind::Text) => format!("ifnull({name}, '') || 'x'"),
        (_, Kind::Bytes) => format!("CAST({name} || x'00' AS BLOB)"),
    }
}

#[test]
fn a_column_with_another_value_is_found_out() {
    let (_folder, pristine) = closed(1);
    // Where a row goes whose key is that of another instance.
    let bare = Batch { instances_inserted: instance(2).instances_inserted, ..Batch::default() };
    SqliteStore::open(&pristine).unwrap().commit(&bare).unwrap();
    let bytes = fs::read(&pristine).unwrap();
    for table in TABLES.iter().filter(|table| !["meta", "tally", "term", "behind", "placed"].contains(&table.name)) {
        for column in table.columns {
            let folder = TempDir::new().unwrap();
            let path = folder.path().join("placet.db");
            fs::write(&path, &bytes).unwrap();
            let damage = format!("UPDATE {} SET {} = {}", table.name, column.name, other_value(table, column));
            Connection::open(&path).unwrap().execute(&damage, []).unwrap();
            let found = read(&path);
            // A published row is found by these only: with others it is not there.
            let sought_by = table.name == "published" && ["row", "hub", "kind", "key"].contains(&column.name);
            match found {
                Ok(dump) if table.name == "timer" => assert_eq!(dump.timers, [], "{damage}"),
                Ok(dump) if table.name == "record" => assert_eq!(dump.records, [], "{damage}"),
                // Left out, as everybody sees who goes along the chain; where a row stands in the file says nothing of it.
                Ok(dump) if table.name == "entry" => {
                    assert_eq!(dump.entries.len(), usize::from(column.name == "row"), "{damage}: {dump}");
                }
                Ok(dump) if column.name == "row" => assert_eq!(dump.listed, [], "{damage}"),
                Ok(dump) => assert!(sought_by && dump.published.is_empty(), "{damage}: {dump}"),
                Err(Unread::NotRead(ReadError::Damaged { table: told, .. })) => {
                    // A hub's name is part of its instances.
                    let expected = if table.name == "hub" { "instance" } else { table.name };
                    assert_eq!(told, expected, "{damage}");
                }
                Err(error) => panic!("{damage}: {error:?}"),
            }
        }
    }
}

#[test]
fn an_index_that_leads_to_a_row_by_what_it_does_not_say_is_not_believed() {
    for change in ["text = 's:done'", "place = place + 1", "row = row + 1", "kind = 'x'"] {
        let (_folder, path) = indexed(1);
        let store = damaged(&path, &format!("UPDATE term SET {change}"));
        let extent = Extent { iid_max: Iid(1), published: &names(), terms: &["s:open", "s:done"] };
        assert_eq!(Dump::read(&store, &extent).unwrap().listed, [], "{change}");
    }
    let (_folder, path) = indexed(2);
    let all = read(&path).unwrap().entries;
    assert_eq!(all.len(), 2);
    for change in ["part = part + 1", "number = number + 1", "row = row + 1"] {
        let (_folder, path) = indexed(2);
        drop(damaged(&path, &format!("UPDATE placed SET {change}")));
        let found = read(&path).unwrap().entries;
        assert!(found.iter().all(|entry| all.contains(entry)), "{change}: {found:?}");
    }
}

/// A closed store whose indexes are written.
fn indexed(instances: u64) -> (TempDir, PathBuf) {
    let (folder, path) = closed(instances);
    SqliteStore::open(&path).unwrap().claim().unwrap();
    (folder, path)
}

/// A store in which these statements were run behind its back.
fn damaged(path: &Path, statements: &str) -> SqliteStore {
    Connection::open(path).unwrap().execute_batch(statements).unwrap();
    SqliteStore::open(path).unwrap()
}

#[test]
fn a_damaged_instance_keeps_no_other_from_being_found() {
    let (_folder, path) = closed(9);
    let store = damaged(
        &path,
        "UPDATE instance SET body = x'00' WHERE iid = 2;
        UPDATE instance SET hub = 99 WHERE iid = 3;
        UPDATE inbox SET data = x'00' WHERE iid = 5;
        UPDATE activity SET seq = 77 WHERE iid = 6;
        UPDATE reply SET answer = NULL WHERE iid = 9;",
    );
    for limit in [1, 2, 3, 100] {
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = store.recover(&|_| true, after, limit, usize::MAX).unwrap();
            found.extend(page.instances.iter().map(|found| found.row.iid.0));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, [1, 4, 7, 8], "in pages of {limit}");
    }
    let asked_for = store.load(&[Lookup::Iid(Iid(5))]);
    assert!(matches!(asked_for, Err(ReadError::Damaged { table: "inbox", .. })), "who asks is told: {asked_for:?}");
}

#[test]
fn a_page_of_instances_that_cannot_be_read_takes_no_others() {
    let (_folder, path) = closed(90);
    let connection = Connection::open(&path).unwrap();
    // Not the first one, which every opening looks at. No page of zeros is a page.
    let leaf = "SELECT pageno FROM dbstat WHERE name = 'instance' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 1";
    let page: i64 = connection.query_row(leaf, [], |row| row.get(0)).unwrap();
    drop(connection);
    let mut bytes = fs::read(&path).unwrap();
    let at = usize::try_from((page - 1) * 4_096).unwrap();
    bytes[at..at + 4_096].fill(0);
    fs::write(&path, bytes).unwrap();
    let found = SqliteStore::open(&path).unwrap().recover(&|_| true, None, 100, usize::MAX).unwrap().instances.len();
    assert!((30..90).contains(&found), "{found} are found");
}

#[test]
fn a_damaged_timer_keeps_no_other_from_firing() {
    let (_folder, path) = closed(9);
    let whole = SqliteStore::open(&path).unwrap().due(&|_| true, None, Timestamp::MAX, 100).unwrap();
    let store = damaged(
        &path,
        "UPDATE timer SET part = part + 1 WHERE iid = 1;
        UPDATE timer SET part = 1000 WHERE iid = 2;
        UPDATE timer SET iid = -5 WHERE iid = 4;
        UPDATE timer SET crc = crc + 1 WHERE iid = 9;",
    );
    let expected: Vec<TimerRow> = whole.into_iter().filter(|row| ![1, 2, 4, 9].contains(&row.iid.0)).collect();
    assert_eq!(store.due(&|_| true, None, Timestamp::MAX, 100).unwrap(), expected);
    let first = store.due(&|_| true, None, Timestamp::MAX, 2).unwrap();
    assert_eq!(first, expected[..2], "the limit is on those that are well");
    assert_eq!(store.due(&|_| true, Some(first[1]), Timestamp::MAX, 100).unwrap(), expected[2..]);
}

/// Single bits turned over in many places, as a bad disk or memory does.
#[test]
fn no_row_is_read_that_was_never_written() {
    const PLACES: usize = 150;
    let (_folder, pristine) = closed(30);
    let bytes = fs::read(&pristine).unwrap();
    let whole = read(&pristine).unwrap();
    let (mut not_opened, mut not_read) = (0, 0);
    for place in 0..PLACES {
        // Spread evenly over the file, and over the bits of a byte.
        let at = (2 * place + 1) * bytes.len() / (2 * PLACES) + place * 37 % 64;
        let mut damaged = bytes.clone();
        damaged[at % bytes.len()] ^= 1 << (place % 8);
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("placet.db");
        fs::write(&path, damaged).unwrap();
        match read(&path) {
            Ok(dump) => assert!(is_part(&dump, &whole), "byte {at}:\n{dump}"),
            Err(Unread::NotOpened) => not_opened += 1,
            Err(Unread::NotRead(ReadError::Damaged { .. })) => not_read += 1,
            Err(error) => panic!("byte {at}: {error:?}"),
        }
    }
    assert!(not_read > 0 && not_opened + not_read < PLACES, "{not_opened} not opened, {not_read} not read");
}

/// Whether every row is one of those that were written. (Hubs have no checksum of their own.)
fn is_part(dump: &Dump, whole: &Dump) -> bool {
    dump.history.iter().all(|row| whole.history.contains(row))
        && dump.timers.iter().all(|row| whole.timers.contains(row))
        && dump.published.iter().all(|row| whole.published.contains(row))
        && dump.records.iter().all(|row| whole.records.contains(row))
        && dump.instances.iter().all(|found| {
            whole.instances.iter().any(|written| {
                found.row == written.row
                    && found.inbox.iter().all(|row| written.inbox.contains(row))
                    && found.activities.iter().all(|row| written.activities.contains(row))
                    && found.replies.iter().all(|row| written.replies.contains(row))
            })
        })
}
