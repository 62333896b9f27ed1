//! What goes on between the store and SQLite, which its users never see.

use placet_core::ids::{Hub, InstanceId, Seq};
use placet_core::rows::{HistoryRow, InboxRow, InstanceRow};
use placet_store::{Column, Filter, Remedy, Search, Sort};
use rusqlite::{StatementStatus, params};
use tempfile::TempDir;

use super::*;
use crate::connection;
use crate::statements as sql;

fn opened() -> (TempDir, SqliteStore) {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    (folder, store)
}

/// An instance with a turn of this many bytes.
fn batch(iid: u64, bytes: usize) -> Batch {
    let row = InstanceRow {
        iid: Iid(iid),
        hub: Hub::new("h"),
        id: InstanceId::new(iid.to_string()),
        name: "name".into(),
        status: 0.try_into().unwrap(),
        active: true,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        completed_at: None,
        body: "body".into(),
    };
    Batch {
        instances_inserted: vec![row],
        history_appended: vec![HistoryRow { iid: Iid(iid), turn: Turn(0), count: 1, events: vec![7; bytes].into() }],
        inbox_put: vec![InboxRow { iid: Iid(iid), seq: Seq(1), data: "message".into() }],
        ..Batch::default()
    }
}

fn update(iid: u64, indexed: bool) -> Batch {
    let mut batch = batch(iid, 0);
    Batch { instances_updated: vec![(batch.instances_inserted.remove(0), indexed)], ..Batch::default() }
}

/// SQLite says the same of a file that may not grow as of a disk that is full.
#[test]
fn a_full_disk_writes_nothing_and_the_store_goes_on_when_there_is_room() {
    let (_folder, store) = opened();
    store.commit(&batch(1, 10)).unwrap();
    {
        let engine = store.engine().unwrap();
        let session = engine.session.lock().unwrap();
        let connection = session.as_ref().unwrap().connection();
        // Not less than there are.
        connection.query_row("PRAGMA max_page_count = 1", [], |_| Ok(())).unwrap();
    }
    let error = store.commit(&batch(2, 100_000)).unwrap_err();
    assert!(matches!(&error, CommitError::DiskFull { path } if path.ends_with("placet.db")), "{error}");
    assert_eq!(error.remedy(), Remedy::RefuseNewWork);
    assert_eq!(store.load(&[Lookup::Iid(Iid(2))]).unwrap(), [None]);
    assert!(store.load(&[Lookup::Iid(Iid(1))]).unwrap()[0].is_some());
    store.commit(&batch(2, 100_000)).unwrap();
    assert_eq!(store.history(Iid(2), Turn(0), 0).unwrap().len(), 1);
}

#[test]
fn a_checkpoint_that_was_called_copies_the_log_into_the_file() {
    let (_folder, store) = opened();
    store.commit(&batch(1, 1_000_000)).unwrap();
    assert_eq!(copied_of_log(&store.engine().unwrap().session).0, 0);
    store.engine().unwrap().checkpointer.call();
    let mut engine = store.engine.write().unwrap();
    let engine = engine.as_mut().unwrap();
    // The end of the first one is waited for.
    engine.checkpointer = Checkpointer::start(&store.path).unwrap();
    let (copied, frames) = copied_of_log(&engine.session);
    assert!(frames > 100 && copied == frames, "{copied} of {frames}");
}

fn copied_of_log(session: &Mutex<Option<Session>>) -> (i64, i64) {
    let place = session.lock().unwrap();
    let count = |row: &rusqlite::Row<'_>| Ok((row.get(2)?, row.get(1)?));
    place.as_ref().unwrap().connection().query_row(sql::LOG, [], count).unwrap()
}

