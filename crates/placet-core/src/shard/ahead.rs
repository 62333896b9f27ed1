//! Long rows are written ahead. A batch is one transaction, and whoever is in it waits for all of it: a decision that writes
//! a long payload does not go into a batch before that lies in the store, where it is put in pieces between the commits of
//! others. Until then it waits whole, with all that it causes, as if its command had come later; what else concerns its
//! instances waits behind it ([`crate::partition`]), and nothing else does.
//!
//! A piece counts only together with its row. If the decision comes to nothing, what lies there is cleared away; after a
//! crash the store does that when it is claimed.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::command::{Command, CommandKind, Tell};
use crate::dispatch::ItemId;
use crate::ids::{Hub, Iid, InstanceKey, PartitionId, StreamId};
use crate::outcome::Outcome;
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{AheadPiece, Lookup, PayloadKey, Write};
use crate::time::{Mono, Now};

use super::{CommitFailure, Output, Shard, Voided};

/// The decisions that wait for their rows.
#[derive(Debug)]
pub(super) struct Ahead {
    /// The first one's next piece is the next to be written; then it is the turn of the others.
    waiting: VecDeque<Decision>,
    /// Payloads that lie in the store, or a part of them, and whose rows never come.
    left: VecDeque<PayloadKey>,
    /// What the store has.
    asked: Option<Asked>,
    /// Counts decisions and pieces.
    last: u64,
    bytes: usize,
    /// The decision that the last outcome was kept with, if it was.
    kept: Option<u64>,
    /// What is decided now belongs to this decision, whatever it writes; and who may be deleted by it.
    joined: Option<(u64, Option<InstanceKey>)>,
    /// Messages from or to instances of the decision that is going on.
    tells: Vec<Tell>,
    /// A piece was not written: as soon as the store has no batch, what was decided since is void.
    failed: Option<(u64, CommitFailure)>,
}

/// A piece that the store has.
#[derive(Debug, Clone, Copy)]
struct Asked {
    number: u64,
    /// Whose it is, if it is anybody's.
    decision: Option<u64>,
}

/// A decision: what it causes, in each partition that it concerns.
#[derive(Debug)]
struct Decision {
    number: u64,
    hub: Option<Hub>,
    parts: Vec<(PartitionId, Outcome)>,
    /// What is to be written, the next one first, and how many bytes and pieces of that are.
    payloads: VecDeque<(PayloadKey, Bytes)>,
    at: usize,
    pieces: u32,
    /// Those of which something lies in the store.
    begun: Vec<PayloadKey>,
    /// Messages from or to its instances that were to be told meanwhile.
    tells: Vec<Tell>,
    bytes: usize,
}

