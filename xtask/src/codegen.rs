//! `cargo xtask codegen`: Rust from `proto/`, kept in git, so that a build needs neither `protoc` nor a build script.
//!
//! The generator is behind the feature `codegen`, since its dependencies would slow down every other task.
//! Without the feature, the task runs itself again with it.

use anyhow::{Result, bail};

/// Writes the generated files, or compares them if `args` say `--check`.
///
/// # Errors
///
/// An unknown argument, a mistake in a `.proto` file, or with `--check` a file that is out of date.
pub(crate) fn run(args: &[String]) -> Result<()> {
    let check = match args {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("usage: cargo xtask codegen [--check]"),
    };
    generate(check)
}

#[cfg(not(feature = "codegen"))]
fn generate(check: bool) -> Result<()> {
    let status = std::process::Command::new(env!("CARGO"))
        .current_dir(crate::root())
        .args(["run", "--quiet", "--package", "xtask", "--features", "codegen", "--", "codegen"])
        .args(check.then_some("--check"))
        .status()?;
    // What went wrong has been said by the inner run.
    std::process::exit(status.code().unwrap_or(1))
}

#[cfg(feature = "codegen")]
use generator::generate;

#[cfg(feature = "codegen")]
mod generator;
