//! The store as its users see it: who holds which connection, and what a failed commit does to it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use placet_core::ids::{Iid, PartitionId, Turn};
use placet_core::rows::{AheadPiece, Batch, HistoryRow, LoadedInstance, Lookup, TimerRow};
use placet_core::time::Timestamp;
use placet_store::{ActivePage, Answer, Claim, CommitError, OpenError, Query, ReadError, Store};
use rusqlite::Connection;

use crate::checkpointer::Checkpointer;
use crate::damage::Damage;
use crate::lock::{self, Lock};
use crate::readers::Readers;
use crate::session::{Session, WriteError};
use crate::{entries, lists, open, reads, records, search, terms};

/// How to open a store.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Whether every page is read and checked first: minutes for a file of many gigabytes. Without it, damage
    /// shows when the damaged row is read.
    pub integrity_check: bool,
    /// For tests: what happens to a long log and to a long payload is to happen to short ones.
    #[doc(hidden)]
    pub limits: FileLimits,
}

/// How long what is in the files may be.
#[doc(hidden)]
#[derive(Clone, Copy, Debug)]
pub struct FileLimits {
    /// So many frames (of a page each) wait in the log before the checkpointer is called: 16 MiB.
    pub checkpoint: i64,
    /// Beyond so many it is begun anew: 64 MiB. Under load there is always a frame that is not yet copied, so the
    /// checkpointer alone never lets the log wrap (STORAGE.md, "Pitfalls met"): a commit copies what is left, as soon as that is
    /// little, or where the log has become four times as long.
    pub restart: i64,
    /// Longer payloads are kept apart from their rows, in pieces of so many bytes.
    pub payload: usize,
    /// Of a deleted hub about so many rows are cleared away at a time.
    pub sweep: usize,
    /// So many pages are left free in the file when space is given back: a mebibyte, so that what comes next need not make
    /// it longer again.
    pub free: i64,
    /// So many pages are moved and given back at a time.
    pub give_back: i64,
    /// Of so many published rows at most the index of terms tells something else than they do: each list looks at all of them.
    pub behind: i64,
    /// Of so many entries at most it is not written where they are: whoever goes along a chain looks through them all.
    pub unplaced: i64,
}

impl FileLimits {
    /// So many frames are copied while a commit waits: in some milliseconds.
    pub(crate) fn little(self) -> i64 {
        (self.checkpoint / 16).max(1)
    }
}

impl Default for FileLimits {
    fn default() -> FileLimits {
        FileLimits {
            checkpoint: 4_096,
            restart: 16_384,
            payload: 256 << 10,
            sweep: 250,
            free: 256,
            give_back: 128,
            behind: 256,
            unplaced: 2_048,
        }
    }
}

/// How long a file was, and is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// As it was found.
    pub before: u64,
    /// As it is now.
    pub after: u64,
}

/// A store in one SQLite file, which no other process may use at the same time.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    limits: FileLimits,
    /// Absent after it could not be opened anew: whoever wants it next tries again.
    engine: RwLock<Option<Engine>>,
    /// Whether the last batch is known to be durable, or known not to have been written.
    settled: AtomicBool,
    damage: Damage,
    _lock: Lock,
}

/// All connections to the file.
#[derive(Debug)]
struct Engine {
    // In this order they are closed: the last connection writes the log back into the file, under the lock.
    checkpointer: Checkpointer,
    readers: Readers,
    /// Absent after a failed commit; the next one begins a new session.
    session: Mutex<Option<Session>>,
}

impl Engine {
    fn open(path: &Path, limits: FileLimits) -> rusqlite::Result<Engine> {
        let (checkpointer, readers) = (Checkpointer::start(path)?, Readers::new(path));
        Ok(Engine { checkpointer, readers, session: Mutex::new(Some(Session::open(path, limits)?)) })
    }

    /// Opens them after the disk has failed, and sees that nothing is taken for copied.
    fn open_anew(path: &Path, limits: FileLimits) -> rusqlite::Result<Engine> {
        let mut engine = Engine::open(path, limits)?;
        let session = engine.session.get_mut().unwrap_or_else(PoisonError::into_inner);
        if session.as_ref().map(Session::copied).transpose()? == Some(0) {
            tracing::warn!("the disk had failed; the file was opened anew");
        } else {
            engine.checkpointer.doubt();
            tracing::warn!("the disk had failed, and another program has the file open: its log grows until that ends");
        }
        Ok(engine)
    }

