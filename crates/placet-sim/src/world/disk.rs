//! The simulated disk, over the model store.
//!
//! Which faults are fair: a batch is written whole or not at all (the engine's transactions are atomic, and its own
//! tests show that); whether it was written may stay unknown; a crash may come before or after the write; reads may
//! fail, and may be answered in any order. Not fair: a batch that was reported as written and is gone, or a read
//! that lacks one. The next fault model, real SQLite on faulty files, takes those on.

use bytes::Bytes;
use placet_approval::{Details, Entry, RequestRow, terms};
use placet_core::body::InboxMessage;
use placet_core::command::is_terminal;
use placet_core::ids::{BatchId, Iid, Turn};
use placet_core::outcome::HistoryRead;
use placet_core::rows::{Batch, ReadFailure};
use placet_core::shard::{CommitFailure, ExpiredRead, Input, LoadRead, RecordRead, RecoverRead};
use placet_core::timers::DueRead;
use placet_proto::durabletask::{HistoryEvent, history_event::EventType};
use placet_store::model::ModelStore;
use placet_store::{Answer, Query, Store as _};
use prost::Message as _;

use super::ahead::LyingAhead;
use super::ledger::{Life, Wrote};
use super::server::Arrival;
use super::{Event, Mark, ProcessId, SECOND, Violation, World};
use crate::expectations::micros;
use crate::facts::{Fact, id_of};
use crate::struck::FaultKind;

#[derive(Debug, Default)]
pub(super) struct Disk {
    pub(super) store: ModelStore,
    pub(super) ahead: LyingAhead,
    writing: Option<Writing>,
}

/// A batch that is with the disk.
#[derive(Debug)]
struct Writing {
    process: ProcessId,
    batch: Box<Batch>,
    fate: Fate,
    began: u64,
    written: bool,
}

/// What becomes of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Good,
    Lost,
    WrittenUnknown,
    Full,
}

impl Fate {
    fn writes(self) -> bool {
        matches!(self, Fate::Good | Fate::WrittenUnknown)
    }
}

/// How far a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiskStep {
    Writes(BatchId),
    Answers(BatchId),
}

/// What is to be read.
#[derive(Debug)]
pub(crate) enum ReadAsk {
    Load(LoadRead),
    History(HistoryRead),
    Timers(DueRead),
    Recover(RecoverRead),
    Record(Box<RecordRead>),
    Expired(ExpiredRead),
}

/// The most history that is read for one turn.
const HISTORY_BYTES_MAX: usize = 256 << 20;

impl World {
    pub(super) fn commit(&mut self, process: ProcessId, batch: Box<Batch>) -> Result<(), Violation> {
        let id = batch.id.expect("the core numbers its batches");
        if self.disk.writing.is_some() {
            return Err("two batches are with the disk at once".into());
        }
        let fate = if self.goes_wrong(FaultKind::CommitLost) {
            Fate::Lost
        } else if self.goes_wrong(FaultKind::CommitUnknown) {
            Fate::WrittenUnknown
        } else if self.goes_wrong(FaultKind::CommitFull) {
            Fate::Full
        } else {
            Fate::Good
        };
        let hangs = if self.goes_wrong(FaultKind::DiskHangs) { self.pause() } else { 0 };
        let answers = self.chance.skewed(100, self.plan.commit_max) + hangs;
        if hangs > 0 {
            // Until then nothing that is decided can go on.
            self.wrong(self.now + answers);
        }
        let writes = self.chance.between(0, answers);
        if hangs > 0 || fate != Fate::Good {
            self.trouble(answers + 3 * SECOND);
        }
        if self.goes_wrong(FaultKind::CrashInCommit) {
            let at = self.chance.between(0, answers);
            self.after(at, Event::Fault(super::faults::Fault::Crash));
        }
        self.counts.commits += 1;
        self.trace.note(self.now, &[1, id.0, answers], || {
            format!("batch {id} goes to the disk ({fate:?}): {}", told(&batch))
        });
        self.disk.writing = Some(Writing { process, batch, fate, began: self.now, written: false });
        self.after(writes, Event::Disk(process, DiskStep::Writes(id)));
        self.after(answers, Event::Disk(process, DiskStep::Answers(id)));
        Ok(())
    }

    pub(super) fn disk_goes_on(&mut self, process: ProcessId, step: DiskStep) -> Result<(), Violation> {
        let Some(writing) = &self.disk.writing else { return Ok(()) };
        let (DiskStep::Writes(id) | DiskStep::Answers(id)) = step;
        if writing.process != process || writing.batch.id != Some(id) {
            return Ok(()); // of a process that died
        }
        match step {
            DiskStep::Writes(_) if writing.fate.writes() => self.write(),
            DiskStep::Writes(_) => Ok(()),
            DiskStep::Answers(_) => {
                if writing.fate.writes() && !writing.written {
                    self.write()?;
                }
                self.answer_commit();
                Ok(())
            }
        }
    }

