//! Finding the work again: after a start, after a failed commit, and when what did not fit into memory is to
//! come back. All three read the active instances from the store, page by page, as there is room for them.

use crate::dispatch::ItemSpec;
use crate::ids::Iid;
use crate::limits::{self, Limits};
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::LoadedInstance;
use crate::time::{Mono, Now};

use super::{Output, Shard};

/// A page of active instances to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecoverRead {
    /// Which reading this is: an answer to an older one is void.
    pub generation: u64,
    /// Those after this key.
    pub after: Option<Iid>,
    /// At most this many.
    pub limit: usize,
    /// At most so many bytes of them, the first one excepted.
    pub bytes_max: usize,
}

/// Where the reading stands.
#[derive(Debug)]
pub(super) struct Recovery {
    /// Where to read on; absent: there is nothing to be found.
    from: Option<Option<Iid>>,
    reading: Option<RecoverRead>,
    generation: u64,
    /// The lowest key that left memory with work to do.
    spilled: Option<Iid>,
    /// The lowest key that left memory with work that no worker could take.
    unserved: Option<Iid>,
    /// The store could not be read: not again before then.
    retry_at: Option<Mono>,
}

impl Recovery {
    /// It begins by looking for work. Readings are numbered from `generation` on.
    pub(super) fn new(generation: u64) -> Recovery {
        Recovery { from: Some(None), reading: None, generation, spilled: None, unserved: None, retry_at: None }
    }

    pub(super) fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Whether there is something to be read back now.
    pub(super) fn is_wanted(&self) -> bool {
        self.from.is_some() || self.spilled.is_some()
    }

    /// Whether work has left memory that no worker could take.
    pub(super) fn has_unserved(&self) -> bool {
        self.unserved.is_some()
    }

    pub(super) fn is_running(&self) -> bool {
        self.from.is_some()
    }

    /// Looks at everything again.
    pub(super) fn restart(&mut self) {
        *self = Recovery::new(self.generation + 1);
    }

    /// The store does not take what is decided: it is not asked for work before then.
    pub(super) fn rest_until(&mut self, at: Mono) {
        self.retry_at = Some(at);
    }

    /// An instance with work left memory.
    pub(super) fn spilled(&mut self, iid: Iid) {
        if planted::is(Plant::SpilledForgotten) {
            return;
        }
        self.spilled = Some(self.spilled.map_or(iid, |spilled| spilled.min(iid)));
    }

    /// An instance left memory whose work no worker could take: it is looked for once one comes that might.
    pub(super) fn unserved(&mut self, iid: Iid) {
        self.unserved = Some(self.unserved.map_or(iid, |unserved| unserved.min(iid)));
    }

    pub(super) fn worker_came(&mut self) {
        if let Some(iid) = self.unserved.take() {
            self.spilled(iid);
        }
    }

    pub(super) fn next_due(&self) -> Option<Mono> {
        self.retry_at
    }
}

impl Shard {
    /// Asks for the next page, if there is work in the store and room for it.
    pub(super) fn recover(&mut self, now: Now, outputs: &mut Vec<Output>) {
        let recovery = &self.recovery;
        if !recovery.is_wanted() || recovery.reading.is_some() || recovery.retry_at.is_some_and(|at| now.mono < at) {
            return;
        }
        self.recovery.retry_at = None;
        if self.memory_is_full() {
            // What nobody can take makes room for what somebody can.
            self.spill(usize::MAX, usize::MAX);
            if self.memory_is_full() {
                reach(Corner::RecoveryWaitsForRoom);
                self.recovery.retry_at = Some(now.mono.after(limits::REFUSE_AFTER_FAILURE));
                return;
            }
        }
        let recovery = &mut self.recovery;
        if recovery.from.is_none()
            && let Some(iid) = recovery.spilled.take()
        {
            reach(Corner::SpilledReadBack);
            recovery.from = Some(iid.0.checked_sub(1).map(Iid));
        }
        let Some(after) = recovery.from else { return };
        let Limits { recover_page: limit, recover_page_bytes: bytes_max, .. } = self.limits;
        let read = RecoverRead { generation: recovery.generation, after, limit, bytes_max };
        recovery.reading = Some(read);
        self.partitions.iter_mut().for_each(crate::partition::Partition::recovery_begins);
        outputs.push(Output::Recover(read));
    }

    pub(super) fn recovered(
        &mut self,
        now: Now,
        read: RecoverRead,
        page: Result<(Vec<LoadedInstance>, Option<Iid>), String>,
        outputs: &mut Vec<Output>,
    ) {
        if self.recovery.reading != Some(read) {
            return;
        }
        self.recovery.reading = None;
        match page {
            Ok((instances, next)) => {
                if next.is_some() && instances.len() < read.limit {
                    reach(Corner::RecoveryPageCutByBytes);
                }
                for found in instances {
                    self.recovered_one(now, found, outputs);
                }
                if next.is_some() {
                    reach(Corner::RecoveryReadsOn);
                }
                self.recovery.from = next.map(Some);
            }
            Err(_) => {
                reach(Corner::RecoveryFailed);
                self.recovery.retry_at = Some(now.mono.after(limits::REFUSE_AFTER_FAILURE));
            }
        }
        self.partitions.iter_mut().for_each(crate::partition::Partition::recovery_ends);
    }

    fn recovered_one(&mut self, now: Now, found: LoadedInstance, outputs: &mut Vec<Output>) {
        let (iid, id) = (found.row.iid, found.row.key().partition());
        // A damaged instance waits, visible in the store; the others go on.
        let installed = self.partitions[id.index()].recovered(found, &mut self.outcome);
        let ready = std::mem::take(&mut self.outcome.ready);
        self.outcome.ready = self.found_again(now, ready);
        if installed.is_ok() {
            self.memory.active(id, iid);
        }
        self.follow(now, id, outputs);
    }

    /// What came back into memory with work to do: what failed its workers keeps its delay.
    pub(super) fn found_again(&mut self, now: Now, ready: Vec<ItemSpec>) -> Vec<ItemSpec> {
        ready.into_iter().filter_map(|spec| self.dispatch.found_again(now.mono, spec)).collect()
    }

    fn memory_is_full(&self) -> bool {
        let held = self.dispatch.held_turn_bytes().min(self.limits.turns_out_bytes);
        let hot: usize = self.partitions.iter().map(crate::partition::Partition::hot_count).sum();
        hot > self.limits.active_instances / 2 + self.limits.parked_instances
            // What workers hold is bounded by itself, and must not keep others from what they could do.
            || self.memory.bytes() > self.limits.hot_bytes / 2 + held
    }
}
