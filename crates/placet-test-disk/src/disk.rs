//! The disk under one folder: it counts what is asked of it, records what is done, and fails as it is told.

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use crate::fault::{Call, Fault, Kind};
use crate::trace::{Event, Trace};
use crate::vfs;

/// Every disk of this process, by its folder.
static DISKS: Mutex<Vec<Arc<State>>> = Mutex::new(Vec::new());

/// The disk under a folder. It stands until it is dropped; what SQLite has open then goes on undisturbed.
#[derive(Debug)]
pub struct Disk(Arc<State>);

impl Disk {
    /// Puts a disk under a folder that is there. Only what is opened from now on is on it.
    ///
    /// # Panics
    /// If the folder is not there.
    pub fn under(folder: &Path) -> Disk {
        vfs::register();
        let folder = folder.canonicalize().expect("the folder is there");
        let state = Arc::new(State { folder, inner: Mutex::default() });
        lock(&DISKS).push(state.clone());
        Disk(state)
    }

    /// Begins a record with the files as they are.
    ///
    /// # Panics
    /// If the folder cannot be read.
    pub fn record(&self) {
        let mut inner = lock(&self.0.inner);
        inner.trace = Some(Trace { before: self.contents(), events: Vec::new() });
    }

    /// Ends the record.
    ///
    /// # Panics
    /// If none was begun.
    pub fn recorded(&self) -> Trace {
        lock(&self.0.inner).trace.take().expect("a record was begun")
    }

    /// Writes a mark into the record.
    pub fn mark(&self, mark: u64) {
        lock(&self.0.inner).note(|| Event::Mark(mark));
    }

    /// Has something fail; counting begins now.
    pub fn fail(&self, fault: Fault) {
        let mut inner = lock(&self.0.inner);
        inner.asked.clear();
        (inner.met, inner.failed) = (0, 0);
        inner.fault = Some(fault);
    }

    /// Has nothing fail any more. How many times something did.
    pub fn heal(&self) -> u64 {
        let mut inner = lock(&self.0.inner);
        inner.fault = None;
        inner.failed
    }

    /// How many times something failed since [`Disk::fail`].
    pub fn failed(&self) -> u64 {
        lock(&self.0.inner).failed
    }

    /// How often a sync of files whose names end so has failed that this thread had asked for.
    pub fn syncs_failed_here(&self, of: &str) -> usize {
        let here = std::thread::current().id();
        let inner = lock(&self.0.inner);
        inner.syncs_failed.iter().filter(|(thread, name)| *thread == here && name.ends_with(of)).count()
    }

    /// How often each thing was asked, since the last call or [`Disk::fail`].
    pub fn asked(&self) -> BTreeMap<Call, u64> {
        std::mem::take(&mut lock(&self.0.inner).asked)
    }

    /// The files of the folder as a process that reads them finds them. Not while SQLite has them open in several
    /// processes: the system ends a process's locks on a file with any of its descriptors.
    ///
    /// # Panics
    /// If the folder cannot be read.
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(&self.0.folder).expect("the folder can be read");
        let files = entries.map(|entry| entry.expect("the folder can be read").path()).filter(|path| path.is_file());
        files.map(|path| (name(&path), std::fs::read(&path).expect("the file can be read"))).collect()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        lock(&DISKS).retain(|state| !Arc::ptr_eq(state, &self.0));
        let mut inner = lock(&self.0.inner);
        (inner.fault, inner.trace) = (None, None);
    }
}

/// The disk that a file is on, if there is one under its folder, and the file's name there.
pub(crate) fn find(path: &Path) -> Option<(Arc<State>, String)> {
    let folder = path.parent()?;
    let state = lock(&DISKS).iter().find(|state| state.folder == folder).cloned()?;
    Some((state, name(path)))
}

fn name(path: &Path) -> String {
    path.file_name().expect("files have names").to_string_lossy().into_owned()
}

#[derive(Debug)]
pub(crate) struct State {
    folder: PathBuf,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    asked: BTreeMap<Call, u64>,
    fault: Option<Fault>,
    /// How often what is to fail was asked.
    met: u64,
    failed: u64,
    syncs_failed: Vec<(ThreadId, String)>,
    trace: Option<Trace>,
}

impl State {
    /// Carries out what is asked, or fails. The order of the record is the order of what was done.
    pub(crate) fn ask(
        &self,
        call: Call,
        name: &str,
        done: impl FnOnce(Option<Kind>) -> c_int,
        event: impl FnOnce(Option<Kind>) -> Option<Event>,
    ) -> c_int {
        let mut inner = lock(&self.inner);
        let fails = inner.fails(call, name);
        let code = match fails {
            Some(kind) => {
                if call == Call::Sync {
                    inner.syncs_failed.push((std::thread::current().id(), name.to_owned()));
                }
                if kind == Kind::Short {
                    // What it could write, it did.
                    done(Some(kind));
                }
                call.code(kind)
            }
            None => done(None),
        };
        if (fails.is_some() || code == rusqlite::ffi::SQLITE_OK)
            && let Some(event) = event(fails)
        {
            inner.note(|| event);
        }
        code
    }
}

impl Inner {
    fn note(&mut self, event: impl FnOnce() -> Event) {
        if let Some(trace) = &mut self.trace {
            trace.events.push(event());
        }
    }

    fn fails(&mut self, call: Call, name: &str) -> Option<Kind> {
        *self.asked.entry(call).or_default() += 1;
        let fault = self.fault.filter(|fault| fault.call == call && name.ends_with(fault.of))?;
        self.met += 1;
        let now = self.met == fault.after + 1 || fault.for_ever && self.met > fault.after;
        self.failed += u64::from(now);
        now.then_some(fault.kind)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