    fn write(&mut self) -> Result<(), Violation> {
        let Some(writing) = &mut self.disk.writing else { return Ok(()) };
        if std::mem::replace(&mut writing.written, true) {
            return Ok(());
        }
        let incarnation = self.process.as_ref().map_or(0, |process| process.incarnation);
        for (partition, epoch) in &writing.batch.fences {
            // A batch of a process that died is written under its own incarnation, before the next one begins.
            if incarnation != 0 && epoch.incarnation != incarnation {
                let what = format!("a batch writes partition {partition} in epoch {epoch}, of another incarnation");
                return Err(what.into());
            }
        }
        for hub in &writing.batch.hubs_deleted {
            let page = self.disk.store.recover(&|_| true, None, usize::MAX, usize::MAX);
            if page.is_ok_and(|page| page.instances.iter().any(|found| found.row.hub == *hub)) {
                self.marks.reach(Mark::HubDeletedAlive);
            }
        }
        let written = self.disk.store.commit(&writing.batch);
        written.map_err(|error| {
            let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
            format!("a batch contradicts the store: {cause}")
        })?;
        let batch = std::mem::take(&mut *writing.batch);
        let id = batch.id;
        self.disk.ahead.take(&batch)?;
        self.recorded(&batch)?;
        if let Some(writing) = &mut self.disk.writing {
            writing.batch.id = id;
        }
        Ok(())
    }

    /// Looks at what has become history, and at the timers that are over.
    fn recorded(&mut self, batch: &Batch) -> Result<(), Violation> {
        let Wrote { appended, unqueued } = self.ledger.wrote(self.now, batch)?;
        self.look_at_unqueued(unqueued)?;
        for (iid, from) in appended {
            let Some(history) = self.ledger.lives.get(&iid).map(|life| life.history.clone()) else { continue };
            for event in &history[from..] {
                if let Some(EventType::TimerFired(fired)) = &event.event_type {
                    let due = fired.fire_at.as_ref().map(micros).unwrap_or_default();
                    // The server's word for when is not enough: no clock of its can have been there yet.
                    let at = event.timestamp.as_ref().map(micros).unwrap_or_default().min(self.wall_newest);
                    self.see(&Fact::Fired { due, at })?;
                }
            }
        }
        self.progress.wrote_at = self.now;
        let written = batch.instances_inserted.iter().chain(batch.instances_updated.iter().map(|(row, _)| row));
        let has_work = |iid: &Iid| self.ledger.lives.get(iid).is_some_and(Life::has_work);
        let active: Vec<_> = written.map(|row| row.iid).filter(has_work).collect();
        self.note_active(active.into_iter());
        self.look_at_entries(batch)?;
        self.look_at_published(batch)?;
        self.timers_gone.extend(batch.timers_deleted.iter().map(|_| self.now));
        for row in &batch.timers_put {
            self.timers_made.insert(*row, self.now);
        }
        for row in &batch.timers_deleted {
            let due = row.fire_at.0 - super::WALL_BEGIN - self.wall_offset;
            // One that is made when its time is over is due when it is made.
            let made = self.timers_made.remove(row).unwrap_or_default();
            let due = u64::try_from(due).unwrap_or(0).max(made);
            if due >= self.trouble_until && self.now >= self.trouble_until {
                let slack = self.timers_slack();
                self.see(&Fact::TimerOver { late: self.now.saturating_sub(due), slack })?;
            }
        }
        for (iid, _) in &batch.history_dropped {
            let is_request = |life: &Life| *life.row.name == *placet_approval::ORCHESTRATION;
            let approval = self.ledger.lives.get(iid).is_some_and(is_request);
            self.reach(if approval { Mark::ApprovalContinued } else { Mark::ContinuedAsNew });
        }
        Ok(())
    }

    /// What a batch takes off an inbox goes on in the history, or in the next generation's inbox.
    fn look_at_unqueued(&mut self, unqueued: Vec<(Iid, Bytes)>) -> Result<(), Violation> {
        for (iid, data) in unqueued {
            let Some(life) = self.ledger.lives.get(&iid).filter(|life| !is_terminal(life.row.status)) else { continue };
            let event = event_of(data).map_err(|error| format!("a message cannot be read: {error}"))?;
            let Some(id) = id_of(&event) else { continue };
            let is_it = |other: &HistoryEvent| id_of(other) == Some(id);
            let is_there = life.history.iter().rev().any(is_it)
                || life.inbox.values().any(|data| event_of(data.clone()).is_ok_and(|event| is_it(&event)));
            let key = (life.row.hub.as_str().to_owned(), life.row.id.as_str().to_owned());
            let (execution, slot) = (life.body.execution_id.clone(), self.slot_of.get(&key).copied());
            let slot = slot.ok_or("a message of an instance that nobody started")?;
            self.see(&Fact::Unqueued(slot, &execution, id, is_there))?;
        }
        Ok(())
    }

