//! What is checked and tested in Rust.

use std::process::ExitCode;

use anyhow::Result;

use super::Options;
use super::program::{Tells, cargo, must, run};
use super::report::{Counts, Report};
use crate::workspace::Workspace;

/// How many seeds the simulator runs, and for how many seconds at most: if they are not enough it fails. Two idle cores
/// take half of that.
const SEEDS: [&str; 2] = ["20000", "600"];
const SEEDS_LONG: [&str; 2] = ["250000", "7200"];

/// Tests at once.
const TEST_THREADS: &str = "4";

/// What the workspace is checked with: the generator's feature, so that the tests tell, too, whether what it writes is
/// fresh. Not all features: with the core's planted bugs nothing but the simulator is to be built.
const FEATURES: &str = "--features=xtask/codegen";

/// All tests of the workspace.
pub(super) const TESTS: [&str; 3] = ["test", "--workspace", FEATURES];

/// A workspace of their own.
const FUZZ_TARGETS: &str = "fuzz/Cargo.toml";

/// Everything but the simulator, the quick parts first.
pub(super) fn check(options: &Options, workspace: &Workspace, report: &mut Report) {
    report.part("format", || run(&mut cargo(&["fmt", "--all", "--", "--check", "--files-with-diff"]), Tells::ExitCode));
    report.part("tidy", || {
        let is_tidy = crate::tidy::run(&[])? == ExitCode::SUCCESS;
        Ok(if is_tidy { Counts::PASSED } else { Counts::FAILED })
    });
    report.part("lints", || {
        let deny = ["--all-targets", "--keep-going", "--", "--deny", "warnings"];
        let mut counts = run(cargo(&["clippy", "--workspace", FEATURES]).args(deny), Tells::ExitCode)?;
        let planted =
            ["clippy", "--package", "placet-core", "--package", "placet-sim", "--features", "placet-sim/planted"];
        counts += run(cargo(&planted).args(deny), Tells::ExitCode)?;
        // The fuzz targets, without the fuzzer, which is in C++; what they need is built already, or nearly all of it.
        let mut targets = cargo(&["clippy", "--manifest-path", FUZZ_TARGETS, "--no-default-features", "--locked"]);
        targets.arg("--target-dir").arg(&workspace.target);
        counts += run(targets.args(deny), Tells::ExitCode)?;
        Ok(counts)
    });
    report.part("docs", || {
        let mut docs =
            cargo(&["doc", "--workspace", "--no-deps", "--document-private-items", FEATURES, "--keep-going"]);
        run(docs.env("RUSTDOCFLAGS", "--deny warnings"), Tells::ExitCode)
    });
    report.part("rust", || {
        let mut tests = cargo(&TESTS);
        tests.arg("--no-fail-fast");
        // Tells the tests that the suites in other languages run as well, and how long a test may take.
        tests.env("PLACET_SUITES", "xtask").env("INSTA_UPDATE", "no");
        // Many tests wait for other processes: more of them run than there are cores.
        if std::env::var_os("RUST_TEST_THREADS").is_none() {
            tests.env("RUST_TEST_THREADS", TEST_THREADS);
        }
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
    // It must find the bugs that are planted in the core for it, or what it did not find proves nothing.
    report.part("planted bugs", || {
        let sim = ["run", "--profile", "sim", "--package", "placet-sim", "--features", "planted", "--", "--plants"];
        run(&mut cargo(&sim), Tells::ExitCode)
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

#[cfg(test)]
mod tests {
    use std::fs;

    /// The packages of a lockfile, each with its version.
    fn packages(path: &str) -> Vec<(String, String)> {
        let text = fs::read_to_string(crate::root().join(path)).unwrap();
        let values = |key: &str| -> Vec<String> {
            let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            lines.map(|value| value.trim_matches('"').to_owned()).collect()
        };
        // The first line that says `version` is the format's.
        values("name").into_iter().zip(values("version").into_iter().skip(1)).collect()
    }

    #[test]
    fn the_fuzz_targets_are_made_of_the_same_versions_as_everything_else() {
        let ours = packages("Cargo.lock");
        let theirs = packages("fuzz/Cargo.lock");
        assert!(theirs.contains(&("placet-core".to_owned(), "0.1.0".to_owned())), "{theirs:?}");
        let others =
            |package: &&(String, String)| ours.iter().any(|(name, _)| *name == package.0) && !ours.contains(package);
        let others: Vec<_> = theirs.iter().filter(others).collect();
        let remedy = "cp Cargo.lock fuzz/ && cargo check --manifest-path fuzz/Cargo.toml --no-default-features";
        assert!(others.is_empty(), "{others:?}; {remedy}");
    }
}
