//! The simulator: the real scheduler core and the real SDK replay under a seeded scheduler that owns time, network,
//! disk, workers and clients, and breaks them; and checkers that know the promises P1–P5 (DESIGN.md §2).
//!
//! A *seed* is a run: it draws a *plan* (how many of everything, which faults), a *workload* (instances and their
//! clients) and then every chance of the run. First everything may go wrong, and nothing that was promised may break
//! (safety); then everything is healed, and all that can end must end (liveness).

mod chance;
mod checkers;
mod corpus;
mod expectations;
mod facts;
mod marks;
mod overrides;
mod plan;
mod programs;
mod shrink;
mod struck;
mod trace;
mod workload;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

pub use corpus::{CORPUS, Known};
pub use marks::{Mark, Marks};
pub use overrides::{NotAnOverride, Overrides};
pub use plan::{COMMANDS_LEAST, INSTANCES_LEAST};
pub use shrink::{Shrunk, shrink, shrink_by};
pub use struck::{FaultKind, Struck};
pub use trace::Detail;
use world::World;
pub use world::{Counts, Violation};

/// What became of a run.
#[derive(Debug)]
pub struct Run {
    /// Its seed.
    pub seed: u64,
    /// The promise that was broken, if one was.
    pub violation: Option<Violation>,
    /// A number that stands for all that happened.
    pub hash: u64,
    /// How many instances its plan has.
    pub slots: usize,
    /// How long its faults go on, in milliseconds.
    pub span_ms: u64,
    /// How many steps it had.
    pub steps: u64,
    /// The corners that it was in.
    pub marks: Marks,
    /// How much of what there was.
    pub counts: Counts,
    /// Which faults struck.
    pub struck: Struck,
    /// What was written down of it.
    pub lines: Vec<String>,
}

/// Runs a seed.
pub fn run(seed: u64, detail: Detail) -> Run {
    run_with(seed, &Overrides::default(), detail)
}

/// Runs a seed with something of its plan changed.
pub fn run_with(seed: u64, overrides: &Overrides, detail: Detail) -> Run {
    placet_core::reach::take_reached();
    let mut world = World::new(seed, overrides, detail);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let violation = match result {
        Ok(result) => result.err(),
        Err(panic) => {
            let what = panic.downcast_ref::<String>().map(String::as_str);
            let what = what.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("unknown");
            Some(Violation { promise: "an invariant is broken", what: what.to_owned() })
        }
    };
    world.marks.add_corners(&placet_core::reach::take_reached());
    Run {
        seed,
        violation,
        slots: world.slots(),
        span_ms: world.span_ms(),
        hash: world.trace.hash(),
        steps: world.trace.steps(),
        lines: world.trace.lines().map(str::to_owned).collect(),
        marks: world.marks,
        struck: world.struck,
        counts: world.counts,
    }
}
