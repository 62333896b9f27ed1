//! The group commit: what many commands decided becomes one transaction, and what they tell the world is held
//! until it is durable.
//!
//! One batch is with the store while the next fills. What was decided later is only ever durable later, so an
//! effect may go once every batch up to its own is committed. If a commit fails, everything decided since is
//! void: the effects are handed back to be refused, and the partitions load again what is true.

mod merge;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use crate::ids::{BatchId, Epoch, PartitionId};
use crate::limits::{self, Limits};
use crate::outcome::{Effect, Outcome};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::{Batch, PayloadKey};
use crate::time::Mono;
use merge::Merge;

/// The machine.
#[derive(Debug)]
pub struct Commit {
    /// Batches that carry enough, in the order in which they are to be committed. What is decided goes into the one after.
    full: VecDeque<Filling>,
    filling: Filling,
    in_flight: Option<InFlight>,
    last: BatchId,
    last_sync: Duration,
    batch_commands: usize,
    batch_bytes: usize,
}

#[derive(Debug, Default)]
struct Filling {
    merge: Merge,
    effects: Vec<Effect>,
    commands: usize,
    /// When the first command came in.
    since: Mono,
    /// Something in it does not wait for a turn.
    urgent: bool,
}

#[derive(Debug)]
struct InFlight {
    id: BatchId,
    effects: Vec<Effect>,
    partitions: Vec<PartitionId>,
    ahead: Vec<PayloadKey>,
    bytes: usize,
}

/// What a failed commit voids.
#[derive(Debug, Default)]
pub struct Voided {
    /// Effects that must never happen; replies among them are to be refused.
    pub effects: Vec<Effect>,
    /// The partitions whose memory is ahead of the store.
    pub partitions: Vec<PartitionId>,
    /// Payloads that lie in the store and whose rows may not.
    pub ahead: Vec<PayloadKey>,
}

impl Default for Commit {
    fn default() -> Commit {
        Commit::new(Limits::default())
    }
}

impl Commit {
    /// A machine that has committed nothing yet.
    pub fn new(limits: Limits) -> Commit {
        Commit {
            full: VecDeque::new(),
            filling: Filling::default(),
            in_flight: None,
            last: BatchId(0),
            last_sync: limits::HOLD_MIN,
            batch_commands: limits.batch_commands,
            batch_bytes: limits.batch_bytes,
        }
    }

    /// Something else is about to be decided. If the batch carries enough, that goes into another one: whoever is in this one
    /// need not wait for it.
    pub fn cut(&mut self) {
        if self.filling.merge.bytes() >= self.batch_bytes {
            reach(Corner::BatchCutByBytes);
            self.full.push_back(std::mem::take(&mut self.filling));
        }
    }

    /// Takes over what a command decided. `waits`: all that the command caused is a message whose turn is out
    /// already, so that its commit may be shared with the turn's.
    ///
    /// Effects that nothing undecided precedes are returned: they may happen at once.
    #[must_use = "effects that need no commit"]
    pub fn add(
        &mut self,
        now: Mono,
        partition: (PartitionId, Epoch),
        outcome: &mut Outcome,
        waits: bool,
    ) -> Vec<Effect> {
        if outcome.writes.is_empty() {
            return self.hold(outcome);
        }
        if self.filling.commands == 0 {
            self.filling.since = now;
        }
        self.filling.commands += 1;
        self.filling.urgent |= !waits;
        self.filling.merge.lie_ahead(outcome.ahead.drain(..));
        self.filling.merge.add(partition, outcome.writes.drain(..));
        self.filling.effects.append(&mut outcome.effects);
        if planted::is(Plant::AcknowledgeBeforeSync) {
            return self.filling.effects.extract_if(.., |effect| matches!(effect, Effect::Reply(..))).collect();
        }
        if planted::is(Plant::ActivityBeforeCommit) {
            return self.filling.effects.extract_if(.., |effect| matches!(effect, Effect::Offer(_))).collect();
        }
        Vec::new()
    }

    /// The next batch, if one is to be committed now. Its answer is [`Commit::committed`] or [`Commit::failed`].
    pub fn seal(&mut self, now: Mono) -> Option<Batch> {
        if self.in_flight.is_some() {
            return None;
        }
        let filling = self.full.pop_front().or_else(|| self.filled(now))?;
        let bytes = filling.merge.bytes();
        let (partitions, ahead) = (filling.merge.partitions().collect(), filling.merge.ahead().collect());
        self.last = self.last.next();
        let mut batch = filling.merge.into_batch();
        batch.id = Some(self.last);
        batch.commands = filling.commands;
        self.in_flight = Some(InFlight { id: self.last, effects: filling.effects, partitions, ahead, bytes });
        Some(batch)
    }

