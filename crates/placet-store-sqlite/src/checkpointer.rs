//! Copying the log into the file, on a thread of its own, so that no commit waits for it. It never lets the log
//! begin anew while there are commits; the committer does that (`session.rs`), seldom and with little left to copy.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};

use rusqlite::{Connection, ErrorCode};

use crate::connection;
use crate::statements as sql;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// Absent only while it ends. Holds one call: a second one, meanwhile, would ask for the same.
    calls: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    at_work: Arc<Mutex<()>>,
    doubt: Arc<AtomicBool>,
}

impl Checkpointer {
    pub(crate) fn start(path: &Path) -> rusqlite::Result<Checkpointer> {
        let connection = connection::checkpointer(path)?;
        let (calls, called) = sync_channel(1);
        let (at_work, doubt): (Arc<Mutex<()>>, Arc<AtomicBool>) = Default::default();
        let (shared, doubted) = (Arc::clone(&at_work), Arc::clone(&doubt));
        let run = move || run(&connection, &called, &shared, &doubted);
        let thread = thread::Builder::new().name("placet-checkpoints".to_owned()).spawn(run);
        let thread = thread.expect("a process that is starting can start a thread");
        Ok(Checkpointer { calls: Some(calls), thread: Some(thread), at_work, doubt })
    }

    /// Whether pages of the file may be lost that SQLite takes for copied.
    pub(crate) fn is_in_doubt(&self) -> bool {
        self.doubt.load(Ordering::SeqCst)
    }

    /// Copies nothing more.
    pub(crate) fn doubt(&self) {
        self.doubt.store(true, Ordering::SeqCst);
    }

    /// A copy of the log failed.
    pub(crate) fn failed(&self, error: &rusqlite::Error) {
        note(&self.doubt, error);
    }

    /// Asks for a checkpoint and does not wait for it.
    pub(crate) fn call(&self) {
        if let Some(calls) = &self.calls {
            // Full: one is asked for already.
            let _ = calls.try_send(());
        }
    }

    /// If none runs: none begins while this is held.
    pub(crate) fn try_pause(&self) -> Option<MutexGuard<'_, ()>> {
        match self.at_work.try_lock() {
            Ok(pause) => Some(pause),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Waits for a checkpoint that runs; none begins while this is held.
    pub(crate) fn pause(&self) -> MutexGuard<'_, ()> {
        self.at_work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.calls = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked it has told of it, and the log is written back when the store is opened again.
            drop(thread.join());
        }
    }
}

fn run(connection: &Connection, called: &Receiver<()>, at_work: &Mutex<()>, doubt: &AtomicBool) {
    while called.recv().is_ok() {
        let _at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        if doubt.load(Ordering::SeqCst) {
            continue;
        }
        let done = connection.query_row(sql::CHECKPOINT, [], |_| Ok(()));
        if let Err(error) = done {
            // Nothing is lost: the log keeps what was not copied, and the next call copies it all again.
            tracing::warn!(error = &error as &dyn std::error::Error, "the log was not copied into the file");
            note(doubt, &error);
        }
    }
    if doubt.load(Ordering::SeqCst) {
        connection::leave_log(connection);
    }
}

/// No room and no patience are no reason for doubt: nothing failed that was taken for done.
fn note(doubt: &AtomicBool, error: &rusqlite::Error) {
    if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
        doubt.store(true, Ordering::SeqCst);
    }
}
