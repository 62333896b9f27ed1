//! A failure made smaller: fewer kinds of faults, fewer instances, a shorter span, and still the same promise broken.
//! What is left is told as one line to paste.

use std::collections::BTreeSet;

use crate::overrides::Overrides;
use crate::struck::FaultKind;
use crate::world::Violation;
use crate::{Detail, Run, run_with};

/// How many courses of a smaller run are tried before it is said to hold: with less in it chance falls otherwise.
const COURSES: u64 = 3;

/// The shortest span that is tried, in milliseconds.
const SPAN_LEAST_MS: u64 = 250;

/// A smaller run that fails in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shrunk {
    /// What makes it smaller.
    pub overrides: Overrides,
    /// What it breaks.
    pub violation: Violation,
    /// How many runs that took.
    pub tried: u32,
}

/// Makes a run that failed smaller, in at most so many runs.
pub fn shrink(failed: &Run, overrides: &Overrides, tries: u32) -> Option<Shrunk> {
    let violation = failed.violation.clone()?;
    let again = |overrides: &Overrides| run_with(failed.seed, overrides, Detail::Hash).violation;
    Some(shrink_by(overrides, violation, failed.slots, failed.span_ms, tries, again))
}

/// The same for any way to run: `again` tells what a run with these changes breaks.
pub fn shrink_by(
    overrides: &Overrides,
    violation: Violation,
    slots: usize,
    span_ms: u64,
    tries: u32,
    again: impl FnMut(&Overrides) -> Option<Violation>,
) -> Shrunk {
    let best = Shrunk { overrides: overrides.clone(), violation, tried: 0 };
    let mut search = Search { best, tries, again };
    loop {
        let before = search.best.overrides.clone();
        search.drop_faults();
        search.drop_instances(slots);
        search.simplify();
        search.shorten(span_ms);
        if search.best.overrides == before || search.best.tried >= search.tries {
            return search.best;
        }
    }
}

struct Search<F> {
    best: Shrunk,
    tries: u32,
    again: F,
}

impl<F: FnMut(&Overrides) -> Option<Violation>> Search<F> {
    /// Takes a smaller run over if it fails in the same way.
    fn holds(&mut self, mut smaller: Overrides) -> bool {
        if smaller == self.best.overrides {
            return false;
        }
        for course in 0..COURSES {
            if self.best.tried >= self.tries {
                return false;
            }
            smaller.course = course;
            self.best.tried += 1;
            if let Some(violation) = (self.again)(&smaller).filter(|violation| same(violation, &self.best.violation)) {
                self.best.overrides = smaller;
                self.best.violation = violation;
                return true;
            }
        }
        false
    }

    fn drop_faults(&mut self) {
        let all = FaultKind::ALL.iter().copied().collect();
        if self.holds(Overrides { without: all, ..self.best.overrides.clone() }) {
            return;
        }
        for kind in FaultKind::ALL {
            let mut smaller = self.best.overrides.clone();
            smaller.without.insert(*kind);
            self.holds(smaller);
        }
    }

    /// Takes away halves, then quarters, down to single ones.
    fn drop_instances(&mut self, slots: usize) {
        let mut kept: Vec<usize> = self
            .best
            .overrides
            .instances
            .clone()
            .map_or_else(|| (0..slots).collect(), |kept| kept.into_iter().collect());
        let mut size = kept.len().div_ceil(2);
        while size > 0 && kept.len() > 1 {
            let mut at = 0;
            while at < kept.len() && kept.len() > 1 {
                let end = (at + size).min(kept.len());
                let rest: BTreeSet<usize> = kept[..at].iter().chain(&kept[end..]).copied().collect();
                let smaller = Overrides { instances: Some(rest.clone()), ..self.best.overrides.clone() };
                if !rest.is_empty() && self.holds(smaller) {
                    kept = rest.into_iter().collect();
                } else {
                    at = end;
                }
            }
            size = if size == 1 { 0 } else { size.div_ceil(2) };
        }
    }

    fn simplify(&mut self) {
        self.holds(Overrides { roomy: true, ..self.best.overrides.clone() });
        self.holds(Overrides { one_worker: true, ..self.best.overrides.clone() });
    }

    fn shorten(&mut self, span_ms: u64) {
        let mut span = self.best.overrides.span_ms.unwrap_or(span_ms) / 2;
        while span >= SPAN_LEAST_MS && self.holds(Overrides { span_ms: Some(span), ..self.best.overrides.clone() }) {
            span /= 2;
        }
    }
}

/// Whether two runs fail in the same way: the same promise, and of assertions the same one.
fn same(one: &Violation, other: &Violation) -> bool {
    let words = |violation: &Violation| violation.what.replace(|c: char| c.is_ascii_digit(), "");
    let assertions = one.promise == "an invariant is broken";
    one.promise == other.promise && (!assertions || words(one) == words(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(what: &str) -> Violation {
        Violation { promise: "a promise", what: what.into() }
    }

    #[test]
    fn what_is_left_is_what_it_takes() {
        // Breaks if two instances meet a crash and a lost call within a second.
        let again = |overrides: &Overrides| {
            let kept = overrides.instances.clone().unwrap_or_else(|| (0..40).collect());
            let meets = [3, 17].iter().all(|slot| kept.contains(slot))
                && [FaultKind::Crash, FaultKind::CallLost].iter().all(|fault| !overrides.without.contains(fault))
                && overrides.span_ms.is_none_or(|span| span >= 1_000);
            meets.then(|| broken("they met"))
        };
        let shrunk = shrink_by(&Overrides::default(), broken("they met"), 40, 60_000, 1_000, again);
        let Shrunk { overrides, tried, .. } = shrunk;
        assert_eq!(overrides.instances, Some(BTreeSet::from([3, 17])));
        assert_eq!(overrides.without.len(), FaultKind::ALL.len() - 2);
        assert_eq!(overrides.span_ms, Some(1_875));
        assert!(overrides.roomy && overrides.one_worker, "{overrides}");
        assert!(tried < 500, "{tried}");
    }

    #[test]
    fn a_run_that_fails_in_another_way_is_not_taken_for_it() {
        let other = |_: &Overrides| Some(Violation { promise: "another", what: String::new() });
        let shrunk = shrink_by(&Overrides::default(), broken("one"), 5, 1_000, 100, other);
        assert_eq!(shrunk.overrides, Overrides::default());
    }
}
