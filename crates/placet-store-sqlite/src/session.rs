//! The committer's connection, with what it remembers of the rows. A session that met an error is closed and
//! the next one begins anew: what it remembered may have been rolled back, and after a failed sync its
//! descriptors may report a success that is none.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use placet_core::ids::{Hub, Iid};
use placet_core::rows::{Batch, InstanceRow, PublishedRow};
use placet_core::time::Timestamp;
use placet_store::{Claim, CommitError};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, params};

use crate::statements as sql;
use crate::{checksum, connection};

/// `meta` rows.
const INCARNATION: &str = "incarnation";
const NEWEST: &str = "newest";

/// The newest time is written when it has moved by this much: enough to see that a clock was set back.
const NEWEST_EVERY: Duration = Duration::from_secs(1);

/// Frames that wait in the log before the checkpointer is called: 16 MiB.
const CHECKPOINT_FRAMES: i64 = 4_096;

/// Frames in the log beyond which it is begun anew: 64 MiB. Under load there is always a frame that is not yet
/// copied, so the checkpointer alone never lets the log wrap (STORAGE.md, "Pitfalls met").
const RESTART_FRAMES: i64 = 16_384;

/// How long the committer waits for readers of the old log to end. If they do not, it tries again later.
const RESTART_PATIENCE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    /// The numbers of hubs that were used. Never those of a batch that was rolled back: the session ends then.
    hubs: HashMap<Hub, i64>,
    /// As last written.
    newest: Timestamp,
    log: Log,
}

/// How far the write-ahead log has grown.
#[derive(Clone, Copy, Default, Debug)]
struct Log {
    frames: i64,
    copied: i64,
    /// Where to try again after readers did not let go.
    restart_at: i64,
}

/// Why a batch was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    #[error(transparent)]
    Engine(#[from] rusqlite::Error),
    #[error("instance {0} is to be changed and is not there")]
    InstanceAbsent(Iid),
}

impl WriteError {
    /// Only a full disk is known to have written nothing: the frame that would have made the transaction
    /// valid is its last. Of any other failure at the commit nobody knows whether it reached the disk.
    pub(crate) fn into_commit_error(self, path: &Path) -> CommitError {
        match self {
            WriteError::Engine(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull) => {
                CommitError::DiskFull { path: path.to_owned() }
            }
            error => CommitError::Unavailable(error.into()),
        }
    }
}

impl Session {
    pub(crate) fn open(path: &Path) -> rusqlite::Result<Session> {
        let connection = connection::writer(path)?;
        let newest = Timestamp(meta(&connection, NEWEST)?);
        let log = Log { restart_at: RESTART_FRAMES, ..Log::default() };
        Ok(Session { connection, hubs: HashMap::new(), newest, log })
    }

    pub(crate) fn claim(&mut self) -> Result<Claim, WriteError> {
        self.execute(sql::BEGIN, [])?;
        let incarnation = meta(&self.connection, INCARNATION)? + 1;
        self.execute(sql::PUT_META, params![INCARNATION, incarnation])?;
        let iid_max: Option<i64> = self.connection.query_row(sql::IID_MAX, [], |row| row.get(0))?;
        self.execute(sql::COMMIT, [])?;
        Ok(Claim {
            incarnation: u32::try_from(incarnation).map_err(|error| unfit(0, error))?,
            iid_max: Iid(u64::try_from(iid_max.unwrap_or(0)).map_err(|error| unfit(0, error))?),
            newest: self.newest,
        })
    }

