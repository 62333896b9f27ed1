//! Long rows on the simulated disk: the model store takes each row whole with its batch; what lies ahead of it is kept here, and
//! must be the same.

use std::collections::BTreeMap;

use placet_core::rows::{AheadPiece, Batch, PayloadKey};
use placet_core::shard::{CommitFailure, Input};

use super::server::Arrival;
use super::{Event, Mark, ProcessId, SECOND, Violation, World};
use crate::struck::FaultKind;

/// A piece that is with the disk, and what becomes of it.
#[derive(Debug)]
pub(crate) struct AheadStep {
    number: u64,
    piece: Box<AheadPiece>,
    writes: bool,
    answer: Result<(), CommitFailure>,
}

/// Payloads whose rows are not there.
#[derive(Debug, Default)]
pub(super) struct LyingAhead(BTreeMap<PayloadKey, Vec<u8>>);

impl LyingAhead {
    fn write(&mut self, piece: &AheadPiece) -> Result<(), Violation> {
        if piece.part == 0 {
            self.0.remove(&piece.of);
        } else if !self.0.contains_key(&piece.of) {
            return Err(format!("piece {} of {:?} comes before the first one", piece.part, piece.of).into());
        }
        if !piece.data.is_empty() {
            self.0.entry(piece.of).or_default().extend(&piece.data);
        }
        Ok(())
    }

    /// A batch is written: it takes what lies there of its rows.
    pub(super) fn take(&mut self, batch: &Batch) -> Result<(), Violation> {
        let history = batch.history_appended.iter().map(|row| (PayloadKey::History(row.iid, row.turn), &row.events));
        let inbox = batch.inbox_put.iter().map(|row| (PayloadKey::Inbox(row.iid, row.seq), &row.data));
        let activities = batch.activities_put.iter().map(|row| (PayloadKey::Activity(row.iid, row.seq), &row.data));
        let mut taken = 0;
        for (of, payload) in history.chain(inbox).chain(activities) {
            let there = self.0.remove(&of);
            if batch.ahead.binary_search(&of).is_err() {
                continue;
            }
            taken += 1;
            if there.as_deref() != Some(&payload[..]) {
                let there = there.map(|there| there.len());
                return Err(
                    format!("a row of {} bytes is written, and ahead of it lie {there:?}", payload.len()).into()
                );
            }
        }
        if taken != batch.ahead.len() {
            return Err("a payload is said to lie ahead of a row that is not written".into());
        }
        for of in &batch.ahead_dropped {
            self.0.remove(of);
        }
        Ok(())
    }

    /// The store is claimed by another process. Whether there was anything that nobody owns.
    pub(super) fn clear(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }
}

impl World {
    pub(super) fn write_ahead(&mut self, process: ProcessId, number: u64, piece: Box<AheadPiece>) {
        let fails = self.goes_wrong(FaultKind::AheadFailed);
        let wait = self.chance.skewed(10, 10 + self.plan.commit_max / 16);
        let (writes, answer) = match fails {
            false => (true, Ok(())),
            true if self.chance.one_in(3) => (false, Err(CommitFailure::Full)),
            true => (self.chance.one_in(2), Err(CommitFailure::Unknown)),
        };
        if fails {
            self.trouble(wait + 3 * SECOND);
        }
        self.trace.note(self.now, &[5, number, wait], || {
            let AheadPiece { of, part, data } = &*piece;
            format!("piece {part} of {of:?} goes to the disk ({answer:?}): {} bytes", data.len())
        });
        self.after(wait, Event::Ahead(process, AheadStep { number, piece, writes, answer }));
    }

    pub(super) fn ahead_goes_on(&mut self, process: ProcessId, step: AheadStep) -> Result<(), Violation> {
        if self.running() != Some(process) {
            return Ok(()); // of a process that died
        }
        let AheadStep { number, piece, writes, answer } = step;
        if writes {
            self.disk.ahead.write(&piece)?;
        }
        self.commits_failed += u32::from(answer.is_err());
        self.arrive(process, Arrival::Input(Input::WrittenAhead(number, answer)));
        Ok(())
    }

    /// What no row owns is cleared away before a process begins.
    pub(super) fn clear_ahead(&mut self) {
        if self.disk.ahead.clear() {
            self.reach(Mark::CrashWithRowAhead);
        }
    }
}
