//! Files and batches that the tests of this crate work with.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bytes::Bytes;
use placet_core::chain::{EntryRow, Part, Said};
use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey, RecordKey, Seq, Turn};
use placet_core::rows::{
    ActivityRow, Batch, HistoryRow, InboxRow, InstanceRow, PublishedRow, RecordRow, ReplyRow, Term, TimerRow,
};
use placet_core::time::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

/// A folder in memory if the system has one there: for tests that sync often and mean no disk.
pub(crate) fn quick_folder() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Every file of a folder, with its bytes.
pub(crate) fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

/// Copies every file, as a power cut would leave them.
pub(crate) fn copy(from: &Path, to: &Path) {
    for (name, bytes) in contents(from) {
        fs::write(to.join(name), bytes).unwrap();
    }
}

/// Rows that belong to nothing that is there, by table.
pub(crate) fn left_behind(path: &Path) -> BTreeMap<&'static str, i64> {
    let owned = ["piece", "history", "inbox", "activity", "reply", "timer"];
    let owned = owned.map(|table| (table, format!("{table} WHERE iid NOT IN (SELECT iid FROM instance)")));
    let in_hubs = ["instance", "published", "record"];
    let in_hubs = in_hubs.map(|table| (table, format!("{table} WHERE hub NOT IN (SELECT hub FROM hub)")));
    let of_no_row = |table: &str, kind: u8, seq: &str| {
        format!("piece WHERE kind = {kind} AND (iid, seq) NOT IN (SELECT iid, {seq} FROM {table})")
    };
    let pieces = [("history", 0, "turn"), ("inbox", 1, "seq"), ("activity", 2, "seq")];
    let pieces = pieces.map(|(table, kind, seq)| ("piece of no row", of_no_row(table, kind, seq)));
    let terms =
        ["term", "behind"].map(|table| (table, format!("{table} WHERE row NOT IN (SELECT row FROM published)")));
    let placed = [("placed", "placed WHERE row NOT IN (SELECT row FROM entry)".to_owned())];
    let hubs = [("hub", "hub WHERE name <> lower(name)".to_owned())];
    let connection = Connection::open(path).unwrap();
    let count = |rows: String| connection.query_row(&format!("SELECT count(*) FROM {rows}"), [], |row| row.get(0));
    let counted = owned
        .into_iter()
        .chain(in_hubs)
        .chain(pieces)
        .chain(terms)
        .chain(placed)
        .chain(hubs)
        .map(|(table, rows)| (table, count(rows).unwrap()));
    counted.filter(|(_, rows)| *rows > 0).collect()
}

/// A batch that makes an instance, with a row in every table.
pub(crate) fn instance(iid: u64) -> Batch {
    let key = InstanceKey::new(Hub::new("default"), InstanceId::new(format!("instance-{iid}")));
    let row = InstanceRow {
        iid: Iid(iid),
        hub: key.hub.clone(),
        id: key.id.clone(),
        name: "placet.approval".into(),
        status: 0.try_into().unwrap(),
        active: true,
        created_at: Timestamp(1_000_000),
        updated_at: Timestamp(2_000_000),
        completed_at: None,
        body: Bytes::from(format!("body of {iid}")),
    };
    let fire_at = Timestamp(90_000_000_000 + i64::try_from(iid).unwrap());
    Batch {
        newest: row.updated_at,
        timers_put: vec![TimerRow { fire_at, iid: row.iid, seq: Seq(3), partition: key.partition() }],
        history_appended: vec![HistoryRow { iid: row.iid, turn: Turn(0), count: 2, events: "two events".into() }],
        inbox_put: vec![InboxRow { iid: row.iid, seq: Seq(1), data: "a message".into() }],
        activities_put: vec![ActivityRow { iid: row.iid, seq: Seq(2), data: "an activity".into() }],
        replies_put: vec![ReplyRow { iid: row.iid, ask_id: "ask-1".into(), turn: Turn(2), answer: Some("yes".into()) }],
        published: vec![PublishedRow {
            hub: key.hub,
            kind: "request".into(),
            key: key.id.as_str().into(),
            owner: key.id.clone(),
            body: Some("{}".into()),
            terms: vec![Term { text: "s:open".into(), order: row.created_at.0 }],
        }],
        records_put: vec![RecordRow {
            key: RecordKey::new(Hub::new("default"), "link", format!("link-{iid}")),
            version: 3,
            expires_at: Some(fire_at),
            body: "a link".into(),
        }],
        entries: vec![EntryRow {
            hub: Hub::new("default"),
            owner: InstanceId::new(format!("instance-{iid}")),
            said: Said::new(vec![Part::Salted("a salt of 16 b., an entry".into())]).unwrap(),
        }],
        instances_inserted: vec![row],
        ..Batch::default()
    }
}
