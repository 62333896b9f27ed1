//! The server killed again and again under clients in all languages: one test in Rust, which starts programs that need
//! what the suites have installed.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::program::{Tells, cargo, run as run_program};
use super::report::Counts;
use super::{javascript, python, rust};
use crate::workspace::Workspace;

const TEST: &str = "crashes::nothing_is_lost_or_doubled_by_crashes_whatever_language_the_clients_are_written_in";

/// Installs what the programs need, unless it is there, and runs the test: for 150 crashes, or as many as
/// PLACET_CRASH_CYCLES says.
///
/// # Errors
///
/// If something cannot be installed or started.
pub(super) fn run(workspace: &Workspace, binary: Option<&Path>) -> Result<Counts> {
    let binary = binary.context("there is no server to test")?;
    let python = python::installed(workspace)?;
    javascript::install()?;
    let mut test = cargo(&rust::TESTS);
    test.args(["--quiet", "--test", "it", "--", "--exact", TEST, "--nocapture"]);
    test.env("PLACET_BIN", binary).env("PLACET_PYTHON", python).env("PLACET_NODE", "node");
    run_program(&mut test, Tells::Cargo)
}
