//! What was found not to be as it was told, by the kind of promise that it breaks.

use std::fmt;
use std::sync::{Arc, Mutex};

/// How many findings are told in full.
const TOLD_MAX: usize = 20;

/// The kinds that this test is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Acknowledged, and not there (P1).
    Lost,
    /// There twice (P3).
    Doubled,
    /// Told in two ways (P2).
    TwoOutcomes,
    /// Anything else that cannot be.
    Wrong,
}

/// All findings. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Findings(Arc<Mutex<Vec<(Kind, String)>>>);

impl Findings {
    pub(super) fn lost(&self, what: impl Into<String>) {
        self.add(Kind::Lost, what.into());
    }

    pub(super) fn doubled(&self, what: impl Into<String>) {
        self.add(Kind::Doubled, what.into());
    }

    pub(super) fn two_outcomes(&self, what: impl Into<String>) {
        self.add(Kind::TwoOutcomes, what.into());
    }

    pub(super) fn wrong(&self, what: impl Into<String>) {
        self.add(Kind::Wrong, what.into());
    }

    fn add(&self, kind: Kind, what: String) {
        self.0.lock().unwrap().push((kind, what));
    }

    /// # Panics
    /// If there are any.
    pub(super) fn assert_none(&self, when: &str) {
        let found = self.0.lock().unwrap();
        let first: Vec<String> = found.iter().take(TOLD_MAX).map(|(kind, what)| format!("{kind:?}: {what}")).collect();
        drop(found);
        assert!(first.is_empty(), "{when}: {self}\n{}", first.join("\n"));
    }
}

impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = self.0.lock().unwrap();
        let count = |kind| found.iter().filter(|(other, _)| *other == kind).count();
        let [lost, doubled, two, wrong] = [Kind::Lost, Kind::Doubled, Kind::TwoOutcomes, Kind::Wrong].map(count);
        write!(f, "lost {lost}, doubled {doubled}, two outcomes {two}, otherwise wrong {wrong}")
    }
}