impl Ahead {
    /// Nothing waits. Pieces are numbered from `generation` on: what an earlier shard asked for is void.
    pub(super) fn new(generation: u64) -> Ahead {
        Ahead {
            waiting: VecDeque::new(),
            left: VecDeque::new(),
            asked: None,
            last: generation,
            bytes: 0,
            kept: None,
            joined: None,
            tells: Vec::new(),
            failed: None,
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Bytes of the decisions that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    fn decision(&mut self, number: u64) -> Option<&mut Decision> {
        self.waiting.iter_mut().find(|decision| decision.number == number)
    }

    fn remove(&mut self, at: usize) -> Decision {
        let decision = self.waiting.remove(at).expect("it waits");
        self.bytes -= decision.bytes;
        decision
    }
}

/// Whether a write is one that is written ahead.
fn is_long(write: &Write, from: usize) -> bool {
    write.payload().is_some_and(|(_, payload)| payload.len() > from)
}

/// Whether a command gives one of these items up.
fn is_about(command: &Command, partition: PartitionId, items: &[ItemId]) -> bool {
    match (&command.kind, &command.target) {
        (CommandKind::SetAside(seq) | CommandKind::FailTooLong(seq, _), Lookup::Iid(iid)) => {
            items.contains(&ItemId::of(partition, *iid, *seq))
        }
        _ => false,
    }
}

impl Shard {
    /// Whether an outcome has to wait for its rows, or with others that do.
    pub(super) fn waits_for_rows(&self, outcome: &Outcome) -> bool {
        let from = self.limits.ahead_from;
        !outcome.writes.is_empty()
            && (self.ahead.joined.is_some() || outcome.writes.iter().any(|write| is_long(write, from)))
    }

    /// Keeps the outcome of what was just decided, which waits.
    pub(super) fn keep_back(&mut self, partition: PartitionId) {
        let iid_last = self.outcome.iid_last;
        let kept = std::mem::replace(&mut self.outcome, Outcome { iid_last, ..Outcome::default() });
        let number = self.keep(partition, kept);
        self.ahead.kept = Some(number);
    }

    fn keep(&mut self, partition: PartitionId, mut outcome: Outcome) -> u64 {
        let from = self.limits.ahead_from;
        let long = outcome.writes.iter().filter(|write| is_long(write, from)).filter_map(Write::payload);
        let payloads: Vec<_> = long.map(|(of, payload)| (of, payload.clone())).collect();
        outcome.ahead = payloads.iter().map(|(of, _)| *of).collect();
        let bytes: usize = outcome.writes.iter().filter_map(Write::payload).map(|(_, payload)| payload.len()).sum();
        let (number, gone) = match &self.ahead.joined {
            Some((number, sender)) => (*number, sender.clone()),
            None => (self.ahead.next_number(), None),
        };
        let here = &mut self.partitions[partition.index()];
        let iids = || outcome.writes.iter().filter_map(Write::iid);
        here.goes_underway(number, iids(), gone);
        let hub = here.hub_of_any(iids());
        reach(if self.ahead.joined.is_some() { Corner::AheadJoined } else { Corner::WrittenAhead });
        self.ahead.bytes += bytes;
        if let Some(decision) = self.ahead.decision(number) {
            decision.payloads.extend(payloads);
            decision.parts.push((partition, outcome));
            decision.bytes += bytes;
        } else {
            self.ahead.waiting.push_back(Decision {
                number,
                hub,
                parts: vec![(partition, outcome)],
                payloads: payloads.into(),
                at: 0,
                pieces: 0,
                begun: Vec::new(),
                tells: Vec::new(),
                bytes,
            });
        }
        number
    }

    /// If what was just decided waits for its rows, what is decided from now on of the same message waits with it: both are to
    /// be in one batch. Until [`Shard::part`].
    pub(super) fn join(&mut self, sender: (PartitionId, Iid)) {
        if let Some(number) = self.ahead.kept.take() {
            // He may be deleted as soon as he has told it.
            self.ahead.joined = Some((number, self.partitions[sender.0.index()].key_of(sender.1)));
        }
    }

    pub(super) fn part(&mut self) {
        self.ahead.joined = None;
    }

    /// The last outcome was not kept.
    pub(super) fn nothing_kept(&mut self) {
        self.ahead.kept = None;
    }

    /// Whether a message waits for what its sender or whoever it is for has decided before.
    pub(super) fn tells_behind(&mut self, tell: &Tell) -> bool {
        let (from, iid) = tell.from;
        let sender = self.partitions[from.index()].underway_of(&Lookup::Iid(iid));
        let hearer = || self.partitions[tell.to.partition().index()].underway_of(&Lookup::Key(tell.to.clone()));
        let Some(number) = sender.or_else(hearer).filter(|_| !planted::is(Plant::UnderwayOvertaken)) else {
            return false;
        };
        reach(Corner::ToldBehindAhead);
        match self.ahead.decision(number) {
            Some(decision) => decision.tells.push(tell.clone()),
            None => self.ahead.tells.push(tell.clone()), // it is going on
        }
        true
    }

    /// Whether something that concerns an instance is underway.
    pub(super) fn is_underway(&self, partition: PartitionId, iid: Iid) -> bool {
        self.partitions[partition.index()].underway_of(&Lookup::Iid(iid)).is_some()
    }

    /// The next piece, if the store has none.
    pub(super) fn write_ahead(&mut self, outputs: &mut Vec<Output>) {
        if self.ahead.asked.is_some() || self.ahead.failed.is_some() {
            return;
        }
        let length = self.limits.ahead_from;
        let (decision, piece) = if let Some(of) = self.ahead.left.pop_front() {
            (None, AheadPiece { of, part: 0, data: Bytes::new() })
        } else if let Some(decision) = self.ahead.waiting.front_mut() {
            let (of, payload) = decision.payloads.front().expect("it waits for a payload");
            let end = payload.len().min(decision.at + length);
            if decision.at == 0 {
                decision.begun.push(*of);
            }
            let data = payload.slice(decision.at..end);
            (Some(decision.number), AheadPiece { of: *of, part: decision.pieces, data })
        } else {
            return;
        };
        let number = self.ahead.next_number();
        self.ahead.asked = Some(Asked { number, decision });
        outputs.push(Output::WriteAhead(number, Box::new(piece)));
    }

    /// The store's answer about a piece.
    pub(super) fn written_ahead(
        &mut self,
        now: Now,
        number: u64,
        result: Result<(), CommitFailure>,
        outputs: &mut Vec<Output>,
    ) {
        let Some(asked) = self.ahead.asked.take_if(|asked| asked.number == number) else { return };
        let of = |decision: &Decision| Some(decision.number) == asked.decision;
        let Some(at) = self.ahead.waiting.iter().position(of) else {
            reach(Corner::AheadInVain);
            return; // it came to nothing meanwhile, or nothing was to be written
        };
        match result {
            Ok(()) => {
                // The others' turn.
                let mut decision = self.ahead.waiting.remove(at).expect("it was just found");
                let is_whole = decision.is_written(self.limits.ahead_from);
                self.ahead.waiting.push_back(decision);
                if is_whole || planted::is(Plant::AheadNotAwaited) {
                    decision = self.ahead.remove(self.ahead.waiting.len() - 1);
                    self.go_on(now, decision, outputs);
                }
            }
            Err(failure) => {
                reach(Corner::AheadFailed);
                self.ahead.failed = Some((self.ahead.waiting[at].number, failure));
                self.void_for_ahead(now, outputs);
            }
        }
    }

    /// If a piece was not written, its decision is void, and with it all that was decided since the last batch: it may rest on
    /// that. What the store has is awaited first.
    pub(super) fn void_for_ahead(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if self.commit.is_in_flight() {
            return;
        }
        let Some((number, failure)) = self.ahead.failed else { return };
        if self.ahead.decision(number).is_some() {
            let voided = self.commit.void();
            self.come_to_nothing(now, failure, voided, outputs);
        } else {
            self.ahead.failed = None; // it went with its hub
        }
    }

    /// Decisions that wait are void if one of their partitions is, and with them all of their partitions. What was to be
    /// told behind them is to be told again. Items that they end are with no worker any more; the streams that have room for that.
    pub(super) fn void_ahead(&mut self, voided: &mut Voided) -> (Vec<Tell>, Vec<StreamId>) {
        let failed = self.ahead.failed.take().map(|(number, _)| number);
        let (mut tells, mut freed) = (Vec::new(), Vec::new());
        while let Some(at) = self.ahead.waiting.iter().position(|decision| {
            Some(decision.number) == failed || decision.parts.iter().any(|(id, _)| voided.partitions.contains(id))
        }) {
            reach(Corner::AheadVoided);
            let decision = self.ahead.remove(at);
            for (id, outcome) in decision.parts {
                if !voided.partitions.contains(&id) {
                    voided.partitions.push(id);
                }
                voided.effects.extend(outcome.effects);
                freed.extend(outcome.done.iter().filter_map(|item| self.dispatch.finished(*item)));
            }
            voided.ahead.extend(decision.begun);
            tells.extend(decision.tells);
        }
        self.ahead.left.extend(voided.ahead.drain(..));
        (tells, freed)
    }

    /// Decisions of a hub that is to be deleted wait no longer: what they write goes with it, in one batch, and is never
    /// written.
    pub(super) fn let_go_of_hub(&mut self, now: Now, hub: &Hub, outputs: &mut Vec<Output>) {
        let is_of_hub = |decision: &Decision| decision.hub.as_ref() == Some(hub);
        while let Some(at) = self.ahead.waiting.iter().position(is_of_hub) {
            reach(Corner::AheadGoneWithHub);
            let mut decision = self.ahead.remove(at);
            decision.parts.iter_mut().for_each(|(_, outcome)| outcome.ahead.clear());
            self.ahead.left.extend(decision.begun.drain(..));
            self.go_on(now, decision, outputs);
        }
    }

    /// A decision goes on, as if its command had come now; then what has waited behind it.
    fn go_on(&mut self, now: Now, decision: Decision, outputs: &mut Vec<Output>) {
        let ids: Vec<PartitionId> = decision.parts.iter().map(|(id, _)| *id).collect();
        let done: Vec<ItemId> = decision.parts.iter().flat_map(|(_, outcome)| outcome.done.iter().copied()).collect();
        for (id, outcome) in decision.parts {
            self.outcome = Outcome { iid_last: self.outcome.iid_last, ..outcome };
            self.carry(now, id, outputs);
        }
        let behind: Vec<_> = ids.iter().map(|id| self.partitions[id.index()].arrives(decision.number)).collect();
        for (id, commands) in ids.into_iter().zip(behind) {
            // A worker that broke after it had answered has not failed at that.
            for command in commands.into_iter().filter(|command| !is_about(command, id, &done)) {
                self.handle_command(now, id, command, outputs);
            }
        }
        let tells = std::mem::take(&mut self.ahead.tells);
        for tell in decision.tells.into_iter().chain(tells) {
            self.tell(now, tell, outputs);
        }
        if self.stopping {
            self.expire_asks(Now { mono: Mono(u64::MAX), ..now }, outputs);
        }
    }
}

impl Decision {
    /// Its next piece is written. Tells whether that was the last one.
    fn is_written(&mut self, length: usize) -> bool {
        let (_, payload) = self.payloads.front().expect("it waited for a payload");
        self.at += length;
        self.pieces += 1;
        if self.at >= payload.len() {
            self.payloads.pop_front();
            (self.at, self.pieces) = (0, 0);
        }
        self.payloads.is_empty()
    }
}
