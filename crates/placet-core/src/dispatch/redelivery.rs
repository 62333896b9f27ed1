//! When an item goes to somebody else: leases of turns, the grace of activities whose stream broke, delays of
//! what was given back, and the count of failed deliveries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::{ItemId, ItemSpec, Kind};
use crate::ids::{PartitionId, StreamId};
use crate::limits;
use crate::planted::{self, Plant};
use crate::time::Mono;

#[derive(Debug, Default)]
pub(super) struct Redelivery {
    leases: BTreeSet<(Mono, ItemId)>,
    lease_of: HashMap<ItemId, Mono, FxBuildHasher>,
    graces: BTreeSet<(Mono, ItemId)>,
    delayed: BTreeMap<(Mono, ItemId), ItemSpec>,
    /// Failed and abandoned deliveries of items that are not finished.
    failures: HashMap<ItemId, Failures, FxBuildHasher>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Failures {
    /// Its worker's stream broke, or its lease ran out, while it was held.
    failed: u32,
    /// Of those, how often the stream broke as it was sent, though it is long.
    broke: u32,
    /// All of those, and those that were given back: how long the next delay is.
    returned: u32,
    /// When it may come again.
    not_before: Mono,
    /// Who gave it back last: it goes to another, if there is one.
    given_back_by: Option<StreamId>,
}

impl Redelivery {
    pub(super) fn lease(&mut self, now: Mono, item: ItemId) {
        let until = now.after(limits::TURN_LEASE);
        self.leases.insert((until, item));
        self.lease_of.insert(item, until);
    }

    pub(super) fn end_lease(&mut self, item: ItemId) {
        if let Some(until) = self.lease_of.remove(&item) {
            self.leases.remove(&(until, item));
        }
    }

    pub(super) fn grace(&mut self, now: Mono, item: ItemId) -> Mono {
        let until = now.after(limits::ACTIVITY_GRACE);
        self.graces.insert((until, item));
        until
    }

    /// Counts a failed delivery and tells how many there were.
    pub(super) fn failed(&mut self, item: ItemId) -> u32 {
        let failures = self.failures.entry(item).or_default();
        failures.failed += 1;
        failures.returned += 1;
        failures.failed
    }

    /// Counts a stream that broke as it was sent a long item and tells how many did.
    pub(super) fn broke(&mut self, item: ItemId) -> u32 {
        let failures = self.failures.entry(item).or_default();
        failures.broke += 1;
        failures.broke
    }

    /// How many deliveries of the item have failed.
    pub(super) fn failures(&self, item: ItemId) -> u32 {
        self.failures.get(&item).map_or(0, |failures| failures.failed)
    }

    /// How many deliveries have failed, and how many there were in all that came to nothing.
    pub(super) fn returned(&self, item: ItemId) -> (u32, u32) {
        self.failures.get(&item).map_or((0, 0), |failures| (failures.failed, failures.returned))
    }

    /// When an item that came back is ready again, or was; absent if it never was delayed.
    pub(super) fn not_before(&self, item: ItemId) -> Option<Mono> {
        self.failures.get(&item).map(|failures| failures.not_before).filter(|at| *at > Mono(0))
    }

    /// Its worker has had its time to finish it: it is ready again.
    pub(super) fn comes_back(&mut self, now: Mono, item: ItemId) {
        if let Some(failures) = self.failures.get_mut(&item) {
            failures.not_before = failures.not_before.max(now);
        }
    }

    /// When the lease of a turn that a worker has runs out.
    pub(super) fn lease_of(&self, item: ItemId) -> Option<Mono> {
        self.lease_of.get(&item).copied()
    }

    /// A worker does not want an item.
    pub(super) fn given_back(&mut self, item: ItemId, by: StreamId) {
        self.failures.entry(item).or_default().given_back_by = Some(by);
    }

    /// Who gave an item back last.
    pub(super) fn given_back_by(&self, item: ItemId) -> Option<StreamId> {
        self.failures.get(&item).and_then(|failures| failures.given_back_by)
    }

