//! The bugs that are planted in the core (`placet_core::planted`) and in the rules of approval: each must be found, or what the simulator does not
//! find proves nothing. One build holds them all, and one is chosen when it runs.

use std::collections::BTreeSet;
use std::ops::Range;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use placet_core::planted::Plant;
use placet_sim::{Detail, Violation, run_with};

use crate::{Options, say};

/// How many seeds a planted bug has to show itself.
const SEEDS: u64 = 5_000;

/// The bug of this name.
///
/// # Errors
/// If there is none: all that there are.
pub(crate) fn named(name: &str) -> Result<Plant, String> {
    Plant::ALL.iter().copied().find(|plant| plant.name() == name).ok_or_else(|| {
        let all: Vec<String> = Plant::ALL.iter().map(|plant| format!("  {}: {}", plant.name(), plant.what())).collect();
        format!("--plant {name}: there are\n{}", all.join("\n"))
    })
}

/// Puts a bug into the core, instead of any other.
///
/// # Errors
/// If this build has none in it.
#[cfg(feature = "planted")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it fails")]
pub(crate) fn choose(plant: Option<Plant>) -> Result<(), String> {
    use placet_approval::planted::Plant as InRules;
    placet_core::planted::choose(plant);
    placet_approval::planted::choose(match plant {
        Some(Plant::OutcomeOverwritten) => Some(InRules::OutcomeOverwritten),
        Some(Plant::AnsweredInTimeExpires) => Some(InRules::AnsweredInTimeExpires),
        Some(Plant::EndNotEntered) => Some(InRules::EndNotEntered),
        _ => None,
    });
    Ok(())
}

#[cfg(not(feature = "planted"))]
pub(crate) fn choose(plant: Option<Plant>) -> Result<(), String> {
    match plant {
        None => Ok(()),
        Some(_) => Err("no bugs are built in here: use `cargo xtask sim`, or the feature `planted`".to_owned()),
    }
}

/// Looks for each of them, and prints the table for HISTORY.md.
pub(crate) fn find_all(options: &Options) -> ExitCode {
    let from = options.from.unwrap_or(0);
    let most = options.seeds.unwrap_or(SEEDS);
    let began = Instant::now();
    let (mut hidden, mut sick) = (Vec::new(), BTreeSet::new());
    say("| planted | what goes wrong | seed | found as |\n| --- | --- | --- | --- |");
    for plant in Plant::ALL {
        let found = match find(options, *plant, from..from + most, &mut sick) {
            Ok(found) => found,
            Err(what) => {
                say(&what);
                return ExitCode::from(2);
            }
        };
        if found.is_none() {
            hidden.push(plant.name());
        }
        let (seed, found_as) =
            found.map_or(("none".to_owned(), "not found"), |(seed, violation)| (seed.to_string(), violation.promise));
        say(&format!("| {} | {} | {seed} | {found_as} |", plant.name(), plant.what()));
    }
    say(&format!("\n{} planted bugs in {:.0} s", Plant::ALL.len(), began.elapsed().as_secs_f64()));
    if !hidden.is_empty() {
        say(&format!("FAILED  not found in {most} seeds from {from}: {}", hidden.join(", ")));
    }
    if !sick.is_empty() {
        say(&format!("FAILED  with nothing planted, too: the seeds {sick:?}"));
    }
    if hidden.is_empty() && sick.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first seed that finds what is planted, and what it finds. One that finds something with nothing planted, too,
/// does not count.
fn find(
    options: &Options,
    plant: Plant,
    seeds: Range<u64>,
    sick: &mut BTreeSet<u64>,
) -> Result<Option<(u64, Violation)>, String> {
    let mut from = seeds.start;
    loop {
        choose(Some(plant))?;
        let Some((seed, violation)) = first_found(options, from..seeds.end) else { return Ok(None) };
        choose(None)?;
        if run_with(seed, &options.with, Detail::Hash).violation.is_none() {
            return Ok(Some((seed, violation)));
        }
        sick.insert(seed);
        from = seed + 1;
    }
}

/// The first seed that finds something, and what.
fn first_found(options: &Options, seeds: Range<u64>) -> Option<(u64, Violation)> {
    let (next, stop) = (AtomicU64::new(seeds.start), AtomicBool::new(false));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || stop.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(violation) = run_with(seed, &options.with, Detail::Hash).violation {
                stop.store(true, Ordering::Relaxed);
                return Some((seed, violation));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.jobs()).map(|_| scope.spawn(work)).collect();
        // Seeds are given out in order, so none before the lowest of these was left out.
        let found = threads.into_iter().filter_map(|thread| thread.join().expect("a run that panics is caught"));
        found.min_by_key(|(seed, _)| *seed)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_planted_bug_is_found_by_its_name() {
        for plant in Plant::ALL {
            assert_eq!(named(plant.name()), Ok(*plant));
        }
        assert!(named("no-such").unwrap_err().contains("epoch-not-bumped: "));
    }
}
