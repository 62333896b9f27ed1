//! The threads that wait for the store, so that the core never does: one that commits, some that read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use placet_core::outcome::HistoryRead;
use placet_core::rows::{AheadPiece, Batch, ReadFailure};
use placet_core::shard::{CommitFailure, ExpiredRead, Input, LoadRead, RecordRead, RecoverRead};
use placet_core::timers::DueRead;
use placet_store::{Answer, CommitError, Query, ReadError, Remedy, Store};

use super::{Hearers, Message, WallClock};
use crate::health::Health;
use crate::metrics::{Metrics, ReadKind};

/// Threads that read for the core: one may be held up by a long history while another loads.
const READERS: usize = 2;

/// The most history that is read for one turn: more than `Limits::history_bytes` lets any instance have that goes on, so
/// that none is ever cut short.
const HISTORY_BYTES_MAX: usize = 256 << 20;

/// How often the store is tried while a commit is owed and no batch comes.
const PROBE_EVERY: Duration = Duration::from_secs(2);

/// A sweep that is due for so long is made though batches wait, so that it comes to an end.
const SWEEP_PATIENCE: Duration = Duration::from_millis(100);

/// A sweep rests for so long at least: it may be that the store has to do something else first.
const SWEEP_REST: Duration = Duration::from_millis(2);

/// After instances were deleted it is looked so much later whether there is space to give back: others follow, as a rule.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(5);

/// When a sweep that failed is tried again.
const SWEEP_AGAIN: Duration = Duration::from_secs(60);

/// Something to be written. There is one of each at a time.
#[derive(Debug)]
enum Work {
    Commit(Box<Batch>),
    Ahead(u64, Box<AheadPiece>),
}

/// Something to be read.
#[derive(Debug)]
pub(super) enum Read {
    Load(LoadRead),
    History(HistoryRead),
    Timers(DueRead),
    Active(RecoverRead),
    Record(Box<RecordRead>),
    Expired(ExpiredRead),
}

#[derive(Debug)]
pub(super) struct Io {
    work: Option<Sender<Work>>,
    reads: Option<Sender<Read>>,
    commit_answers: Receiver<Input>,
    threads: Vec<JoinHandle<()>>,
}

impl Io {
    pub(super) fn start(
        store: Arc<dyn Store>,
        core: Sender<Message>,
        health: Arc<Health>,
        metrics: Metrics,
        hearers: Hearers,
        clock: WallClock,
    ) -> std::io::Result<Io> {
        let (work, to_do) = channel();
        let (reads, to_read) = channel();
        let (answer, commit_answers) = channel();
        let to_read = Arc::new(Mutex::new(to_read));
        let mut threads = Vec::new();
        {
            let (core, metrics) = (core.clone(), metrics.clone());
            // An earlier process may have left something.
            let mut committer = Committer::new(store.clone(), to_do, health, clock);
            committer.sweep_at = Some(Instant::now());
            committer.hearers = hearers;
            let run = move || committer.run(&answer, &core, &metrics);
            threads.push(std::thread::Builder::new().name("placet-commit".into()).spawn(run)?);
        }
        for _ in 0..READERS {
            let (store, core, to_read, metrics) = (store.clone(), core.clone(), to_read.clone(), metrics.clone());
            let run = move || read_all(&*store, &to_read, &core, &metrics);
            threads.push(std::thread::Builder::new().name("placet-read".into()).spawn(run)?);
        }
        Ok(Io { work: Some(work), reads: Some(reads), commit_answers, threads })
    }

    pub(super) fn commit(&self, batch: Box<Batch>) {
        self.work(Work::Commit(batch));
    }

    pub(super) fn write_ahead(&self, number: u64, piece: Box<AheadPiece>) {
        self.work(Work::Ahead(number, piece));
    }

    fn work(&self, work: Work) {
        if let Some(to_do) = &self.work {
            to_do.send(work).expect("the committer ends after the core");
        }
    }

    /// What the committer says of the batch that it has, once.
    pub(super) fn commit_answer(&self) -> Option<Input> {
        self.commit_answers.try_recv().ok()
    }

    pub(super) fn read(&self, read: Read) {
        if let Some(reads) = &self.reads {
            reads.send(read).expect("the readers end after the core");
        }
    }

    /// Waits for the threads to end.
    pub(super) fn stop(&mut self) {
        self.work = None;
        self.reads = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has told of it; nothing it had was promised.
            drop(thread.join());
        }
    }
}

/// The thread that writes.
struct Committer {
    store: Arc<dyn Store>,
    work: Receiver<Work>,
    health: Arc<Health>,
    clock: WallClock,
    /// A piece of a long row, which waits until no batch does.
    piece: Option<(u64, Box<AheadPiece>)>,
    /// When to clear away more of what deleted hubs have left, or to give back more of the file, if there may be any.
    sweep_at: Option<Instant>,
    hearers: Hearers,
}

impl Committer {
    fn new(store: Arc<dyn Store>, work: Receiver<Work>, health: Arc<Health>, clock: WallClock) -> Committer {
        Committer { store, work, health, clock, piece: None, sweep_at: None, hearers: Hearers::default() }
    }

