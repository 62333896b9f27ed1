//! Tasks that are programs of their own, each built in the profile that it is meant for.

use std::process::{Command, ExitCode};

use anyhow::Result;

/// The simulator: optimised, with every assertion on.
///
/// # Errors
///
/// If cargo cannot be started.
pub(crate) fn sim(args: &[String]) -> Result<ExitCode> {
    // The bugs that are planted in the core are in a build of their own.
    let plants = args.iter().any(|arg| arg.starts_with("--plant"));
    let features = if plants { "planted" } else { "" };
    run(&["run", "--profile", "sim", "--package", "placet-sim", "--features", features, "--"], args)
}

/// The benchmarks: as it ships, and the server beside them.
///
/// # Errors
///
/// If cargo cannot be started.
pub(crate) fn bench(args: &[String]) -> Result<ExitCode> {
    let built = run(&["build", "--release", "--package", "placet", "--package", "placet-bench"], &[])?;
    if built != ExitCode::SUCCESS {
        return Ok(built);
    }
    run(&["run", "--release", "--package", "placet-bench", "--"], args)
}

fn run(cargo_args: &[&str], args: &[String]) -> Result<ExitCode> {
    let status = Command::new(env!("CARGO")).current_dir(crate::root()).args(cargo_args).args(args).status()?;
    // A code above 255 is Windows' way to say that it crashed.
    Ok(ExitCode::from(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)))
}