    /// Writes the batch, synced. After an error the session is to be dropped, which rolls back.
    ///
    /// The batch's fences are not looked at: the lock on the file keeps every other process out, and within
    /// this one the epoch is checked before a batch is made.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<(), WriteError> {
        self.restart_log()?;
        self.execute(sql::BEGIN, [])?;
        batch.hubs_deleted.iter().try_for_each(|hub| self.delete_hub(hub))?;
        self.delete(batch)?;
        self.insert(batch)?;
        batch.instances_updated.iter().try_for_each(|(row, indexed)| self.update_instance(row, *indexed))?;
        self.put_newest(batch.newest)?;
        self.execute(sql::COMMIT, [])?;
        self.measure_log();
        Ok(())
    }

    /// Whether enough waits in the log for the checkpointer to be called.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        self.log.frames - self.log.copied >= CHECKPOINT_FRAMES
    }

    fn delete(&mut self, batch: &Batch) -> Result<(), WriteError> {
        for iid in &batch.instances_deleted {
            let iid = key(iid.0)?;
            sql::DELETE_INSTANCE.iter().try_for_each(|statement| self.execute(statement, [iid]))?;
        }
        for (iid, before) in &batch.history_dropped {
            self.execute(sql::DROP_HISTORY, params![key(iid.0)?, before.0])?;
        }
        for (iid, seq) in &batch.inbox_deleted {
            self.execute(sql::DELETE_INBOX, [key(iid.0)?, key(seq.0)?])?;
        }
        for (iid, seq) in &batch.activities_deleted {
            self.execute(sql::DELETE_ACTIVITY, [key(iid.0)?, key(seq.0)?])?;
        }
        for row in &batch.timers_deleted {
            self.execute(sql::DELETE_TIMER, [row.fire_at.0, key(row.iid.0)?, key(row.seq.0)?])?;
        }
        Ok(())
    }

    fn insert(&mut self, batch: &Batch) -> Result<(), WriteError> {
        for hub in &batch.hubs_created {
            self.hub(hub)?;
        }
        batch.instances_inserted.iter().try_for_each(|row| self.insert_instance(row))?;
        for row in &batch.history_appended {
            let iid = key(row.iid.0)?;
            let crc = checksum::of_turn(iid, row.turn.0, row.count, &row.events);
            self.execute(sql::APPEND_HISTORY, params![iid, row.turn.0, row.count, crc, &row.events[..]])?;
        }
        for row in &batch.inbox_put {
            self.put(sql::PUT_INBOX, row.iid.0, row.seq.0, &row.data)?;
        }
        for row in &batch.activities_put {
            self.put(sql::PUT_ACTIVITY, row.iid.0, row.seq.0, &row.data)?;
        }
        for row in &batch.timers_put {
            let part = row.partition.0;
            self.execute(sql::PUT_TIMER, params![row.fire_at.0, key(row.iid.0)?, key(row.seq.0)?, part])?;
        }
        for row in &batch.replies_put {
            self.execute(sql::PUT_REPLY, params![key(row.iid.0)?, &*row.ask_id, row.answer.as_deref()])?;
        }
        batch.published.iter().try_for_each(|row| self.publish(row))
    }

    /// A message or an activity.
    fn put(&self, statement: &str, iid: u64, seq: u64, data: &[u8]) -> rusqlite::Result<()> {
        let (iid, seq) = (key(iid)?, key(seq)?);
        self.execute(statement, params![iid, seq, checksum::of_row(iid, seq, data), data])
    }

    fn insert_instance(&mut self, row: &InstanceRow) -> Result<(), WriteError> {
        let hub = self.hub(&row.hub)?;
        let iid = key(row.iid.0)?;
        let values = params![
            iid,
            &*row.name,
            row.created_at.0,
            row.updated_at.0,
            row.completed_at.map(|at| at.0),
            checksum::of_row(iid, 0, &row.body),
            &row.body[..],
            i32::from(row.status),
            row.active,
            hub,
            row.id.as_str(),
        ];
        Ok(self.execute(sql::INSERT_INSTANCE, values)?)
    }

    fn update_instance(&mut self, row: &InstanceRow, indexed: bool) -> Result<(), WriteError> {
        let iid = key(row.iid.0)?;
        let statement = if indexed { sql::UPDATE_INSTANCE } else { sql::UPDATE_INSTANCE_PLAINLY };
        let mut statement = self.connection.prepare_cached(statement)?;
        let crc = checksum::of_row(iid, 0, &row.body);
        let completed_at = row.completed_at.map(|at| at.0);
        let (name, body) = (&*row.name, &row.body[..]);
        let changed = if indexed {
            let status = i32::from(row.status);
            statement.execute(params![
                iid, name, row.created_at.0, row.updated_at.0, completed_at, crc, body, status, row.active
            ])?
        } else {
            statement.execute(params![iid, name, row.created_at.0, row.updated_at.0, completed_at, crc, body])?
        };
        if changed == 1 { Ok(()) } else { Err(WriteError::InstanceAbsent(row.iid)) }
    }

    fn publish(&mut self, row: &PublishedRow) -> Result<(), WriteError> {
        let (kind, name) = (&*row.kind, &*row.key);
        if let Some(body) = &row.body {
            let hub = self.hub(&row.hub)?;
            let crc = checksum::of_published(kind, name, body);
            self.execute(sql::PUBLISH, params![hub, kind, name, crc, &body[..]])?;
        } else if let Some(hub) = self.known_hub(&row.hub)? {
            self.execute(sql::WITHDRAW, params![hub, kind, name])?;
        }
        Ok(())
    }

    fn delete_hub(&mut self, hub: &Hub) -> Result<(), WriteError> {
        if let Some(number) = self.known_hub(hub)? {
            sql::DELETE_HUB.iter().try_for_each(|statement| self.execute(statement, [number]))?;
            self.hubs.remove(hub);
        }
        Ok(())
    }

    /// The hub's number; it gets one if it has none.
    fn hub(&mut self, hub: &Hub) -> rusqlite::Result<i64> {
        if let Some(number) = self.known_hub(hub)? {
            return Ok(number);
        }
        self.execute(sql::INSERT_HUB, [hub.as_str()])?;
        let number = self.connection.last_insert_rowid();
        self.hubs.insert(hub.clone(), number);
        Ok(number)
    }

    fn known_hub(&mut self, hub: &Hub) -> rusqlite::Result<Option<i64>> {
        if let Some(number) = self.hubs.get(hub) {
            return Ok(Some(*number));
        }
        let mut statement = self.connection.prepare_cached(sql::HUB)?;
        let number = statement.query_row([hub.as_str()], |row| row.get(0)).optional()?;
        self.hubs.extend(number.map(|number| (hub.clone(), number)));
        Ok(number)
    }

    fn put_newest(&mut self, newest: Timestamp) -> rusqlite::Result<()> {
        if newest > self.newest && newest.since(self.newest) >= NEWEST_EVERY {
            self.execute(sql::PUT_META, params![NEWEST, newest.0])?;
            self.newest = newest;
        }
        Ok(())
    }

    /// Begins the log anew if it has grown too long. Before a commit and not after it: whoever waits for that
    /// one has his answer. A full disk shows here as well: the log cannot be copied, and must not grow for ever.
    fn restart_log(&mut self) -> rusqlite::Result<()> {
        if self.log.frames < self.log.restart_at {
            return Ok(());
        }
        let usual = self.connection.query_row("PRAGMA busy_timeout", [], |row| row.get(0))?;
        self.connection.busy_timeout(RESTART_PATIENCE)?;
        let busy: bool = self.connection.prepare_cached(sql::RESTART_LOG)?.query_row([], |row| row.get(0))?;
        self.connection.busy_timeout(Duration::from_millis(usual))?;
        self.log.restart_at = if busy { self.log.frames + CHECKPOINT_FRAMES } else { RESTART_FRAMES };
        Ok(())
    }

    /// The commit is durable: if the log cannot be measured, the next commit will see why.
    fn measure_log(&mut self) {
        let measured = self.connection.prepare_cached(sql::LOG).and_then(|mut statement| {
            statement.query_row([], |row| Ok((row.get(1)?, row.get(2)?)))
        });
        if let Ok((frames, copied)) = measured {
            if frames < self.log.frames {
                self.log.restart_at = RESTART_FRAMES;
            }
            (self.log.frames, self.log.copied) = (frames, copied);
        }
    }

    fn execute(&self, statement: &str, values: impl Params) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute(values).map(drop)
    }
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<i64> {
    let value = connection.prepare_cached(sql::META)?.query_row([key], |row| row.get(0)).optional()?;
    Ok(value.unwrap_or(0))
}

/// SQLite's integers are signed. Numbers that count up never come to where that matters.
fn key(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn unfit(column: usize, error: std::num::TryFromIntError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Integer, error.into())
}
