//! The store as its users see it: who holds which connection, and what a failed commit does to it.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use placet_core::ids::{Iid, PartitionId, Turn};
use placet_core::rows::{Batch, HistoryRow, LoadedInstance, Lookup, TimerRow};
use placet_core::time::Timestamp;
use placet_store::{ActivePage, Answer, Claim, CommitError, OpenError, Query, ReadError, Store};

use crate::checkpointer::Checkpointer;
use crate::lock::{self, Lock};
use crate::readers::Readers;
use crate::session::{Session, WriteError};
use crate::{open, reads};

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether every page is read and checked first: minutes for a file of many gigabytes. Without it, damage
    /// shows when the damaged row is read.
    pub integrity_check: bool,
    /// For tests: what happens to a long log is to happen to a short one.
    #[doc(hidden)]
    pub log: LogLimits,
}

/// How long the write-ahead log may grow, in frames (of a page each).
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct LogLimits {
    /// So many wait in it before the checkpointer is called: 16 MiB.
    pub checkpoint: i64,
    /// Beyond so many it is begun anew: 64 MiB. Under load there is always a frame that is not yet copied, so the
    /// checkpointer alone never lets the log wrap (STORAGE.md, "Pitfalls met").
    pub restart: i64,
}

impl Default for LogLimits {
    fn default() -> LogLimits {
        LogLimits { checkpoint: 4_096, restart: 16_384 }
    }
}

/// A store in one SQLite file, which no other process may use at the same time.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    log: LogLimits,
    // In this order they are closed: the last connection writes the log back into the file, under the lock.
    checkpointer: Checkpointer,
    readers: Readers,
    /// Absent after a failed commit; the next one begins a new session.
    session: Mutex<Option<Session>>,
    _lock: Lock,
}

impl SqliteStore {
    /// Opens the file; makes it if it is not there. Its folder must be there.
    ///
    /// # Errors
    /// If it is in use, damaged, another program's, a later version's, or cannot be written. Then nothing was touched.
    pub fn open(path: &Path) -> Result<SqliteStore, OpenError> {
        SqliteStore::open_with(path, &Options::default())
    }

    /// Opens the file with these options.
    ///
    /// # Errors
    /// As [`SqliteStore::open`].
    pub fn open_with(path: &Path, options: &Options) -> Result<SqliteStore, OpenError> {
        if !lock::lock_path(path).exists() {
            // Nobody of ours was ever here: what is not for us is refused before a lock is put beside it.
            open::inspect(path, options)?;
        }
        let mut lock = Lock::take(path)?;
        open::prepare(path, options)?;
        lock.leave_id();
        let failed = |error| open::failed(path, error);
        Ok(SqliteStore {
            path: path.to_owned(),
            log: options.log,
            checkpointer: Checkpointer::start(path).map_err(failed)?,
            readers: Readers::new(path),
            session: Mutex::new(Some(Session::open(path, options.log).map_err(failed)?)),
            _lock: lock,
        })
    }

    /// Writes in the session. One that met an error or a panic is closed, which rolls back: what it remembers may
    /// not be true any more.
    fn write<T>(&self, act: impl FnOnce(&mut Session) -> Result<T, WriteError>) -> Result<T, CommitError> {
        let mut place = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |error: WriteError| error.into_commit_error(&self.path);
        let mut session = match place.take() {
            Some(session) => session,
            None => Session::open(&self.path, self.log).map_err(|error| told(error.into()))?,
        };
        let done = act(&mut session).map_err(told)?;
        *place = Some(session);
        Ok(done)
    }
}

impl Store for SqliteStore {
    fn claim(&self) -> Result<Claim, CommitError> {
        self.write(Session::claim)
    }

    fn commit(&self, batch: &Batch) -> Result<(), CommitError> {
        self.write(|session| {
            if session.wants_restart() {
                // A checkpoint that runs would make the restart fail; it is awaited.
                let _pause = self.checkpointer.pause();
                session.restart_log()?;
            }
            session.commit(batch)?;
            if session.wants_checkpoint() {
                self.checkpointer.call();
            }
            Ok(())
        })
    }

    fn recover(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<Iid>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ActivePage, ReadError> {
        self.readers.read(|connection| reads::recover(connection, partitions, after, limit, bytes_max))
    }

    fn load(&self, lookups: &[Lookup]) -> Result<Vec<Option<LoadedInstance>>, ReadError> {
        self.readers.read(|connection| lookups.iter().map(|lookup| reads::load(connection, lookup)).collect())
    }

    fn history(&self, iid: Iid, from: Turn, bytes_max: usize) -> Result<Vec<HistoryRow>, ReadError> {
        self.readers.read(|connection| reads::history(connection, iid, from, bytes_max))
    }

    fn due(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<TimerRow>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<TimerRow>, ReadError> {
        self.readers.read(|connection| reads::due(connection, partitions, after, until, limit))
    }

    fn query(&self, query: &Query) -> Result<Answer, ReadError> {
        self.readers.read(|connection| match query {
            Query::Hubs => reads::hubs(connection).map(Answer::Hubs),
            Query::Published { hub, kind, key } => reads::published(connection, hub, kind, key).map(Answer::Published),
            Query::Instance(key) => reads::row(connection, key).map(|row| Answer::Instance(row.map(Box::new))),
        })
    }
}

#[cfg(test)]
mod tests;
