//! The simulator itself: a batch that holds, and a seed that is the same run every time.

use placet_sim::{Detail, Mark, Marks, run};

/// Where the batch of this test begins: any number; fresh ones are for `cargo xtask sim`.
const FROM: u64 = 7_000_000;

#[test]
fn some_hundred_seeds_hold_and_reach_the_usual_corners() {
    let mut marks = Marks::default();
    for seed in FROM..FROM + 200 {
        let run = run(seed, Detail::Hash);
        assert_eq!(run.violation, None, "cargo xtask sim --seed {seed}");
        marks.add(&run.marks);
    }
    let usual = [
        Mark::StaleTurnIgnored,
        Mark::StaleActivityIgnored,
        Mark::PresumedStateFound,
        Mark::PresumedStateMissed,
        Mark::AskCarriedOver,
        Mark::CrashWithBatchWritten,
        Mark::CrashWithBatchLost,
        Mark::CommitUnknownWritten,
        Mark::CommitUnknownLost,
        Mark::CompletionAcrossCrash,
        Mark::StartedOver,
    ];
    let missing: Vec<Mark> = usual.into_iter().filter(|mark| marks.times(*mark) == 0).collect();
    assert_eq!(missing, [], "a batch that never was there proves nothing about it");
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in FROM..FROM + 10 {
        let (first, second) = (run(seed, Detail::Hash), run(seed, Detail::Tail));
        assert_eq!((first.hash, first.steps, first.counts), (second.hash, second.steps, second.counts), "seed {seed}");
        assert!(!second.lines.is_empty());
    }
    assert_ne!(run(FROM, Detail::Hash).hash, run(FROM + 1, Detail::Hash).hash);
}