    fn is_in_doubt(&self) -> bool {
        self.checkpointer.is_in_doubt()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let session = self.session.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(session) = session.as_ref().filter(|_| self.checkpointer.is_in_doubt()) {
            session.leave_log();
        }
    }
}

/// The engine, which is there.
struct Opened<'a>(RwLockReadGuard<'a, Option<Engine>>);

impl std::ops::Deref for Opened<'_> {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        self.0.as_ref().expect("looked at under the same lock")
    }
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
            limits: options.limits,
            engine: RwLock::new(Some(Engine::open(path, options.limits).map_err(failed)?)),
            settled: AtomicBool::new(true),
            damage: Damage::default(),
            _lock: lock,
        })
    }

    /// Writes all that is in the file into another one, densely and so that it gives space back from then on, and puts that in
    /// its place: for files of earlier versions, and after much was deleted at once. Takes as much space again meanwhile.
    ///
    /// # Errors
    /// As [`SqliteStore::open`], or if there is no file, or no space for another one: then the file is as it was.
    pub fn compact(path: &Path) -> Result<Compacted, OpenError> {
        let options = Options::default();
        if !open::inspect(path, &options)? {
            let missing = std::io::Error::from(std::io::ErrorKind::NotFound);
            return Err(OpenError::Unwritable { path: path.to_owned(), source: missing.into() });
        }
        let mut lock = Lock::take(path)?;
        let before = open::length(path)?;
        open::prepare(path, &options)?;
        lock.leave_id();
        open::rewrite(path)?;
        Ok(Compacted { before, after: open::length(path)? })
    }

    /// The connections, which are opened anew first if the file is in doubt (`checkpointer.rs`). Not while nobody
    /// knows of the last batch: by opening the file it could come to light, which a later batch makes impossible.
    fn engine(&self) -> rusqlite::Result<Opened<'_>> {
        let place = self.engine.read().unwrap_or_else(PoisonError::into_inner);
        let is_settled = self.settled.load(Ordering::SeqCst);
        if place.as_ref().is_some_and(|engine| !engine.is_in_doubt() || !is_settled) {
            return Ok(Opened(place));
        }
        drop(place);
        let mut place = self.engine.write().unwrap_or_else(PoisonError::into_inner);
        if place.as_ref().is_none_or(Engine::is_in_doubt) {
            // All of them are closed first.
            *place = None;
            *place = Some(Engine::open_anew(&self.path, self.limits)?);
        }
        Ok(Opened(RwLockWriteGuard::downgrade(place)))
    }

    /// Writes in the session. One that met an error or a panic is closed, which rolls back: what it remembers may
    /// not be true any more.
    fn write<T>(
        &self,
        act: impl FnOnce(&Checkpointer, &mut Session) -> Result<T, WriteError>,
    ) -> Result<T, CommitError> {
        let told = |error: WriteError| error.into_commit_error(&self.path);
        let engine = self.engine().map_err(|error| told(error.into()))?;
        let mut place = engine.session.lock().unwrap_or_else(PoisonError::into_inner);
        let mut session = match place.take() {
            Some(session) => session,
            None => Session::open(&self.path, self.limits).map_err(|error| told(error.into()))?,
        };
        let was_settled = self.settled.swap(false, Ordering::SeqCst);
        let done = act(&engine.checkpointer, &mut session).map_err(told);
        match &done {
            Ok(_) => self.settled.store(true, Ordering::SeqCst),
            Err(CommitError::DiskFull { .. }) => self.settled.store(was_settled, Ordering::SeqCst),
            Err(_) => {}
        }
        let done = done?;
        *place = Some(session);
        Ok(done)
    }

    fn read<T>(&self, act: impl FnOnce(&Connection) -> Result<T, ReadError>) -> Result<T, ReadError> {
        self.engine().map_err(|error| ReadError::Unavailable(error.into()))?.readers.read(act)
    }
}

