//! What a fuzzer feeds: rows of any content in every table, with the checksum that is theirs or another, and heads of
//! files. What is read is damaged or taken for what it is; nothing panics, and nothing is read whose checksum is another's.
//! The property tests below feed the same functions; `fuzz/` at the root has them as targets of cargo-fuzz.

use std::collections::HashSet;

use bytes::Bytes;
use placet_core::fuzzing::Source;
use placet_core::ids::{Hub, Iid, InstanceId, InstanceKey, RecordKey, Turn};
use placet_core::rows::{InstanceRow, LoadedInstance, Lookup, RecordRow, TimerRow};
use placet_core::time::Timestamp;
use placet_store::{List, Order, ReadError, RecordList};
use rusqlite::{Connection, params};

use crate::damage::Damage;
use crate::pieces::Kind;
use crate::{checksum, header, lists, reads, records, schema, session};

/// Rows of one run.
const ROWS_MAX: usize = 40;

/// Instances that the rows belong to: most of them to the first few.
const INSTANCES: [i64; 6] = [1, 1, 2, 0, -1, i64::MAX];

const TURN: &str = "INSERT OR REPLACE INTO history(iid, turn, count, crc, events) VALUES(?1, ?2, ?3, ?4, ?5)";
const MESSAGE: &str = "INSERT OR REPLACE INTO inbox(iid, seq, crc, data) VALUES(?1, ?2, ?3, ?4)";
const ACTIVITY: &str = "INSERT OR REPLACE INTO activity(iid, seq, crc, data) VALUES(?1, ?2, ?3, ?4)";
const PIECE: &str = "INSERT OR REPLACE INTO piece(iid, kind, seq, part, data) VALUES(?1, ?2, ?3, ?4, ?5)";
const TIMER: &str = "INSERT OR REPLACE INTO timer(fire_at, iid, seq, part, crc) VALUES(?1, ?2, ?3, ?4, ?5)";
const META: &str = "INSERT OR REPLACE INTO meta(key, value) VALUES(?1, ?2)";
/// Texts are given as bytes, which need not be one.
const HUB: &str = "INSERT OR REPLACE INTO hub(hub, name) VALUES(?1, CAST(?2 AS TEXT))";
const REPLY: &str = "INSERT OR REPLACE INTO reply(iid, ask_id, crc, answer, turn) VALUES(?1, CAST(?2 AS TEXT), ?3, CAST(?4 AS TEXT), ?5)";
const PUBLISHED: &str = "INSERT OR REPLACE INTO published(hub, kind, key, crc, body)
    VALUES(?1, CAST(?2 AS TEXT), CAST(?3 AS TEXT), ?4, ?5)";
const RECORD: &str = "INSERT OR REPLACE INTO record(hub, kind, key, version, expires_at, crc, body)
    VALUES(?1, CAST(?2 AS TEXT), CAST(?3 AS TEXT), ?4, ?5, ?6, ?7)";
const INSTANCE: &str = "INSERT OR REPLACE INTO
    instance(iid, hub, id, name, status, active, created_at, updated_at, completed_at, crc, body)
    VALUES(?1, ?2, CAST(?3 AS TEXT), CAST(?4 AS TEXT), ?5, ?6, ?7, ?8, ?9, ?10, ?11)";

/// Reads rows of any content from a file that SQLite finds sound.
pub fn rows(data: &[u8]) {
    thread_local! {
        static FILE: Connection = {
            let mut connection = Connection::open_in_memory().expect("memory");
            schema::migrate(&mut connection).expect("the schema is sound");
            connection
        };
    }
    FILE.with(|connection| {
        // Rolled back when it is dropped.
        let _transaction = connection.unchecked_transaction().expect("nothing is open");
        let mut source = Source(data);
        let mut rows = Rows { connection, source: &mut source, wrong: HashSet::new() };
        rows.put(HUB, params![1, b"hub"]);
        [1, 2].into_iter().for_each(|iid| rows.sound_instance(iid));
        for _ in 0..ROWS_MAX {
            if rows.source.0.is_empty() {
                break;
            }
            rows.write();
        }
        let wrong = rows.wrong;
        read_all(connection, &wrong);
    });
}