    /// Somebody else has come, who may want what others gave back: it waits no longer.
    pub(super) fn hurry(&mut self, now: Mono) {
        let failures = &mut self.failures;
        let unwanted = |item: &ItemId| failures.get(item).is_some_and(|failures| failures.given_back_by.is_some());
        let hurried: Vec<_> = self.delayed.extract_if(.., |(due, item), _| *due > now && unwanted(item)).collect();
        for ((_, item), spec) in hurried {
            failures.entry(item).or_default().not_before = now;
            self.delayed.insert((now, item), spec);
        }
    }

    /// An item was given back: it comes again later.
    pub(super) fn delay(&mut self, now: Mono, spec: ItemSpec) {
        self.failures.entry(spec.id).or_default().returned += 1;
        self.delay_failed(now, spec);
    }

    /// An item whose delivery failed, which was counted then, comes again later.
    pub(super) fn delay_failed(&mut self, now: Mono, spec: ItemSpec) {
        let failures = self.failures.entry(spec.id).or_default();
        failures.not_before = now.after(delay(failures.returned));
        self.delayed.insert((failures.not_before, spec.id), spec);
    }

    /// An item that comes again: it is handed back if it need not wait longer.
    pub(super) fn delay_on(&mut self, now: Mono, spec: ItemSpec) -> Option<ItemSpec> {
        let due = self.failures.get(&spec.id).map(|failures| failures.not_before);
        let Some(due) = due.filter(|due| now < *due) else { return Some(spec) };
        self.delayed.insert((due, spec.id), spec);
        None
    }

    /// Whether somebody had the item before, and gave it back or was lost with it.
    pub(super) fn was_delivered(&self, item: ItemId) -> bool {
        self.failures.contains_key(&item)
    }

    pub(super) fn delayed_count(&self, kind: Kind) -> usize {
        self.delayed.keys().filter(|(_, item)| item.kind() == kind).count()
    }

    /// The item is done with.
    pub(super) fn forget(&mut self, item: ItemId) {
        self.failures.remove(&item);
    }

    pub(super) fn leases_over(&mut self, now: Mono) -> Vec<ItemId> {
        let over = take_due(&mut self.leases, now);
        for item in &over {
            self.lease_of.remove(item);
        }
        over
    }

    pub(super) fn graces_over(&mut self, now: Mono) -> Vec<ItemId> {
        take_due(&mut self.graces, now)
    }

    pub(super) fn delays_over(&mut self, now: Mono) -> Vec<ItemSpec> {
        let mut over = Vec::new();
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= now
        {
            over.push(entry.remove());
        }
        over
    }

    pub(super) fn next_due(&self) -> Option<Mono> {
        let lease = self.leases.first().map(|(due, _)| *due);
        let grace = self.graces.first().map(|(due, _)| *due);
        let delay = self.delayed.first_key_value().map(|((due, _), _)| *due);
        [lease, grace, delay].into_iter().flatten().min()
    }

    /// Holds only these items any longer; of the others it is known how often they failed and when they may come again.
    pub(super) fn keep_delayed(&mut self, stays: impl Fn(ItemId) -> bool) {
        self.delayed.retain(|(_, item), _| stays(*item));
    }

    /// A partition dropped its memory: what was delayed is found again by recovery. The counts stay, so that a
    /// poisoned item is not given ten more lives.
    pub(super) fn remove_partition(&mut self, partition: PartitionId) {
        self.keep_delayed(|item| item.partition() != partition);
        if planted::is(Plant::PoisonCountReset) {
            self.failures.retain(|item, _| item.partition() != partition);
        }
    }
}

fn delay(returned: u32) -> Duration {
    let factor = 1_u32.checked_shl(returned.saturating_sub(1).min(20)).unwrap_or(u32::MAX);
    limits::REDELIVERY_DELAY_MIN.saturating_mul(factor).min(limits::REDELIVERY_DELAY_MAX)
}

fn take_due(set: &mut BTreeSet<(Mono, ItemId)>, now: Mono) -> Vec<ItemId> {
    let mut over = Vec::new();
    while let Some(first) = set.first().copied()
        && first.0 <= now
    {
        set.remove(&first);
        over.push(first.1);
    }
    over
}
