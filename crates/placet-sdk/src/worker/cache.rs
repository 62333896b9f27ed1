//! Live orchestrations between turns (the sticky cache): bounded, so that parked ones cost nothing.
//!
//! A state is good for exactly one next turn: that of the same instance and execution after the same number
//! of events. The scheduler names that number with each item; anything else is a miss.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::replay::Orchestration;

/// Orchestrations kept, at most.
const KEPT_MAX: usize = 1_000;

/// Bytes of them, at most, as far as they can be told, the last one excepted: the memory that a worker may spend on being
/// quick.
const KEPT_BYTES_MAX: usize = 64 << 20;

/// How long one is kept without a turn.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Which instance, of which hub.
pub(super) type Key = (String, String);

struct Kept {
    execution_id: String,
    orchestration: Orchestration,
    bytes: usize,
    /// When, as the worker counts time.
    used: Duration,
}

/// Why the state for a turn is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Miss {
    /// Nothing is kept of the instance.
    Unknown,
    /// What is kept is of another execution of it.
    OtherExecution,
    /// What is kept is after more events, or fewer.
    OtherEvents,
}

/// How often states were missed, and dropped: for whoever measures or simulates.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "named for what they count")]
pub struct CacheCounts {
    pub missed_unknown: u64,
    pub missed_other_execution: u64,
    pub missed_other_events: u64,
    pub evicted: u64,
    pub idle: u64,
    pub refused: u64,
}

pub(super) struct Cache {
    kept_max: usize,
    idle_max: Duration,
    pub(super) counts: CacheCounts,
    kept: FxHashMap<Key, Kept>,
    /// Of all that are kept.
    bytes: usize,
    /// Which instance a completion's token belongs to, until it is acknowledged.
    unacknowledged: FxHashMap<String, Key>,
}

impl Default for Cache {
    fn default() -> Cache {
        Cache::new(KEPT_MAX, IDLE_MAX)
    }
}

impl Cache {
    /// One that keeps so many, and each for so long.
    pub(super) fn new(kept_max: usize, idle_max: Duration) -> Cache {
        Cache {
            kept_max,
            idle_max,
            counts: CacheCounts::default(),
            kept: FxHashMap::default(),
            bytes: 0,
            unacknowledged: FxHashMap::default(),
        }
    }

    /// The state that fits this turn, if it is there. Whatever is kept of the instance is gone then.
    pub(super) fn take(&mut self, key: &Key, execution_id: &str, events: u32) -> Result<Orchestration, Miss> {
        let kept = self.remove(key).ok_or(Miss::Unknown)?;
        if kept.execution_id != execution_id {
            self.counts.missed_other_execution += 1;
            return Err(Miss::OtherExecution);
        }
        if kept.orchestration.events() != events {
            self.counts.missed_other_events += 1;
            return Err(Miss::OtherEvents);
        }
        Ok(kept.orchestration)
    }

    /// Whether a state of this instance is kept.
    pub(super) fn keeps(&self, key: &Key) -> bool {
        self.kept.contains_key(key)
    }

    /// Keeps a state for the instance's next turn. `token` is that of the turn just completed.
    pub(super) fn keep(
        &mut self,
        now: Duration,
        key: Key,
        execution_id: String,
        orchestration: Orchestration,
        token: String,
    ) {
        self.unacknowledged.insert(token, key.clone());
        self.remove(&key);
        let bytes = orchestration.bytes();
        let is_full = |cache: &Cache| cache.kept.len() >= cache.kept_max || cache.bytes + bytes > KEPT_BYTES_MAX;
        while !self.kept.is_empty() && is_full(self) {
            self.drop_oldest();
        }
        // The last one is kept whatever it takes: all that it was given would be sent again, and take as much.
        self.bytes += bytes;
        self.kept.insert(key, Kept { execution_id, orchestration, bytes, used: now });
    }

    fn remove(&mut self, key: &Key) -> Option<Kept> {
        let kept = self.kept.remove(key)?;
        self.bytes -= kept.bytes;
        Some(kept)
    }

    /// Keeps what is to be kept. Tells how many were not.
    fn retain(&mut self, stays: impl Fn(&Kept) -> bool) -> u64 {
        let before = self.kept.len();
        self.kept.retain(|_, kept| stays(kept));
        self.bytes = self.kept.values().map(|kept| kept.bytes).sum();
        (before - self.kept.len()) as u64
    }

    /// A completion was acknowledged. If it did not count, neither does the state that it led to.
    pub(super) fn acknowledged(&mut self, token: &str, counted: bool) {
        if let Some(key) = self.unacknowledged.remove(token)
            && !counted
            && self.remove(&key).is_some()
        {
            self.counts.refused += 1;
        }
    }

    /// Drops what nobody asked for in a while.
    pub(super) fn sweep(&mut self, now: Duration) {
        let idle_max = self.idle_max;
        self.counts.idle += self.retain(|kept| now.saturating_sub(kept.used) < idle_max);
    }

    /// How many states are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The stream broke: the scheduler presumes nothing any more.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
        self.unacknowledged.clear();
    }

    fn drop_oldest(&mut self) {
        let mut uses: Vec<Duration> = self.kept.values().map(|kept| kept.used).collect();
        let tenth = uses.len() / 10;
        let (_, limit, _) = uses.select_nth_unstable(tenth);
        let limit = *limit;
        self.counts.evicted += self.retain(|kept| kept.used > limit);
    }
}
