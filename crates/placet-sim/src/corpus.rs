//! Seeds that once found something: each batch runs them first.

/// A run that found a bug, as it is repeated today.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    /// Its seed.
    pub seed: u64,
    /// What is changed of its plan, as [`crate::Overrides`] writes it.
    pub with: &'static str,
    /// What it found.
    pub found: &'static str,
}

/// All of them. A row is good for the generators that it was found with: when those change it becomes a seed like any
/// other, and HISTORY.md says so. What holds then is the script that each bug has among the core's own tests
/// (`placet-core/src/shard/tests/simulated.rs`).
pub const CORPUS: &[Known] = &[
    Known { seed: 1_795_576_906_000_514, with: "", found: "congestion that began and ended between two steps" },
    Known { seed: 1_795_576_906_001_618, with: "", found: "the same" },
    Known { seed: 1_795_576_906_001_973, with: "", found: "the same" },
    Known { seed: 5_002_802, with: "", found: "failures forgotten before what they led to was durable" },
    Known {
        seed: 1_795_865_458_005_442,
        with: "",
        found: "instances that could not leave memory when it was full were never asked again",
    },
    Known {
        seed: 1_795_865_458_006_505,
        with: "",
        found: "an item shorter than what was reserved for it made room that nobody looked for",
    },
    Known { seed: 50_036_911, with: "", found: "a turn whose history was read when its hub was deleted" },
    Known {
        seed: 1_795_884_980_128_488_118,
        with: "",
        found: "a turn that was given back after its instance was started over kept its place at its stream",
    },
    Known {
        seed: 1_795_912_323_006_325,
        with: "",
        found: "a busy worker took all the room that it made, and another's turn never got any",
    },
    Known {
        seed: 1_795_920_739_017_496,
        with: "",
        found: "failures of an activity that came due while its instance was out of memory were forgotten",
    },
    Known { seed: 1_795_921_583_005_404, with: "", found: "what would have made room was refused for want of it" },
    Known {
        seed: 1_795_921_801_009_207,
        with: "",
        found: "the result of what had been set aside was counted off with more than it was counted with",
    },
    Known {
        seed: 1_795_992_508_001_177,
        with: "",
        found: "a caller was told of an end without its output, which had been purged meanwhile",
    },
    Known {
        seed: 1_796_026_158_009_375,
        with: "",
        found: "why an instance waits was told with a child of a turn that came to nothing",
    },
    Known {
        seed: 1_796_071_764_007_069,
        with: "",
        found: "a client went on raising an event for one that was suspended meanwhile (of the workload, not of the core)",
    },
];