    /// What has come in, if it waits for no more.
    fn filled(&mut self, now: Mono) -> Option<Filling> {
        if self.filling.commands == 0 || self.holds_until().is_some_and(|until| now < until) {
            return None;
        }
        if !self.filling.urgent {
            let is_full = self.filling.commands >= self.batch_commands;
            reach(if is_full { Corner::BatchCut } else { Corner::BatchHeld });
        }
        Some(std::mem::take(&mut self.filling))
    }

    /// A batch is durable: what was held for it may happen.
    ///
    /// # Panics
    /// If it is not the batch in flight.
    pub fn committed(&mut self, batch: BatchId, took: Duration) -> Vec<Effect> {
        let in_flight = self.take(batch);
        self.last_sync = took;
        in_flight.effects
    }

    /// A batch was not committed, or nobody knows: it and all that was decided since is void.
    ///
    /// # Panics
    /// If it is not the batch in flight.
    pub fn failed(&mut self, batch: BatchId) -> Voided {
        let InFlight { mut effects, mut partitions, mut ahead, .. } = self.take(batch);
        let later = self.void();
        if !planted::is(Plant::LaterDecisionsKept) {
            partitions.extend(later.partitions);
        }
        partitions.sort_unstable();
        partitions.dedup();
        effects.extend(later.effects);
        ahead.extend(later.ahead);
        Voided { effects, partitions, ahead }
    }

    /// All that no batch has taken with it yet is void.
    pub fn void(&mut self) -> Voided {
        let mut voided = Voided::default();
        for filling in self.full.drain(..).chain([std::mem::take(&mut self.filling)]) {
            voided.effects.extend(filling.effects);
            voided.partitions.extend(filling.merge.partitions());
            voided.ahead.extend(filling.merge.ahead());
        }
        voided.partitions.sort_unstable();
        voided.partitions.dedup();
        voided
    }

    /// Whether the store has a batch.
    pub fn is_in_flight(&self) -> bool {
        self.in_flight.is_some()
    }

    /// When [`Commit::seal`] will have a batch though nothing more comes in.
    pub fn next_due(&self) -> Option<Mono> {
        if self.in_flight.is_some() || self.filling.commands == 0 { None } else { self.holds_until() }
    }

    /// Whether nothing waits to be durable.
    pub fn is_idle(&self) -> bool {
        self.in_flight.is_none() && self.full.is_empty() && self.filling.commands == 0
    }

    /// How many bytes wait to be durable.
    pub fn uncommitted_bytes(&self) -> usize {
        let full: usize = self.full.iter().map(|filling| filling.merge.bytes()).sum();
        full + self.filling.merge.bytes() + self.in_flight.as_ref().map_or(0, |in_flight| in_flight.bytes)
    }

    /// Holds effects until all that was decided so far is durable; those that wait for nothing are returned.
    pub fn hold(&mut self, outcome: &mut Outcome) -> Vec<Effect> {
        if self.filling.commands > 0 {
            // A turn that waits for its history to be read cannot come back before that.
            self.filling.urgent |= outcome.effects.iter().any(|effect| matches!(effect, Effect::ReadHistory(_)));
            self.filling.effects.append(&mut outcome.effects);
        } else if let Some(last) = self.full.back_mut() {
            last.effects.append(&mut outcome.effects);
        } else if let Some(in_flight) = &mut self.in_flight {
            in_flight.effects.append(&mut outcome.effects);
        } else {
            return std::mem::take(&mut outcome.effects);
        }
        Vec::new()
    }

    /// The longest that a turn may have taken last time for its message to wait for it.
    pub fn patience(&self) -> Duration {
        self.last_sync.clamp(limits::HOLD_MIN, limits::HOLD_MAX)
    }

    fn holds_until(&self) -> Option<Mono> {
        let full = self.filling.commands >= self.batch_commands;
        let patience = if planted::is(Plant::HeldTooLong) { limits::TURN_LEASE } else { self.patience() };
        (!self.filling.urgent && !full).then(|| self.filling.since.after(patience))
    }

    fn take(&mut self, batch: BatchId) -> InFlight {
        let in_flight = self.in_flight.take().expect("a batch is answered once");
        assert_eq!(in_flight.id, batch, "batches are answered in order");
        in_flight
    }
}
