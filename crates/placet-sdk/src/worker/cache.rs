//! Live orchestrations between turns (the sticky cache): bounded, so that parked ones cost nothing.
//!
//! A state is good for exactly one next turn: that of the same instance and execution after the same number
//! of events. The scheduler names that number with each item; anything else is a miss.

use std::time::Duration;

use rustc_hash::FxHashMap;

use crate::replay::Orchestration;

/// Orchestrations kept, at most.
const KEPT_MAX: usize = 1_000;

/// How long one is kept without a turn.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// Which instance, of which hub.
pub(super) type Key = (String, String);

struct Kept {
    execution_id: String,
    orchestration: Orchestration,
    /// When, as the worker counts time.
    used: Duration,
}

#[derive(Default)]
pub(super) struct Cache {
    kept: FxHashMap<Key, Kept>,
    /// Which instance a completion's token belongs to, until it is acknowledged.
    unacknowledged: FxHashMap<String, Key>,
}

impl Cache {
    /// The state that fits this turn, if it is there. Whatever is kept of the instance is gone then.
    pub(super) fn take(&mut self, key: &Key, execution_id: &str, events: u32) -> Option<Orchestration> {
        let kept = self.kept.remove(key)?;
        let fits = kept.execution_id == execution_id && kept.orchestration.events() == events;
        fits.then_some(kept.orchestration)
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
        self.kept.insert(key, Kept { execution_id, orchestration, used: now });
        if self.kept.len() > KEPT_MAX {
            self.drop_oldest();
        }
    }

    /// A completion was acknowledged. If it did not count, neither does the state that it led to.
    pub(super) fn acknowledged(&mut self, token: &str, counted: bool) {
        if let Some(key) = self.unacknowledged.remove(token)
            && !counted
        {
            self.kept.remove(&key);
        }
    }

    /// Drops what nobody asked for in a while.
    pub(super) fn sweep(&mut self, now: Duration) {
        self.kept.retain(|_, kept| now.saturating_sub(kept.used) < IDLE_MAX);
    }

    /// How many states are kept.
    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }

    /// The stream broke: the scheduler presumes nothing any more.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        self.unacknowledged.clear();
    }

    fn drop_oldest(&mut self) {
        let mut uses: Vec<Duration> = self.kept.values().map(|kept| kept.used).collect();
        let tenth = uses.len() / 10;
        let (_, limit, _) = uses.select_nth_unstable(tenth);
        let limit = *limit;
        self.kept.retain(|_, kept| kept.used > limit);
    }
}