/// A reader of an old snapshot keeps the log from beginning anew. The commit goes on, and tries again later.
#[test]
fn a_reader_of_an_old_snapshot_holds_up_the_log_and_no_commit() {
    let (_folder, store) = opened();
    store.commit(&batch(1, 100_000)).unwrap();
    let reader = connection::reader(&store.path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM instance;").unwrap();
    store.commit(&batch(2, 100_000)).unwrap();
    let engine = store.engine().unwrap();
    let mut place = engine.session.lock().unwrap();
    let session = place.as_mut().unwrap();
    session.restart_log().unwrap();
    assert!(!session.wants_restart());
    session.commit(&batch(3, 100_000)).unwrap();
    let held_up = session.frames();
    reader.execute_batch("COMMIT").unwrap();
    session.restart_log().unwrap();
    session.commit(&batch(4, 10)).unwrap();
    assert!(session.frames() < held_up, "the log began anew");
}

fn hub_of(instances: u64) -> Batch {
    let mut whole = Batch::default();
    for mut one in (1..=instances).map(|iid| batch(iid, 700)) {
        whole.instances_inserted.append(&mut one.instances_inserted);
        whole.history_appended.append(&mut one.history_appended);
        whole.inbox_put.append(&mut one.inbox_put);
    }
    whole
}

fn deletion() -> Batch {
    Batch { hubs_deleted: vec![Hub::new("h")], ..Batch::default() }
}

fn frames(store: &SqliteStore) -> i64 {
    store.engine().unwrap().session.lock().unwrap().as_ref().unwrap().frames()
}

/// However much is in it: a commit of a hub's size would hold up those of all others.
#[test]
fn a_hub_is_deleted_with_a_page_or_two_and_cleared_away_a_piece_at_a_time() {
    let (_folder, store) = opened();
    store.commit(&hub_of(2_000)).unwrap();
    let mut before = frames(&store);
    store.commit(&deletion()).unwrap();
    assert!(frames(&store) - before <= 4, "{} pages", frames(&store) - before);
    let (mut pieces, mut longest) = (0, 0);
    loop {
        before = frames(&store);
        if !store.sweep().unwrap() {
            break;
        }
        (pieces, longest) = (pieces + 1, longest.max(frames(&store) - before));
    }
    assert!(pieces > 2_000 * 3 / 250 && longest < 250, "{pieces} pieces of up to {longest} pages");
    let pages: i64 = store
        .read(|connection| {
            let pages = connection.query_row("PRAGMA page_count", [], |row| row.get(0));
            pages.map_err(|error| ReadError::Unavailable(error.into()))
        })
        .unwrap();
    assert!(pages < 2_000 * 700 / 4_096, "{pages} pages are left");
}

/// Nobody waits for it, and what it leaves in the log a commit may have to wait for.
#[test]
fn a_sweep_waits_until_the_log_is_copied() {
    let folder = TempDir::new().unwrap();
    let limits = FileLimits { checkpoint: 100, ..FileLimits::default() };
    let options = Options { limits, ..Options::default() };
    let store = SqliteStore::open_with(&folder.path().join("placet.db"), &options).unwrap();
    let reader = connection::reader(&store.path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM instance;").unwrap();
    store.commit(&hub_of(1_000)).unwrap();
    store.commit(&deletion()).unwrap();
    let before = frames(&store);
    for _ in 0..100 {
        assert!(store.sweep().unwrap());
    }
    assert_eq!(frames(&store), before, "a reader of an old snapshot keeps the log from being copied");
    reader.execute_batch("COMMIT").unwrap();
    let begun = std::time::Instant::now();
    while store.sweep().unwrap() {
        assert!(begun.elapsed().as_secs() < 60, "it goes on when the reader has ended");
        std::thread::yield_now();
    }
    assert_eq!(store.load(&[Lookup::Iid(Iid(1))]).unwrap(), [None]);
}

/// A statement that SQLite prepares again at every use costs more than it does.
#[test]
fn every_statement_is_prepared_once() {
    let (_folder, store) = opened();
    for iid in 1..=4 {
        store.commit(&batch(iid, 10)).unwrap();
        store.commit(&update(iid, false)).unwrap();
        store.commit(&update(iid, true)).unwrap();
        let row = update(iid, true).instances_updated.remove(0).0;
        store.load(&[Lookup::Iid(Iid(iid)), Lookup::Key(row.key())]).unwrap();
        store.recover(&|_| true, Some(Iid(iid - 1)), 5, usize::MAX).unwrap();
        store.history(Iid(iid), Turn(0), 10).unwrap();
        store.due(&|_| true, None, Timestamp(iid.cast_signed()), 10).unwrap();
    }
    let prepared_again = |connection: &Connection, statement: &str| {
        connection.prepare_cached(statement).unwrap().get_status(StatementStatus::RePrepare)
    };
    for statement in reads::ALL {
        let again = store.read(|connection| Ok(prepared_again(connection, statement))).unwrap();
        assert_eq!(again, 0, "{statement}");
    }
    let engine = store.engine().unwrap();
    let place = engine.session.lock().unwrap();
    for statement in [sql::UPDATE_INSTANCE, sql::UPDATE_INSTANCE_PLAINLY, sql::APPEND_HISTORY, sql::PUT_INBOX] {
        assert_eq!(prepared_again(place.as_ref().unwrap().connection(), statement), 0, "{statement}");
    }
}

#[test]
fn a_count_of_openings_that_cannot_be_is_refused_and_left_as_it_is() {
    let (folder, store) = opened();
    let file = Connection::open(folder.path().join("placet.db")).unwrap();
    for count in [i64::MAX, u32::MAX.into(), -2] {
        file.execute(sql::PUT_META, params!["incarnation", count]).unwrap();
        assert!(store.claim().is_err(), "{count}");
        let left: i64 = file.query_row(sql::META, ["incarnation"], |row| row.get(0)).unwrap();
        assert_eq!(left, count);
    }
    file.execute(sql::PUT_META, params!["incarnation", 7]).unwrap();
    assert_eq!(store.claim().unwrap().incarnation, 8);
}

/// Some that take longer to look at than a search has patience: none at all.
#[test]
fn a_search_without_patience_answers_with_what_it_has_found_and_says_so() {
    let (_folder, store) = opened();
    let mut rows = hub_of(2_000);
    for (row, at) in rows.instances_inserted.iter_mut().zip(0..) {
        (row.created_at, row.updated_at) = (Timestamp(at), Timestamp(-at));
    }
    store.commit(&rows).unwrap();
    let hub = rows.instances_inserted[0].hub.clone();
    let search = |sort: &[Sort], patience: u64| {
        let (sort, patience) = (sort.to_vec(), Duration::from_secs(patience));
        let search = Search { hub: hub.clone(), filter: Filter::default(), sort, skip: 0, take: 10, patience };
        match store.query(&Query::Search(Box::new(search))).unwrap() {
            Answer::Found(found) => found,
            answer => panic!("{answer:?}"),
        }
    };
    let updated = Sort { column: Column::Updated, descending: true };
    let found = search(&[updated], 0);
    assert!(!found.is_all && !found.is_exact && found.matched < 2_000, "{}", found.matched);
    assert_eq!(found.overview.total(), 2_000, "what is counted is counted all the same");
    let found = search(&[updated], 60);
    assert_eq!((found.is_all, found.is_exact, found.matched), (true, true, 2_000));
    assert_eq!(found.rows[0].updated_at, Timestamp(0));
    let found = search(&[], 0);
    assert_eq!((found.is_exact, found.matched, found.rows.len()), (true, 2_000, 10), "no patience is wanted for that");
}

/// The lengths of the file and of its log.
fn lengths(folder: &TempDir) -> (u64, u64) {
    let length = |name| std::fs::metadata(folder.path().join(name)).unwrap().len();
    (length("placet.db"), length("placet.db-wal"))
}

fn sweep_to_the_end(store: &SqliteStore) -> usize {
    (0..100_000).find(|_| !store.sweep().unwrap()).expect("it comes to an end")
}

fn deletion_of(iids: impl Iterator<Item = u64>) -> Batch {
    Batch { instances_deleted: iids.map(Iid).collect(), ..Batch::default() }
}

#[test]
fn space_is_given_back_once_there_is_much_of_it_and_what_is_kept_stays() {
    let (folder, store) = opened();
    for iid in 0..1_000 {
        store.commit(&batch(iid, 20_000)).unwrap();
    }
    sweep_to_the_end(&store);
    store.commit(&deletion_of(0..100)).unwrap();
    // A tenth is what the next ones take.
    assert_eq!(sweep_to_the_end(&store), 0);
    store.commit(&deletion_of((100..1_000).filter(|iid| iid % 100 > 0))).unwrap();
    assert!(sweep_to_the_end(&store) > 10, "in pieces");
    let (file, log) = lengths(&folder);
    assert!(file < 2_000_000, "{file} bytes");
    assert_eq!(log, 0);
    for iid in (100..1_000).step_by(100) {
        assert_eq!(store.history(Iid(iid), Turn(0), 0).unwrap()[0].events.len(), 20_000);
    }
    store.commit(&batch(2_000, 20_000)).unwrap();
    drop(store);
    SqliteStore::open_with(&folder.path().join("placet.db"), &Options { integrity_check: true, ..Options::default() })
        .unwrap();
}

#[test]
fn a_reader_of_an_old_snapshot_keeps_the_log_and_holds_up_nobody_for_long() {
    let (folder, store) = opened();
    for iid in 0..200 {
        store.commit(&batch(iid, 20_000)).unwrap();
    }
    let reader = connection::reader(&store.path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM instance;").unwrap();
    store.commit(&deletion_of(0..200)).unwrap();
    sweep_to_the_end(&store);
    assert!(lengths(&folder).1 > 0);
    store.commit(&batch(300, 10)).unwrap();
    assert_eq!(reader.query_row("SELECT count(*) FROM history", [], |row| row.get(0)), Ok(200));
}

/// A file as earlier versions made it: what is deleted leaves room in it for ever.
fn earlier_file(instances: u64) -> TempDir {
    let (folder, store) = opened();
    for iid in 0..instances {
        store.commit(&batch(iid, 20_000)).unwrap();
    }
    drop(store);
    let earlier = connection::creator(&folder.path().join("placet.db")).unwrap();
    earlier.execute_batch("PRAGMA journal_mode = DELETE; PRAGMA auto_vacuum = NONE; VACUUM;").unwrap();
    assert_eq!(earlier.query_row("PRAGMA auto_vacuum", [], |row| row.get(0)), Ok(0));
    folder
}

#[test]
fn a_short_file_of_an_earlier_version_gives_space_back_once_it_is_opened() {
    let folder = earlier_file(300);
    let store = SqliteStore::open(&folder.path().join("placet.db")).unwrap();
    assert_eq!(store.history(Iid(7), Turn(0), 0).unwrap()[0].events.len(), 20_000);
    store.commit(&deletion_of(0..300)).unwrap();
    sweep_to_the_end(&store);
    assert!(lengths(&folder).0 < 2_000_000);
}

#[test]
fn a_file_is_compacted_in_its_place_and_not_while_a_server_has_it() {
    let folder = earlier_file(300);
    let path = folder.path().join("placet.db");
    let store = SqliteStore::open(&path).unwrap();
    store.commit(&deletion_of(1..300)).unwrap();
    assert!(matches!(SqliteStore::compact(&path), Err(OpenError::Locked { .. })));
    drop(store);
    let Compacted { before, after } = SqliteStore::compact(&path).unwrap();
    assert!(before > 5_000_000 && after < 500_000, "{before} to {after}");
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["placet.db", "placet.lock"]);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.history(Iid(0), Turn(0), 0).unwrap()[0].events.len(), 20_000);
    store.commit(&batch(400, 10)).unwrap();
}

#[test]
fn a_file_that_is_not_there_or_is_open_elsewhere_is_not_compacted() {
    let folder = earlier_file(3);
    let path = folder.path().join("placet.db");
    let absent = SqliteStore::compact(&folder.path().join("absent.db"));
    assert!(matches!(absent, Err(OpenError::Unwritable { .. })), "{absent:?}");
    drop(SqliteStore::open(&path).unwrap());
    let elsewhere = connection::reader(&path).unwrap();
    elsewhere.execute_batch("BEGIN; SELECT count(*) FROM instance;").unwrap();
    let error = SqliteStore::compact(&path).unwrap_err();
    assert!(std::error::Error::source(&error).unwrap().to_string().contains("another program"), "{error:?}");
    drop(elsewhere);
    SqliteStore::compact(&path).unwrap();
}
