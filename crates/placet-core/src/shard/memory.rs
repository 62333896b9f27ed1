//! What may leave memory, and when (P5, P7): a parked instance is kept for a short while, so that its next
//! event finds it; an active one stays unless there are too many.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::ids::{Iid, PartitionId};
use crate::partition::Partition;
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::Lookup;
use crate::time::{Mono, Now};

use super::Shard;

/// The instances that may leave memory.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Parked, in the order in which they parked. An instance may stand here more than once, or be gone.
    parked: VecDeque<(Mono, PartitionId, Iid)>,
    /// Active and durable, offered for spilling if there are too many.
    active: VecDeque<(PartitionId, Iid)>,
}

impl Memory {
    pub(super) fn parked(&mut self, now: Mono, partition: PartitionId, iid: Iid) {
        self.parked.push_back((now, partition, iid));
    }

    pub(super) fn active(&mut self, partition: PartitionId, iid: Iid) {
        self.active.push_back((partition, iid));
    }

    /// An instance was loaded for a command that may not have changed it.
    pub(super) fn loaded(&mut self, now: Mono, id: PartitionId, lookup: &Lookup, partition: &Partition) {
        let Some(iid) = partition.hot_iid(lookup) else { return };
        if partition.is_active(iid) {
            self.active(id, iid);
        } else if !planted::is(Plant::ParkedKeptInMemory) {
            self.parked(now, id, iid);
        }
    }

    pub(super) fn reset(&mut self, partition: PartitionId) {
        self.parked.retain(|(_, id, _)| *id != partition);
        self.active.retain(|(id, _)| *id != partition);
    }

    pub(super) fn next_due(&self, parked_idle: Duration) -> Option<Mono> {
        self.parked.front().map(|(since, _, _)| since.after(parked_idle))
    }
}

impl Shard {
    /// Lets go of what need not be in memory.
    pub(super) fn shed(&mut self, now: Now) {
        while let Some((since, partition, iid)) = self.memory.parked.front().copied()
            && (self.memory.parked.len() > self.limits.parked_instances
                || since.after(self.limits.parked_idle) <= now.mono)
        {
            self.memory.parked.pop_front();
            let here = &mut self.partitions[partition.index()];
            let left = here.evict(iid, false);
            if left && since.after(self.limits.parked_idle) > now.mono {
                reach(Corner::ParkedShedForRoom);
            }
            if !left && here.is_active(iid) {
                self.memory.active(partition, iid);
            }
        }
        if self.memory.active.len() >= self.limits.active_instances {
            self.spill();
        }
    }

    /// Too many active instances: the youngest half of them leaves, and is read back when there is room. What fails its
    /// workers stays: read back, it would be given out at once, and if it was due before that, its failures forgotten.
    fn spill(&mut self) {
        let keep = self.limits.active_instances / 2;
        let mut kept = VecDeque::with_capacity(keep);
        let active = std::mem::take(&mut self.memory.active);
        let mut gone = Vec::new();
        let mut seen = BTreeSet::new();
        let failing = self.dispatch.failing();
        for (partition, iid) in active {
            if !seen.insert((partition, iid)) {
                continue; // it settled more than once: the first time counts
            }
            let here = &mut self.partitions[partition.index()];
            if !here.is_active(iid) {
                continue; // ended, parked or gone: it is not counted any more
            }
            if kept.len() < keep {
                kept.push_back((partition, iid));
            } else if !failing.contains(&(partition, iid)) && here.evict(iid, true) {
                reach(Corner::Spilled);
                self.recovery.spilled(iid);
                gone.push((partition, iid));
            }
        }
        self.memory.active = kept;
        gone.sort_unstable();
        self.dispatch.unqueue(&gone);
    }
}