/// Looks at a file that begins so, and is so long.
pub fn file_header(data: &[u8]) {
    let mut source = Source(data);
    let (length, log) = (source.number().cast_unsigned(), source.number().cast_unsigned());
    let mut sound = vec![0; header::LENGTH];
    sound[..16].copy_from_slice(header::MAGIC);
    sound[16] = 0x10;
    let changed = source.changed(sound);
    let found = changed.first_chunk().or_else(|| source.0.first_chunk());
    if let Some(found) = found {
        drop(header::wrong(found, length, log));
    }
}

/// A row by its table and key, if that is numbers.
type Key = (&'static str, i64, i64);

struct Rows<'c, 's, 'd> {
    connection: &'c Connection,
    source: &'s mut Source<'d>,
    /// Rows whose checksum is not theirs.
    wrong: HashSet<Key>,
}

impl Rows<'_, '_, '_> {
    fn put(&self, statement: &str, values: impl rusqlite::Params) {
        let done = self.connection.prepare_cached(statement).and_then(|mut statement| statement.execute(values));
        done.expect("every row has a place");
    }

    fn iid(&mut self) -> i64 {
        INSTANCES[usize::from(self.source.byte()) % INSTANCES.len()]
    }

    fn number(&mut self) -> i64 {
        if self.source.flag() { i64::from(self.source.byte() % 4) } else { self.source.number() }
    }

    fn text(&mut self) -> Vec<u8> {
        if self.source.flag() { self.source.bytes().to_vec() } else { self.source.text().into_bytes() }
    }

    /// The checksum, or another.
    fn crc(&mut self, sum: i64, key: Key) -> i64 {
        // A row that stood there is replaced.
        self.wrong.remove(&key);
        if !self.source.byte().is_multiple_of(8) {
            return sum;
        }
        self.wrong.insert(key);
        sum.wrapping_add(1 + i64::from(self.source.byte()))
    }

    fn write(&mut self) {
        match self.source.byte() % 18 {
            0 => self.hub(),
            1 => self.instance(),
            2 | 3 => self.turn(),
            4..=6 => self.message(MESSAGE, Kind::Inbox),
            7 | 8 => self.message(ACTIVITY, Kind::Activity),
            9 | 10 => self.timer(),
            11 | 12 => self.reply(),
            13 | 14 => self.published(),
            15 | 16 => self.record(),
            _ => {
                let key = ["incarnation", "newest"][usize::from(self.source.byte() % 2)];
                let value = self.number();
                self.put(META, params![key, value]);
            }
        }
    }

    fn hub(&mut self) {
        let (hub, name) = (self.number(), self.text());
        if hub != 1 && name != b"hub" {
            self.put(HUB, params![hub, name]);
        }
    }

    /// An instance that is sound, for others to hang rows on.
    fn sound_instance(&self, iid: i64) {
        let row = sound(iid);
        let (crc, id) = (checksum::of_instance(iid, &row), row.id.as_str().as_bytes());
        let name = row.name.as_bytes();
        self.put(INSTANCE, params![iid, 1, id, name, 0, 1, 0, 0, None::<i64>, crc, &row.body[..]]);
    }

    fn instance(&mut self) {
        let (iid, id, name) = (self.iid(), self.text(), self.text());
        let (hub, status, active) = (1 + self.number() % 2, self.number(), self.number());
        let (created_at, updated_at) = (self.number(), self.number());
        let completed_at = self.source.some(|source| source.number());
        let body = self.source.bytes();
        let row = InstanceRow {
            id: InstanceId::new(&*String::from_utf8_lossy(&id)),
            name: String::from_utf8_lossy(&name).into(),
            status: i32::try_from(status).ok().and_then(|status| status.try_into().ok()).unwrap_or_default(),
            active: active != 0,
            created_at: Timestamp(created_at),
            updated_at: Timestamp(updated_at),
            completed_at: completed_at.map(Timestamp),
            body: Bytes::copy_from_slice(body),
            ..sound(iid)
        };
        let crc = self.crc(checksum::of_instance(iid, &row), ("instance", iid, 0));
        // Another that has its name goes.
        self.put(
            INSTANCE,
            params![iid, hub, id, name, status, active, created_at, updated_at, completed_at, crc, body],
        );
    }

    fn turn(&mut self) {
        let (iid, turn, count) = (self.iid(), self.number(), self.number());
        let (inline, events) = self.payload((iid, Kind::History, turn));
        let [short_turn, short_count] = [turn, count].map(|number| u32::try_from(number).unwrap_or(0));
        let crc = self.crc(checksum::of_turn(iid, short_turn, short_count, &events), ("history", iid, turn));
        self.put(TURN, params![iid, turn, count, crc, inline]);
    }

    fn message(&mut self, statement: &str, kind: Kind) {
        let (iid, seq) = (self.iid(), self.number());
        let (inline, data) = self.payload((iid, kind, seq));
        let table = if matches!(kind, Kind::Inbox) { "inbox" } else { "activity" };
        let crc = self.crc(checksum::of_row(iid, seq, &data), (table, iid, seq));
        self.put(statement, params![iid, seq, crc, inline]);
    }

    /// What stands in the row, and what is read of it: where nothing stands there, pieces.
    fn payload(&mut self, (iid, kind, seq): (i64, Kind, i64)) -> (Vec<u8>, Vec<u8>) {
        let delete = "DELETE FROM piece WHERE iid = ?1 AND kind = ?2 AND seq = ?3";
        self.put(delete, params![iid, kind as i64, seq]);
        let mut pieces = self.source.list(|source| (source.number(), source.bytes().to_vec()));
        pieces.sort();
        pieces.dedup_by_key(|(part, _)| *part);
        for (part, piece) in &pieces {
            self.put(PIECE, params![iid, kind as i64, seq, part, piece]);
        }
        let inline = if self.source.flag() { self.source.bytes().to_vec() } else { Vec::new() };
        let whole =
            if inline.is_empty() { pieces.into_iter().flat_map(|(_, piece)| piece).collect() } else { inline.clone() };
        (inline, whole)
    }

    fn timer(&mut self) {
        let (fire_at, iid, seq, part) = (self.number(), self.iid(), self.number(), self.number());
        let sum = checksum::of_timer(fire_at, iid, seq, u8::try_from(part).unwrap_or(0));
        self.put("DELETE FROM timer WHERE iid = ?1 AND seq = ?2", params![iid, seq]);
        let crc = self.crc(sum, ("timer", iid, seq));
        self.put(TIMER, params![fire_at, iid, seq, part, crc]);
    }

    fn reply(&mut self) {
        let (iid, ask_id) = (self.iid(), self.text());
        let answer = if self.source.flag() { Some(self.text()) } else { None };
        let said = answer.as_deref().map(String::from_utf8_lossy);
        let turn = self.source.byte();
        let sum = checksum::of_reply(iid, &String::from_utf8_lossy(&ask_id), turn.into(), said.as_deref());
        // Its key is no number: whether another's checksum is found out is seen in the other tables.
        let crc = sum + i64::from(self.source.byte() % 8 / 7);
        self.put(REPLY, params![iid, ask_id, crc, answer, turn]);
    }

    fn published(&mut self) {
        let (kind, key) =
            if self.source.flag() { (b"kind".to_vec(), b"key".to_vec()) } else { (self.text(), self.text()) };
        let body = self.source.bytes();
        let [kind_said, key_said] = [&kind, &key].map(|text| String::from_utf8_lossy(text));
        let sum = checksum::of_published((&Hub::new("hub"), &kind_said, &key_said), None, None, body);
        let is_known = kind == b"kind" && key == b"key";
        let crc = self.crc(sum, ("published", i64::from(!is_known), 0));
        self.put(PUBLISHED, params![1, kind, key, crc, body]);
    }

    fn record(&mut self) {
        let (kind, key) =
            if self.source.flag() { (b"kind".to_vec(), b"key".to_vec()) } else { (self.text(), self.text()) };
        let (version, expires_at) = (self.number(), self.source.some(|source| source.number()));
        let body = self.source.bytes();
        let [kind_said, key_said] = [&kind, &key].map(|text| String::from_utf8_lossy(text));
        let sum = checksum::of_record(&RecordRow {
            key: RecordKey::new(Hub::new("hub"), &*kind_said, &*key_said),
            version: version.cast_unsigned(),
            expires_at: expires_at.map(Timestamp),
            body: Bytes::copy_from_slice(body),
        });
        let is_known = kind == b"kind" && key == b"key";
        let crc = self.crc(sum, ("record", i64::from(!is_known), 0));
        self.put(RECORD, params![1, kind, key, version, expires_at, crc, body]);
    }
}

