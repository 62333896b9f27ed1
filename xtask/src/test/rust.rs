//! What is checked and tested in Rust.

use std::process::ExitCode;

use anyhow::Result;

use super::Options;
use super::program::{Tells, cargo, must, run};
use super::report::{Counts, Report};

/// How many seeds the simulator runs, and for how many seconds at most.
const SEEDS: [&str; 2] = ["20000", "300"];
const SEEDS_LONG: [&str; 2] = ["250000", "3600"];

/// All tests of the workspace; with the generator's feature, so that they tell, too, whether what it writes is fresh.
pub(super) const TESTS: [&str; 3] = ["test", "--workspace", "--all-features"];

/// Everything but the simulator, the quick parts first.
pub(super) fn check(options: &Options, report: &mut Report) {
    report.part("format", || run(&mut cargo(&["fmt", "--all", "--", "--check", "--files-with-diff"]), Tells::ExitCode));
    report.part("tidy", || {
        let is_tidy = crate::tidy::run(&[])? == ExitCode::SUCCESS;
        Ok(if is_tidy { Counts::PASSED } else { Counts::FAILED })
    });
    report.part("lints", || {
        let lints =
            ["clippy", "--workspace", "--all-targets", "--all-features", "--keep-going", "--", "--deny", "warnings"];
        run(&mut cargo(&lints), Tells::ExitCode)
    });
    report.part("docs", || {
        let mut docs =
            cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", "--all-features", "--keep-going"]);
        run(docs.env("RUSTDOCFLAGS", "--deny warnings"), Tells::ExitCode)
    });
    report.part("rust", || {
        let mut tests = cargo(&TESTS);
        tests.arg("--no-fail-fast");
        // Tells the tests that the suites in other languages run as well, and how long a test may take.
        tests.env("PLACET_SUITES", "xtask").env("INSTA_UPDATE", "no");
        if options.long {
            tests.env("PLACET_LONG", "1");
        }
        run(&mut tests, Tells::Cargo)
    });
}

/// The simulator, in the profile that it is meant for.
pub(super) fn simulate(options: &Options, report: &mut Report) {
    report.part("simulator", || {
        let [seeds, seconds] = if options.long { SEEDS_LONG } else { SEEDS };
        let mut sim = cargo(&["run", "--profile", "sim", "--package", "placet-sim", "--"]);
        run(sim.args(["--seeds", seeds, "--seconds", seconds]), Tells::ExitCode)
    });
}

/// Whether the benchmarks run. Their figures mean nothing here: this is the server that the tests have built.
///
/// # Errors
///
/// If cargo cannot be started.
pub(super) fn measure_quickly() -> Result<Counts> {
    must(&mut cargo(&["build", "--quiet", "--package", "placet", "--package", "placet-bench"]))?;
    run(&mut cargo(&["run", "--quiet", "--package", "placet-bench", "--", "--quick"]), Tells::ExitCode)
}
