//! Retention: for how long what has ended is kept, by hub and status (DESIGN.md §4). What is kept for how long stands here;
//! `keeper.rs` is the thread that lets go.

mod keeper;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use placet_core::ids::Hub;
use placet_proto::durabletask::OrchestrationStatus;

pub(crate) use keeper::{Keeper, Means, Wake};

/// The statuses of what has ended.
pub(crate) const ENDED: [OrchestrationStatus; 4] = [
    OrchestrationStatus::Completed,
    OrchestrationStatus::Failed,
    OrchestrationStatus::Canceled,
    OrchestrationStatus::Terminated,
];

/// For how long instances are kept after their end, by the wall clock: by what is said most exactly of their hub and status.
/// Nothing that is said is for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention(BTreeMap<Scope, Option<Duration>>);

/// Of which instances something is said: of a hub's or all, with one status or any.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Scope {
    /// The hub; absent: every one of which nothing more exact is said.
    pub hub: Option<Hub>,
    /// The status, one of those of what has ended; absent: likewise.
    pub status: Option<OrchestrationStatus>,
}

impl Retention {
    /// Everything is kept for ever.
    pub fn off() -> Retention {
        Retention::default()
    }

    /// Everything is kept for so long, if nothing more exact is said.
    pub fn of_all(kept_for: Duration) -> Retention {
        Retention::off().with(Scope::default(), Some(kept_for))
    }

    /// What is in this scope is kept for so long; for ever if that is absent.
    #[must_use]
    pub fn with(mut self, scope: Scope, kept_for: Option<Duration>) -> Retention {
        self.0.insert(scope, kept_for);
        self
    }

    /// For how long an instance of this hub that ended so is kept; for ever if that is absent.
    pub fn kept_for(&self, hub: &Hub, status: OrchestrationStatus) -> Option<Duration> {
        let scopes = [
            (Some(hub), Some(status)), // most exact first
            (Some(hub), None),
            (None, Some(status)),
            (None, None),
        ];
        let said = scopes.into_iter().find_map(|(hub, status)| self.0.get(&Scope { hub: hub.cloned(), status }));
        said.copied().flatten()
    }

    /// Whether everything is kept for ever.
    pub fn is_off(&self) -> bool {
        self.0.values().all(Option::is_none)
    }

    /// The statuses of a hub's instances that are kept for equally long, by how long that is.
    pub(crate) fn terms(&self, hub: &Hub) -> BTreeMap<Duration, Vec<OrchestrationStatus>> {
        let mut terms: BTreeMap<Duration, Vec<OrchestrationStatus>> = BTreeMap::new();
        for status in ENDED {
            if let Some(kept_for) = self.kept_for(hub, status) {
                terms.entry(kept_for).or_default().push(status);
            }
        }
        terms
    }

    /// The least that anything is kept; absent if everything is for ever.
    pub(crate) fn shortest(&self) -> Option<Duration> {
        self.0.values().flatten().min().copied()
    }
}