    fn run(&mut self, answers: &Sender<Input>, core: &Sender<Message>, metrics: &Metrics) {
        while let Some(work) = self.next_work() {
            let is_heard = match work {
                // Beside the other messages, since the next batch should not wait for what waits there.
                Work::Commit(batch) => {
                    answers.send(self.commit(&batch, metrics)).is_ok() && core.send(Message::CommitAnswered).is_ok()
                }
                Work::Ahead(number, piece) => {
                    core.send(Message::Input(Input::WrittenAhead(number, self.write_ahead(&piece)))).is_ok()
                }
            };
            if !is_heard {
                return;
            }
        }
    }

    fn commit(&mut self, batch: &Batch, metrics: &Metrics) -> Input {
        let id = batch.id.expect("the core numbers its batches");
        self.health.commit_begins();
        let begin = Instant::now();
        let answer = match commit(&*self.store, batch) {
            Ok(durable) => {
                self.health.commit_succeeded();
                let took = begin.elapsed();
                metrics.committed(batch, took, durable);
                self.hearers.committed(batch);
                Input::Committed(id, took)
            }
            Err(failure) => {
                metrics.commit_failed();
                Input::CommitFailed(id, failure)
            }
        };
        if !batch.hubs_deleted.is_empty() {
            self.sweep_at = Some(Instant::now());
        } else if !batch.instances_deleted.is_empty() {
            self.sweep_at.get_or_insert_with(|| Instant::now() + GIVE_BACK_AFTER);
        }
        answer
    }

    /// Writes a piece of a long row.
    fn write_ahead(&mut self, piece: &AheadPiece) -> Result<(), CommitFailure> {
        self.health.commit_begins();
        let written = contained(|| self.store.write_ahead(piece), CommitError::Unavailable);
        match written {
            Ok(()) => {
                self.health.commit_succeeded();
                Ok(())
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "a piece of a long row was not written");
                Err(failure(&error))
            }
        }
    }

    /// The next batch or, while there is none, the next piece of a long row; nothing once the core has ended. While there is
    /// nothing, what deleted hubs have left is cleared away, and space given back.
    /// While the last commit is still owed, the store is tried from time to time, so that readiness comes back though a
    /// server that is not ready gets no work.
    fn next_work(&mut self) -> Option<Work> {
        loop {
            let owes = self.health.owes_commit();
            let now = Instant::now();
            let sweep_due = self.sweep_at.filter(|_| !owes);
            if sweep_due.is_some_and(|at| now.saturating_duration_since(at) > SWEEP_PATIENCE) {
                self.sweep();
                continue;
            }
            let due = if self.piece.is_some() {
                Some(now)
            } else if owes {
                Some(now + PROBE_EVERY)
            } else {
                sweep_due
            };
            let received = match due {
                Some(due) => self.work.recv_timeout(due.saturating_duration_since(now)),
                None => self.work.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match received {
                Ok(Work::Commit(batch)) => return Some(Work::Commit(batch)),
                Ok(Work::Ahead(number, piece)) => self.piece = Some((number, piece)),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => match self.piece.take() {
                    Some((number, piece)) => return Some(Work::Ahead(number, piece)),
                    None if owes => self.probe(),
                    None => self.sweep(),
                },
            }
        }
    }

    fn probe(&self) {
        // Only the time, which makes a row change.
        let probe = Batch { newest: self.clock.now(), ..Batch::default() };
        if commit(&*self.store, &probe).is_ok() {
            self.health.commit_succeeded();
        }
    }

    /// Clears away a piece of what deleted hubs have left, or gives back a piece of the file, then rests for as long as it
    /// took: half of the disk is for whoever commits.
    fn sweep(&mut self) {
        self.health.commit_begins();
        let begin = Instant::now();
        self.sweep_at = match contained(|| self.store.sweep(), CommitError::Unavailable) {
            Ok(more) => {
                self.health.commit_succeeded();
                more.then(|| Instant::now() + begin.elapsed().max(SWEEP_REST))
            }
            Err(error) => {
                tracing::error!(error = &error as &dyn std::error::Error, "what was deleted is not cleared away");
                Some(Instant::now() + SWEEP_AGAIN)
            }
        };
    }
}

fn commit(store: &dyn Store, batch: &Batch) -> Result<Duration, CommitFailure> {
    contained(|| store.commit(batch), CommitError::Unavailable).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a commit failed");
        failure(&error)
    })
}

fn failure(error: &CommitError) -> CommitFailure {
    match error.remedy() {
        Remedy::RefuseNewWork => CommitFailure::Full,
        Remedy::GiveUpPartition | Remedy::Reload => CommitFailure::Unknown,
    }
}

fn read_all(store: &dyn Store, reads: &Mutex<Receiver<Read>>, core: &Sender<Message>, metrics: &Metrics) {
    loop {
        let next = reads.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(read) = next else { return };
        let (kind, begin) = (kind_of(&read), Instant::now());
        let answer = answer(store, read);
        metrics.read(kind, begin.elapsed());
        if core.send(Message::Input(answer)).is_err() {
            return;
        }
    }
}