/// Writes something, and sees to the log before and after it.
fn add_to_log<T>(
    checkpointer: &Checkpointer,
    session: &mut Session,
    write: impl FnOnce(&mut Session) -> Result<T, WriteError>,
) -> Result<T, WriteError> {
    if session.wants_restart() {
        // A checkpoint that runs would make the restart fail. It is awaited only if it must be: whoever is in this commit waits, too.
        let must = session.must_restart();
        let pause = if must { Some(checkpointer.pause()) } else { checkpointer.try_pause() };
        if pause.is_some() && (must || session.has_little_to_copy()) && !checkpointer.is_in_doubt() {
            session.restart_log().inspect_err(|error| checkpointer.failed(error))?;
        }
    }
    let done = write(session)?;
    if session.wants_checkpoint() {
        checkpointer.call();
    }
    Ok(done)
}

impl Store for SqliteStore {
    fn claim(&self) -> Result<Claim, CommitError> {
        self.write(|_, session| session.claim())
    }

    fn commit(&self, batch: &Batch) -> Result<Duration, CommitError> {
        self.write(|checkpointer, session| add_to_log(checkpointer, session, |session| session.commit(batch)))
    }

    fn write_ahead(&self, piece: &AheadPiece) -> Result<(), CommitError> {
        self.write(|checkpointer, session| add_to_log(checkpointer, session, |session| session.write_ahead(piece)))
    }

    fn sweep(&self) -> Result<bool, CommitError> {
        if !self.settled.load(Ordering::SeqCst) {
            // Nobody knows of the last batch: the next one is to settle it.
            return Ok(true);
        }
        self.write(|checkpointer, session| {
            if session.has_much_to_copy() {
                checkpointer.call();
                return Ok(true);
            }
            if session.wants_log_empty() {
                // A checkpoint that runs would make it fail; it is awaited.
                let _pause = checkpointer.pause();
                if !checkpointer.is_in_doubt() {
                    return Ok(session.empty_log().inspect_err(|error| checkpointer.failed(error))?);
                }
            }
            add_to_log(checkpointer, session, Session::sweep)
        })
    }

    fn recover(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<Iid>,
        limit: usize,
        bytes_max: usize,
    ) -> Result<ActivePage, ReadError> {
        self.read(|connection| reads::recover(connection, partitions, after, limit, bytes_max, &self.damage))
    }

    fn load(&self, lookups: &[Lookup]) -> Result<Vec<Option<LoadedInstance>>, ReadError> {
        self.read(|connection| lookups.iter().map(|lookup| reads::load(connection, lookup)).collect())
    }

    fn history(&self, iid: Iid, from: Turn, bytes_max: usize) -> Result<Vec<HistoryRow>, ReadError> {
        self.read(|connection| reads::history(connection, iid, from, bytes_max))
    }

    fn due(
        &self,
        partitions: &dyn Fn(PartitionId) -> bool,
        after: Option<TimerRow>,
        until: Timestamp,
        limit: usize,
    ) -> Result<Vec<TimerRow>, ReadError> {
        self.read(|connection| reads::due(connection, partitions, after, until, limit, &self.damage))
    }

    fn query(&self, query: &Query) -> Result<Answer, ReadError> {
        self.read(|connection| match query {
            Query::Hubs => reads::hubs(connection).map(Answer::Hubs),
            Query::Published { hub, kind, key } => reads::published(connection, hub, kind, key).map(Answer::Published),
            Query::Listing(listing) => terms::list(connection, listing, &self.damage).map(Answer::Listed),
            Query::Heads(hub) => entries::heads(connection, hub).map(Answer::Heads),
            Query::Entries(list) => entries::list(connection, list, &self.damage).map(Answer::Entries),
            Query::Instances(list) => lists::page(connection, list, &self.damage).map(Answer::Instances),
            Query::Search(search) => search::search(connection, search, &self.damage).map(Answer::Found),
            Query::Overview(hub) => search::overview(connection, hub).map(Answer::Overview),
            Query::Record(key) => records::one(connection, key).map(Answer::Record),
            Query::Records(list) => records::list(connection, list, &self.damage).map(Answer::Records),
            Query::Expired { until, limit } => {
                records::expired(connection, *until, *limit, &self.damage).map(Answer::Expired)
            }
            Query::Instance(key) => reads::row(connection, key).map(|row| Answer::Instance(row.map(Box::new))),
        })
    }
}

#[cfg(test)]
mod tests;
