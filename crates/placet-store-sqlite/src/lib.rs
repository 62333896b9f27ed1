//! The embedded store: one SQLite file. (Stopgap.)

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use placet_core::ids::{Hub, Iid, InstanceId, PartitionId, Seq, Turn};
use placet_core::rows::*;
use placet_core::time::Timestamp;
use placet_proto::durabletask::OrchestrationStatus;
use placet_store::*;
use rusqlite::{Connection, OptionalExtension, params};

/// The store.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Mutex<Connection>,
    readers: Mutex<Vec<Connection>>,
    path: PathBuf,
    _lock: std::fs::File,
}

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS hub(hub INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE IF NOT EXISTS instance(iid INTEGER PRIMARY KEY, hub INTEGER NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, status INTEGER NOT NULL, active INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, completed_at INTEGER, body BLOB NOT NULL) STRICT;
CREATE UNIQUE INDEX IF NOT EXISTS instance_id ON instance(hub, id);
CREATE INDEX IF NOT EXISTS instance_active ON instance(iid) WHERE active = 1;
CREATE TABLE IF NOT EXISTS history(iid INTEGER NOT NULL, turn INTEGER NOT NULL, count INTEGER NOT NULL, events BLOB NOT NULL, PRIMARY KEY(iid, turn)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS inbox(iid INTEGER NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(iid, seq)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS activity(iid INTEGER NOT NULL, seq INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY(iid, seq)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS timer(fire_at INTEGER NOT NULL, iid INTEGER NOT NULL, seq INTEGER NOT NULL, part INTEGER NOT NULL, PRIMARY KEY(fire_at, iid, seq)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS reply(iid INTEGER NOT NULL, ask_id TEXT NOT NULL, answer TEXT, PRIMARY KEY(iid, ask_id)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS published(hub INTEGER NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL, body BLOB NOT NULL, PRIMARY KEY(hub, kind, key)) WITHOUT ROWID, STRICT;
CREATE TABLE IF NOT EXISTS meta(key TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT;
";

impl SqliteStore {
    /// Opens it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(path: &Path) -> Result<SqliteStore, OpenError> {
        let failed = |e: rusqlite::Error| OpenError::Failed { path: path.into(), source: e.into() };
        let lock = std::fs::File::create(path.with_extension("lock"))
            .map_err(|e| OpenError::Unwritable { path: path.into(), source: e.into() })?;
        if lock.try_lock().is_err() {
            return Err(OpenError::Locked { path: path.into(), holder: None });
        }
        let writer = Connection::open(path).map_err(failed)?;
        writer
            .execute_batch("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-65536; PRAGMA temp_store=MEMORY; PRAGMA foreign_keys=OFF;")
            .map_err(failed)?;
        writer.set_prepared_statement_cache_capacity(64);
        writer.execute_batch(SCHEMA).map_err(failed)?;
        Ok(SqliteStore { writer: Mutex::new(writer), readers: Mutex::default(), path: path.into(), _lock: lock })
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, f: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, ReadError> {
        let wrap = |e: rusqlite::Error| ReadError::Unavailable(e.into());
        let reader = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match reader {
            Some(r) => r,
            None => {
                let c = Connection::open(&self.path).map_err(wrap)?;
                c.execute_batch("PRAGMA query_only=1; PRAGMA cache_size=-8192;").map_err(wrap)?;
                c.set_prepared_statement_cache_capacity(64);
                c
            }
        };
        let out = f(&reader).map_err(wrap);
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        out
    }
}

fn hub_id(c: &Connection, hub: &Hub) -> rusqlite::Result<i64> {
    if let Some(id) = find_hub(c, hub)? {
        return Ok(id);
    }
    c.prepare_cached("INSERT INTO hub(name) VALUES(?1)")?.execute([hub.as_str()])?;
    Ok(c.last_insert_rowid())
}

fn find_hub(c: &Connection, hub: &Hub) -> rusqlite::Result<Option<i64>> {
    c.prepare_cached("SELECT hub FROM hub WHERE name=?1")?.query_row([hub.as_str()], |r| r.get(0)).optional()
}

fn i(v: u64) -> i64 {
    v as i64
}

fn apply(c: &Connection, b: &Batch) -> rusqlite::Result<()> {
    for hub in &b.hubs_deleted {
        let Some(h) = find_hub(c, hub)? else { continue };
        for t in ["history", "inbox", "activity", "timer", "reply"] {
            c.execute(&format!("DELETE FROM {t} WHERE iid IN (SELECT iid FROM instance WHERE hub=?1)"), [h])?;
        }
        c.execute("DELETE FROM instance WHERE hub=?1", [h])?;
        c.execute("DELETE FROM published WHERE hub=?1", [h])?;
        c.execute("DELETE FROM hub WHERE hub=?1", [h])?;
    }
    for hub in &b.hubs_created {
        hub_id(c, hub)?;
    }
    for iid in &b.instances_deleted {
        for t in ["history", "inbox", "activity", "reply", "instance"] {
            c.prepare_cached(&format!("DELETE FROM {t} WHERE iid=?1"))?.execute([i(iid.0)])?;
        }
    }
    for (iid, before) in &b.history_dropped {
        c.prepare_cached("DELETE FROM history WHERE iid=?1 AND turn<?2")?.execute(params![i(iid.0), before.0])?;
    }
    for (iid, seq) in &b.inbox_deleted {
        c.prepare_cached("DELETE FROM inbox WHERE iid=?1 AND seq=?2")?.execute([i(iid.0), i(seq.0)])?;
    }
    for (iid, seq) in &b.activities_deleted {
        c.prepare_cached("DELETE FROM activity WHERE iid=?1 AND seq=?2")?.execute([i(iid.0), i(seq.0)])?;
    }
    for t in &b.timers_deleted {
        c.prepare_cached("DELETE FROM timer WHERE fire_at=?1 AND iid=?2 AND seq=?3")?
            .execute([t.fire_at.0, i(t.iid.0), i(t.seq.0)])?;
    }
    for r in &b.instances_inserted {
        let h = hub_id(c, &r.hub)?;
        c.prepare_cached("INSERT INTO instance VALUES(?1,?2,?3,?4,?5,?6,?7,?8,?9,?10)")?.execute(params![
            i(r.iid.0),
            h,
            r.id.as_str(),
            &*r.name,
            i32::from(r.status),
            r.active,
            r.created_at.0,
            r.updated_at.0,
            r.completed_at.map(|t| t.0),
            &r.body[..]
        ])?;
    }
    for (r, _) in &b.instances_updated {
        c.prepare_cached("UPDATE instance SET status=?2, active=?3, updated_at=?4, completed_at=?5, body=?6 WHERE iid=?1")?
            .execute(params![
                i(r.iid.0),
                i32::from(r.status),
                r.active,
                r.updated_at.0,
                r.completed_at.map(|t| t.0),
                &r.body[..]
            ])?;
    }
    for r in &b.history_appended {
        c.prepare_cached("INSERT INTO history VALUES(?1,?2,?3,?4)")?.execute(params![
            i(r.iid.0),
            r.turn.0,
            r.count,
            &r.events[..]
        ])?;
    }
    for r in &b.inbox_put {
        c.prepare_cached("INSERT INTO inbox VALUES(?1,?2,?3)")?.execute(params![i(r.iid.0), i(r.seq.0), &r.data[..]])?;
    }
    for r in &b.activities_put {
        c.prepare_cached("INSERT OR REPLACE INTO activity VALUES(?1,?2,?3)")?
            .execute(params![i(r.iid.0), i(r.seq.0), &r.data[..]])?;
    }
    for t in &b.timers_put {
        c.prepare_cached("INSERT OR REPLACE INTO timer VALUES(?1,?2,?3,?4)")?
            .execute(params![t.fire_at.0, i(t.iid.0), i(t.seq.0), t.partition.0])?;
    }
    for r in &b.replies_put {
        c.prepare_cached("INSERT OR REPLACE INTO reply VALUES(?1,?2,?3)")?
            .execute(params![i(r.iid.0), &*r.ask_id, r.answer.as_deref()])?;
    }
    for r in &b.published {
        let h = hub_id(c, &r.hub)?;
        match &r.body {
            Some(body) => c
                .prepare_cached("INSERT OR REPLACE INTO published VALUES(?1,?2,?3,?4)")?
                .execute(params![h, &*r.kind, &*r.key, &body[..]])?,
            None => c
                .prepare_cached("DELETE FROM published WHERE hub=?1 AND kind=?2 AND key=?3")?
                .execute(params![h, &*r.kind, &*r.key])?,
        };
    }
    Ok(())
}

fn rest(c: &Connection, row: InstanceRow) -> rusqlite::Result<LoadedInstance> {
    let iid = row.iid;
    let inbox = c
        .prepare_cached("SELECT seq, data FROM inbox WHERE iid=?1 ORDER BY seq")?
        .query_map([i(iid.0)], |r| {
            Ok(InboxRow { iid, seq: Seq(r.get::<_, i64>(0)? as u64), data: Bytes::from(r.get::<_, Vec<u8>>(1)?) })
        })?
        .collect::<Result<_, _>>()?;
    let activities = c
        .prepare_cached("SELECT seq, data FROM activity WHERE iid=?1 ORDER BY seq")?
        .query_map([i(iid.0)], |r| {
            Ok(ActivityRow { iid, seq: Seq(r.get::<_, i64>(0)? as u64), data: Bytes::from(r.get::<_, Vec<u8>>(1)?) })
        })?
        .collect::<Result<_, _>>()?;
    let replies = c
        .prepare_cached("SELECT ask_id, answer FROM reply WHERE iid=?1")?
        .query_map([i(iid.0)], |r| {
            Ok(ReplyRow {
                iid,
                ask_id: r.get::<_, String>(0)?.into(),
                answer: r.get::<_, Option<String>>(1)?.map(Into::into),
            })
        })?
        .collect::<Result<_, _>>()?;
    Ok(LoadedInstance { row, inbox, activities, replies })
}

const COLS: &str =
    "iid, hub.name, id, instance.name, status, active, created_at, updated_at, completed_at, body FROM instance JOIN hub ON hub.hub = instance.hub";

fn instance(r: &rusqlite::Row<'_>) -> rusqlite::Result<InstanceRow> {
    Ok(InstanceRow {
        iid: Iid(r.get::<_, i64>(0)? as u64),
        hub: Hub::new(&r.get::<_, String>(1)?),
        id: InstanceId::new(r.get::<_, String>(2)?),
        name: r.get::<_, String>(3)?.into(),
        status: OrchestrationStatus::try_from(r.get::<_, i32>(4)?).unwrap_or_default(),
        active: r.get(5)?,
        created_at: Timestamp(r.get(6)?),
        updated_at: Timestamp(r.get(7)?),
        completed_at: r.get::<_, Option<i64>>(8)?.map(Timestamp),
        body: Bytes::from(r.get::<_, Vec<u8>>(9)?),
    })
}

impl Store for SqliteStore {
    fn claim(&self) -> Result<Claim, CommitError> {
        let wrap = |e: rusqlite::Error| CommitError::Unavailable(e.into());
        let c = self.writer();
        c.execute("INSERT INTO meta VALUES('incarnation',1) ON CONFLICT(key) DO UPDATE SET value=value+1", [])
            .map_err(wrap)?;
        let incarnation: u32 =
            c.query_row("SELECT value FROM meta WHERE key='incarnation'", [], |r| r.get(0)).map_err(wrap)?;
        let iid: Option<i64> = c.query_row("SELECT max(iid) FROM instance", [], |r| r.get(0)).map_err(wrap)?;
        Ok(Claim { incarnation, iid_max: Iid(iid.unwrap_or(0) as u64), newest: Timestamp(0) })
    }

    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        let wrap = |e: rusqlite::Error| CommitError::Unavailable(e.into());
        let c = self.writer();
        c.execute_batch("BEGIN IMMEDIATE").map_err(wrap)?;
        let done = apply(&c, batch).and_then(|()| c.execute_batch("COMMIT"));
        if done.is_err() {
            drop(c.execute_batch("ROLLBACK"));
        }
        done.map_err(wrap)
    }

    fn recover(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<Iid>,
        limit: usize,
    ) -> Result<ActivePage, ReadError> {
        self.read(|c| {
            let rows: Vec<InstanceRow> = c
                .prepare_cached(&format!("SELECT {COLS} WHERE active=1 AND iid>?1 ORDER BY iid LIMIT ?2"))?
                .query_map([after.map_or(-1, |a| i(a.0)), limit as i64], instance)?
                .collect::<Result<_, _>>()?;
            let next = (rows.len() == limit).then(|| rows.last().map(|r| r.iid)).flatten();
            let mut instances = Vec::new();
            for row in rows.into_iter().filter(|r| partitions(r.key().partition())) {
                instances.push(rest(c, row)?);
            }
            Ok(ActivePage { instances, next })
        })
    }

    fn load(&self, lookups: &[Lookup]) -> Result<Vec<Option<LoadedInstance>>, ReadError> {
        self.read(|c| {
            let mut out = Vec::new();
            for l in lookups {
                let row = match l {
                    Lookup::Key(k) => c
                        .prepare_cached(&format!("SELECT {COLS} WHERE instance.hub=(SELECT hub FROM hub WHERE name=?1) AND id=?2"))?
                        .query_row([k.hub.as_str(), k.id.as_str()], instance)
                        .optional()?,
                    Lookup::Iid(iid) => c
                        .prepare_cached(&format!("SELECT {COLS} WHERE iid=?1"))?
                        .query_row([i(iid.0)], instance)
                        .optional()?,
                };
                out.push(row.map(|r| rest(c, r)).transpose()?);
            }
            Ok(out)
        })
    }

    fn history(&self, iid: Iid, from: Turn, bytes_max: usize) -> Result<Vec<HistoryRow>, ReadError> {
        self.read(|c| {
            let mut st = c.prepare_cached("SELECT turn, count, events FROM history WHERE iid=?1 AND turn>=?2 ORDER BY turn")?;
            let mut rows = st.query(params![i(iid.0), from.0])?;
            let (mut out, mut bytes) = (Vec::new(), 0);
            while let Some(r) = rows.next()? {
                let events: Vec<u8> = r.get(2)?;
                if bytes > 0 && bytes + events.len() > bytes_max {
                    break;
                }
                bytes += events.len();
                out.push(HistoryRow { iid, turn: Turn(r.get(0)?), count: r.get(1)?, events: events.into() });
            }
            Ok(out)
        })
    }

    fn due(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<TimerRow>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<TimerRow>, ReadError> {
        self.read(|c| {
            let a = after.map_or((i64::MIN, 0, 0), |t| (t.fire_at.0, i(t.iid.0), i(t.seq.0)));
            let rows: Vec<TimerRow> = c
                .prepare_cached("SELECT fire_at, iid, seq, part FROM timer WHERE (fire_at, iid, seq) > (?1, ?2, ?3) AND fire_at <= ?4 ORDER BY fire_at, iid, seq LIMIT ?5")?
                .query_map(params![a.0, a.1, a.2, until.0, limit as i64], |r| {
                    Ok(TimerRow {
                        fire_at: Timestamp(r.get(0)?),
                        iid: Iid(r.get::<_, i64>(1)? as u64),
                        seq: Seq(r.get::<_, i64>(2)? as u64),
                        partition: PartitionId(r.get(3)?),
                    })
                })?
                .collect::<Result<_, _>>()?;
            Ok(rows.into_iter().filter(|r| partitions(r.partition)).collect())
        })
    }

    fn query(&self, query: &Query) -> Result<Answer, ReadError> {
        self.read(|c| match query {
            Query::Hubs => {
                let hubs: Vec<String> =
                    c.prepare_cached("SELECT name FROM hub ORDER BY name")?.query_map([], |r| r.get(0))?.collect::<Result<_, _>>()?;
                Ok(Answer::Hubs(hubs.iter().map(|h| Hub::new(h)).collect()))
            }
            Query::Published { hub, kind, key } => {
                let body: Option<Vec<u8>> = c
                    .prepare_cached("SELECT body FROM published WHERE hub=(SELECT hub FROM hub WHERE name=?1) AND kind=?2 AND key=?3")?
                    .query_row(params![hub.as_str(), &**kind, &**key], |r| r.get(0))
                    .optional()?;
                Ok(Answer::Published(body.map(Into::into)))
            }
        })
    }
}