    /// What is in the record of requests from now on.
    fn look_at_entries(&mut self, batch: &Batch) -> Result<(), Violation> {
        for row in &batch.entries {
            let Some(slot) = self.slot_named(row.owner.as_str()) else { continue };
            let unread = |error: serde_json::Error| format!("an entry cannot be read: {error}");
            let Some(entry) = Entry::read(row.said.texts()).map_err(unread)? else { continue };
            let entry: Entry = serde_json::from_value(entry).map_err(unread)?;
            self.see(&Fact::Entered(slot, &entry))?;
        }
        Ok(())
    }

    /// What lists show of requests from now on.
    fn look_at_published(&mut self, batch: &Batch) -> Result<(), Violation> {
        let is_last = |at: usize, key: &str| batch.published[at + 1..].iter().all(|later| *later.key != *key);
        for (at, row) in batch.published.iter().enumerate() {
            if *row.kind != *placet_approval::REQUEST_ROWS || !is_last(at, &row.key) {
                continue; // of several turns in one batch the last one tells
            }
            let (Some(body), Some(slot)) = (&row.body, self.slot_named(&row.key)) else { continue };
            let shown: RequestRow = serde_json::from_slice(body).map_err(|error| format!("a row: {error}"))?;
            // The custom status is written with the same turn: it tells the same.
            let life = self.life_of(slot).ok_or("a row of no request is written")?;
            let status = life.body.custom_status.as_deref().unwrap_or_default();
            let details: Details = serde_json::from_str(status).map_err(|error| format!("{status}: {error}"))?;
            if details.status != shown.status {
                return Err(format!("{} is shown as {} and as {}", row.key, shown.status, details.status).into());
            }
            // So do the lists.
            let detail = shown.outcome.as_ref().map_or("pending", |outcome| outcome.detail());
            let (status, is_open) = (terms::of_status(detail), shown.outcome.is_none());
            let has = |text: &str| row.terms.iter().any(|term| *term.text == *text);
            let statuses = row.terms.iter().filter(|term| term.text.starts_with(&terms::of_status("")));
            if !has(&status) || statuses.count() != 1 || has(terms::DUE) != is_open {
                return Err(format!("{} is {detail}, and is listed by {:?}", row.key, row.terms).into());
            }
            let outcome = shown.outcome.as_ref().map(crate::checkers::in_words);
            self.see(&Fact::Shown(slot, outcome.as_deref()))?;
        }
        Ok(())
    }

    fn answer_commit(&mut self) {
        let Some(Writing { process, batch, fate, began, .. }) = self.disk.writing.take() else { return };
        let id = batch.id.expect("the core numbers its batches");
        let took = std::time::Duration::from_micros(self.now - began);
        let input = match fate {
            Fate::Good => Input::Committed(id, took),
            Fate::Lost => {
                self.reach(Mark::CommitUnknownLost);
                Input::CommitFailed(id, CommitFailure::Unknown)
            }
            Fate::WrittenUnknown => {
                self.reach(Mark::CommitUnknownWritten);
                Input::CommitFailed(id, CommitFailure::Unknown)
            }
            Fate::Full => {
                self.reach(Mark::CommitFull);
                Input::CommitFailed(id, CommitFailure::Full)
            }
        };
        self.commits_failed += u32::from(fate != Fate::Good);
        self.trace.note(self.now, &[2, id.0], || format!("the disk answers: {input:?}"));
        self.arrive(process, Arrival::Input(input));
    }

    /// The process died: what was with the disk is written or not.
    pub(super) fn crash_while_writing(&mut self) -> Result<(), Violation> {
        let Some(writing) = &self.disk.writing else { return Ok(()) };
        if !writing.written && writing.fate.writes() && self.chance.one_in(2) {
            self.write()?;
        }
        let written = self.disk.writing.take().is_some_and(|writing| writing.written);
        self.reach(if written { Mark::CrashWithBatchWritten } else { Mark::CrashWithBatchLost });
        self.trace.note(self.now, &[3, u64::from(written)], || format!("the batch with the disk: written {written}"));
        Ok(())
    }

    /// The store is asked: it looks a little later, and answers a little later again.
    pub(super) fn ask_store(&mut self, process: ProcessId, ask: ReadAsk) {
        let wait = self.chance.skewed(10, self.plan.commit_max);
        self.after(wait, Event::Read(process, ask));
    }

