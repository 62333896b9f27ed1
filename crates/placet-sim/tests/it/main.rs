//! The simulator itself: a batch that holds and reaches its corners, a seed that is the same run every time, and a
//! failure that is made smaller.

use placet_sim::{
    COMMANDS_LEAST, CORPUS, Detail, INSTANCES_LEAST, Mark, Marks, Overrides, Violation, run, run_with, shrink_by,
};

/// Where the batch of this test begins: any number; fresh ones are for `cargo xtask sim`.
const FROM: u64 = 7_000_000;

#[test]
fn some_seeds_hold_count_and_reach_the_usual_corners() {
    let mut marks = Marks::default();
    let mut faults = 0;
    for seed in FROM..FROM + 40 {
        let run = run(seed, Detail::Hash);
        assert_eq!(run.violation, None, "cargo xtask sim --seed {seed}");
        assert!(run.counts.commands >= COMMANDS_LEAST, "seed {seed}: {:?}", run.counts);
        assert!(run.counts.instances >= INSTANCES_LEAST, "seed {seed}: {:?}", run.counts);
        faults += run.counts.faults;
        marks.add(&run.marks);
    }
    assert!(faults >= 5 * 40, "{faults} faults in all");
    let usual = [
        Mark::StaleTurnIgnored,
        Mark::StaleActivityIgnored,
        Mark::PresumedStateFound,
        Mark::PresumedStateMissed,
        Mark::AskRecordedThenAnswered,
        Mark::CommitUnknownWritten,
        Mark::CommitUnknownLost,
        Mark::StartedOver,
        Mark::DecisionLost,
    ];
    let missing: Vec<Mark> = usual.into_iter().filter(|mark| marks.times(*mark) == 0).collect();
    assert_eq!(missing, [], "a batch that never was there proves nothing about it");
}

#[test]
fn the_plan_for_kept_states_misses_in_every_way() {
    let sticky: Overrides = "plan=sticky".parse().unwrap();
    let mut marks = Marks::default();
    for seed in FROM..FROM + 30 {
        let run = run_with(seed, &sticky, Detail::Hash);
        assert_eq!(run.violation, None, "cargo xtask sim --seed {seed} --with plan=sticky");
        marks.add(&run.marks);
    }
    let misses = [
        Mark::StateUnknown,
        Mark::StateAtOtherEvents,
        Mark::StateOfAnother,
        Mark::StateEvicted,
        Mark::StateIdle,
        Mark::StateRefused,
        Mark::StateOfEarlierEpoch,
        Mark::StateElsewhere,
    ];
    let missing: Vec<Mark> = misses.into_iter().filter(|mark| marks.times(*mark) == 0).collect();
    assert_eq!(missing, []);
}

#[test]
fn a_seed_is_the_same_run_every_time() {
    for seed in FROM..FROM + 3 {
        let (first, second) = (run(seed, Detail::Hash), run(seed, Detail::Tail));
        assert_eq!((first.hash, first.steps, first.counts), (second.hash, second.steps, second.counts), "seed {seed}");
        assert!(!second.lines.is_empty());
    }
    assert_ne!(run(FROM, Detail::Hash).hash, run(FROM + 1, Detail::Hash).hash);
}

#[test]
fn a_failure_is_made_smaller_and_can_be_repeated_from_what_is_printed() {
    // As if a promise said that no id is ever given a new life.
    let broken = |seed: u64, overrides: &Overrides| {
        let marks = run_with(seed, overrides, Detail::Hash).marks;
        let what = String::from("an id was started over");
        (marks.times(Mark::StartedOver) > 0).then_some(Violation { promise: "one life", what })
    };
    let fails = |seed: &u64| broken(*seed, &Overrides::default()).is_some();
    let seed = (FROM..FROM + 40).find(fails).expect("ids are started over in many runs");
    let whole = run(seed, Detail::Hash);
    let violation = broken(seed, &Overrides::default()).unwrap();
    let again = |overrides: &Overrides| broken(seed, overrides);
    let shrunk = shrink_by(&Overrides::default(), violation, whole.slots, whole.span_ms, 60, again);

    let pasted: Overrides = shrunk.overrides.to_string().parse().unwrap();
    assert!(broken(seed, &pasted).is_some(), "{pasted}");
    let left = run_with(seed, &pasted, Detail::Hash).counts;
    assert!(left.instances <= 3 && left.faults == 0, "{pasted}: {left:?} of {:?}", whole.counts);
}

#[test]
fn seeds_that_once_found_something_hold() {
    for known in CORPUS {
        let with = known.with.parse().unwrap();
        let run = run_with(known.seed, &with, Detail::Hash);
        assert_eq!(run.violation, None, "seed {} --with '{}': {}", known.seed, known.with, known.found);
    }
}
