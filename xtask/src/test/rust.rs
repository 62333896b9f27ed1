//! What is checked and tested in Rust.

use std::process::ExitCode;

use super::Options;
use super::program::{Tells, cargo, run};
use super::report::{Counts, Report};
use crate::workspace::Workspace;

/// Seeds that the simulator runs: as many as it does in about a minute.
const SEEDS: &str = "3000";
const SEEDS_LONG: &str = "60000";

/// Everything but the simulator, the quick parts first.
pub(super) fn check(options: &Options, report: &mut Report) {
    report.part("format", || run(&mut cargo(&["fmt", "--all", "--", "--check"]), Tells::ExitCode));
    report.part("tidy", || {
        let is_tidy = crate::tidy::run(&[])? == ExitCode::SUCCESS;
        Ok(if is_tidy { Counts::PASSED } else { Counts::FAILED })
    });
    report.part("lints", || {
        let lints = ["clippy", "--workspace", "--all-targets", "--all-features", "--", "--deny", "warnings"];
        run(&mut cargo(&lints), Tells::ExitCode)
    });
    report.part("docs", || {
        let mut docs = cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
        run(docs.env("RUSTDOCFLAGS", "--deny warnings"), Tells::ExitCode)
    });
    report.part("generated", || {
        let check = ["run", "--package", "xtask", "--features", "codegen", "--", "codegen", "--check"];
        run(&mut cargo(&check), Tells::ExitCode)
    });
    report.part("rust", || {
        let mut tests = cargo(&["test", "--workspace", "--no-fail-fast"]);
        // Tells the tests that the suites in other languages run as well, and how long a test may take.
        tests.env("PLACET_SUITES", "xtask").env("INSTA_UPDATE", "no");
        if options.long {
            tests.env("PLACET_LONG", "1");
        }
        run(&mut tests, Tells::Cargo)
    });
}

/// The simulator, in the profile that it is meant for.
pub(super) fn simulate(options: &Options, workspace: &Workspace, report: &mut Report) {
    if !workspace.has_program("placet-sim") {
        return;
    }
    report.part("simulator", || {
        let seeds = if options.long { SEEDS_LONG } else { SEEDS };
        let sim = ["run", "--profile", "sim", "--package", "placet-sim", "--", "--seeds", seeds];
        run(&mut cargo(&sim), Tells::ExitCode)
    });
}