    pub(super) fn read(&mut self, process: ProcessId, ask: ReadAsk) {
        let fails = self.goes_wrong(FaultKind::ReadFailed);
        if fails {
            self.reach(Mark::ReadFailed);
            // A timer whose instance could not be read is found again when the window moves.
            self.trouble(40 * SECOND);
        }
        let store = &self.disk.store;
        let input = match ask {
            ReadAsk::Load(read) => {
                let found = store.load(std::slice::from_ref(&read.lookup)).map(|mut found| found.pop().flatten());
                let found = found.map_err(|error| error.to_string());
                let found = if fails { failed() } else { found };
                Input::Loaded(read, found.map_err(ReadFailure::Unavailable))
            }
            ReadAsk::History(read) => {
                let rows = store.history(read.iid, Turn(read.from.0), HISTORY_BYTES_MAX);
                let runs = rows.map(|rows| rows.into_iter().map(|row| row.events).collect());
                self.marks.reach(Mark::HistoryRead);
                Input::HistoryRead(read, if fails { failed() } else { runs.map_err(|error| error.to_string()) })
            }
            ReadAsk::Timers(read) => {
                let rows = store.due(&|_| true, read.after, read.until, read.limit).map_err(|error| error.to_string());
                Input::TimersRead(read, if fails { failed() } else { rows })
            }
            ReadAsk::Recover(read) => {
                let page =
                    store.recover(&|_| true, read.after, read.limit, read.bytes_max).map_err(|error| error.to_string());
                let page = page.map(|page| (page.instances, page.next));
                Input::Recovered(read, if fails { failed() } else { page })
            }
            ReadAsk::Record(read) => {
                let answer = store.query(&Query::Record(read.key.clone())).map_err(|error| error.to_string());
                let found = answer.map(|answer| if let Answer::Record(row) = answer { row } else { None });
                let found = if fails { failed() } else { found };
                Input::RecordLoaded(read, found.map_err(ReadFailure::Unavailable))
            }
            ReadAsk::Expired(read) => {
                let query = Query::Expired { until: read.until, limit: read.limit };
                let answer = store.query(&query).map_err(|error| error.to_string());
                let found = answer.map(|answer| if let Answer::Expired(keys) = answer { keys } else { Vec::new() });
                Input::ExpiredFound(read, if fails { failed() } else { found })
            }
        };
        let wait = self.chance.skewed(10, self.plan.commit_max);
        self.trace.note(self.now, &[4, wait, u64::from(fails)], || {
            format!("the store reads (fails: {fails}): {}", read_of(&input))
        });
        self.after(wait, Event::Arrive(process, Box::new(Arrival::Input(input))));
    }
}

/// The event that a message brings.
fn event_of(data: Bytes) -> Result<HistoryEvent, prost::DecodeError> {
    HistoryEvent::decode(InboxMessage::decode(data)?.event)
}

fn failed<T>() -> Result<T, String> {
    Err("the read failed".to_owned())
}

/// What a batch holds, in a line.
fn told(batch: &Batch) -> String {
    let names = |rows: &mut dyn Iterator<Item = String>| rows.collect::<Vec<_>>().join(" ");
    let mut inserted = batch.instances_inserted.iter().map(|row| format!("{}#{}", row.id, row.iid));
    let mut updated = batch.instances_updated.iter().map(|(row, _)| format!("{}#{}", row.id, row.iid));
    let mut turns = batch.history_appended.iter().map(|row| format!("{}/{}", row.iid, row.turn));
    let mut inbox = batch.inbox_put.iter().map(|row| format!("{}/{}", row.iid, row.seq));
    let mut activities = batch.activities_put.iter().map(|row| format!("{}/{}", row.iid, row.seq));
    format!(
        "new [{}] changed [{}] turns [{}] inbox [{}] activities [{}] timers +{} -{} deleted {:?}",
        names(&mut inserted),
        names(&mut updated),
        names(&mut turns),
        names(&mut inbox),
        names(&mut activities),
        batch.timers_put.len(),
        batch.timers_deleted.len(),
        batch.instances_deleted,
    )
}

/// What was read, in a line.
fn read_of(input: &Input) -> String {
    match input {
        Input::Loaded(read, found) => {
            format!("{:?}: {:?}", read.lookup, found.as_ref().map(Option::is_some))
        }
        Input::HistoryRead(read, runs) => format!("history of {}: {:?} turns", read.iid, runs.as_ref().map(Vec::len)),
        Input::TimersRead(read, rows) => format!("timers until {:?}: {rows:?}", read.until),
        Input::Recovered(read, page) => {
            let page = page.as_ref().map(|(found, next)| (found.len(), *next));
            format!("active after {:?}: {page:?}", read.after)
        }
        other => format!("{other:?}"),
    }
}
