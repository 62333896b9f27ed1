//! The committer's connection, with what it remembers of the rows. A session that met an error is closed and
//! the next one begins anew: what it remembered may have been rolled back, and after a failed sync its
//! descriptors may report a success that is none.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use placet_core::ids::{Hub, Iid, InstanceKey, RecordKey, Seq};
use placet_core::rows::{AheadPiece, Batch, InstanceRow, PayloadKey, PublishedRow, RecordRow};
use placet_core::time::Timestamp;
use placet_store::{Claim, CommitError};
use rusqlite::{Connection, ErrorCode, OptionalExtension, Params, Statement, params};

use crate::entries::{self, Heads};
use crate::pieces::{self, Kind, Pieces};
use crate::shrink::Shrink;
use crate::statements as sql;
use crate::sweep::Sweep;
use crate::tally::Tally;
use crate::terms::{self, Behind};
use crate::{FileLimits, checksum, connection};

/// `meta` rows.
const INCARNATION: &str = "incarnation";
const NEWEST: &str = "newest";

/// The newest time is written when it has moved by this much: enough to see that a clock was set back.
const NEWEST_EVERY: Duration = Duration::from_secs(1);

/// The log may become so many times as long as it is to be, before a commit waits until all of it is copied.
const LOG_MOST: i64 = 4;

/// How long the committer waits for readers of the old log to end, where it must. If they do not, it tries again later.
const RESTART_PATIENCE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    /// The numbers of hubs that were used. Never those of a batch that was rolled back: the session ends then.
    hubs: HashMap<Hub, i64>,
    /// As last written.
    newest: Timestamp,
    log: Log,
    pieces: Pieces,
    heads: Heads,
    behind: Behind,
    sweep: Sweep,
    shrink: Shrink,
    tally: Tally,
}

/// How far the write-ahead log has grown.
#[derive(Clone, Copy, Debug)]
struct Log {
    limits: FileLimits,
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
    #[error("instance {0} is to be changed and is not there, or is another than the batch says")]
    InstanceAbsent(Iid),
}

impl WriteError {
    /// Only a full disk is known to have written nothing: the frame that would have made the transaction
    /// valid is its last. Of any other failure at the commit nobody knows whether it reached the disk: a frame
    /// that was written and not synced is void for this process, and may be found valid by the next one.
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
    pub(crate) fn open(path: &Path, limits: FileLimits) -> rusqlite::Result<Session> {
        let connection = connection::writer(path)?;
        let newest = Timestamp(meta(&connection, NEWEST)?);
        let log = Log { limits, frames: 0, copied: 0, restart_at: limits.restart };
        let pieces = Pieces::open(&connection, limits.payload)?;
        let tally = Tally::of(&connection)?;
        let (heads, behind) = (Heads::open(&connection)?, Behind::open(&connection)?);
        let (sweep, shrink) = (Sweep::default(), Shrink::default());
        Ok(Session { connection, hubs: HashMap::new(), newest, log, pieces, heads, behind, sweep, shrink, tally })
    }

    pub(crate) fn claim(&mut self) -> Result<Claim, WriteError> {
        for stray in pieces::strays(&self.connection)? {
            let mut more = true;
            while more {
                self.execute(sql::BEGIN, [])?;
                more = pieces::clear_some(&self.connection, stray)?;
                self.execute(sql::COMMIT, [])?;
            }
        }
        self.execute(sql::BEGIN, [])?;
        let (incarnation, iid_max) = next_claim(&self.connection)?;
        self.execute(sql::PUT_META, params![INCARNATION, incarnation])?;
        self.heads.place(&self.connection)?;
        self.behind.catch_up(&self.connection)?;
        self.execute(sql::COMMIT, [])?;
        Ok(Claim { incarnation, iid_max, newest: self.newest })
    }

    /// Writes the batch, synced. After an error the session is to be dropped, which rolls back.
    ///
    /// The batch's fences are not looked at: the lock on the file keeps every other process out, and within
    /// this one the epoch is checked before a batch is made.
    /// Tells how long the last step took, in which the log is written and synced.
    pub(crate) fn commit(&mut self, batch: &Batch) -> Result<Duration, WriteError> {
        self.execute(sql::BEGIN, [])?;
        batch.hubs_deleted.iter().try_for_each(|hub| self.delete_hub(hub))?;
        self.delete(batch)?;
        batch.withdrawn.iter().try_for_each(|key| self.withdraw(key))?;
        for erasure in &batch.erased {
            if let Some(hub) = self.known_hub(&erasure.key.hub)? {
                entries::erase(&self.connection, hub, erasure)?;
            }
        }
        self.insert(batch)?;
        self.update_instances(&batch.instances_updated)?;
        self.tally.write(&self.connection)?;
        if self.heads.unplaced() >= self.log.limits.unplaced {
            self.heads.place(&self.connection)?;
        }
        if self.behind.rows() >= self.log.limits.behind {
            self.behind.catch_up(&self.connection)?;
        }
        self.put_newest(batch.newest)?;
        let begin = Instant::now();
        self.execute(sql::COMMIT, [])?;
        let durable = begin.elapsed();
        self.measure_log();
        Ok(durable)
    }

