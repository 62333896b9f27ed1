//! Record rows: their commands, and the deletion of those that have expired. These count as absent from their time on,
//! so that nobody waits for it: they are looked for now and then, some of them at a time.

use crate::chain::Erasure;
use crate::command::{RecordChange, RecordCommand, Refusal, Reply};
use crate::commands::check_record;
use crate::ids::{CallId, RecordKey};
use crate::limits;
use crate::outcome::Outcome;
use crate::partition::Partition;
use crate::rows::{ReadFailure, RecordRow, Write};
use crate::shard::{ExpiredRead, Output, RecordRead, Shard};
use crate::time::{Mono, Now};

/// When expired rows are looked for.
#[derive(Debug)]
pub(super) struct Expiry {
    next_at: Mono,
    is_reading: bool,
}

impl Default for Expiry {
    fn default() -> Expiry {
        Expiry { next_at: Mono::default().after(limits::EXPIRY_EVERY), is_reading: false }
    }
}

impl Shard {
    /// A client's command for a record row.
    pub(super) fn record(&mut self, now: Now, command: RecordCommand, outputs: &mut Vec<Output>) {
        let admitted = self.admit_bytes(now, command.payload_bytes()).and_then(|()| check_record(&command));
        match (admitted, command.call) {
            (Err(refusal), Some(call)) => outputs.push(Output::Reply(call, Err(refusal))),
            (Err(Refusal::Exhausted { .. }), None) => {} // it is found again
            _ => self.record_decided(now, command, outputs),
        }
    }

    /// The same, of one that was let in already.
    pub(super) fn record_decided(&mut self, now: Now, command: RecordCommand, outputs: &mut Vec<Output>) {
        let id = command.key.partition();
        let handle = |partition: &mut Partition, outcome: &mut Outcome| partition.handle_record(now, command, outcome);
        if let Some((key, number)) = self.at_partition(now, id, outputs, handle) {
            let read = RecordRead { partition: id, epoch: self.partitions[id.index()].epoch(), number, key };
            outputs.push(Output::LoadRecord(Box::new(read)));
        }
    }

    pub(super) fn erase(&mut self, now: Now, call: CallId, erasure: Erasure, outputs: &mut Vec<Output>) {
        self.at_partition(now, erasure.key.partition(), outputs, |_, outcome| {
            outcome.writes.push(Write::Erase(erasure));
            outcome.reply(Some(call), Ok(Reply::Done));
        });
    }

    pub(super) fn record_loaded(
        &mut self,
        now: Now,
        read: RecordRead,
        found: Result<Option<RecordRow>, ReadFailure>,
        outputs: &mut Vec<Output>,
    ) {
        let id = read.partition;
        if self.partitions[id.index()].epoch() != read.epoch {
            return; // asked before the partition forgot everything
        }
        self.at_partition(now, id, outputs, |partition, outcome| {
            partition.record_loaded(now, (&read.key, read.number), found, outcome);
        });
    }

    /// Looks for rows that have expired, if it is time, by a clock that is believed: one that has jumped must not delete
    /// what is still good.
    pub(super) fn find_expired(&mut self, now: Now, outputs: &mut Vec<Output>) {
        if self.expiry.is_reading || now.mono < self.expiry.next_at || self.clock.doubt().is_some() {
            return;
        }
        self.expiry.is_reading = true;
        outputs.push(Output::FindExpired(ExpiredRead { until: now.wall, limit: limits::EXPIRED_AT_ONCE }));
    }

    pub(super) fn expired_found(
        &mut self,
        now: Now,
        read: ExpiredRead,
        found: Result<Vec<RecordKey>, String>,
        outputs: &mut Vec<Output>,
    ) {
        let found = found.unwrap_or_default(); // what could not be read is looked for again
        let rest = if found.len() < read.limit { limits::EXPIRY_EVERY } else { limits::EXPIRY_GOES_ON_AFTER };
        self.expiry = Expiry { next_at: now.mono.after(rest), is_reading: false };
        if self.stopping {
            return;
        }
        for key in found {
            self.record(now, RecordCommand { key, change: RecordChange::Expire, call: None }, outputs);
        }
    }
}
