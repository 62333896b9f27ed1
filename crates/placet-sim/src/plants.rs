//! The bugs that are planted in the core (`placet_core::planted`): each must be found, or what the simulator does not
//! find proves nothing. One build holds them all, and one is chosen when it runs.

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use placet_core::planted::Plant;
use placet_sim::{Detail, Run, Violation, run_with};

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
    placet_core::planted::choose(plant);
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
    let (from, most) = (options.from.unwrap_or(0), options.seeds.unwrap_or(SEEDS));
    let began = Instant::now();
    let mut hidden = Vec::new();
    say("| planted | what goes wrong | seed | found as |\n| --- | --- | --- | --- |");
    for plant in Plant::ALL {
        if let Err(what) = choose(Some(*plant)) {
            say(&what);
            return ExitCode::from(2);
        }
        let (seed, found_as) = match find(options, from, most) {
            Some((seed, violation)) => (seed.to_string(), violation.promise.to_owned()),
            None => {
                hidden.push(plant.name());
                ("none".to_owned(), format!("not found in {most} seeds from {from}"))
            }
        };
        say(&format!("| {} | {} | {seed} | {found_as} |", plant.name(), plant.what()));
    }
    say(&format!("\n{} planted bugs in {:.0} s", Plant::ALL.len(), began.elapsed().as_secs_f64()));
    if hidden.is_empty() {
        return ExitCode::SUCCESS;
    }
    say(&format!("FAILED  not found: {}", hidden.join(", ")));
    ExitCode::FAILURE
}

/// The first seed that finds what is planted, and what it finds.
fn find(options: &Options, from: u64, most: u64) -> Option<(u64, Violation)> {
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= most || stop.load(Ordering::Relaxed) {
                return None;
            }
            let Run { seed, violation, .. } = run_with(from.wrapping_add(number), &options.with, Detail::Hash);
            if let Some(violation) = violation {
                stop.store(true, Ordering::Relaxed);
                return Some((seed, violation));
            }
        }
    };
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..options.jobs()).map(|_| scope.spawn(work)).collect();
        // Seeds are given out in order, so none before the lowest of these was left out.
        threads
            .into_iter()
            .filter_map(|thread| thread.join().expect("a run that panics is caught"))
            .min_by_key(|(seed, _)| *seed)
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