    /// Writes a piece of a payload ahead of its row, synced. After an error as after a commit's.
    pub(crate) fn write_ahead(&mut self, piece: &AheadPiece) -> Result<(), WriteError> {
        self.execute(sql::BEGIN, [])?;
        self.pieces.put_ahead(&self.connection, piece)?;
        self.execute(sql::COMMIT, [])?;
        self.measure_log();
        Ok(())
    }

    /// Clears away a piece of what belonged to deleted hubs, then gives a piece of the file back, and tells whether there is
    /// more. After an error as after a commit's.
    pub(crate) fn sweep(&mut self) -> Result<bool, WriteError> {
        self.execute(sql::BEGIN, [])?;
        let more = self.sweep.step(&self.connection, &mut self.pieces, self.log.limits.sweep)?
            || self.shrink.step(&self.connection, &self.log.limits)?;
        self.execute(sql::COMMIT, [])?;
        self.measure_log();
        Ok(more)
    }

    fn delete(&mut self, batch: &Batch) -> Result<(), WriteError> {
        let Session { connection, pieces, .. } = self;
        for statement in sql::DELETE_INSTANCE {
            each(connection, statement, &batch.instances_deleted, |statement, iid| statement.execute([key(iid.0)?]))?;
        }
        for iid in &batch.instances_deleted {
            pieces.forget(key(iid.0)?);
        }
        each(connection, sql::DROP_HISTORY, &batch.history_dropped, |statement, (iid, before)| {
            let (iid, before) = (key(iid.0)?, before.0);
            pieces.delete_before(connection, (iid, Kind::History, before.into()))?;
            statement.execute(params![iid, before])
        })?;
        each(connection, sql::DROP_REPLIES, &batch.replies_dropped, |statement, (iid, before)| {
            statement.execute(params![key(iid.0)?, before.0])
        })?;
        each(connection, sql::DELETE_INBOX, &batch.inbox_deleted, |statement, (iid, seq)| {
            let (iid, seq) = (key(iid.0)?, key(seq.0)?);
            pieces.delete(connection, (iid, Kind::Inbox, seq))?;
            statement.execute([iid, seq])
        })?;
        each(connection, sql::DELETE_ACTIVITY, &batch.activities_deleted, |statement, (iid, seq)| {
            let (iid, seq) = (key(iid.0)?, key(seq.0)?);
            pieces.delete(connection, (iid, Kind::Activity, seq))?;
            statement.execute([iid, seq])
        })?;
        each(connection, sql::DELETE_TIMER, &batch.timers_deleted, |statement, row| {
            statement.execute([row.fire_at.0, key(row.iid.0)?, key(row.seq.0)?])
        })?;
        for payload in &batch.ahead_dropped {
            pieces.delete(connection, pieces::place(*payload)?)?;
        }
        for RecordKey { hub, kind, key } in &batch.records_deleted {
            if let Some(hub) = self.known_hub(hub)? {
                self.execute(sql::DELETE_RECORD, params![hub, &**kind, &**key])?;
            }
        }
        Ok(())
    }

