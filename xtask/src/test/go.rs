//! Microsoft's Go SDK against our server: `crates/placet/tests/sdk/go`, with Go's own test runner.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};

use super::debian;
use super::program::{Tells, asked};
use super::report::Counts;
use super::server::Server;
use crate::workspace::Workspace;

const SUITE: &str = "crates/placet/tests/sdk/go";
const MISSING: &str = "the suite needs Go 1.21 or newer";

/// Installs what the suite needs, unless it is there, and runs it.
///
/// # Errors
///
/// If something cannot be installed or started.
pub(super) fn run(workspace: &Workspace, binary: Option<&Path>) -> Result<Counts> {
    let is_there = || asked("go", &["version"]).is_some();
    if !is_there() {
        debian::install(&["golang"]).context(MISSING)?;
    }
    is_there().then_some(()).context(MISSING)?;
    let mut go = Command::new("go");
    go.current_dir(crate::root().join(SUITE)).args(["test", "-count=1", "-v", "./..."]);
    Server::try_with("go", binary, workspace, &mut go, Tells::Go)
}
