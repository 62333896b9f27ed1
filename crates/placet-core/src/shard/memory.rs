//! What may leave memory, and when (P5, P7): a parked instance is kept for a short while, so that its next
//! event finds it; an active one stays unless there are too many, or too many bytes of them.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::ids::{Iid, PARTITIONS, PartitionId};
use crate::limits;
use crate::partition::Partition;
use crate::planted::{self, Plant};
use crate::reach::{Corner, reach};
use crate::rows::Lookup;
use crate::time::{Mono, Now};

use super::Shard;

/// The instances that may leave memory.
#[derive(Debug)]
pub(super) struct Memory {
    /// Parked, in the order in which they parked. An instance may stand here more than once, or be gone.
    parked: VecDeque<(Mono, PartitionId, Iid)>,
    /// Active and durable, offered for spilling if there are too many.
    active: VecDeque<(PartitionId, Iid)>,
    /// Bytes of each partition's instances, and of all: it is asked for in every step.
    counted: [usize; PARTITIONS],
    bytes: usize,
    /// Not before then is looked for what may leave.
    spill_from: Mono,
}

impl Default for Memory {
    fn default() -> Memory {
        Memory {
            parked: VecDeque::new(),
            active: VecDeque::new(),
            counted: [0; PARTITIONS],
            bytes: 0,
            spill_from: Mono(0),
        }
    }
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

    pub(super) fn parked_count(&self) -> usize {
        self.parked.len()
    }

    /// About how many bytes all instances take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Something happened to instances of a partition.
    pub(super) fn count(&mut self, partition: &Partition) {
        let counted = &mut self.counted[partition.id().index()];
        self.bytes = self.bytes - *counted + partition.hot_bytes();
        *counted = partition.hot_bytes();
    }

    pub(super) fn next_due(&self, parked_idle: Duration) -> Option<Mono> {
        self.parked.front().map(|(since, _, _)| since.after(parked_idle))
    }
}

impl Shard {
    /// Lets go of what need not be in memory.
    pub(super) fn shed(&mut self, now: Now) {
        debug_assert_eq!(self.memory.bytes, self.partitions.iter().map(Partition::hot_bytes).sum::<usize>());
        while let Some((since, partition, iid)) = self.memory.parked.front().copied()
            && (self.memory.parked.len() > self.limits.parked_instances
                || since.after(self.limits.parked_idle) <= now.mono
                || self.memory.bytes > self.limits.hot_bytes / 2)
        {
            self.memory.parked.pop_front();
            let here = &mut self.partitions[partition.index()];
            let left = here.evict(iid, false);
            self.memory.count(here);
            if left && since.after(self.limits.parked_idle) > now.mono {
                reach(Corner::ParkedShedForRoom);
            }
            if !left && here.is_active(iid) {
                self.memory.active(partition, iid);
            }
        }
        let crowded = self.memory.bytes > self.limits.hot_bytes && self.memory.spill_from <= now.mono;
        if crowded {
            reach(Corner::SpilledForBytes);
        }
        if crowded || self.memory.active.len() >= self.limits.active_instances {
            self.spill(self.limits.active_instances / 2, self.limits.hot_bytes / 2);
            self.memory.spill_from = now.mono.after(limits::SPILL_EVERY);
        }
    }

    /// Too many active instances, or too many bytes of them: those that no worker can take leave, and of the others all
    /// but the oldest. They are read back when there is room, or a worker.
    pub(super) fn spill(&mut self, keep: usize, keep_bytes: usize) {
        let mut kept = VecDeque::new();
        let mut kept_bytes = 0;
        let active = std::mem::take(&mut self.memory.active);
        let mut gone = Vec::new();
        let mut seen = BTreeSet::new();
        let mut takers = self.dispatch.takers();
        for (partition, iid) in active {
            if !seen.insert((partition, iid)) {
                continue; // it settled more than once: the first time counts
            }
            let here = &mut self.partitions[partition.index()];
            if !here.is_active(iid) {
                continue; // ended, parked or gone: it is not counted any more
            }
            let bytes = here.bytes_of(iid);
            let served = here.is_served(iid, &mut takers);
            let fits = kept.is_empty() || (kept.len() < keep && kept_bytes + bytes <= keep_bytes);
            if served && fits {
                kept_bytes += bytes;
                kept.push_back((partition, iid));
            } else if here.evict(iid, true) {
                self.memory.count(here);
                reach(Corner::Spilled);
                if served {
                    self.recovery.spilled(iid)
                } else {
                    self.recovery.unserved(iid)
                }
                gone.push((partition, iid));
            } else {
                // A worker has its turn, or a write of it is under way: it is looked at again.
                kept.push_back((partition, iid));
            }
        }
        self.memory.active = kept;
        gone.sort_unstable();
        self.dispatch.unqueue(&gone);
    }
}