fn kind_of(read: &Read) -> ReadKind {
    match read {
        Read::Load(_) => ReadKind::Instances,
        Read::History(_) => ReadKind::History,
        Read::Timers(_) => ReadKind::Timers,
        Read::Active(_) => ReadKind::Active,
        Read::Record(_) | Read::Expired(_) => ReadKind::Records,
    }
}

fn answer(store: &dyn Store, read: Read) -> Input {
    match read {
        Read::Load(read) => {
            let found = contained(|| store.load(std::slice::from_ref(&read.lookup)), ReadError::Unavailable)
                .map(|mut found| found.pop().flatten());
            Input::Loaded(read, found.map_err(failure_of))
        }
        Read::History(read) => {
            let rows = contained(|| store.history(read.iid, read.from, HISTORY_BYTES_MAX), ReadError::Unavailable)
                .map_err(told);
            Input::HistoryRead(read, rows.map(|rows| rows.into_iter().map(|row| row.events).collect()))
        }
        Read::Timers(read) => {
            let rows = contained(|| store.due(&|_| true, read.after, read.until, read.limit), ReadError::Unavailable)
                .map_err(told);
            Input::TimersRead(read, rows)
        }
        Read::Active(read) => {
            let page =
                contained(|| store.recover(&|_| true, read.after, read.limit, read.bytes_max), ReadError::Unavailable)
                    .map_err(told);
            Input::Recovered(read, page.map(|page| (page.instances, page.next)))
        }
        Read::Record(read) => {
            let answer = contained(|| store.query(&Query::Record(read.key.clone())), ReadError::Unavailable);
            let found = answer.map(|answer| if let Answer::Record(row) = answer { row } else { None });
            Input::RecordLoaded(read, found.map_err(failure_of))
        }
        Read::Expired(read) => {
            let query = Query::Expired { until: read.until, limit: read.limit };
            let answer = contained(|| store.query(&query), ReadError::Unavailable).map_err(told);
            let found = answer.map(|answer| if let Answer::Expired(keys) = answer { keys } else { Vec::new() });
            Input::ExpiredFound(read, found)
        }
    }
}

/// A panic of the store is an answer, too, of which nobody knows what it did: the core waits for one, and the thread has
/// more to do.
fn contained<T, E>(
    act: impl FnOnce() -> Result<T, E>,
    unavailable: impl FnOnce(Box<dyn std::error::Error + Send + Sync>) -> E,
) -> Result<T, E> {
    catch_unwind(AssertUnwindSafe(act)).unwrap_or_else(|_| Err(unavailable("the store panicked".into())))
}

/// Writes a failed read down, and passes it on in one line.
fn told(error: ReadError) -> String {
    tracing::error!(error = &error as &dyn std::error::Error, "a read failed");
    error.to_string()
}

/// The same of a load, with whether it is worth another try.
fn failure_of(error: ReadError) -> ReadFailure {
    match error {
        ReadError::Damaged { .. } => ReadFailure::Damaged(told(error)),
        _ => ReadFailure::Unavailable(told(error)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use placet_core::ids::{Iid, Seq};
    use placet_core::rows::PayloadKey;

    use super::*;
    use crate::test_store::TestStore;

    #[test]
    fn a_sweep_lets_batches_go_first_and_does_not_wait_for_ever() {
        let store = Arc::new(TestStore::default());
        let (sender, work) = channel();
        let mut committer = Committer::new(store.clone(), work, Arc::default(), WallClock::Real);
        let mut next_batch = |due: Duration| {
            committer.sweep_at = Instant::now().checked_sub(due);
            sender.send(Work::Commit(Box::default())).unwrap();
            committer.next_work().unwrap();
        };
        store.leave_to_sweep(2);
        next_batch(Duration::ZERO);
        assert_eq!(store.left_to_sweep(), 2);
        next_batch(2 * SWEEP_PATIENCE);
        assert_eq!(store.left_to_sweep(), 1);
        drop(sender);
        assert!(committer.next_work().is_none(), "it ends with the core, whatever is left");
    }

    #[test]
    fn pieces_of_long_rows_let_batches_go_first() {
        let (sender, work) = channel();
        let mut committer = Committer::new(Arc::<TestStore>::default(), work, Arc::default(), WallClock::Real);
        let is_batch = |committer: &mut Committer| matches!(committer.next_work(), Some(Work::Commit(_)));
        let piece = || {
            let of = PayloadKey::Inbox(Iid(1), Seq(1));
            Work::Ahead(1, Box::new(AheadPiece { of, part: 0, data: Bytes::new() }))
        };
        sender.send(piece()).unwrap();
        sender.send(Work::Commit(Box::default())).unwrap();
        assert!(is_batch(&mut committer), "it came after the piece, and goes first");
        assert!(!is_batch(&mut committer), "then comes the piece");
    }
}
