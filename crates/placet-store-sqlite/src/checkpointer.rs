//! Copying the log into the file, on a thread of its own, so that no commit waits for it. It never lets the log
//! begin anew while there are commits; the committer does that (`session.rs`), seldom and with little left to copy.

use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;

use crate::connection;
use crate::statements as sql;

/// The thread; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Checkpointer {
    /// Absent only while it ends. Holds one call: a second one, meanwhile, would ask for the same.
    calls: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
    at_work: Arc<Mutex<()>>,
}

impl Checkpointer {
    pub(crate) fn start(path: &Path) -> rusqlite::Result<Checkpointer> {
        let connection = connection::checkpointer(path)?;
        let (calls, called) = sync_channel(1);
        let at_work = Arc::default();
        let shared = Arc::clone(&at_work);
        let run = move || run(&connection, &called, &shared);
        let thread = thread::Builder::new().name("placet-checkpoints".to_owned()).spawn(run);
        let thread = thread.expect("a process that is starting can start a thread");
        Ok(Checkpointer { calls: Some(calls), thread: Some(thread), at_work })
    }

    /// Asks for a checkpoint and does not wait for it.
    pub(crate) fn call(&self) {
        if let Some(calls) = &self.calls {
            // Full: one is asked for already.
            let _ = calls.try_send(());
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

fn run(connection: &Connection, called: &Receiver<()>, at_work: &Mutex<()>) {
    while called.recv().is_ok() {
        let _at_work = at_work.lock().unwrap_or_else(PoisonError::into_inner);
        let done = connection.query_row(sql::CHECKPOINT, [], |_| Ok(()));
        if let Err(error) = done {
            // Nothing is lost: the log keeps what was not copied, and the next call copies it all again.
            tracing::warn!(error = &error as &dyn std::error::Error, "the log was not copied into the file");
        }
    }
}