    fn insert(&mut self, batch: &Batch) -> Result<(), WriteError> {
        for hub in &batch.hubs_created {
            self.hub(hub)?;
        }
        batch.instances_inserted.iter().try_for_each(|row| self.insert_instance(row))?;
        let Session { connection, pieces, .. } = self;
        let is_ahead = |payload| !batch.ahead.is_empty() && batch.ahead.binary_search(&payload).is_ok();
        each(connection, sql::APPEND_HISTORY, &batch.history_appended, |statement, row| {
            let (iid, turn, events) = (key(row.iid.0)?, row.turn.0, &row.events[..]);
            let crc = checksum::of_turn(iid, turn, row.count, events);
            let of = (iid, Kind::History, turn.into());
            let events = if is_ahead(PayloadKey::History(row.iid, row.turn)) {
                pieces.put_behind(connection, of, events)?
            } else {
                pieces.put(connection, of, events)?
            };
            statement.execute(params![iid, turn, row.count, crc, events])
        })?;
        let mut put = |kind, statement: &mut Statement<'_>, iid: Iid, seq: Seq, data: &[u8], is_ahead: bool| {
            let (iid, seq) = (key(iid.0)?, key(seq.0)?);
            let crc = checksum::of_row(iid, seq, data);
            let data = if is_ahead {
                pieces.put_behind(connection, (iid, kind, seq), data)?
            } else {
                pieces.put(connection, (iid, kind, seq), data)?
            };
            statement.execute(params![iid, seq, crc, data])
        };
        each(connection, sql::PUT_INBOX, &batch.inbox_put, |statement, row| {
            let is_ahead = is_ahead(PayloadKey::Inbox(row.iid, row.seq));
            put(Kind::Inbox, statement, row.iid, row.seq, &row.data, is_ahead)
        })?;
        each(connection, sql::PUT_ACTIVITY, &batch.activities_put, |statement, row| {
            let is_ahead = is_ahead(PayloadKey::Activity(row.iid, row.seq));
            put(Kind::Activity, statement, row.iid, row.seq, &row.data, is_ahead)
        })?;
        each(connection, sql::PUT_TIMER, &batch.timers_put, |statement, row| {
            let (fire_at, iid, seq) = (row.fire_at.0, key(row.iid.0)?, key(row.seq.0)?);
            let crc = checksum::of_timer(fire_at, iid, seq, row.partition.0);
            statement.execute(params![fire_at, iid, seq, row.partition.0, crc])
        })?;
        each(connection, sql::PUT_REPLY, &batch.replies_put, |statement, row| {
            let (iid, answer) = (key(row.iid.0)?, row.answer.as_deref());
            let crc = checksum::of_reply(iid, &row.ask_id, row.turn.0, answer);
            statement.execute(params![iid, &*row.ask_id, crc, answer, row.turn.0])
        })?;
        batch.published.iter().try_for_each(|row| self.publish(row))?;
        for row in &batch.entries {
            let hub = self.hub(&row.hub)?;
            self.heads.enter(&self.connection, hub, row)?;
        }
        batch.records_put.iter().try_for_each(|row| self.put_record(row))
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
            checksum::of_instance(iid, row),
            &row.body[..],
            i32::from(row.status),
            row.active,
            hub,
            row.id.as_str(),
        ];
        self.execute(sql::INSERT_INSTANCE, values)?;
        self.tally.add(hub, row.status.into(), 1);
        Ok(())
    }

    fn update_instances(&mut self, rows: &[(InstanceRow, bool)]) -> Result<(), WriteError> {
        for (row, indexed) in rows {
            let absent = WriteError::InstanceAbsent(row.iid);
            let Some(hub) = self.known_hub(&row.hub)? else { return Err(absent) };
            if self.update_instance(row, *indexed, hub)? != 1 {
                return Err(absent);
            }
        }
        Ok(())
    }

    fn update_instance(&self, row: &InstanceRow, indexed: bool, hub: i64) -> rusqlite::Result<usize> {
        let iid = key(row.iid.0)?;
        let crc = checksum::of_instance(iid, row);
        let completed_at = row.completed_at.map(|at| at.0);
        let (name, body, id, status) = (&*row.name, &row.body[..], row.id.as_str(), i32::from(row.status));
        let (created_at, updated_at, active) = (row.created_at.0, row.updated_at.0, row.active);
        if indexed {
            let mut statement = self.connection.prepare_cached(sql::UPDATE_INSTANCE)?;
            statement.execute(params![
                iid,
                name,
                created_at,
                updated_at,
                completed_at,
                crc,
                body,
                status,
                active,
                hub,
                id
            ])
        } else {
            let mut statement = self.connection.prepare_cached(sql::UPDATE_INSTANCE_PLAINLY)?;
            statement.execute(params![
                iid,
                name,
                created_at,
                updated_at,
                completed_at,
                crc,
                body,
                hub,
                id,
                status,
                active
            ])
        }
    }

    fn publish(&mut self, row: &PublishedRow) -> Result<(), WriteError> {
        let (kind, name) = (&*row.kind, &*row.key);
        let Some(body) = &row.body else {
            return match self.known_hub(&row.hub)? {
                Some(hub) => self.unpublish(hub, sql::PUBLISHED, params![hub, kind, name]),
                None => Ok(()),
            };
        };
        let hub = self.hub(&row.hub)?;
        let owner = Some(row.owner.as_str()).filter(|owner| *owner != name);
        let now = terms::stored(&row.terms);
        let now = now.as_deref();
        let crc = checksum::of_published((&row.hub, kind, name), owner, now, body);
        let before: Option<(i64, Option<Vec<u8>>)> = {
            let mut statement = self.connection.prepare_cached(sql::PUBLISHED)?;
            statement.query_row(params![hub, kind, name], |row| Ok((row.get(0)?, row.get(1)?))).optional()?
        };
        let (row, before) = if let Some((row, before)) = before {
            self.execute(sql::PUBLISH_AGAIN, params![row, crc, &body[..], owner, now])?;
            (row, before)
        } else {
            self.execute(sql::PUBLISH, params![hub, kind, name, crc, &body[..], owner, now])?;
            (self.connection.last_insert_rowid(), None)
        };
        self.behind.change(&self.connection, row, before.as_deref(), now)?;
        Ok(())
    }

    /// Deletes published rows of a hub with their terms.
    fn unpublish(&mut self, hub: i64, which: &str, values: impl Params) -> Result<(), WriteError> {
        let rows: Vec<(i64, Option<Vec<u8>>, String)> = {
            let mut statement = self.connection.prepare_cached(which)?;
            let rows = statement.query_map(values, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
            rows.collect::<Result<_, _>>()?
        };
        for (row, before, kind) in rows {
            self.behind.withdraw(&self.connection, terms::Of { hub, kind: &kind, row }, before.as_deref())?;
            self.execute(sql::UNPUBLISH, params![row])?;
        }
        Ok(())
    }

    fn put_record(&mut self, row: &RecordRow) -> Result<(), WriteError> {
        let hub = self.hub(&row.key.hub)?;
        let (version, expires_at) = (key(row.version)?, row.expires_at.map(|at| at.0));
        let crc = checksum::of_record(row);
        let values = params![hub, &*row.key.kind, &*row.key.key, version, expires_at, crc, &row.body[..]];
        self.execute(sql::PUT_RECORD, values)?;
        Ok(())
    }

    /// Deletes what an instance has published.
    fn withdraw(&mut self, key: &InstanceKey) -> Result<(), WriteError> {
        let Some(hub) = self.known_hub(&key.hub)? else { return Ok(()) };
        let mut kind = self.kind(sql::FIRST_KIND, hub, "")?;
        while let Some(of) = kind {
            self.unpublish(hub, sql::OWN, params![hub, of, key.id.as_str()])?;
            kind = self.kind(sql::NEXT_KIND, hub, &of)?;
        }
        self.unpublish(hub, sql::OTHERS, params![hub, key.id.as_str()])
    }

    fn kind(&self, statement: &str, hub: i64, from: &str) -> rusqlite::Result<Option<String>> {
        self.connection.prepare_cached(statement)?.query_row(params![hub, from], |row| row.get(0)).optional()
    }

    fn delete_hub(&mut self, hub: &Hub) -> Result<(), WriteError> {
        if let Some(number) = self.known_hub(hub)? {
            // Nothing is behind where the sweep goes along.
            self.behind.catch_up(&self.connection)?;
            self.execute(sql::MARK_HUB_DELETED, [number])?;
            self.execute(sql::FORGET_TALLY, [number])?;
            self.hubs.remove(hub);
            self.heads.forget(number);
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

    /// Whether enough waits in the log for the checkpointer to be called.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        let to_copy = self.log.frames - self.log.copied;
        // Once the log is long all that is left is copied, again and again, until that is little enough for it to begin anew.
        to_copy >= self.log.limits.checkpoint || (self.wants_restart() && to_copy > self.log.limits.little())
    }

    /// Whether so little is left to be copied that a commit can wait for it. While no checkpoint runs.
    pub(crate) fn has_little_to_copy(&mut self) -> bool {
        self.measure_log();
        self.log.frames - self.log.copied <= self.log.limits.little()
    }

    /// Whether the log must not grow any more, whoever waits.
    pub(crate) fn must_restart(&self) -> bool {
        self.wants_restart() && self.log.frames >= self.log.limits.restart * LOG_MOST
    }

    /// Whether the log is to be copied before a sweep adds to it. Nobody waits for a sweep, and what it leaves to be copied
    /// the next commit might have to wait for: when the log is begun anew, or with the disk.
    pub(crate) fn has_much_to_copy(&mut self) -> bool {
        self.measure_log();
        let most = self.log.limits.checkpoint;
        // Of a log that has nothing left to be copied none is much, however short a log is.
        self.log.frames - self.log.copied >= if self.wants_restart() { self.log.limits.little() } else { most }
    }

    /// How many frames of the log are taken for copied into the file.
    pub(crate) fn copied(&self) -> rusqlite::Result<i64> {
        self.connection.prepare_cached(sql::LOG)?.query_row([], |row| row.get(2))
    }

    /// Leaves the log as it is when it ends.
    pub(crate) fn leave_log(&self) {
        connection::leave_log(&self.connection);
    }

    #[cfg(test)]
    pub(crate) fn frames(&self) -> i64 {
        self.log.frames
    }

    #[cfg(test)]
    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Whether the log has grown too long.
    pub(crate) fn wants_restart(&self) -> bool {
        self.log.frames >= self.log.restart_at
    }

    /// Whether the log is to be emptied, so that the file is cut and the log is short.
    pub(crate) fn wants_log_empty(&self) -> bool {
        self.shrink.wants_log_empty()
    }

    /// Copies the log into the file, which is cut by that, and leaves the log empty. Tells whether there is more to sweep.
    pub(crate) fn empty_log(&mut self) -> rusqlite::Result<bool> {
        let busy = self.copy_whole_log(sql::EMPTY_LOG, RESTART_PATIENCE)?;
        self.measure_log();
        Ok(self.shrink.tried_to_empty_log(!busy))
    }

    /// Waits a moment for readers; whether they did not let go.
    fn copy_whole_log(&self, how: &str, patience: Duration) -> rusqlite::Result<bool> {
        self.connection.busy_timeout(patience)?;
        let busy = self.connection.prepare_cached(how)?.query_row([], |row| row.get(0));
        self.connection.busy_timeout(connection::BUSY)?;
        busy
    }

    /// Begins the log anew. Before a commit and not after it: whoever waits for that one has his answer. A full
    /// disk shows here as well: the log cannot be copied, and must not grow for ever.
    pub(crate) fn restart_log(&mut self) -> rusqlite::Result<()> {
        let limits = self.log.limits;
        let (patience, again) =
            if self.must_restart() { (RESTART_PATIENCE, limits.checkpoint) } else { (Duration::ZERO, limits.little()) };
        let busy = self.copy_whole_log(sql::RESTART_LOG, patience)?;
        self.log.restart_at = if busy { self.log.frames + again } else { limits.restart };
        Ok(())
    }

    /// The commit is durable: if the log cannot be measured, the next commit will see why.
    fn measure_log(&mut self) {
        let measured = self
            .connection
            .prepare_cached(sql::LOG)
            .and_then(|mut statement| statement.query_row([], |row| Ok((row.get(1)?, row.get(2)?))));
        if let Ok((frames, copied)) = measured {
            if frames < self.log.frames {
                self.log.restart_at = self.log.limits.restart;
            }
            (self.log.frames, self.log.copied) = (frames, copied);
        }
    }

    fn execute(&self, statement: &str, values: impl Params) -> rusqlite::Result<()> {
        self.connection.prepare_cached(statement)?.execute(values).map(drop)
    }
}

/// Runs a statement for each row; looks it up once.
fn each<T>(
    connection: &Connection,
    statement: &str,
    rows: &[T],
    mut run: impl FnMut(&mut Statement<'_>, &T) -> rusqlite::Result<usize>,
) -> Result<(), WriteError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(statement)?;
    for row in rows {
        run(&mut statement, row)?;
    }
    Ok(())
}

/// Which opening of the file this is, and the highest key in it: checked before anything is written.
pub(crate) fn next_claim(connection: &Connection) -> rusqlite::Result<(u32, Iid)> {
    let incarnation = meta(connection, INCARNATION)?.saturating_add(1);
    let iid_max: Option<i64> = connection.query_row(sql::IID_MAX, [], |row| row.get(0))?;
    let iid_max = u64::try_from(iid_max.unwrap_or(0)).map_err(|error| unfit(0, error))?;
    Ok((u32::try_from(incarnation).map_err(|error| unfit(0, error))?, Iid(iid_max)))
}

fn meta(connection: &Connection, key: &str) -> rusqlite::Result<i64> {
    let value = connection.prepare_cached(sql::META)?.query_row([key], |row| row.get(0)).optional()?;
    Ok(value.unwrap_or(0))
}

/// SQLite's integers are signed. Numbers that count up never come to where that matters.
pub(crate) fn key(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))
}

fn unfit(column: usize, error: std::num::TryFromIntError) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Integer, error.into())
}
