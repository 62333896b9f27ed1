//! The project's own chores: `cargo xtask <task>`. Each task is a module; here is only the list.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Result, bail};

mod codegen;
mod elsewhere;
mod test;
mod tidy;
mod workspace;

const USAGE: &str = "usage: cargo xtask <task>

  test [--only rust|python|javascript] [--long] [--release]
                      all that must hold: format, lints, tidy, codegen, tests, simulator, the SDKs' suites
  tidy                the house rules that no lint knows
  codegen [--check]   Rust from proto/; with --check, only says which files are out of date
  sim …               the simulator, with its own arguments
  bench …             the benchmarks, with their own arguments
  instructions [--accept REASON]
                      how many the hot paths take, against what is accepted";

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = args.split_first().map_or(("", &[][..]), |(task, rest)| (task.as_str(), rest));
    match task {
        "test" => test::run(rest),
        "tidy" => tidy::run(rest),
        "codegen" => codegen::run(rest).map(|()| ExitCode::SUCCESS),
        "sim" => elsewhere::sim(rest),
        "bench" => elsewhere::bench(rest),
        "instructions" => test::instructions(rest),
        "" => bail!("{USAGE}"),
        unknown => bail!("there is no task `{unknown}`\n\n{USAGE}"),
    }
}

/// The root of the workspace.
fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the workspace")
}

/// Prints a line. Whoever closed our output does not want to hear it.
fn say(line: impl std::fmt::Display) {
    drop(writeln!(std::io::stdout(), "{line}"));
}