/// What is written of a sound instance.
fn sound(iid: i64) -> InstanceRow {
    InstanceRow {
        iid: Iid(iid.cast_unsigned()),
        hub: Hub::new("hub"),
        id: InstanceId::new(format!("i{iid}").as_str()),
        name: "name".into(),
        status: 0.try_into().expect("a status"),
        active: true,
        created_at: Timestamp(0),
        updated_at: Timestamp(0),
        completed_at: None,
        body: Bytes::new(),
    }
}

fn read_all(connection: &Connection, wrong: &HashSet<Key>) {
    let damage = Damage::default();
    let is_right = |key: Key| assert!(!wrong.contains(&key), "{key:?} was read");
    let mut found = Vec::new();
    for iid in INSTANCES.into_iter().filter_map(|iid| u64::try_from(iid).ok()).map(Iid) {
        found.extend(damaged_or(reads::load(connection, &Lookup::Iid(iid))).flatten());
        for (from, bytes_max) in [(0, usize::MAX), (1, 0), (u32::MAX, 1)] {
            let turns = damaged_or(reads::history(connection, iid, Turn(from), bytes_max)).unwrap_or_default();
            turns.iter().for_each(|row| is_right(("history", signed(row.iid.0), row.turn.0.into())));
        }
    }
    for id in ["", "name", "i1", "i2"] {
        let key = InstanceKey::new(Hub::new("hub"), InstanceId::new(id));
        drop(damaged_or(reads::row(connection, &key)));
        found.extend(damaged_or(reads::load(connection, &Lookup::Key(key))).flatten());
    }
    for (after, limit, bytes_max) in [(None, 100, usize::MAX), (Some(Iid(1)), 1, 0)] {
        let page = damaged_or(reads::recover(connection, &|_| true, after, limit, bytes_max, &damage));
        found.extend(page.into_iter().flat_map(|page| page.instances));
    }
    found.iter().for_each(|found| check(found, &is_right));
    let due =
        |after, until, limit| damaged_or(reads::due(connection, &|_| true, after, Timestamp(until), limit, &damage));
    let timers: Vec<TimerRow> = due(None, i64::MAX, 100).unwrap_or_default();
    let rest = due(timers.first().copied(), 1_700_000_000, 1).unwrap_or_default();
    timers.iter().chain(&rest).for_each(|row| is_right(("timer", signed(row.iid.0), signed(row.seq.0))));
    for hub in damaged_or(reads::hubs(connection)).unwrap_or_default() {
        for order in [Order::Created(None), Order::Id { prefix: "i".into(), after: None }] {
            let created = Timestamp(i64::MIN)..Timestamp(i64::MAX);
            let list = List { hub: hub.clone(), statuses: Vec::new(), created, order, limit: 3 };
            let page = damaged_or(lists::page(connection, &list, &damage)).unwrap_or_default();
            page.rows.iter().for_each(|row| is_right(("instance", signed(row.iid.0), 0)));
        }
        if damaged_or(reads::published(connection, &hub, "kind", "key")).flatten().is_some() {
            is_right(("published", 0, 0));
        }
        let is_known = |key: &RecordKey| *key == RecordKey::new(Hub::new("hub"), "kind", "key");
        let all = RecordList { hub: hub.clone(), kind: None, starts: String::new(), after: None, limit: ROWS_MAX };
        let mut listed = damaged_or(records::list(connection, &all, &damage)).unwrap_or_default();
        let named = damaged_or(records::one(connection, &RecordKey::new(hub, "kind", "key"))).flatten();
        listed.extend(named);
        listed.iter().filter(|row| is_known(&row.key)).for_each(|_| is_right(("record", 0, 0)));
    }
    drop(damaged_or(records::expired(connection, Timestamp(1), 10, &damage)));
    drop(session::next_claim(connection));
}

fn check(found: &LoadedInstance, is_right: &dyn Fn(Key)) {
    let iid = signed(found.row.iid.0);
    is_right(("instance", iid, 0));
    found.inbox.iter().for_each(|row| is_right(("inbox", iid, signed(row.seq.0))));
    found.activities.iter().for_each(|row| is_right(("activity", iid, signed(row.seq.0))));
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).expect("it was read from a file")
}

/// What was read; nothing if it is damaged. SQLite is sound and in memory: there is no other reason.
fn damaged_or<T>(read: Result<T, ReadError>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(ReadError::Damaged { .. }) => None,
        Err(error) => panic!("{error:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1_500, ..ProptestConfig::default() })]

        #[test]
        fn rows_of_any_content_are_damaged_or_what_was_written(data in vec(any::<u8>(), 0..1_500)) {
            super::rows(&data);
        }

        #[test]
        fn a_file_that_begins_anyhow_is_looked_at(data in vec(any::<u8>(), 0..200)) {
            super::file_header(&data);
        }
    }
}
